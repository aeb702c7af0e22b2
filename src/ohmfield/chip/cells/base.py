"""What every memory device answers: how it is written, how it ages, how it is read, and what that costs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from ohmfield.chip.array import Array
from ohmfield.chip.lines import AMPLIFIER_FJ, AMPLIFIER_UM2
from ohmfield.chip.process import Process
from ohmfield.numerics import Noise
from ohmfield.quantities import PJ_PER_FJ, ActionCost, Number, PartCost, span, uniform
from ohmfield.spec import InputError, knob, spec

Correlation = Literal["conversion", "vector", "frozen"]
BOLTZMANN_EV_PER_K = 8.617333e-5
ROOM_K = 300.0  # at which the statistics of a cell hold


@spec
class Cell(ABC):
    """A memory cell. Conductances are float tensors of any shape, in uS; noise arrives as a `Noise`."""

    kind: ClassVar[str]
    max_bits: ClassVar[int] = 8
    rewritable: ClassVar[bool] = True  # whether a chip can write it again, as a network in waves needs
    assumptions: ClassVar[tuple[str, ...]] = ()  # what no source gives of its costs; every bill repeats it
    g_min_uS: float = knob("both", 0.0, ge=0, doc="conductance of the lowest level; its pedestal uses up ADC range")
    g_max_uS: float = knob("both", 100.0, gt=0, doc="conductance of the highest level; sets signal and read energy")
    stuck_low_rate: float = knob("environment", 0.0, ge=0, le=1, doc="share of cells that stay at g_min")
    stuck_high_rate: float = knob("environment", 0.0, ge=0, le=1, doc="share of cells that stay at g_max")

    def __post_init__(self) -> None:
        if uniform(self.g_min_uS >= self.g_max_uS):
            raise ValueError(f"g_min_uS {self.g_min_uS} must lie below g_max_uS {self.g_max_uS}")

    @property
    def noise_correlation(self) -> Correlation:
        """How often the noise of `read_std_uS` is drawn: per conversion, per vector, or once for an age (frozen)."""
        return "conversion"

    def program(self, target_uS: Tensor, noise: Noise) -> Tensor:
        """Stored conductance after writing `target_uS`; exact unless a device overrides it."""
        return target_uS.clone()

    def age(self, stored_uS: Tensor, target_uS: Tensor, elapsed_s: float, noise: Noise) -> Tensor:
        """Conductance `elapsed_s` after the first read; exactly `stored_uS` at 0, and always unless overridden.

        What differs from cell to cell is drawn from `noise`, the same at every age, so that a cell has one history.
        """
        return stored_uS

    def read_std_uS(self, stored_uS: Tensor, aged_uS: Tensor, elapsed_s: float, array: Array) -> Tensor:
        """Standard deviation of the read noise of cells written to `stored_uS`, now at `aged_uS`; zero by default."""
        return torch.zeros_like(aged_uS)

    def switch(self, aged_uS: Tensor, noise: Noise, epoch: float) -> Tensor:
        """Conductance with each cell's telegraph noise in the state that it has for a whole run; none by default.

        Which cells have a trap is drawn from `noise` alone, its state anew for each `epoch`.
        """
        return aged_uS

    def grow(self, shape: tuple[int, ...], noise: Noise) -> Tensor:
        """Conductances nobody aimed at, to draw random numbers from: cells written to mid range once."""
        return self.program(torch.full(shape, 0.5 * (self.g_min_uS + self.g_max_uS)), noise)

    def stick(self, stored_uS: Tensor, noise: Noise) -> Tensor:
        """`stored_uS` with this instance's stuck cells at g_min or g_max."""
        if self.stuck_low_rate == 0.0 and self.stuck_high_rate == 0.0:
            return stored_uS
        draw = noise.uniform(tuple(stored_uS.shape))
        stuck = torch.where(draw < self.stuck_low_rate, torch.full_like(stored_uS, self.g_min_uS), stored_uS)
        return torch.where(draw > 1.0 - self.stuck_high_rate, torch.full_like(stored_uS, self.g_max_uS), stuck)

    def stays(self, stored_uS: Tensor) -> Tensor:
        """Which cells neither age nor switch (bool): stuck ones, known by standing exactly at g_min or g_max.

        Where cells can be stuck low and g_min is 0, one written below zero, and so to it, is taken for stuck too.
        """
        low = (stored_uS == self.g_min_uS) if self.stuck_low_rate > 0.0 else torch.zeros((), dtype=torch.bool)
        high = (stored_uS == self.g_max_uS) if self.stuck_high_rate > 0.0 else torch.zeros((), dtype=torch.bool)
        return low | high

    def mean_uS(self, fill: Number) -> Number:
        """Mean conductance when the mean level is `fill` of the top level."""
        return self.g_min_uS + (self.g_max_uS - self.g_min_uS) * fill

    def sense(self, process: Process) -> ActionCost:
        """Column amplifier, per conversion; a current-reading cell needs one."""
        return ActionCost(process.analog_pJ(AMPLIFIER_FJ.value()))

    def sense_part(self, process: Process) -> PartCost:
        """Column amplifier, one per converter."""
        return process.powered(process.analog_um2(AMPLIFIER_UM2.value()))

    def read(self, process: Process, mean_uS: Number, array: Array) -> ActionCost:
        """One driven cell during one read of `array`, at its mean conductance; latency is the settling of the line.

        Ohmic, V^2 G t, unless a device overrides it; always in proportion to `mean_uS`, so that a sum of conductances
        is all a bill needs to know of the cells.
        """
        energy_fJ = np.asanyarray(array.read_voltage_V) ** 2 * mean_uS * array.read_ns
        return ActionCost(span(1.0) * energy_fJ * PJ_PER_FJ, span(1.0) * array.read_ns)

    @abstractmethod
    def write(self, process: Process) -> ActionCost:
        """One cell written once, verify loops included."""

    @abstractmethod
    def part(self, process: Process) -> PartCost:
        """One cell."""


@spec
class AgeingCell(Cell):
    """A cell whose published ageing, measured near 300 K, may be run at another temperature."""

    temperature_K: float = knob("environment", ROOM_K, ge=200, le=450, doc="temperature at which cells age")
    activation_eV: float | None = knob(
        "environment", None, gt=0, le=5, doc="activation energy of ageing, needed away from 300 K; no source gives one"
    )

    def ageing_s(self, elapsed_s: float) -> float:
        """`elapsed_s` at `temperature_K` as seconds at 300 K that age as much: `exp(Ea / k (1 / 300 K - 1 / T))` times.

        Source: Arrhenius. `InputError` away from 300 K without `activation_eV`.
        """
        if self.temperature_K == ROOM_K or elapsed_s == 0.0:
            return elapsed_s
        if self.activation_eV is None:
            raise InputError(
                f"cell.temperature_K {self.temperature_K:g}: the statistics of this {self.kind} cell hold at "
                f"{ROOM_K:g} K; set activation_eV to age it at another temperature"
            )
        return elapsed_s * math.exp(self.activation_eV / BOLTZMANN_EV_PER_K * (1.0 / ROOM_K - 1.0 / self.temperature_K))
