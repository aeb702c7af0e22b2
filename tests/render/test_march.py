"""Frames: what a field of known shape looks like, and that following rays part by part changes nothing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ohmfield._kernels.composite import composite
from ohmfield.fields.radiance import Radiance
from ohmfield.numerics import Noise
from ohmfield.render.march import chosen, followed, inputs, render, sample
from ohmfield.render.options import RenderOptions
from ohmfield.signals.cameras import Cameras


class Ball(Radiance):
    """A solid red ball of radius 0.25 around the middle of the box; its layers are never asked."""

    def forward(self, samples: Tensor) -> Tensor:
        density = self.density_at(samples[:, :3])
        return torch.cat([torch.tensor([[1.0, 0.0, 0.0]]).expand(len(samples), 3), density[:, None]], -1)

    def density_at(self, positions: Tensor) -> Tensor:
        return torch.where((positions - 0.5).norm(dim=-1) < 0.25, 1e4, 0.0)


class Mist(Radiance):
    """As its layers say, but thicker."""

    def forward(self, samples: Tensor) -> Tensor:
        return super().forward(samples) * torch.tensor([1.0, 1.0, 1.0, 20.0])


def camera(side: int = 33) -> Cameras:
    """At z = 4, looking at the origin, as wide as the box."""
    pose = torch.cat([torch.eye(3), torch.tensor([[0.0], [0.0], [4.0]])], 1)[None]
    half = torch.full((1, 2), side / 2)
    return Cameras(pose, torch.full((1, 2), side * 2.0), half, side, side)


def field(kind: type[Radiance]) -> Radiance:
    made = kind(num_levels=4, log2_table=10, resolutions=(4, 32), cells=16)
    made.reset(Noise(0))
    made.set_box((0.0, 0.0, 0.0), 1.0)
    return made


def test_a_ball_is_where_geometry_says() -> None:
    frame = render(field(Ball), camera(), RenderOptions(step=1e-3))
    x = (torch.arange(33) + 0.5 - 16.5) / 66
    angle = torch.atan(torch.hypot(x[None], x[:, None]))
    sure = (4.0 * angle.sin() - 0.5).abs() > 0.02  # pixels whose ray does not graze it
    assert torch.equal(frame.opacity[sure] > 0.5, (4.0 * angle.sin() < 0.5)[sure])
    assert float(frame.depth[16, 16]) == pytest.approx(3.5, abs=5e-3)
    assert math.isinf(float(frame.depth[0, 0]))
    assert torch.equal(frame.colour[0, 0], torch.ones(3))
    torch.testing.assert_close(frame.colour[16, 16], torch.tensor([1.0, 0.0, 0.0]), atol=1e-3, rtol=0.0)


def test_rays_followed_in_parts_end_where_whole_ones_do() -> None:
    made, options = field(Mist), RenderOptions(step=0.01, transmittance=1e-2)
    origins, directions = camera().all_rays(0)
    samples = sample(made, origins, directions, torch.full((len(origins),), 0.5), options)
    values = torch.zeros(len(samples), 4)
    with torch.no_grad():
        reached = followed(samples, lambda numbers: made(inputs(samples, numbers)), values, options.transmittance)
        every = made(inputs(samples))
    assert 0 < len(reached) < len(samples)
    for given, kept in ((values, samples), (every[reached], chosen(samples, reached))):
        parts = composite(kept, given[:, 3].contiguous(), given[:, :3].contiguous(), options.transmittance)
        whole = composite(samples, every[:, 3].contiguous(), every[:, :3].contiguous(), options.transmittance)
        for one, other in zip(parts, whole, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_fewer_samples_are_asked_where_rays_end_early() -> None:
    made = field(Ball)
    whole = render(made, camera(), RenderOptions(transmittance=0.0))
    ended = render(made, camera(), RenderOptions())
    assert ended.num_samples < 0.9 * whole.num_samples
    torch.testing.assert_close(ended.colour, whole.colour, atol=2e-4, rtol=0.0)
