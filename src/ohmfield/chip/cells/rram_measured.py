"""RRAM with published array statistics: error by state after write-verify, relaxation, read noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor

from ohmfield.chip.array import Array
from ohmfield.chip.cells.base import AgeingCell, Correlation
from ohmfield.chip.cells.fits import between, polynomial
from ohmfield.chip.cells.rram import VERIFY_FRACTION, WRITE_NS, WRITE_V, cell_part, pulse
from ohmfield.chip.process import Process
from ohmfield.numerics import Noise
from ohmfield.quantities import ActionCost, Number, PartCost, uniform
from ohmfield.spec import InputError, knob, spec

DAY_S = 86400.0
LOOPS = 4.0  # mean pulses for an error of 2 % of the range, as for `rram`
RELAXED_PULSES = 10.0  # where relaxation, not the tolerance, sets the error


@dataclass(frozen=True)
class Statistics:
    """One published characterisation; polynomials lowest power first, of conductance in `unit_uS`."""

    source: str
    smallest_uS: float
    largest_uS: float
    unit_uS: float
    program_uS: tuple[float, ...]
    read_fraction: float = 0.0  # of the conductance, every read anew
    # Spread around the target at later times in s since programming, measured from 1 s on; nothing is known after.
    later_uS: tuple[tuple[float, tuple[float, ...]], ...] = ()
    relaxes: bool = False  # mean and spread grow with the logarithm of time instead
    pulses: float | None = None  # of write-verify; None: inverse to the error


_FALCONE = "CMO/HfOx, Falcone (IBM Research Zurich), coefficients as in aihwkit, acceptance window of"
MODELS: dict[str, Statistics] = {
    "neurram": Statistics(
        "NeuRRAM, 130 nm (Wan, Nature 2022), quartics of the published figure as in aihwkit; read noise about 1 %",
        smallest_uS=0.0,
        largest_uS=40.0,
        unit_uS=40.0,
        program_uS=(0.348, 16.030, -43.853, 45.393, -16.815),
        read_fraction=0.01,
        later_uS=(
            (DAY_S, (0.701, 22.086, -50.773, 47.095, -16.458)),
            (2 * DAY_S, (0.782, 20.274, -43.507, 37.062, -11.934)),
        ),
        pulses=RELAXED_PULSES,
    ),
    "cmo-2": Statistics(f"{_FALCONE} 2 %", 9.0, 88.2, 1.0, (0.0112185391, 0.01129027418), relaxes=True),
    "cmo-0.2": Statistics(f"{_FALCONE} 0.2 %", 9.0, 88.2, 1.0, (0.00081107, 0.00106879), relaxes=True),
    "milo": Statistics(
        "Milo, IRPS 2021, IGVVA-100, line through Fig 4 as in CrossSim; neither retention nor read noise published",
        smallest_uS=50.0,
        largest_uS=225.0,
        unit_uS=1.0,
        program_uS=(4.782321, -0.009107),
    ),
}
"""What `model` names."""
# CMO/HfOx: shift of the mean per ln(s), spread a + b ln(s), 1/f noise K log10(G) sqrt(ln((t + t_r) / (2 t_r))).
RELAX_MEAN_uS = -0.08900206
RELAX_STD_uS = (0.41183342, 0.04201137)
READ_K_uS, READ_S = 0.0277316483, 1e-6


@spec
class MeasuredRramCell(AgeingCell):
    """1T1R cell as one of three arrays was measured, after the write-verify of its authors.

    `neurram` holds to two days; `cmo` relaxes with the logarithm of time; `milo` gives neither ageing nor read noise.
    """

    kind: ClassVar[str] = "rram-measured"
    assumptions: ClassVar[tuple[str, ...]] = (
        f"write by a {WRITE_V.source} of {WRITE_NS.source}",
        f"write pulses: {RELAXED_PULSES:g} for neurram, else {LOOPS:g} at an error of {VERIFY_FRACTION:g} of the range "
        "and inversely with it",
    )
    max_bits: ClassVar[int] = 4
    g_max_uS: float = knob("both", 40.0, gt=0, doc="conductance of the highest level; sets signal and read energy")
    model: Literal["neurram", "cmo-2", "cmo-0.2", "milo"] = knob("both", "neurram", doc="which measured array")

    def __post_init__(self) -> None:
        super().__post_init__()
        known = self._statistics
        if uniform(self.g_min_uS < known.smallest_uS) or uniform(self.g_max_uS > known.largest_uS):
            raise ValueError(
                f"g_min_uS {self.g_min_uS} to g_max_uS {self.g_max_uS}: model {self.model} was measured from "
                f"{known.smallest_uS} to {known.largest_uS}"
            )

    @property
    def _statistics(self) -> Statistics:
        return MODELS[self.model]

    @property
    def noise_correlation(self) -> Correlation:
        return "frozen" if self._statistics.relaxes else "conversion"

    def program_std_uS(self, target_uS: Tensor) -> Tensor:
        """Standard deviation of the stored conductance around its target, at the first read."""
        known = self._statistics
        return polynomial(target_uS / known.unit_uS, known.program_uS).clamp_min(0.0)

    def program(self, target_uS: Tensor, noise: Noise) -> Tensor:
        drawn = noise.normal(tuple(target_uS.shape)).to(target_uS.dtype)
        return (target_uS + self.program_std_uS(target_uS) * drawn).clamp_min(0.0)

    def age(self, stored_uS: Tensor, target_uS: Tensor, elapsed_s: float, noise: Noise) -> Tensor:
        known = self._statistics
        if elapsed_s == 0.0 or not (known.later_uS or known.relaxes):
            return stored_uS
        since_s = 1.0 + self.ageing_s(elapsed_s)  # from programming, the first read at 1 s
        drawn = noise.normal(tuple(stored_uS.shape)).to(stored_uS.dtype)
        if known.relaxes:
            steps = math.log(since_s)
            moved = RELAX_MEAN_uS * steps + (RELAX_STD_uS[0] + RELAX_STD_uS[1] * steps) * drawn
            return (stored_uS + moved).clamp(known.smallest_uS, known.largest_uS)
        last_s = known.later_uS[-1][0]
        if since_s > last_s + 1.0:
            raise InputError(
                f"elapsed_s {elapsed_s:g}: the {self.model} array was measured for {last_s / DAY_S:g} days "
                f"({last_s:g} s at 300 K); take an earlier time or another model"
            )
        # The part of the spread that was not there at first, by its variance; between measurements in log time.
        first = self.program_std_uS(target_uS)
        times = (1.0, *(time for time, _ in known.later_uS))
        spreads = [first, *(polynomial(target_uS / known.unit_uS, fit).clamp_min(0.0) for _, fit in known.later_uS)]
        now = between(math.log(since_s), [math.log(time) for time in times], spreads)
        return (stored_uS + (now.square() - first.square()).clamp_min(0.0).sqrt() * drawn).clamp_min(0.0)

    def read_std_uS(self, stored_uS: Tensor, aged_uS: Tensor, elapsed_s: float, array: Array) -> Tensor:
        if not self._statistics.relaxes:
            return self._statistics.read_fraction * aged_uS
        gathered = math.log((1.0 + elapsed_s + READ_S) / (2.0 * READ_S))
        return READ_K_uS * aged_uS.clamp_min(1.0).log10() * math.sqrt(gathered)

    def pulses(self) -> Number:
        """Mean write pulses of a cell, by the error at mid range."""
        known = self._statistics
        if known.pulses is not None:
            return known.pulses
        middle = 0.5 * (np.asanyarray(self.g_min_uS) + self.g_max_uS) / known.unit_uS
        spread = np.polynomial.polynomial.polyval(middle, known.program_uS)
        return LOOPS * VERIFY_FRACTION * (self.g_max_uS - np.asanyarray(self.g_min_uS)) / spread

    def write(self, process: Process) -> ActionCost:
        return pulse(self.g_max_uS, self.pulses())

    def part(self, process: Process) -> PartCost:
        return cell_part(process)
