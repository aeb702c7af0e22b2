"""What pages do not say themselves: every field of a chip, from the records; every measured number, from its file.

`<!-- knobs -->` becomes the table of fields, `<!-- chips -->` and `<!-- baselines -->` those of the presets.
`<!-- result: wires / seconds / 128 | .2f -->` becomes that value of `benchmarks/results/wires.json` in that format; a
value that is not there stops the build. `<!-- silicon: area_um2 -->` becomes one line per published row,
`<!-- silicon sources -->` one per chip.
"""

from __future__ import annotations

import json
import re
from itertools import groupby
from pathlib import Path
from typing import Any

from ohmfield.chip.files import PRESETS, list_chips, load_baseline, load_chip
from ohmfield.chip.knobs import Row, knob_table

MOVES = {
    "both": "picture and bill",
    "cost": "bill",
    "environment": "picture (surroundings)",
    "label": "nothing",
}
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
RESULT = re.compile(r"<!-- result: (?P<place>[^|>]+?)(?: \| (?P<form>[^>]+?))? -->")
HEAD = ["| field | default | allowed | moves | what it is |", "|---|---|---|---|---|"]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with its tables and numbers."""
    markdown = RESULT.sub(result, markdown)
    if "<!-- chips -->" in markdown:
        markdown = markdown.replace("<!-- chips -->", chips()).replace("<!-- baselines -->", baselines())
    if "<!-- silicon" in markdown:
        for quantity, unit in SILICON.items():
            markdown = markdown.replace(f"<!-- silicon: {quantity} -->", silicon(quantity, *unit))
        markdown = markdown.replace("<!-- silicon sources -->", silicon_sources())
    return markdown.replace("<!-- knobs -->", knobs()) if "<!-- knobs -->" in markdown else markdown


# Quantities of `silicon.json`: head of the column, and what a value is multiplied by.
SILICON = {"energy_fJ_per_MAC": ("fJ per MAC", 1.0), "area_um2": ("mm2", 1e-6)}


def silicon(quantity: str, unit: str, scale: float) -> str:
    """One line per row that reports `quantity`: reported, ours with its 80 % interval, and what ours is made of."""
    lines = [f"| row | reported, {unit} | ours | 80 % interval | times | made of |", "|---|---|---|---|---|---|"]
    for name, facts in json.loads((RESULTS / "silicon.json").read_text())["row"].items():
        if quantity in facts:
            found = facts[quantity]
            reported, model, (low, high) = found["reported"], found["model"], found["interval"]
            whole = sum(found["parts"].values())
            shares = sorted(found["parts"].items(), key=lambda part: -part[1])[:3]
            made = ", ".join(f"{part.replace('_', ' ')} {100 * value / whole:.0f} %" for part, value in shares)
            cells = [
                name if facts["group"] == "silicon" else f"{name} ({facts['group']})",
                *(f"{reported * scale:.4g}", f"{model * scale:.3g}", f"{low * scale:.3g} … {high * scale:.3g}"),
                *(f"{model / reported:.2f}", made),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def silicon_sources() -> str:
    """One line per chip: source, boundary, what is assumed, and the constants it held up when the rows were frozen."""
    lines = ["| chip | source | boundary | assumed | constants taken from it |", "|---|---|---|---|---|"]
    columns, seen = ("chip", "source", "boundary", "assumed", "held_up"), set[tuple[str, str]]()
    for facts in json.loads((RESULTS / "silicon.json").read_text())["row"].values():
        if (facts["chip"], facts["assumed"]) not in seen:
            seen.add((facts["chip"], facts["assumed"]))
            lines.append(f"| {' | '.join(facts[column] for column in columns)} |")
    return "\n".join(lines)


def result(match: re.Match[str]) -> str:
    """One measured value: file, then keys (or positions in lists), as formatted."""
    file, *keys = match["place"].split(" / ")
    value = json.loads((RESULTS / f"{file}.json").read_text())
    for key in keys:
        value = value[int(key)] if isinstance(value, list) else value[key]
    return format(value, match["form"] or "")


def chips() -> str:
    """One line per preset: what its file says of itself."""
    lines = ["| preset | what | of | source | lines assumed |", "|---|---|---|---|---|"]
    for name in list_chips():
        chip = load_chip(name)
        lines.append(f"| {name} | {chip.title} | {chip.boundary} | {chip.source} | {len(chip.assumed)} |")
    return "\n".join(lines)


def baselines() -> str:
    """One line per processor that comes with the package."""
    lines = ["| baseline | what | TFLOP/s | GB/s | FLOP per byte | W | source |", "|---|---|---|---|---|---|---|"]
    for name in sorted(path.stem for path in (PRESETS / "baselines").glob("*.yaml")):
        it = load_baseline(name)
        figures = f"{it.peak_GFLOPs / 1e3:g} | {it.bandwidth_GBps:g} | {it.ridge_FLOP_per_byte:.0f} | {it.busy_W:g}"
        lines.append(f"| {name} | {it.name} | {figures} | {it.source} |")
    return "\n".join(lines)


def knobs() -> str:
    """One table per record of a chip, under its path in a file."""
    parts = []
    for path, rows in groupby(sorted(knob_table(), key=depth), key=parent):
        title = f"### `{path}`" if path else "### The chip itself"
        parts.append("\n".join([title, "", *HEAD, *map(line, rows)]))
    return "\n\n".join(parts)


def depth(row: Row) -> bool:
    """Fields of the chip itself first; everything else stays in the order of the file."""
    return bool(parent(row))


def parent(row: Row) -> str:
    """The path of the record a field stands in."""
    return row.path.rpartition(".")[0]


def line(row: Row) -> str:
    """One field as a table row."""
    cells = [f"`{row.path.rpartition('.')[2]}`", row.default or "empty", row.allowed, MOVES[row.effect], row.doc]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
