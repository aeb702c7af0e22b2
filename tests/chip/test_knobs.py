"""The declared effect of every knob holds: what a designer pays for moves the price, what is a label does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
import yaml

from ohmfield.chip.cells.rram import RramCell
from ohmfield.chip.chip import Chip
from ohmfield.chip.converters import ADCS
from ohmfield.chip.files import PRESETS, load_chip
from ohmfield.chip.knobs import chip_schema, knob_table
from ohmfield.chip.memory import Dram
from ohmfield.chip.units import Crossbar, DigitalCim
from ohmfield.spec import build, to_plain, walk

# Knobs that change how often something happens, not what it costs once; the bill's own tests hold them.
COUNTED = {"max_copies", "inferences_per_write"}


def price(chip: Chip) -> np.ndarray:
    """Every cost of every leaf of a chip, in one vector."""
    p, costs = chip.process, []
    for unit in chip.units.values():
        parts = unit.parts(p, 8, 8)
        costs += [part.times(unit.num_arrays) for part in parts.values()]
        costs += [unit.drive(p), unit.shift_add(p, 24)]
        if isinstance(unit, Crossbar):
            array = unit.array
            reads = unit.cell.read(p, unit.cell.mean_uS(unit.default_fill), array)
            planes = unit.dac.num_planes(8)
            groups = -(-256 // array.rows_active)
            costs += [reads, unit.cell.write(p), unit.control(p)]
            costs += [unit.convert(p).times(array.conversions_per_weight(8) * planes * groups)]
        if isinstance(unit, DigitalCim):
            costs += [unit.add(p, 8), unit.write(p), unit.control(p).times(float(unit.digits(8)))]
    costs += [chip.requantiser.value(p, 24), chip.requantiser.part(p, 24)]
    costs += [chip.activation.value(p, "sine"), chip.activation.part(p, ("sine",))]
    assert chip.gather is not None
    assert chip.table_memory is not None
    assert chip.dram is not None
    costs += [chip.gather.address(p, 2), chip.gather.interpolate(p, 2, 2), chip.gather.part(p, 2, 2)]
    for memory in (chip.table_memory, chip.buffer):
        costs += [memory.read(p), memory.write(p), memory.part(p)]
    costs += [chip.dram.transfer(1e3), chip.host.cost(1e6, 10.0, 2), chip.host.cost(1.0, 1e6, 2)]
    return np.concatenate([np.ravel(getattr(cost, field.name)) for cost in costs for field in fields(cost)])


def sample_chips() -> Iterator[tuple[str, Chip]]:
    """Presets with every optional part, and one per kind of converter."""
    base = {name: replace(load_chip(name), dram=Dram()) for name in ("rram-40nm", "dcim-28nm")}
    yield from base.items()
    plain = to_plain(base["rram-40nm"])
    for kind in ADCS:
        plain["units"]["crossbar"]["adc"] |= {"kind": kind, "step_levels": 1.0}
        yield f"rram with {kind}", build(Chip, plain)
    plain["units"]["crossbar"]["array"] |= {"cell_bits": 1, "read_voltage_V": 0.9}
    plain["units"]["crossbar"]["cell"] = {"kind": "sram", "g_min_uS": 10.0, "g_max_uS": 60.0}
    yield "analog sram", build(Chip, plain)


def other_values(value: Any, path: str) -> list[Any]:
    """Values near `value`; the first one the record accepts is taken."""
    name = path.rpartition(".")[2]
    if isinstance(value, bool):
        return [not value]
    if name == "gains":
        return [(1.0, 2.0, 8.0)]
    choices = {
        "encoding": ["offset"],
        "subtract": ["digital"],
        "fraction_of": ["g_max", "target"],
        "rule": ["float"],
        "signed": [],
        "enob": [6.0],
        "step_levels": [0.5],
    }
    if name in choices:
        return choices[name]
    if isinstance(value, int):
        return [value * 2, value + 1, value - 1, value // 2]
    if isinstance(value, float):
        return [value * 1.25, value * 0.75, 0.1]
    return ["something else"] if isinstance(value, str) else []


def changed(record: Any, path: list[str], value: Any) -> Any:
    name, *rest = path
    if isinstance(record, dict):
        return record | {name: changed(record[name], rest, value)}
    new = changed(getattr(record, name), rest, value) if rest else value
    return replace(record, **{name: new})


CHIPS = dict(sample_chips())
PRICES = {name: price(chip) for name, chip in CHIPS.items()}
# All of the first chip, and what each other one adds.
ADDED = {"rram-40nm": "", "dcim-28nm": "units.", "analog sram": "units.crossbar.cell."}
KNOBS = [
    (name, path)
    for name, chip in CHIPS.items()
    for path, _, _ in walk(chip)
    if path != "place" and path.startswith(ADDED.get(name, "units.crossbar.adc."))
]


@pytest.mark.parametrize(("name", "path"), KNOBS, ids=lambda text: str(text))
def test_what_is_paid_for_moves_the_price(name: str, path: str) -> None:
    chip = CHIPS[name]
    if path.rpartition(".")[2] in COUNTED:
        return
    value = next(v for where, v, _ in walk(chip) if where == path)
    others = []
    for candidate in other_values(value, path):
        try:
            others.append(changed(chip, path.split("."), candidate))
        except ValueError:
            continue
    if not others:
        assert path.endswith((".signed", "assumed"))  # one choice so far; a list of remarks
        return
    moved = any(not np.array_equal(price(other), PRICES[name]) for other in others)
    assert moved == (_effect(chip, path) in ("both", "cost"))


def _effect(chip: Chip, path: str) -> str:
    record: Any = chip
    *folders, last = path.split(".")
    for folder in folders:
        record = record[folder] if isinstance(record, dict) else getattr(record, folder)
    return type(record).__pydantic_fields__[last].json_schema_extra["effect"]


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
    assert rows["units.* (crossbar).array.encoding"].allowed == "differential, offset"
    assert {path.rpartition(".")[2] for path in rows if "(rram)" in path} == {field.name for field in fields(RramCell)}


def test_the_table_covers_every_field_of_the_presets() -> None:
    known = {row.path.rpartition(".")[2] for row in knob_table()}
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
    for name in ("rram-40nm", "dcim-28nm", "hybrid-40nm"):
        data = yaml.safe_load((PRESETS / f"{name}.yaml").read_text())
        assert matches(schema, data), name
        assert not matches(schema, {**data, "surprise": 1})
        assert not matches(schema, {**data, "process": {**data["process"], "node_nm": 500}})
        assert not matches(schema, {key: value for key, value in data.items() if key != "host"})


def test_every_record_below_a_chip_is_a_dataclass() -> None:
    assert all(not is_dataclass(value) for chip in CHIPS.values() for path, value, _ in walk(chip) if path != "place")
