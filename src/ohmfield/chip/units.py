"""Compute units that hold weights: analog crossbars and digital compute-in-memory."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

from ohmfield.chip.adc import Adc
from ohmfield.chip.array import Array
from ohmfield.chip.cells import CELLS
from ohmfield.chip.cells.base import Cell
from ohmfield.chip.converters import ADCS
from ohmfield.chip.dac import Dac
from ohmfield.spec import family, knob, spec


@spec
class Unit(ABC):
    """Something that holds weights and multiplies by them."""

    kind: ClassVar[str]
    num_arrays: int = knob("cost", 16, ge=1, le=10**7, doc="arrays on the chip")
    max_copies: int = knob("both", 1, ge=1, le=4096, doc="most copies of one layer's weights, to run in parallel")


@spec
class Crossbar(Unit):
    """Analog arrays: cells, drivers and converters."""

    kind: ClassVar[str] = "crossbar"
    cell: family(Cell, CELLS)
    array: Array
    dac: Dac
    adc: family(Adc, ADCS)

    def __post_init__(self) -> None:
        if self.array.cell_bits > self.cell.max_bits:
            raise ValueError(
                f"array.cell_bits {self.array.cell_bits}: a {self.cell.kind} cell holds at most {self.cell.max_bits}"
            )


@spec
class DigitalCim(Unit):
    """SRAM with adder trees: exact integer products, bit-serial over the input."""

    kind: ClassVar[str] = "digital_cim"
    rows: int = knob("cost", 64, ge=1, le=8192, doc="weights added by one tree")
    columns: int = knob("cost", 64, ge=1, le=8192, doc="weight bits side by side (columns / weight_bits weights)")
    banks: int = knob("cost", 8, ge=1, le=1024, doc="stored rows per compute row")
    input_bits_per_cycle: int = knob("cost", 1, ge=1, le=8, doc="input bits multiplied in one cycle")


UNITS: dict[str, type[Unit]] = {"crossbar": Crossbar, "digital_cim": DigitalCim}
