"""Everything drawn for a report: pictures, error maps, charts, each under the name of its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from ohmfield.report import figures, pictures, spread
from ohmfield.report.floorplan import floorplan
from ohmfield.report.summary import DeploymentSummary, ReportData, slug
from ohmfield.report.tables import SCORES, number, written

MOST_HISTOGRAMS = 12  # panels of one chip; deeper networks show the layers most at their end codes


@dataclass(frozen=True)
class Drawn:
    """Everything drawn for a page, by file name: pictures as images, charts as figures with what is read aloud."""

    images: dict[str, Image.Image]
    charts: dict[str, tuple[Figure, str]]
    error_limit: float
    crops: tuple[pictures.Crop, ...]


def draw(data: ReportData) -> Drawn:
    """Pictures, error maps and charts of a report; a model whose outputs are no picture has the charts alone."""
    if data.truth is None:
        return Drawn({}, _charts(data.summaries), 1.0, ())
    views = shown(data)
    images = {name: pictures.to_image(picture, data.peak) for name, _, picture in views}
    errors = {name: pictures.error_levels(picture, data.truth, data.peak) for name, _, picture in views[1:]}
    limit = pictures.error_limit(list(errors.values()))
    images |= {f"{name}-error": pictures.error_image(levels, limit) for name, levels in errors.items()}
    worst = max(errors.values(), key=lambda levels: float(np.mean(np.square(levels))))
    return Drawn(images, _charts(data.summaries), limit, tuple(pictures.choose_crops(data.truth, worst)))


def shown(data: ReportData) -> list[tuple[str, str, np.ndarray]]:
    """(file name, heading, picture) of everything that is looked at, the truth first."""
    chips = [(slug(summary.name), summary.name, summary.picture) for summary in data.summaries]
    listed = [("photograph", "photograph", data.truth), ("field", "float field", data.float_picture), *chips]
    return [(name, title, picture) for name, title, picture in listed if picture is not None]


def _charts(summaries: Sequence[DeploymentSummary]) -> dict[str, tuple[Figure, str]]:
    if not summaries:
        return {}
    inference = summaries[0].inference
    charts = {"energy": (figures.energy_by_component(summaries, inference), f"energy per {inference}, by component")}
    limits = figures.waterfall_limits(summaries)
    spans = spread.span_of([score for one in summaries if one.instances for score in one.instances.scores])
    edge_um = max(float(summary.costs.area_um2[1].sum()) for summary in summaries) ** 0.5
    for summary in summaries:
        name, costs = slug(summary.name), summary.costs
        top_mJ = float(costs.energy_pJ[1].sum(axis=1).max()) * 1e-9
        charts[f"{name}-layers"] = (
            figures.energy_by_layer(costs, top_mJ, summary.inference),
            f"energy of each operator on {summary.name}",
        )
        steps = ", ".join(f"{cause} {written(score, SCORES[summary.metric])}" for cause, score in summary.waterfall)
        charts[f"{name}-loss"] = (figures.loss_waterfall(summary, limits), f"{summary.name}: {steps}")
        if summary.layer_losses:
            charts[f"{name}-by-layer"] = spread.loss_by_layer(summary)
        if summary.instances is not None:
            charts[f"{name}-instances"] = spread.strip(summary, summary.instances, spans)
        areas = zip(costs.components, costs.area_um2[1], strict=True)
        spoken = ", ".join(f"{part} {number(area / 1e6)} mm²" for part, area in areas if area > 0)
        charts[f"{name}-area"] = (floorplan(costs, edge_um), f"area of {summary.name}: {spoken}")
        for operator in busiest(summary):
            item = summary.codes[operator]
            title = figures.short(operator)
            spoken = f"converter codes of {title} on {summary.name}: {figures.code_caption(item)}"
            charts[f"{name}-codes-{slug(operator)}"] = (figures.code_histogram(item, title), spoken)
    return charts


def busiest(summary: DeploymentSummary) -> list[str]:
    """The layers whose codes are shown, in order; of many those most at their end codes."""
    kept = sorted(summary.codes, key=lambda name: -summary.codes[name].clipped_fraction)[:MOST_HISTOGRAMS]
    return [operator for operator in summary.codes if operator in kept]
