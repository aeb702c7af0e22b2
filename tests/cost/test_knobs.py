"""No free knobs: on a workload that uses every part, whatever is declared to cost something moves the bill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ohmfield.chip.chip import Chip
from ohmfield.chip.files import load_chip
from ohmfield.chip.memory import Dram
from ohmfield.cost.evaluate import evaluate
from ohmfield.mapping.place import place
from ohmfield.mapping.workload import Operator, Shapes, Workload
from ohmfield.spec import walk

# Two tables, one too large for the chip's memory; layers that need several groups and blocks; an unknown operation.
EVERYTHING = Workload(
    Shapes(
        (
            Operator("grid.address#0", "address", inputs=2, vectors=16, reads=64, function="hash"),
            Operator("grid.table#0", "table", outputs=2, rows=100_000, reads=64),
            Operator("wide.table#0", "table", outputs=2, rows=10_000_000, reads=64),
            Operator("grid.interpolate#0", "interpolate", inputs=2, outputs=2, vectors=16, reads=64),
            Operator("first#0", "linear", inputs=32, outputs=300),
            Operator("sine#0", "activation", outputs=300, function="sine"),
            Operator("middle#0", "linear", inputs=300, outputs=300),
            Operator("last#0", "linear", inputs=300, outputs=70),
            Operator("odd#0", "host", flops=100.0, bytes=10.0),
            Operator("copy#0", "host", flops=1.0, bytes=1000.0),
        )
    ),
    items=10_000,
)
# Where a knob has another value that cannot be reached by a factor.
CHOICES: dict[str, list[Any]] = {
    "encoding": ["offset"],
    "subtract": ["digital"],
    "fraction_of": ["g_max"],
    "rule": ["float"],
    "gains": [(1.0, 2.0, 8.0)],
    "enob": [6.0],
    "step_levels": [0.5],
    "signed": [],
    "match": [],
    "unit": [],
}


def figures(chip: Chip) -> np.ndarray:
    """Everything the bill says in numbers."""
    bill = evaluate(chip, EVERYTHING, place(EVERYTHING.shapes, chip))
    arrays = (bill.energy_pJ, bill.latency_ns, bill.fill_ns, bill.interval_ns, bill.area_um2, bill.leakage_uW)
    return np.concatenate([array.ravel() for array in arrays])


def others(path: str, value: Any) -> list[Any]:
    name = path.rpartition(".")[2]
    if name in CHOICES:
        return CHOICES[name]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [2 * value, value // 2, value + 1, value - 1]
    if isinstance(value, tuple):
        return [(*value, "a remark")]
    if isinstance(value, float):
        return [1.25 * value, 0.75 * value, 0.1]
    return ["something else"]


def changed(record: Any, path: list[str], value: Any) -> Any:
    name, *rest = path
    if isinstance(record, dict):
        return record | {name: changed(record[name], rest, value)}
    return replace(record, **{name: changed(getattr(record, name), rest, value) if rest else value})


def effect(record: Any, path: str) -> str:
    *folders, last = path.split(".")
    for folder in folders:
        record = record[folder] if isinstance(record, dict) else getattr(record, folder)
    return type(record).__pydantic_fields__[last].json_schema_extra["effect"]


def knobs() -> Iterator[tuple[str, str]]:
    for name in ("rram-40nm", "dcim-28nm"):
        for path, _, _ in walk(load(name)):
            if path != "place" and (name == "rram-40nm" or path.startswith("units.")):
                yield name, path


def load(name: str) -> Chip:
    """A preset with DRAM, and with arrays to spare for copies."""
    chip = load_chip(name)
    units = {key: replace(unit, num_arrays=1000) for key, unit in chip.units.items()}
    return replace(chip, dram=Dram(), units=units)


@pytest.mark.parametrize(("name", "path"), list(knobs()), ids=lambda text: str(text))
def test_a_knob_moves_the_bill_if_and_only_if_it_is_declared_to(name, path):
    chip = load(name)
    before, value = figures(chip), next(v for where, v, _ in walk(chip) if where == path)
    moved = tried = False
    for candidate in others(path, value):
        try:
            other = changed(chip, path.split("."), candidate)
        except ValueError:
            continue  # this record does not allow it
        tried = True
        moved = moved or not np.array_equal(figures(other), before)
    assert tried or not others(path, value)
    assert moved == (tried and effect(chip, path) in ("both", "cost"))
