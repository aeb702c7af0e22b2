"""A cell that stores exactly what is written: the limit every device is compared with."""

from __future__ import annotations

from typing import ClassVar

from ohmfield.chip.array import Array
from ohmfield.chip.cells.base import Cell
from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, Number, PartCost, span
from ohmfield.spec import spec


@spec
class IdealCell(Cell):
    """No error, no noise, no drift. It costs nothing, so a chip that uses it says so in every bill."""

    kind: ClassVar[str] = "ideal"

    def sense(self, process: Process) -> ActionCost:
        return ActionCost(span(0.0))

    def sense_part(self, process: Process) -> PartCost:
        return PartCost(span(0.0))

    def read(self, process: Process, mean_uS: Number, array: Array) -> ActionCost:
        return ActionCost(span(0.0), span(1.0) * array.read_ns)

    def write(self, process: Process) -> ActionCost:
        return ActionCost(span(0.0))

    def part(self, process: Process) -> PartCost:
        return PartCost(span(0.0))
