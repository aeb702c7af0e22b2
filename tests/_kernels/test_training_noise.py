"""The operations of a hardware-aware step: kernels and plain torch agree in values and in every gradient."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ohmfield._kernels import training_reference as reference
from ohmfield._kernels.round_inputs import round_inputs
from ohmfield._kernels.training_noise import convert_sums, draw_weights
from ohmfield._kernels.training_reference import Range
from ohmfield.numerics import Noise

NOISE = Noise(5).at("test")


def leaves(*tensors: Tensor) -> list[Tensor]:
    return [tensor.clone().requires_grad_() for tensor in tensors]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def same(made: Tensor, wanted: Tensor) -> None:
    assert made.shape == wanted.shape
    assert (made - wanted).abs().max() <= 2e-5 * wanted.abs().max() + 1e-7, (made, wanted)


def compare(one: Sequence[Tensor], two: Sequence[Tensor], first: list[Tensor], second: list[Tensor]) -> None:
    """Values of all results, and gradients of a weighted sum of them to all inputs."""
    for made, wanted in zip(one, two, strict=True):
        same(made, wanted)
    weights = [drawn(*made.shape, seed=9) for made in one]

    def total(parts: Sequence[Tensor]) -> Tensor:
        return torch.stack([(part * weight).sum() for part, weight in zip(parts, weights, strict=True)]).sum()

    gradients = [
        torch.autograd.grad(total(parts), inputs, allow_unused=True, materialize_grads=True)
        for parts, inputs in ((one, first), (two, second))
    ]
    for made, wanted in zip(*gradients, strict=True):
        same(made, wanted)


@pytest.mark.parametrize(("low", "below"), [(0, 1.0), (-128, 1.0), (-40, 216 / 40.5)])
@given(seed=st.integers(0, 100), count=st.sampled_from([1, 7, 300, 5000]))
def test_rounded_inputs(low: int, below: float, seed: int, count: int) -> None:
    high = low + 255
    first, second = leaves(drawn(count, seed=seed)), leaves(drawn(count, seed=seed))
    ends = low, high, None, below
    compare(round_inputs(first[0], *ends), reference.round_inputs(second[0], *ends), first, second)
    scale = torch.tensor(2.0**-7)  # clips some
    first, second = leaves(drawn(count, seed=seed), scale), leaves(drawn(count, seed=seed), scale)
    compare(
        round_inputs(first[0], low, high, first[1])[:1],
        reference.round_inputs(second[0], low, high, second[1])[:1],
        first,
        second,
    )


def test_the_scale_of_inputs_is_a_power_of_two_that_holds_the_largest() -> None:
    x = torch.tensor([[0.3, -2.9], [1.0, 0.0]], requires_grad=True)
    rounded, scale = round_inputs(x, -128, 127)
    assert float(scale.detach()) == 2.0**-5  # 2.9 / 128 is 0.0227
    assert (rounded - x).abs().max() <= 2.0**-6
    (gradient,) = torch.autograd.grad(scale, x)
    assert gradient.tolist() == [[0.0, pytest.approx(-(2.0**-5) / 2.9)], [0.0, 0.0]]
    _, scale = round_inputs(x, -40, 215, None, 216 / 40.5)
    assert float(scale.detach()) == 2.0**-3  # 2.9 / 40.5 is 0.0716
    (gradient,) = torch.autograd.grad(scale, x)
    assert gradient.tolist() == [[0.0, pytest.approx(-(2.0**-3) / 2.9)], [0.0, 0.0]]
    zeros, scale = round_inputs(torch.zeros(3, requires_grad=True), 0, 255)
    assert not zeros.any()
    assert float(scale.detach()) > 0.0


@given(seed=st.integers(0, 100), outputs=st.integers(1, 5), inputs=st.sampled_from([1, 3, 40]))
def test_drawn_weights(seed: int, outputs: int, inputs: int) -> None:
    mean, spread = 0.1 * drawn(255, seed=1), drawn(255, seed=2).abs()
    first, second = leaves(drawn(outputs, inputs, seed=seed)), leaves(drawn(outputs, inputs, seed=seed))
    errors = (mean, spread, NOISE.at(seed))
    compare(draw_weights(first[0], *errors), reference.draw_weights(second[0], *errors), first, second)


def test_weights_without_error_are_rounded_to_the_codes_of_their_output() -> None:
    weight = drawn(3, 50)
    weight[2] = 0.0
    made, scale = draw_weights(weight, torch.zeros(15), torch.zeros(15), NOISE)
    assert torch.equal(made[2], torch.zeros(50))
    codes = made[:2] / scale[:2, None]
    assert torch.equal(codes.round(), codes.round().clamp(-7, 7))
    assert (codes - codes.round()).abs().max() < 1e-5
    assert codes.abs().round().amax(1).tolist() == [7.0, 7.0]


@pytest.mark.parametrize("shape", [(6, 5), (3, 5, 4, 4), (3, 5, 1, 7)])
@pytest.mark.parametrize("step", [0.0, 8.0])
@pytest.mark.parametrize("reach", [1e6, 60.0])
@pytest.mark.parametrize("biased", [False, True])
def test_converted_sums(shape: tuple[int, ...], step: float, reach: float, biased: bool) -> None:
    unit = drawn(5, seed=3).abs() + 0.1
    limits = [torch.tensor(value) for value in (3.0, step, -reach, 0.9 * reach)]
    bias = drawn(5, seed=4)
    results, inputs = [], []
    for run in (convert_sums, reference.convert_sums):
        given = leaves(30.0 * drawn(*shape), unit, *limits, bias)
        sums, worth, sd, steps, low, high, offset = given
        made = run(sums, worth, Range(sd, steps, low, high), NOISE, offset if biased else None)
        results.append((made,))
        inputs.append([sums, worth, sd, low, high, *([steps] if step else []), *([offset] if biased else [])])
    compare(*results, *inputs)


def test_noise_has_the_spread_that_was_asked_for_and_is_new_for_every_key() -> None:
    unit, limits = torch.tensor([2.0, 0.5]), Range(*map(torch.tensor, (10.0, 0.0, -1e9, 1e9)))
    made = convert_sums(torch.zeros(20000, 2), unit, limits, NOISE)
    assert made.std(0).tolist() == pytest.approx([20.0, 5.0], rel=0.02)
    again = convert_sums(torch.zeros(20000, 2), unit, limits, NOISE.at(1))
    assert abs(float(torch.corrcoef(torch.stack([made[:, 0], again[:, 0]]))[0, 1])) < 0.03


def test_a_sum_that_is_needed_elsewhere_is_left_alone() -> None:
    limits = Range(*map(torch.tensor, (1.0, 0.0, -1e9, 1e9)))
    sums = torch.ones(4, 3, requires_grad=True)
    convert_sums(sums, torch.ones(3), limits, NOISE)
    assert torch.equal(sums, torch.ones(4, 3))
