"""Where rays are sampled: `reference` in torch, `march` with Numba, the same samples.

Rays live in field coordinates: the scene's box is [0, 1]^3, `contracted` scenes reach further and are looked up at
`contract`. A ray of unit direction is sampled at near + (jitter + k) step for k = 0, 1, ... where the grid of cells
holds anything; of contracted scenes the steps grow with distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from torch import Tensor

from ohmfield._kernels.threads import num_threads, run_parallel

HALF, ONE, ZERO, TINY = np.float32(0.5), np.float32(1.0), np.float32(0.0), np.float32(1e-12)


@dataclass(frozen=True)
class Steps:
    """How far apart samples lie."""

    step: float  # in units of the box
    cone: float = 0.0  # of contracted scenes: a step is at least that part of the distance
    far: float = 64.0  # of contracted scenes: where rays end


@dataclass(frozen=True)
class Samples:
    """Samples of a batch of rays, those of ray r at `offsets[r] : offsets[r + 1]`, near to far."""

    offsets: np.ndarray  # int64 [rays + 1]
    rays: np.ndarray  # int32 [N]
    distances: np.ndarray  # float32 [N]
    deltas: np.ndarray  # float32 [N], length of the ray that the sample stands for
    positions: np.ndarray  # float32 [N, 3], in [0, 1]^3
    directions: np.ndarray  # float32 [N, 3]
    num_steps: int = 0  # places that were looked up

    def __len__(self) -> int:
        return len(self.rays)


def contract(positions: Tensor) -> Tensor:
    """Space into [0, 1]^3: the box's inner ball keeps its shape at half its size, what lies outside fills the rest.

    Source: mip-NeRF 360, Barron et al., CVPR 2022, eq. 10, scaled from the ball of radius 2.
    """
    centred = 2.0 * positions - 1.0
    norm = centred.norm(dim=-1, keepdim=True).clamp(min=1.0)
    return 0.5 + 0.25 * centred * (2.0 - 1.0 / norm) / norm


def box_ends(origins: Tensor, directions: Tensor, near: float) -> tuple[Tensor, Tensor]:
    """Distances at which rays enter and leave the box, the first at least `near`."""
    safe = torch.where(directions.abs() < 1e-12, torch.full_like(directions, 1e-12), directions)
    ends = torch.stack([-origins / safe, (1.0 - origins) / safe])
    return ends.amin(0).amax(-1).clamp(min=near), ends.amax(0).amin(-1)


def reference(
    origins: Tensor, directions: Tensor, jitter: Tensor, occupied: Tensor, steps: Steps, near: float, contracted: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Number of the ray, distance and length of every sample in a cell of `occupied` [cells, cells, cells]."""
    cells = len(occupied)
    if contracted:
        distance = torch.full_like(jitter, near) + jitter * max(steps.step, steps.cone * near)
        columns, lengths = [], []
        while bool((distance < steps.far).any()):
            length = (steps.cone * distance).clamp(min=steps.step)
            columns.append(distance)
            lengths.append(length)
            distance = distance + length
        distances, deltas = torch.stack(columns, 1), torch.stack(lengths, 1)
        inside = distances < steps.far
    else:
        start, end = box_ends(origins, directions, near)
        most = max(0, int(((end - start).max() / steps.step).ceil()) + 1)
        distances = start[:, None] + (torch.arange(most) + jitter[:, None]) * steps.step
        inside, deltas = distances < end[:, None], torch.full_like(distances, steps.step)
    ray, place = inside.nonzero(as_tuple=True)
    distance, delta = distances[ray, place], deltas[ray, place]
    position = origins[ray] + directions[ray] * distance[:, None]
    position = contract(position) if contracted else position
    cell = (position * cells).long().clamp(0, cells - 1)
    kept = occupied[cell[:, 0], cell[:, 1], cell[:, 2]]
    return ray[kept], distance[kept], delta[kept]


@njit(nogil=True, cache=True, error_model="numpy")
def _occupied(bits, cells, x, y, z):
    top = cells - 1
    i = min(max(np.int64(x * np.float32(cells)), 0), top)
    j = min(max(np.int64(y * np.float32(cells)), 0), top)
    k = min(max(np.int64(z * np.float32(cells)), 0), top)
    cell = (i * cells + j) * cells + k
    return (bits[cell >> 3] >> np.uint8(cell & 7)) & np.uint8(1)


@njit(nogil=True, cache=True, error_model="numpy")
def _ends(origin, direction, near):
    start, end = near, np.float32(3.4e38)
    for axis in range(3):
        slope = direction[axis] if abs(direction[axis]) >= TINY else TINY
        low, high = (ZERO - origin[axis]) / slope, (ONE - origin[axis]) / slope
        start, end = max(start, min(low, high)), min(end, max(low, high))
    return start, end


@njit(nogil=True, cache=True, error_model="numpy")
def _bounded(origins, directions, jitter, bits, cells, step, near, first, last, offsets, counts, out):
    rays, distances, deltas, positions, along = out
    fill, looked = len(rays) > 0, 0
    for ray in range(first, last):
        origin, direction = origins[ray], directions[ray]
        start, end = _ends(origin, direction, near)
        place = offsets[ray]
        k = 0
        while True:
            distance = start + (np.float32(k) + jitter[ray]) * step
            if not distance < end:
                break
            x = origin[0] + direction[0] * distance
            y = origin[1] + direction[1] * distance
            z = origin[2] + direction[2] * distance
            looked += 1
            if _occupied(bits, cells, x, y, z):
                if fill:
                    rays[place] = ray
                    distances[place] = distance
                    deltas[place] = step
                    positions[place, 0], positions[place, 1], positions[place, 2] = x, y, z
                    along[place, 0], along[place, 1], along[place, 2] = direction[0], direction[1], direction[2]
                place += 1
                k += 1
                continue
            # On to the last lattice point before the ray leaves this empty cell; at least one step.
            leave = end
            for axis in range(3):
                at = x if axis == 0 else (y if axis == 1 else z)
                cell = np.floor(at * np.float32(cells))
                wall = (cell + (ONE if direction[axis] > ZERO else ZERO)) / np.float32(cells)
                if abs(direction[axis]) >= TINY:
                    leave = min(leave, distance + (wall - at) / direction[axis])
            k += max(1, np.int64((leave - distance) / step))
        if not fill:
            counts[ray] = place - offsets[ray]
    return looked


@njit(nogil=True, cache=True, error_model="numpy")
def _contracted(origins, directions, jitter, bits, cells, step, near, first, last, offsets, counts, out, cone, far):
    rays, distances, deltas, positions, along = out
    fill, looked = len(rays) > 0, 0
    for ray in range(first, last):
        origin, direction = origins[ray], directions[ray]
        place = offsets[ray]
        distance = near + jitter[ray] * max(step, cone * near)
        while distance < far:
            delta = max(step, cone * distance)
            x = np.float32(2.0) * (origin[0] + direction[0] * distance) - ONE
            y = np.float32(2.0) * (origin[1] + direction[1] * distance) - ONE
            z = np.float32(2.0) * (origin[2] + direction[2] * distance) - ONE
            norm = max(ONE, np.sqrt(x * x + y * y + z * z))
            scale = np.float32(0.25) * (np.float32(2.0) - ONE / norm) / norm
            x, y, z = HALF + x * scale, HALF + y * scale, HALF + z * scale
            looked += 1
            if _occupied(bits, cells, x, y, z):
                if fill:
                    rays[place] = ray
                    distances[place] = distance
                    deltas[place] = delta
                    positions[place, 0], positions[place, 1], positions[place, 2] = x, y, z
                    along[place, 0], along[place, 1], along[place, 2] = direction[0], direction[1], direction[2]
                place += 1
            distance += delta
        if not fill:
            counts[ray] = place - offsets[ray]
    return looked


def _empty(num: int) -> tuple[np.ndarray, ...]:
    shapes = (np.int32, ()), (np.float32, ()), (np.float32, ()), (np.float32, (3,)), (np.float32, (3,))
    return tuple(np.empty((num, *shape), kind) for kind, shape in shapes)


def march(
    origins: np.ndarray,
    directions: np.ndarray,
    jitter: np.ndarray,
    bits: np.ndarray,
    cells: int,
    steps: Steps,
    *,
    near: float = 0.0,
    contracted: bool = False,
) -> Samples:
    """Samples of float32 rays [N, 3] where the bits of `cells`^3 cells (z fastest, eight to a byte) are set."""
    num = len(origins)
    offsets, counts = np.zeros(num + 1, np.int64), np.zeros(num, np.int64)
    kernel = _contracted if contracted else _bounded
    more = (np.float32(steps.cone), np.float32(steps.far)) if contracted else ()
    settings = (bits, cells, np.float32(steps.step), np.float32(near))
    size = max(64, -(-num // (4 * num_threads())))
    parts = [(first, min(first + size, num)) for first in range(0, num, size)]

    def run(out: tuple[np.ndarray, ...]) -> int:
        return sum(
            run_parallel(
                lambda part: kernel(origins, directions, jitter, *settings, *part, offsets, counts, out, *more), parts
            )
        )

    looked = run(_empty(0))
    np.cumsum(counts, out=offsets[1:])
    out = _empty(int(offsets[-1]))
    if len(out[0]):
        run(out)
    return Samples(offsets, *out, num_steps=looked)
