"""Multiresolution hash lookup: `reference` in plain torch, `hash_lookup` with Numba kernels, same values and gradients.

Conventions of tiny-cuda-nn: level l samples at `x * scale_l + 0.5`, corners are hashed by xor of `corner * prime`
(Teschner et al. 2003; Mueller et al., SIGGRAPH 2022). Coordinates outside [0, 1] are taken at the nearest edge.
The scatter of the backward pass is serial within a level, in the order of the samples, and levels are independent:
gradients have the same bits for any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from ohmfield._kernels.threads import num_threads, run_parallel

PRIMES = (1, 2654435761, 805459861, 3674653429, 2097192037, 1434869437, 2165219737)
TILE = 256  # samples whose addresses are computed at once: they stay in the first-level cache
BLOCK = 4096  # samples that pass through all levels before the next ones
LEVEL_BYTES = 2**19  # largest level for which that pays


@dataclass(frozen=True)
class Levels:
    """Where the levels of a grid lie in its table, one entry per level."""

    scales: np.ndarray
    """float32, cells per unit length"""
    sides: np.ndarray
    """uint32, rows per axis of a dense level; 0 marks a hashed one"""
    offsets: np.ndarray
    """int64, first row of the level"""
    masks: np.ndarray
    """uint32, rows - 1 of a hashed level, all ones of a dense one"""

    @property
    def count(self) -> int:
        return len(self.scales)


def address(coords: Tensor, levels: Levels) -> tuple[Tensor, Tensor]:
    """Rows and weights of all corners: int64 and float32, both [N, levels, 2^dim]. Differentiable in `coords`."""
    dim = coords.shape[1]
    device = coords.device
    inside = torch.where(coords > 0, coords, torch.zeros_like(coords)).clamp(max=1.0)  # NaN goes to the edge as well
    position = inside[:, None, :] * torch.from_numpy(levels.scales).to(device)[:, None] + 0.5
    floor = position.detach().floor()
    fraction = (position - floor)[:, :, None, :]
    bits = (torch.arange(2**dim, device=device)[:, None] >> torch.arange(dim, device=device)) & 1
    corner = floor.long()[:, :, None, :] + bits
    weights = torch.where(bits.bool(), fraction, 1.0 - fraction).prod(-1)
    sides = torch.from_numpy(levels.sides.astype(np.int64)).to(device)[:, None]
    masks = torch.from_numpy(levels.masks.astype(np.int64)).to(device)[:, None]
    hashed = torch.zeros_like(corner[..., 0])
    dense = torch.zeros_like(corner[..., 0])
    for axis in range(dim):
        hashed = hashed ^ (corner[..., axis] * PRIMES[axis])
        dense = dense + corner[..., axis] * sides**axis
    rows = torch.where(sides > 0, dense, hashed & masks)
    return rows + torch.from_numpy(levels.offsets[: levels.count]).to(device)[:, None], weights


def interpolate(rows: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum over the corners: rows [N, L, 2^dim, F], weights [N, L, 2^dim] -> [N, L * F]."""
    return (rows * weights[..., None]).sum(2).flatten(1)


def reference(coords: Tensor, table: Tensor, levels: Levels) -> Tensor:
    """Features [N, levels * F] of `coords` [N, dim] from `table` [rows, F], in plain torch."""
    rows, weights = address(coords, levels)
    return interpolate(torch.nn.functional.embedding(rows, table), weights)


@lru_cache(maxsize=16)
def _kernels(dim: int, features: int) -> tuple[Any, Any]:
    """(forward, backward) kernels; `dim` and `features` are constants in them, so that their loops unroll."""
    corners = 2**dim
    primes = np.array(PRIMES[:dim], np.uint32)

    @njit(nogil=True, cache=True, inline="always", error_model="numpy")
    def addresses(coords, first, count, scale, side, mask, parts, shares, rows, weights):
        # Each loop over n is a few vector instructions: row and weight per axis and side first, then per corner.
        one, half, zero = np.float32(1.0), np.float32(0.5), np.float32(0.0)
        stride = np.uint32(1)
        for axis in range(dim):
            step = stride if side else primes[axis]
            line = coords[axis][first : first + count]
            low, high, near, far = parts[2 * axis], parts[2 * axis + 1], shares[2 * axis], shares[2 * axis + 1]
            for n in range(count):
                x = line[n]
                x = x if x > zero else zero  # NaN compares false: row 0, never outside the table
                x = x if x < one else one
                position = x * scale + half
                cell = np.int32(position)  # positions are positive: truncation is floor
                fraction = position - np.float32(cell)
                at = np.uint32(np.uint32(cell) * step)
                low[n] = at & mask
                high[n] = np.uint32(at + step) & mask
                near[n] = one - fraction
                far[n] = fraction
            stride = np.uint32(stride * side)
        for corner in range(corners):
            row, weight = rows[corner], weights[corner]
            part, share = parts[corner & 1], shares[corner & 1]
            other, other_share = parts[2 + (corner >> 1 & 1)], shares[2 + (corner >> 1 & 1)]
            if side:
                for n in range(count):
                    row[n] = np.uint32(part[n] + other[n])
                    weight[n] = share[n] * other_share[n]
            else:
                for n in range(count):
                    row[n] = part[n] ^ other[n]
                    weight[n] = share[n] * other_share[n]
            for axis in range(2, dim):
                part, share = parts[2 * axis + ((corner >> axis) & 1)], shares[2 * axis + ((corner >> axis) & 1)]
                if side:
                    for n in range(count):
                        row[n] = np.uint32(row[n] + part[n])
                        weight[n] *= share[n]
                else:
                    for n in range(count):
                        row[n] ^= part[n]
                        weight[n] *= share[n]

    @njit(nogil=True, cache=True, error_model="numpy")
    def forward(coords, table, scales, sides, offsets, masks, begin, end, block, out):
        parts, shares = np.empty((2 * dim, TILE), np.uint32), np.empty((2 * dim, TILE), np.float32)
        rows, weights = np.empty((corners, TILE), np.uint32), np.empty((corners, TILE), np.float32)
        for start in range(begin, end, block):
            stop = min(start + block, end)
            for level in range(len(scales)):
                own = table[offsets[level] : offsets[level + 1]]
                column = level * features
                for first in range(start, stop, TILE):
                    count = min(TILE, stop - first)
                    addresses(
                        coords, first, count, scales[level], sides[level], masks[level], parts, shares, rows, weights
                    )
                    for n in range(count):
                        # Rows and weights are held in registers: the compiler cannot know that `out` lies apart.
                        r0, r1, r2, r3 = rows[0, n], rows[1, n], rows[2, n], rows[3, n]
                        w0, w1, w2, w3 = weights[0, n], weights[1, n], weights[2, n], weights[3, n]
                        for f in range(features):
                            total = w0 * own[r0, f] + w1 * own[r1, f] + w2 * own[r2, f] + w3 * own[r3, f]
                            for corner in range(4, corners):
                                total += weights[corner, n] * own[rows[corner, n], f]
                            out[first + n, column + f] = total

    @njit(nogil=True, cache=True, error_model="numpy")
    def backward(coords, grad, scales, sides, offsets, masks, first_level, step, block, table_grad):
        parts, shares = np.empty((2 * dim, TILE), np.uint32), np.empty((2 * dim, TILE), np.float32)
        rows, weights = np.empty((corners, TILE), np.uint32), np.empty((corners, TILE), np.float32)
        end = coords.shape[1]
        for start in range(0, end, block):
            stop = min(start + block, end)
            for level in range(first_level, len(scales), step):
                own = table_grad[offsets[level] : offsets[level + 1]]
                column = level * features
                for first in range(start, stop, TILE):
                    count = min(TILE, stop - first)
                    addresses(
                        coords, first, count, scales[level], sides[level], masks[level], parts, shares, rows, weights
                    )
                    for n in range(count):
                        for corner in range(corners):
                            row, weight = rows[corner, n], weights[corner, n]
                            for f in range(features):
                                own[row, f] += weight * grad[first + n, column + f]

    return forward, backward


def _block(num_points: int, table: np.ndarray, levels: Levels) -> int:
    """Samples that pass through all levels before the next ones.

    Few, so that their features stay in the second-level cache; but all of them when a level's rows do not fit there,
    since then the rows are what must stay.
    """
    level_bytes = table.nbytes // levels.count
    return BLOCK if level_bytes <= LEVEL_BYTES else max(1, num_points)


def _arrays(levels: Levels) -> tuple[np.ndarray, ...]:
    return levels.scales, levels.sides, levels.offsets, levels.masks


def forward_into(coords: np.ndarray, table: np.ndarray, levels: Levels, out: np.ndarray) -> None:
    """Fills `out` [N, levels * F], threads taking ranges of samples."""
    forward, _ = _kernels(coords.shape[1], table.shape[1])
    by_axis = np.ascontiguousarray(coords.T)
    block = _block(len(coords), table, levels)
    step = max(TILE, -(-len(coords) // num_threads()))
    ranges = [(begin, min(begin + step, len(coords))) for begin in range(0, len(coords), step)]
    run_parallel(lambda span: forward(by_axis, table, *_arrays(levels), *span, block, out), ranges)


def backward_into(coords: np.ndarray, grad: np.ndarray, levels: Levels, table_grad: np.ndarray) -> None:
    """Adds to `table_grad` [rows, F], threads taking every second (third, ...) level."""
    _, backward = _kernels(coords.shape[1], table_grad.shape[1])
    by_axis = np.ascontiguousarray(coords.T)
    block = _block(len(coords), table_grad, levels)
    step = min(num_threads(), levels.count)
    run_parallel(lambda level: backward(by_axis, grad, *_arrays(levels), level, step, block, table_grad), range(step))


class _HashLookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, coords: Tensor, table: Tensor, levels: Levels) -> Tensor:
        coords, table = coords.contiguous(), table.contiguous()
        ctx.save_for_backward(coords, table)
        ctx.levels = levels
        out = torch.empty(len(coords), levels.count * table.shape[1])
        forward_into(coords.detach().numpy(), table.detach().numpy(), levels, out.numpy())
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        coords, table = ctx.saved_tensors
        coords_grad = table_grad = None
        grad = grads[0].contiguous()
        if ctx.needs_input_grad[1]:
            table_grad = torch.zeros_like(table)
            backward_into(coords.detach().numpy(), grad.numpy(), ctx.levels, table_grad.numpy())
        if ctx.needs_input_grad[0]:  # rare (meshes, normals): the plain path serves
            with torch.enable_grad():
                leaf = coords.detach().requires_grad_()
                features = reference(leaf, table.detach(), ctx.levels)
                (coords_grad,) = torch.autograd.grad(features, leaf, grad)
        return coords_grad, table_grad, None


def hash_lookup(coords: Tensor, table: Tensor, levels: Levels) -> tuple[Tensor, dict[str, int]]:
    """Features [N, levels * F] and counts (`table_reads`, rows read); float32 on the CPU, dim 2 to 4.

    Differentiable once in `table` and `coords`.
    """
    features = _HashLookup.apply(coords, table, levels)
    assert isinstance(features, Tensor)
    return features, {"table_reads": len(coords) * levels.count * 2 ** coords.shape[1]}
