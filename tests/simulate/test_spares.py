"""Dead lines and spares: what is lost, what stands in, and that an instance remembers both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohmfield.chip.cells import IdealCell, RramCell
from ohmfield.chip.cells.base import Cell
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.tile import geometry
from ohmfield.simulate.conversion import Causes
from ohmfield.simulate.programmed import Programmed, StoredLayer
from ohmfield.simulate.spares import DEAD, OWN, Lines
from ohmfield.simulate.writing import program_layer
from small_chip import crossbar, made, outputs_of, plan_for, random_codes, random_weights, small_chip

LOSSLESS = Causes(clipping=False, rounding=False, wires=False, reading=False)
SMALL: dict[str, Any] = {"rows": 32, "columns": 64, "rows_active": 32}


def unit_with(cell: Cell | None = None, **array: Any) -> Crossbar:
    return crossbar(cell, array=SMALL | array)


def lines_of(stored: StoredLayer) -> Lines:
    assert stored.lines is not None
    return stored.lines


def held(stored: StoredLayer) -> np.ndarray:
    assert stored.conductances_uS is not None
    return stored.conductances_uS


def written(weights: np.ndarray, unit: Crossbar, *, copies: int = 1, seed: int = 0) -> Lines:
    """The lines of `weights` as one instance holds them."""
    chip = small_chip(unit)
    return lines_of(program_layer(weights, plan_for(weights, chip, copies=copies), chip, seed))


def works(lines: Lines, unit: Crossbar, copy: int = 0) -> np.ndarray:
    """1 where a cell lies on a row and a column that work, [inputs, slices, sides, outputs]."""
    rows, columns = lines.rows[copy] != DEAD, lines.columns[copy] != DEAD
    wide, tall = geometry(unit, 8).weights_per_row, unit.array.rows
    cells = np.empty((rows.shape[1], *columns.shape[1:]))
    for i, o in np.ndindex(rows.shape[1], columns.shape[3]):
        cells[i, :, :, o] = rows[o // wide, i] * columns[i // tall, :, :, o]
    return cells


@pytest.mark.parametrize(
    ("encoding", "weights_of", "offset"),
    [
        ("differential", [1, 4, 16, 64], 0),
        ("offset", [1, 4, 16, 64], 128),
        ("twos_complement", [1, 4, 16, 64, -128], 0),
    ],
)
@pytest.mark.parametrize("g_min", [0.0, 25.0])
def test_a_dead_row_drives_nothing_and_a_dead_column_reads_nothing(encoding, weights_of, offset, g_min):
    cell = IdealCell(g_min_uS=g_min)  # a pedestal of one level, so that all currents are whole
    unit = unit_with(cell, encoding=encoding, dead_row_rate=0.1, dead_column_rate=0.1)
    weights, inputs = random_weights(unit, 1, 30, 70), random_codes(2, 0, 255, 9, 70)
    product, stored = made(weights, unit, causes=LOSSLESS)
    alive = works(lines_of(stored), unit)
    assert (lines_of(stored).rows == DEAD).any()
    assert (lines_of(stored).columns == DEAD).any()
    assert np.array_equal(held(stored)[0], held(made(weights, unit_with(cell, encoding=encoding))[1])[0] * alive)
    levels = held(stored)[0] / ((100.0 - g_min) / 3)
    signs = [1, -1][: levels.shape[2]]
    current = np.einsum("vi,isko,s,k->vo", inputs, levels, weights_of, signs)
    counted = offset + (g_min > 0.0) * sum(weights_of) * sum(signs)  # of each input, whether its row drives or not
    assert np.allclose(outputs_of(product, inputs), current - counted * inputs.sum(axis=1, keepdims=True))


def test_as_many_lines_are_dead_as_declared_each_array_and_copy_for_itself():
    unit = unit_with(dead_row_rate=0.1, dead_column_rate=0.2)
    weights = random_weights(unit, 1, 16, 64)
    instances = [written(weights, unit, copies=20, seed=seed) for seed in (0, 1)]
    for lines in instances:
        for dead, rate in ((lines.rows == DEAD, 0.1), (lines.columns == DEAD, 0.2)):
            assert abs(dead.mean() - rate) < 4 * (rate * (1 - rate) / dead.size) ** 0.5
    lines = instances[0]
    assert not np.array_equal(lines.rows, instances[1].rows)
    assert len({copy.tobytes() for copy in lines.rows}) == 20
    assert len({block.tobytes() for block in lines.rows[0]}) == 2  # arrays side by side
    assert len({block.tobytes() for block in lines.columns[0]}) == 2  # arrays above each other


@pytest.mark.parametrize("cell", [IdealCell(), RramCell(program_fraction=0.02)], ids=["ideal", "rram"])
def test_with_spares_enough_no_line_is_missing(cell):
    unit = unit_with(cell, dead_row_rate=0.1, dead_column_rate=0.05, spare_rows=16, spare_columns=16)
    weights, inputs = random_weights(unit, 1, 16, 64), random_codes(2, 0, 255, 9, 64)
    product, stored = made(weights, unit, causes=LOSSLESS)
    whole, plain = made(weights, unit_with(cell), causes=LOSSLESS)
    lines = lines_of(stored)
    assert not (lines.rows == DEAD).any()
    assert not (lines.columns == DEAD).any()
    assert (lines.rows > OWN).any()
    assert (lines.columns > OWN).any()
    if cell.kind == "ideal":
        assert np.array_equal(outputs_of(product, inputs), outputs_of(whole, inputs))
        return
    assert len(np.unique(lines.rows[lines.rows > OWN])) > 1
    same = held(stored)[0] == held(plain)[0]
    exchanged = np.zeros_like(same)
    for i, o in np.ndindex(64, 16):
        exchanged[i, :, :, o] = (lines.rows[0, o // 8, i] > OWN) | (lines.columns[0, i // 32, :, :, o] > OWN)
    assert same[~exchanged].all()  # other cells keep their errors
    written = held(plain)[0][exchanged] > 0.0
    assert not same[exchanged][written].any()  # spares have errors of their own


def test_what_spares_cannot_replace_stays_dead():
    weights = random_weights(unit_with(), 1, 64, 320)
    lines, bare = (written(weights, unit_with(dead_row_rate=0.3, spare_rows=spares)) for spares in (4, 0))
    blocks = lines.rows[0].reshape(8, 10, 32)  # of rows, by array
    dead = (bare.rows[0].reshape(8, 10, 32) == DEAD).sum(axis=2)
    used = (blocks > OWN).sum(axis=2)
    assert ((blocks == DEAD).sum(axis=2) == dead - used).all()
    assert ((bare.rows == DEAD) == (lines.rows != OWN)).all()
    assert used.max() == 4
    assert abs(used.mean() - 4 * 0.7) < 4 * (4 * 0.3 * 0.7 / used.size) ** 0.5  # spares are dead as often as rows
    for array in blocks.reshape(-1, 32):
        chosen = array[array > OWN]
        assert len(set(chosen)) == len(chosen)


@pytest.mark.parametrize("encoding", ["differential", "offset"])
def test_spares_take_the_place_of_the_lines_whose_stuck_cells_cost_most(encoding):
    cell = IdealCell(stuck_high_rate=0.02)
    weights, inputs = random_codes(1, -127, 127, 8, 32), random_codes(2, 0, 255, 50, 32)
    losses = []
    for spares in ({}, {"spare_columns": 2}, {"spare_columns": 8}, {"spare_rows": 8, "spare_columns": 8}):
        unit = unit_with(cell, encoding=encoding, **spares)
        product, stored = made(weights, unit, causes=LOSSLESS)
        losses.append(float(np.mean((outputs_of(product, inputs) - inputs @ weights.T) ** 2)))
        if spares == {"spare_columns": 2}:
            slices = np.argwhere(lines_of(stored).columns[0, 0] > OWN)[:, 0]
            assert slices.min() == 3  # of what is wrong, the highest digits
    assert losses[1] < 0.8 * losses[0]
    assert losses[3] < losses[2] < 0.2 * losses[0]


def test_dead_lines_stay_dead_with_age_and_reach_the_columns_that_sum_the_inputs():
    cell = RramCell(g_min_uS=5.0, program_fraction=0.0, read_fraction=0.01)
    unit = unit_with(cell, encoding="offset", sum_x="analog", dead_row_rate=1.0)
    weights, inputs = random_weights(unit, 1, 6, 40), random_codes(2, 0, 255, 9, 40)
    product, stored = made(weights, unit, elapsed_s=1e6)
    assert stored.reference_uS is not None
    assert not stored.reference_uS.any()
    assert not outputs_of(product, inputs).any()  # nothing conducts, so nothing fluctuates


def test_an_instance_remembers_its_lines(tmp_path: Path):
    unit = unit_with(dead_row_rate=0.1, dead_column_rate=0.1, spare_rows=1, spare_columns=2)
    _, stored = made(random_weights(unit, 1, 16, 64), unit, copies=2)
    Programmed("small", 0, {"layer": stored}).save(tmp_path / "instance")
    lines, again = lines_of(stored), lines_of(Programmed.load(tmp_path / "instance").layers["layer"])
    for kind in ("rows", "columns", "references"):
        assert np.array_equal(getattr(again, kind), getattr(lines, kind))
    rows = int((lines.rows > OWN).sum()), lines.rows.size, int((lines.rows == DEAD).sum())
    assert lines.told().startswith(f"{rows[0]} of {rows[1]} rows replaced by spares, {rows[2]} dead; ")


def test_an_array_without_faulty_lines_says_nothing():
    chip = small_chip(unit_with())
    weights = random_weights(unit_with(), 1, 16, 64)
    assert program_layer(weights, plan_for(weights, chip), chip, 0).lines is None
    assert written(weights, unit_with(spare_rows=2)).told() == ""
