"""Read noise of single conversions: against its exact distribution, and against what CrossSim 3.2 draws.

Sums of one row group before anything is rounded to codes. They lie on our grid (here 1/64 level, 15 to 90 steps to one
sd of the noise), so a distribution is compared after each sum was spread evenly over its own step. CrossSim's quantiles
are stored (`peers/read_noise.py` makes them).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ohmfield._kernels.crossbar import LoweredArray, conversions
from ohmfield._kernels.crossbar_fast import fast, refused
from ohmfield.mapping.slice import slice_weights
from ohmfield.numerics import Noise
from ohmfield.simulate.conversion import Causes, Driving
from ohmfield.simulate.lower import Stored, lower
from small_chip import crossbar
from validation.peers.read_noise import DENSITIES, DEVICES, cell_std_levels, weights_and_inputs

READS = 1700
WEIGHTS, INPUTS = weights_and_inputs()
UNIT = crossbar(array={"rows": 256, "rows_active": 256, "cell_bits": 2}, adc={"bits": 8})
by_device = pytest.mark.parametrize("device", DEVICES)
by_density = pytest.mark.parametrize("density", range(len(DENSITIES)), ids=lambda place: f"{DENSITIES[place]:g}")


@cache
def array_of(device: str, planes: int = 1) -> LoweredArray:
    """The array lowered with the read noise of CrossSim's device; a code is the sum itself, in 1 / grid level."""
    slices = slice_weights(WEIGHTS.astype(np.int64), UNIT.array, 3)
    stored = Stored(slices.bank_levels("analog").astype(np.float64), cell_std_levels(device, WEIGHTS).T[:, None, :])
    driving = Driving(np.array([0, len(WEIGHTS[0])]), planes, False, (1.0,))
    made = lower(stored, slices, UNIT, driving, Causes())
    itself = made.first + np.arange(made.codes.shape[1], dtype=np.int32)
    return replace(made, codes=itself[None, :], step=None)


@cache
def drawn(device: str, density: int) -> np.ndarray:
    """(sum - exact sum) / exact sd of every read, sorted, by the kernel that runs in use; each spread over its step."""
    array = array_of(device)
    assert not refused(array)
    noise = Noise(11).at("read", device, density)
    vectors = np.repeat(INPUTS[density][None], READS, axis=0)
    sums = fast(array, vectors, noise)[0] / array.grid
    few = next(conversions(array, vectors[:50], noise))[2]
    np.testing.assert_array_equal(sums[:50], few / array.grid)
    exact = np.sqrt(cell_std_levels(device, WEIGHTS) ** 2 @ INPUTS[density])
    within = Noise(12).at(device, density).uniform(sums.shape).double().numpy() - 0.5
    return np.sort(((sums + within / array.grid - WEIGHTS @ INPUTS[density]) / exact).ravel())


def distance(values: np.ndarray, cumulative: np.ndarray) -> float:
    """Kolmogorov-Smirnov distance of sorted `values` to a distribution with `cumulative` at them."""
    steps = np.arange(len(values) + 1) / len(values)
    return float(max(np.abs(cumulative - steps[:-1]).max(), np.abs(steps[1:] - cumulative).max()))


@by_device
@by_density
def test_distribution_is_normal_of_the_exact_variance(device: str, density: int) -> None:
    values = drawn(device, density)
    assert len(values) >= 100_000
    normal = np.array([0.5 * math.erfc(-value / math.sqrt(2.0)) for value in values.tolist()])
    assert distance(values, normal) <= 0.01  # the generator itself lies 0.003 from a normal
    assert abs(float((values**2).mean()) - 1.0) <= 0.02


@by_device
@by_density
def test_distribution_is_crosssims(device: str, density: int) -> None:
    with np.load(Path(__file__).parent / "peers" / "read_noise.npz") as file:
        quantiles = file["quantiles"][DEVICES.index(device), density].astype(np.float64)
        variance = float(file["variance"][DEVICES.index(device), density])
        assert int(file["samples"]) >= 100_000
    values = drawn(device, density)
    theirs = np.interp(values, quantiles, (np.arange(len(quantiles)) + 0.5) / len(quantiles), left=0.0, right=1.0)
    assert distance(values, theirs) <= 0.01
    assert abs(float((values**2).mean()) / variance - 1.0) <= 0.02


@by_device
def test_nothing_driven_draws_nothing(device: str) -> None:
    out, _ = fast(array_of(device), np.zeros((200, len(WEIGHTS[0])), dtype=np.int32), Noise(2))
    assert not out.any()


def test_variance_grows_with_the_rows_driven() -> None:
    """Limit case 7: twice the rows in one conversion, sqrt(2) times the noise."""
    array = array_of("NormalIndependentDevice")
    spread = []
    for rows in (64, 128, 256):
        one = (np.arange(len(WEIGHTS[0])) < rows).astype(np.int32)
        out, _ = fast(array, np.repeat(one[None], READS, axis=0), Noise(4))
        spread.append(float((out / array.grid - WEIGHTS @ one).std()))
    np.testing.assert_allclose(np.array(spread[1:]) / spread[:-1], math.sqrt(2.0), rtol=0.01)


@pytest.mark.parametrize(("correlation", "expected"), [("conversion", 0.0), ("vector", 1.0)])
def test_planes_share_noise_only_where_declared(correlation: str, expected: float) -> None:
    """Two planes that drive the same rows: what each reads beside the exact sum, correlated over reads and columns."""
    array = replace(array_of("NormalIndependentDevice", planes=2), correlation=correlation)
    vectors = np.repeat(3 * INPUTS[1][None], 300, axis=0)  # both planes drive the rows of INPUTS[1]
    read = [code / array.grid - WEIGHTS @ INPUTS[1] for _, _, code, _ in conversions(array, vectors, Noise(5))]
    assert len(read) == 2
    assert float(np.corrcoef(read[0].ravel(), read[1].ravel())[0, 1]) == pytest.approx(expected, abs=0.03)
    exact = math.sqrt(float(cell_std_levels("NormalIndependentDevice", WEIGHTS)[0] ** 2 @ INPUTS[1]))
    assert read[0].std() == pytest.approx(exact, rel=0.02)
