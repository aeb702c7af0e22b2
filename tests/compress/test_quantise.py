"""Grids by each rule: what they hold, that MSE is best, that channels and zero points do what they are for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ohmfield.compress.quantise import fit_grid, fit_two_levels, observe
from ohmfield.spec import InputError


def test_two_levels_are_the_nearest() -> None:
    """Relative error of a normal distribution: 1 - 2/pi with a mean; without one it grows with the mean."""
    x = values(3, 4, 50_000) + torch.tensor([[0.0], [0.3], [1.0], [-2.0]])
    centred, free = fit_two_levels(x, centred=True), fit_two_levels(x, centred=False)
    assert centred.codes(x).unique().tolist() == [-1.0, 1.0]
    assert free.codes(x).unique().tolist() == [0.0, 1.0]
    of_signs = (centred.fake(x) - x).square().mean(1)
    of_levels = (free.fake(x) - x).square().mean(1)
    assert torch.allclose(of_levels, torch.full((4,), 0.3634), atol=0.01)
    assert torch.allclose(of_signs[:3], torch.tensor([0.3634, 0.394, 0.637]), rtol=0.02)
    assert torch.allclose(free.values(free.codes(x)), free.fake(x))


def values(seed: int = 0, *shape: int) -> torch.Tensor:
    return torch.randn(shape or (4000,), generator=torch.Generator().manual_seed(seed))


def error(grid, x: torch.Tensor) -> float:
    return float((grid.values(grid.codes(x)) - x).square().mean())


@given(st.integers(2, 10), st.booleans(), st.booleans(), st.integers(0, 5))
def test_max_rule_clips_nothing(bits: int, symmetric: bool, power_of_two: bool, seed: int) -> None:
    x = values(seed)
    grid = fit_grid(x, bits, rule="max", symmetric=symmetric, power_of_two=power_of_two)
    assert (grid.values(grid.codes(x)) - x).abs().max() <= float(grid.scale) * 0.5001 + 1e-6


@pytest.mark.parametrize("bits", [3, 4, 6, 8])
def test_mse_is_no_worse_than_the_other_rules(bits: int) -> None:
    x = values(1).pow(3)  # heavy tails
    best = error(fit_grid(x, bits, rule="mse"), x)
    assert best <= error(fit_grid(x, bits, rule="max"), x)
    assert best <= 1.01 * error(fit_grid(x, bits, rule="percentile"), x)
    assert error(fit_grid(x, 3, rule="mse"), x) < 0.5 * error(fit_grid(x, 3, rule="max"), x)


def test_channels_have_their_own_scale() -> None:
    x = values(2, 3, 50) * torch.tensor([[1.0], [10.0], [100.0]])
    grid = fit_grid(x, 8, rule="max", per_channel=True, symmetric=True)
    assert isinstance(grid.scale, torch.Tensor)
    assert torch.allclose(grid.scale[:, 0], x.abs().amax(1) / 127)
    assert (grid.codes(x).abs().amax(1) == 127).all()


def test_affine_spends_its_codes_on_the_range() -> None:
    x = values(3).abs() + 5.0
    offset = fit_grid(x - 6.0, 6, rule="max", affine=True, signed=False)
    assert 0 < float(offset.zero) < 63
    assert error(offset, x - 6.0) < error(fit_grid(x - 6.0, 6, rule="max"), x - 6.0)
    assert float(offset.values(torch.as_tensor(offset.zero))) == 0.0


@pytest.mark.parametrize("rule", ["max", "percentile", "mse"])
def test_power_of_two_scales(rule) -> None:
    scale = float(fit_grid(values(4), 8, rule=rule, power_of_two=True).scale)
    assert torch.frexp(torch.tensor(scale))[0] == 0.5


def test_a_channel_of_zeros_has_a_usable_scale() -> None:
    grid = fit_grid(torch.zeros(2, 5), 8, per_channel=True)
    assert torch.equal(grid.codes(torch.zeros(2, 5)), torch.zeros(2, 5))


def test_bad_values_are_refused() -> None:
    with pytest.raises(InputError, match="not finite"):
        fit_grid(torch.tensor([1.0, float("nan")]), 8)


def test_observe_collects_and_lets_go() -> None:
    layer = nn.Linear(2, 3)
    with observe({"layer": layer}) as seen:
        layer(torch.ones(4, 2))
        layer(torch.zeros(1, 2))
    layer(torch.ones(9, 2))
    assert seen.inputs["layer"].shape == (5, 2)
    assert seen.outputs["layer"].shape == (5, 3)
