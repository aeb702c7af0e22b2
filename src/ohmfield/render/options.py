"""How a frame is made."""

from __future__ import annotations

import math

from ohmfield._kernels.march import Steps
from ohmfield.spec import knob, spec


@spec
class RenderOptions:
    """Settings of ray marching; lengths are parts of the scene's box."""

    step: float = knob("both", math.sqrt(3.0) / 1024, gt=0, le=0.5, doc="distance between samples, in box sides")
    cone: float = knob("both", 1 / 64, ge=0, le=1, doc="unbounded scenes: a step is at least that part of the distance")
    far: float = knob("both", 64.0, gt=0, le=1e6, doc="unbounded scenes: where rays end, in box sides")
    transmittance: float = knob("both", 1e-4, ge=0, le=0.5, doc="a ray ends where less light than that is left")
    background: float = knob("label", 1.0, ge=0, le=1, doc="grey behind what is transparent")

    def steps(self) -> Steps:
        """What the kernel needs of it."""
        return Steps(self.step, self.cone, self.far)
