"""What the rows say together: ratios by chip, 80 % intervals from the other chips, predictions of unseen settings."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ohmfield.chip.totals import fit_totals
from ohmfield.quantities import Span
from validation.silicon import area_parts, energy_parts
from validation.silicon_rows import ROWS, SILICON, Row, chip_ratios, factor, naive

# Ratios by chip before any law was changed for these rows, and after the first round of changes.
EARLIER = {run: Path(__file__).parent / f"silicon_{run}.json" for run in ("first_run", "second_run")}
PARTS: Mapping[str, Callable[..., dict[str, Span]]] = {"energy_fJ_per_MAC": energy_parts, "area_um2": area_parts}
COVERED = 0.8


def total(parts: Mapping[str, Span]) -> np.ndarray:
    """Low, mid, high of a sum."""
    return np.sum(list(parts.values()), axis=0).ravel()


def predicted(row: Row, quantity: str, left_out: tuple[str, ...] | None = None) -> float:
    """The model's middle."""
    return float(total(PARTS[quantity](row, left_out))[1])


def ratios(quantity: str, left_out: tuple[str, ...] | None = None) -> dict[str, float]:
    """Model over reported of every fabricated chip, its own constants left out unless told otherwise."""
    return chip_ratios(SILICON, quantity, lambda row: predicted(row, quantity, left_out))


def naive_ratios(quantity: str) -> dict[str, float]:
    """The same of the regression."""
    return chip_ratios(SILICON, quantity, lambda row: naive(row, quantity))


def earlier(run: str, quantity: str) -> dict[str, float]:
    """The same as it came out in an earlier run: `first_run`, `second_run`."""
    return json.loads(EARLIER[run].read_text(encoding="utf-8"))[quantity]


def within(found: Mapping[str, float], leave: str = "") -> float:
    """Times off that four of five further chips stay within: a conformal quantile over the chips but `leave`."""
    off = sorted(factor(ratio) for chip, ratio in found.items() if chip != leave)
    return off[min(len(off), math.ceil(COVERED * (len(off) + 1))) - 1]


def inside(found: Mapping[str, float]) -> dict[str, bool]:
    """Whether each chip lies in the 80 % interval that the others give."""
    return {chip: factor(ratio) <= within(found, chip) for chip, ratio in found.items()}


def score(found: Mapping[str, float]) -> dict[str, float]:
    """What was asked: median times off, share within 2x, share inside the interval."""
    off = [factor(ratio) for ratio in found.values()]
    return {
        "chips": len(off),
        "median_times_off": float(np.median(off)),
        "within_2x": float(np.mean([value <= 2.0 for value in off])),
        "inside_80_percent": float(np.mean(list(inside(found).values()))),
        "worst_times_off": max(off),
    }


@dataclass(frozen=True)
class Unseen:
    """A known chip measured at `fitted` and predicted at `others`, in groups of the model's own components."""

    chip: str
    fitted: tuple[str, ...]
    others: tuple[str, ...]
    bound: float
    groups: Mapping[str, tuple[str, ...]] | None = None

    def errors(self) -> dict[str, float]:
        """Relative error of each unseen setting."""
        rows = {row.row: row for row in ROWS}
        parts = {name: _mids(rows[name]) for name in (*self.fitted, *self.others)}
        measured = [rows[name].energy_fJ_per_MAC for name in self.fitted]
        fit = fit_totals([parts[name] for name in self.fitted], measured, self.groups)
        return {name: fit.total(parts[name]) / rows[name].energy_fJ_per_MAC - 1.0 for name in self.others}


def _mids(row: Row) -> dict[str, float]:
    return {name: float(value[1, 0]) for name, value in energy_parts(row).items()}


def _named(start: str) -> tuple[str, ...]:
    return tuple(row.row for row in ROWS if row.row.startswith(start))


_NEURRAM, _SINANGIL, _WANG = _named("neurram"), _named("sinangil-output"), _named("wang")
UNSEEN = (
    Unseen(
        "NeuRRAM, from 1-bit and 8-bit inputs to the widths between",
        (_NEURRAM[0], _NEURRAM[-1]),
        _NEURRAM[1:-1],
        0.10,
        {"per plane": ("cells", "drivers", "control"), "neuron": ("compare", "integrate")},
    ),
    Unseen(
        "Sinangil, from mean outputs 0 and 15 to those between",
        (_SINANGIL[0], _SINANGIL[-1]),
        _SINANGIL[1:-1],
        0.05,
        {"base": ("adc", "control"), "pulses and discharge": ("cells", "drivers")},
    ),
    Unseen("Jia, from 0.85 V to 1.2 V", ("jia-1x1b-0.85V",), ("jia-1x1b-1.2V",), 0.15),
    Unseen(
        "Wang, from 1.0 V to other supplies",
        ("wang-8x8b-1.0V",),
        tuple(name for name in _WANG if name != "wang-8x8b-1.0V"),
        0.15,
    ),
)
