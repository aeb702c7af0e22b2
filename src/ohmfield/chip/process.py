"""The process a chip is made in and the point it runs at: node, supply, clock, leakage."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from ohmfield.chip import scaling
from ohmfield.chip.anchors import Spanned
from ohmfield.quantities import Number, PartCost, Span, span, uniform
from ohmfield.spec import InputError, knob, spec

# Idle logic and arrays in a low-power process. CACTI's 22 nm 1 MB array: 138 uW on 0.778 mm2; a high-performance
# process leaks an order more. Taken for logic too, for want of a source (assumed).
LEAKAGE_UW_PER_MM2 = Spanned("leakage per area", span(177.0, 60.0, 1770.0))
UM2_PER_MM2 = 1e6
NM_PER_UM = 1e3


@spec
class OperatingPoint:
    """Supply, clock and leakage that go together, as a macro was measured at or a chip switches between."""

    supply_V: float = knob("cost", gt=0.2, le=2.5, doc="digital supply")
    clock_GHz: float = knob("cost", gt=0, le=5, doc="digital clock")
    leakage: float = knob("cost", 1.0, gt=0, le=100, doc="of what leaks, over what its area would at that supply")


@spec
class Process:
    """Node and operating point; every cost leaf scales its sourced constants to it."""

    node_nm: float = knob("cost", ge=2, le=180, doc="technology node")
    supply_V: float = knob("cost", gt=0.2, le=2.5, doc="digital supply")
    clock_GHz: float = knob("cost", gt=0, le=5, doc="digital clock")
    leakage: float = knob("cost", 1.0, gt=0, le=100, doc="of what leaks, over what its area would at that supply")
    points: dict[str, OperatingPoint] = knob("label", {}, doc="named points; `at` gives the process at one of them")
    extrapolate: bool = knob("label", False, doc="allow nodes outside 5 to 130 nm; every bill then says so")

    def __post_init__(self) -> None:
        low, high = scaling.SOURCED_NM
        if not self.extrapolate and (uniform(self.node_nm < low) or uniform(self.node_nm > high)):
            raise ValueError(
                f"node {np.ravel(self.node_nm)[0]:g} nm is outside {low:g}..{high:g} nm, where scaling has a source; "
                "set process.extrapolate: true to go on regardless"
            )

    def at(self, point: str) -> Process:
        """This process at one of its `points`.

        >>> low = OperatingPoint(supply_V=0.6, clock_GHz=0.1)
        >>> Process(node_nm=28, supply_V=0.9, clock_GHz=0.5, points={"low": low}).at("low").supply_V
        0.6
        """
        if point not in self.points:
            raise InputError(f"operating point {point!r} is not known; known: {', '.join(self.points) or 'none'}")
        chosen = self.points[point]
        return replace(self, supply_V=chosen.supply_V, clock_GHz=chosen.clock_GHz, leakage=chosen.leakage)

    @property
    def extrapolated(self) -> tuple[str, ...]:
        """What is scaled beyond its source; every bill repeats it. Of many designs, what holds for any."""
        node = np.asanyarray(self.node_nm)
        low, high = scaling.SOURCED_NM
        lines = {
            "below 7 nm the energy of gates ~ sqrt(node) and their area ~ node (a reading of the IRDS)": node < 7.0,
            f"node below {low:g} nm": node < low,
            f"node above {high:g} nm": node > high,
        }
        return tuple(line for line, beyond in lines.items() if np.any(beyond))

    @cached_property
    def cycle_ns(self) -> Span:
        """One clock period, `[3, designs]`."""
        return span(1.0) / np.asanyarray(self.clock_GHz, dtype=np.float64)

    # Factors from 28 nm and 0.9 V to here, looked up once for a process.

    @cached_property
    def _gate_energy(self) -> Number:
        return 1e-3 * scaling.digital_energy(self.node_nm, self.supply_V)

    @cached_property
    def _gate_area(self) -> Number:
        return scaling.digital_area(self.node_nm)

    @cached_property
    def _analog_energy(self) -> Number:
        return 1e-3 * scaling.analog_energy(self.node_nm, self.supply_V)

    @cached_property
    def _analog_area(self) -> Number:
        return scaling.analog_area(self.node_nm)

    @cached_property
    def _delay(self) -> Number:
        return scaling.delay(self.node_nm, self.supply_V)

    def gates_pJ(self, reference_fJ: Span) -> Span:
        """Digital energy given in fJ at 28 nm and 0.9 V, here in pJ."""
        return reference_fJ * self._gate_energy

    def gates_um2(self, reference_um2: Span) -> Span:
        """Digital area given at 28 nm, here."""
        return reference_um2 * self._gate_area

    def analog_pJ(self, reference_fJ: Span) -> Span:
        """Converter or line energy given in fJ at 28 nm and 0.9 V, here in pJ."""
        return reference_fJ * self._analog_energy

    def analog_um2(self, reference_um2: Span) -> Span:
        """Analog area given at 28 nm, here."""
        return reference_um2 * self._analog_area

    def delay_ns(self, reference_ns: Span) -> Span:
        """A delay given at 28 nm and 0.9 V, here."""
        return reference_ns * self._delay

    def squares(self, count: Span) -> PartCost:
        """A part of that many squares of the node name."""
        return self.powered(count * (np.asanyarray(self.node_nm) / NM_PER_UM) ** 2)

    def powered(self, area_um2: Span) -> PartCost:
        """A part of that area, with the leakage of its area (leaks in proportion to the supply)."""
        supply = np.asanyarray(self.supply_V) / scaling.REFERENCE_V
        return PartCost(area_um2, area_um2 / UM2_PER_MM2 * LEAKAGE_UW_PER_MM2.value() * supply * self.leakage)
