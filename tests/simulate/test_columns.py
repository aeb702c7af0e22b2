"""Converters through the whole path: noise, mismatch, measured transfer curves, free ranges, digital correction."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ohmfield._kernels.crossbar import reference
from ohmfield._kernels.crossbar_fast import fast
from ohmfield.chip.cells import RramCell
from ohmfield.chip.chip import Chip
from ohmfield.chip.converters import SarAdc
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.place import place
from ohmfield.mapping.slice import slice_weights
from ohmfield.mapping.workload import Operator, Shapes
from ohmfield.numerics import Noise
from ohmfield.simulate.calibrate import choose_gains, histograms
from ohmfield.simulate.choose import product_of
from ohmfield.simulate.columns import corrected, mismatch
from ohmfield.simulate.conversion import Causes
from ohmfield.simulate.convert import convert
from ohmfield.simulate.formats import choose_formats
from ohmfield.simulate.lower import Columns, Stored, lower
from ohmfield.simulate.products import CrossbarProduct, ExactProduct
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.run import program
from ohmfield.simulate.writing import program_layer
from ohmfield.spec import InputError
from small_chip import crossbar, made, outputs_of, plan_for, random_codes, small_chip


@pytest.mark.parametrize("bits", [6, 8])
@pytest.mark.parametrize("missing", [1.0, 2.0])
def test_limit_case_8_a_sine_at_nine_tenths_of_the_range(bits: int, missing: float) -> None:
    """SNDR = 6.02 b + 1.76 + 20 log 0.9: a bipolar 8-bit DAC drives a pair of 6-bit cells, 63 levels a digit."""
    enob, half = bits - missing, 2**13
    adc = {"bits": bits, "enob": enob, "step_levels": 2.0 ** (14 - bits)}  # 2^14 levels over all codes
    unit = crossbar(array={"cell_bits": 6, "rows_active": 1}, dac_bits=8, adc=adc)
    sine = 0.9 * half * np.sin(2 * math.pi * 0.618034 * np.arange(30_000))
    inputs = np.floor(sine / 63 + 0.5).astype(np.int64)[:, None]
    product, _ = made(np.full((1, 1), 63), unit, weight_bits=7, signed_input=True)
    error = outputs_of(product, inputs) - 63 * inputs
    sndr_dB = 10 * math.log10((0.9 * half) ** 2 / 2 / float(np.mean((error - error.mean()) ** 2)))
    assert sndr_dB == pytest.approx(6.02 * enob + 0.84, abs=0.1)


def product_with(
    unit: Crossbar, weights: np.ndarray, *, seed: int = 0, fit: bool = True, **plan: Any
) -> CrossbarProduct:
    """An instance without reading noise, its registers fitted or left as they are in the design."""
    chip = small_chip(unit)
    layer = plan_for(weights, chip, **plan)
    banks = unit.array.conversions_per_weight(layer.weight_bits)
    programmed = Programmed("small", seed, {"layer": program_layer(weights, layer, chip, seed, (1.0,) * banks)})
    if fit:
        programmed = corrected(programmed, {"layer": layer}, chip, 0.0)
    product = product_of(programmed.layers["layer"], layer, chip, Causes(reading=False), seed)
    assert isinstance(product, CrossbarProduct)
    return product


def error_of(product: CrossbarProduct, weights: np.ndarray, inputs: np.ndarray) -> float:
    return float((outputs_of(product, inputs) - inputs @ weights.T).std())


WEIGHTS, INPUTS = random_codes(1, -127, 127, 24, 128), random_codes(2, 0, 255, 60, 128)


def test_mismatch_has_the_declared_spread_and_is_shared_by_a_converter() -> None:
    unit = crossbar(adc={"offset_lsb_std": 0.5, "gain_std": 0.02, "columns_per_adc": 32})
    weights = random_codes(3, -127, 127, 512, 300)
    plan = plan_for(weights, small_chip(unit))
    columns = mismatch(unit, plan, 512, 7, 0)
    assert columns.gain is not None
    assert columns.offset_lsb is not None
    # 300 rows on arrays of 256: three row groups in two arrays; 32 outputs an array; a converter reads four outputs.
    assert columns.gain.shape == (3, 4, 512)
    assert np.array_equal(columns.gain[0], columns.gain[1])
    assert not np.array_equal(columns.gain[1], columns.gain[2])
    for values, sd in ((columns.gain - 1.0, 0.02), (columns.offset_lsb, 0.5)):
        shared = values[:, 0].reshape(3, 128, 4)
        assert np.array_equal(shared, np.broadcast_to(shared[:, :, :1], shared.shape))
        assert len(np.unique(values[1:])) > 150  # of 256 converters; the generator has 1,021 values
        assert float(values[1:, 0, ::4].std()) == pytest.approx(sd, rel=0.15)
    alone = mismatch(replace(unit, adc=replace(unit.adc, columns_per_adc=1)), plan, 512, 7, 0)
    assert alone.gain is not None
    assert len(np.unique(alone.gain[1:])) > 500
    again, other = mismatch(unit, plan, 512, 7, 0), mismatch(unit, plan, 512, 8, 0)
    assert again.gain is not None
    assert other.gain is not None
    assert np.array_equal(columns.gain, again.gain)
    assert not np.array_equal(columns.gain, other.gain)
    second = mismatch(unit, plan, 512, 7, 1).gain
    assert second is not None
    assert not np.array_equal(columns.gain, second)


def test_an_offset_adds_itself_to_every_conversion() -> None:
    """Every column one hardware LSB too high: 255 for each unit of slice weight, whatever the gain of the range."""
    unit = crossbar(adc={"bits": 10, "offset_lsb_std": 1.0, "gains": (1.0, 4.0)})
    weights = np.zeros((2, 64), dtype=np.int64)
    plan = plan_for(weights, small_chip(unit))
    slices = slice_weights(weights, unit.array, 8)
    nominal = slices.bank_levels("analog").astype(np.float64)
    columns = Columns(gain=np.ones((1, 4, 2)), offset_lsb=np.ones((1, 4, 2)))
    for gain in (1.0, 4.0):
        array = lower(
            Stored(nominal, None, columns=columns), slices, unit, plan.driving((gain,) * 4), Causes(reading=False)
        )
        out, _ = reference(array, np.zeros((1, 64), dtype=np.int64))
        assert out[0].tolist() == [255 * 85 * gain] * 2  # in steps, of 1 / gain level


def test_a_gain_scales_what_is_converted() -> None:
    unit = crossbar(adc={"bits": 14, "step_levels": 1 / 16, "gain_std": 0.1})
    weights, inputs = random_codes(4, 0, 127, 2, 64), np.full((1, 64), 255)
    slices = slice_weights(weights, unit.array, 8)
    nominal = slices.bank_levels("analog").astype(np.float64)
    columns = Columns(gain=np.full((1, 4, 2), 1.05), offset_lsb=np.zeros((1, 4, 2)))
    plan = plan_for(weights, small_chip(unit))
    array = lower(Stored(nominal, None, columns=columns), slices, unit, plan.driving((1.0,) * 4), Causes(reading=False))
    out, _ = reference(array, inputs)
    np.testing.assert_allclose(out / 16, 1.05 * inputs @ weights.T, rtol=1e-3)


def test_mismatched_converters_lose_and_are_never_exact() -> None:
    lossless = {"bits": 10, "step_levels": 1.0}
    assert isinstance(made(WEIGHTS, crossbar(adc=lossless))[0], ExactProduct)
    small = product_with(crossbar(adc={**lossless, "offset_lsb_std": 0.5}), WEIGHTS)
    large = product_with(crossbar(adc={**lossless, "offset_lsb_std": 2.0}), WEIGHTS)
    assert 0 < error_of(small, WEIGHTS, INPUTS) < error_of(large, WEIGHTS, INPUTS)
    quantised, _ = made(WEIGHTS, crossbar(adc={**lossless, "gain_std": 0.1}), causes=Causes(programming=False))
    assert isinstance(quantised, ExactProduct)  # mismatch is part of what an instance draws


@pytest.mark.parametrize(
    ("array", "left"), [({}, 0.04), ({"subtract": "digital"}, 0.8), ({"encoding": "offset"}, 0.08)]
)
def test_the_digital_correction_takes_mismatch_off(array: dict[str, Any], left: float) -> None:
    """Sides that share a converter lose its offset in the difference anyway. What is left is rounding."""
    adc = {"bits": 9, "offset_lsb_std": 2.0, "gain_std": 0.05}
    held = {**array, "rows_active": 64}
    offset, both = (
        error_of(
            product_with(crossbar(array=held, adc={**adc, "post_calibration": {"fit": fit, "bits": 12}}), WEIGHTS),
            WEIGHTS,
            INPUTS,
        )
        for fit in ("offset", "scale_shift")
    )
    plain = error_of(product_with(crossbar(array=held, adc=adc), WEIGHTS), WEIGHTS, INPUTS)
    assert both < 0.85 * offset < 0.85 * plain
    assert both < left * plain


def test_the_correction_takes_off_what_programming_adds_to_a_whole_column() -> None:
    """Cells stuck at g_max in a column of small weights look like an offset of driven rows: part of it is a gain."""
    cell = RramCell(g_min_uS=0.0, g_max_uS=60.0, program_fraction=0.05, fraction_of="g_max", read_fraction=0.0)
    array, adc = {"encoding": "offset", "cell_bits": 1}, {"bits": 8, "post_calibration": {"bits": 12}}
    unit = crossbar(cell, array=array, adc=adc)
    better = [
        error_of(product_with(unit, WEIGHTS, seed=seed), WEIGHTS, INPUTS)
        / error_of(product_with(unit, WEIGHTS, seed=seed, fit=False), WEIGHTS, INPUTS)
        for seed in range(3)
    ]
    assert max(better) < 0.9


def test_the_correction_in_several_arrays_and_with_skipped_planes() -> None:
    weights, inputs = random_codes(5, -127, 127, 10, 300), random_codes(6, -127, 127, 40, 300)
    adc = {"bits": 10, "offset_lsb_std": 2.0, "gain_std": 0.05, "post_calibration": {"bits": 12}}
    for skip in ("none", "zero_planes", "zero_bits"):
        unit = crossbar(array={"cell_bits": 1}, dac={"skip": skip, "signed": "sign_magnitude"}, adc=adc)
        corrected_error = error_of(product_with(unit, weights, signed_input=True), weights, inputs)
        plain = error_of(product_with(unit, weights, signed_input=True, fit=False), weights, inputs)
        assert corrected_error < 0.3 * plain
        product = product_with(unit, weights, signed_input=True)
        zeros = outputs_of(product, np.zeros((3, 300), dtype=np.int64))
        assert not zeros.any() if skip != "none" else np.abs(zeros).max() < 4 * corrected_error
        array = product.copies[0]
        assert np.array_equal(fast(array, inputs)[0], reference(array, inputs)[0])


def test_registers_are_part_of_the_saved_instance(tmp_path: Any) -> None:
    unit = crossbar(adc={"offset_lsb_std": 1.0, "post_calibration": {}})
    chip = small_chip(unit)
    plan = plan_for(WEIGHTS, chip)
    stored = program_layer(WEIGHTS, plan, chip, 0, (1.0,) * 4)
    programmed = corrected(Programmed("small", 0, {"layer": stored}), {"layer": plan}, chip, 0.0)
    programmed.save(tmp_path / "chip.safetensors")
    loaded = Programmed.load(tmp_path / "chip.safetensors")
    first, second = programmed.layers["layer"].registers, loaded.layers["layer"].registers
    assert first is not None
    assert second is not None
    assert np.array_equal(first, second)
    assert first.shape == (1, 2, 1, 4, 24)


def test_a_measured_transfer_enters_every_code() -> None:
    """A bow of two codes in the middle; the same table at four times the points; codes may fall as the sum rises."""
    bow = (0.0, 2.0, 0.0)
    adc = SarAdc(bits=5, inl=bow)
    values = np.linspace(0, 31, 500)
    wanted = np.clip(np.floor(values + 2.0 * (1 - np.abs(values - 15.5) / 15.5) + 0.5), 0, 31)
    assert np.array_equal(adc.code(values, signed=False), wanted)
    unit = crossbar(array={"encoding": "offset", "cell_bits": 1}, adc={"bits": 7, "inl": bow, "step_levels": 1.0})
    weights, inputs = np.full((1, 64), 1), np.zeros((65, 64), dtype=np.int64)
    for count in range(65):
        inputs[count, :count] = 1
    product, _ = made(weights, unit, weight_bits=2)  # codes 3: two slices of the same sum
    assert isinstance(product, CrossbarProduct)
    sums = np.arange(65)
    bent = np.floor(sums + 2.0 * (1 - np.abs(sums - 63.5) / 63.5) + 0.5)
    assert np.array_equal(outputs_of(product, inputs)[:, 0], 3 * bent - 2 * sums)
    falling = SarAdc(bits=4, inl=(0.0, 3.0, -3.0, 0.0))
    codes = falling.code(np.linspace(0, 15, 200), signed=False)
    assert np.any(np.diff(codes) < 0)
    rough = crossbar(array={"encoding": "offset"}, adc={"bits": 8, "inl": tuple(np.sin(np.arange(256) * 2.0) * 1.5)})
    array = made(WEIGHTS, rough)[0].copies[0]  # type: ignore[attr-defined]
    assert np.array_equal(fast(array, INPUTS)[0], reference(array, INPUTS)[0])
    with pytest.raises(ValueError, match="has one entry; give one per code"):
        SarAdc(inl=(0.5,))


def two_layers(unit: Crossbar) -> tuple[nn.Module, Chip, torch.Tensor]:
    """Two converted layers of very different sums."""
    generator = torch.Generator().manual_seed(3)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8))
    with torch.no_grad():
        for child, scale in ((model[0], 0.02), (model[2], 1.0)):
            child.weight.copy_(torch.randn(child.weight.shape, generator=generator) * scale)  # type: ignore[union-attr]
            child.weight.view(-1)[0] = 3.0  # type: ignore[union-attr]
    chip = small_chip(unit)
    linear = [Operator("0#0", "linear", inputs=64, outputs=32), Operator("2#0", "linear", inputs=32, outputs=8)]
    shapes = Shapes((linear[0], Operator("1#0", "activation", outputs=32, function="relu"), linear[1]))
    x = torch.rand(300, 64, generator=generator)
    placed = place(shapes, chip)
    return convert(model, chip, placed, choose_formats(model, chip, placed, x)), chip, x


def output_error(module: nn.Module, chip: Chip, x: torch.Tensor, path: str, gains: tuple[float, ...]) -> float:
    """Mean square error in levels of one layer's output on ideal cells at that gain."""
    from ohmfield.simulate.calibrate import layer_inputs
    from ohmfield.simulate.convert import chip_layers

    layer, codes = chip_layers(module)[path], layer_inputs(module, x)[path]
    stored = program_layer(layer.weight_codes().numpy(), layer.plan, chip, 0, gains)
    product = product_of(stored, layer.plan, chip, Causes(programming=False, reading=False), 0)
    out = product.run(codes.astype(np.int32), 0)[0] * product.step
    return float(np.mean((out - codes @ layer.weight_codes().numpy().T) ** 2))


def test_the_least_error_rule_finds_the_least_error_of_the_output() -> None:
    unit = crossbar(adc={"bits": 5, "gains": (1.0, 2.0, 4.0, 8.0)})
    module, chip, x = two_layers(unit)
    chosen = choose_gains(module, chip, x)
    for path, gains in chosen.items():
        errors = {gain: output_error(module, chip, x, path, (gain,) * 4) for gain in unit.adc.gains}
        assert gains == (min(errors, key=lambda gain: errors[gain]),) * 4
    assert max(max(gains) for gains in chosen.values()) > 1.0  # narrower ranges do help here


def test_free_ranges_choose_at_least_as_well_and_one_range_for_a_chip_no_better() -> None:
    module, chip, x = two_layers(crossbar(adc={"bits": 5, "gains": (1.0, 8.0)}))
    unit = chip.units["unit"]
    assert isinstance(unit, Crossbar)
    free = replace(chip, units={"unit": replace(unit, adc=replace(unit.adc, range="calibrated"))})
    fixed = choose_gains(module, chip, x)
    loose = choose_gains(module, free, x)
    for path in fixed:
        assert output_error(module, free, x, path, loose[path]) <= output_error(module, chip, x, path, fixed[path])
        assert loose[path][0] not in (1.0, 8.0)
    whole = choose_gains(module, free, x, granularity="chip")
    assert len({gain for gains in whole.values() for gain in gains}) == 1
    assert any(output_error(module, free, x, p, whole[p]) > output_error(module, free, x, p, loose[p]) for p in whole)


def test_free_ranges_of_slices_need_a_multiplier() -> None:
    adc = {"bits": 5, "gains": (1.0, 64.0), "range": "calibrated"}
    module, chip, x = two_layers(crossbar(adc=adc))
    gains = choose_gains(module, chip, x, granularity="slice", rule="max")
    assert any(len(set(each)) > 1 for each in gains.values())
    with pytest.raises(InputError, match="other than powers of two: calibrate per layer, or declare"):
        program(module, chip, gains=gains)
    module, chip, x = two_layers(crossbar(adc={**adc, "post_calibration": {"bits": 12}}))
    programmed = program(module, chip, gains=gains)
    for path, each in gains.items():
        error = output_error(module, chip, x, path, each)
        assert error <= 1.02 * output_error(module, chip, x, path, (min(each),) * len(each))
        assert programmed.layers[path].registers is not None


def test_calibration_can_see_the_instance_and_its_age() -> None:
    """Cells far off their targets need another range than the design says."""
    cell = RramCell(g_min_uS=0.0, g_max_uS=60.0, program_fraction=0.3, read_fraction=0.0)
    module, chip, x = two_layers(crossbar(cell, adc={"bits": 6, "gains": (1.0, 16.0), "range": "calibrated"}))
    design = choose_gains(module, chip, x, rule="max")
    instance = choose_gains(module, chip, x, rule="max", programmed=program(module, chip, seed=5))
    assert instance != design
    aged = choose_gains(module, chip, x, rule="max", programmed=program(module, chip, seed=5).aged(1e6))
    assert aged == instance  # these cells do not age


def test_a_range_that_clips_everything_names_the_layer() -> None:
    tiny = {"bits": 2, "step_levels": 2.0**-6}
    module, chip, x = two_layers(crossbar(array={"encoding": "offset"}, adc=tiny))
    with torch.no_grad():
        for child in module.modules():
            if hasattr(child, "weight") and isinstance(child.weight, torch.Tensor):
                child.weight.fill_(1.0)
    with pytest.raises(InputError, match=r"[02]: all conversions leave the range at gain 1: declare a larger"):
        choose_gains(module, chip, torch.ones_like(x))


def test_histograms_see_mismatch_and_skipped_reads() -> None:
    adc = {"bits": 6, "offset_lsb_std": 3.0}
    module, chip, x = two_layers(crossbar(dac={"skip": "zero_planes"}, adc=adc))
    drawn = histograms(module, chip, program(module, chip), x)["0#0"]
    module, chip, x = two_layers(crossbar(dac={"skip": "zero_planes"}, adc={"bits": 6}))
    plain = histograms(module, chip, program(module, chip), x)["0#0"]
    assert plain.counts.sum() == drawn.counts.sum()
    assert len(drawn.codes) > len(plain.codes)


def test_noise_draws_do_not_move_with_the_number_of_the_first_vector() -> None:
    unit = crossbar(adc={"bits": 8, "enob": 6.0, "offset_lsb_std": 1.0, "post_calibration": {}})
    product = product_with(unit, WEIGHTS)
    whole = product.copies[0]
    noise = Noise(1)
    out, _ = fast(whole, INPUTS, noise, 0)
    assert np.array_equal(out[20:], fast(whole, INPUTS[20:], noise, 20)[0])


def test_a_sum_half_a_step_above_the_last_code_clips() -> None:
    """31 rows at steps of two levels are 15.5: rounded half up, one code more than a signed 5-bit converter has."""
    unit = crossbar(array={"cell_bits": 1, "rows_active": 64}, adc={"bits": 5, "gains": (1.0, 4.0)})
    model = nn.Sequential(nn.Linear(31, 2))
    with torch.no_grad():
        model[0].weight.fill_(1.0)  # type: ignore[union-attr]
    chip = small_chip(unit)
    shapes = Shapes((Operator("0#0", "linear", inputs=31, outputs=2),))
    placed, x = place(shapes, chip), torch.ones(8, 31)
    module = convert(model, chip, placed, choose_formats(model, chip, placed, x, "max"))
    assert choose_gains(module, chip, x, rule="max") == {"0": (1.0,) * 7}
