"""What a person sees in the terminal: short tables, and what is being done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from ohmfield.report.summary import ReportData
from ohmfield.report.tables import SCORES, columns_of, entry, lost_key, number


def progress() -> Console:
    """The console for progress: the standard error stream, so that `--json` keeps the output to itself."""
    return Console(stderr=True, highlight=False)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], words: bool = False) -> Table:
    """A plain table: numbers to the right, `words` to the left."""
    made = Table(
        title=title or None,
        title_justify="left",
        box=None,
        show_header=any(columns),
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for place, column in enumerate(columns):
        made.add_column(column, justify="left" if words or place == 0 else "right", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def show(*parts: Any) -> None:
    """Print for a person."""
    console = Console(highlight=False, soft_wrap=True)
    for part in parts:
        console.print(part, markup=False) if isinstance(part, str) else console.print(part)


def deployments(data: ReportData) -> Table:
    """Score, energy, speed and area of each chip; other scores, low and high stand in the report."""
    per = data.inference
    scores = [column for column in columns_of(data) if column.key in (data.metric, "agreement", lost_key(data.metric))]
    heads = [f"{LOSS.get(column.key, column.title)} {column.unit}".strip() for column in scores]
    rates = (f"mJ/{per}", "FPS" if per == "frame" else f"{per}s/s", "mm²", "TOPS/W")
    rows = []
    for summary in data.summaries:
        plain, costs = {**summary.quality, lost_key(summary.metric): summary.lost}, summary.costs
        told = [entry(plain[column.key], column) for column in scores]
        billed = (costs.energy_mJ, costs.frames_per_s, costs.area_mm2, costs.tops_per_W)
        rows.append([summary.name, *told, *(number(each[1]) for each in billed)])
    return table("", ("", *heads, *rates), rows)


LOSS = {"lost_dB": "lost", "lost": "lost", "agreement": "as float"}
"""Shorter headings, for a narrow terminal."""


def instances(data: ReportData) -> list[Table]:
    """What the drawn instances of each chip say of its design; nothing where one was drawn."""
    column = SCORES[data.metric]
    names = ("instances", "mean", "sd", "mean at 95 %", "10th percentile", "worst")
    rows = []
    for summary in data.summaries:
        if (drawn := summary.instances) is not None:
            mean, low, high, tenth, worst = (
                entry(each, column) for each in (drawn.mean, drawn.mean_low, drawn.mean_high, drawn.tenth, drawn.worst)
            )
            count, spread = str(len(drawn.seeds)), number(drawn.spread)
            rows.append([summary.name, count, mean, spread, f"{low} – {high}", tenth, worst])
    title = f"{column.title}, {column.unit}".removesuffix(", ")
    return [table(title, ("", *names), rows)] if rows else []
