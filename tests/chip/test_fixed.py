"""Words, the requantiser and the interpolator against exact rational arithmetic."""

from fractions import Fraction
from math import floor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ohmfield.chip.digital import GatherUnit, Requantiser
from ohmfield.chip.fixed import Word, dyadic, requantise, shift_right, word_for
from ohmfield.chip.gather_twin import axis_weights, interpolate, quantise_coordinates


@given(st.integers(-(2**40), 2**40), st.integers(-4, 30))
def test_shift_rounds_half_up(code: int, places: int) -> None:
    want = floor(Fraction(code) / Fraction(2) ** places + Fraction(1, 2))
    assert int(shift_right(torch.tensor([code]), places)) == want


@given(st.floats(1e-6, 1e4), st.integers(4, 24))
def test_word_for_holds_what_it_is_asked_and_is_the_finest(largest: float, bits: int) -> None:
    word = word_for(largest, bits)
    assert largest <= word.high * word.step
    assert largest > word.high * word.step / 2 * (1 - 1e-9)


@given(st.integers(-(2**30), 2**30), st.floats(1e-9, 0.5), st.integers(4, 24))
def test_dyadic_requantiser_is_one_rounding_of_the_exact_product(acc: int, factor: float, bits: int) -> None:
    unit, word = Requantiser(multiplier_bits=bits), Word(24, 0)
    factors = torch.tensor([factor], dtype=torch.float64)
    multiplier, shift = (int(part) for part in dyadic(factors, unit))
    exact = Fraction(acc) * multiplier / Fraction(2) ** shift
    want = min(max(floor(exact + Fraction(1, 2)), word.low), word.high)
    assert int(requantise(torch.tensor([[acc]]), factors, unit, word)) == want
    assert abs(multiplier * 2.0**-shift / factor - 1.0) <= 2.0**-bits or multiplier == 1


def test_power_of_two_rule_only_shifts() -> None:
    unit = Requantiser(rule="power_of_two")
    out = requantise(torch.tensor([[100]]), torch.tensor([0.26], dtype=torch.float64), unit, Word(16, 0))
    assert out.tolist() == [[25]]


def test_words_saturate() -> None:
    out = requantise(torch.tensor([[10**6, -(10**6)]]), torch.ones(2, dtype=torch.float64), Requantiser(), Word(16, 0))
    assert out.tolist() == [[32767, -32768]]


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_interpolation_is_exact_until_its_one_rounding(dim: int) -> None:
    generator = torch.Generator().manual_seed(dim)
    unit = GatherUnit(weight_bits=6, table_bits=8)
    fraction = torch.rand(5, 2, dim, generator=generator)
    bits = (torch.arange(2**dim)[:, None] >> torch.arange(dim)) & 1
    weights = torch.where(bits.bool(), fraction[:, :, None], 1 - fraction[:, :, None]).prod(-1)
    integers = axis_weights(weights, unit)
    assert torch.equal(integers, torch.floor(fraction * 64 + 0.5).long())
    rows = torch.randint(-127, 128, (5, 2, 2**dim, 3), generator=generator)
    word = Word(12, 5)
    got = interpolate(rows, integers, torch.tensor([4, 7]), unit, word)
    for n, level, feature in ((0, 0, 0), (3, 1, 2), (4, 0, 1)):
        total = Fraction(0)
        for corner in range(2**dim):
            product = Fraction(int(rows[n, level, corner, feature]))
            for axis in range(dim):
                upper = Fraction(int(integers[n, level, axis]), 64)
                product *= upper if (corner >> axis) & 1 else 1 - upper
            total += product
        value = total / 2 ** (4 if level == 0 else 7)
        assert int(got[n, level, feature]) == floor(value * 32 + Fraction(1, 2))


def test_coordinates_keep_their_bits() -> None:
    unit = GatherUnit(coordinate_bits=8)
    coords = torch.tensor([[0.0, 1.0], [0.5, 0.501], [-3.0, 2.0]])
    assert (quantise_coordinates(coords, unit) * 256).tolist() == [[0, 256], [128, 128], [0, 256]]
