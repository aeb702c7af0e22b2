"""DRAM beside the chip, by standard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ohmfield.chip.anchors import seen
from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, Number, PartCost, Span, span, within
from ohmfield.spec import knob, spec

Standard = Literal["lpddr", "lpddr4", "lpddr5", "ddr3", "ddr4", "ddr5", "hbm2", "hbm3", "hbm3e", "hbm4"]
UW_PER_MW = 1e3
_SPREAD = within(1.0, 1.5)


@dataclass(frozen=True)
class _Figures:
    """One channel of 64 bits, or one stack. `assumed` names what `source` does not give."""

    pJ_per_bit: Span
    bandwidth_GBps: float
    burst_bits: int
    idle_mW: Span
    source: str
    assumed: str


_HWC = "hwcomponents-cacti"
_IDLE = "idle and refresh power"
_DIMM_MW = span(400.0, 150.0, 1000.0)
# Bandwidth: 64 bits at the standard's transfer rate (3200 to 6400 MT/s), or that of a stack (Patsnap Eureka, HBM4
# energy metrics, 2025, which has 7 to 9 pJ per bit for HBM3E and 5 to 6 for HBM4: the high ends here).
# Bursts: beats x width of the narrowest channel, by the standards.
STANDARDS: dict[str, _Figures] = {
    "lpddr": _Figures(40.0 * _SPREAD, 6.4, 64, span(20.0, 5.0, 60.0), f"Malladi, ISCA 2012, in {_HWC}", _IDLE),
    "lpddr4": _Figures(
        # ZigZag's IMC examples take 11 pJ per bit, within the spread
        8.0 * _SPREAD,
        25.6,
        256,
        span(15.0, 4.0, 60.0),
        f"{_HWC}; ZigZag-IMC",
        _IDLE,
    ),
    "lpddr5": _Figures(
        span(4.0, 2.5, 8.0),
        51.2,
        256,
        span(15.0, 4.0, 60.0),
        "Jetson AGX Orin: 204.8 GB/s of 256 bits",
        f"pJ per bit, {_IDLE}",
    ),
    "ddr3": _Figures(70.0 * _SPREAD, 12.8, 512, _DIMM_MW, f"Chatterjee, MICRO 2017, in {_HWC}", _IDLE),
    "ddr4": _Figures(span(20.0, 10.0, 40.0), 25.6, 512, _DIMM_MW, "JEDEC, 3200 MT/s", f"pJ per bit, {_IDLE}"),
    "ddr5": _Figures(span(15.0, 8.0, 30.0), 38.4, 512, _DIMM_MW, "JEDEC, 4800 MT/s", f"pJ per bit, {_IDLE}"),
    "hbm2": _Figures(6.25 * _SPREAD, 256.0, 256, span(1500.0, 500.0, 4000.0), f"{_HWC}; 256 GB/s a stack", _IDLE),
    "hbm3": _Figures(4.05 * _SPREAD, 819.0, 256, span(2000.0, 700.0, 5000.0), f"{_HWC}; 819 GB/s a stack", _IDLE),
    "hbm3e": _Figures(
        # mid: the energy of HBM3
        span(4.05, 2.7, 9.0),
        1200.0,
        256,
        span(2000.0, 700.0, 5000.0),
        f"{_HWC} for HBM3; 1.2 TB/s a stack",
        _IDLE,
    ),
    "hbm4": _Figures(
        span(3.2, 2.1, 6.0), 2000.0, 256, span(2500.0, 800.0, 6000.0), f"{_HWC}: announced, not measured", _IDLE
    ),
}


@spec
class Dram:
    """Off-chip memory. What is not given follows from the standard; a figure that is given has no wider spread."""

    standard: Standard = knob("cost", "lpddr4", doc="whose energy, bandwidth, burst and idle power stand by default")
    channels: int = knob("cost", 1, ge=1, le=64, doc="channels of 64 bits, or stacks, side by side")
    pJ_per_bit: float | None = knob("cost", None, gt=0, doc="energy of one bit moved; default: the standard's")
    bandwidth_GBps: float | None = knob("cost", None, gt=0, doc="of one channel, sustained; default: the standard's")
    burst_bits: int | None = knob("cost", None, ge=1, le=65536, doc="least moved at once; default: the standard's")
    idle_mW: float | None = knob("cost", None, ge=0, doc="of one channel, with refresh; default: the standard's")

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What no source gives of the figures in use; every bill repeats it."""
        given = self.pJ_per_bit is not None and self.idle_mW is not None
        return () if given else (f"of {self.standard}: {STANDARDS[self.standard].assumed}",)

    def transfer(self, bits: Number) -> ActionCost:
        """Moving that many bits that lie together, in whole bursts."""
        figures = STANDARDS[self.standard]
        each_pJ = figures.pJ_per_bit if self.pJ_per_bit is None else _SPREAD * self.pJ_per_bit
        each_pJ = seen("DRAM energy per bit", each_pJ)
        each_GBps = figures.bandwidth_GBps if self.bandwidth_GBps is None else np.asanyarray(self.bandwidth_GBps)
        burst = figures.burst_bits if self.burst_bits is None else np.asanyarray(self.burst_bits)
        moved = np.ceil(np.asanyarray(bits) / burst) * burst
        return ActionCost(each_pJ * moved, span(1.0) * moved / 8.0 / (each_GBps * np.asanyarray(self.channels)))

    def part(self, process: Process) -> PartCost:
        """No area of the chip; what it draws when nothing moves, refresh included, as leakage."""
        idle_mW = STANDARDS[self.standard].idle_mW if self.idle_mW is None else _SPREAD * self.idle_mW
        return PartCost(span(0.0), seen("DRAM idle power", idle_mW) * UW_PER_MW * np.asanyarray(self.channels))
