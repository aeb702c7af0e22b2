"""The sections of the page on other chips of a design, on single layers, and on what runs where."""

from __future__ import annotations

from html import escape

from ohmfield.report.drawing import Drawn
from ohmfield.report.sections import chart, grid, note_of, value
from ohmfield.report.spread import CAUSES, shown_layers
from ohmfield.report.summary import DeploymentSummary, ReportData, slug
from ohmfield.report.tables import SCORES, entry, number

FOLDED = 40  # operators, beyond which the table is folded


def instances_section(data: ReportData, drawn: Drawn) -> str:
    """Scores of drawn instances: a strip and a row of numbers for each chip that has them."""
    found = [(summary, summary.instances) for summary in data.summaries if summary.instances is not None]
    if not found:
        return ""
    column = SCORES[data.metric]
    heads = {"mean": "mean", "spread": "sd", "mean_low": "mean, low", "mean_high": "mean, high"}
    heads |= {"tenth": "10th percentile", "worst": "worst"}
    rows = []
    for summary, known in found:
        where = ("chips", summary.name, "instances")
        cells = ""
        for key, title in heads.items():
            figure = getattr(known, key)
            told = number(figure) if key == "spread" else entry(figure, column)
            cells += f'<td data-label="{title}"><span>{value(figure, told, *where, key)}</span></td>'
        count = f"<small>{len(known.seeds)} instances, seeds {min(known.seeds)} to {max(known.seeds)}</small>"
        rows.append(f'<tr><th scope="row">{escape(summary.name)}{count}</th>{cells}</tr>')
    head = "".join(f'<th scope="col">{title}<small>{column.unit}</small></th>' for title in heads.values())
    strips = "".join(
        chart(drawn, f"{slug(summary.name)}-instances", f"<b>{escape(summary.name)}</b>") for summary, _ in found
    )
    note = (
        "Chips of one design, each with errors of its own: the same weights and converter ranges. A dot is a chip; the "
        "bar below spans the mean at 95 % (Student's t), the dashed line is the 10th percentile: nine in ten do better."
    )
    table = f'<div class="scroll"><table><thead><tr><th scope="col">Chip</th>{head}</tr></thead><tbody>'
    return f"{note_of(note)}{grid('charts', strips)}{table}{''.join(rows)}</tbody></table></div>"


def layers_section(data: ReportData, drawn: Drawn) -> str:
    """What each layer alone loses, by cause."""
    found = [summary for summary in data.summaries if summary.layer_losses]
    if not found:
        return ""
    causes = dict.fromkeys(cause for one in found for losses in one.layer_losses.values() for cause in losses)
    key = "".join(f'<li><i style="background: {CAUSES.get(cause, "")}"></i>{cause}</li>' for cause in causes)
    panels = "".join(
        chart(drawn, f"{slug(summary.name)}-by-layer", f"<b>{escape(summary.name)}</b>{_left_out(summary)}")
        for summary in found
    )
    note = (
        "One layer at a time has its errors, all others are ideal: how far the error it adds to the output lies below "
        "that output. A mark is one cause more, in this order; the lowest, in figures, says where more bits or better "
        "cells would help first. Layers on digital units lose nothing here."
    )
    return f'{note_of(note)}<ul class="key">{key}</ul>{grid("charts", panels)}'


def _left_out(summary: DeploymentSummary) -> str:
    left = len(summary.layer_losses) - len(shown_layers(summary))
    return f"; {left} more layers lose less" if left else ""


def placed_section(data: ReportData) -> str:
    """Where every operator runs, and why what stays digital does."""
    tables = []
    for summary in data.summaries:
        if not summary.placed:
            continue
        rows = "".join(
            f'<tr><th scope="row">{escape(operator)}</th><td data-label="function">{escape(function)}</td>'
            f'<td data-label="runs on">{escape(unit.replace("_", " "))}</td>'
            f'<td data-label="why">{escape(why) or "–"}</td></tr>'
            for operator, unit, function, why in summary.placed
        )
        head = "".join(
            f'<th scope="col">{title}</th>' for title in ("Operator", "function", "runs on", "why not on arrays")
        )
        table = f'<table class="words"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        table = f'<div class="scroll">{table}</div>'
        hosted = sum(unit == "host" for _, unit, _, _ in summary.placed)
        told = f"{len(summary.placed)} operators, {hosted} of them on the host"
        if len(summary.placed) > FOLDED:
            table = f"<details><summary>{told}</summary>{table}</details>"
            told = ""
        tables.append(f"<h3>{escape(summary.name)}</h3>{note_of(told) if told else ''}{table}")
    return "".join(tables)
