"""What every memory device answers: how it is written, how it ages, how it is read, and what that costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from ohmfield.chip.array import Array
from ohmfield.chip.lines import AMPLIFIER_FJ, AMPLIFIER_UM2
from ohmfield.chip.process import Process
from ohmfield.numerics import Noise
from ohmfield.quantities import ActionCost, Number, PartCost
from ohmfield.spec import knob, spec


@spec
class Cell(ABC):
    """A memory cell. Conductances are float tensors of any shape, in uS; noise arrives as a `Noise`."""

    kind: ClassVar[str]
    max_bits: ClassVar[int] = 8
    assumptions: ClassVar[tuple[str, ...]] = ()  # what no source gives of its costs; every bill repeats it
    g_min_uS: float = knob("both", 0.0, ge=0, doc="conductance of the lowest level; its pedestal uses up ADC range")
    g_max_uS: float = knob("both", 100.0, gt=0, doc="conductance of the highest level; sets signal and read energy")
    stuck_low_rate: float = knob("environment", 0.0, ge=0, le=1, doc="share of cells that stay at g_min")
    stuck_high_rate: float = knob("environment", 0.0, ge=0, le=1, doc="share of cells that stay at g_max")

    def __post_init__(self) -> None:
        if self.g_min_uS >= self.g_max_uS:
            raise ValueError(f"g_min_uS {self.g_min_uS} must lie below g_max_uS {self.g_max_uS}")

    def program(self, target_uS: Tensor, noise: Noise) -> Tensor:
        """Stored conductance after writing `target_uS`; exact unless a device overrides it."""
        return target_uS.clone()

    def age(self, stored_uS: Tensor, elapsed_s: float) -> Tensor:
        """Conductance `elapsed_s` after the first read; unchanged unless a device overrides it."""
        return stored_uS

    def read_std_uS(self, stored_uS: Tensor) -> Tensor:
        """Standard deviation of one read of each cell; zero unless a device overrides it."""
        return torch.zeros_like(stored_uS)

    def stick(self, stored_uS: Tensor, noise: Noise) -> Tensor:
        """`stored_uS` with this instance's stuck cells at g_min or g_max."""
        if self.stuck_low_rate == 0.0 and self.stuck_high_rate == 0.0:
            return stored_uS
        draw = noise.uniform(tuple(stored_uS.shape))
        stuck = torch.where(draw < self.stuck_low_rate, torch.full_like(stored_uS, self.g_min_uS), stored_uS)
        return torch.where(draw > 1.0 - self.stuck_high_rate, torch.full_like(stored_uS, self.g_max_uS), stuck)

    def mean_uS(self, fill: Number) -> Number:
        """Mean conductance when the mean level is `fill` of the top level."""
        return self.g_min_uS + (self.g_max_uS - self.g_min_uS) * fill

    def sense(self, process: Process) -> ActionCost:
        """Column amplifier, per conversion; a current-reading cell needs one."""
        return ActionCost(process.analog_pJ(AMPLIFIER_FJ.value()))

    def sense_part(self, process: Process) -> PartCost:
        """Column amplifier, one per converter."""
        return process.powered(process.analog_um2(AMPLIFIER_UM2.value()))

    @abstractmethod
    def read(self, process: Process, mean_uS: Number, array: Array) -> ActionCost:
        """One driven cell during one read of `array`, at its mean conductance; latency is the settling of the line."""

    @abstractmethod
    def write(self, process: Process) -> ActionCost:
        """One cell written once, verify loops included."""

    @abstractmethod
    def part(self, process: Process) -> PartCost:
        """One cell."""
