"""Write-verify as a procedure: written again until within a tolerance, which truncates the error and costs writes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ohmfield.numerics import Noise
from ohmfield.quantities import Number
from ohmfield.spec import knob, spec

LEAST_SPREAD = 1e-12
LEAST_SHARE = 1e-300  # of attempts: below it none passes
_erf = np.vectorize(math.erf, otypes=[np.float64])


@spec
class Verify:
    """A cell that reads further than `tolerance` from its target is written again, each time with a new error.

    Verifying reads are taken as exact, and an attempt as independent of the one before it: no slow cells.
    """

    tolerance: float = knob("both", 0.01, gt=0, le=1, doc="largest accepted error, of the conductance range")
    max_iterations: int = knob("both", 10, ge=1, le=1000, doc="attempts after which a cell stays as it is")

    def run(
        self, attempt: Callable[[Noise], Tensor], target_uS: Tensor, range_uS: float, noise: Noise
    ) -> tuple[Tensor, Tensor]:
        """Stored conductances and how often each cell was written (int64)."""
        stored = attempt(noise)
        writes = torch.ones_like(target_uS, dtype=torch.int64)
        for again in range(1, self.max_iterations):
            missed = (stored - target_uS).abs() > self.tolerance * range_uS
            if not bool(missed.any()):
                break
            stored = torch.where(missed, attempt(noise.at("attempt", again)), stored)
            writes += missed
        return stored, writes

    def accepted(self, spread: Number) -> Number:
        """Share of attempts within the tolerance, for normal errors of sd `spread` (of the range)."""
        return _erf(np.asanyarray(self.tolerance) / np.maximum(spread, LEAST_SPREAD) / math.sqrt(2.0))

    def attempts(self, spread: Number) -> Number:
        """Mean writes of a cell: a geometric distribution cut off at `max_iterations`.

        >>> round(float(Verify(tolerance=0.01, max_iterations=1000).attempts(0.01)), 4)
        1.4648
        """
        accepted, most = self.accepted(spread), np.asanyarray(self.max_iterations)
        with np.errstate(divide="ignore"):  # of an attempt that always passes
            made = -np.expm1(most * np.log1p(-accepted)) / np.maximum(accepted, LEAST_SHARE)
        return np.where(accepted < LEAST_SHARE, most, made)

    def residual(self, spread: float) -> float:
        """sd of what is left, of the range: truncated normal for cells that passed, the tails for those given up."""
        ratio = self.tolerance / spread
        share = float(self.accepted(spread))
        density = math.exp(-0.5 * ratio**2) / math.sqrt(2.0 * math.pi)
        inside = spread**2 * (1.0 - 2.0 * ratio * density / share)
        failed = (1.0 - share) ** self.max_iterations
        outside = (spread**2 - share * inside) / (1.0 - share) if share < 1.0 else 0.0
        return math.sqrt((1.0 - failed) * inside + failed * outside)
