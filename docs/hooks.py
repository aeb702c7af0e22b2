"""The table of every field of a chip, written from the records themselves, where a page says `<!-- knobs -->`."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from typing import Any

import annotated_types

import ohmfield.chip

FIRST = ("chip", "units", "cells", "array", "dac", "adc", "converters")

MOVES = {
    "both": "picture and bill",
    "cost": "bill",
    "environment": "picture (surroundings)",
    "label": "nothing",
}

LIMITS = {
    annotated_types.Gt: (">", "gt"),
    annotated_types.Ge: ("≥", "ge"),
    annotated_types.Lt: ("<", "lt"),
    annotated_types.Le: ("≤", "le"),
}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with its table."""
    return markdown.replace("<!-- knobs -->", knobs()) if "<!-- knobs -->" in markdown else markdown


def records() -> list[type]:
    """Every record a chip is made of: the whole chip and its units first, then by file."""
    names = [m.name for m in pkgutil.walk_packages(ohmfield.chip.__path__, "ohmfield.chip.")]
    place = {name: index for index, name in enumerate(FIRST)}
    names.sort(key=lambda name: (place.get(name.split(".")[2], len(place)), name))
    return [
        member
        for name in names
        for member in vars(importlib.import_module(name)).values()
        if inspect.isclass(member) and member.__module__ == name and hasattr(member, "__pydantic_fields__")
    ]


def knobs() -> str:
    """One Markdown table per record: field, default, allowed, what it moves, what it is."""
    parts = []
    for record in records():
        rows = [row(name, field) for name, field in record.__pydantic_fields__.items() if own(record, name)]
        kind = getattr(record, "kind", None)
        if rows or kind:
            title = f"### {record.__name__}" + (f" (`kind: {kind}`)" if kind else "")
            summary = (inspect.getdoc(record) or "").split("\n\n")[0].replace("\n", " ")
            head = ["| field | default | allowed | moves | |", "|---|---|---|---|---|"] if rows else []
            parts.append("\n".join([title, "", summary, "", *head, *rows]))
    return "\n\n".join(parts)


def own(record: type, name: str) -> bool:
    """Whether `record` declares the field itself, rather than inherit it."""
    return name in inspect.get_annotations(record)


def row(name: str, field: Any) -> str:
    """One field as a table row."""
    extra = field.json_schema_extra or {}
    default = "required" if field.is_required() else plain(field.default)
    moves = MOVES.get(extra.get("effect", ""), "see its own fields")
    return f"| `{name}` | {default} | {allowed(field)} | {moves} | {field.description or ''} |"


def plain(value: object) -> str:
    """A default as people read it."""
    if value is None or value in ("", ()):
        return "none"
    return f"`{type(value).__name__}()`" if dataclasses.is_dataclass(value) else f"`{value}`"


def allowed(field: Any) -> str:
    """The declared range, or the choices."""
    bounds = [f"{LIMITS[type(m)][0]} {getattr(m, LIMITS[type(m)][1]):g}" for m in field.metadata if type(m) in LIMITS]
    choices = [f"`{choice}`" for choice in getattr(field.annotation, "__args__", ()) if isinstance(choice, str)]
    return ", ".join(bounds or choices)
