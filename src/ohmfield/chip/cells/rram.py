"""Filamentary RRAM: spread when programmed, white read noise, telegraph noise, stuck cells."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ohmfield.chip.anchors import Anchored, Spanned, given
from ohmfield.chip.cells.resistive import LEAST_FRACTION, READ_FRACTION, ResistiveCell
from ohmfield.chip.process import Process
from ohmfield.quantities import PJ_PER_FJ, ActionCost, Number, PartCost, span
from ohmfield.spec import knob, spec

CELL_F2 = Anchored(
    "1T1R cell in squares of the node",
    (
        given(139337 / 65536 / 0.13**2, "NeuRRAM, Nature 2022 Fig 11f: 139337 um2 for 256 x 256, 130 nm", ("NeuRRAM",)),
        given(48.0, "NeuroSim 1.4 default 1T1R, 4 F x 12 F"),
    ),
)
# No source at hand gives the write of one cell; 2 V pulses of 100 ns are the usual order.
WRITE_V = Spanned("RRAM write voltage", span(2.0, 1.5, 2.5), "2 V SET/RESET pulse")
WRITE_NS = Spanned("RRAM write time", span(100.0, 30.0, 300.0), "100 ns pulse, verify included")
VERIFY_FRACTION = 0.02


def pulse(g_max_uS: Number, pulses: Number) -> ActionCost:
    """`pulses` write pulses of one cell: V^2 G t each, at half of g_max."""
    pulse_pJ = WRITE_V.value() ** 2 * 0.5 * g_max_uS * WRITE_NS.value() * PJ_PER_FJ
    return ActionCost(pulse_pJ * pulses, WRITE_NS.value() * pulses)


def cell_part(process: Process) -> PartCost:
    """One transistor and one resistor, in squares of the node name; the array itself leaks with its transistor."""
    return process.squares(CELL_F2.value())


@spec
class RramCell(ResistiveCell):
    """1T1R cell. Programming error is normal with a named base; conductance never falls below zero."""

    kind: ClassVar[str] = "rram"
    assumptions: ClassVar[tuple[str, ...]] = (
        f"write by a {WRITE_V.source} of {WRITE_NS.source}",
        f"write pulses inverse to the error, {VERIFY_FRACTION:g} of the range at the stated number",
        f"read energy inverse to the square of the read noise, V^2 G t at {READ_FRACTION:g}",
    )
    max_bits: ClassVar[int] = 4
    verify_loops: float = knob("cost", 4.0, ge=1, doc="mean pulses of a write whose error is 2 % of the range")

    def pulses(self) -> Number:
        """Mean pulses of a cell: `verify_loops` at 2 % of the range, inversely with the error (assumed), per write."""
        return self.attempts() * self.verify_loops * VERIFY_FRACTION / np.maximum(self.spread(), LEAST_FRACTION)

    def write(self, process: Process) -> ActionCost:
        return pulse(self.g_max_uS, self.pulses())

    def part(self, process: Process) -> PartCost:
        return cell_part(process)
