"""Power gating: parts that are switched off while they have nothing to do."""

from __future__ import annotations

import numpy as np

from ohmfield.chip.anchors import Spanned, seen
from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, Number, PartCost, Span, span, within
from ohmfield.spec import knob, spec

# No source gives these: what is left of the leakage behind a header switch, what its switches take of the area of the
# domain, and the charge of a domain's supply (about 1 nF per mm2 with decoupling).
REMAINING_SHARE = Spanned("leakage left when gated", span(0.05, 0.02, 0.15))
SWITCH_AREA_SHARE = Spanned("area of power switches", span(0.05, 0.02, 0.10))
SUPPLY_NF_PER_MM2 = Spanned("capacitance of a supply", span(1.0, 0.3, 3.0))
# Cells held at a lower voltage keep their bits; about a third of the leakage stays.
RETAINED_SHARE = Spanned("leakage left when retaining", span(0.3, 0.15, 0.5))
UM2_PER_MM2 = 1e6
PJ_PER_NF_V2 = 1e3


@spec
class PowerDomain:
    """Components that are switched off together. `retain` keeps what they store; else it is lost, and written again."""

    components: tuple[str, ...] = knob("cost", min_length=1, doc="components of the bill that are switched off")
    retain: bool = knob("cost", False, doc="held at a lower voltage, so that bits survive: leaks more")
    wake_ns: float = knob("cost", 100.0, ge=0, le=1e9, doc="from off to in use (assumed)")

    assumptions = ("leakage left, area of switches and supply charge of a power domain, and its time to wake",)

    def idle_uW(self, part: PartCost) -> Span:
        """What a part of the domain leaks while it is off."""
        held = np.where(self.retain, RETAINED_SHARE.value(), REMAINING_SHARE.value())
        return part.leakage_uW * held

    def wake(self, process: Process, part: PartCost) -> ActionCost:
        """Charging the supply of a part again: all of it, or what it sank by when its bits were retained."""
        capacitance_nF = SUPPLY_NF_PER_MM2.value() * part.area_um2 / UM2_PER_MM2
        charged = np.where(self.retain, 0.5, 1.0)  # held near half the supply (assumed)
        energy_pJ = capacitance_nF * np.asanyarray(process.supply_V) ** 2 * charged * PJ_PER_NF_V2
        return ActionCost(energy_pJ, seen("time to wake", within(1.0, 3.0)) * np.asanyarray(self.wake_ns))

    def switches(self, part: PartCost) -> PartCost:
        """The header switches of a part: area that is there, gated or not."""
        return PartCost(part.area_um2 * SWITCH_AREA_SHARE.value())

    def leakage_pJ(self, process: Process, part: PartCost, busy_ns: Number, idle_ns: Number) -> Span:
        """Leakage of a part over a time in use and a time off, with one wake: never more than left on.

        Off only where that saves: a gap shorter than `break_even_ns` is sat out.
        """
        on = part.leakage_uW * np.asanyarray(idle_ns) * 1e-3
        off = self.idle_uW(part) * np.asanyarray(idle_ns) * 1e-3 + self.wake(process, part).energy_pJ
        return part.leakage_uW * np.asanyarray(busy_ns) * 1e-3 + np.minimum(on, off)

    def break_even_ns(self, process: Process, part: PartCost) -> Span:
        """Shortest idle time that is worth switching off for."""
        saved_uW = part.leakage_uW - self.idle_uW(part)
        return self.wake(process, part).energy_pJ / (saved_uW * 1e-3)
