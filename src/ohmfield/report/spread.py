"""Charts of what differs: scores between chips of one design, and losses between the layers of one model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ohmfield.report.figures import ALARM, INK, MID_BLUE, MUTED, panel, short
from ohmfield.report.summary import DeploymentSummary, Instances
from ohmfield.report.tables import SCORES, number, written

MOST_LAYERS = 40  # rows of one chart; deeper networks show the layers that lose most
CAUSES = {"clipping": "#a99fd0", "rounding": "#f0a04b", "programming": "#3b7dc0", "wires": "#1f9384", "reading": ALARM}
"""Colours of the causes of a loss, in the order they are added."""


def span_of(scores: Sequence[float]) -> tuple[float, float]:
    """An axis that holds all finite scores, with a little room; charts of one page share it."""
    known = [score for score in scores if math.isfinite(score)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    room = 0.08 * (high - low) or 0.5
    return low - room, high + room


def strip(summary: DeploymentSummary, drawn: Instances, span: tuple[float, float]) -> tuple[Figure, str]:
    """A mark for each instance, the interval of the mean as a bar, the 10th percentile as a line; what is read aloud.

    Marks that would hide each other are stacked, so that a strip of many chips is its histogram.
    """
    column = SCORES[summary.metric]
    width = (span[1] - span[0]) / 60.0

    def draw(axes: Axes) -> None:
        stacked: dict[int, int] = {}
        top = 0
        for score in sorted(score for score in drawn.scores if math.isfinite(score)):
            place = round((score - span[0]) / width)
            height = stacked[place] = stacked.get(place, -1) + 1
            top = max(top, height)
            axes.plot(score, height, "o", ms=5, color=MID_BLUE, mec="white", mew=0.5)
        if math.isfinite(drawn.mean_low) and math.isfinite(drawn.mean_high):
            axes.plot([drawn.mean_low, drawn.mean_high], [-1.1] * 2, color=INK, lw=3.0, solid_capstyle="butt")
        axes.plot(drawn.mean, -1.1, "|", color=INK, ms=11, mew=1.5)
        axes.axvline(drawn.tenth, color=ALARM, lw=0.9, ls=(0, (3, 2)))
        axes.set(
            xlim=span,
            ylim=(-1.9, max(top, 3) + 0.8),
            yticks=[],
            xlabel=f"{column.title}, {column.unit}".removesuffix(", "),
        )
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.grid(visible=True, axis="x")
        axes.spines["left"].set_visible(False)
        axes.tick_params(length=0)

    spoken = f"{len(drawn.scores)} chips like {summary.name}: mean {written(drawn.mean, column)}"
    return panel(1.5, draw), f"{spoken}, worst {written(drawn.worst, column)}"


def shown_layers(summary: DeploymentSummary) -> list[str]:
    """The layers of the chart in running order; of many those that lose most with every cause."""
    least = sorted(summary.layer_losses, key=lambda path: min(summary.layer_losses[path].values()))[:MOST_LAYERS]
    return [path for path in summary.layer_losses if path in least]


def loss_by_layer(summary: DeploymentSummary) -> tuple[Figure, str]:
    """Signal over the error that one layer alone adds, a mark for each cause added in order; what is read aloud.

    A cause that changes nothing has no mark: its signal over error is infinite.
    """
    layers = shown_layers(summary)

    def draw(axes: Axes) -> None:
        for row, path in enumerate(layers):
            marks = [(cause, dB) for cause, dB in summary.layer_losses[path].items() if math.isfinite(dB)]
            axes.plot([dB for _, dB in marks], [row] * len(marks), color=MUTED, lw=0.7, zorder=1)
            for size, (cause, dB) in zip(range(9, 0, -1), marks, strict=False):
                axes.plot(dB, row, "o", ms=3.0 + 0.6 * size, color=CAUSES.get(cause, INK), mec="white", mew=0.5)
            if marks:
                worst = min(dB for _, dB in marks)
                axes.annotate(
                    f"{worst:.1f}", (worst, row), (-8, 0), textcoords="offset points", ha="right", va="center",
                    fontsize=7.5, color=MUTED,
                )  # fmt: skip
            else:
                axes.text(
                    0.02, row, "exact", va="center", fontsize=7.5, color=MUTED, transform=axes.get_yaxis_transform()
                )
        axes.set_yticks(range(len(layers)), [short(path) for path in layers])
        axes.set(ylim=(len(layers) - 0.4, -0.6), xlabel="signal over the error of this layer alone, dB")
        axes.margins(x=0.2)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.grid(visible=True, axis="x")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.tick_params(axis="x", length=0)

    told = ", ".join(f"{path} {number(min(summary.layer_losses[path].values()))} dB" for path in layers)
    return panel(0.6 + 0.23 * len(layers), draw), f"signal over the error of each layer on {summary.name}: {told}"
