"""The card at the end of a report: which chip, field and recipe, what was assumed, and how to make it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from ohmfield.report.summary import DeploymentSummary, ReportData
from ohmfield.report.tables import whole


def card(data: ReportData) -> str:
    """The card as HTML."""
    fit = {
        "signal" if data.kind == "field" else "inputs": _signal(data.signal),
        data.kind: ", ".join(
            f"{key}\N{NO-BREAK SPACE}= {_plain(value)}" for key, value in data.field.items() if key in FIELD_KEYS
        ),
        "command": _code(data.command),
        "versions": ", ".join(f"{name} {version}" for name, version in data.versions.items()),
    }
    baselines = [
        f"{baseline.name}: {baseline.source}{' (assumed)' if baseline.assumed else ''}" for baseline in data.baselines
    ]
    parts = [_definitions({key: value for key, value in fit.items() if value})]
    parts += [_chip(summary) for summary in data.summaries]
    if baselines:
        parts.append(f"<h3>Processors</h3>{lines(baselines)}")
    return "".join(parts)


FIELD_KEYS = ("model", "preset", "parameters", "bytes", "steps", "seed", "elapsed_s")


def _chip(summary: DeploymentSummary) -> str:
    chip, process = summary.chip, summary.chip.get("process", {})
    facts = {
        "chip": escape(str(chip.get("title") or summary.name)),
        "process": ", ".join(f"{name}\N{NO-BREAK SPACE}= {_plain(value)}" for name, value in process.items()),
        "source": escape(str(chip.get("source", ""))),
        "recipe": ", ".join(
            f"{name}\N{NO-BREAK SPACE}= {_plain(value)}"
            for name, value in summary.recipe.items()
            if value not in ({}, ())
        ),
        "chip instance": f"seed {summary.seed}",
        "boundary": escape(summary.costs.boundary),
        "efficiency": escape(summary.costs.efficiency),
        "command": _code(summary.command),
    }
    assumed = [str(line) for line in chip.get("assumed", ())]
    more = [
        (f"Assumed in {summary.name} ({len(assumed)})", assumed),
        ("Warnings of the bill", [w for w in summary.costs.warnings if w.removeprefix("assumed: ") not in assumed]),
        ("Paths taken and defaults", summary.notes),
    ]
    blocks = "".join(f"<h4>{escape(title)}</h4>{lines(items)}" for title, items in more if items)
    table = _definitions({key: value for key, value in facts.items() if value})
    return f"<h3>{escape(summary.name)}</h3>{table}{blocks}"


def lines(items: Iterable[str]) -> str:
    """A list, one line each."""
    return '<ul class="lines">' + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def _definitions(facts: Mapping[str, str]) -> str:
    """Names and values; the values are HTML already."""
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in facts.items()) + "</dl>"


def _signal(signal: Mapping[str, Any]) -> str:
    shape = " × ".join(str(side) for side in reversed(signal.get("shape", ())))
    if "channels" not in signal:  # the inputs of a model, items first
        shape = " × ".join(str(side) for side in signal.get("shape", ()))
        text = f"{signal.get('name', '')}, {shape}, {signal.get('scored', '?')} scored"
        return escape(f"{text}, digest {signal['digest']}" if "digest" in signal else text)
    text = f"{signal.get('name', '')}, {shape}, {signal.get('channels', '?')} channels, {signal.get('bits', '?')} bits"
    return escape(f"{text}, digest {signal['digest']}" if "digest" in signal else text)


def _code(command: str) -> str:
    return f"<code>{escape(command)}</code>" if command else ""


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "default"}[value]
    if isinstance(value, int):
        return whole(value)
    return escape(f"{value:.4g}" if isinstance(value, float) else str(value))
