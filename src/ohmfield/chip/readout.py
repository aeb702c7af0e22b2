"""How the sum of a column is read, what that asks of an array, and what it adds to the bill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ohmfield.chip.lines import LINE_FF
from ohmfield.chip.process import Process
from ohmfield.chip.scaling import REFERENCE_V
from ohmfield.quantities import Number, Span, span

if TYPE_CHECKING:
    from ohmfield.chip.array import Array
    from ohmfield.chip.units import Crossbar

ReadoutName = Literal["current", "charge_share"]
ASSUMPTIONS: dict[ReadoutName, tuple[str, ...]] = {
    "current": (),
    "charge_share": (
        "a line that connects a row's capacitors to their columns charges as a row line does",
        "capacitors lie over their cells, 2.3 fF / um2",
        "a read lasts long enough for its charge to settle",
    ),
}


def check(crossbar: Crossbar) -> None:
    """Raises `ValueError` for what the readout of `crossbar` cannot do."""
    if crossbar.array.readout == "charge_share":
        _check_charge(crossbar)


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


def connect_pJ(process: Process, array: Array, columns: Number) -> Span:
    """What connecting the cells of `columns` columns to them takes from the supply, per conversion."""
    if array.readout != "charge_share":
        return span(0.0)
    return process.analog_pJ(LINE_FF.value() * array.rows_active * REFERENCE_V**2) * columns
