"""What a layer keeps of its cells when it becomes integers: variance of reads, sums of levels, tables, noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch

from ohmfield._kernels.crossbar import LoweredArray, digits, read_units, reference
from ohmfield._kernels.crossbar_fast import fast, refused
from ohmfield._kernels.crossbar_torch import multiply
from ohmfield.chip.cells import PcmCell, RramCell, SonosCell
from ohmfield.chip.cells.resistive import Telegraph
from ohmfield.chip.compensation import Compensation
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import slice_weights
from ohmfield.numerics import Noise
from ohmfield.simulate.conversion import Causes
from ohmfield.simulate.lower import Columns, Stored, lower
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.reading import banked_copy
from ohmfield.simulate.writing import program_layer
from ohmfield.spec import InputError
from small_chip import crossbar, plan_for, random_codes, small_chip


def lowered_for(
    unit: Crossbar, weights: np.ndarray, causes: Causes | None = None, **stored: Any
) -> tuple[LoweredArray, Stored]:
    """`weights` on `unit` as integers, and what they were made from; `stored` replaces what ideal cells hold."""
    plan = plan_for(weights, small_chip(unit))
    slices = slice_weights(weights, unit.array, 8, starts=plan.starts)
    nominal = slices.bank_levels(unit.array.subtract).astype(np.float64)
    copy = Stored(**{"levels": nominal, "read_std": None, **stored})
    gains = (1.0,) * nominal.shape[1]
    return lower(copy, slices, unit, plan.driving(gains), causes or Causes()), copy


def noisy_pairs(dac_bits: int, rows: int = 128) -> tuple[LoweredArray, np.ndarray]:
    """Pairs of 2-bit cells over g_min 1 uS whose top slice is mostly empty, and the exact variance of their reads."""
    unit = crossbar(RramCell(g_min_uS=1.0), dac_bits=dac_bits, array={"rows": rows, "rows_active": rows})
    weights = np.clip(np.round(np.random.default_rng(1).normal(0.0, 10.0, (16, rows))), -127, 127).astype(np.int64)
    slices = slice_weights(weights, unit.array, 8)
    conductances = 1.0 + 33.0 * slices.digits.astype(np.float64)  # uS, [inputs, slices, sides, outputs]
    std = 0.02 * np.sqrt((conductances**2).sum(axis=2)) / 33.0
    array, _ = lowered_for(unit, weights, read_std=std)
    return array, std**2


@pytest.mark.parametrize(
    ("dac_bits", "rows"), [(1, 128), (4, 128), (5, 128), (6, 128), (8, 128), (1, 1024), (5, 1024), (6, 256), (8, 256)]
)
def test_variance_of_reads_is_kept_at_any_width_of_the_dac(dac_bits: int, rows: int) -> None:
    array, exact = noisy_pairs(dac_bits, rows)
    held = array.read_variance * read_units(array) / array.grid**2
    np.testing.assert_allclose(held.sum(axis=0), exact.sum(axis=0), rtol=1e-3)
    inputs = np.random.default_rng(2).integers(0, 256, (25, rows))
    square = digits(array, inputs).astype(np.float64) ** 2
    np.testing.assert_allclose(square @ held.reshape(rows, -1), square @ exact.reshape(rows, -1), rtol=0.02)


@pytest.mark.parametrize("dac_bits", [1, 2, 6])
def test_reads_spread_as_much_as_their_cells(dac_bits: int) -> None:
    """Codes that are sums themselves: their variance over reads of one vector is the exact one, and on every path."""
    array, exact = noisy_pairs(dac_bits)
    assert not refused(array)
    fine = np.arange(array.codes.shape[1], dtype=np.int32) + array.first
    array = replace(array, codes=np.tile(fine, (4, 1)), step=None)
    vector = np.random.default_rng(3).integers(0, 256, (1, 128))
    reads, noise = np.repeat(vector, 4000, axis=0).astype(np.int32), Noise(5)
    out = fast(array, reads, noise)[0]
    assert np.array_equal(out[:20], reference(array, reads[:20], noise)[0])
    assert np.array_equal(out[:20], multiply(array, torch.from_numpy(reads[:20]), noise)[0].numpy())
    square = digits(array, vector)[:, 0].astype(np.float64) ** 2
    weighted = (array.plane_weights.astype(np.float64) ** 2) @ square
    want = np.einsum("r,rbo,b->o", weighted, exact, array.bank_weights.astype(np.float64) ** 2) * array.grid**2
    assert float((out.var(axis=0) / want).mean()) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("factor", [0.993, 1.0026, 0.97])
@pytest.mark.parametrize(("rows", "dac_bits"), [(256, 1), (128, 1), (128, 4)])
def test_sums_of_levels_err_by_a_sixteenth_of_the_step(factor: float, rows: int, dac_bits: int) -> None:
    """All levels off by one factor, on converters with steps of one level: rounded one by one they add up."""
    adc = {"bits": 14, "step_levels": 1.0}
    unit = crossbar(dac_bits=dac_bits, array={"rows": rows, "rows_active": rows, "encoding": "offset"}, adc=adc)
    weights = random_codes(6, -128, 127, 16, rows)
    slices = slice_weights(weights, unit.array, 8)
    levels = factor * slices.bank_levels("analog").astype(np.float64)
    array, _ = lowered_for(unit, weights, Causes(reading=False), levels=levels)
    error = array.levels / array.grid - levels
    digit = 2**dac_bits - 1
    assert np.abs(digit * error.sum(axis=0)).max() <= 1 / 16
    some = np.random.default_rng(7).integers(0, digit + 1, (200, rows))
    assert float((some @ error.reshape(rows, -1)).std()) <= 1 / 16


def test_whole_levels_need_no_grid() -> None:
    unit = crossbar(adc={"bits": 10, "step_levels": 1.0})
    assert lowered_for(unit, random_codes(6, -127, 127, 4, 64), Causes(reading=False))[0].grid == 1


def test_noise_and_offset_of_converters_grow_with_what_undoes_drift() -> None:
    """Both are fixed in the hardware's range; where signals are amplified before it, they count for more levels."""
    unit = crossbar(adc={"bits": 8, "enob": 6.0})
    weights = random_codes(8, -127, 127, 4, 64)
    columns = Columns(gain=np.ones((1, 4, 4)), offset_lsb=np.full((1, 4, 4), 3.0))
    fresh, _ = lowered_for(unit, weights, columns=columns)
    aged, _ = lowered_for(unit, weights, columns=columns, gain=2.5)
    assert fresh.noise_variance is not None
    assert aged.noise_variance is not None
    assert fresh.column_offset is not None
    assert aged.column_offset is not None
    sd = np.sqrt(fresh.noise_variance + 1 / 12) / fresh.grid
    np.testing.assert_allclose(np.sqrt(aged.noise_variance + 1 / 12) / aged.grid, 2.5 * sd)
    np.testing.assert_allclose(aged.column_offset / aged.grid, 2.5 * fresh.column_offset / fresh.grid)


@pytest.mark.parametrize(("where", "follows"), [("analog", True), ("digital", False)])
def test_a_range_that_follows_the_drift_is_a_gain(where: Literal["analog", "digital"], follows: bool) -> None:
    unit = replace(crossbar(PcmCell()), compensate=Compensation(where=where))
    weights = random_codes(9, -127, 127, 4, 64)
    plan = plan_for(weights, small_chip(unit))
    layers = {"layer": program_layer(weights, plan, small_chip(unit), 0)}
    slices = slice_weights(weights, unit.array, 8, starts=plan.starts)
    stored = banked_copy(Programmed("small", 0, layers, elapsed_s=1e6), plan, unit, slices, Causes())
    assert (stored.gain > 1.5) == follows
    assert (stored.scale > 1.5) != follows


def test_an_offset_is_larger_where_reads_are_weaker() -> None:
    weights = random_codes(8, -127, 127, 4, 64)
    columns = Columns(gain=np.ones((1, 4, 4)), offset_lsb=np.full((1, 4, 4), 3.0))
    levels = []
    for voltage_V in (0.2, 0.02):
        unit = crossbar(array={"read_voltage_V": voltage_V, "read_ns": 10.0})
        array, _ = lowered_for(unit, weights, Causes(reading=False), columns=columns)
        assert array.column_offset is not None
        levels.append(array.column_offset / array.grid)
    np.testing.assert_allclose(levels[1], 10.0 * levels[0])


@pytest.mark.parametrize("telegraph", [None, Telegraph(share=1.0, amplitude=0.5)])
def test_stuck_cells_stay_where_they_are(telegraph: Telegraph | None) -> None:
    """All cells stuck high: no age and no trap moves them."""
    causes = Causes(reading=telegraph is not None)  # what phase change reads at is noisy
    cell = PcmCell(stuck_high_rate=1.0) if telegraph is None else RramCell(stuck_high_rate=1.0, telegraph=telegraph)
    unit = crossbar(cell, array={"encoding": "offset"})
    weights = random_codes(9, -127, 127, 4, 64)
    plan = plan_for(weights, small_chip(unit))
    layers = {"layer": program_layer(weights, plan, small_chip(unit), 0)}
    slices = slice_weights(weights, unit.array, 8, starts=plan.starts)
    stored = banked_copy(Programmed("small", 0, layers, elapsed_s=1e6), plan, unit, slices, causes)
    np.testing.assert_allclose(stored.levels, 3.0, rtol=1e-6)


def test_a_code_table_covers_the_range_of_the_converter() -> None:
    """4-bit cells and 8-bit digits on 256 rows reach tens of millions of grid points; a range of 4 % of them does."""
    adc = {"bits": 8, "gains": (1.0, 32.0), "enob": 7.0, "inl": (0.0, 1.5, 0.0)}
    array = {"rows": 256, "rows_active": 256, "cell_bits": 4}
    unit = crossbar(RramCell(program_fraction=0.05), dac_bits=8, array=array, adc=adc)
    weights = random_codes(11, -127, 127, 4, 256)
    plan = plan_for(weights, small_chip(unit))
    slices = slice_weights(weights, unit.array, 8, starts=plan.starts)
    levels = slices.bank_levels("analog") + 0.3
    made = lower(Stored(levels, None), slices, unit, plan.driving((32.0, 32.0)), Causes())
    assert made.codes.shape[1] < 0.04 * 2 * 256 * 255 * 15 * made.grid
    low, high = unit.adc.limits(signed=True)
    assert made.step is not None
    inputs = np.random.default_rng(12).integers(0, 256, (40, 256)).astype(np.int32)
    out, _ = reference(made, inputs)
    exact = inputs @ made.levels.reshape(256, -1)
    codes = unit.adc.code(exact.reshape(40, 2, 4) / made.step[:, None], signed=True)
    assert (codes == high).any()
    assert (codes == low).any() or codes.min() > low
    assert np.array_equal(out, np.einsum("vbo,b->vo", codes, made.bank_weights))
    assert np.array_equal(out, fast(made, inputs)[0])


def test_a_code_table_that_would_not_fit_is_refused() -> None:
    """Billions of grid points within the range of the converter, or, without clipping, a code for each of them."""
    array = {"rows": 1024, "rows_active": 1024, "cell_bits": 8}
    unit = crossbar(SonosCell(), dac_bits=8, array=array)
    weights = random_codes(11, -127, 127, 2, 1024)
    slices = slice_weights(weights, unit.array, 8)
    levels = 0.99 * slices.bank_levels("analog")
    for causes in (Causes(clipping=False, rounding=False, reading=False), Causes(reading=False)):
        with pytest.raises(InputError, match=r"dac\.bits 8.*use fewer"):
            lowered_for(unit, weights, causes, levels=levels)
