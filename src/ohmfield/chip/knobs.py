"""Every knob of a chip: a table for the docs and a JSON schema for editors, both read off the records."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from ohmfield.chip.adc import Adc
from ohmfield.chip.cells import CELLS
from ohmfield.chip.cells.base import Cell
from ohmfield.chip.chip import Chip
from ohmfield.chip.converters import ADCS
from ohmfield.chip.links import LINKS, Link
from ohmfield.chip.memory import MEMORIES, Memory, Sram
from ohmfield.chip.units import UNITS, Unit

FAMILIES: dict[type, dict[str, Any]] = {Cell: CELLS, Adc: ADCS, Unit: UNITS, Memory: MEMORIES, Link: LINKS}
UNNAMED = (Sram,)  # their kind goes without saying


@dataclass(frozen=True)
class Row:
    """One knob. `path` is as in a file, `*` for a name of the user's, `(kind)` where a family member adds it."""

    path: str
    effect: str
    default: str
    allowed: str
    doc: str


def knob_table() -> list[Row]:
    """All knobs of a chip in the order of the file."""
    return list(_rows(Chip, ""))


def _rows(cls: type, path: str) -> Iterator[Row]:
    for name, field in _fields(cls).items():
        here = f"{path}{name}"
        inner, many = _record(field.annotation)
        if inner is None:
            yield Row(here, _effect(field), _default(field), _allowed(field), field.description or "")
            continue
        here += many
        for kind, member in FAMILIES.get(inner, {"": inner}).items():
            yield from _rows(member, f"{here} ({kind})." if kind else f"{here}.")


def _fields(cls: type) -> dict[str, FieldInfo]:
    return typing.cast(Any, cls).__pydantic_fields__


def _record(annotation: Any) -> tuple[type | None, str]:
    """The record or family inside an annotation, and how a path goes through it: `.*` for mappings, `[]` for lists."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _record(typing.get_args(annotation)[0])
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return annotation, ""
    through = {dict: ".*", tuple: "[]"}.get(typing.get_origin(annotation) or object, "")
    for argument in typing.get_args(annotation):
        inner, deeper = _record(argument)
        if inner is not None:
            return inner, through + deeper
    return None, ""


def _effect(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra.get("effect", "")) if isinstance(extra, dict) else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "none" if field.default is None else str(field.default)


def _allowed(field: FieldInfo) -> str:
    """`1 ... 14`, choices, or the type."""
    choices = typing.get_args(field.annotation) if typing.get_origin(field.annotation) is typing.Literal else ()
    if choices:
        return ", ".join(str(choice) for choice in choices)
    signs = {"gt": "> {}", "ge": ">= {}", "lt": "< {}", "le": "<= {}", "min_length": "at least {} given"}
    limits = [
        text.format(getattr(limit, name))
        for limit in field.metadata
        for name, text in signs.items()
        if getattr(limit, name, None) is not None
    ]
    if limits:
        return ", ".join(limits)
    plain = isinstance(field.annotation, type) and not isinstance(field.annotation, types.GenericAlias)
    return {"bool": "true, false", "str": "text"}.get(getattr(field.annotation, "__name__", ""), "") if plain else ""


def chip_schema() -> dict[str, Any]:
    """JSON schema of a chip file, for completion and checks in editors; family members added by a user included."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Ohmfield chip", **_schema(Chip)}


def _schema(cls: type, kind: str = "") -> dict[str, Any]:
    properties: dict[str, Any] = {"kind": {"const": kind}} if kind else {}
    required = ["kind"] if kind and cls not in UNNAMED else []
    for name, field in _fields(cls).items():
        properties[name] = _field_schema(field)
        if field.is_required():
            required.append(name)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _field_schema(field: FieldInfo) -> dict[str, Any]:
    inner, many = _record(field.annotation)
    if inner is None:
        leaf: Any = typing.Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        return {**TypeAdapter(leaf).json_schema(), "description": field.description or ""}
    members = FAMILIES.get(inner)
    schema = {"oneOf": [_schema(m, k) for k, m in members.items()]} if members else _schema(inner)
    if many == ".*":
        return {"type": "object", "additionalProperties": schema}
    if many == "[]":
        return {"type": "array", "items": schema}
    return schema if field.is_required() else {"anyOf": [schema, {"type": "null"}]}
