"""Bit-true twins of the activation unit: integer arithmetic on words, as the stages of each function compute it.

`word_bits` is the width of a value. Constants are wired in with eight guard bits. Bounded functions write `word_bits`
words with two integer bits, so 1.0 has a code. Errors against the float function, over all 2^16 words of 16 bits with
+-4 of range and 8-bit tables, in units of the last place of the result: relu 0, quad 2, sine 2, finer 2.5, gauss 2,
wire 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor

from ohmfield.chip.digital import ActivationUnit
from ohmfield.chip.fixed import Word, shift_right

GUARD_BITS = 8
GAUSS_REACH = 4.0  # exp(-16) is below half a code of any word up to 22 bits
Codes = Int[Tensor, "*shape"]
Twin = Callable[[Tensor, Word, Mapping[str, float], ActivationUnit], Tensor]


def output_word(function: str, word: Word, unit: ActivationUnit) -> Word:
    """The format that `function` writes when it reads `word`."""
    return word if function == "relu" else Word(unit.word_bits, unit.word_bits - 2)


def activate(function: str, codes: Codes, word: Word, constants: Mapping[str, float], unit: ActivationUnit) -> Codes:
    """Codes (of `output_word`) of an activation on `codes` of `word`; `constants` are its `w0` and `s`."""
    return TWINS[function](codes, word, constants, unit)


def relu(codes: Codes, word: Word, constants: Mapping[str, float], unit: ActivationUnit) -> Codes:
    """max(x, 0): one select."""
    return codes.clamp_min(0)


def quad(codes: Codes, word: Word, constants: Mapping[str, float], unit: ActivationUnit) -> Codes:
    """r (2 - |r|), r = w0 x wrapped to [-2, 2): the wrap drops bits, then one |.|, one subtract, one multiply."""
    bits = unit.word_bits
    product, fraction = _scaled(codes, word.fraction, constants["w0"], unit)
    wrapped = _low_bits_signed(shift_right(product, fraction - (bits - 2)), bits)
    return shift_right(wrapped * ((1 << (bits - 1)) - wrapped.abs()), bits - 2)


def sine(codes: Codes, word: Word, constants: Mapping[str, float], unit: ActivationUnit) -> Codes:
    """sin(w0 x): scaled to turns, wrapped by dropping bits, quarter-wave table with linear interpolation."""
    product, fraction = _scaled(codes, word.fraction, constants["w0"] / (2.0 * math.pi), unit)
    return _sine_of_turns(shift_right(product, fraction - unit.word_bits), unit)


def gauss(codes: Codes, word: Word, constants: Mapping[str, float], unit: ActivationUnit) -> Codes:
    """exp(-(s x)^2): scaled magnitude, saturated at 4, one table with linear interpolation."""
    bits = unit.word_bits
    product, fraction = _scaled(codes.abs(), word.fraction, constants["s"], unit)
    address = shift_right(product, fraction - (bits - 2)).clamp_max(1 << bits)
    return _interpolated(_gauss_table(min(unit.table_bits, bits), bits), address, max(0, bits - unit.table_bits))


def wire(codes: Codes, word: Word, constants: Mapping[str, float], unit: ActivationUnit) -> Codes:
    """cos(w0 x) exp(-(s x)^2): both tables and one product."""
    product, fraction = _scaled(codes, word.fraction, constants["w0"] / (2.0 * math.pi), unit)
    turns = shift_right(product, fraction - unit.word_bits) + (1 << (unit.word_bits - 2))
    return shift_right(_sine_of_turns(turns, unit) * gauss(codes, word, constants, unit), unit.word_bits - 2)


def finer(codes: Codes, word: Word, constants: Mapping[str, float], unit: ActivationUnit) -> Codes:
    """sin(w0 (|x| + 1) x): one product more than `sine`."""
    one = (1 << word.fraction) if word.fraction >= 0 else 0
    spread = codes * (codes.abs() + one)
    # What the next multiplier takes: wide enough not to be seen, narrow enough for 64 bits here.
    drop = max(0, 2 * unit.word_bits + GUARD_BITS + unit.word_bits + 1 - 62)
    product, fraction = _scaled(
        shift_right(spread, drop), 2 * word.fraction - drop, constants["w0"] / (2.0 * math.pi), unit
    )
    return _sine_of_turns(shift_right(product, fraction - unit.word_bits), unit)


TWINS: dict[str, Twin] = {"relu": relu, "quad": quad, "sine": sine, "gauss": gauss, "wire": wire, "finer": finer}
"""Twins by the name of the function, as `fields.decoders.ACTIVATIONS` has it."""


def _scaled(codes: Tensor, fraction: int, constant: float, unit: ActivationUnit) -> tuple[Tensor, int]:
    """`codes` times a wired constant, and the fraction bits of the product."""
    places = unit.word_bits + GUARD_BITS - 1 - math.frexp(constant)[1]
    return codes * math.floor(constant * 2.0**places + 0.5), fraction + places


def _low_bits_signed(codes: Tensor, bits: int) -> Tensor:
    """The low `bits` bits, read as a signed number: how a period of a power of two wraps for free."""
    half = 1 << (bits - 1)
    return ((codes + half) & ((1 << bits) - 1)) - half


def _sine_of_turns(turns: Tensor, unit: ActivationUnit) -> Tensor:
    """Sine of `turns` with `word_bits` fraction bits of a turn; the bits above are dropped."""
    bits = unit.word_bits
    phase = turns & ((1 << bits) - 1)
    quarter, within = phase >> (bits - 2), phase & ((1 << (bits - 2)) - 1)
    within = torch.where((quarter & 1) > 0, (1 << (bits - 2)) - within, within)
    table_bits = min(unit.table_bits, bits - 2)
    value = _interpolated(_sine_table(table_bits, bits), within, bits - 2 - table_bits)
    return torch.where(quarter >= 2, -value, value)


def _interpolated(table: Tensor, address: Tensor, rest_bits: int) -> Tensor:
    index, rest = address >> rest_bits, address & ((1 << rest_bits) - 1)
    left = table[index]
    return left + shift_right((table[index + 1] - left) * rest, rest_bits)


@lru_cache(maxsize=16)
def _sine_table(table_bits: int, bits: int) -> Tensor:
    quarter = torch.arange(2**table_bits + 2, dtype=torch.float64) * (0.5 * math.pi / 2**table_bits)
    return torch.floor(quarter.sin() * 2.0 ** (bits - 2) + 0.5).long()


@lru_cache(maxsize=16)
def _gauss_table(table_bits: int, bits: int) -> Tensor:
    reach = torch.arange(2**table_bits + 2, dtype=torch.float64) * (GAUSS_REACH / 2**table_bits)
    return torch.floor(torch.exp(-(reach**2)) * 2.0 ** (bits - 2) + 0.5).long()
