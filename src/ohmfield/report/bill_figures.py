"""Charts of a bill: a frame in time, operators below their roofs, and what the total hangs on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ohmfield.cost.bill import Bill
from ohmfield.cost.hinges import Hinge
from ohmfield.cost.peaks import Peak, Point
from ohmfield.quantities import MID
from ohmfield.report.bill_data import alike
from ohmfield.report.figures import ALARM, COLOURS, HAIRLINE, INK, MID_BLUE, MUTED, SPARE, colour, panel, short
from ohmfield.report.tables import number

MOST_HINGES, MOST_NAMES = 10, 7
LEAST_WIDTH = 0.005  # of the total: a hinge that moves it less has no bar to be seen
LEAST_SHARE = 0.004  # of the axis: narrower bars would not be seen
WRITING = "weights written"
Interval = tuple[float, float]


def timeline(bill: Bill) -> Figure:
    """Which unit is busy when while one inference runs alone: a row for each, with its share of the time.

    An operator starts when its first item comes out of those before it and keeps a stage for as long as it needs it.
    What is left of the latency is the writing of weights in turns, drawn at the end.
    """
    whole_ns = float(bill.fill_ns[MID, 0])
    rows = busy(bill)
    scale, unit = _time_unit(whole_ns)

    def draw(axes: Axes) -> None:
        for place, (name, intervals) in enumerate(rows.items()):
            for begin, end in _visible(intervals, LEAST_SHARE * whole_ns):
                axes.barh(place, (end - begin) / scale, 0.6, begin / scale, color=colour(_part(name)), linewidth=0)
            share = sum(end - begin for begin, end in intervals) / whole_ns
            said = "<0.1 %" if share < 0.001 else f"{100 * share:.2g} %" if share < 0.995 else "100 %"
            axes.text(1.015, place, said, va="center", color=MUTED, fontsize=7.5, transform=axes.get_yaxis_transform())
        axes.set(ylim=(len(rows) - 0.4, -0.6), xlim=(0.0, whole_ns / scale), xlabel=f"{unit} from the first input")
        axes.set_yticks(range(len(rows)), [name.replace("_", " ") for name in rows])
        _quiet(axes)

    return panel(0.6 + 0.27 * len(rows), draw)


def busy(bill: Bill) -> dict[str, list[Interval]]:
    """When each unit works, in ns from the first input: intervals that do not touch, units in the order they start."""
    starts = np.concatenate([[0.0], np.cumsum(bill.first_ns[MID, 0, :-1])])
    start = dict(zip(bill.operators, map(float, starts), strict=True))
    found: dict[str, list[Interval]] = defaultdict(list)
    whole = float(bill.fill_ns[MID, 0])
    for (operator, stage), time_ns in bill.stage_ns.items():
        length = float(time_ns[MID, 0])
        if length > 0.0:
            found[stage.split(":")[0]].append((start[operator], min(start[operator] + length, whole)))
    merged = {name: _merged(intervals) for name, intervals in found.items()}
    last = max((intervals[-1][1] for intervals in merged.values()), default=0.0)
    if whole - last > 0.01 * whole:
        merged[WRITING] = [(last, whole)]
    return dict(sorted(merged.items(), key=lambda item: (item[0] == WRITING, item[1][0][0])))


def _merged(intervals: list[Interval]) -> list[Interval]:
    made: list[Interval] = []
    for begin, end in sorted(intervals):
        if made and begin <= made[-1][1]:
            made[-1] = (made[-1][0], max(made[-1][1], end))
        else:
            made.append((begin, end))
    return made


def _visible(intervals: list[Interval], least: float) -> list[Interval]:
    """At least that wide each, those that would overlap then as one."""
    return _merged([(begin, max(end, begin + least)) for begin, end in intervals])


def _part(name: str) -> str:
    """The component whose colour a row has; a unit that holds weights has that of its cells."""
    known = {"quantiser": "requantiser", WRITING: "programming"}.get(name, name)
    return known if known in COLOURS else "cells"


def _time_unit(longest_ns: float) -> tuple[float, str]:
    for scale, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if longest_ns >= scale:
            return scale, unit
    return 1.0, "ns"


@dataclass(frozen=True)
class Group:
    """Operators of one name, whatever their number in it, at one place of the roofline: means of logarithms."""

    name: str
    unit: str
    count: int
    ops_per_byte: float
    gops: float
    busy_ns: float


def grouped(points: Sequence[Point]) -> list[Group]:
    """Operators of alike layers together, the busiest first.

    >>> found = grouped([Point(f"layers.{i}.mlp.up#0", "crossbar", 2.0, 8.0, 1.0) for i in range(3)])
    >>> found[0].name, found[0].count
    ('layers.*.mlp.up', 3)
    """
    kinds: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for point in points:
        kinds[alike(point.operator), point.unit].append(point)
    made = []
    for (name, unit), members in kinds.items():
        name = short(members[0].operator) if len(members) == 1 else name
        across, up = (
            float(np.exp(np.mean(np.log([getattr(member, axis) for member in members]))))
            for axis in ("ops_per_byte", "gops")
        )
        made.append(Group(name, unit, len(members), across, up, sum(member.busy_ns for member in members)))
    return sorted(made, key=lambda group: -group.busy_ns)


def roofline(peaks: Sequence[Peak], points: Sequence[Point]) -> Figure:
    """Operators by operations per byte and rate, on logarithmic axes, below the roofs of arrays and memories.

    Alike layers are one dot, as large as its share of the time; the busiest are named at the right.
    """
    groups = grouped(points)
    shades = {peak.name: (MID_BLUE, INK, *SPARE)[place % 7] for place, peak in enumerate(peaks)}
    most = max([group.gops for group in groups] + [peak.gops for peak in peaks], default=1.0)
    least = min([group.gops for group in groups], default=most / 100.0)
    left = min([group.ops_per_byte for group in groups], default=1.0) / 3.0
    right = max([group.ops_per_byte for group in groups], default=1.0) * 3.0
    whole = sum(group.busy_ns for group in groups) or 1.0

    def draw(axes: Axes) -> None:
        axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(least / 4.0, most * 3.0))
        axes.set(xlabel="operations per byte moved", ylabel="10⁹ operations per second")
        for peak in peaks:
            name, shade = peak.name.replace("_", " "), shades[peak.name]
            if peak.gops:
                axes.axhline(peak.gops, color=shade, lw=1.0, label=f"{name}, {number(peak.gops)} GOP/s")
            if peak.GBps:
                reach = np.array([left, right])
                label = f"{name}, {number(peak.GBps)} GB/s"
                axes.plot(reach, peak.GBps * reach, color=shade, lw=0.9, ls="--", label=label)
        for group in groups:
            size = 10.0 + 90.0 * group.busy_ns / whole
            axes.scatter(group.ops_per_byte, group.gops, s=size, color=shades.get(group.unit, INK), alpha=0.7, lw=0)
        _names(axes, groups[:MOST_NAMES], (left, right), (least / 4.0, most * 3.0))
        axes.grid(visible=True, color=HAIRLINE)
        axes.tick_params(length=0, which="both")
        axes.legend(
            loc="upper left", bbox_to_anchor=(0.0, -0.16), ncol=2, frameon=False, fontsize=7.0, labelcolor=MUTED,
            borderpad=0.0, handlelength=1.6, columnspacing=1.2,
        )  # fmt: skip

    return panel(3.6, draw)


def _names(axes: Axes, groups: Sequence[Group], across: Interval, up: Interval) -> None:
    """Names in a column right of the axes, in the order of their dots from top to bottom, each with a thin line."""

    def share(value: float, limits: Interval) -> float:
        low, high = np.log(limits)
        return float((np.log(value) - low) / (high - low))

    ordered = sorted(groups, key=lambda group: -group.gops)
    heights = [share(group.gops, up) for group in ordered]
    step = 0.085
    for place in range(1, len(heights)):
        heights[place] = min(heights[place], heights[place - 1] - step)
    lift = max(0.0, 0.02 - heights[-1]) if heights else 0.0
    for group, height in zip(ordered, heights, strict=True):
        said = f"{_trimmed(group.name)} ×{group.count}" if group.count > 1 else _trimmed(group.name)
        axes.annotate(
            said, (share(group.ops_per_byte, across), share(group.gops, up)), (1.03, height + lift),
            xycoords="axes fraction", textcoords="axes fraction", fontsize=7.0, va="center", color=INK,
            arrowprops={"arrowstyle": "-", "color": HAIRLINE, "lw": 0.7, "shrinkA": 0, "shrinkB": 2},
        )  # fmt: skip


def _trimmed(name: str, most: int = 22) -> str:
    """The end of a long name, which tells more than its start."""
    return name if len(name) <= most else "…" + name[-most + 1 :]


def tornado(hinges: Sequence[Hinge]) -> Figure:
    """What the total would be with one constant at its low or high end, the widest first."""
    shown = [hinge for hinge in hinges if hinge.width >= LEAST_WIDTH][:MOST_HINGES] or list(hinges)[:1]
    ends = [end for hinge in shown for end in (hinge.low, hinge.high)]
    low, high = min([1.0, *ends]), max([1.0, *ends])
    room = 0.14 * (high - low)

    def draw(axes: Axes) -> None:
        for place, hinge in enumerate(shown):
            for value, shade in ((hinge.low, MID_BLUE), (hinge.high, ALARM)):
                axes.barh(place, value - 1.0, 0.6, 1.0, color=shade, linewidth=0)
                aside = "left" if value >= 1.0 else "right"
                pad = "\N{NO-BREAK SPACE}"
                said = f"{value:.2f}"
                if said != "1.00":
                    axes.text(
                        value, place, pad + said if aside == "left" else said + pad, ha=aside, va="center",
                        fontsize=7.0, color=MUTED,
                    )  # fmt: skip
        axes.axvline(1.0, color=INK, lw=0.8)
        axes.set(ylim=(len(shown) - 0.4, -0.6), xlim=(low - room, high + room), xlabel="total over the middle estimate")
        axes.set_yticks(range(len(shown)), [hinge.name for hinge in shown])
        _quiet(axes)

    return panel(0.6 + 0.26 * max(1, len(shown)), draw)


def _quiet(axes: Axes) -> None:
    axes.grid(visible=True, axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)
    axes.tick_params(axis="y", labelcolor=INK)
