"""The over-operator along rays: `reference` in torch, `composite` with Numba, values and gradients.

alpha = 1 - exp(-density x length); a ray's colour is the sum of its samples' colours, each seen through what lies
before it. Source: Max, IEEE TVCG 1(2), 1995; NeRF, ECCV 2020, eq. 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from ohmfield._kernels.march import Samples
from ohmfield._kernels.threads import num_threads, run_parallel

ONE, ZERO = np.float32(1.0), np.float32(0.0)


def reference(
    samples: Samples, density: Tensor, colour: Tensor, transmittance: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour [rays, 3], opacity [rays] and depth [rays] (sum of weight x distance), in plain torch.

    A ray ends before the first sample that less than `transmittance` of the light reaches.
    """
    num = len(samples.offsets) - 1
    ray = torch.from_numpy(samples.rays).long()
    thickness = density * torch.from_numpy(samples.deltas)
    before = torch.cumsum(thickness.double(), 0) - thickness
    start = before[torch.from_numpy(samples.offsets[:-1]).clamp(max=max(len(ray) - 1, 0))] if len(ray) else before
    seen = torch.exp(-(before - start[ray])).to(density.dtype)
    weight = torch.where(seen >= transmittance, seen, 0.0) * (1.0 - torch.exp(-thickness))
    made = torch.zeros(num, 3, dtype=density.dtype).index_add(0, ray, weight[:, None] * colour)
    opacity = torch.zeros(num, dtype=density.dtype).index_add(0, ray, weight)
    depth = torch.zeros(num, dtype=density.dtype).index_add(0, ray, weight * torch.from_numpy(samples.distances))
    return made, opacity, depth


@njit(nogil=True, cache=True, error_model="numpy")
def _forward(offsets, distances, deltas, density, colour, transmittance, first, last, made, opacity, depth):
    used = 0
    for ray in range(first, last):
        seen, red, green, blue, far = ONE, ZERO, ZERO, ZERO, ZERO
        for n in range(offsets[ray], offsets[ray + 1]):
            if seen < transmittance:
                break
            through = np.exp(-density[n] * deltas[n])
            weight = seen * (ONE - through)
            red += weight * colour[n, 0]
            green += weight * colour[n, 1]
            blue += weight * colour[n, 2]
            far += weight * distances[n]
            seen *= through
            used += 1
        made[ray, 0], made[ray, 1], made[ray, 2] = red, green, blue
        opacity[ray] = ONE - seen
        depth[ray] = far
    return used


@njit(nogil=True, cache=True, error_model="numpy")
def _backward(
    offsets, distances, deltas, density, colour, transmittance, first, last,
    made, depth, opacity, made_grad, opacity_grad, depth_grad, density_grad, colour_grad,
):  # fmt: skip
    for ray in range(first, last):
        seen = ONE
        r, g, b, d = made_grad[ray, 0], made_grad[ray, 1], made_grad[ray, 2], depth_grad[ray]
        # What lies behind a sample, weighed by the gradient: falls from all of the ray to nothing.
        behind = r * made[ray, 0] + g * made[ray, 1] + b * made[ray, 2] + d * depth[ray]
        end = (ONE - opacity[ray]) * opacity_grad[ray]
        for n in range(offsets[ray], offsets[ray + 1]):
            if seen < transmittance:
                density_grad[n] = ZERO
                colour_grad[n, 0], colour_grad[n, 1], colour_grad[n, 2] = ZERO, ZERO, ZERO
                continue
            through = np.exp(-density[n] * deltas[n])
            weight = seen * (ONE - through)
            value = r * colour[n, 0] + g * colour[n, 1] + b * colour[n, 2] + d * distances[n]
            behind -= weight * value
            seen *= through
            density_grad[n] = deltas[n] * (seen * value - behind + end)
            colour_grad[n, 0], colour_grad[n, 1], colour_grad[n, 2] = weight * r, weight * g, weight * b


@njit(nogil=True, cache=True, error_model="numpy")
def follow(rays, edges, numbers, density, deltas, light, transmittance, reached):
    """Carries `light` [all rays] of `rays` through samples `numbers[edges[i]:edges[i + 1]]`; marks those `reached`.

    `density` is that of `numbers`. A ray ends before the first sample that less than `transmittance` reaches.
    """
    for i in range(len(rays)):
        left = light[rays[i]]
        for at in range(edges[i], edges[i + 1]):
            if left < transmittance:
                break
            reached[numbers[at]] = True
            left *= np.exp(-density[at] * deltas[numbers[at]])
        light[rays[i]] = left


def _parts(num: int) -> list[tuple[int, int]]:
    size = max(64, -(-num // (2 * num_threads())))
    return [(first, min(first + size, num)) for first in range(0, num, size)]


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, density: Tensor, colour: Tensor, samples: Samples, transmittance: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        num = len(samples.offsets) - 1
        made, opacity, depth = torch.empty(num, 3), torch.empty(num), torch.empty(num)
        run_parallel(
            lambda part: _forward(
                samples.offsets,
                samples.distances,
                samples.deltas,
                density.detach().numpy(),
                colour.detach().numpy(),
                np.float32(transmittance),
                *part,
                made.numpy(),
                opacity.numpy(),
                depth.numpy(),
            ),
            _parts(num),
        )
        ctx.save_for_backward(density, colour, made, opacity, depth)
        ctx.samples, ctx.transmittance = samples, transmittance
        return made, opacity, depth

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        density, colour, made, opacity, depth = (tensor.detach().numpy() for tensor in ctx.saved_tensors)
        samples = ctx.samples
        density_grad, colour_grad = torch.empty(len(density)), torch.empty(len(density), 3)
        made_grad, opacity_grad, depth_grad = (grad.contiguous().numpy() for grad in grads)
        run_parallel(
            lambda part: _backward(
                *(samples.offsets, samples.distances, samples.deltas, density, colour, np.float32(ctx.transmittance)),
                *part,
                *(made, depth, opacity, made_grad, opacity_grad, depth_grad),
                density_grad.numpy(),
                colour_grad.numpy(),
            ),
            _parts(len(samples.offsets) - 1),
        )
        return density_grad, colour_grad, None, None


def composite(
    samples: Samples, density: Tensor, colour: Tensor, transmittance: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour [rays, 3], opacity [rays] and depth [rays] of `samples`; see `reference`. Differentiable once."""
    made = _Composite.apply(density.contiguous(), colour.contiguous(), samples, transmittance)
    assert isinstance(made, tuple)
    return made
