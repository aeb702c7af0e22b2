"""Each activation twin against its float function on every 16-bit word, and the facts its hardware rests on."""

import math

import pytest
import torch

from ohmfield.chip.digital import ActivationUnit
from ohmfield.chip.fixed import Word
from ohmfield.chip.twins import TWINS, activate, output_word

CONSTANTS = {"w0": 30.0, "s": 10.0}


def float_function(name: str, x: torch.Tensor) -> torch.Tensor:
    w0, s = CONSTANTS["w0"], CONSTANTS["s"]
    wrapped = w0 * x - 4.0 * torch.floor(w0 * x / 4.0 + 0.5)
    return {
        "relu": x.clamp_min(0.0),
        "quad": wrapped * (2.0 - wrapped.abs()),
        "sine": torch.sin(w0 * x),
        "gauss": torch.exp(-((s * x) ** 2)),
        "wire": torch.cos(w0 * x) * torch.exp(-((s * x) ** 2)),
        "finer": torch.sin(w0 * (x.abs() + 1.0) * x),
    }[name]


# What the module's docstring states, in units of the last place of the result.
BOUNDS = {"relu": 0.0, "quad": 2.0, "sine": 2.0, "finer": 2.5, "gauss": 2.0, "wire": 4.0}


@pytest.mark.parametrize("name", sorted(TWINS))
@pytest.mark.parametrize("fraction", [13, 15])
def test_every_word_within_the_stated_error(name: str, fraction: int) -> None:
    unit, word = ActivationUnit(word_bits=16, table_bits=8), Word(16, fraction)
    codes = torch.arange(word.low, word.high + 1)
    out = output_word(name, word, unit)
    got = activate(name, codes, word, CONSTANTS, unit)
    want = float_function(name, codes.double() * word.step) / out.step
    assert got.dtype == torch.long
    assert (got.double() - want).abs().max() <= BOUNDS[name]
    assert out.low <= got.min()
    assert got.max() <= out.high


@pytest.mark.parametrize("name", ["quad", "sine"])
def test_a_whole_period_more_gives_the_same_codes(name: str) -> None:
    """The wrap only drops bits: with w0 = 4 (or 2 pi) a shift by one period changes no bit."""
    constants = {"w0": 4.0 if name == "quad" else 2.0 * math.pi}
    unit, word = ActivationUnit(), Word(16, 13)
    codes = torch.arange(-8192, 8192)
    assert torch.equal(
        activate(name, codes, word, constants, unit), activate(name, codes + 8192, word, constants, unit)
    )


def test_quad_peaks_at_one() -> None:
    unit, word = ActivationUnit(), Word(16, 13)
    peaks = activate("quad", torch.tensor([8192, -8192, 16384, 0]), word, {"w0": 1.0}, unit)
    assert peaks.tolist() == [2**14, -(2**14), 0, 0]


def test_wider_words_and_tables_are_closer() -> None:
    def error(unit: ActivationUnit) -> float:
        word = Word(unit.word_bits, unit.word_bits - 3)
        values = torch.linspace(-3.9, 3.9, 4001)
        codes = word.codes(values)
        got = activate("sine", codes, word, CONSTANTS, unit).double() * 2.0 ** (2 - unit.word_bits)
        return float((got - float_function("sine", codes.double() * word.step)).abs().max())

    coarse, middle, fine = (error(ActivationUnit(word_bits=b, table_bits=t)) for b, t in ((10, 6), (16, 8), (22, 12)))
    assert coarse > 10 * middle > 50 * fine
