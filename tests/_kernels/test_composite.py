"""The over-operator: closed forms, and the kernel beside plain torch in values and gradients."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ohmfield._kernels.composite import composite, reference
from ohmfield._kernels.march import Samples
from ohmfield.numerics import Noise


def samples(counts: list[int], length: float = 0.02) -> Samples:
    """Of rays with so many samples each, evenly spaced."""
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    num = int(offsets[-1])
    rays = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    distances = ((np.arange(num) - offsets[rays] + 0.5) * length).astype(np.float32)
    nowhere = np.zeros((num, 3), np.float32)
    return Samples(offsets, rays, distances, np.full(num, length, np.float32), nowhere, nowhere)


@pytest.mark.parametrize("parts", [1, 7, 200])
def test_a_constant_medium_is_beers_law_however_it_is_cut(parts: int) -> None:
    _, opacity, _ = composite(samples([parts], 1.0 / parts), torch.full((parts,), 2.5), torch.ones(parts, 3))
    assert float(opacity) == pytest.approx(1.0 - math.exp(-2.5), abs=1e-6)


@pytest.mark.parametrize("transmittance", [0.0, 1e-2])
def test_values_and_gradients_are_those_of_plain_torch(transmittance: float) -> None:
    given = samples([0, 5, 1, 90, 0, 33, 400, 0])
    noise, num = Noise(3), len(given)
    density = (40.0 * noise.at("density").uniform((num,))).requires_grad_()
    colour = noise.at("colour").uniform((num, 3)).requires_grad_()
    weights = [noise.at("weights", k).normal(shape) for k, shape in enumerate(((8, 3), (8,), (8,)))]
    results = []
    for run in (composite, reference):
        made = run(given, density, colour, transmittance)
        total = torch.stack([(part * weight).sum() for part, weight in zip(made, weights, strict=True)]).sum()
        results.append((*made, *torch.autograd.grad(total, [density, colour])))
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-4, atol=2e-6)


def test_what_lies_behind_the_end_of_a_ray_has_no_say() -> None:
    given = samples([50])
    density, colour = torch.full((50,), 100.0), torch.rand(50, 3)
    other = colour.clone()
    other[10:] = 0.0  # after ten samples exp(-20) of the light is left
    first, second = (composite(given, density, values, 1e-4)[0] for values in (colour, other))
    assert torch.equal(first, second)


def test_a_ray_without_samples_sees_nothing() -> None:
    made, opacity, depth = composite(replace(samples([0, 0])), torch.zeros(0), torch.zeros(0, 3))
    assert not made.any()
    assert not opacity.any()
    assert not depth.any()
