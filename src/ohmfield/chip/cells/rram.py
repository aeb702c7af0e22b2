"""Filamentary RRAM: spread when programmed, white read noise, stuck cells."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from ohmfield.chip.cells.base import Cell
from ohmfield.chip.process import Process
from ohmfield.numerics import Noise
from ohmfield.quantities import ActionCost, PartCost, span
from ohmfield.spec import knob, spec


@spec
class RramCell(Cell):
    """1T1R cell. Programming error is normal with a named base; conductance never falls below zero."""

    kind: ClassVar[str] = "rram"
    max_bits: ClassVar[int] = 4
    program_fraction: float = knob("both", 0.02, ge=0, le=1, doc="sd of the programming error as a fraction")
    fraction_of: Literal["range", "target", "g_max"] = knob("both", "range", doc="what that fraction is taken of")
    read_fraction: float = knob("both", 0.0, ge=0, le=1, doc="sd of one read as a fraction of the stored conductance")
    verify_loops: float = knob("cost", 4.0, ge=1, doc="mean write-verify pulses; more loops buy less error")

    def program_std_uS(self, target_uS: Tensor) -> Tensor:
        """Standard deviation of the stored conductance around its target."""
        base = {
            "range": torch.full_like(target_uS, self.g_max_uS - self.g_min_uS),
            "target": target_uS,
            "g_max": torch.full_like(target_uS, self.g_max_uS),
        }[self.fraction_of]
        return self.program_fraction * base

    def program(self, target_uS: Tensor, noise: Noise) -> Tensor:
        # Clamping at zero lifts zero cells by 0.4 sigma on average; pairs cancel it, offset mapping does not.
        stored = target_uS + self.program_std_uS(target_uS) * noise.normal(tuple(target_uS.shape)).to(target_uS.dtype)
        return stored.clamp_min(0.0)

    def read_std_uS(self, stored_uS: Tensor) -> Tensor:
        return self.read_fraction * stored_uS

    def read(self, process: Process, mean_uS: float) -> ActionCost:
        return ActionCost(span(0.0))

    def write(self, process: Process) -> ActionCost:
        return ActionCost(span(0.0))

    def part(self, process: Process) -> PartCost:
        return PartCost(span(0.0))
