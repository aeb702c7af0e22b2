"""Resistance in the lines of a layer: where its cells lie, what they count for, and reads that are circuits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ohmfield._kernels.wires import nodal
from ohmfield.chip.cells import IdealCell, RramCell
from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar
from ohmfield.chip.wires import Wires
from ohmfield.mapping.slice import slice_weights
from ohmfield.numerics import Noise
from ohmfield.simulate.choose import product_of
from ohmfield.simulate.conversion import Causes, level_uS
from ohmfield.simulate.products import CrossbarProduct, ExactProduct
from ohmfield.simulate.reading import read_copy
from ohmfield.simulate.run import install, program
from ohmfield.simulate.waterfall import steps
from ohmfield.simulate.wires import Circuits, effective_uS
from small_chip import crossbar, linear_on, made, outputs_of, plan_for, random_codes, small_chip

HEAVY = Wires(row_ohm=40.0, column_ohm=25.0, driver_ohm=300.0, sense_ohm=200.0)
GATED = replace(HEAVY, input_on="gate", idle_rows="gated")
FINE = {"bits": 14, "step_levels": 1 / 64}


def wired(wires: Wires | None, cell: Any = None, **array: Any) -> Crossbar:
    """Arrays of 8 rows read 4 at a time, 24 columns: of 5-bit weights in pairs of 2-bit cells, 6 side by side."""
    small = {"rows": 8, "rows_active": 4, "columns": 24, "wires": wires, **array}
    return crossbar(cell or IdealCell(g_min_uS=2.0, g_max_uS=80.0), array=small, adc=FINE)


WEIGHTS, INPUTS = random_codes(1, -15, 15, 8, 11), random_codes(2, 0, 255, 30, 11)


def product(wires: Wires | None, causes: Causes | None = None, **array: Any) -> CrossbarProduct:
    got, _ = made(WEIGHTS, wired(wires, **array), causes=causes, weight_bits=5)
    assert isinstance(got, CrossbarProduct)
    return got


def solved(unit: Crossbar, cells_uS: np.ndarray, digit: np.ndarray, low: int, high: int) -> np.ndarray:
    """Column currents in uA [slices, sides, outputs] while the row group `low .. high` is read, by the nodal solve.

    The layout is written out once more: as many weights as 24 columns hold side by side, the
    slices and sides of each in order.
    """
    _, slices, sides, outputs = cells_uS.shape
    wires, volts = unit.array.wires, unit.array.read_voltage_V
    assert wires is not None
    top = low - low % 8
    bottom = min(top + 8, len(cells_uS))
    inside = (np.arange(top, bottom) >= low) & (np.arange(top, bottom) < high)
    on = np.zeros(bottom - top)
    on[inside] = digit
    gates = inside if wires.idle_rows == "gated" else np.ones_like(inside)
    if wires.input_on == "gate":
        on, gates = np.ones_like(on), on > 0
    floating = ~inside if wires.idle_rows == "floating" else np.zeros_like(inside)
    out = np.empty((slices, sides, outputs))
    per_array = 24 // (slices * sides)
    for left in range(0, outputs, per_array):
        held = range(left, min(left + per_array, outputs))
        array = np.stack(
            [cells_uS[top:bottom, s, k, o] for o in held for s in range(slices) for k in range(sides)], axis=1
        )
        law = wires.law(volts)
        amps = nodal(array * 1e-6, on * volts, wires.lines, law, gates, floating).currents_A
        for place, o in enumerate(held):
            out[:, :, o] = amps.reshape(-1, slices, sides)[place] * 1e6
    return out


def cells_of(unit: Crossbar) -> np.ndarray:
    slices = slice_weights(WEIGHTS, unit.array, 5)
    return unit.cell.g_min_uS + slices.digits * level_uS(unit)


@pytest.mark.parametrize("idle_rows", ["grounded", "gated", "floating"])
def test_effective_conductances_are_the_currents_of_the_arrays(idle_rows: Any) -> None:
    unit = wired(replace(HEAVY, idle_rows=idle_rows))
    starts = np.array([0, 4, 8, 11])
    cells = cells_of(unit)
    seen = effective_uS(cells, unit, starts)
    for low, high in ((0, 4), (4, 8), (8, 11)):
        digit = random_codes(3 + low, 0, 1, high - low)
        want = solved(unit, cells, digit, low, high)
        got = np.einsum("r,rsko->sko", digit, seen[low:high]) * unit.array.read_voltage_V
        assert np.abs(got - want).max() < 1e-9 * want.max()
        assert want.sum() < 0.98 * np.einsum("r,rsko->", digit, cells[low:high]) * unit.array.read_voltage_V


def test_an_operator_is_made_once() -> None:
    unit = wired(HEAVY)
    first = effective_uS(cells_of(unit), unit, np.array([0, 4, 8, 11]))
    assert effective_uS(cells_of(unit), unit, np.array([0, 4, 8, 11])) is first
    other = wired(replace(HEAVY, row_ohm=41.0))
    assert effective_uS(cells_of(unit), other, np.array([0, 4, 8, 11])) is not first


@pytest.mark.parametrize("array", [{}, {"subtract": "digital"}, {"encoding": "offset"}])
@pytest.mark.parametrize("wires", [GATED, replace(HEAVY, nonlinearity_per_V=6.0)])
def test_reads_that_are_circuits_see_the_currents_of_the_arrays(wires: Wires, array: dict[str, Any]) -> None:
    unit = wired(wires, **array)
    starts = np.array([0, 4, 8, 11])
    cells = cells_of(unit)
    circuits = Circuits(cells, unit, starts, level_uS(unit))
    lowered = product(wires, **array).copies[0]
    values = circuits.values(lowered)
    for group, (low, high) in enumerate(((0, 4), (4, 8), (8, 11))):
        digit = random_codes(7 + group, 0, 1, 1, high - low)
        levels = solved(unit, cells, digit[0], low, high) / (level_uS(unit) * unit.array.read_voltage_V)
        if unit.pairs:
            levels = (levels[:, 0] - levels[:, 1])[:, None]
        else:
            levels = levels - digit.sum() * unit.cell.g_min_uS / level_uS(unit)
        for bank, want in enumerate(levels.reshape(-1, levels.shape[-1])):
            assert np.abs(values(group, bank, digit)[0] - want * lowered.grid).max() < 0.5 + 1e-5


def test_circuits_of_ohmic_driven_cells_are_the_operator() -> None:
    """The same codes, save where rounding of cells to the grid moved a sum over a step."""
    mapped = product(HEAVY, Causes(reading=False))
    unit = wired(HEAVY)
    circuits = Circuits(cells_of(unit), unit, np.array([0, 4, 8, 11]), level_uS(unit))
    one_by_one = CrossbarProduct(mapped.copies, mapped.step, Noise(0), None, [circuits])
    difference = np.abs(outputs_of(one_by_one, INPUTS) - outputs_of(mapped, INPUTS))
    assert difference.max() < 0.01 * np.abs(outputs_of(mapped, INPUTS)).max()
    ideal = np.abs(INPUTS @ WEIGHTS.T - outputs_of(mapped, INPUTS))
    assert difference.max() < 0.1 * ideal.max()


def test_a_gated_read_does_not_add_up_and_a_driven_one_does() -> None:
    """Limit case 10, through the whole path: two halves of a row group read apart and together."""
    halves = np.zeros((3, 11), dtype=np.int64)
    halves[0, :2], halves[1, 2:4], halves[2, :4] = 1, 1, 1

    def excess(wires: Wires) -> float:
        levels = outputs_of(product(wires), halves)
        return float(np.abs(levels[0] + levels[1] - levels[2]).max())

    assert excess(GATED) > 0.3
    assert excess(HEAVY) < 0.1


@pytest.mark.parametrize("wires", [HEAVY, GATED])
def test_runs_do_not_depend_on_how_vectors_are_cut(wires: Wires) -> None:
    cell = RramCell(g_min_uS=2.0, g_max_uS=80.0, program_fraction=0.02, read_fraction=0.05)
    got, _ = made(WEIGHTS, wired(wires, cell), weight_bits=5, copies=2)
    whole, counts = got.run(INPUTS.astype(np.int32), 0)
    parts = [got.run(INPUTS[low : low + 7].astype(np.int32), low) for low in range(0, 30, 7)]
    assert np.array_equal(np.concatenate([part for part, _ in parts]), whole)
    assert counts["conversions"] == sum(made["conversions"] for _, made in parts) > 0


def test_little_resistance_is_hardly_seen_and_none_is_none() -> None:
    little = Wires(row_ohm=1e-6, column_ohm=1e-6, driver_ohm=1e-6, sense_ohm=1e-6)
    assert np.array_equal(outputs_of(product(little), INPUTS), INPUTS @ WEIGHTS.T)
    without, _ = made(WEIGHTS, wired(HEAVY), causes=Causes(wires=False), weight_bits=5)
    assert np.array_equal(outputs_of(without, INPUTS), outputs_of(made(WEIGHTS, wired(None), weight_bits=5)[0], INPUTS))


@pytest.mark.parametrize("wires", [HEAVY, GATED])
def test_resistance_is_never_an_exact_product(wires: Wires) -> None:
    chip = small_chip(replace(wired(wires), cell=IdealCell()))
    plan = plan_for(WEIGHTS, chip, weight_bits=5)
    _, stored = made(WEIGHTS, wired(wires), weight_bits=5)
    assert not isinstance(product_of(stored, plan, chip, Causes(), 0), ExactProduct)
    alone = Causes(programming=False, reading=False)
    assert not isinstance(product_of(stored, plan, chip, alone, 0), ExactProduct)


def test_read_noise_falls_with_what_a_cell_counts_for() -> None:
    cell = RramCell(g_min_uS=2.0, g_max_uS=80.0, read_fraction=0.1)
    slices = slice_weights(WEIGHTS, wired(None).array, 5)

    def noise(wires: Wires | None) -> np.ndarray:
        unit = wired(wires, cell, subtract="digital")
        std = read_copy(cells_of(unit), slices, unit, np.array([0, 4, 8, 11]), 0.0, Causes(), Noise(0)).read_std
        assert std is not None
        return std

    unit = wired(HEAVY, cell, subtract="digital")
    share = effective_uS(cells_of(unit), unit, np.array([0, 4, 8, 11])) / cells_of(unit)
    assert np.allclose(noise(HEAVY), noise(None) * share.reshape(11, -1, 8))


def test_a_chip_with_wires_has_a_bar_for_them() -> None:
    def names(chip: Chip) -> list[str]:
        return [name for name, _ in steps(chip)]

    assert "wires" in names(small_chip(wired(HEAVY)))
    assert "wires" not in names(small_chip(wired(None)))


def test_combinations_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="idle_rows gated"):
        Wires(input_on="gate")
    with pytest.raises(ValueError, match=r"one dac\.bits"):
        crossbar(dac_bits=2, array={"wires": GATED})


def test_equal_conductances_whatever_the_memory_order() -> None:
    unit = wired(HEAVY)
    turned = np.asfortranarray(cells_of(unit))
    assert torch.equal(
        torch.from_numpy(effective_uS(turned, unit, np.array([0, 4, 8, 11]))),
        torch.from_numpy(effective_uS(cells_of(unit), unit, np.array([0, 4, 8, 11]))),
    )


def test_progress_names_the_layers_with_wires() -> None:
    layer, _ = linear_on(wired(HEAVY))
    heard: list[str] = []
    install(layer, layer.chip, program(layer, layer.chip), None, heard.append)
    assert heard == ["wires: layer 1 of 1, layer"]
    plain, _ = linear_on(wired(None))
    install(plain, plain.chip, program(plain, plain.chip), None, heard.append)
    assert len(heard) == 1
