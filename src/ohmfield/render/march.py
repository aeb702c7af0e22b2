"""Rays through a radiance field: where they are sampled, and how far they are followed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ohmfield._kernels.composite import composite, follow
from ohmfield._kernels.march import Samples, march
from ohmfield.fields.radiance import Radiance
from ohmfield.render.frame import Frame
from ohmfield.render.options import RenderOptions
from ohmfield.signals.cameras import Cameras

RAYS = 2**14  # that are marched at once: their samples fit the third cache
WAVE = 8  # samples that a ray takes before it is asked whether it goes on


def sample(
    field: Radiance,
    origins: Float[Tensor, "num_rays 3"],
    directions: Float[Tensor, "num_rays 3"],
    jitter: Float[Tensor, " num_rays"],
    options: RenderOptions,
) -> Samples:
    """Samples of rays (in the units of the cameras) in the cells of `field` that hold anything."""
    return march(
        field.to_box(origins).contiguous().numpy(),
        directions.contiguous().numpy(),
        jitter.numpy(),
        field.occupied.numpy(),
        field.cells,
        options.steps(),
        near=float(field.near),
        contracted=field.contracted,
    )


def followed(
    samples: Samples, evaluate: Callable[[np.ndarray], Tensor], values: Tensor, transmittance: float
) -> np.ndarray:
    """Which samples are reached, a few of each ray at a time: numbers of those, in order.

    `evaluate(numbers)` gives [n, channels], the last channel the density; they are put into `values` [N, channels].
    """
    reached = np.zeros(len(samples), np.bool_)
    light = np.ones(len(samples.offsets) - 1, np.float32)
    place, ends = samples.offsets[:-1].copy(), samples.offsets[1:]
    rays = np.flatnonzero(place < ends)
    while len(rays):
        counts = np.minimum(WAVE, ends[rays] - place[rays])
        edges = np.concatenate([[0], np.cumsum(counts)])
        numbers = np.repeat(place[rays] - edges[:-1], counts) + np.arange(edges[-1])
        made = evaluate(numbers)
        values[torch.from_numpy(numbers)] = made
        follow(rays, edges, numbers, made[:, -1].numpy(), samples.deltas, light, np.float32(transmittance), reached)
        place[rays] += counts
        rays = rays[(light[rays] >= transmittance) & (place[rays] < ends[rays])]
    return np.flatnonzero(reached)


def chosen(samples: Samples, numbers: np.ndarray) -> Samples:
    """Those of `samples` with these rising numbers."""
    rays = samples.rays[numbers]
    offsets = np.zeros_like(samples.offsets)
    np.cumsum(np.bincount(rays, minlength=len(offsets) - 1), out=offsets[1:])
    parts = {name: getattr(samples, name)[numbers] for name in ("distances", "deltas", "positions", "directions")}
    return replace(samples, offsets=offsets, rays=rays, **parts)


def seen(
    field: Radiance,
    origins: Float[Tensor, "num_rays 3"],
    directions: Float[Tensor, "num_rays 3"],
    jitter: Float[Tensor, " num_rays"],
    options: RenderOptions,
) -> Samples:
    """The `sample`s that light reaches, as far as the density of `field` says; no gradient."""
    every = sample(field, origins, directions, jitter, options)
    positions = torch.from_numpy(every.positions)
    numbers = followed(
        every,
        lambda numbers: field.density_at(positions[torch.from_numpy(numbers)])[:, None],
        torch.empty(len(every), 1),
        options.transmittance,
    )
    return chosen(every, numbers)


def inputs(samples: Samples, numbers: np.ndarray | slice = slice(None)) -> Float[Tensor, "num 6"]:
    """What the network is asked: positions and directions."""
    return torch.from_numpy(np.concatenate([samples.positions[numbers], samples.directions[numbers]], 1))


@torch.no_grad()
def render(field: Radiance, camera: Cameras, options: RenderOptions | None = None) -> Frame:
    """What the first of `camera` sees of `field`.

    Rays take `WAVE` samples at a time and end where little light is left: what lies behind is never computed.
    """
    options = options or RenderOptions()
    origins, directions = camera.all_rays(0)
    colours, opacities, depths, steps, asked = list[Tensor](), list[Tensor](), list[Tensor](), 0, 0
    for origin, direction in zip(origins.split(RAYS), directions.split(RAYS), strict=True):
        samples = sample(field, origin, direction, torch.full((len(origin),), 0.5), options)
        values = torch.zeros(len(samples), 4)
        count = 0

        def ask(numbers: np.ndarray, samples: Samples = samples) -> Tensor:
            nonlocal count
            count += len(numbers)
            return field(inputs(samples, numbers))

        followed(samples, ask, values, options.transmittance)
        colour, opacity, depth = composite(
            samples, values[:, 3].contiguous(), values[:, :3].contiguous(), options.transmittance
        )
        colours.append(colour + (1.0 - opacity)[:, None] * options.background)
        opacities.append(opacity)
        depths.append(torch.where(opacity > 0.0, depth / opacity, torch.inf))
        steps, asked = steps + samples.num_steps, asked + count
    shape = camera.height, camera.width
    return Frame(
        torch.cat(colours).reshape(*shape, 3),
        torch.cat(opacities).reshape(shape),
        2.0 * float(field.half_side) * torch.cat(depths).reshape(shape),
        steps,
        asked,
    )
