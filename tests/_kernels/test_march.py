"""Sampling rays: the kernel finds the samples of plain torch, boxed and contracted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ohmfield._kernels.march import Samples, Steps, contract, march, reference
from ohmfield.numerics import Noise

CELLS = 16


def rays(num: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """From outside and inside of the box, some along an axis, some that miss it."""
    noise = Noise(seed)
    origins = 3.0 * noise.at("origins").uniform((num, 3)) - 1.0
    directions = torch.nn.functional.normalize(noise.at("directions").normal((num, 3)), dim=-1)
    directions[:3] = torch.eye(3)
    origins[:3] = torch.tensor([[-1.0, 0.4, 0.4], [0.4, -1.0, 0.4], [0.4, 0.4, -1.0]])
    return origins, directions, noise.at("jitter").uniform((num,))


def marched(
    full: Tensor, origins: Tensor, directions: Tensor, jitter: Tensor, steps: Steps, contracted: bool
) -> Samples:
    bits = np.packbits(full.flatten().numpy(), bitorder="little")
    given = (origins.numpy(), directions.numpy(), jitter.numpy())
    return march(*given, bits, CELLS, steps, near=0.05, contracted=contracted)


@pytest.mark.parametrize("contracted", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_samples_are_those_of_plain_torch(contracted: bool, share: float) -> None:
    origins, directions, jitter = rays(300)
    full = Noise(5).uniform((CELLS,) * 3) < share
    steps = Steps(0.01, 0.02, 8.0)
    made = marched(full, origins, directions, jitter, steps, contracted)
    ray, distance, delta = reference(origins, directions, jitter, full, steps, 0.05, contracted)
    # On the wall of a cell, or of the box, a sample may fall to either side: one in ten thousand does.
    wanted = {(int(r), round(float(d), 4)) for r, d in zip(ray, distance, strict=True)}
    found = {(int(r), round(float(d), 4)) for r, d in zip(made.rays, made.distances, strict=True)}
    assert len(wanted ^ found) <= 1e-3 * len(wanted)
    if len(wanted) == len(found) == len(made):
        np.testing.assert_allclose(made.deltas.sum(), delta.sum(), rtol=1e-4)
    assert (np.diff(made.rays) >= 0).all()
    assert made.offsets[-1] == len(made)
    position = origins[torch.from_numpy(made.rays).long()] + torch.from_numpy(made.distances)[
        :, None
    ] * torch.from_numpy(made.directions)
    position = contract(position) if contracted else position
    np.testing.assert_allclose(made.positions, position.numpy(), atol=2e-5)


def test_empty_cells_are_stepped_over() -> None:
    origins, directions, jitter = rays(300)
    nothing = marched(torch.zeros((CELLS,) * 3, dtype=torch.bool), origins, directions, jitter, Steps(0.002), False)
    everything = marched(torch.ones((CELLS,) * 3, dtype=torch.bool), origins, directions, jitter, Steps(0.002), False)
    assert len(nothing) == 0
    assert nothing.num_steps < 0.1 * everything.num_steps
    assert everything.num_steps == len(everything)


def test_contraction_keeps_the_middle_and_holds_all_of_space() -> None:
    points = torch.tensor([[0.5, 0.5, 0.5], [0.5, 0.5, 1.0], [0.5, 0.5, 1e6], [-1e6, 0.5, 0.5]])
    made = contract(points)
    torch.testing.assert_close(made[0], torch.full((3,), 0.5))
    torch.testing.assert_close(made[1], torch.tensor([0.5, 0.5, 0.75]))  # the ball's edge
    torch.testing.assert_close(made[2], torch.tensor([0.5, 0.5, 1.0]))
    torch.testing.assert_close(made[3], torch.tensor([0.0, 0.5, 0.5]))
