"""The moment-matched product against the exact one: same mean, gain and spread per output, same counts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ohmfield._kernels import moments as moments_kernel
from ohmfield._kernels.crossbar import Drive, count_inputs
from ohmfield._kernels.moments import BytePlane, reference
from ohmfield.chip.cells import RramCell
from ohmfield.numerics import Noise
from ohmfield.simulate.choose import exact_product
from ohmfield.simulate.products import CrossbarProduct, InputOrder
from ohmfield.simulate.statistical import matched
from ohmfield.spec import InputError
from small_chip import crossbar, made, plan_for, random_codes, small_chip

ADC = {"bits": 6, "enob": 5.5, "step_levels": 2.0}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("outputs", [7, 40])
@pytest.mark.parametrize("of_bytes", [False, True])
def test_bytes_multiply_exactly_and_finish_as_the_reference(
    signed: bool, outputs: int, of_bytes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moments_kernel, "INT_MM", getattr(torch, "_int_mm", None) if of_bytes else None)
    weights = random_codes(1, -127, 127, 50, outputs)
    codes = random_codes(2, -128 if signed else 0, 127 if signed else 255, 2100, 50).astype(np.int32)
    plane = BytePlane(weights, signed)
    sums = plane.sums(codes)
    np.testing.assert_array_equal(sums, codes @ weights)
    ends = ((0.1, 0.9), (-50, 50), (0, 30))
    moments = np.stack([np.linspace(*each, outputs) for each in ends]).astype(np.float32)
    noise = Noise(4).at("moments")
    want = reference(sums, moments, noise, 5)
    np.testing.assert_array_equal(plane.finished(codes, moments, noise, 5), want)
    np.testing.assert_array_equal(plane.finished(codes[1500:], moments, noise, 1505), want[1500:])


@pytest.mark.parametrize("encoding", ["differential", "offset"])
@pytest.mark.parametrize("signed_input", [False, True])
def test_error_has_the_mean_and_spread_of_the_exact_one(encoding: str, signed_input: bool) -> None:
    unit = crossbar(RramCell(program_fraction=0.03), copies=2, array={"encoding": encoding}, adc=ADC)
    weights = random_codes(3, -127, 127, 12, 100)
    low, high = (-128, 127) if signed_input else (0, 255)
    exact, _ = made(weights, unit, copies=2, signed_input=signed_input)
    assert isinstance(exact, CrossbarProduct)
    plan = plan_for(weights, small_chip(unit), copies=2, signed_input=signed_input)
    order = exact_product(weights, plan, small_chip(unit)).order
    product = matched(exact, random_codes(5, low, high, 512, 100), order)
    inputs = random_codes(6, low, high, 2000, 100).astype(np.int32)
    want, counts = exact.run(inputs, 3)
    have, also = product.run(inputs, 3)
    assert also == counts
    for copy in range(2):
        one, other = want[copy::2], have[copy::2]
        ideal = inputs[copy::2] @ weights.T / exact.step
        error, drawn = one - ideal, other - ideal
        limit = 5 * error.std(axis=0) / np.sqrt(500)
        assert (np.abs(error.mean(axis=0) - drawn.mean(axis=0)) < limit).all()
        np.testing.assert_allclose(drawn.std(axis=0), error.std(axis=0), rtol=0.2)
        assert np.abs(np.log(drawn.std(axis=0) / error.std(axis=0)).mean()) < 0.04
    np.testing.assert_array_equal(product.run(inputs[7:], 10)[0], have[7:])


def test_inputs_of_more_than_eight_bits_are_refused() -> None:
    exact, _ = made(random_codes(3, -127, 127, 2, 9), crossbar(RramCell(), adc=ADC))
    assert isinstance(exact, CrossbarProduct)
    order = InputOrder(starts=np.array([0, 9]), dac_bits=1, num_planes=9, drive="unsigned")
    with pytest.raises(InputError, match="at most 8 bits"):
        matched(exact, np.full((3, 9), 256), order)


@pytest.mark.parametrize("drive", ["unsigned", "twos_complement", "sign_magnitude", "sign_magnitude_two_pass"])
@pytest.mark.parametrize(("bits", "rows"), [(1, 0), (1, 2), (2, 0), (3, 0), (4, 3), (8, 0)])
@pytest.mark.parametrize("skip", [False, True])
def test_counts_of_inputs_are_those_of_the_planes(drive: Drive, bits: int, rows: int, skip: bool) -> None:
    planes = 2 * -(-7 // bits) if drive == "sign_magnitude_two_pass" else -(-8 // bits)
    order = InputOrder(starts=np.array([0, 5, 9, 12]), dac_bits=bits, num_planes=planes, drive=drive, columns=3)
    order = replace(order, skip_zero_planes=skip, rows_per_read=rows)
    codes = random_codes(1, -127, 127, 40, 12) * (random_codes(2, 0, 3, 40, 1) > 1)
    codes = np.abs(codes) if drive == "unsigned" else codes
    assert order.count(codes) == count_inputs(order, codes, 3)
    without = replace(order, columns=0).count(codes)
    assert without == {name: value for name, value in order.count(codes).items() if name != "conversions"}
