"""What a person sees in the terminal: short tables, and what is being done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from ohmfield.report.summary import Baseline, DeploymentSummary
from ohmfield.report.tables import number


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


def deployments(summaries: Sequence[DeploymentSummary], baselines: Sequence[Baseline] = ()) -> Table:
    """Quality, energy, speed and area of each chip; low to high stands in the report."""
    rows = [
        [
            summary.name,
            f"{summary.quality['psnr_dB']:.2f}",
            f"{summary.lost_dB:.2f}",
            number(summary.costs.energy_mJ[1]),
            number(summary.costs.frames_per_s[1]),
            number(summary.costs.area_mm2[1]),
            number(summary.costs.tops_per_W[1]),
        ]
        for summary in summaries
    ]
    rows += [
        [f"{baseline.name} (roofline)", "", "", number(baseline.energy_mJ[1]), number(baseline.frames_per_s[1]), "", ""]
        for baseline in baselines
    ]
    return table("", ("", "PSNR dB", "lost dB", "mJ/frame", "FPS", "mm²", "TOPS/W"), rows)
