"""Global drift compensation: one factor per layer and copy, measured on the chip, that undoes the mean drift."""

from __future__ import annotations

from typing import Literal

from ohmfield.spec import knob, spec

TRIM_SHARE = 0.05  # of a converter's energy and area, for a trimmed reference (assumed, as for one gain)


@spec
class Compensation:
    """How drift is undone. The factor is the summed conductance at the first read over that now, for a whole layer.

    Source: Joshi, Nature Communications 11, 2473 (2020). The sum is read with all rows driven, often enough that its
    read noise averages out.
    """

    where: Literal["analog", "digital"] = knob(
        "both", "digital", doc="the converters' range follows the drift, or their codes are scaled afterwards"
    )
    inferences_between: float = knob("cost", 1e4, gt=0, doc="inferences between two calibrations")

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What no source gives of its cost; every bill repeats it."""
        return (f"{TRIM_SHARE:.0%} of a converter for a range that follows",) if self.where == "analog" else ()
