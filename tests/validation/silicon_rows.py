"""Published rows of fabricated macros and what a regression without a model makes of them.

`silicon_rows.csv` was frozen before the model saw it: facts, boundary, what was assumed where a source is silent, and
the constants each chip held up then. A chip counts once: the median over its rows.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

PATH = Path(__file__).parent / "silicon_rows.csv"
LATER = Path(__file__).parent / "silicon_later.csv"  # chips looked up after the laws stood, frozen before they were run


@dataclass(frozen=True)
class Row:
    """One published operating point. Absent figures are NaN."""

    row: str
    chip: str
    group: str  # silicon: counts; later: held out; model: architecture or post-layout; memory: figures from memory
    boundary: str
    node_nm: float
    supply_V: float
    clock_MHz: float
    banks: float
    rows: float
    columns: float
    weight_bits: float
    input_bits: float
    adc_bits: float
    input_activity: float
    weight_activity: float
    energy_fJ_per_MAC: float
    area_um2: float
    held_up: str
    source: str
    assumed: str


def load(path: Path) -> tuple[Row, ...]:
    """All rows in the order of the file."""
    text = {field.name for field in fields(Row) if field.type == "str"}
    with path.open(newline="", encoding="utf-8") as handle:
        read = list(csv.DictReader(handle))
    return tuple(_row(line, text) for line in read)


def _row(line: Mapping[str, str], text: set[str]) -> Row:
    typed: Any = {name: value if name in text else float(value or "nan") for name, value in line.items()}
    return Row(**typed)


def digest(path: Path) -> str:
    """SHA-256 of a file, which a test holds."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


ROWS, LATER_ROWS = load(PATH), load(LATER)
SILICON = tuple(row for row in ROWS if row.group == "silicon")


def by_chip(rows: Iterable[Row], quantity: str) -> dict[str, list[Row]]:
    """Rows that report `quantity`, by chip."""
    chips: dict[str, list[Row]] = {}
    for row in rows:
        if not math.isnan(getattr(row, quantity)):
            chips.setdefault(row.chip, []).append(row)
    return chips


def chip_ratios(rows: Iterable[Row], quantity: str, predict: Callable[[Row], float]) -> dict[str, float]:
    """Model over reported of each chip: the median of the logarithm over its rows."""
    return {
        chip: math.exp(float(np.median([math.log(predict(row) / getattr(row, quantity)) for row in own])))
        for chip, own in by_chip(rows, quantity).items()
    }


def factor(ratio: float) -> float:
    """Times off, either way."""
    return max(ratio, 1.0 / ratio)


# ---- the baseline: a line through logarithms, no circuit in it -------------------------------------------------------


def _energy_terms(row: Row) -> list[float]:
    bits = row.weight_bits * row.input_bits
    return [1.0, math.log(row.node_nm), math.log(row.supply_V), math.log(bits), math.log(1.0 + row.adc_bits)]


def _area_terms(row: Row) -> list[float]:
    cells = row.banks * row.rows * row.columns
    return [1.0, math.log(row.node_nm), math.log(cells), math.log(1.0 + row.adc_bits)]


TERMS: Mapping[str, Callable[[Row], list[float]]] = {"energy_fJ_per_MAC": _energy_terms, "area_um2": _area_terms}


def naive(row: Row, quantity: str) -> float:
    """`quantity` of `row` by least squares over the silicon rows of all other chips, every chip with the same weight.

    Energy per MAC by four slopes: node, supply, weight bits x input bits, converter bits (+ 1); area by node, cells and
    converter bits (+ 1); all in logarithms.
    """
    others = [own for chip, own in by_chip(SILICON, quantity).items() if chip != row.chip]
    weight = np.concatenate([np.full(len(own), len(own) ** -0.5) for own in others])
    flat = [other for own in others for other in own]
    terms = np.array([TERMS[quantity](other) for other in flat]) * weight[:, None]
    target = np.log([getattr(other, quantity) for other in flat]) * weight
    slopes = np.linalg.lstsq(terms, target, rcond=None)[0]
    return math.exp(float(np.dot(slopes, TERMS[quantity](row))))
