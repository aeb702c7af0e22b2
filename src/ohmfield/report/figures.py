"""Charts of a report. Each function draws one panel, narrow enough for a phone; colours mean the same on every one."""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Protocol

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ohmfield.report.summary import Codes, Costs, DeploymentSummary
from ohmfield.report.tables import SCORES, energy_unit, number

INK, MUTED, HAIRLINE, ALARM = "#1b2430", "#5c6773", "#d8dde3", "#b4431f"
CSS_COLOURS = {INK: "var(--ink)", MUTED: "var(--muted)", HAIRLINE: "var(--line)", ALARM: "var(--alarm)"}
MID_BLUE = "#3b7dc0"

# One hue per kind of part and one lightness per part: the order survives grey printing and colour blindness.
COLOURS = {
    "cells": "#08458f", "drivers": "#2f78c4", "adc": "#8fbde8",  # analog: blue
    "shift_add": "#8f3b00", "adder_tree": "#d1690f", "requantiser": "#f0a04b", "activation": "#f9d2a0",  # orange
    "table_memory": "#005a4e", "gather": "#1f9384", "buffer": "#7fc9bd", "dram": "#c3e6e0",  # memory: teal
    "control": "#5b4a92", "host": "#a99fd0", "leakage": "#7a828c", "programming": "#bcc2ca",  # around it
}  # fmt: skip
SPARE = ("#a3466f", "#d98bad", "#6b7f2a", "#b6c26d", "#444b54")

WIDTH_IN = 4.6


def colour(component: str) -> str:
    """The colour of a component, the same in every figure."""
    return COLOURS.get(component) or SPARE[sum(map(ord, component)) % len(SPARE)]


def readable_on(background: str) -> str:
    """Black or white, whichever reads better on that colour."""
    red, green, blue = (int(background[i : i + 2], 16) for i in (1, 3, 5))
    return "#ffffff" if 0.299 * red + 0.587 * green + 0.114 * blue < 140 else "#10151c"


@contextmanager
def _style() -> Iterator[None]:
    settings: dict[Any, Any] = {
        "svg.fonttype": "none", "svg.hashsalt": "ohmfield", "font.family": "DejaVu Sans", "font.size": 8.5,
        "text.color": INK, "axes.labelcolor": MUTED, "axes.edgecolor": HAIRLINE, "xtick.color": MUTED,
        "ytick.color": MUTED, "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8,
        "axes.grid": False, "grid.color": HAIRLINE, "grid.linewidth": 0.6, "axes.axisbelow": True,
        "hatch.linewidth": 0.6,
    }  # fmt: skip
    with matplotlib.rc_context(settings):
        yield


def panel(height_in: float, draw: Callable[[Axes], None]) -> Figure:
    """A figure of one panel in the house style, drawn by `draw`."""
    with _style():
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        draw(figure.add_subplot())
    return figure


def svg(figure: Figure, prefix: str, label: str) -> str:
    """The figure as inline SVG: ids start with `prefix`, colours follow the page, `label` is what is read aloud."""
    buffer = io.StringIO()
    with _style():
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    view = re.search(r'viewBox="([^"]+)"', body)
    box = view.group(1) if view else "0 0 1 1"
    body = body[body.index(">") + 1 :]
    body = re.sub(r'id="([^"]+)"', rf'id="{prefix}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", body)
    body = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{prefix}-\1"', body)
    body = body.replace("'DejaVu Sans'", "var(--sans)")
    for fixed, follows in CSS_COLOURS.items():
        body = body.replace(fixed, follows)
    return f'<svg viewBox="{box}" role="img" aria-label="{_attribute(label)}">{body}'


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def png(figure: Figure) -> bytes:
    """The figure as PNG on white, 200 dots per inch."""
    buffer = io.BytesIO()
    with _style():
        figure.savefig(buffer, format="png", dpi=200, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


class Billed(Protocol):
    """What has a name and costs: a deployment, or an offer without one."""

    @property
    def name(self) -> str: ...
    @property
    def costs(self) -> Costs: ...


def energy_by_component(summaries: Sequence[Billed], inference: str = "frame") -> Figure:
    """Energy of one inference, a bar for each chip cut into components; the thin line spans low to high."""

    top = max(summary.costs.energy_mJ[2] for summary in summaries)
    times, unit = energy_unit(top)

    def draw(axes: Axes) -> None:
        for place, summary in enumerate(summaries):
            costs = summary.costs
            _stack(axes, place, costs.components, costs.energy_pJ[1].sum(axis=0) * 1e-9 * times)
            low, mid, high = (times * energy_mJ for energy_mJ in costs.energy_mJ)
            axes.plot([low, high], [place + 0.36] * 2, color=INK, lw=1.0)
            axes.plot([low, mid, high], [place + 0.36] * 3, "|", color=INK, ms=4)
        axes.set(xlim=(0, top * times * 1.04), ylim=(len(summaries) - 0.45, -0.5), xlabel=f"{unit} per {inference}")
        axes.set_yticks(range(len(summaries)), [summary.name for summary in summaries])
        _quiet(axes)

    return panel(0.62 + 0.48 * len(summaries), draw)


def energy_by_layer(costs: Costs, top_mJ: float, inference: str = "frame") -> Figure:
    """Energy of one inference on one chip, a bar for each operator cut into components, on an axis to `top_mJ`."""

    times, unit = energy_unit(top_mJ)

    def draw(axes: Axes) -> None:
        for place, row in enumerate(costs.energy_pJ[1] * 1e-9 * times):
            _stack(axes, place, costs.components, row)
            axes.text(row.sum(), place, f" {number(row.sum(), 2)}", va="center", fontsize=7.5, color=MUTED)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set(xlim=(0, top_mJ * times * 1.15), ylim=(len(costs.operators) - 0.4, -0.6))
        axes.set_xlabel(f"{unit} per {inference}")
        axes.set_yticks(range(len(costs.operators)), [short(operator) for operator in costs.operators])
        _quiet(axes)

    return panel(0.55 + 0.23 * len(costs.operators), draw)


def _stack(axes: Axes, place: float, components: Sequence[str], values: np.ndarray) -> None:
    left = 0.0
    for component, value in zip(components, values, strict=True):
        if value > 0:
            axes.barh(place, value, 0.56, left, color=colour(component), edgecolor="white", linewidth=0.3)
            left += value


def _quiet(axes: Axes) -> None:
    """Grid lines along the values, no axis line and no tick marks along the names."""
    axes.grid(visible=True, axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.tick_params(axis="x", length=0)


def short(operator: str) -> str:
    """An operator id for an axis: the call index goes when it is the first call."""
    return operator.removesuffix("#0")


def loss_waterfall(summary: DeploymentSummary, limits: tuple[float, float]) -> Figure:
    """The score from the float model down to the chip, one step for each cause, on a shared axis.

    Scores against the float model itself are infinite before anything is lost: those have no bar.
    """
    column = SCORES[summary.metric]
    places = 2 if column.unit else 3
    least = 0.5 * 10.0**-places

    def draw(axes: Axes) -> None:
        causes = [(cause, score) for cause, score in summary.waterfall if math.isfinite(score)]
        low, high = limits
        if not causes:
            axes.text(0.5, 0.5, "nothing is lost", ha="center", va="center", color=MUTED, transform=axes.transAxes)
            axes.axis("off")
            return
        axes.bar(0, causes[0][1] - low, 0.62, low, color=MID_BLUE)
        for place, ((_, before), (_, after)) in enumerate(pairwise(causes), start=1):
            axes.plot([place - 0.69, place + 0.31], [before] * 2, color=MUTED, lw=0.7)
            fill = ALARM if after <= before else "#1f9384"
            axes.bar(place, after - before, 0.62, before, color=fill)
            change = f"{after - before:+.{places}f}".replace("-", "−") if abs(after - before) >= least else "0"
            axes.text(place, min(before, after) - 0.012 * (high - low), change, ha="center", va="top", fontsize=8)
        last = len(causes)
        axes.plot([last - 0.69, last + 0.31], [causes[-1][1]] * 2, color=MUTED, lw=0.7)
        axes.bar(last, causes[-1][1] - low, 0.62, low, color=MID_BLUE)
        for place, score in ((0, causes[0][1]), (last, causes[-1][1])):
            told = f"{score:.{places}f}"
            axes.text(place, score + 0.012 * (high - low), told, ha="center", va="bottom", weight="bold")
        axes.set(ylim=limits, xlim=(-0.5, last + 0.5), ylabel=f"{column.title}, {column.unit}".removesuffix(", "))
        axes.set_xticks(
            range(last + 1), [_wrap(cause) for cause, _ in causes] + ["chip"], fontsize=7.5 if last < 7 else 6.2
        )
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=bool(column.unit)))
        axes.grid(visible=True, axis="y")
        axes.spines["left"].set_visible(False)
        axes.tick_params(length=0)
        axes.tick_params(axis="x", labelcolor=INK)

    return panel(2.5, draw)


def waterfall_limits(summaries: Sequence[DeploymentSummary]) -> tuple[float, float]:
    """An axis that holds every step of every chip: whole decibels, or shares in steps of a twentieth."""
    levels = [score for summary in summaries for _, score in summary.waterfall if math.isfinite(score)]
    low, high = min(levels, default=0.0), max(levels, default=1.0)
    step = 1.0 if summaries[0].metric.endswith("_dB") else 0.05
    room = max(high - low, step)
    bottom = step * math.floor((low - 0.25 * room) / step)
    return max(0.0, bottom) if low >= 0.0 else bottom, step * math.ceil((high + 0.1 * room) / step)


def _wrap(text: str) -> str:
    """Words over several lines, for narrow columns."""
    return "\n".join(textwrap.wrap(text, 11, break_long_words=False))


def code_histogram(item: Codes, title: str) -> Figure:
    """How often each converter code came out, on a log axis, the end codes in red."""

    def draw(axes: Axes) -> None:
        codes, counts = np.asarray(item.codes), np.asarray(item.counts, dtype=np.float64)
        share = counts / max(counts.sum(), 1.0)
        floor = 10.0 ** math.floor(math.log10(max(share[share > 0].min(initial=1.0), 1e-9)))
        edges = np.concatenate([codes - 0.5, codes[-1:] + 0.5])
        axes.stairs(np.maximum(share, floor), edges, baseline=floor, fill=True, color="#8fbde8")
        at_ends = item.clipped_fraction * counts.sum()  # of either end or of both: unused codes are not listed
        for end in (0, -1):
            if at_ends > 0.5 and min(abs(at_ends - counts[end]), abs(at_ends - counts[0] - counts[-1])) < 0.5:
                axes.bar(codes[end], share[end] - floor, max(1.0, len(codes) / 90), floor, color=ALARM)
        axes.set_yscale("log")
        axes.set(xlim=(edges[0], edges[-1]), ylim=(floor, 1.0), xlabel="code", ylabel="share of conversions")
        axes.set_title(title, loc="left", fontsize=8.5, weight="bold")
        axes.grid(visible=True, axis="y")
        axes.tick_params(length=0, which="both")
        axes.spines["left"].set_visible(False)

    return panel(1.75, draw)


def code_caption(item: Codes) -> str:
    """Step of a layer's conversions and their share at the end codes in words."""
    percent = f"{number(100 * item.clipped_fraction, 2)}\N{NO-BREAK SPACE}%"
    ends = f"{percent} at the end codes" if item.clipped_fraction else "none at the end codes"
    return f"a code is {item.step_levels:g} cell level{'' if item.step_levels == 1 else 's'}; {ends}"
