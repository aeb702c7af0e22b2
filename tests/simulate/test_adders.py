"""Approximate adder trees: bit for bit, their exact statistics, and what they save."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from ohmfield._kernels.adder_tree import add_lower_or, fast, reference
from ohmfield.chip.adders import ApproximateAdder
from ohmfield.chip.process import Process
from ohmfield.chip.units import DigitalCim
from ohmfield.simulate.adders import ApproximateProduct
from ohmfield.simulate.choose import product_of
from ohmfield.simulate.conversion import IDEAL, Causes
from ohmfield.simulate.products import ExactProduct
from ohmfield.simulate.programmed import StoredLayer
from small_chip import plan_for, random_codes, small_chip


@pytest.mark.parametrize("bits", [1, 2, 3, 5])
def test_one_adder_over_all_operands(bits: int) -> None:
    """Exhaustive: mean error 1/4, variance (4^k - 1) / 16; the high bits only differ by the carry."""
    values = np.arange(-(2**6), 2**6)
    a, b = (grid.ravel() for grid in np.meshgrid(values, values))
    error = add_lower_or(a, b, bits) - (a + b)
    assert error.mean() == 0.25
    assert error.var() == pytest.approx((4.0**bits - 1) / 16, abs=1e-12)
    assert np.abs(error).max() < 2**bits


def unit_with(**fields: object) -> DigitalCim:
    return DigitalCim(rows=64, banks=4, columns=64, **fields)  # type: ignore[arg-type]


def product(unit: DigitalCim, weights: np.ndarray, causes: Causes | None = None, **plan: object):
    chip = small_chip(unit)
    return product_of(StoredLayer(weights, None), plan_for(weights, chip, **plan), chip, causes or Causes(), 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [1, 2, 5, 64, 100])
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_the_kernel_adds_as_the_reference(rows: int, bits: int) -> None:
    digits, weights = random_codes(1, -2, 3, 70, rows), random_codes(2, -128, 127, rows, 9)
    assert np.array_equal(fast(digits, weights, bits), reference(digits, weights, bits))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("per_cycle", [1, 2, 4])
def test_low_bits_that_are_zero_make_every_tree_exact(signed: bool, per_cycle: int) -> None:
    weights = random_codes(3, -8, 7, 12, 150) * 16
    inputs = random_codes(4, *((-128, 127) if signed else (0, 255)), 30, 150)
    for rule in ("lower_or", "truncated"):
        unit = unit_with(input_bits_per_cycle=per_cycle, approximate=ApproximateAdder(rule=rule, bits=4))
        made = product(unit, weights, signed_input=signed)
        assert isinstance(made, ApproximateProduct)
        assert np.array_equal(made.run(inputs.astype(np.int32), 0)[0], inputs @ weights.T)


def test_a_truncated_tree_floors_every_product() -> None:
    weights, inputs = random_codes(5, -128, 127, 12, 150), random_codes(6, 0, 255, 30, 150)
    made = product(unit_with(approximate=ApproximateAdder(rule="truncated", bits=3)), weights)
    assert np.array_equal(made.run(inputs.astype(np.int32), 0)[0], inputs @ (weights >> 3 << 3).T)


def test_the_tree_through_the_whole_path_has_the_errors_of_its_adders() -> None:
    """63 adders, 8 planes: first adders see single products, half of them zero; the sum must agree bit for bit."""
    weights, inputs = random_codes(7, -128, 127, 20, 64), random_codes(8, 0, 255, 200, 64)
    made = product(unit_with(approximate=ApproximateAdder(bits=3)), weights)
    out, counts = made.run(inputs.astype(np.int32), 0)
    planes = sum(reference((inputs >> plane) & 1, weights.T, 3) << plane for plane in range(8))
    assert np.array_equal(out, planes)
    exact = product(unit_with(), weights)
    assert isinstance(exact, ExactProduct)
    assert counts == exact.run(inputs.astype(np.int32), 0)[1]
    errors = [
        float((product(unit_with(approximate=ApproximateAdder(bits=k)), weights).run(inputs.astype(np.int32), 0)[0]
               - inputs @ weights.T).std())
        for k in (1, 3, 5)
    ]  # fmt: skip
    assert errors[0] < errors[1] < errors[2]
    assert isinstance(product(unit_with(approximate=ApproximateAdder()), weights, IDEAL), ExactProduct)


@pytest.mark.parametrize("rule", ["lower_or", "truncated"])
def test_each_bit_left_out_saves_energy_area_and_no_time_is_lost(rule: str) -> None:
    process = Process(node_nm=28, supply_V=0.9, clock_GHz=5.0)
    units = [unit_with(), *(unit_with(approximate=ApproximateAdder(rule=rule, bits=k)) for k in (1, 2, 4))]  # type: ignore[arg-type]
    energy = [float(unit.add(process, 8).energy_pJ[1, 0]) for unit in units]
    area = [float(unit.parts(process, 8, 8)["adder_tree"].area_um2[1, 0]) for unit in units]
    time = [float(unit.step_ns(process, 8)[1, 0]) for unit in units]
    for figures in (energy, area, time):
        assert all(after < before for before, after in pairwise(figures))
