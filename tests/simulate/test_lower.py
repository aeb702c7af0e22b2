"""What a layer keeps of its cells when it becomes integers: variance of reads, sums of levels, tables, noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ohmfield._kernels.crossbar import LoweredArray, digits, read_units, reference
from ohmfield._kernels.crossbar_fast import fast, refused
from ohmfield._kernels.crossbar_torch import multiply
from ohmfield.chip.cells import RramCell
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import slice_weights
from ohmfield.numerics import Noise
from ohmfield.simulate.conversion import Causes
from ohmfield.simulate.lower import Stored, lower
from small_chip import crossbar, plan_for, small_chip


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


@pytest.mark.parametrize("rows", [128, 1024])
@pytest.mark.parametrize("dac_bits", [1, 4, 5, 6, 8])
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
