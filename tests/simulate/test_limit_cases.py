"""The limit cases of the analog product, through the whole path: chip record, drawn instance, lowered array, kernel."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ohmfield.chip.cells import IdealCell, RramCell
from ohmfield.chip.column_sums import ColumnSums
from ohmfield.chip.units import Crossbar, DigitalCim, Unit
from ohmfield.mapping.place import place
from ohmfield.mapping.slice import slice_weights
from ohmfield.mapping.tile import geometry
from ohmfield.mapping.trace import trace
from ohmfield.numerics import Noise
from ohmfield.simulate.conversion import Causes
from ohmfield.simulate.convert import convert
from ohmfield.simulate.formats import LinearFormat, choose_formats
from ohmfield.simulate.layers import ChipLinear
from ohmfield.simulate.lower import Stored, lower
from ohmfield.simulate.products import CrossbarProduct
from ohmfield.simulate.reading import reference_copies
from ohmfield.simulate.run import install, program
from ohmfield.simulate.sums import sum_correction
from ohmfield.simulate.writing import program_layer
from ohmfield.spec import InputError
from small_chip import (
    crossbar,
    made,
    outputs_of,
    plan_for,
    random_codes,
    random_weights,
    reference_output,
    small_chip,
)

RANGES = Causes(programming=False, reading=False)


def kernel_product(weights: np.ndarray, unit: Crossbar, gain: float = 1.0, **plan: Any) -> CrossbarProduct:
    """Ideal cells through the converters, even where the product would collapse to an exact one."""
    chip = small_chip(unit)
    made_plan = plan_for(weights, chip, **plan)
    slices = slice_weights(weights.astype(np.int64), unit.array, made_plan.weight_bits, starts=made_plan.starts)
    nominal = slices.bank_levels(unit.array.subtract).astype(np.float64)
    driving = made_plan.driving((gain,) * nominal.shape[1])
    array = lower(Stored(nominal, None), slices, unit, driving, RANGES)
    step = unit.adc.step_levels or 1.0
    stored = program_layer(weights, made_plan, chip, 0, driving.gains)
    references = reference_copies(stored, made_plan, unit, 0.0, RANGES, Noise(0), [1.0])
    blocks = np.arange(len(weights)) // geometry(unit, made_plan.weight_bits).weights_per_row
    sums = sum_correction(slices, unit, driving, RANGES, 0.0, blocks, references)
    return CrossbarProduct([array], step / gain, Noise(0), sums)


run = reference_output
LOSSLESS = {"bits": 12, "step_levels": 1.0}
MAPPINGS: list[dict[str, Any]] = [
    {"encoding": "differential", "subtract": "analog"},
    {"encoding": "differential", "subtract": "digital"},
    {"encoding": "offset"},
    {"encoding": "twos_complement"},
    {"encoding": "column_flip"},
]
ONE_BIT: list[dict[str, Any]] = [
    {"encoding": "ternary", "cell_bits": 1},
    {"encoding": "xnor", "cell_bits": 1},
    {"encoding": "xnor", "cell_bits": 1, "subtract": "digital"},
    {"encoding": "two_level", "cell_bits": 1},
]


@pytest.mark.parametrize("sum_x", ["digital", "analog"])
@pytest.mark.parametrize("array", [*MAPPINGS, *ONE_BIT])
def test_limit_case_1_one_hot_inputs_read_the_weights(array: dict[str, Any], sum_x: str) -> None:
    unit = crossbar(array={**array, "sum_x": sum_x}, adc=LOSSLESS)
    weights = random_weights(unit, 1, 5, 140)
    product = kernel_product(weights, unit, signed_input=True)
    for row in (0, 127, 128, 139):
        for value in (1, 2, 4, 8, 16, 32, 64, -128):
            inputs = np.zeros((1, 140), dtype=np.int64)
            inputs[0, row] = value
            assert np.array_equal(run(product, inputs)[0], value * weights[:, row])


@pytest.mark.parametrize("encoding", ["offset", "twos_complement", "column_flip"])
@pytest.mark.parametrize("sum_x", ["digital", "analog"])
def test_limit_case_2_the_most_negative_code(encoding: str, sum_x: str) -> None:
    weights, inputs = np.full((2, 128), -128), np.full((1, 128), -128)
    unit = crossbar(array={"encoding": encoding, "sum_x": sum_x}, adc=LOSSLESS)
    assert run(kernel_product(weights, unit, signed_input=True), inputs).tolist() == [[2_097_152, 2_097_152]]


def test_limit_case_2_pairs_have_no_code_for_it() -> None:
    weights = np.full((2, 128), -128)
    with pytest.raises(InputError, match="-128"):
        kernel_product(weights, crossbar(adc=LOSSLESS), signed_input=True)


@pytest.mark.parametrize(
    ("cell_bits", "array", "enough", "rows"),
    [
        (1, {"encoding": "offset"}, 8, 128),
        (1, {"encoding": "offset"}, 7, 127),
        (2, {"encoding": "offset"}, 9, 128),
        (2, {"encoding": "differential"}, 10, 128),
        (2, {"encoding": "twos_complement"}, 9, 128),
    ],
)
def test_limit_case_3_bits_that_cover_a_column(cell_bits: int, array: dict[str, Any], enough: int, rows: int) -> None:
    bits = 4 if array["encoding"] == "offset" else 5  # whole cells on the side of the sign
    weights = np.full((1, rows), 2 ** (bits - 1) - 1)  # every cell at its highest level
    inputs = np.ones((1, rows), dtype=np.int64)

    def output(adc_bits: int) -> float:
        unit = crossbar(array={**array, "cell_bits": cell_bits}, adc={"bits": adc_bits, "step_levels": 1.0})
        return float(run(kernel_product(weights, unit, weight_bits=bits), inputs)[0, 0])

    assert output(enough) == weights.sum()
    assert output(enough - 1) < weights.sum()


@pytest.mark.parametrize(("cell_bits", "enough"), [(1, 7), (2, 8)])
def test_limit_case_3_flipped_columns_need_one_bit_less(cell_bits: int, enough: int) -> None:
    """Whatever the weights: a column whose digits fill more than half stores their complement."""
    inputs = np.ones((1, 128), dtype=np.int64)
    worst = np.repeat([[1], [-2]], 64, axis=0).ravel() if cell_bits == 1 else np.repeat([1, -1], 64)

    def exact(adc_bits: int, weights: np.ndarray) -> bool:
        array = {"encoding": "column_flip", "cell_bits": cell_bits}
        unit = crossbar(array=array, adc={"bits": adc_bits, "step_levels": 1.0})
        return np.array_equal(run(kernel_product(weights, unit, weight_bits=2), inputs), inputs @ weights.T)

    for value in (-2, -1, 0, 1):
        assert exact(enough, np.full((1, 128), value))
    assert exact(enough, worst[None])
    assert not exact(enough - 1, worst[None])


@pytest.mark.parametrize("array", MAPPINGS)
@pytest.mark.parametrize("cell_bits", [1, 2])
def test_limit_case_4_on_off_ratio_changes_nothing(array: dict[str, Any], cell_bits: int) -> None:
    """Ratio 7 with 2-bit cells makes pedestals of half a level: rounding half to even would show."""
    on_off_ratios({**array, "cell_bits": cell_bits}, 9 if cell_bits == 1 else 10)


@pytest.mark.parametrize("array", ONE_BIT)
def test_limit_case_4_on_off_ratio_of_one_bit_weights(array: dict[str, Any]) -> None:
    on_off_ratios(array, 9)


def on_off_ratios(array: dict[str, Any], bits: int) -> None:
    weights, inputs = random_weights(crossbar(array=array), 2, 6, 128), random_codes(3, 0, 255, 40, 128)
    for ratio in (2.0, 3.0, 7.0, 50.0, math.inf):
        cell = IdealCell(g_max_uS=70.0, g_min_uS=0.0 if math.isinf(ratio) else 70.0 / ratio)
        adc = {"bits": bits, "step_levels": 1.0}
        product = kernel_product(weights, crossbar(cell, array=array, adc=adc))
        assert np.array_equal(run(product, inputs), inputs @ weights.T)


def test_limit_case_4_ratio_two_needs_one_bit_more() -> None:
    cell = IdealCell(g_max_uS=70.0, g_min_uS=35.0)
    weights, inputs = np.full((1, 128), 7), np.ones((1, 128), dtype=np.int64)
    for bits, exact in ((9, True), (8, False)):
        unit = crossbar(cell, array={"encoding": "offset", "cell_bits": 1}, adc={"bits": bits, "step_levels": 1.0})
        got = run(kernel_product(weights, unit, weight_bits=4), inputs)[0, 0]
        assert bool(got == 7 * 128) is exact


@pytest.mark.parametrize("step", [2, 4, 8])
@pytest.mark.parametrize(
    ("encoding", "subtract"), [("differential", "analog"), ("differential", "digital"), ("offset", "analog")]
)
@pytest.mark.parametrize("signed_input", [False, True])
def test_limit_case_5_rounding_noise(step: int, encoding: str, subtract: str, signed_input: bool) -> None:
    weights = random_codes(4, -127, 127, 48, 128)
    inputs = random_codes(5, *((-128, 127) if signed_input else (0, 255)), 1500, 128)
    unit = crossbar(array={"encoding": encoding, "subtract": subtract}, adc={"bits": 12, "step_levels": float(step)})
    error = run(kernel_product(weights, unit, signed_input=signed_input), inputs) - inputs @ weights.T
    planes, slices = sum(4**k for k in range(8)), sum(16**k for k in range(4))
    columns = 2 if subtract == "digital" else 1
    sd = step * math.sqrt(planes * slices / 12 * columns) * math.sqrt(1 - 1 / step**2)
    assert math.isclose(step * 2820 * math.sqrt(columns) * math.sqrt(1 - 1 / step**2), sd, rel_tol=1e-3)
    assert math.isclose(float(error.std()), sd, rel_tol=0.05)
    biased = subtract == "analog" and not signed_input
    expected = 255 * 85 / 2 if biased else 0.0  # half a level per conversion, planes and slices summed
    weight_of_top = -1 / 255 if signed_input and subtract == "analog" else 0.0
    assert abs(float(error.mean()) - expected - weight_of_top * 255 * 85 / 2) < 0.06 * sd


@pytest.mark.parametrize("encoding", ["differential", "twos_complement"])
def test_narrow_accumulators_overflow_after_each_addition(encoding: str) -> None:
    weights, inputs = random_codes(12, -127, 127, 6, 128), random_codes(13, 0, 255, 30, 128)
    exact = inputs @ weights.T
    for bits in (16, 30):
        for overflow in ("saturate", "wrap"):
            array = {"encoding": encoding, "accumulator_bits": bits, "overflow": overflow}
            out = run(kernel_product(weights, crossbar(array=array, adc=LOSSLESS)), inputs)
            half = 2 ** (bits - 1)
            if bits == 30:
                assert np.array_equal(out, exact)
            elif overflow == "wrap":  # additions modulo 2^16, whatever their order
                assert np.array_equal(out, (exact + half) % (2 * half) - half)
            else:
                assert np.abs(out).max() <= half
                assert not np.array_equal(out, exact)
                assert not np.array_equal(out, np.clip(exact, -half, half - 1))  # it met its end on the way


def test_an_accumulator_that_may_overflow_is_not_taken_for_exact() -> None:
    weights = random_codes(14, -127, 127, 4, 128)
    for bits, exact in ((16, False), (31, True)):
        product, _ = made(weights, crossbar(array={"accumulator_bits": bits}, adc=LOSSLESS))
        assert isinstance(product, CrossbarProduct) is not exact


def spread_of_outputs(unit: Crossbar, weights: np.ndarray, inputs: np.ndarray) -> float:
    """sd of the output over 40 instances, in output units over the norm of the inputs; exact steps of 1/64 level."""
    errors = []
    for seed in range(40):
        product, _ = made(weights, unit, seed=seed, causes=Causes(reading=False))
        errors.append(outputs_of(product, inputs) - inputs @ weights.T)
    return float(np.std(errors)) / float(np.linalg.norm(inputs))


@pytest.mark.parametrize(
    ("encoding", "factor"),
    [
        ("differential", 93.5),
        ("offset", 66.1),
        ("column_flip", 66.1),
        ("twos_complement", math.sqrt(1 + 16 + 256 + 4096 + 128**2)),  # seven bits of magnitude, and the sign's column
    ],
)
def test_limit_case_6_cell_errors(encoding: str, factor: float) -> None:
    sigma = 0.05  # levels; g_min lies 20 sigma above zero, so nothing clamps
    cell = RramCell(g_min_uS=3.0, g_max_uS=12.0, program_fraction=sigma / 3.0, read_fraction=0.0)
    adc = {"bits": 14, "step_levels": 1 / 64}
    weights, inputs = random_codes(6, -127, 127, 64, 24), random_codes(7, 0, 255, 1, 24)
    unit = crossbar(cell, array={"encoding": encoding, "rows_active": 16}, adc=adc)
    assert math.isclose(spread_of_outputs(unit, weights, inputs), factor * sigma, rel_tol=0.05)


def test_limit_case_6_clamping_at_zero() -> None:
    """Cells of zero conductance lose half of their error: random weights in pairs give about 71 sigma."""
    sigma = 0.05
    cell = RramCell(g_min_uS=0.0, g_max_uS=9.0, program_fraction=sigma / 3.0, read_fraction=0.0)
    unit = crossbar(cell, array={"rows_active": 16}, adc={"bits": 14, "step_levels": 1 / 64})
    weights, inputs = random_codes(8, -127, 127, 64, 24), random_codes(9, 0, 255, 1, 24)
    assert math.isclose(spread_of_outputs(unit, weights, inputs), 71 * sigma, rel_tol=0.07)


def read_errors(rows: int, rows_active: int, driven: int) -> np.ndarray:
    """Errors of white read noise: 1-bit weights of pairs, `driven` of `rows` inputs at one."""
    cell = RramCell(g_min_uS=0.0, g_max_uS=10.0, program_fraction=0.0, read_fraction=0.1)
    unit = crossbar(cell, array={"cell_bits": 1, "rows_active": rows_active}, adc={"bits": 14, "step_levels": 1 / 16})
    weights = np.ones((16, rows), dtype=np.int64)
    inputs = np.zeros((1500, rows), dtype=np.int64)
    inputs[:, :driven] = 1
    product, _ = made(weights, unit, weight_bits=2, input_bits=1)
    return outputs_of(product, inputs) - driven


def test_limit_case_7_white_read_noise() -> None:
    once = read_errors(64, 64, 32)
    twice = read_errors(64, 64, 64)
    assert math.isclose(float(once.std()), 0.1 * math.sqrt(32), rel_tol=0.05)
    assert math.isclose(float(twice.std() / once.std()), math.sqrt(2), rel_tol=0.05)
    regrouped = read_errors(64, 16, 64)  # the same rows in four conversions
    assert math.isclose(float(regrouped.std() / twice.std()), 1.0, rel_tol=0.05)
    averaged = twice.reshape(-1, 4, 16).mean(1)  # four reads of the same vector
    assert math.isclose(float(twice.std() / averaged.std()), 2.0, rel_tol=0.08)
    assert not read_errors(64, 64, 0).any()


def layers_at_zero(
    unit: Unit, kind: str, programmed: bool = True, seed: int = 1
) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """(the converted layer on an instance, inputs at the zero point everywhere, what its outputs are to be)."""
    torch.manual_seed(6)
    layer, sizes = {
        "linear": (nn.Linear(150, 6), (150,)),
        "padded": (nn.Conv2d(3, 5, 3, padding=1), (3, 6, 6)),
        "grouped": (nn.Conv2d(40, 40, 3, padding=1, groups=40), (40, 5, 5)),
        "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1), (4, 5, 5)),
    }[kind]
    chip, seen = small_chip(unit), nn.functional.gelu(torch.randn(20, *sizes))
    model = nn.Sequential(layer)
    placement = place(trace(model, seen), chip)
    formats = choose_formats(model, chip, placement, seen, input_zero="calibrated")
    assert isinstance(formats["0"], LinearFormat)
    assert formats["0"].input.zero > 0
    module: Any = convert(model, chip, placement, formats)
    if programmed:
        install(module, chip, program(module, chip, seed=seed))
    flat = torch.zeros(4, *sizes)  # the code of zero is zx
    assert layer.bias is not None
    return module[0], flat, layer.bias.detach().reshape(-1, *[1] * (len(sizes) - 1))


def away_from_bias(unit: Unit, kind: str, **arguments: Any) -> float:
    """The largest distance of any output from the bias, over what one word and one count are worth."""
    layer, flat, bias = layers_at_zero(unit, kind, **arguments)
    parts = [part for part in layer.modules() if isinstance(part, ChipLinear)]
    count = max(float(part.accumulator_factor(part.product.step if part.product else 1.0).max()) for part in parts)
    return float((layer(flat) - bias).abs().max()) / (parts[0].form.output.step + count)


KINDS = ["linear", "padded", "grouped", "transposed"]
ERRING = RramCell(program_fraction=0.05, read_fraction=0.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("array", [*MAPPINGS, {"encoding": "offset", "sum_x": "analog"}])
def test_limit_case_12_the_output_is_the_bias_for_any_weights(array: dict[str, Any], kind: str) -> None:
    for programmed in (False, True):
        assert away_from_bias(crossbar(array=array, adc=LOSSLESS), kind, programmed=programmed) <= 1.0
    assert away_from_bias(DigitalCim(), kind) <= 1.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("array", [MAPPINGS[0], MAPPINGS[1], MAPPINGS[2], MAPPINGS[3]])
def test_limit_case_12_with_programming_error_it_is_not_unless_sums_are_measured(
    array: dict[str, Any], kind: str
) -> None:
    for adc in (LOSSLESS, {"bits": 6}):  # what the converters round away of the zero point is measured with it
        unit = crossbar(ERRING, array=array, adc=adc)
        assert away_from_bias(replace(unit, measured_column_sums=ColumnSums(reads=1)), kind) <= 1.0
        assert away_from_bias(unit, kind) > (20.0 if adc is LOSSLESS else 2.0)


def test_limit_case_12_every_copy_is_measured() -> None:
    unit = crossbar(ERRING, copies=3, adc=LOSSLESS)
    assert away_from_bias(replace(unit, measured_column_sums=ColumnSums()), "linear") <= 1.0


def test_limit_case_12_a_measurement_has_the_noise_of_its_reads() -> None:
    """Read noise is in every output; in what is measured it falls with the root of the reads."""
    noisy = crossbar(RramCell(program_fraction=0.05, read_fraction=0.02), adc=LOSSLESS)

    def offset(reads: int) -> float:
        unit = replace(noisy, measured_column_sums=ColumnSums(reads=reads))
        errors = []
        for seed in range(8):
            layer, flat, bias = layers_at_zero(unit, "linear", seed=seed)
            errors.append((layer(flat[:1].repeat(400, 1)) - bias).mean(0))  # its own noise averages out
        return float(torch.stack(errors).std())

    assert math.isclose(offset(1) / offset(16), 4.0, rel_tol=0.35)


def noise_of(unit: Crossbar, gain: float = 1.0) -> float:
    """Rms converter noise of one conversion in cell levels, as lowered."""
    weights = np.ones((1, 64), dtype=np.int64)
    product, _ = made(weights, unit, weight_bits=3, input_bits=1, gain=gain)
    assert isinstance(product, CrossbarProduct)
    array = product.copies[0]
    assert array.noise_variance is not None
    return math.sqrt(array.noise_variance[0] + 1 / 12) / array.grid


def test_limit_case_15_noise_is_the_hardwares() -> None:
    adc = {"bits": 8, "enob": 6.0, "gains": (1.0, 2.0, 4.0)}
    full = noise_of(crossbar(adc=adc))
    assert math.isclose(full, 4.0 * math.sqrt((4.0**2 - 1) / 12), rel_tol=1e-6)  # 384 levels on 127 codes: steps of 4
    assert math.isclose(noise_of(crossbar(adc=adc), gain=4.0), full, rel_tol=1e-6)  # a quarter of the range
    for half in ({"read_voltage_V": 0.1}, {"read_ns": 5.0}):
        halved = noise_of(crossbar(adc=adc, array=half))
        assert math.isclose(20 * math.log10(halved / full), 6.02, abs_tol=0.01)


def test_limit_case_15_four_copies_show_four_error_patterns() -> None:
    unit = crossbar(RramCell(program_fraction=0.05, read_fraction=0.0), copies=4, adc=LOSSLESS)
    weights, one = random_codes(10, -127, 127, 8, 64), random_codes(11, 0, 255, 1, 64)
    product, stored = made(weights, unit, copies=4)
    assert stored.conductances_uS is not None
    assert len({copy.tobytes() for copy in stored.conductances_uS}) == 4
    out = outputs_of(product, np.repeat(one, 8, axis=0))
    assert len({row.tobytes() for row in out}) == 4
    assert np.array_equal(out[:4], out[4:])  # vector i meets copy i % 4
    assert np.array_equal(outputs_of(product, np.repeat(one, 3, axis=0), first=5), out[5:8])
