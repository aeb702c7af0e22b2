"""Ferroelectric transistor: written by a gate voltage, spread by its few domains, no published ageing law at hand."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ohmfield.chip.anchors import Anchored, Spanned, given
from ohmfield.chip.cells.resistive import READ_FRACTION, ResistiveCell
from ohmfield.chip.lines import LINE_FF
from ohmfield.chip.process import Process
from ohmfield.quantities import PJ_PER_FJ, ActionCost, PartCost, span
from ohmfield.spec import knob, spec

CELL_F2 = Anchored(
    "FeFET cell in squares of the node",
    (
        given(10.0, "NVMExplorer sample FeFET cell, 10 F2"),
        given(103.0, "NVMExplorer sample multi-level FeFET cell, 103 F2"),
    ),
)
GATE_FF = given(0.1, "NVMExplorer sample FeFET cell: 0.1 fF").value
WRITE_V = Spanned("FeFET write voltage", span(3.0, 2.5, 4.0), "3 V gate pulse (Tan, arXiv 2103.08806; NVMExplorer)")
WRITE_NS = Spanned("FeFET write time", span(500.0, 250.0, 1340.0), "250 ns (Tan) to 1340 ns (NVMExplorer)")
# Four levels with Gray codes: Q(1 / (2 s)) 3/4 = 0.04 errors per bit at s = 0.31 level spacings, 10 % of the range.
SINGLE_WRITE = 0.10


@spec
class FefetCell(ResistiveCell):
    """One transistor, read as a conductance at a fixed gate voltage.

    A single write leaves `program_fraction` of the range: 10 % is what the 4 % bit errors of four-level AND arrays at
    28 nm (Mueller, IMW 2023) amount to, Gray codes taken. Retention over ten years is published for threshold windows,
    no law for conductances: they hold here.
    """

    kind: ClassVar[str] = "fefet"
    assumptions: ClassVar[tuple[str, ...]] = (
        f"spread of {SINGLE_WRITE:g} of the range after one write, from bit errors of four levels with Gray codes",
        f"write by a {WRITE_V.source}, {WRITE_NS.source}; a smaller spread of one write takes pulses in proportion",
        f"read energy inverse to the square of the read noise, V^2 G t at {READ_FRACTION:g}",
        "conductances hold; no endurance limit, no write disturb",
    )
    max_bits: ClassVar[int] = 3
    g_min_uS: float = knob("both", 0.1, ge=0, doc="conductance of the lowest level; its pedestal uses up ADC range")
    g_max_uS: float = knob("both", 1.0, gt=0, doc="conductance of the highest level; sets signal and read energy")
    program_fraction: float = knob("both", SINGLE_WRITE, ge=0, le=1, doc="sd of one write as a fraction")

    def write(self, process: Process) -> ActionCost:
        """C V^2 of the gate and its share of the word line, per attempt; finer writes take more pulses (assumed)."""
        pulses = self.attempts() * SINGLE_WRITE / np.maximum(self.spread(), 1e-3)
        pulse_pJ = (GATE_FF + LINE_FF.value()) * WRITE_V.value() ** 2 * PJ_PER_FJ
        return ActionCost(pulse_pJ * pulses, WRITE_NS.value() * pulses)

    def part(self, process: Process) -> PartCost:
        return process.squares(CELL_F2.value())
