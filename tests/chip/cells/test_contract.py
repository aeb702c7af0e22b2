"""What every cell promises: statistics as stated, one history per cell, nothing changed at age zero."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ohmfield.chip.array import Array
from ohmfield.chip.cells import CELLS, MeasuredRramCell, PcmCell, RramCell
from ohmfield.chip.cells.base import Cell
from ohmfield.numerics import Noise
from ohmfield.spec import build

DAY_S = 86400.0
DRAWS = 40_000
# Every kind as it comes, and the models and options that change what it draws.
VARIANTS: list[Cell] = [
    *(kind() for kind in CELLS.values()),
    build(RramCell, {"fraction_of": "target", "telegraph": {}}),
    build(MeasuredRramCell, {"model": "cmo-2", "g_min_uS": 9.0, "g_max_uS": 88.0}),
    build(MeasuredRramCell, {"model": "cmo-0.2", "g_min_uS": 9.0, "g_max_uS": 88.0}),
    build(MeasuredRramCell, {"model": "milo", "g_min_uS": 50.0, "g_max_uS": 225.0}),
    *(build(PcmCell, {"model": model, "g_max_uS": 10.0}) for model in ("joshi", "hermes-1", "hermes-2")),
]


def name_of(cell: Cell) -> str:
    return " ".join([cell.kind, str(getattr(cell, "model", ""))]).strip()


every_cell = pytest.mark.parametrize("cell", VARIANTS, ids=name_of)


def targets(cell: Cell) -> Tensor:
    """Five levels over the range, many cells each."""
    levels = torch.linspace(cell.g_min_uS, cell.g_max_uS, 5, dtype=torch.float64)
    return levels[:, None].expand(5, DRAWS).contiguous()


def clamped_mean(target: float, std: float) -> float:
    """Mean of a normal number clamped at zero."""
    if std == 0.0:
        return target
    ratio = target / std
    density = math.exp(-0.5 * ratio**2) / math.sqrt(2.0 * math.pi)
    return target * 0.5 * (1.0 + math.erf(ratio / math.sqrt(2.0))) + std * density


@every_cell
def test_programming_has_the_stated_mean_and_spread(cell: Cell) -> None:
    target = targets(cell)
    stored = cell.program(target, Noise(1))
    assert stored.shape == target.shape
    assert bool((stored >= 0.0).all())
    std = getattr(cell, "program_std_uS", torch.zeros_like)(target)[:, 0]
    for level, spread, drawn in zip(target[:, 0].tolist(), std.tolist(), stored, strict=True):
        assert float(drawn.mean()) == pytest.approx(clamped_mean(level, spread), abs=4.5 * spread / math.sqrt(DRAWS))
        if level > 5.0 * spread:  # nothing clamps
            assert float(drawn.std()) == pytest.approx(spread, rel=0.02)


@every_cell
def test_the_same_stream_writes_the_same_cells_and_another_others(cell: Cell) -> None:
    target = targets(cell)[:, :8]
    first, again, other = (cell.program(target, Noise(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert torch.equal(first, other) is torch.equal(first, target)


@every_cell
def test_a_cell_has_one_history(cell: Cell) -> None:
    """Age zero changes nothing; a tile ages as it does in the whole; a later age goes on where an earlier one was."""
    target = targets(cell)[:, :4096]
    stored = cell.program(target, Noise(1))
    assert torch.equal(cell.age(stored, target, 0.0, Noise(3)), stored)
    day, later = (cell.age(stored, target, seconds, Noise(3)) for seconds in (DAY_S, 2 * DAY_S))
    assert torch.equal(cell.age(stored, target, DAY_S, Noise(3)), day)
    assert bool((day >= 0.0).all())
    moved, moved_later = day - stored, later - stored
    if bool(moved.any()):
        along = torch.corrcoef(torch.stack([moved[2], moved_later[2]]))[0, 1]
        assert float(along) > 0.9  # drawn once per cell, not once per age
        assert not torch.equal(cell.age(stored, target, DAY_S, Noise(4)), day)


@every_cell
def test_read_noise_is_a_spread(cell: Cell) -> None:
    target = targets(cell)[:, :16]
    stored = cell.program(target, Noise(1))
    aged = cell.age(stored, target, DAY_S, Noise(3))
    std = cell.read_std_uS(stored, aged, DAY_S, Array())
    assert std.shape == stored.shape
    assert bool((std >= 0.0).all())
    assert cell.noise_correlation in ("conversion", "vector", "frozen")
    switched = cell.switch(aged, Noise(5), 0.0)
    assert switched.shape == aged.shape
    assert torch.equal(switched, cell.switch(aged, Noise(5), 0.0))


@every_cell
def test_cells_grow_around_mid_range(cell: Cell) -> None:
    grown = cell.grow((2, 500), Noise(7))
    assert grown.shape == (2, 500)
    assert float(grown.mean()) == pytest.approx(0.5 * (cell.g_min_uS + cell.g_max_uS), rel=0.1)


@every_cell
def test_stuck_cells_stand_at_the_ends(cell: Cell) -> None:
    broken: Any = replace(cell, stuck_low_rate=0.25, stuck_high_rate=0.125)
    stored = targets(cell)
    stuck = broken.stick(stored, Noise(9))
    middle = stuck[2]
    assert float((middle == cell.g_min_uS).double().mean()) == pytest.approx(0.25, abs=0.01)
    assert float((middle == cell.g_max_uS).double().mean()) == pytest.approx(0.125, abs=0.01)
