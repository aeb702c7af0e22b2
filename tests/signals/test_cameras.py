"""Cameras: rays and projections are each other's inverse, through every lens."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ohmfield.signals.cameras import Cameras, bend, fisheye_directions, straight


def turned(seed: int) -> torch.Tensor:
    """A pose of any orientation."""
    drawn = torch.Generator().manual_seed(seed)
    axes, _ = torch.linalg.qr(torch.randn(3, 3, generator=drawn, dtype=torch.float64))
    axes[:, 0] *= torch.linalg.det(axes)
    return torch.cat([axes, torch.randn(3, 1, generator=drawn, dtype=torch.float64)], 1).float()


def camera(seed: int, lens: list[float] | None = None, fisheye: bool = False, focal: float = 50.0) -> Cameras:
    lenses = None if lens is None else torch.tensor([lens])
    focals, centres = torch.tensor([[focal, 1.1 * focal]]), torch.tensor([[31.0, 22.5]])
    return Cameras(turned(seed)[None], focals, centres, 64, 48, lenses, fisheye)


LENSES = {
    "pinhole": (None, False, 50.0),
    "radial-tangential": ([0.08, -0.05, 0.002, -0.001, 0.01], False, 50.0),
    "barrel": ([-0.12, 0.02, 0.0, 0.0, 0.0], False, 50.0),
    "fisheye": ([0.03, -0.01, 0.002, -0.0005, 0.0], True, 50.0),
    "fisheye beyond 90 degrees": ([0.01, 0.0, 0.0, 0.0, 0.0], True, 18.0),
    "fisheye without coefficients": ([0.0, 0.0, 0.0, 0.0, 0.0], True, 18.0),
}


@pytest.mark.parametrize("lens", LENSES)
def test_points_on_a_ray_project_to_its_pixel(lens: str) -> None:
    cameras = camera(3, *LENSES[lens])
    origins, directions = cameras.all_rays(0)
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(64 * 48))
    pixels, depth = cameras.project(0, (origins + 2.7 * directions).double())
    y, x = torch.meshgrid(torch.arange(48), torch.arange(64), indexing="ij")
    wanted = torch.stack([x.flatten(), y.flatten()], -1) + 0.5
    torch.testing.assert_close(pixels, wanted.double(), atol=2e-4, rtol=0.0)
    behind = depth < 0
    assert bool(behind.any()) == ("90" in lens or "without" in lens)


def test_the_middle_ray_looks_down_the_axis_and_up_is_up() -> None:
    cameras = Cameras(torch.eye(4)[None, :3], torch.full((1, 2), 8.0), torch.full((1, 2), 2.5), 5, 5)
    _, directions = cameras.rays(torch.zeros(3, dtype=torch.long), torch.tensor([2, 4, 2]), torch.tensor([2, 2, 0]))
    across = 2 / math.hypot(2, 8)
    wanted = torch.tensor([[0.0, 0.0, -1.0], [across, 0.0, -4 * across], [0.0, across, -4 * across]])
    torch.testing.assert_close(directions, wanted)


def test_a_ray_between_pixels_lies_between_their_rays() -> None:
    cameras, view = camera(1), torch.zeros(1, dtype=torch.long)
    halfway = cameras.rays(view, torch.tensor([7.5]), torch.tensor([9.0]))[1]
    sides = [cameras.rays(view, torch.tensor([x]), torch.tensor([9]))[1] for x in (7, 8)]
    assert (halfway * sides[0]).sum() == pytest.approx(float((halfway * sides[1]).sum()), abs=1e-4)


def test_an_equidistant_fisheye_shows_angles_as_distances() -> None:
    angle = torch.tensor([0.0, 0.4, 1.5, 2.5], dtype=torch.float64)
    bent = torch.stack([angle * 0.6, angle * 0.8], -1)
    made = fisheye_directions(bent, torch.zeros(4, 5, dtype=torch.float64))
    wanted = torch.stack([angle.sin() * 0.6, angle.sin() * 0.8, angle.cos()], -1)
    torch.testing.assert_close(made, wanted)


@given(
    x=st.floats(-0.7, 0.7),
    y=st.floats(-0.7, 0.7),
    k1=st.floats(-0.15, 0.15),
    k2=st.floats(-0.05, 0.05),
    p1=st.floats(-0.01, 0.01),
    p2=st.floats(-0.01, 0.01),
)
def test_straight_undoes_bend(x: float, y: float, k1: float, k2: float, p1: float, p2: float) -> None:
    plane, lens = torch.tensor([[x, y]], dtype=torch.float64), torch.tensor([[k1, k2, p1, p2, 0.0]]).double()
    torch.testing.assert_close(straight(bend(plane, lens), lens), plane, atol=1e-10, rtol=0.0)


def test_other_sizes_see_the_same_directions() -> None:
    cameras, view = camera(5, [0.08, -0.05, 0.002, -0.001, 0.0]), torch.zeros(1, dtype=torch.long)
    small = cameras.resized(16, 12)
    # The corner shared by four fine pixels is the middle of the coarse one.
    coarse = small.rays(view, torch.tensor([3]), torch.tensor([8]))[1]
    fine = cameras.rays(view, torch.tensor([13.5]), torch.tensor([33.5]))[1]
    torch.testing.assert_close(coarse, fine)


def test_one_of_many_is_that_one() -> None:
    poses = torch.stack([turned(seed) for seed in range(4)])
    cameras = Cameras(poses, torch.rand(4, 2) + 9, torch.rand(4, 2), 6, 5, torch.rand(4, 5) / 50)
    np.testing.assert_array_equal(cameras[2].all_rays(0)[1], cameras.all_rays(2)[1])
    assert len(cameras[[0, 3]]) == 2
