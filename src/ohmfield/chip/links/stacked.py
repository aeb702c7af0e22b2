"""Links between the tiers of a stack: through-silicon vias and bonded pads."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from ohmfield.chip.anchors import Spanned
from ohmfield.chip.links.base import Link, beats_ns, swing_pJ
from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, Number, PartCost, Span, span
from ohmfield.spec import knob, spec

# A via of 5 um through 50 um of silicon, with its pad (assumed).
TSV_FF = Spanned("capacitance of a via", span(40.0, 15.0, 100.0))
# Driver, receiver and level shifter of one connection at 28 nm (assumed).
DRIVER_UM2 = Spanned("area of a via's driver", span(4.0, 1.0, 16.0))
DRIVER_FF = Spanned("capacitance of a via's driver", span(2.0, 1.0, 6.0))  # what it switches beside the via (assumed)
# UCIe-3D, port logic included: 0.05 pJ per bit at 9 um, 0.01 at 1 um; a power law between. Bare pads need less: low.
# Das Sharma, IEEE Hot Interconnects 2025, as reported by Converge Digest.
BOND_PJ_AT_1_UM = Spanned("energy of a bond", span(0.01, 0.002, 0.02))
BOND_EXPONENT = float(np.log(5.0) / np.log(9.0))


@spec
class _Stacked(Link):
    """Connections side by side, one bit per clock each."""

    connections: int = knob("cost", 256, ge=1, le=10_000_000, doc="vias or pads that carry bits, one way")
    pitch_um: float = knob("cost", 9.0, gt=0, le=200, doc="from one to the next")

    def transfer(self, process: Process, bits: Number) -> ActionCost:
        return ActionCost(self._bit_pJ(process) * bits, beats_ns(process, bits, self.connections))

    @abstractmethod
    def _bit_pJ(self, process: Process) -> Span: ...

    def _drivers(self, process: Process) -> PartCost:
        return process.powered(process.gates_um2(DRIVER_UM2.value())).times(self.connections)


@spec
class Tsv(_Stacked):
    """Vias through the silicon of a tier: each takes a square of its pitch away from transistors."""

    kind: ClassVar[str] = "tsv"
    pitch_um: float = knob("cost", 10.0, gt=0, le=200, doc="from one via to the next, keep-out included")

    def _bit_pJ(self, process: Process) -> Span:
        return (
            swing_pJ(TSV_FF.value(), process)
            + swing_pJ(DRIVER_FF.value(), process) * np.asanyarray(process.node_nm) / 28.0
        )

    def part(self, process: Process) -> PartCost:
        """Vias and drivers on one tier; vias do not leak."""
        vias_um2 = span(1.0) * np.asanyarray(self.pitch_um) ** 2 * self.connections
        return PartCost(vias_um2) + self._drivers(process)

    @property
    def assumptions(self) -> tuple[str, ...]:
        return ("capacitance of a via (40 fF), its driver and both areas",)


@spec
class HybridBond(_Stacked):
    """Copper pads bonded face to face: they lie above the transistors, so only drivers take area."""

    kind: ClassVar[str] = "hybrid-bond"

    def _bit_pJ(self, process: Process) -> Span:
        return BOND_PJ_AT_1_UM.value() * np.asanyarray(self.pitch_um) ** BOND_EXPONENT

    def part(self, process: Process) -> PartCost:
        """Drivers on one tier."""
        return self._drivers(process)

    @property
    def assumptions(self) -> tuple[str, ...]:
        return ("energy between pitches of 1 and 9 um by a power law, the same at any supply; area of drivers",)
