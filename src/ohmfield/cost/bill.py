"""The bill: energy, time and area by operator and component, with low / mid / high, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ohmfield.quantities import MID, NS_PER_S, Number
from ohmfield.spec import InputError

PJ_PER_MJ = 1e9
NS_PER_MS = 1e6
UM2_PER_MM2 = 1e6
PJ_PER_UW_NS = 1e-3
UW_PER_W = 1e6

Range = tuple[float, float, float]  # low, mid, high


@dataclass(frozen=True)
class Efficiency:
    """TOPS/W with what must be said beside it. One MAC is two operations."""

    tops_per_W: Range
    precision: str
    utilisation: Number  # share of the weight cells that hold a weight in use
    activity: Number  # share of the largest input digit sum that is driven
    boundary: str


@dataclass(frozen=True)
class Row:
    """One line of a bill, mid values: for tables."""

    operator: str
    component: str
    energy_pJ: float
    low_pJ: float
    high_pJ: float
    share: float


@dataclass(frozen=True, eq=False)
class Bill:
    """What one inference costs. Arrays are `[3, designs, ...]`: low, mid, high first; one chip is designs = 1.

    `energy_pJ` includes `leakage` over one interval (row `(idle)`) and `programming`, spread over the inferences that
    one writing serves. The properties speak of the first design.
    """

    name: str
    operators: tuple[str, ...]
    components: tuple[str, ...]
    energy_pJ: Float[np.ndarray, "3 designs operators components"]  # per inference
    latency_ns: Float[np.ndarray, "3 designs operators"]  # that the operator keeps its slowest stage, per inference
    first_ns: Float[np.ndarray, "3 designs operators"]  # of the first item through its stages, one after the other
    stage_ns: Mapping[tuple[str, str], Float[np.ndarray, "3 designs"]]  # that (operator, stage) keeps the stage
    fill_ns: Float[np.ndarray, "3 designs"]  # one inference alone: first in to last out
    interval_ns: Float[np.ndarray, "3 designs"]  # between results when inferences follow each other
    area_um2: Float[np.ndarray, "3 designs components"]
    leakage_uW: Float[np.ndarray, "3 designs"]
    standby_uW: Float[np.ndarray, "3 designs"]  # between inferences, where parts are switched off then
    wake_pJ: Float[np.ndarray, "3 designs"]  # of every inference that starts from standby
    wake_ns: Float[np.ndarray, "3 designs"]
    macs: float
    precision: str
    utilisation: Number
    activity: Number
    boundary: str
    inference: str = "frame"
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(
            (
                f"{self.name}, per {self.inference}: mid (low to high)",
                f"  energy    {_words(self.energy_mJ)} mJ",
                f"  latency   {_words(self.latency_ms)} ms",
                f"  rate      {_words(self.frames_per_s)} {self.inference}s/s",
                f"  area      {_words(self.area_mm2)} mm2" if self.area_um2.any() else "  area      not known",
                f"  precision {self.precision}",
                f"  boundary  {self.boundary}",
            )
        )

    @property
    def energy_mJ(self) -> Range:
        """Energy of one inference at full rate, leakage and programming included."""
        return _range(self.energy_pJ.sum(axis=(2, 3)) / PJ_PER_MJ)

    @property
    def dynamic_mJ(self) -> Range:
        """Energy of one inference without leakage."""
        return _range(self._dynamic_pJ() / PJ_PER_MJ)

    @property
    def latency_ms(self) -> Range:
        """One inference alone, first in to last out."""
        return _range(self.fill_ns / NS_PER_MS)

    @property
    def frames_per_s(self) -> Range:
        """Inferences per second, one after the other: low rate first."""
        low, mid, high = _range(self.interval_ns)
        return NS_PER_S / high, NS_PER_S / mid, NS_PER_S / low

    @property
    def area_mm2(self) -> Range:
        """Area of all parts."""
        return _range(self.area_um2.sum(axis=2) / UM2_PER_MM2)

    @property
    def tops_per_W(self) -> Efficiency:
        """Operations per energy, and what qualifies it."""
        low, mid, high = (2.0 * self.macs / (energy * PJ_PER_MJ) for energy in self.energy_mJ)
        return Efficiency((high, mid, low), self.precision, self.utilisation, self.activity, self.boundary)

    def power_at(self, fps: float) -> Range:
        """Watts at `fps` inferences per second: dynamic energy x rate + leakage. `InputError` above the top rate.

        A chip with power domains goes to standby in between, where waking costs less than that saves. It leaks in full
        while it wakes.
        """
        leaking_uW = self.leakage_uW - np.maximum(0.0, self._saved_uW(fps))
        return _range(self._dynamic_pJ() * 1e-12 * fps + leaking_uW / UW_PER_W)

    def latency_at(self, fps: float) -> Range:
        """Milliseconds from first in to last out at `fps` inferences per second: from standby, waking comes first."""
        asleep = self._saved_uW(fps)[MID] > 0.0  # a chip does one thing, whatever the range of its leakage
        return _range((self.fill_ns + np.where(asleep, self.wake_ns, 0.0)) / NS_PER_MS)

    def battery_hours(self, battery_Wh: float, fps: float) -> Range:
        """How long a battery lasts at `fps` inferences per second: the shortest time first."""
        if not 0.0 < battery_Wh < math.inf:
            raise InputError(f"a battery of {battery_Wh:g} Wh is not possible; give more than 0")
        low, mid, high = self.power_at(fps)
        return battery_Wh / high, battery_Wh / mid, battery_Wh / low

    def by_component(self) -> dict[str, Range]:
        """mJ per inference of each component that spends any."""
        totals = self.energy_pJ.sum(axis=2) / PJ_PER_MJ
        return {name: _range(totals[..., i]) for i, name in enumerate(self.components) if totals[MID, 0, i] > 0.0}

    def by_operator(self) -> dict[str, Range]:
        """mJ per inference of each operator."""
        totals = self.energy_pJ.sum(axis=3) / PJ_PER_MJ
        return {name: _range(totals[..., i]) for i, name in enumerate(self.operators)}

    def rows(self) -> Iterator[Row]:
        """One row for each operator and component that spends energy, in order."""
        total = float(self.energy_pJ[MID, 0].sum())
        for i, operator in enumerate(self.operators):
            for j, component in enumerate(self.components):
                low, mid, high = _range(self.energy_pJ[..., i, j])
                if high > 0.0:
                    yield Row(operator, component, mid, low, high, mid / total)

    def _saved_uW(self, fps: float) -> np.ndarray:
        """What standby between inferences saves, `[3, designs]`: below zero where it costs more or is over too soon."""
        top = self.frames_per_s[1]
        if not 0.0 <= fps <= top * (1 + 1e-9):
            raise InputError(f"{fps:g} {self.inference}s/s is not within 0 .. {top:g}, what this chip reaches")
        awake = np.minimum(1.0, fps * (self.interval_ns + self.wake_ns) / NS_PER_S)
        return (self.leakage_uW - self.standby_uW) * (1.0 - awake) - self.wake_pJ * fps * 1e-6

    def _dynamic_pJ(self) -> np.ndarray:
        leakage = self.components.index("leakage")
        return self.energy_pJ.sum(axis=(2, 3)) - self.energy_pJ[..., leakage].sum(axis=2)


def _range(values: np.ndarray) -> Range:
    """Low, mid, high of the first design."""
    low, mid, high = (float(value) for value in values[:, 0])
    return low, mid, high


def _words(values: Range) -> str:
    low, mid, high = values
    return f"{mid:.3g} ({low:.3g} to {high:.3g})"


def leakage_pJ(leakage_uW: np.ndarray, time_ns: np.ndarray) -> np.ndarray:
    """Energy of leakage over a time.

    >>> leakage_pJ(np.array([2.0]), np.array([1e6]))  # 2 uW for 1 ms
    array([2000.])
    """
    return leakage_uW * (time_ns * PJ_PER_UW_NS)
