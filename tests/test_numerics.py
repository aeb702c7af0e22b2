"""The integer grid, rounding, and noise that depends on a name and a place alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ohmfield.numerics import Grid, Noise, normal_from_bits, round_half_up, straight_through

GOLDEN_BITS = [3092843541, 2339532778, 2582120777, 2986391486]

# ---- rounding --------------------------------------------------------------------------------------------------------


@given(st.integers(-(2**20), 2**20))
def test_halves_round_up(whole: int) -> None:
    assert round_half_up(torch.tensor(whole + 0.5)).item() == whole + 1
    assert round_half_up(torch.tensor(float(whole))).item() == whole


def test_straight_through_gradient() -> None:
    soft = torch.tensor([0.2, 1.7, 9.0], requires_grad=True)
    hard = round_half_up(soft.detach()).clamp(0, 3)
    out = straight_through(soft, hard)
    assert out.tolist() == [0.0, 2.0, 3.0]
    out.sum().backward()
    assert soft.grad is not None
    assert soft.grad.tolist() == [1.0, 1.0, 1.0]


# ---- grid ------------------------------------------------------------------------------------------------------------


def grids(bits: int, signed: bool, symmetric: bool, exponent: int, zero: int) -> Grid:
    return Grid(bits=bits, signed=signed, symmetric=symmetric and signed, scale=2.0**exponent, zero=zero)


GRIDS = st.builds(grids, st.integers(2, 12), st.booleans(), st.booleans(), st.integers(-12, 4), st.integers(-9, 9))


@given(GRIDS)
def test_every_code_comes_back(grid: Grid) -> None:
    codes = torch.arange(grid.low, grid.high + 1, dtype=torch.float32)
    assert torch.equal(grid.codes(grid.values(codes)), codes)
    assert torch.equal(grid.fake(grid.values(codes)), grid.values(codes))


@given(GRIDS)
def test_number_of_codes(grid: Grid) -> None:
    assert grid.high - grid.low + 1 == 2**grid.bits - int(grid.symmetric)
    assert not grid.symmetric or grid.low == -grid.high


@given(GRIDS, st.integers(0, 2**31))
def test_error_is_at_most_half_a_step_inside_and_clips_outside(grid: Grid, seed: int) -> None:
    inside = grid.values(torch.tensor([float(grid.low), float(grid.high)]))
    values = inside[0] + (inside[1] - inside[0]) * Noise(seed).uniform((64,))
    assert (grid.fake(values) - values).abs().max() <= 0.5 * float(grid.scale) * (1 + 1e-5)
    far = torch.tensor([-1e6, 1e6])
    assert grid.codes(far).tolist() == [grid.low, grid.high]


@given(GRIDS, st.integers(0, 2**31))
def test_fake_is_values_of_codes(grid: Grid, seed: int) -> None:
    values = 40.0 * float(grid.scale) * Noise(seed).normal((64,))
    assert torch.equal(grid.fake(values), grid.values(grid.codes(values)))


def test_half_a_step_rounds_up_on_both_sides_of_zero() -> None:
    grid = Grid(bits=4, signed=True, scale=1.0)
    assert grid.codes(torch.tensor([-1.5, -0.5, 0.5, 1.5, 2.5])).tolist() == [-1.0, 0.0, 1.0, 2.0, 3.0]


def test_per_channel_scale_broadcasts() -> None:
    grid = Grid(bits=4, signed=True, scale=torch.tensor([[1.0], [0.1]]))
    assert grid.codes(torch.tensor([[3.0, 4.0], [0.3, 0.4]])).tolist() == [[3.0, 4.0], [3.0, 4.0]]


def test_gradient_passes_inside_and_stops_where_clipped() -> None:
    grid = Grid(bits=3, signed=True, scale=0.5)
    values = torch.tensor([0.3, 9.0, -9.0, -1.9], requires_grad=True)
    grid.fake(values).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [1.0, 0.0, 0.0, 1.0]


def test_gradient_of_the_scale() -> None:
    # Inside: d/ds of s * round(v / s) is round(v / s) - v / s with a straight-through round; clipped: the end code.
    scale = torch.tensor(0.5, requires_grad=True)
    values = torch.tensor([0.3, 9.0])
    Grid(bits=3, signed=True, scale=scale).fake(values).sum().backward()
    assert scale.grad is not None
    assert scale.grad.item() == pytest.approx((1 - 0.6) + 3, abs=1e-6)


# ---- noise -----------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**40), st.integers(1, 40), st.integers(1, 70), st.integers(0, 39))
def test_a_tile_has_the_numbers_of_the_whole(seed: int, rows: int, columns: int, cut: int) -> None:
    noise = Noise(seed).at("layer", "read")
    cut = min(cut, rows)
    whole = noise.normal((rows, columns))
    parts = [noise.normal((cut, columns)), noise.normal((rows - cut, columns), first=cut)]
    assert torch.equal(whole, torch.cat(parts))


def test_leading_axes_are_rows() -> None:
    noise = Noise(3).at("x")
    assert torch.equal(noise.normal((4, 5, 6)).reshape(20, 6), noise.normal((20, 6)))
    assert torch.equal(noise.normal((20, 9))[:, :6], noise.normal((20, 6)))


def test_same_name_same_numbers_other_name_other_numbers() -> None:
    streams = [
        Noise(1),
        Noise(2),
        Noise(1).at("a"),
        Noise(1).at("b"),
        Noise(1).at("a", "b"),
        Noise(1).at("b", "a"),
        Noise(1).at("a", 1),
        Noise(1).at("a", 11),
    ]
    drawn = [tuple(stream.bits((64,)).tolist()) for stream in streams]
    assert len(set(drawn)) == len(streams)
    assert drawn == [tuple(stream.bits((64,)).tolist()) for stream in streams]
    assert torch.equal(Noise(1).at("a").at("b").normal((8,)), Noise(1).at("a").at("b").normal((8,)))


def test_known_values() -> None:
    # Written down from this implementation when it was new: saved chips and runs rely on them.
    assert Noise(0).at("golden").bits((4,)).tolist() == GOLDEN_BITS
    assert splitmix_of_zero() == 0xE220A8397B1DCDAF  # first output of splitmix64 seeded with 0, as published


def splitmix_of_zero() -> int:
    from ohmfield.numerics import splitmix

    return int(splitmix(np.zeros(1, dtype=np.uint64))[0])


def test_the_normal_has_the_moments_it_should() -> None:
    # Exactly, over all byte sums with their probabilities, through the same code as the samples.
    one = np.ones(256) / 256
    probability = np.convolve(np.convolve(one, one), np.convolve(one, one))
    total = np.arange(1021)
    codes = [sum(min(max(t - 255 * k, 0), 255) << (8 * k) for k in range(4)) for t in total]
    values = normal_from_bits(np.array(codes, dtype=np.uint32)).astype(np.float64)
    moments = [float(np.sum(probability * values**k)) for k in range(1, 5)]
    assert moments == pytest.approx([0.0, 1.0, 0.0, 3.0], abs=1e-5)
    distance = np.abs(np.cumsum(probability) - stats.norm.cdf((values + np.append(values[1:], 9.0)) / 2)).max()
    assert distance < 0.004
    assert np.all(np.diff(values) > 0)


@pytest.mark.parametrize("shape", [(100_000,), (1000, 100), (100_000, 1)])
def test_samples_look_normal(shape: tuple[int, ...]) -> None:
    drawn = Noise(7).at("samples", len(shape), shape[-1]).normal(shape).numpy().ravel().astype(np.float64)
    count = drawn.size
    assert abs(drawn.mean()) < 4.5 / math.sqrt(count)
    assert abs(drawn.var() - 1) < 4.5 * math.sqrt(2 / count)
    assert abs(stats.skew(drawn)) < 4.5 * math.sqrt(6 / count)
    assert abs(stats.kurtosis(drawn)) < 4.5 * math.sqrt(24 / count)
    assert stats.kstest(drawn, "norm").statistic < 0.01


def test_rows_columns_and_streams_are_uncorrelated() -> None:
    first, second = Noise(5).at("a").normal((400, 400)), Noise(5).at("b").normal((400, 400))
    bound = 5.0 / math.sqrt(400 * 399)
    for left, right in [
        (first[:-1], first[1:]),
        (first[:, :-1], first[:, 1:]),
        (first[1:, :-1], first[:-1, 1:]),
        (first[:-1], second[1:]),
    ]:
        assert abs(float((left * right).mean())) < bound
    # No pair of rows is far from what chance gives: the largest of 400 * 399 / 2 correlations.
    pairs = torch.corrcoef(first).fill_diagonal_(0.0)
    assert float(pairs.abs().max()) < 6.0 / math.sqrt(400)
    assert float(torch.corrcoef(first.T).fill_diagonal_(0.0).abs().max()) < 6.0 / math.sqrt(400)


def test_uniform_and_integers() -> None:
    noise = Noise(11)
    uniform = noise.at("u").uniform((100_000,)).numpy()
    assert uniform.min() >= 0.0
    assert uniform.max() < 1.0
    assert stats.kstest(uniform, "uniform").statistic < 0.01
    drawn = noise.at("i").integers(7, (70_000,))
    counts = torch.bincount(drawn, minlength=7)
    assert drawn.min() == 0
    assert drawn.max() == 6
    assert stats.chisquare(counts.numpy()).pvalue > 1e-4


def test_bits_are_fair() -> None:
    bits = Noise(13).bits((2000, 50)).ravel()
    for position in range(32):
        ones = int(((bits >> np.uint32(position)) & np.uint32(1)).sum())
        assert abs(ones - bits.size / 2) < 5 * math.sqrt(bits.size / 4)
