"""SRAM cell of an analog macro: one bit, read as charge of its capacitor or as a discharge of its column."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from torch import Tensor

from ohmfield.chip.anchors import Anchored, given, seen
from ohmfield.chip.array import Array
from ohmfield.chip.cells.base import Cell
from ohmfield.chip.lines import CAPACITOR_FF, LINE_FF
from ohmfield.chip.process import Process
from ohmfield.chip.scaling import REFERENCE_V
from ohmfield.numerics import Noise
from ohmfield.quantities import PJ_PER_FJ, ActionCost, Number, PartCost, Span, looked_up, span
from ohmfield.spec import knob, spec

NM_PER_UM = 1e3
CAPACITOR_FF_PER_UM2 = 2.3  # of metal over a cell, at 22 nm; taken for every node
# Mismatch at which a capacitor costs what the sources give (assumed: they state none), and the least that is priced.
ANCHOR_MISMATCH, LEAST_MISMATCH = 0.01, 1e-3
# A transistor that discharges its column matches worse: 30 mV of threshold over an overdrive of 0.3 V (assumed).
DISCHARGE_MISMATCH = 0.1
# 6T bit cell in squares of the node name, by node (NeuroSim): it shrinks more slowly than the name below 22 nm.
_CELL_F2 = {180: 280, 22: 280, 14: 326, 10: 400, 7: 551, 5: 840, 3: 2048}
CAPACITOR_OVER_6T = Anchored(
    "SRAM cell with a capacitor over 6T",
    (
        given(2.91e6 / (2304 * 256) / (280 * 0.065**2), "Jia JSSC 2020 Fig 11: array 2.91 mm2, 2304 x 256", ("Jia",)),
        given(57040 / (512 * 128) / (280 * 0.022**2), "Wang Fig 22b: MAC array 57040 um2, 512 x 128", ("Wang",)),
    ),
)
DISCHARGE_OVER_6T = Anchored(
    "SRAM cell that discharges its column over 6T",
    (
        given(1080 / 551, "Sinangil JSSC 2021: 8T cell 1080 F2 against 551 F2", ("Sinangil",)),
        given(8 / 6, "8T cell: transistors over those of 6T"),
    ),
)
WRITE_FJ = Anchored(
    "SRAM write energy per bit",
    (
        given(95.0 / 8, "ZigZag-IMC: 0.095 pJ per 8-bit word, 28 nm"),
        given(1.6, "MNSIM: 1.6 fJ per bit"),
    ),
)


def six_transistor_um2(node_nm: Number) -> Span:
    """Area of one 6T bit cell, `[3, designs]`."""
    spread = seen("six-transistor cell area", span(1.0, 1 / 1.25, 1.25))
    return spread * _cell_squares(node_nm) * (np.asanyarray(node_nm) / NM_PER_UM) ** 2


@looked_up
def _cell_squares(node_nm: Number) -> Number:
    nodes = np.array(sorted(_CELL_F2), dtype=np.float64)
    return np.interp(np.log(node_nm), np.log(nodes), [_CELL_F2[int(node)] for node in nodes])


def write_bit(process: Process) -> ActionCost:
    """One SRAM bit written; latency one clock."""
    return ActionCost(process.gates_pJ(WRITE_FJ.value()), process.cycle_ns * span(1.0))


@spec
class SramCell(Cell):
    """Six transistors and a capacitor, whose mismatch is the cell's error. Levels count only relative to g_max."""

    kind: ClassVar[str] = "sram"
    assumptions: ClassVar[tuple[str, ...]] = (
        f"capacitors of the sources match to {ANCHOR_MISMATCH:g}; charge inverse to the square of the mismatch",
    )
    max_bits: ClassVar[int] = 1
    multiply: Literal["capacitor", "discharge"] = knob(
        "cost", "capacitor", doc="a bit charges its own capacitor, or discharges its column through a transistor"
    )
    mismatch: float = knob(
        "both", ANCHOR_MISMATCH, ge=0, le=1, doc="sd of a cell's capacitor, of its value; less costs charge"
    )
    capacitor_fF: float | None = knob(
        "both", None, gt=0, le=1e3, doc="capacitor that matches to 0.01; charge_share needs it; default: the sources'"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.multiply == "discharge" and self.capacitor_fF is not None:
            raise ValueError(f"multiply discharge: the cell has no capacitor_fF {self.capacitor_fF:g}; name none")

    def program_std_uS(self, target_uS: Tensor) -> Tensor:
        """Standard deviation of what a cell adds: its capacitor is what it was made, whatever is written."""
        return self.mismatch * target_uS

    def program(self, target_uS: Tensor, noise: Noise) -> Tensor:
        drawn = noise.normal(tuple(target_uS.shape)).to(target_uS.dtype)
        return (target_uS + self.program_std_uS(target_uS) * drawn).clamp_min(0.0)

    def area_factor(self) -> Number:
        """Capacitor or transistor over that of the sources: mismatch ~ 1 / sqrt(area) (Pelgrom), 1e-3 at least."""
        anchor = ANCHOR_MISMATCH if self.multiply == "capacitor" else DISCHARGE_MISMATCH
        return (anchor / np.maximum(self.mismatch, LEAST_MISMATCH)) ** 2

    def capacitance_fF(self) -> Number:
        """Capacitor of a cell where one is named: `capacitor_fF`, and what its matching adds."""
        assert self.capacitor_fF is not None
        return self.capacitor_fF * self.area_factor()

    def sense(self, process: Process) -> ActionCost:
        """Charge settles by itself: no amplifier, its energy is in `read`."""
        return ActionCost(span(0.0))

    def sense_part(self, process: Process) -> PartCost:
        return PartCost(span(0.0))

    def read(self, process: Process, mean_uS: Number, array: Array) -> ActionCost:
        """C V^2 of the cell's capacitor at half fill (where the anchors were measured), in proportion to the fill.

        A cell that discharges its column takes its share of the column's charge: line capacitance per cell.
        """
        fill = mean_uS / (0.5 * np.asanyarray(self.g_max_uS))
        if self.capacitor_fF is not None:
            energy_fJ = span(0.5) * fill * self.capacitance_fF() * np.asanyarray(array.read_voltage_V) ** 2
            return ActionCost(energy_fJ * PJ_PER_FJ, span(1.0) * array.read_ns)
        # `analog_pJ` scales C with the node and V from the supply; here the line swings by the read voltage instead.
        swing = (np.asanyarray(array.read_voltage_V) / process.supply_V) ** 2
        cell_fF = CAPACITOR_FF.value() if self.multiply == "capacitor" else LINE_FF.value() * 0.5
        energy_pJ = process.analog_pJ(cell_fF * REFERENCE_V**2) * swing * fill
        return ActionCost(energy_pJ * self.area_factor(), span(1.0) * array.read_ns)

    def write(self, process: Process) -> ActionCost:
        return write_bit(process)

    def part(self, process: Process) -> PartCost:
        """Transistors; the capacitor lies over them, and sets the area where it is the larger."""
        over = CAPACITOR_OVER_6T if self.multiply == "capacitor" else DISCHARGE_OVER_6T
        transistors_um2 = six_transistor_um2(process.node_nm) * over.value()
        if self.capacitor_fF is None:
            return process.powered(transistors_um2)
        return process.powered(np.maximum(transistors_um2, self.capacitance_fF() / CAPACITOR_FF_PER_UM2))
