"""Links across a chip: a bus, a tree to all units, a mesh of routers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ohmfield.chip.anchors import Anchored, Spanned, gate_area, gate_energy
from ohmfield.chip.links.base import WIRE_FF_PER_UM, Link, beats_ns, swing_pJ
from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, Number, PartCost, Span, within
from ohmfield.spec import knob, spec

ROUTER_FJ = Anchored(
    "router energy per bit", (gate_energy(20.74e3 / 256, 32, 0.9, "ISAAC design: 20.74 pJ per 256-bit flit, 32 nm"),)
)
# 0.15 mm2 for one router of 256 bits, which four tiles share.
ROUTER_UM2 = Anchored(
    "router area per bit", (gate_area(150000.0 / 256, 32, "ISAAC design: 0.15 mm2 per 256-bit router, 32 nm"),)
)
WIRE_UM2 = Anchored("bus area per wire", (gate_area(29.3, 32, "ISAAC design: tile bus, 29.3 um2 per wire, 32 nm"),))
# Its 0.054 pJ per bit at 0.9 V is a wire of that length by `WIRE_FF_PER_UM`: what a wire's area is counted for.
ISAAC_BUS_MM = 54.0 / (0.2e3 * 0.25 * 0.81)
ROUTER_CYCLES = Spanned("cycles of a router", within(3.0, 2.0))  # assumed
UM_PER_MM = 1e3


@spec
class Bus(Link):
    """Parallel wires from end to end; every bit charges the whole length."""

    kind: ClassVar[str] = "bus"
    width_bits: int = knob("cost", 256, ge=1, le=65536, doc="wires, and bits per clock")
    length_mm: float = knob("cost", 1.0, gt=0, le=100, doc="from end to end")

    def transfer(self, process: Process, bits: Number) -> ActionCost:
        return ActionCost(_wire_pJ(process, self.length_mm) * bits, beats_ns(process, bits, self.width_bits))

    def part(self, process: Process) -> PartCost:
        return _wires(process, self.width_bits, self.length_mm)


@spec
class HTree(Link):
    """A tree from one root to `leaves` units on a square; a bit charges the path to one of them, not the others."""

    kind: ClassVar[str] = "h-tree"
    width_bits: int = knob("cost", 256, ge=1, le=65536, doc="wires of every branch, and bits per clock")
    leaves: int = knob("cost", 16, ge=2, le=1_000_000, doc="units it reaches")
    side_mm: float = knob("cost", 1.0, gt=0, le=100, doc="side of the square")

    @property
    def path_mm(self) -> Number:
        """From root to leaf: half a side, then a quarter each way, ... : `side (1 - 1 / sqrt(leaves))`."""
        return np.asanyarray(self.side_mm) * (1.0 - 1.0 / np.sqrt(self.leaves))

    @property
    def wire_mm(self) -> Number:
        """All branches: each halving of the square doubles their number and, every second time, halves their length."""
        return np.asanyarray(self.side_mm) * 1.5 * (np.sqrt(self.leaves) - 1.0)

    def transfer(self, process: Process, bits: Number) -> ActionCost:
        return ActionCost(_wire_pJ(process, self.path_mm) * bits, beats_ns(process, bits, self.width_bits))

    def part(self, process: Process) -> PartCost:
        return _wires(process, self.width_bits, self.wire_mm)

    @property
    def assumptions(self) -> tuple[str, ...]:
        return ("branches of a tree that lead elsewhere do not switch",)


@spec
class Mesh(Link):
    """Routers on a square grid, wires between neighbours; a bit pays a router and a wire per hop."""

    kind: ClassVar[str] = "mesh"
    width_bits: int = knob("cost", 256, ge=1, le=65536, doc="bits of a flit, one per clock")
    routers: int = knob("cost", 16, ge=1, le=1_000_000, doc="routers on the chip")
    hop_mm: float = knob("cost", 1.0, gt=0, le=100, doc="between neighbours")
    hops: float | None = knob("cost", None, ge=0, le=10_000, doc="of one message; default: between any two, on average")

    def num_hops(self) -> Number:
        """As given, or the mean distance of two routers drawn at random: `2/3 (k - 1/k)` on a k x k grid."""
        side = np.sqrt(self.routers)
        return 2.0 / 3.0 * (side - 1.0 / side) if self.hops is None else np.asanyarray(self.hops)

    def transfer(self, process: Process, bits: Number) -> ActionCost:
        """The last router hands the bits on, so there is one more of them than hops."""
        hops = self.num_hops()
        hop_pJ = process.gates_pJ(ROUTER_FJ.value()) * (hops + 1.0) + _wire_pJ(process, self.hop_mm) * hops
        waits_ns = process.cycle_ns * ROUTER_CYCLES.value() * (hops + 1.0)
        return ActionCost(hop_pJ * bits, waits_ns + beats_ns(process, bits, self.width_bits))

    def part(self, process: Process) -> PartCost:
        """Routers, and wires both ways between neighbours."""
        routers = process.powered(process.gates_um2(ROUTER_UM2.value() * self.width_bits)).times(self.routers)
        side = np.sqrt(self.routers)
        return routers + _wires(process, self.width_bits, self.hop_mm).times(4.0 * side * (side - 1.0))

    @property
    def assumptions(self) -> tuple[str, ...]:
        return ("three clocks per router, no waiting for other messages",)


def _wire_pJ(process: Process, length_mm: Number) -> Span:
    return swing_pJ(WIRE_FF_PER_UM.value() * np.asanyarray(length_mm) * UM_PER_MM, process)


def _wires(process: Process, width_bits: Number, length_mm: Number) -> PartCost:
    """Area that the drivers and repeaters of a bus take, by the length and width of ISAAC's."""
    lengths = np.asanyarray(length_mm) / ISAAC_BUS_MM
    return process.powered(process.gates_um2(WIRE_UM2.value() * width_bits * lengths))
