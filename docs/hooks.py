"""The table of every field of a chip, written from the records themselves, where a page says `<!-- knobs -->`."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from ohmfield.chip.knobs import Row, knob_table

MOVES = {
    "both": "picture and bill",
    "cost": "bill",
    "environment": "picture (surroundings)",
    "label": "nothing",
}
HEAD = ["| field | default | allowed | moves | what it is |", "|---|---|---|---|---|"]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with its tables."""
    return markdown.replace("<!-- knobs -->", knobs()) if "<!-- knobs -->" in markdown else markdown


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
