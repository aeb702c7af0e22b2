"""Charts of a bill: a frame in time, operators below their roofs, and what the total hangs on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ohmfield.cost.bill import Bill
from ohmfield.cost.hinges import Hinge
from ohmfield.cost.peaks import Peak, Point
from ohmfield.quantities import MID
from ohmfield.report.figures import ALARM, HAIRLINE, INK, MID_BLUE, MUTED, colour, panel, short

MOST_STAGES, MOST_HINGES, MOST_NAMES = 14, 10, 6


def timeline(bill: Bill) -> Figure:
    """Which stage is busy when while one inference runs alone: a row for each stage, a bar for each operator.

    An operator starts when its first item comes out of those before it and keeps a stage for as long as it needs it.
    Where the same stage serves several, their bars overlap: they share it.
    """
    starts = np.concatenate([[0.0], np.cumsum(bill.first_ns[MID, 0, :-1])])
    start = dict(zip(bill.operators, starts, strict=True))
    stages: dict[str, list[tuple[float, float]]] = {}
    for (operator, stage), busy_ns in bill.stage_ns.items():
        if busy_ns[MID, 0] > 0.0:
            stages.setdefault(stage, []).append((float(start[operator]), float(busy_ns[MID, 0])))
    longest = sorted(stages, key=lambda stage: -sum(busy for _, busy in stages[stage]))[:MOST_STAGES]
    shown = [stage for stage in stages if stage in longest]
    scale, unit = _time_unit(float(bill.fill_ns[MID, 0]))

    def draw(axes: Axes) -> None:
        for place, stage in enumerate(shown):
            kind = stage.split(":")[0]
            for begin, busy in stages[stage]:
                axes.barh(place, busy / scale, 0.62, begin / scale, color=colour(kind), alpha=0.75, linewidth=0)
        axes.set(ylim=(len(shown) - 0.4, -0.6), xlabel=f"{unit} from the first input")
        axes.set_xlim(left=0.0)
        axes.set_yticks(range(len(shown)), [short(stage) for stage in shown])
        axes.grid(visible=True, axis="x")
        axes.spines["left"].set_visible(False)
        axes.tick_params(length=0)

    return panel(0.6 + 0.24 * len(shown), draw)


def _time_unit(longest_ns: float) -> tuple[float, str]:
    for scale, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if longest_ns >= scale:
            return scale, unit
    return 1.0, "ns"


def roofline(peaks: Sequence[Peak], points: Sequence[Point]) -> Figure:
    """Operators by operations per byte and rate, on logarithmic axes, below the roofs of arrays and memories."""
    most = max([point.gops for point in points] + [peak.gops for peak in peaks], default=1.0)
    left = min([point.ops_per_byte for point in points], default=1.0) / 3.0
    right = max([point.ops_per_byte for point in points], default=1.0) * 3.0

    def draw(axes: Axes) -> None:
        axes.set(xscale="log", yscale="log", xlabel="operations per byte moved", ylabel="10⁹ operations per second")
        for peak in peaks:
            if peak.gops:
                axes.axhline(peak.gops, color=MID_BLUE, lw=1.0)
                axes.text(right, peak.gops, f"{peak.name} ", ha="right", va="bottom", color=MID_BLUE, fontsize=7.5)
            if peak.GBps:
                reach = np.array([left, right])
                axes.plot(reach, peak.GBps * reach, color=MUTED, lw=0.8, ls="--")
                axes.text(left, peak.GBps * left, f" {peak.name}", rotation=0, va="bottom", color=MUTED, fontsize=7.5)
        axes.plot([p.ops_per_byte for p in points], [p.gops for p in points], "o", ms=4, color=INK, alpha=0.8)
        for point in sorted(points, key=lambda point: point.gops)[:MOST_NAMES]:  # those furthest below name themselves
            axes.text(point.ops_per_byte, point.gops, f"  {short(point.operator)}", fontsize=6.5, va="center")
        low = min([point.gops for point in points], default=1.0)
        axes.set(xlim=(left, right), ylim=(low / 5.0, most * 5.0))
        axes.grid(visible=True, color=HAIRLINE)

    return panel(2.9, draw)


def tornado(hinges: Sequence[Hinge]) -> Figure:
    """What the total would be with one constant at its low or high end, the widest first."""
    shown = list(hinges)[:MOST_HINGES]

    def draw(axes: Axes) -> None:
        for place, hinge in enumerate(shown):
            for value, shade in ((hinge.low, MID_BLUE), (hinge.high, ALARM)):
                axes.barh(place, value - 1.0, 0.6, 1.0, color=shade, linewidth=0)
        axes.axvline(1.0, color=INK, lw=0.8)
        axes.set(ylim=(len(shown) - 0.4, -0.6), xlabel="total over the middle estimate")
        axes.set_yticks(range(len(shown)), [hinge.name for hinge in shown])
        axes.grid(visible=True, axis="x")
        axes.spines["left"].set_visible(False)
        axes.tick_params(length=0)

    return panel(0.6 + 0.26 * max(1, len(shown)), draw)
