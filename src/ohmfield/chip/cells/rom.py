"""Read-only memory: weights are in the masks, so nothing is written, drifts or differs between chips."""

from __future__ import annotations

from typing import ClassVar

from ohmfield.chip.anchors import Anchored, given
from ohmfield.chip.cells.base import Cell
from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, PartCost, span
from ohmfield.spec import spec

CELL_F2 = Anchored(
    "ROM cell in squares of the node",
    (
        given(4.0, "NeuroSim crosspoint, 2 F x 2 F: a via"),
        given(48.0, "NeuroSim 1.4 default 1T1R, 4 F x 12 F: a via and its transistor"),
    ),
)


@spec
class RomCell(Cell):
    """A resistor chosen by a mask. Its cost of programming is a mask set, which no bill here holds."""

    kind: ClassVar[str] = "rom"
    rewritable: ClassVar[bool] = False
    assumptions: ClassVar[tuple[str, ...]] = (
        "weights are mask-programmed: no write in the bill, and no masks either",
        "no mismatch between cells",
    )
    max_bits: ClassVar[int] = 2

    def write(self, process: Process) -> ActionCost:
        return ActionCost(span(0.0))

    def part(self, process: Process) -> PartCost:
        return process.squares(CELL_F2.value())
