"""The report on disk: `report.html`, `metrics.json` and `figures/`, each written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from ohmfield.files import write_atomic
from ohmfield.fit.runs import write_json
from ohmfield.report import figures, pictures
from ohmfield.report.drawing import draw
from ohmfield.report.page import page
from ohmfield.report.summary import ReportData
from ohmfield.report.tables import metrics


def write_report(data: ReportData, out: Path) -> Path:
    """Write the report into the folder `out` and return the path of its page, which comes last."""
    drawn = draw(data)
    for name, image in drawn.images.items():
        write_atomic(out / "figures" / f"{name}.png", pictures.png(image))
    for name, (figure, _) in drawn.charts.items():
        write_atomic(out / "figures" / f"{name}.png", figures.png(figure))
    write_json(out / "metrics.json", metrics(data))
    write_atomic(out / "report.html", page(data, drawn).encode())
    return out / "report.html"
