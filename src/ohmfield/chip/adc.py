"""Analog-to-digital converters: transfer curve, range, and cost of each kind."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from ohmfield.chip.process import Process
from ohmfield.quantities import BOLTZMANN_J_PER_K, PJ_PER_J, ActionCost, Number, PartCost
from ohmfield.spec import knob, spec

ROOM_K = 300.0


@spec
class Adc(ABC):
    """A column converter. `code` is its static transfer curve; a new kind overrides it and the two costs."""

    kind: ClassVar[str]
    bits: int = knob("both", 8, ge=1, le=14, doc="resolution; conversions are cheaper and coarser below")
    enob: float | None = knob("both", None, gt=0, le=14, doc="effective bits; noise against the hardware range")
    step_levels: float | None = knob("both", None, gt=0, doc="cell levels per code, a power of two; default: every sum")
    gains: tuple[float, ...] = knob("both", (1.0,), min_length=1, doc="selectable gains: range / gain, each costs area")
    columns_per_adc: int = knob("cost", 8, ge=1, le=1024, doc="physical columns that share one converter in turn")

    def __post_init__(self) -> None:
        if any(gain < 1.0 for gain in self.gains):
            raise ValueError(f"gains {self.gains} must each be >= 1 (1 is the full hardware range)")
        if self.enob is not None and self.enob > self.bits:
            raise ValueError(f"enob {self.enob} exceeds bits {self.bits}")
        if self.step_levels is not None and not math.log2(self.step_levels).is_integer():
            raise ValueError(f"step_levels {self.step_levels} must be a power of two (.., 0.5, 1, 2, ..)")

    def limits(self, signed: bool) -> tuple[int, int]:
        """Smallest and largest code."""
        return (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1) if signed else (0, 2**self.bits - 1)

    def code(self, lsb: np.ndarray, signed: bool) -> np.ndarray:
        """Codes (int64) of an input in units of the step: `floor(v + 1/2)`, then clip."""
        low, high = self.limits(signed)
        return np.clip(np.floor(lsb + 0.5), low, high).astype(np.int64)

    def hardware_step(self, largest_sum: float, signed: bool) -> float:
        """Cell levels per code at gain 1: as declared, else the power of two (>= 1) whose codes cover `largest_sum`."""
        if self.step_levels is not None:
            return self.step_levels
        high = self.limits(signed)[1]
        return float(2 ** max(0, math.ceil(math.log2(largest_sum / high)))) if largest_sum > high else 1.0

    def noise_levels(self, hardware_step: float) -> float:
        """Rms converter noise in cell levels: `sqrt((4^(B - enob) - 1) / 12)` LSB of the *hardware* range."""
        if self.enob is None:
            return 0.0
        return hardware_step * math.sqrt((4.0 ** (self.bits - self.enob) - 1.0) / 12.0)

    def thermal_floor_pJ(self) -> Number:
        """Least energy of one conversion: `8 k T 10^(SNDR/10)` at 300 K, SNDR of the effective bits."""
        effective = np.asarray(self.bits if self.enob is None else self.enob, dtype=np.float64)
        sndr_dB = 6.02 * effective + 1.76
        return 8.0 * BOLTZMANN_J_PER_K * ROOM_K * 10.0 ** (sndr_dB / 10.0) * PJ_PER_J

    def gain_factor(self) -> float:
        """What selectable gains above 1 cost, in energy and area: 5 % each, and 5 % per octave (assumed)."""
        return 1.0 + sum(0.05 * (1.0 + math.log2(gain)) for gain in self.gains if gain > 1.0)

    def noise_factor(self) -> Number:
        """Energy of one decision at the effective bits over one at full bits: from 1 down to a half (assumed)."""
        missing = 0.0 if self.enob is None else np.asarray(self.bits) - np.asarray(self.enob)
        return 0.5 + 0.5 * 4.0 ** (-missing)

    @abstractmethod
    def conversion(self, process: Process) -> ActionCost:
        """One conversion."""

    @abstractmethod
    def part(self, process: Process) -> PartCost:
        """One converter."""
