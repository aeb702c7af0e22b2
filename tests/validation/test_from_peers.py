"""The page that translates peers' settings names only fields, kinds and models that exist."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from ohmfield.chip.array import Array
from ohmfield.chip.cells import CELLS
from ohmfield.chip.compensation import Compensation
from ohmfield.chip.converters import ADCS
from ohmfield.chip.dac import Dac
from ohmfield.chip.wires import Wires
from ohmfield.deploy import Recipe

PAGE = (Path(__file__).parents[2] / "docs" / "from_peers.md").read_text(encoding="utf-8")
RECORDS: dict[str, tuple[Any, ...]] = {
    "array": (Array,),
    "array.wires": (Wires,),
    "adc": tuple(ADCS.values()),
    "dac": (Dac,),
    "cell": tuple(CELLS.values()),
    "recipe": (Recipe,),
    "compensate": (Compensation,),
}


def ours() -> list[str]:
    """What stands in backticks in the second column of the two tables of settings."""
    found = []
    for line in PAGE.partition("## How equal")[0].splitlines():
        cells = re.split(r"(?<!\\)\|", line)
        if line.startswith("| ") and len(cells) == 5:
            found += re.findall(r"`([^`]+)`", cells[2])
    return found


NAMES = sorted(set(ours()) - {"here"})


def choices(record: Any, field: str) -> set[str]:
    """The names that a field allows."""
    hint = get_type_hints(record)[field]
    return {str(value) for part in (hint, *get_args(hint)) for value in get_args(part)}


@pytest.mark.parametrize("name", NAMES)
def test_what_the_page_names_exists(name: str) -> None:
    path, _, value = name.partition(": ")
    if path == "kind":
        assert value in {**CELLS, **ADCS}
        return
    place, _, field = path.rpartition(".")
    holders = [record for record in RECORDS[place] if field in {part.name for part in fields(record)}]
    assert holders, f"no {place} has {field}"
    if value and not value.isdigit():
        assert any(value in choices(record, field) for record in holders), f"{path} allows no {value}"


def test_the_tables_were_read() -> None:
    assert len(NAMES) >= 45
