"""What shares converters, ranges and factors: packs on one array, and reference columns beside the weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn

from ohmfield.chip.cells import PcmCell
from ohmfield.chip.compensation import Compensation
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.place import place
from ohmfield.mapping.slice import slice_weights
from ohmfield.mapping.trace import trace
from ohmfield.numerics import Noise
from ohmfield.simulate.choose import product_of
from ohmfield.simulate.columns import mismatch
from ohmfield.simulate.conversion import Causes
from ohmfield.simulate.convert import chip_layers, convert
from ohmfield.simulate.formats import choose_formats
from ohmfield.simulate.plan import LayerPlan
from ohmfield.simulate.products import CrossbarProduct
from ohmfield.simulate.reading import copy_noise, read_copy, reference_copies
from ohmfield.simulate.sums import SumCorrection, reference_gain
from ohmfield.simulate.writing import instance_noise
from ohmfield.spec import InputError
from small_chip import crossbar, made, outputs_of, plan_for, random_codes, small_chip

INPUTS = random_codes(2, 0, 255, 40, 300)


def packs(unit: Crossbar) -> list[LayerPlan]:
    """The packs of a depthwise convolution of eight channels."""
    torch.manual_seed(0)
    model, chip, x = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8)), small_chip(unit), torch.rand(4, 8, 5, 5)
    placed = place(trace(model, x), chip)
    module = convert(model, chip, placed, choose_formats(model, chip, placed, x))
    return [layer.plan for layer in chip_layers(module).values()]


def test_packs_below_each_other_are_read_by_the_same_converters() -> None:
    """9 rows each, two beside each other in 18 of 20 active rows: two packs in an array of 40, four in all."""
    adc = {"offset_lsb_std": 1.0, "gain_std": 0.02, "columns_per_adc": 1}
    plans = packs(crossbar(array={"rows": 40, "rows_active": 20, "columns": 64}, adc=adc))
    assert len(plans) == 4
    unit = crossbar(array={"rows": 40, "rows_active": 20, "columns": 64}, adc=adc)
    drawn = [mismatch(unit, plan, 2, 0, 0) for plan in plans]
    gains, offsets = np.stack([each.gain for each in drawn]), np.stack([each.offset_lsb for each in drawn])  # type: ignore[arg-type]
    for values in (gains, offsets):
        assert np.array_equal(values[0], values[1])
        assert np.array_equal(values[2], values[3])
        assert not np.array_equal(values[0], values[2])


def with_references(columns_per_adc: int = 8, **adc: Any) -> tuple[SumCorrection, LayerPlan, Crossbar]:
    """What 300 x 16 weights on arrays two abreast take off, read by reference columns of ideal cells."""
    array = {"encoding": "offset", "sum_x": "analog", "columns": 33}
    unit = crossbar(array=array, adc={"bits": 9, "columns_per_adc": columns_per_adc, **adc})
    weights = random_codes(1, -127, 127, 16, 300)
    product, _ = made(weights, unit)
    assert isinstance(product, CrossbarProduct)
    assert product.sums is not None
    return product.sums, plan_for(weights, small_chip(unit)), unit


def test_reference_columns_are_read_by_converters_that_differ() -> None:
    """The same offset in every plane of a row group: 255 times its codes, for each of two columns side by side."""
    sums, _, _ = with_references(offset_lsb_std=1.0)
    read, _ = sums.references[0]["ones"].read(INPUTS, sums.starts, Noise(0), 0)
    error = read[0] - INPUTS.sum(axis=1, keepdims=True)
    assert error.shape == (40, 2)
    assert np.array_equal(error, np.broadcast_to(error[0], error.shape))
    assert not (error[0] % 255).any()
    assert error[0, 0] != error[0, 1]
    plain, _, _ = with_references(gains=(1.0, 2.0))
    exact, _ = plain.references[0]["ones"].read(INPUTS, plain.starts, Noise(0), 0)
    assert np.array_equal(exact[0], np.broadcast_to(INPUTS.sum(axis=1, keepdims=True), (40, 2)))


def test_a_converter_that_reads_weights_and_a_reference_errs_alike_on_both() -> None:
    sums, plan, unit = with_references(columns_per_adc=64, offset_lsb_std=1.0, gain_std=0.05)
    array = sums.references[0]["ones"].arrays[0]
    shared = mismatch(unit, plan, 16, 0, 0)
    assert array.column_gain is not None
    assert shared.gain is not None
    assert array.column_gain.shape == (3, 1, 2)
    assert np.array_equal(array.column_gain[:, 0], shared.gain[:, 0, ::8].astype(np.float32))


@pytest.mark.parametrize(("cell_bits", "bits"), [(2, 8), (1, 7)])
def test_a_reference_takes_a_gain_that_a_shift_brings_to_the_layer_s(cell_bits: int, bits: int) -> None:
    """128 ones fit at gain 3 only where cells have two bits, and at gain 1 always."""
    array = {"encoding": "offset", "sum_x": "analog", "cell_bits": cell_bits}
    unit = crossbar(array=array, adc={"bits": bits, "gains": (1.0, 3.0)})
    weights = random_codes(1, -127, 127, 6, 300)
    plan = plan_for(weights, small_chip(unit))
    banks = unit.array.conversions_per_weight(8)
    assert reference_gain(unit, plan.driving((1.0,) * banks)) == 1.0
    if cell_bits == 2:
        assert reference_gain(unit, plan.driving((3.0,) * banks)) == 3.0
        return
    with pytest.raises(InputError, match="no gain a power of two from it holds a reference column"):
        made(weights, unit, gain=3.0)
    free = replace(unit, adc=replace(unit.adc, post_calibration={"bits": 8}))
    product, _ = made(weights, free, gain=3.0)
    assert isinstance(product, CrossbarProduct)
    assert product.sums is not None
    reference = product.sums.references[0]["ones"]
    assert reference.step == pytest.approx(3.0 * product.step)  # 3 = 0.75 x 2^2: the register holds it


def test_outputs_of_shifted_references_are_those_of_a_counter() -> None:
    """Conversions that lose nothing: a column of ones at twice the gain of the layer gives the same integers."""
    array = {"encoding": "offset", "cell_bits": 2}
    weights = random_codes(1, -127, 127, 6, 300)
    adc = {"bits": 10, "gains": (1.0, 2.0), "step_levels": 1.0}
    counted, _ = made(weights, crossbar(array=array, adc=adc))
    read, _ = made(weights, crossbar(array={**array, "sum_x": "analog"}, adc=adc))
    assert np.array_equal(outputs_of(counted, INPUTS), outputs_of(read, INPUTS))


@pytest.mark.parametrize("where", ["analog", "digital"])
def test_reference_columns_follow_drift_by_the_factor_of_their_layer(where: Literal["analog", "digital"]) -> None:
    """One factor for a layer and copy: after the conversion it scales whole outputs, sums of inputs included."""
    array = {"encoding": "offset", "sum_x": "analog"}
    unit = replace(crossbar(PcmCell(), array=array, adc={"bits": 9}), compensate=Compensation(where=where))
    weights, causes = random_codes(1, -127, 127, 6, 128), Causes(reading=False)
    chip, (_, stored) = small_chip(unit), made(weights, unit)
    plan = plan_for(weights, chip)
    product = product_of(stored, plan, chip, causes, 0, 1e6)
    assert isinstance(product, CrossbarProduct)
    assert product.sums is not None
    assert stored.conductances_uS is not None
    slices = slice_weights(weights, unit.array, 8, "layer", plan.starts)
    noise = copy_noise(0, "layer", 0)
    held = read_copy(stored.conductances_uS[0], slices, unit, plan.starts, 1e6, causes, noise)
    factor = held.gain * held.scale
    assert factor > 1.05
    reference = product.sums.references[0]["ones"]
    assert reference.step == pytest.approx(product.step)
    (wanted,) = reference_copies(stored, plan, unit, 1e6, causes, instance_noise(0, "layer", "age"), [factor])
    array_of_ones = reference.arrays[0]
    assert abs(array_of_ones.levels.mean() / array_of_ones.grid - wanted.levels[:, 0].mean()) < 1.0 / 64
    (own,) = reference_copies(stored, plan, unit, 1e6, causes, instance_noise(0, "layer", "age"), [1.0])
    if where == "analog":
        assert own.levels[:, 0].mean() < wanted.levels[:, 0].mean() - 0.05
