"""Phase-change cells: the published fits, point by point, and drift at another temperature."""

from __future__ import annotations

import math

import pytest
import torch

from ohmfield.chip.array import Array
from ohmfield.chip.cells import PcmCell
from ohmfield.chip.cells.pcm import DEVICES
from ohmfield.numerics import Noise
from ohmfield.spec import InputError

ARRAY = Array()


@pytest.mark.parametrize(
    ("model", "relative", "expected_uS"),
    [
        ("nandakumar", 0.0, 0.26348),
        ("nandakumar", 0.5, 0.26348 + 0.98250 - 0.293275),
        ("nandakumar", 1.0, 1.05538),
        ("joshi", 1.0, 0.28638599 + 0.07585724 * 25 - 0.00178767 * 625),
        ("hermes-1", 1.0, 1.00756712),
        ("hermes-2", 0.5, 0.16603222 + 4.71806468 / 2 - 8.48101252 / 4 + 4.68961419 / 8),
    ],
)
def test_programming_follows_the_polynomial(model: str, relative: float, expected_uS: float) -> None:
    largest = DEVICES[model].largest_uS
    cell = PcmCell(model=model, g_max_uS=largest)  # type: ignore[arg-type]
    assert float(cell.program_std_uS(torch.tensor(relative * largest))) == pytest.approx(expected_uS, rel=1e-5)


@pytest.mark.parametrize(
    ("model", "relative", "mean", "std"),
    [
        ("nandakumar", 1.0, 0.049, 0.008),  # both at their lower ends
        ("nandakumar", 0.1, -0.0155 * math.log(0.1) + 0.0244, -0.0125 * math.log(0.1) - 0.0059),
        ("nandakumar", 0.001, 0.1, 0.045),  # at their upper ends
        ("hermes-1", 0.05, -0.0387 * math.log(0.05) - 0.0182, -0.0120 * math.log(0.05) - 0.0023),
        ("hermes-1", 0.5, -0.0436 * 0.25 - 0.0126 * 0.5 + 0.0736, -0.0165 * 0.25 + 0.0116 * 0.5 + 0.0104),
        ("hermes-2", 1.0, -0.0436 - 0.0126 + 0.0736, -0.0118 + 0.0093 + 0.0073),
    ],
)
def test_exponents_follow_the_fit(model: str, relative: float, mean: float, std: float) -> None:
    largest = DEVICES[model].largest_uS
    cell = PcmCell(model=model, g_max_uS=largest)  # type: ignore[arg-type]
    drawn = cell.exponents(torch.full((200_000,), relative * largest, dtype=torch.float64), Noise(1))
    ratio = mean / std  # the magnitude is taken: a folded normal
    folded = std * math.sqrt(2 / math.pi) * math.exp(-0.5 * ratio**2) + mean * math.erf(ratio / math.sqrt(2))
    assert float(drawn.mean()) == pytest.approx(folded, abs=4.5 * std / math.sqrt(200_000))
    assert float(drawn.std()) == pytest.approx(math.sqrt(mean**2 + std**2 - folded**2), rel=0.01)


def test_read_noise_grows_with_the_logarithm_of_time() -> None:
    cell = PcmCell()
    stored = torch.tensor([25.0, 2.5, 0.05], dtype=torch.float64)
    fresh, later = (cell.read_std_uS(stored, stored, seconds, ARRAY) for seconds in (0.0, 1e6))
    share = [0.0088, 0.0088 / 0.1**0.65, 0.2]  # the last at its limit
    gathered = math.sqrt(math.log((20.0 + 250e-9) / 500e-9))
    expected = [conductance * q * gathered for conductance, q in zip(stored.tolist(), share, strict=True)]
    assert fresh.tolist() == pytest.approx(expected)
    ratio = math.sqrt(math.log(1000020.0 / 500e-9) / math.log(20.0 / 500e-9))
    assert (later / fresh).tolist() == pytest.approx([ratio] * 3)
    # What has drifted is quieter in proportion, its share is that of what was stored.
    assert torch.allclose(cell.read_std_uS(stored, 0.5 * stored, 0.0, ARRAY), 0.5 * fresh)


def test_warmth_ages_faster() -> None:
    stored = torch.full((4,), 10.0, dtype=torch.float64)
    warm = PcmCell(temperature_K=350.0, activation_eV=0.5, drift_exponent=0.05)
    factor = math.exp(0.5 / 8.617333e-5 * (1 / 300 - 1 / 350))
    expected = 10.0 * (1.0 + factor * 1e4 / 20.0) ** -0.05
    assert warm.age(stored, stored, 1e4, Noise(0)).tolist() == pytest.approx([expected] * 4)
    unknown = PcmCell(temperature_K=350.0)
    assert torch.equal(unknown.age(stored, stored, 0.0, Noise(0)), stored)
    with pytest.raises(InputError, match="activation_eV"):
        unknown.age(stored, stored, 1.0, Noise(0))


def test_nothing_beyond_what_was_measured() -> None:
    with pytest.raises(ValueError, match=r"10\.35.*hermes-1"):
        PcmCell(model="hermes-1", g_max_uS=20.0)
