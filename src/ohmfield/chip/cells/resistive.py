"""What cells written to a normal error have in common: RRAM and FeFET. Not a device by itself."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ohmfield.chip.array import Array
from ohmfield.chip.cells.base import Cell
from ohmfield.chip.cells.verify import Verify
from ohmfield.chip.process import Process
from ohmfield.numerics import Noise
from ohmfield.quantities import ActionCost, Number, uniform
from ohmfield.spec import knob, spec

LEAST_FRACTION = 1e-4
READ_FRACTION = 0.002  # read noise at which a read costs V^2 G t


@spec
class Telegraph:
    """Random telegraph noise: a trap moves some cells between two levels, too slowly to average out within a run."""

    share: float = knob("environment", 0.1, ge=0, le=1, doc="cells that have such a trap")
    amplitude: float = knob("environment", 0.05, ge=0, le=2, doc="distance of the two levels, of the conductance")
    duty: float = knob("environment", 0.5, ge=0, le=1, doc="share of its time that a cell spends at the upper level")

    def __post_init__(self) -> None:
        if uniform(self.amplitude * self.duty > 1.0):
            raise ValueError(
                f"amplitude {self.amplitude} times duty {self.duty} puts the lower level below zero conductance: "
                "use a product of at most 1"
            )

    def switch(self, aged_uS: Tensor, noise: Noise, epoch: float) -> Tensor:
        """Conductances in the states of one run; the mean over time of each cell is `aged_uS`."""
        shape = tuple(aged_uS.shape)
        trapped = noise.at("trap").uniform(shape) < self.share
        up = noise.at("state", epoch).uniform(shape) < self.duty
        shift = self.amplitude * torch.where(up, 1.0 - self.duty, -self.duty).to(aged_uS.dtype)
        return torch.where(trapped, aged_uS * (1.0 + shift), aged_uS)


@spec
class ResistiveCell(Cell):
    """Programming error normal with a named base, never below zero; read noise of every read; ohmic."""

    program_fraction: float = knob("both", 0.02, ge=0, le=1, doc="sd of the programming error as a fraction")
    fraction_of: Literal["range", "target", "g_max"] = knob("both", "range", doc="what that fraction is taken of")
    verify: Verify | None = knob("both", None, doc="write again until within a tolerance; default: one write")
    read_fraction: float = knob(
        "both", READ_FRACTION, ge=0, le=1, doc="sd of one read, of the stored conductance; less costs read energy"
    )
    telegraph: Telegraph | None = knob("environment", None, doc="telegraph noise, frozen over a run; default: none")

    def program_std_uS(self, target_uS: Tensor) -> Tensor:
        """Standard deviation of one write around its target."""
        base = {
            "range": torch.full_like(target_uS, self.g_max_uS - self.g_min_uS),
            "target": target_uS,
            "g_max": torch.full_like(target_uS, self.g_max_uS),
        }[self.fraction_of]
        return self.program_fraction * base

    def program(self, target_uS: Tensor, noise: Noise) -> Tensor:
        return self.written(target_uS, noise)[0]

    def written(self, target_uS: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Stored conductances, and how often each cell was written (int64)."""
        std = self.program_std_uS(target_uS)

        def attempt(stream: Noise) -> Tensor:
            # Clamping at zero lifts zero cells by 0.4 sigma on average; pairs cancel it, offset mapping does not.
            return (target_uS + std * stream.normal(tuple(target_uS.shape)).to(target_uS.dtype)).clamp_min(0.0)

        if self.verify is None:
            return attempt(noise), torch.ones_like(target_uS, dtype=torch.int64)
        return self.verify.run(attempt, target_uS, self.g_max_uS - self.g_min_uS, noise)

    def read_std_uS(self, stored_uS: Tensor, aged_uS: Tensor, elapsed_s: float, array: Array) -> Tensor:
        return self.read_fraction * aged_uS

    def switch(self, aged_uS: Tensor, noise: Noise, epoch: float) -> Tensor:
        return aged_uS if self.telegraph is None else self.telegraph.switch(aged_uS, noise, epoch)

    def spread(self) -> Number:
        """sd of one write of a cell at mid range, of the range."""
        span_uS = self.g_max_uS - np.asanyarray(self.g_min_uS)
        of_range = {"range": 1.0, "target": 0.5 * (self.g_max_uS + self.g_min_uS) / span_uS}
        return self.program_fraction * of_range.get(self.fraction_of, self.g_max_uS / span_uS)

    def attempts(self) -> Number:
        """Mean writes of a cell until it is verified."""
        return 1.0 if self.verify is None else self.verify.attempts(self.spread())

    def effort(self) -> Number:
        """Energy of one read over V^2 G t: `(0.002 / read_fraction)^2`.

        White noise averages with what is integrated, so half the noise takes four times the energy. The law and its
        reference are assumed. Below 1e-4, a noise of 0 included, a read costs as at 1e-4.
        """
        return (READ_FRACTION / np.maximum(self.read_fraction, LEAST_FRACTION)) ** 2

    def read(self, process: Process, mean_uS: Number, array: Array) -> ActionCost:
        """Ohmic, V^2 G t, times the effort of its noise. Limit case: half the voltage, a quarter of the energy."""
        plain = super().read(process, mean_uS, array)
        return ActionCost(plain.energy_pJ * self.effort(), plain.latency_ns)
