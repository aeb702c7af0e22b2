"""The analog product in torch gives the codes of the plain loops on every device present."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lowered import lowered, numbers
from ohmfield._kernels.crossbar import LoweredArray, reference
from ohmfield._kernels.crossbar_torch import multiply
from ohmfield.numerics import Noise

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def assert_same(array: LoweredArray, vectors: int, device: str, first: int = 0) -> None:
    noise = Noise(3).at("read")
    inputs = numbers(array, vectors, first)
    want, want_counts = reference(array, inputs, noise, first)
    have, counts = multiply(array, torch.from_numpy(inputs).to(device), noise, first)
    assert have.device.type == device
    np.testing.assert_array_equal(have.cpu().numpy(), want)
    assert counts == want_counts


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=60)
@given(
    drive=st.sampled_from(["unsigned", "twos_complement", "sign_magnitude", "sign_magnitude_two_pass"]),
    dac_bits=st.sampled_from([1, 2, 3]),
    noise=st.sampled_from([0.0, 20.0]),
    read=st.sampled_from(["none", "even", "cell"]),
    correlation=st.sampled_from(["conversion", "vector"]),
    skip_zero_planes=st.booleans(),
    rows_per_read=st.sampled_from([0, 0, 3, 7]),
    mismatch=st.booleans(),
    scaled=st.booleans(),
    staircase=st.booleans(),
    accumulator_bits=st.sampled_from([None, 9, 14]),
    overflow=st.sampled_from(["saturate", "wrap"]),
    pedestal=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 99),
)
def test_torch_gives_the_codes_of_the_reference(device: str, drive: Any, dac_bits: int, seed: int, **fields) -> None:
    signed_digit = drive == "sign_magnitude" or (drive == "twos_complement" and dac_bits > 1)
    fields["pedestal"] = 0.0 if signed_digit else fields["pedestal"]
    array = lowered(seed=seed, dac_bits=dac_bits, drive=drive, planes=3, grid=8, adc_bits=7, **fields)
    assert_same(array, 6, device, seed)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("grid", [1, 2**15])
def test_sums_beyond_single_precision_take_double(device: str, grid: int) -> None:
    assert_same(lowered(grid=grid, rows=40, outputs=3, banks=1, planes=2), 4, device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("correlation", ["conversion", "vector"])
def test_tiles_change_nothing(device: str, correlation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    array = lowered(noise=3.0, read="cell", correlation=correlation, outputs=3, planes=3)
    inputs = torch.from_numpy(numbers(array, 50)).to(device)
    noise = Noise(5).at("read")
    whole, _ = multiply(array, inputs, noise)
    monkeypatch.setattr("ohmfield._kernels.crossbar_torch.TILE_BYTES", {device: 2048})
    monkeypatch.setattr("ohmfield._kernels.crossbar_torch.CELL_TILE", 700)
    assert torch.equal(multiply(array, inputs, noise)[0], whole)
