"""The numbers of a report: how they are written for people, and all of them for machines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ohmfield.report.summary import Baseline, Costs, DeploymentSummary, ReportData

METRICS_FORMAT = 1


def number(value: float, digits: int = 3) -> str:
    """`value` to that many significant digits, never with an exponent a person has to decode.

    >>> number(0.012345), number(123.4), number(36.0), number(0.0)
    ('0.0123', '123', '36.0', '0')
    """
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "not known"
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    places = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(0, places)}f}".replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", "−")


def energy_unit(largest_mJ: float) -> tuple[float, str]:
    """What to multiply mJ with, and the unit, in which energies up to that one have few zeros before their digits.

    >>> energy_unit(36.0), energy_unit(0.00045)
    ((1.0, 'mJ'), (1000.0, 'µJ'))
    """
    return (1.0, "mJ") if not 0.0 < largest_mJ < 0.01 else (1e3, "µJ") if largest_mJ >= 1e-5 else (1e6, "nJ")


def whole(value: float) -> str:
    """A count, digits grouped."""
    return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


@dataclass(frozen=True)
class Column:
    """One figure of merit: its key in `metrics.json`, its heading, unit and decimals."""

    key: str
    title: str
    unit: str
    decimals: int | None = None  # fixed decimals, for dB and SSIM; None writes three significant digits


SCORES = {
    column.key: column
    for column in (
        Column("psnr_dB", "PSNR", "dB", 2),
        Column("snr_dB", "SNR", "dB", 2),
        Column("accuracy", "accuracy", "", 4),
        Column("ssim", "SSIM", "", 4),
        Column("top5_accuracy", "in the first five", "", 4),
        Column("agreement", "same class as float", "", 4),
        Column("max_error", "largest error", ""),
    )
}
"""Scores a report knows, the one that stands for all of them first."""


def columns_of(data: ReportData) -> list[Column]:
    """The columns of the table: scores that were taken, what was lost where that is finite, and the bill."""
    main = SCORES[data.metric]
    columns = [column for key, column in SCORES.items() if key in data.float_quality]
    if math.isfinite(data.float_quality[data.metric]) or data.kind == "field":
        columns.append(Column(lost_key(data.metric), "lost to the chip", main.unit, main.decimals))
    frame = data.inference == "frame"
    return [
        *columns,
        Column("energy_mJ", "energy", f"mJ per {data.inference}"),
        Column("frame_ms", "frame time" if frame else "latency", "ms"),
        Column("frames_per_s", "frame rate" if frame else f"{data.inference}s", "per s"),
        Column("area_mm2", "area", "mm²"),
        Column("tops_per_W", "efficiency", "TOPS/W"),
    ]


def lost_key(metric: str) -> str:
    """Key of what is lost of that score."""
    return "lost_dB" if metric.endswith("_dB") else "lost"


def entry(value: float, column: Column) -> str:
    """One value of a column for people."""
    if column.decimals is None or not math.isfinite(value):
        return number(value)
    return f"{value:.{column.decimals}f}".replace("-", "−")


def chip_metrics(summary: DeploymentSummary) -> dict[str, Any]:
    """Everything measured and billed for one chip, as plain data."""
    costs = summary.costs
    return {
        **summary.quality,
        lost_key(summary.metric): summary.lost,
        **{name: _range(getattr(costs, name)) for name in RANGES},
        "power_fps": costs.power_fps,
        "efficiency": costs.efficiency,
        "boundary": costs.boundary,
        "waterfall_dB" if summary.metric.endswith("_dB") else "waterfall": dict(summary.waterfall),
        "layer_losses_dB": summary.layer_losses,
        "placed": [dict(zip(("operator", "unit", "function", "why"), row, strict=True)) for row in summary.placed],
        "instances": None if summary.instances is None else asdict(summary.instances),
        "energy_pJ": _by_operator(costs),
        "latency_ns": {operator: _range(costs.latency_ns[:, row]) for row, operator in enumerate(costs.operators)},
        "area_um2": {name: _range(costs.area_um2[:, column]) for column, name in enumerate(costs.components)},
        "converters": {
            operator: {"step_levels": item.step_levels, "end_code_fraction": item.clipped_fraction}
            for operator, item in summary.codes.items()
        },
        "warnings": list(costs.warnings),
        "notes": list(summary.notes),
        "assumed": list(summary.chip.get("assumed", ())),
        "seed": summary.seed,
        "recipe": summary.recipe,
        "command": summary.command,
    }


RANGES = ("energy_mJ", "frame_ms", "frames_per_s", "area_mm2", "leakage_mW", "tops_per_W", "power_mW")


def _range(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    low, mid, high = (float(value) for value in values)
    return {"low": low, "mid": mid, "high": high}


def _by_operator(costs: Costs) -> dict[str, dict[str, dict[str, float]]]:
    """Operator -> component -> range, without what costs nothing."""
    return {
        operator: {
            component: _range(costs.energy_pJ[:, row, column])
            for column, component in enumerate(costs.components)
            if costs.energy_pJ[:, row, column].any()
        }
        for row, operator in enumerate(costs.operators)
    }


def baseline_metrics(baseline: Baseline) -> dict[str, Any]:
    """The estimate of one processor, as plain data."""
    ranges = {name: _range(getattr(baseline, name)) for name in ("energy_mJ", "frame_ms", "frames_per_s")}
    return {**ranges, "boundary": baseline.boundary, "source": baseline.source, "assumed": baseline.assumed}


def metrics(data: ReportData) -> dict[str, Any]:
    """What stands in `metrics.json`: the page's numbers and their detail; infinite values become null."""
    return finite(
        {
            "format": METRICS_FORMAT,
            "signal": data.signal,
            data.kind: {**data.field, **data.float_quality},
            "chips": {summary.name: chip_metrics(summary) for summary in data.summaries},
            "baselines": {baseline.name: baseline_metrics(baseline) for baseline in data.baselines},
            "command": data.command,
            "versions": data.versions,
        }
    )


def finite(value: Any) -> Any:
    """Plain data without infinities and NaN, which JSON has no word for: they become None."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def headline(data: ReportData) -> str:
    """The result in one sentence."""
    chips = data.summaries
    column, name = SCORES[data.metric], data.signal["name"] if data.kind == "field" else data.field["model"]
    if not chips:
        return f"“{name}” as a neural {data.kind}: {written(data.float_quality[data.metric], column)} in float"
    best = [summary.quality[data.metric] for summary in chips]
    places = 1 if column.unit == "dB" else 3
    quality = _extent(best, lambda value: f"{value:.{places}f}" if math.isfinite(value) else number(value))
    quality = f"{quality} dB" if column.unit else f"{column.title} {quality}"
    quality = f"SNR {quality}" if data.metric == "snr_dB" else quality
    times, unit = energy_unit(max(summary.costs.energy_mJ[1] for summary in chips))
    energy = _extent([summary.costs.energy_mJ[1] * times for summary in chips], lambda value: number(value, 2))
    who = chips[0].name if len(chips) == 1 else f"{_spelled(len(chips))} chips"
    article = "an" if data.inference[0] in "aeiou" else "a"
    return f"“{name}” on {who}: {quality} for {energy}\N{NO-BREAK SPACE}{unit} {article} {data.inference}"


def written(value: float, column: Column) -> str:
    """A score with its unit; of those without one, the name goes before."""
    return f"{entry(value, column)} {column.unit}" if column.unit else f"{column.title} {entry(value, column)}"


def _extent(values: list[float], write: Any) -> str:
    low, high = write(min(values)), write(max(values))
    return low if low == high else f"{low} to {high}"


def _spelled(count: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return words[count] if count < len(words) else str(count)
