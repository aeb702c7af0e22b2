"""How the sum of a column is read, what that asks of an array, and what it adds to the bill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ohmfield.chip import library
from ohmfield.chip.lines import LINE_FF
from ohmfield.chip.process import Process
from ohmfield.chip.scaling import REFERENCE_V
from ohmfield.quantities import Number, Span, span

if TYPE_CHECKING:
    from ohmfield.chip.array import Array
    from ohmfield.chip.dac import Dac
    from ohmfield.chip.units import Crossbar

ReadoutName = Literal["current", "charge_share", "time"]
ASSUMPTIONS: dict[ReadoutName, tuple[str, ...]] = {
    "current": (),
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


def _check_charge(crossbar: Crossbar) -> None:
    array, dac, where = crossbar.array, crossbar.dac, "array.readout charge_share"
    if getattr(crossbar.cell, "capacitor_fF", None) is None:
        raise ValueError(f"{where}: a {crossbar.cell.kind} cell names no capacitor; use an sram cell with capacitor_fF")
    if np.any(np.asarray(dac.bits) > 1):
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
    return 2.0 ** np.asarray(dac.bits) - 1.0 if array.readout == "time" else 1.0


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


def connect_pJ(process: Process, array: Array, columns: Number) -> Span:
    """What connecting the cells of `columns` columns to them takes from the supply, per conversion."""
    if array.readout != "charge_share":
        return span(0.0)
    return process.analog_pJ(LINE_FF.value() * array.rows_active * REFERENCE_V**2) * columns
