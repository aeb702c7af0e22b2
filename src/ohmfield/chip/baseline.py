"""Processors as rooflines: the baselines beside a chip, and the host that runs what no unit serves."""

from __future__ import annotations

from ohmfield.spec import knob, spec


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
