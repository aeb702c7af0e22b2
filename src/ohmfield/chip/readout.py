"""How the sum of a column is read, what that asks of an array, and what it adds to the bill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ohmfield.chip import library
from ohmfield.chip.lines import DRIVER_UM2, LINE_FF
from ohmfield.chip.process import Process
from ohmfield.chip.scaling import REFERENCE_V, analog_energy
from ohmfield.quantities import Number, Span, span

if TYPE_CHECKING:
    from ohmfield.chip.array import Array
    from ohmfield.chip.dac import Dac
    from ohmfield.chip.units import Crossbar

ReadoutName = Literal["current", "voltage_average", "charge_share", "time"]
ASSUMPTIONS: dict[ReadoutName, tuple[str, ...]] = {
    "current": (),
    "voltage_average": (
        "a column and its side of the converter need no amplifier; the converter's input loads no column",
        "the two sides of a pair share a column twice as long, each with a driver of its own",
        "the rows of a read are connected by select lines that charge as row lines do, a second switch in each driver",
        "a read lasts until a column of mean conductance has settled to half a code, if that is longer than read_ns",
    ),
    "charge_share": (
        "a line that connects a row's capacitors to their columns charges as a row line does",
        "capacitors lie over their cells, 2.3 fF / um2",
        "a read lasts long enough for its charge to settle",
    ),
    "time": (
        "the drivers of a read share a counter, and each compares it with its digit at every step",
        "the energy of counter and comparators ~ 1 / jitter^2, as given for 0.01",
        "digits above zero are half of the largest power of two on average; a row line charges once for each",
    ),
}
# Jitter at which counter and comparators cost what their gates do, and the least that is priced (both assumed).
ANCHOR_JITTER, LEAST_JITTER = 0.01, 1e-4


def check(crossbar: Crossbar) -> None:
    """Raises `ValueError` for what the readout of `crossbar` cannot do."""
    if crossbar.array.readout == "charge_share":
        _check_charge(crossbar)
    elif crossbar.array.readout == "time":
        _check_time(crossbar)
    elif crossbar.array.averages:
        _check_average(crossbar)


def _check_average(crossbar: Crossbar) -> None:
    array, cell, where = crossbar.array, crossbar.cell, "array.readout voltage_average"
    if cell.kind == "sram":
        raise ValueError(f"{where}: an sram cell gives charge, it holds no line at a voltage; use charge_share")
    if array.wires is not None:
        raise ValueError(f"{where}: currents between the cells of a floating line are not solved; use no wires")
    if array.encoding == "column_flip":
        raise ValueError(f"{where}: an average needs the whole range however full its column is; use encoding offset")
    if array.sum_x == "analog":
        raise ValueError(f"{where}: the average of a reference column is not modelled; use sum_x digital")
    if crossbar.dac.skip == "zero_bits":
        raise ValueError(f"{where}: dac.skip zero_bits would divide by other rows in every read; use zero_planes")
    if crossbar.compensate is not None:
        raise ValueError(f"{where}: drift that cells share cancels in an average; use no compensate")
    if crossbar.adc.post_calibration is not None:
        raise ValueError(f"{where}: the multiplier of a column is array.factor_bits; use no adc.post_calibration")


def _check_charge(crossbar: Crossbar) -> None:
    array, dac, where = crossbar.array, crossbar.dac, "array.readout charge_share"
    if getattr(crossbar.cell, "capacitor_fF", None) is None:
        raise ValueError(f"{where}: a {crossbar.cell.kind} cell names no capacitor; use an sram cell with capacitor_fF")
    if np.any(np.asanyarray(dac.bits) > 1):
        raise ValueError(f"{where}: dac.bits {dac.bits} would drive capacitors to parts of a voltage; use 1")
    if array.wires is not None:
        raise ValueError(f"{where}: settled charge loses nothing in resistance; use no wires")
    if dac.skip == "zero_bits":
        raise ValueError(f"{where}: dac.skip zero_bits would connect other rows in every read; use zero_planes")
    if crossbar.compensate is not None:
        raise ValueError(f"{where}: capacitors do not drift; use no compensate")


def _check_time(crossbar: Crossbar) -> None:
    array, cell, where = crossbar.array, crossbar.cell, "array.readout time"
    if cell.kind == "sram":
        raise ValueError(f"{where}: an sram cell gives charge, no current to integrate; use current or charge_share")
    if array.wires is not None:
        raise ValueError(f"{where}: lines from which rows fall off one by one are not solved; use no wires")
    if array.sum_x == "analog":
        raise ValueError(f"{where}: the jitter that reference columns share with others is not modelled; use digital")
    if cell.noise_correlation == "vector":
        raise ValueError(f"{where}: jitter is drawn for each read, the cell's noise per vector; use conversion")


def pulses(array: Array, dac: Dac) -> Number:
    """Shortest pulses that fit into one read: `2^bits - 1` where digits are widths of pulses, else 1."""
    return 2.0 ** np.asanyarray(dac.bits) - 1.0 if array.readout == "time" else 1.0


def timer(array: Array, dac: Dac) -> library.Block:
    """Counter and comparators of the rows of one read; nothing where digits are no pulses."""
    if array.readout != "time":
        return library.gate(0)
    comparators = library.comparator(dac.bits).times(array.rows_active)
    return comparators + library.adder(dac.bits) + library.register(dac.bits)


def timing_pJ(process: Process, array: Array, dac: Dac) -> Span:
    """What timing the pulses of one read takes: counter and comparators at each step, dearer with less jitter."""
    effort = (ANCHOR_JITTER / np.maximum(dac.jitter, LEAST_JITTER)) ** 2
    return process.gates_pJ(timer(array, dac).energy_fJ) * pulses(array, dac) * effort


def settling(process: Process, crossbar: Crossbar, mean_uS: Number) -> Span:
    """Duration of a read over the declared `read_ns`, 1 unless a floating column settles more slowly.

    A column of capacitance C and summed conductance G comes within half a code after `ln(2) (bits + 1) C / G`.
    """
    array = crossbar.array
    if not array.averages:
        return span(1.0)
    fF = LINE_FF.value() * analog_energy(process.node_nm, REFERENCE_V) * array.built_rows
    # Twice the cells of a pair's column are twice its capacitance and twice its conductance.
    settle_ns = (
        np.log(2.0) * (np.asanyarray(crossbar.adc.bits) + 1.0) * fF / (array.rows_active * np.asanyarray(mean_uS))
    )
    return np.maximum(1.0, settle_ns / array.read_ns)


def dissipated(crossbar: Crossbar, driven_share: Number) -> Number:
    """Power of a read over that of driven cells between their row and 0 V.

    Of a column at the mean v of its rows, `V^2 (sum x^2 G - (sum x G)^2 / sum G)`: with alike cells and a share p of
    the rows driven `1 - p` of it; pairs average to nearly 0 V.
    """
    return 1.0 if crossbar.pairs or not crossbar.array.averages else 1.0 - np.asanyarray(driven_share)


def select_pJ(process: Process, array: Array) -> Span:
    """What connecting the rows of one read to their floating columns takes."""
    if not array.averages:
        return span(0.0)
    return process.analog_pJ(LINE_FF.value() * array.built_columns * array.rows_active * REFERENCE_V**2)


def select_um2(process: Process, array: Array) -> Span:
    """The second switch in the driver of a row that a read connects or not."""
    return process.analog_um2(DRIVER_UM2.value()) * float(array.averages)


def undo(crossbar: Crossbar) -> library.Block:
    """One code times the factor of its column."""
    return library.multiplier(crossbar.adc.bits, crossbar.array.column_factor_bits)


def factors(crossbar: Crossbar) -> library.Block:
    """Registers of the factors of one array: one for each column, or pair, of each of its row groups."""
    array = crossbar.array
    columns = np.asanyarray(array.columns) / (2 if crossbar.pairs else 1)
    groups = np.ceil(np.asanyarray(array.rows) / array.rows_active)
    return library.register(array.column_factor_bits).times(columns * groups)


def connect_pJ(process: Process, array: Array, columns: Number) -> Span:
    """What connecting the cells of `columns` columns to them takes from the supply, per conversion."""
    if array.readout != "charge_share":
        return span(0.0)
    return process.analog_pJ(LINE_FF.value() * array.rows_active * REFERENCE_V**2) * columns
