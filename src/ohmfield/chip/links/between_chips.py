"""Links from chip to chip, by the port they leave through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ohmfield.chip.anchors import seen
from ohmfield.chip.links.base import Link
from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, Number, PartCost, Span, span, within
from ohmfield.spec import knob, spec

PortName = Literal["isaac", "pcie5-x16", "nvlink-c2c", "ucie-2d", "ucie-2.5d"]
_UM2_PER_MM2 = 1e6
_BITS_PER_BYTE = 8.0


@dataclass(frozen=True)
class _Port:
    """One direction. Both ends together draw `pJ_per_bit`; the area is that of one end."""

    pJ_per_bit: Span
    bandwidth_GBps: float
    latency_ns: Span
    area_mm2: Span
    source: str
    assumed: str


_C2C = "besthub.dev on NVLink-C2C, 2024: 1.3 against 5.5 pJ per bit, 552 against 169 Gb/s per mm2"
_UCIE = "Das Sharma, IEEE Hot Interconnects 2025, as reported by Converge Digest"
# Ports of 1 mm of edge for UCIe, 1 mm deep (assumed): 224 GB/s per mm on a substrate, 1300 GB/s on silicon.
PORTS: dict[str, _Port] = {
    "isaac": _Port(
        # four HyperTransport links of 6.4 GB/s; hwcomponents-library has 26 pJ per 128 bits, ISAAC's 10.4 W over 25.6
        # GB/s is 51 pJ per bit: the high end
        span(0.203, 0.15, 51.0),
        25.6,
        span(50.0, 10.0, 200.0),
        within(22.9, 1.25),
        "ISAAC, ISCA 2016",
        "latency",
    ),
    "pcie5-x16": _Port(
        within(5.5, 1.5), 64.0, span(500.0, 100.0, 3000.0), within(128 * 8 / 169.0, 1.5), _C2C, "latency (a SerDes)"
    ),
    "nvlink-c2c": _Port(
        within(1.3, 1.25), 450.0, span(5.0, 5.0, 200.0), within(900 * 8 / 552.0, 1.5), _C2C, "spread of the latency"
    ),
    "ucie-2d": _Port(span(0.5, 0.4, 0.75), 112.0, span(2.0, 1.0, 10.0), within(1.0, 2.0), _UCIE, "depth of the port"),
    "ucie-2.5d": _Port(span(0.25, 0.2, 0.4), 650.0, span(2.0, 1.0, 10.0), within(1.0, 2.0), _UCIE, "depth of the port"),
}


@spec
class ChipLink(Link):
    """Ports side by side to another chip, bought as they are: node and supply of this chip do not move them."""

    kind: ClassVar[str] = "chip-to-chip"
    port: PortName = knob("cost", "ucie-2d", doc="whose energy, bandwidth, latency and area stand")
    ports: int = knob("cost", 1, ge=1, le=1024, doc="side by side")

    def transfer(self, process: Process, bits: Number) -> ActionCost:
        port, many = PORTS[self.port], np.asanyarray(self.ports)
        moving_ns = np.asanyarray(bits) / _BITS_PER_BYTE / (port.bandwidth_GBps * many)
        return ActionCost(
            seen(f"{self.port} energy per bit", port.pJ_per_bit) * bits,
            seen(f"{self.port} latency", port.latency_ns) + moving_ns,
        )

    def part(self, process: Process) -> PartCost:
        return process.powered(seen(f"{self.port} area", PORTS[self.port].area_mm2) * _UM2_PER_MM2).times(self.ports)

    @property
    def assumptions(self) -> tuple[str, ...]:
        return (f"of {self.port}: {PORTS[self.port].assumed}; leaks as its area",)
