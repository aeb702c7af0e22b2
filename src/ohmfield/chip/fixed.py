"""Fixed-point words between digital units, and the requantiser that writes them: integers only, half-up, saturating."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ohmfield.chip.digital import Requantiser


@dataclass(frozen=True)
class Word:
    """A signed fixed-point format: `value = code * 2^-fraction`, codes of `bits` bits. `fraction` may be negative.

    >>> Word(8, 4).codes(torch.tensor([0.5, 100.0, -0.03])).tolist()
    [8, 127, 0]
    """

    bits: int
    fraction: int

    @property
    def low(self) -> int:
        """Smallest code."""
        return -(2 ** (self.bits - 1))

    @property
    def high(self) -> int:
        """Largest code."""
        return 2 ** (self.bits - 1) - 1

    @property
    def step(self) -> float:
        """What one code counts."""
        return 2.0**-self.fraction

    def codes(self, values: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """int64 codes of `values`: half up, then saturated. Exact for values that are words of a coarser format."""
        return self.saturate(torch.floor(values.double() * 2.0**self.fraction + 0.5).long())

    def values(self, codes: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """float32 values of `codes`; exact, as words have at most 24 bits."""
        return codes.float() * self.step

    def saturate(self, codes: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """`codes` limited to the word."""
        return codes.clamp(self.low, self.high)

    def convert(self, codes: Int[Tensor, "*shape"], to: Word) -> Int[Tensor, "*shape"]:
        """The same values in another format: one shift, half up, saturated."""
        return to.saturate(shift_right(codes, self.fraction - to.fraction))


def word_for(largest: float, bits: int) -> Word:
    """The finest word of `bits` bits that holds +-`largest`.

    >>> word_for(1.5, 16)
    Word(bits=16, fraction=14)
    """
    high = 2 ** (bits - 1) - 1
    return Word(bits, math.floor(math.log2(high / largest)) if largest > 0.0 else bits - 1)


def shift_right(codes: Int[Tensor, "*shape"], places: int) -> Int[Tensor, "*shape"]:
    """`codes / 2^places` rounded half up; a negative count shifts left.

    >>> shift_right(torch.tensor([3, -3, 5]), 1).tolist()
    [2, -1, 3]
    """
    if places <= 0:
        return codes << -places
    return (codes + (1 << (places - 1))) >> places


def requantise(
    accumulators: Int[Tensor, "vectors outputs"], factor: Float[Tensor, " outputs"], unit: Requantiser, word: Word
) -> Int[Tensor, "vectors outputs"]:
    """Codes of `word` of `accumulators * factor` (bias already added), rounded half up once, saturated.

    `factor` (float64, positive, already times 2^fraction) becomes per rule: `float` itself in double precision;
    `dyadic` an integer of `multiplier_bits` and a right shift; `power_of_two` the nearest power of two, a shift alone.
    """
    if unit.rule == "float":
        return word.saturate(torch.floor(accumulators.double() * factor.double() + 0.5).long())
    multiplier, shift = dyadic(factor, unit)
    product = accumulators * multiplier
    half = torch.where(shift > 0, 1 << (shift - 1).clamp_min(0), 0)
    return word.saturate(((product + half) >> shift.clamp_min(0)) << (-shift).clamp_min(0))


def dyadic(
    factor: Float[Tensor, " outputs"], unit: Requantiser
) -> tuple[Int[Tensor, " outputs"], Int[Tensor, " outputs"]]:
    """(multiplier, shift), int64, with `multiplier * 2^-shift` nearest to `factor`; the multiplier uses all its bits.

    >>> [part.tolist() for part in dyadic(torch.tensor([0.75], dtype=torch.float64), Requantiser(multiplier_bits=4))]
    [[12], [4]]
    """
    if unit.rule == "power_of_two":
        return torch.ones(factor.shape, dtype=torch.long), -torch.floor(torch.log2(factor.double()) + 0.5).long()
    mantissa, exponent = torch.frexp(factor.double())  # mantissa in [1/2, 1)
    multiplier = torch.floor(mantissa * 2.0**unit.multiplier_bits + 0.5).long()
    full = multiplier >> unit.multiplier_bits  # 1 where rounding reached 2^bits
    multiplier, exponent = torch.where(full > 0, multiplier >> 1, multiplier), exponent + full
    return multiplier, (unit.multiplier_bits - exponent).long().clamp(-20, 62)
