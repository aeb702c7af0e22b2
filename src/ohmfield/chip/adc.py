"""Analog-to-digital converters: transfer curve, range, and cost of each kind."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np

from ohmfield.chip.correction import PostCalibration
from ohmfield.chip.process import Process
from ohmfield.quantities import BOLTZMANN_J_PER_K, PJ_PER_J, ActionCost, Number, PartCost, uniform
from ohmfield.spec import knob, spec

ROOM_K = 300.0
# Of a converter's area a quarter is set by the matching of its offset and a quarter by that of its gain, and goes as
# 1 / sd^2 (Pelgrom et al., IEEE J. Solid-State Circuits 24(5), 1989). Shares and the least sd are assumed.
MATCHED_SHARE = 0.25
LEAST_OFFSET_LSB, LEAST_GAIN = 0.1, 1e-3  # better matching costs as this
STEPS_PER_OCTAVE = 8  # of a calibrated range
REFERENCE_FACTOR = 0.1  # what its reference adds to a converter, energy and area (assumed)


@spec
class Adc(ABC):
    """A column converter. `code` is its static transfer curve; a new kind overrides it and the two costs."""

    kind: ClassVar[str]
    noise_assumed: ClassVar[bool] = False
    """whether the cost falls with the effective bits by `noise_factor`"""
    bits: int = knob("both", 8, ge=1, le=14, doc="resolution; conversions are cheaper and coarser below")
    enob: float | None = knob("both", None, gt=0, le=14, doc="effective bits; noise against the hardware range")
    step_levels: float | None = knob("both", None, gt=0, doc="cell levels per code, a power of two; default: every sum")
    gains: tuple[float, ...] = knob("both", (1.0,), min_length=1, doc="selectable gains: range / gain, each costs area")
    range: Literal["hardware", "calibrated"] = knob(
        "both", "hardware", doc="one of `gains`, or any of eight steps per octave from 1 to the largest of them"
    )
    offset_lsb_std: float = knob("both", 0.0, ge=0, le=64, doc="sd of the offset from converter to converter, in LSB")
    gain_std: float = knob("both", 0.0, ge=0, le=0.5, doc="sd of the gain from converter to converter, over 1")
    inl: tuple[float, ...] = knob(
        "environment", (), doc="measured deviation in LSB, evenly from the lowest to the highest code; linear between"
    )
    post_calibration: PostCalibration | None = knob("both", None, doc="digital correction of codes; default: none")
    columns_per_adc: int = knob("both", 8, ge=1, le=1024, doc="physical columns that share one converter in turn")

    def __post_init__(self) -> None:
        if any(gain < 1.0 for gain in self.gains):
            raise ValueError(f"gains {self.gains} must each be >= 1 (1 is the full hardware range)")
        if self.enob is not None and uniform(self.enob > self.bits):
            raise ValueError(f"enob {self.enob} exceeds bits {self.bits}")
        if len(self.inl) == 1:
            raise ValueError(f"inl {self.inl} has one entry; give one per code, or any number from 2")
        if self.step_levels is not None and uniform(np.log2(self.step_levels) % 1.0 != 0.0):
            raise ValueError(f"step_levels {self.step_levels} must be a power of two (.., 0.5, 1, 2, ..)")

    @property
    def mismatched(self) -> bool:
        """Whether converters differ from one another."""
        return uniform(self.offset_lsb_std > 0.0) or uniform(self.gain_std > 0.0)

    @property
    def fraction_bits(self) -> Number:
        """Binary places of a code after its digital correction."""
        return 0 if self.post_calibration is None else self.post_calibration.fraction_bits

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What no source gives of the costs of what is used; every bill repeats it."""
        lines = {
            "5 % for each gain above 1 and 5 % per octave": max(self.gains) > 1.0,
            "10 % for a calibrated range": self.range == "calibrated",
            "a quarter of the area each for offset and gain, ~ 1 / sd^2": self.mismatched,
            "half of a decision's energy ~ 4^enob": self.noise_assumed and self.enob is not None,
        }
        return tuple(line for line, used in lines.items() if used)

    def choices(self) -> tuple[float, ...]:
        """Gains that a calibration may choose from, in order."""
        if self.range == "hardware":
            return tuple(sorted(self.gains))
        octaves = math.log2(max(self.gains))
        return tuple(2.0 ** (step / STEPS_PER_OCTAVE) for step in range(math.floor(octaves * STEPS_PER_OCTAVE) + 1))

    def limits(self, signed: bool) -> tuple[int, int]:
        """Smallest and largest code."""
        return (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1) if signed else (0, 2**self.bits - 1)

    def code(self, lsb: np.ndarray, signed: bool) -> np.ndarray:
        """Codes (int64) of an input in units of the step: `floor(v + inl(v) + 1/2)`, then clip. May fall as v rises."""
        low, high = self.limits(signed)
        if self.inl:
            lsb = lsb + np.interp(lsb, np.linspace(low, high, len(self.inl)), np.array(self.inl))
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
        effective = np.asanyarray(self.bits if self.enob is None else self.enob, dtype=np.float64)
        sndr_dB = 6.02 * effective + 1.76
        return 8.0 * BOLTZMANN_J_PER_K * ROOM_K * 10.0 ** (sndr_dB / 10.0) * PJ_PER_J

    def gain_factor(self) -> float:
        """What ranges cost, in energy and area: 5 % per gain above 1, 5 % per octave, 10 % if calibrated (assumed)."""
        free = REFERENCE_FACTOR if self.range == "calibrated" else 0.0
        return 1.0 + free + sum(0.05 * (1.0 + math.log2(gain)) for gain in self.gains if gain > 1.0)

    def matching_factor(self) -> Number:
        """Area over that of a converter matched as the published ones are: matching takes area, `~ 1 / sd^2`."""
        of_offset = (LEAST_OFFSET_LSB / np.maximum(self.offset_lsb_std, LEAST_OFFSET_LSB)) ** 2
        of_gain = (LEAST_GAIN / np.maximum(self.gain_std, LEAST_GAIN)) ** 2
        return 1.0 - MATCHED_SHARE * (2.0 - of_offset - of_gain)

    def noise_factor(self) -> Number:
        """Energy of one decision at the effective bits over one at full bits: from 1 down to a half (assumed)."""
        missing = 0.0 if self.enob is None else np.asanyarray(self.bits) - np.asanyarray(self.enob)
        return 0.5 + 0.5 * 4.0 ** (-missing)

    @abstractmethod
    def conversion(self, process: Process) -> ActionCost:
        """One conversion."""

    @abstractmethod
    def part(self, process: Process) -> PartCost:
        """One converter."""
