"""What pages do not say themselves: every field of a chip, from the records; every measured number, from its file.

`<!-- knobs -->` becomes the table of fields. `<!-- result: wires / seconds / 128 | .2f -->` becomes that value of
`benchmarks/results/wires.json` in that format; a value that is not there stops the build.
"""

from __future__ import annotations

import json
import re
from itertools import groupby
from pathlib import Path
from typing import Any

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
    return markdown.replace("<!-- knobs -->", knobs()) if "<!-- knobs -->" in markdown else markdown


def result(match: re.Match[str]) -> str:
    """One measured value: file, then keys (or positions in lists), as formatted."""
    file, *keys = match["place"].split(" / ")
    value = json.loads((RESULTS / f"{file}.json").read_text())
    for key in keys:
        value = value[int(key)] if isinstance(value, list) else value[key]
    return format(value, match["form"] or "")


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
