"""Empty space: silhouettes carve it, and what the field holds stays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ball import around, ball_views
from ohmfield.fields.radiance import Radiance
from ohmfield.numerics import Noise
from ohmfield.render.occupancy import Occupancy
from ohmfield.signals.cameras import Cameras
from ohmfield.signals.views import Views
from ohmfield.spec import InputError


def test_silhouettes_of_a_ball_carve_a_ball() -> None:
    views = ball_views(num=12, side=64)
    field = Radiance(num_levels=2, log2_table=8, resolutions=(4, 16), cells=32)
    field.set_box(views.centre, views.half)
    occupancy = Occupancy(field)
    occupancy.carve(field, views, tuple(range(len(views))))
    cell = torch.arange(32**3)
    centres = torch.stack([cell // 32**2, cell // 32 % 32, cell % 32], -1) / 32 + 0.5 / 32
    radius = (centres - 0.5).norm(dim=-1)
    assert occupancy.possible[radius < 0.25].all()  # nothing of it is lost
    assert not occupancy.possible[radius > 0.45].any()
    bits = np.unpackbits(field.occupied.numpy(), bitorder="little").astype(bool)
    assert np.array_equal(bits, occupancy.possible.numpy())


def test_views_that_agree_on_nothing_are_refused() -> None:
    views = ball_views(num=4, side=32)
    empty = Views(
        views.cameras, lambda _: np.zeros((32, 32, 4), np.uint8), views.splits, views.centre, views.half, "empty", True
    )
    field = Radiance(num_levels=2, log2_table=8, resolutions=(4, 16), cells=16)
    field.set_box((0.0, 0.0, 0.0), 1.0)
    with pytest.raises(InputError, match="no place in the box"):
        Occupancy(field).carve(field, empty, (0, 1, 2, 3))


class Half(Radiance):
    def density_at(self, positions: torch.Tensor) -> torch.Tensor:
        return torch.where(positions[:, 0] < 0.5, 1e3, 0.0)


def test_a_look_finds_where_the_field_is() -> None:
    field = Half(num_levels=2, log2_table=8, resolutions=(4, 16), cells=16)
    occupancy = Occupancy(field)
    occupancy.look(field, Noise(0), 0.01)
    full = np.unpackbits(field.occupied.numpy(), bitorder="little").reshape(16, 16, 16)
    assert full[:8].all()
    assert not full[8:].any()


def test_the_cameras_of_the_fixture_look_at_the_ball() -> None:
    cameras = around(5, 16)
    assert isinstance(cameras, Cameras)
    origins, directions = cameras.rays(torch.arange(5), torch.full((5,), 8), torch.full((5,), 8))
    nearest = origins - (origins * directions).sum(-1, keepdim=True) * directions
    assert (nearest.norm(dim=-1) < 0.25).all()
