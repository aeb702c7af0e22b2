"""The table of knobs and the schema for editors say what the records say; what a knob costs, the bill's tests try."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import yaml

from ohmfield.chip.cells.rram import RramCell
from ohmfield.chip.files import PRESETS, list_chips, load_chip
from ohmfield.chip.knobs import chip_schema, knob_table
from ohmfield.chip.memory import Dram
from ohmfield.spec import walk

CHIPS = {name: replace(load_chip(name), dram=Dram()) for name in list_chips()}


def test_every_knob_says_what_it_is() -> None:
    rows = knob_table()
    assert len({row.path for row in rows}) == len(rows)
    for row in rows:
        assert row.effect in ("both", "cost", "environment", "label"), row
        assert len(row.doc) > 5, row


def test_the_table_reads_the_declarations() -> None:
    rows = {row.path: row for row in knob_table()}
    bits = rows["units.* (crossbar).adc (sar).bits"]
    assert (bits.effect, bits.default, bits.allowed) == ("both", "8", ">= 1, <= 14")
    assert rows["place[].unit"].effect == "both"
    assert rows["units.* (crossbar).array.encoding"].allowed.startswith("differential, offset, ")
    assert {path.split("(rram).")[1].split(".")[0] for path in rows if "(rram)" in path} == {
        field.name for field in fields(RramCell)
    }


def test_the_table_covers_every_field_of_the_presets() -> None:
    known = {
        part.partition(" (")[0] for row in knob_table() for part in row.path.split(".")
    }  # a record left out is a leaf here
    for chip in CHIPS.values():
        for path, _, _ in walk(chip):
            assert path.rpartition(".")[2].removesuffix("[]") in known | {"place"}, path


def matches(schema: dict[str, Any], data: Any) -> bool:
    """Just enough of JSON schema for ours: objects, arrays, alternatives, constants, limits."""
    if "const" in schema:
        return data == schema["const"]
    for word in ("oneOf", "anyOf"):
        if word in schema:
            return any(matches(option, data) for option in schema[word])
    kind = schema.get("type")
    if kind == "object":
        known, extra = schema.get("properties", {}), schema.get("additionalProperties", True)
        if not isinstance(data, dict) or not set(schema.get("required", ())) <= set(data):
            return False
        return all(
            matches(known[key], value) if key in known else isinstance(extra, dict) and matches(extra, value)
            for key, value in data.items()
        )
    if kind == "array":
        return isinstance(data, list) and all(matches(schema["items"], value) for value in data)
    if kind in ("number", "integer"):
        fits = isinstance(data, int) or (kind == "number" and isinstance(data, float))
        return fits and schema.get("minimum", -np.inf) <= data <= schema.get("maximum", np.inf)
    return kind not in ("string", "boolean", "null") or isinstance(
        data, {"string": str, "boolean": bool, "null": type(None)}[kind]
    )


def test_the_schema_takes_the_presets_and_refuses_faults() -> None:
    schema = json.loads(json.dumps(chip_schema()))
    for name in ("rram-40nm", "dcim-28nm", "hybrid-40nm", "pcm-14nm"):
        data = yaml.safe_load((PRESETS / f"{name}.yaml").read_text())
        assert matches(schema, data), name
        assert not matches(schema, {**data, "surprise": 1})
        assert not matches(schema, {**data, "process": {**data["process"], "node_nm": 500}})
        assert not matches(schema, {key: value for key, value in data.items() if key != "host"})


def test_every_record_below_a_chip_is_a_dataclass() -> None:
    assert all(not is_dataclass(value) for chip in CHIPS.values() for path, value, _ in walk(chip) if path != "place")
