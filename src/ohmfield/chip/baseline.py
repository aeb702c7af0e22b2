"""Processors as rooflines: the baselines beside a chip, and the host that runs what no unit serves."""

from __future__ import annotations

import numpy as np

from ohmfield.chip.anchors import Spanned
from ohmfield.quantities import ActionCost, Number, span
from ohmfield.spec import knob, spec

# Share of the way from idle to busy power while a kernel runs: memory-bound work does not reach full load.
_ACTIVITY = Spanned("load of processors", span(0.7, 0.3, 1.0))
NS_PER_US, PJ_PER_NJ = 1e3, 1e3


@spec
class Roofline:
    """A processor: peak rate, bandwidth, power. `t = max(flops / (peak u), bytes / (bandwidth v)) + launches t0`."""

    name: str = knob("label", doc="what it is")
    source: str = knob("label", doc="where the figures come from")
    peak_GFLOPs: float = knob("cost", gt=0, doc="dense peak of the precision used, 1e9 FLOP per second")
    bandwidth_GBps: float = knob("cost", gt=0, doc="memory bandwidth")
    idle_W: float = knob("cost", ge=0, doc="power when waiting")
    busy_W: float = knob("cost", gt=0, doc="power at full load")
    utilisation: float = knob("cost", 0.1, gt=0, le=1, doc="share of the peak small layers reach")
    streaming: float = knob("cost", 0.8, gt=0, le=1, doc="share of the bandwidth that streams reach")
    launch_us: float = knob("cost", 0.0, ge=0, doc="time per kernel launch")
    assumed: bool = knob("label", False, doc="figures not read in a source")

    @property
    def ridge_FLOP_per_byte(self) -> float:
        """Operations per byte above which the peak rate bounds it, and below which its memory does."""
        return self.peak_GFLOPs / self.bandwidth_GBps

    def cost(self, flops: Number, moved_bytes: Number, launches: Number = 0.0) -> ActionCost:
        """Time by the roofline, energy `t (idle + activity (busy - idle))`, activity 0.3 / 0.7 / 1.

        >>> chip = Roofline(name="x", source="x", peak_GFLOPs=100, bandwidth_GBps=10, idle_W=1, busy_W=1, utilisation=1)
        >>> float(chip.cost(flops=1e3, moved_bytes=0).latency_ns[1, 0])
        10.0
        """
        compute_ns = np.asanyarray(flops, dtype=np.float64) / (self.peak_GFLOPs * self.utilisation)
        memory_ns = np.asanyarray(moved_bytes, dtype=np.float64) / (self.bandwidth_GBps * self.streaming)
        time_ns = span(1.0) * (np.maximum(compute_ns, memory_ns) + np.asanyarray(launches) * self.launch_us * NS_PER_US)
        power_W = self.idle_W + _ACTIVITY.value() * (self.busy_W - self.idle_W)
        return ActionCost(time_ns * power_W * PJ_PER_NJ, time_ns)
