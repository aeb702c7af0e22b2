"""Inputs with a zero point: the identity of the integers, how grids are chosen, and everything downstream of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ohmfield.chip.cells import IdealCell, RramCell
from ohmfield.chip.chip import Chip
from ohmfield.chip.column_sums import ColumnSums
from ohmfield.chip.fixed import requantise
from ohmfield.chip.units import Crossbar, DigitalCim
from ohmfield.compress.quantise import fit_grid
from ohmfield.deploy import Recipe, deploy
from ohmfield.fields.presets import build
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import trace
from ohmfield.mapping.workload import Placement
from ohmfield.signals.examples import Examples
from ohmfield.simulate.choose import exact_product, measured_offsets, product_of
from ohmfield.simulate.conversion import Causes
from ohmfield.simulate.convert import chip_layers, convert
from ohmfield.simulate.formats import CalledFormat, LinearFormat, Rules, choose_formats, input_grid
from ohmfield.simulate.golden import golden_vectors, save_golden
from ohmfield.simulate.integer import integer_forward
from ohmfield.simulate.noisy import conversion_errors, with_noise
from ohmfield.simulate.products import CrossbarProduct, ExactProduct
from ohmfield.simulate.run import install, predict, program
from ohmfield.simulate.statistical import matched
from ohmfield.simulate.training import ChipTrained
from ohmfield.simulate.writing import program_layer
from ohmfield.spec import InputError
from small_chip import crossbar, plan_for, random_codes, small_chip

LOSSLESS = crossbar(adc={"bits": 12, "step_levels": 1.0})
# Noise far below half a step: nothing is lost, yet every conversion is made.
CONVERTED = crossbar(RramCell(program_fraction=0.0, read_fraction=1e-9), adc={"bits": 12, "step_levels": 1.0})
ONE_SIDED = crossbar(adc={"bits": 12, "step_levels": 1.0}, dac={"signed": "none"})


def skewed(*shape: int, seed: int = 3) -> Tensor:
    return nn.functional.gelu(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)))


def measuring(unit: Crossbar, reads: int = 16) -> Crossbar:
    return dataclasses.replace(unit, measured_column_sums=ColumnSums(reads=reads))


def converted(model: nn.Module, chip: Chip, x: Tensor, **choices: Any) -> tuple[nn.Module, Any]:
    placement = place(trace(model, x), chip)
    formats = choose_formats(model, chip, placement, x, input_zero="calibrated", **choices)
    return convert(model, chip, placement, formats), formats


# ---- integers --------------------------------------------------------------------------------------------------------


@given(st.integers(0, 255), st.integers(-128, 127), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("through", [False, True], ids=["exact", "converters"])
def test_the_identity_holds_for_any_zero_points(through: bool, zx: int, zw: int, seed: int) -> None:
    """sum (qw - zw)(qx - zx) = sum qw qx - zx sum qw - zw sum qx + K zx zw; rows at zx, as padding is, add nothing."""
    rng = np.random.default_rng(seed)
    weights, inputs = rng.integers(-127, 128, size=(5, 37)), rng.integers(0, 256, size=(6, 37))
    inputs[:, rng.integers(0, 2, size=37) == 0] = zx
    chip = small_chip(CONVERTED)
    plan = dataclasses.replace(plan_for(weights, chip, input_zero=zx), weight_zero=float(zw))
    product: Any = exact_product(weights, plan, chip)
    if through:
        product = product_of(program_layer(weights, plan, chip, 0), plan, chip, Causes(), 0)
    assert isinstance(product, CrossbarProduct if through else ExactProduct)
    out = product.run(inputs.astype(np.int32), 0)[0] - plan.static_offset(weights)
    assert np.array_equal(out, (inputs - zx) @ (weights - zw).T)


# ---- choosing grids --------------------------------------------------------------------------------------------------


def grid_for(values: Tensor, unit: Any = LOSSLESS, rule: Any = "mse", zero: Any = "calibrated", bits: int = 8) -> Any:
    return input_grid(values, unit, Rules(small_chip(unit), Placement({}, input_bits=bits), rule, {}, zero))


@pytest.mark.parametrize("rule", ["max", "percentile", "mse"])
@pytest.mark.parametrize("bits", [5, 6, 8])
def test_skewed_inputs_get_a_zero_point_and_steps_of_half_the_size(rule: str, bits: int) -> None:
    x = skewed(4000)
    with_zero, without = grid_for(x, rule=rule, bits=bits), grid_for(x, rule=rule, bits=bits, zero="none")
    assert (with_zero.signed, without.signed) == (False, True)
    assert without.zero == 0
    assert float(with_zero.scale) == float(without.scale) / 2
    assert float(with_zero.zero) == round(float(with_zero.zero)) > 0
    assert float(with_zero.fake(torch.zeros(1))) == 0.0  # zero has a code
    error, plain = ((grid.fake(x) - x).square().mean() for grid in (with_zero, without))
    assert error < 0.5 * plain


def test_others_keep_the_grid_they_had() -> None:
    centred = torch.linspace(-1.0, 1.0, 513)
    assert grid_for(centred, rule="max") == grid_for(centred, rule="max", zero="none")
    above = grid_for(centred.abs())
    assert (above.signed, above.zero) == (False, 0)


def test_drivers_without_a_sign_take_what_is_below_zero_with_a_zero_point() -> None:
    centred = torch.linspace(-1.0, 1.0, 513)
    grid = grid_for(centred, ONE_SIDED, "max")
    assert not grid.signed
    assert (grid.fake(centred) - centred).abs().max() <= float(grid.scale) / 2
    model, x = nn.Sequential(nn.Linear(6, 4)), torch.randn(40, 6)
    chip = small_chip(ONE_SIDED)
    placement = place(trace(model, x), chip)
    with pytest.raises(InputError, match="input_zero calibrated"):
        convert(model, chip, placement, choose_formats(model, chip, placement, x))
    module, formats = converted(model, chip, x)
    install(module, chip, program(module, chip))
    assert formats["0"].input.zero > 0
    assert (predict(module, x) - model(x)).abs().max() < 0.05 * model(x).abs().max()


def test_the_rule_mse_cuts_the_end_that_is_long() -> None:
    """One outlier above 20,000 values in [-1, 1]: the negative ones are not cut with it."""
    values = torch.cat([torch.linspace(-1.0, 1.0, 20001), torch.tensor([1.3])])
    grid = fit_grid(values, 8, signed=False, affine=True, power_of_two=True)
    kept = values[:-1]
    assert float(grid.scale) == 2.0**-7
    assert (grid.fake(kept) - kept).abs().max() <= float(grid.scale) * 1.01


def test_ranges_that_training_learnt_bring_their_zero_point() -> None:
    model, x = nn.Sequential(nn.Linear(6, 4)), skewed(200, 6)
    _, plain = converted(model, small_chip(LOSSLESS), x)
    _, finer = converted(model, small_chip(LOSSLESS), x, input_scales={"0": float(plain["0"].input.scale) / 2})
    low = [float(form["0"].input.values(torch.zeros(1))) for form in (plain, finer)]
    assert finer["0"].input.zero > 1.9 * plain["0"].input.zero
    assert low[0] == pytest.approx(low[1], abs=float(plain["0"].input.scale))


# ---- functions, fields, golden vectors -------------------------------------------------------------------------------


class Called(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 9, generator=torch.Generator().manual_seed(0)))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight)


@pytest.mark.parametrize("unit", [LOSSLESS, CONVERTED, DigitalCim()], ids=["collapsed", "converters", "digital"])
def test_weights_that_functions_are_called_with(unit: Any) -> None:
    chip, x, model = small_chip(unit), skewed(30, 9), Called()
    module, formats = converted(model, chip, x)
    install(module, chip, program(module, chip))
    assert isinstance(formats["weight"], CalledFormat)
    form = formats["weight"].form
    assert isinstance(form, LinearFormat)
    assert form.input.zero > 0
    sums = (form.input.codes(x) - form.input.zero).double() @ form.weight.codes(model.weight.detach()).double().T
    factor = torch.as_tensor(form.weight.scale).double().flatten() * float(form.input.scale)
    words = requantise(sums.long(), factor * 2.0**form.output.fraction, chip.requantiser, form.output)
    assert torch.equal(predict(module, x), form.output.values(words))


def test_the_decoder_of_a_hash_grid_in_integers_alone() -> None:
    """Drivers without a sign: every layer whose inputs fall below zero has a zero point."""
    field = build("hash", num_levels=4, log2_table=8, width=24).eval()
    with torch.no_grad():
        field.get_parameter("encoding.table.weight").normal_(generator=torch.Generator().manual_seed(2))
    coords = torch.rand(500, 2, generator=torch.Generator().manual_seed(1))
    chip = small_chip(ONE_SIDED)
    module: Any = converted(field, chip, coords)[0]
    assert any(layer.plan.input_zero for layer in chip_layers(module).values())
    install(module, chip, program(module, chip))
    codes, word = integer_forward(module, coords)
    assert torch.equal(word.values(codes), predict(module, coords))


@pytest.mark.parametrize("measured", [False, True])
def test_golden_vectors_hold_what_becomes_of_the_zero_point(measured: bool, tmp_path: Path) -> None:
    unit = crossbar(RramCell(g_min_uS=5.0, program_fraction=0.03, read_fraction=0.0), adc={"bits": 6})
    unit = measuring(unit) if measured else unit
    chip, x = small_chip(unit), skewed(40, 6)
    module, _ = converted(nn.Sequential(nn.Linear(6, 5)), chip, x)
    programmed = program(module, chip)
    install(module, chip, programmed)
    arrays, facts = golden_vectors(module, programmed, "0", x, vectors=9)
    layer = chip_layers(module)["0"]
    assert facts["input_zero"] == layer.plan.input_zero > 0
    bias = layer.bias_codes(layer.product.step)  # type: ignore[union-attr]
    assert np.array_equal(bias.numpy(), arrays["bias"]) is not measured
    assert layer.bias is not None
    own = layer.bias.detach().double() / layer.accumulator_factor(facts["output_step_levels"])
    flat = np.full((1, 6), facts["input_zero"], dtype=np.int32)
    made = layer.product.run(flat, 0)[0][0] + bias.numpy()  # type: ignore[union-attr]
    assert bool(np.abs(made - own.numpy()).max() <= 0.5) is measured
    save_golden(arrays, facts, tmp_path / "golden.safetensors")


# ---- measured column sums --------------------------------------------------------------------------------------------


def offsets_of(unit: Crossbar, reads: int, seed: int = 0, copies: int = 1, zero: int = 90) -> np.ndarray:
    """[copies, outputs] in levels."""
    weights = random_codes(4, -127, 127, 40, 30)
    chip = small_chip(measuring(unit, reads))
    plan = plan_for(weights, chip, copies=copies, input_zero=zero)
    product = product_of(program_layer(weights, plan, chip, seed), plan, chip, Causes(), seed)
    assert isinstance(product, CrossbarProduct)
    return np.array(product.offsets) * product.step


def test_what_is_measured_is_the_error_of_every_copy() -> None:
    """Against the cells themselves, in steps so fine that converters say no more than they do."""
    cell = RramCell(g_min_uS=5.0, program_fraction=0.02, read_fraction=0.0)
    unit = crossbar(cell, copies=2, adc={"bits": 14, "step_levels": 2.0**-6})
    found = offsets_of(unit, 1, copies=2)
    weights = random_codes(4, -127, 127, 40, 30)
    stored = program_layer(weights, plan_for(weights, small_chip(unit), copies=2), small_chip(unit), 0)
    assert stored.conductances_uS is not None
    levels = (
        stored.conductances_uS[:, :, :, 0] - stored.conductances_uS[:, :, :, 1]
    )  # [copies, inputs, slices, outputs]
    held = np.einsum("ckso,s->co", levels, 4.0 ** np.arange(4)) * 3 / (cell.g_max_uS - cell.g_min_uS)
    wanted = 90 * (held - weights.sum(axis=1))
    assert np.abs(found - wanted).max() < 0.04 * np.abs(wanted).max()
    assert np.abs(found[0] - found[1]).max() > 0.5 * np.abs(found).max()


def test_the_mean_of_more_reads_has_less_noise() -> None:
    cell = RramCell(g_min_uS=5.0, program_fraction=0.0, read_fraction=0.02)
    unit = crossbar(cell, adc={"bits": 14, "step_levels": 2.0**-6})
    once, often = (np.concatenate([offsets_of(unit, reads, seed) for seed in range(6)]) for reads in (1, 64))
    assert once.std() / often.std() == pytest.approx(8.0, rel=0.15)


def test_coarse_converters_round_what_is_measured() -> None:
    unit = crossbar(IdealCell(), adc={"bits": 5})
    assert np.abs(offsets_of(unit, 16)).max() > 0
    assert not offsets_of(CONVERTED, 16).any()


def test_reads_are_a_power_of_two() -> None:
    with pytest.raises(ValueError, match="reads 12"):
        ColumnSums(reads=12)


def test_moment_matched_products_take_it_off_too() -> None:
    cell = RramCell(g_min_uS=5.0, program_fraction=0.03)
    unit = measuring(crossbar(cell, copies=2, adc={"bits": 7, "enob": 6.5}))
    weights, chip = random_codes(3, -127, 127, 12, 100), small_chip(unit)
    plan = plan_for(weights, chip, copies=2, input_zero=100)
    exact = product_of(program_layer(weights, plan, chip, 0), plan, chip, Causes(), 0)
    assert isinstance(exact, CrossbarProduct)
    assert all(np.abs(offset).max() > 100 for offset in exact.offsets)
    product = matched(exact, random_codes(5, 0, 255, 512, 100), exact_product(weights, plan, chip).order)
    inputs = random_codes(6, 0, 255, 2000, 100).astype(np.int32)
    want, have = exact.run(inputs, 0)[0], product.run(inputs, 0)[0]
    spread = (want - inputs @ weights.T / exact.step).std()
    assert np.abs((want - have).mean(axis=0)).max() < 0.3 * spread
    assert np.array_equal(measured_offsets(exact_without(exact), weights, plan, 16), exact.offsets)


def exact_without(product: CrossbarProduct) -> CrossbarProduct:
    return CrossbarProduct(product.copies, product.step, product.noise, product.sums)


# ---- training --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measured", [False, True])
def test_training_has_the_errors_of_a_zero_point(measured: bool) -> None:
    """In size those of the chip. Part of them is an offset of every output, unless it is measured."""
    torch.manual_seed(0)
    unit = crossbar(RramCell(program_fraction=0.02, read_fraction=0.0, g_min_uS=20.0), adc={"bits": 10})
    chip = small_chip(measuring(unit) if measured else unit)
    model, x = nn.Sequential(nn.Linear(64, 48)).eval(), 3.0 * skewed(256, 64) - 0.4
    module, _ = converted(model, chip, x)
    noisy = with_noise(model, module, chip, x).train()
    assert isinstance(noisy[0], ChipTrained)  # type: ignore[index]
    error = torch.stack([noisy(x) - model(x) for _ in range(20)]).detach()
    (layer,) = chip_layers(module).values()
    assert layer.plan.input_zero > 0
    codes = layer.input_codes(x).numpy()
    chips = conversion_errors(layer, chip, codes, 1.0, Causes(), 0.0)
    worth = (torch.as_tensor(layer.form.weight.scale).flatten() * float(layer.form.input.scale)).numpy()
    whole = float(np.sqrt(np.mean((chips * worth) ** 2)))
    assert float(error.square().mean().sqrt()) == pytest.approx(whole, rel=0.25)
    static = float(error.mean(1).square().mean().sqrt())  # of each draw and output
    assert (static > 0.25 * whole) is not measured
    assert measured or static == pytest.approx(float(np.sqrt(np.mean((chips * worth).mean(0) ** 2))), rel=0.35)


@pytest.mark.parametrize("inner", [nn.Linear(36, 7), nn.Conv2d(4, 5, 3, padding=1)], ids=["linear", "convolution"])
def test_training_without_errors_is_the_rounded_layer(inner: Any) -> None:
    torch.manual_seed(0)
    x = skewed(8, 36) if isinstance(inner, nn.Linear) else skewed(3, 4, 6, 6)
    model, chip = nn.Sequential(inner).eval(), small_chip(LOSSLESS)
    module, _ = converted(model, chip, x)
    noisy = with_noise(model, module, chip, x).train()
    made, wanted = noisy(x), model(x)
    assert (made - wanted).abs().max() < 0.02 * wanted.abs().max()
    pairs = (made, noisy[0].inner.weight), (wanted, inner.weight)  # type: ignore[index, union-attr]
    own, exact = (torch.autograd.grad(out.square().sum(), weight)[0] for out, weight in pairs)
    assert (own - exact).abs().max() < 0.05 * exact.abs().max()


# ---- the whole way ---------------------------------------------------------------------------------------------------


def test_a_recipe_with_zero_points_keeps_more_and_is_billed() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 4)), torch.randn(128, 8)
    unit = measuring(LOSSLESS)
    plain, shifted = (
        deploy(model, small_chip(unit), x, Recipe(input_bits=6, weight_bits=10, input_zero=zero))
        for zero in ("none", "calibrated")
    )
    assert plain.placement.zero_points == frozenset()
    assert "2" in shifted.placement.zero_points
    assert shifted.quality["snr_dB"] > plain.quality["snr_dB"] + 1.0
    assert shifted.bill.area_mm2[1] > plain.bill.area_mm2[1]


def test_noise_aware_tuning_runs_with_zero_points() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Linear(16, 2)), torch.randn(64, 4)
    examples = Examples(x, x[:, :2].argmax(1), ("a", "b"), 48, "largest")
    unit = crossbar(RramCell(program_fraction=0.03), adc={"bits": 8, "gains": (1.0, 2.0)})
    recipe = Recipe(
        tune_steps=6, tune_batch=16, noise_aware=True, learn_ranges=True, input_zero="calibrated", elapsed_s=10.0
    )
    made = deploy(model, small_chip(measuring(unit)), examples, recipe)
    assert made.placement.zero_points
    assert [cause for cause, _ in made.waterfall][:2] == ["float", "tuned"]
