"""The process a chip is made in: node, supply, clock."""

from __future__ import annotations

from ohmfield.spec import knob, spec


@spec
class Process:
    """Node and operating point; every cost leaf scales its sourced constants to it."""

    node_nm: float = knob("cost", ge=2, le=180, doc="technology node")
    supply_V: float = knob("cost", gt=0.2, le=2.5, doc="digital supply")
    clock_GHz: float = knob("cost", gt=0, le=5, doc="digital clock")
