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
BLOCK = 8192  # samples that pass through all levels before the next ones: their features stay in the second-level cache


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
    """uint32, rows - 1 of a hashed level"""

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
    prime_1, prime_2, prime_3 = (np.uint32(PRIMES[axis]) for axis in (1, 2, 3))

    @njit(nogil=True, cache=True, inline="always")
    def addresses(coords, first, count, scale, side, mask, cells, fractions, rows, weights):
        one, half, zero = np.float32(1.0), np.float32(0.5), np.float32(0.0)
        for axis in range(dim):
            for n in range(count):
                x = coords[first + n, axis]
                x = x if x > zero else zero  # NaN compares false: row 0, never outside the table
                x = x if x < one else one
                position = x * scale + half
                cell = np.int32(position)  # positions are positive: truncation is floor
                cells[axis, n] = np.uint32(cell)
                fractions[axis, n] = position - np.float32(cell)
        for corner in range(corners):
            for n in range(count):
                weight = one
                dense = np.uint32(0)
                hashed = np.uint32(0)
                stride = np.uint32(1)
                for axis in range(dim):
                    bit = (corner >> axis) & 1
                    fraction = fractions[axis, n]
                    weight *= fraction if bit else one - fraction
                    at = np.uint32(cells[axis, n] + np.uint32(bit))
                    prime = np.uint32(1) if axis == 0 else prime_1 if axis == 1 else prime_2 if axis == 2 else prime_3
                    dense = np.uint32(dense + np.uint32(at * stride))
                    hashed = np.uint32(hashed ^ np.uint32(at * prime))
                    stride = np.uint32(stride * side)
                rows[corner, n] = np.int32(dense if side else hashed & mask)
                weights[corner, n] = weight

    @njit(nogil=True, cache=True)
    def forward(coords, table, scales, sides, offsets, masks, begin, end, out):
        cells = np.empty((dim, TILE), np.uint32)
        fractions = np.empty((dim, TILE), np.float32)
        rows = np.empty((corners, TILE), np.int32)
        weights = np.empty((corners, TILE), np.float32)
        for block in range(begin, end, BLOCK):
            block_end = min(block + BLOCK, end)
            for level in range(len(scales)):
                base = offsets[level]
                column = level * features
                for first in range(block, block_end, TILE):
                    count = min(TILE, block_end - first)
                    addresses(
                        coords, first, count, scales[level], sides[level], masks[level], cells, fractions, rows, weights
                    )
                    for n in range(count):
                        for f in range(features):
                            total = np.float32(0.0)
                            for corner in range(corners):
                                total += weights[corner, n] * table[base + rows[corner, n], f]
                            out[first + n, column + f] = total

    @njit(nogil=True, cache=True)
    def backward(coords, grad, scales, sides, offsets, masks, level, table_grad):
        cells = np.empty((dim, TILE), np.uint32)
        fractions = np.empty((dim, TILE), np.float32)
        rows = np.empty((corners, TILE), np.int32)
        weights = np.empty((corners, TILE), np.float32)
        base = offsets[level]
        column = level * features
        for first in range(0, len(coords), TILE):
            count = min(TILE, len(coords) - first)
            addresses(coords, first, count, scales[level], sides[level], masks[level], cells, fractions, rows, weights)
            for n in range(count):
                for corner in range(corners):
                    for f in range(features):
                        table_grad[base + rows[corner, n], f] += weights[corner, n] * grad[first + n, column + f]

    return forward, backward


def _arrays(levels: Levels) -> tuple[np.ndarray, ...]:
    return levels.scales, levels.sides, levels.offsets, levels.masks


def forward_into(coords: np.ndarray, table: np.ndarray, levels: Levels, out: np.ndarray) -> None:
    """Fills `out` [N, levels * F], threads taking ranges of samples."""
    forward, _ = _kernels(coords.shape[1], table.shape[1])
    step = max(TILE, -(-len(coords) // num_threads()))
    ranges = [(begin, min(begin + step, len(coords))) for begin in range(0, len(coords), step)]
    run_parallel(lambda span: forward(coords, table, *_arrays(levels), *span, out), ranges)


def backward_into(coords: np.ndarray, grad: np.ndarray, levels: Levels, table_grad: np.ndarray) -> None:
    """Adds to `table_grad` [rows, F], threads taking whole levels."""
    _, backward = _kernels(coords.shape[1], table_grad.shape[1])
    # Finest levels first: they are the slowest, so that the threads end together.
    order = range(levels.count - 1, -1, -1)
    run_parallel(lambda level: backward(coords, grad, *_arrays(levels), level, table_grad), order)


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
    """Features [N, levels * F] and counts (`table_reads`, rows read); float32 on the CPU, dim <= 4.

    Differentiable once in `table` and `coords`.
    """
    features = _HashLookup.apply(coords, table, levels)
    assert isinstance(features, Tensor)
    return features, {"table_reads": len(coords) * levels.count * 2 ** coords.shape[1]}
