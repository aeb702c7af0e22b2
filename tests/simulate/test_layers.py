"""One converted layer: against exact arithmetic, on other paths, and in training."""

import numpy as np
import pytest
import torch

from ohmfield._kernels.crossbar_fast import packed_of
from ohmfield.chip.cells import RramCell
from ohmfield.chip.units import Crossbar, DigitalCim
from ohmfield.simulate.choose import exact_product, product_of
from ohmfield.simulate.conversion import Causes
from ohmfield.simulate.products import CrossbarProduct
from ohmfield.simulate.writing import program_layer
from ohmfield.tally import Tally
from small_chip import crossbar, linear_on, plan_for, small_chip


@pytest.mark.parametrize("zero", [0, 40])
def test_ideal_layer_is_the_rounded_product(zero: int) -> None:
    layer, x = linear_on(crossbar(), zero=zero)
    inputs = layer.form.input.values(layer.form.input.codes(x)).double()
    weights = layer.form.weight.values(layer.weight_codes().float()).double()
    assert layer.bias is not None
    exact = inputs @ weights.T + layer.bias.detach().double()
    assert (layer(x).double() - exact).abs().max() <= layer.form.output.step * 0.51 + layer.accumulator_factor(
        1.0
    ).max()


def test_exact_and_converted_paths_give_the_same_words() -> None:
    """Collapsed: digital, and crossbars that lose nothing. Through converters: the same bits."""
    lossless = crossbar(adc={"bits": 12, "step_levels": 1.0})
    want = linear_on(DigitalCim())[0]
    x = linear_on(DigitalCim())[1]
    collapsed, _ = linear_on(lossless, programmed=True)
    cell = RramCell(program_fraction=0.0, read_fraction=1e-9)  # noise far below half a grid point, but not none
    converted, _ = linear_on(crossbar(cell, adc={"bits": 12, "step_levels": 1.0}), programmed=True)
    assert type(collapsed.product) is not type(converted.product)
    assert torch.equal(collapsed(x), want(x))
    assert torch.equal(converted(x), want(x))


def test_counts_of_the_collapsed_path_are_those_of_the_kernel() -> None:
    tallies = []
    for fraction in (0.0, 1e-9):
        cell = RramCell(program_fraction=0.0, read_fraction=fraction)
        layer, x = linear_on(crossbar(cell, adc={"bits": 12, "step_levels": 1.0}), programmed=True)
        tally = Tally()
        with tally.listen():
            layer(x)
        tallies.append(tally["layer#0"])
    for name in ("vectors", "driven", "conversions", "zero_planes"):
        assert tallies[0][name] == tallies[1][name]
        assert tallies[0][name] > 0 or name == "zero_planes"
    assert tallies[0]["conversions"] == 50 * 6 * 8 * 4


def test_an_offset_smaller_than_a_step_is_taken_off_whole() -> None:
    """The correction `8 sum x` is rounded once, not its factor: with steps of 16 levels the factor is a half."""
    weights = np.random.default_rng(0).integers(-8, 8, size=(6, 1024))
    unit = crossbar(
        array={"encoding": "offset", "rows": 1024, "rows_active": 1024, "cell_bits": 4},
        adc={"bits": 8, "step_levels": 16.0},
    )
    chip = small_chip(unit)
    plan = plan_for(weights, chip, weight_bits=4)
    stored = program_layer(weights, plan, chip, seed=0, gains=(1.0,))
    product = product_of(stored, plan, chip, Causes(programming=False, reading=False), seed=0)
    inputs = np.random.default_rng(1).integers(0, 2, size=(50, 1024)).astype(np.int32)
    error = product.run(inputs, 0)[0] * product.step - inputs @ weights.T
    assert abs(error.mean()) < 64


def test_a_lowered_layer_converts_by_arithmetic_not_by_table() -> None:
    layer, _ = linear_on(
        crossbar(RramCell(program_fraction=0.02, read_fraction=0.0), adc={"bits": 6, "step_levels": 2.0}),
        programmed=True,
    )
    assert isinstance(layer.product, CrossbarProduct)
    packed = packed_of(layer.product.copies[0])
    assert (packed.scale > 0).all()
    assert (packed.shift >= 0).all()


def test_training_forward_and_gradient() -> None:
    layer, x = linear_on(crossbar())
    layer.train()
    x = x.requires_grad_()
    out = layer(x)
    out.square().sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is not None
    assert layer.weight.grad.abs().sum() > 0
    assert (out - layer.eval()(x)).abs().max() < 0.02
    weights = layer.form.weight.values(layer.weight_codes().float())
    clipped = x.detach() / layer.form.input.scale > 255.5
    assert clipped.any()
    assert torch.allclose(x.grad, ((2 * out.detach()) @ weights).masked_fill(clipped, 0.0), atol=1e-4)


def test_wide_sums_are_exact_too() -> None:
    """Beyond 2^24 single precision would drop bits."""
    weights = np.full((1, 4096), 127)
    chip = small_chip(DigitalCim(rows=4096))
    product = exact_product(weights, plan_for(weights, chip), chip)
    inputs = np.full((1, 4096), 255, dtype=np.int32)
    inputs[0, 0] = 254
    assert product.run(inputs, 0)[0].tolist() == [[127 * (255 * 4096 - 1)]]


def test_a_crossbar_is_not_taken_for_lossless_when_it_clips() -> None:
    layer, x = linear_on(crossbar(adc={"bits": 4, "step_levels": 1.0}), programmed=True)
    assert isinstance(layer.chip.units["unit"], Crossbar)
    assert not torch.equal(layer(x), linear_on(DigitalCim())[0](x))
