"""The two decoders of a radiance field on tiles that stay in cache: `reference` in torch, `decode` with Numba.

Features [N, F] and unit directions [N, 3] to density [N] and colour [N, 3]. Only the features are kept for the way
back: layers are computed again, which costs less than reading them from memory. Sums over samples are made in
`CHUNKS` parts whatever the number of threads, so that the bits do not depend on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from ohmfield._kernels.threads import run_parallel
from ohmfield._kernels.tile_math import tile_exp, tile_product

TILE = 64
CHUNKS = 2  # parts of a batch that sum gradients of their own
HARMONICS = 16
ZERO, ONE = np.float32(0.0), np.float32(1.0)

# Real spherical harmonics of degrees 0 to 3, in the order l, m, with the Condon-Shortley phase.
SH = tuple(
    np.float32(value)
    for value in (
        0.28209479177387814,  # sqrt(1 / 4 pi)
        0.48860251190291992,  # sqrt(3 / 4 pi)
        1.0925484305920792,  # sqrt(15 / 4 pi)
        0.31539156525252005,  # sqrt(5 / 16 pi)
        0.59004358992664352,  # sqrt(35 / 32 pi)
        2.8906114426405538,  # sqrt(105 / 4 pi)
        0.45704579946446577,  # sqrt(21 / 32 pi)
        0.37317633259011546,  # sqrt(7 / 16 pi)
    )
)


@lru_cache(maxsize=8)
def _kernels(num_features: int, width: int, geometry: int) -> tuple[Any, Any]:
    """(forward, backward) with all sizes constant, so that loops unroll and tiles have one shape."""
    product, exp_into = tile_product(), tile_exp()
    inputs = HARMONICS + geometry

    @njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
    def relu(tile):
        for m in range(tile.shape[0]):
            row = tile[m]
            for n in range(TILE):
                row[n] = max(row[n], ZERO)

    @njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
    def harmonics(directions, first, count, xyz, out):
        for n in range(count):
            xyz[0, n] = directions[first + n, 0]
            xyz[1, n] = directions[first + n, 1]
            xyz[2, n] = directions[first + n, 2]
        for n in range(TILE):
            x, y, z = xyz[0, n], xyz[1, n], xyz[2, n]
            xx, yy, zz = x * x, y * y, z * z
            out[0, n] = SH[0]
            out[1, n] = -SH[1] * y
            out[2, n] = SH[1] * z
            out[3, n] = -SH[1] * x
            out[4, n] = SH[2] * x * y
            out[5, n] = -SH[2] * y * z
            out[6, n] = SH[3] * (np.float32(3.0) * zz - ONE)
            out[7, n] = -SH[2] * x * z
            out[8, n] = np.float32(0.5) * SH[2] * (xx - yy)
            out[9, n] = -SH[4] * y * (np.float32(3.0) * xx - yy)
            out[10, n] = SH[5] * x * y * z
            out[11, n] = -SH[6] * y * (np.float32(5.0) * zz - ONE)
            out[12, n] = SH[7] * z * (np.float32(5.0) * zz - np.float32(3.0))
            out[13, n] = -SH[6] * x * (np.float32(5.0) * zz - ONE)
            out[14, n] = np.float32(0.5) * SH[5] * z * (xx - yy)
            out[15, n] = -SH[4] * x * (xx - np.float32(3.0) * yy)

    @njit(nogil=True, cache=True, error_model="numpy")
    def transpose(tile, out):
        for m in range(tile.shape[0]):
            for n in range(tile.shape[1]):
                out[n, m] = tile[m, n]

    @njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
    def sigmoid(tile, bits, scratch):
        for m in range(3):
            row = tile[m]
            for n in range(TILE):
                scratch[n] = -row[n]
            exp_into(scratch, bits, scratch)
            for n in range(TILE):
                row[n] = ONE / (ONE + scratch[n])

    @njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
    def forward(features, directions, d0, d1, c0, c1, c2, begin, end, coloured, density, colour):
        x, hidden = np.zeros((num_features, TILE), np.float32), np.empty((width, TILE), np.float32)
        mixed, second = np.empty((inputs, TILE), np.float32), np.empty((width, TILE), np.float32)
        values = np.empty((geometry, TILE), np.float32)
        made, xyz = np.empty((3, TILE), np.float32), np.zeros((3, TILE), np.float32)
        bits, scratch = np.empty(TILE, np.int32), np.empty(TILE, np.float32)
        for first in range(begin, end, TILE):
            count = min(TILE, end - first)
            for n in range(count):
                for f in range(num_features):
                    x[f, n] = features[first + n, f]
            hidden[:] = ZERO
            product(d0, x, hidden)
            relu(hidden)
            values[:] = ZERO
            product(d1, hidden, values)
            exp_into(values[0], bits, scratch)
            for n in range(count):
                density[first + n] = scratch[n]
            if coloured:
                harmonics(directions, first, count, xyz, mixed)
                mixed[HARMONICS:] = values
                hidden[:] = ZERO
                product(c0, mixed, hidden)
                relu(hidden)
                second[:] = ZERO
                product(c1, hidden, second)
                relu(second)
                made[:] = ZERO
                product(c2, second, made)
                sigmoid(made, bits, scratch)
                for n in range(count):
                    for c in range(3):
                        colour[first + n, c] = made[c, n]

    @njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
    def masked(grad, value):
        for m in range(grad.shape[0]):
            row, shown = grad[m], value[m]
            for n in range(TILE):
                row[n] = row[n] if shown[n] > ZERO else ZERO

    @njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
    def backward(
        features, directions, d0, d1, c0, c1, c2, d0t, d1t, c0t, c1t, c2t,
        begin, end, density_grad, colour_grad, d0g, d1g, c0g, c1g, c2g, out,
    ):  # fmt: skip
        x, h0 = np.zeros((num_features, TILE), np.float32), np.empty((width, TILE), np.float32)
        mixed, values = np.empty((inputs, TILE), np.float32), np.empty((geometry, TILE), np.float32)
        h1, h2 = np.empty((width, TILE), np.float32), np.empty((width, TILE), np.float32)
        made, xyz = np.empty((3, TILE), np.float32), np.zeros((3, TILE), np.float32)
        bits, scratch, kept = np.empty(TILE, np.int32), np.empty(TILE, np.float32), np.empty(TILE, np.float32)
        wide, other = np.empty((width, TILE), np.float32), np.empty((width, TILE), np.float32)
        narrow, sums = np.empty((inputs, TILE), np.float32), np.empty((num_features, TILE), np.float32)
        by_sample = np.empty((TILE, width), np.float32)
        by_input, by_feature = np.empty((TILE, inputs), np.float32), np.zeros((TILE, num_features), np.float32)
        for first in range(begin, end, TILE):
            count = min(TILE, end - first)
            for n in range(count):
                for f in range(num_features):
                    x[f, n] = features[first + n, f]
                    by_feature[n, f] = features[first + n, f]
            h0[:] = ZERO
            product(d0, x, h0)
            relu(h0)
            values[:] = ZERO
            product(d1, h0, values)
            exp_into(values[0], bits, scratch)
            for n in range(count):
                kept[n] = scratch[n] * density_grad[first + n]
            for n in range(count, TILE):
                kept[n] = ZERO
            harmonics(directions, first, count, xyz, mixed)
            mixed[HARMONICS:] = values
            h1[:] = ZERO
            product(c0, mixed, h1)
            relu(h1)
            h2[:] = ZERO
            product(c1, h1, h2)
            relu(h2)
            made[:] = ZERO
            product(c2, h2, made)
            sigmoid(made, bits, scratch)
            for c in range(3):
                for n in range(count):
                    made[c, n] = colour_grad[first + n, c] * made[c, n] * (ONE - made[c, n])
                for n in range(count, TILE):
                    made[c, n] = ZERO
            transpose(h2, by_sample)
            product(made, by_sample, c2g)
            wide[:] = ZERO
            product(c2t, made, wide)
            masked(wide, h2)
            transpose(h1, by_sample)
            product(wide, by_sample, c1g)
            other[:] = ZERO
            product(c1t, wide, other)
            masked(other, h1)
            transpose(mixed, by_input)
            product(other, by_input, c0g)
            narrow[:] = ZERO
            product(c0t, other, narrow)
            values[:] = narrow[HARMONICS:]
            for n in range(TILE):
                values[0, n] += kept[n]
            transpose(h0, by_sample)
            product(values, by_sample, d1g)
            wide[:] = ZERO
            product(d1t, values, wide)
            masked(wide, h0)
            product(wide, by_feature, d0g)
            sums[:] = ZERO
            product(d0t, wide, sums)
            for n in range(count):
                for f in range(num_features):
                    out[first + n, f] = sums[f, n]

    return forward, backward


def _chunks(num: int) -> list[tuple[int, int]]:
    """Ranges of whole tiles."""
    size = max(TILE, -(-num // (CHUNKS * TILE)) * TILE)
    return [(first, min(first + size, num)) for first in range(0, num, size)]


def _made_for(features: np.ndarray, weights: Sequence[np.ndarray]) -> tuple[Any, Any]:
    return _kernels(features.shape[1], len(weights[0]), len(weights[1]))


def forward_into(
    features: np.ndarray, directions: np.ndarray, weights: Sequence[np.ndarray], density: np.ndarray, colour: np.ndarray
) -> None:
    """Fills `density` [N], and `colour` [N, 3] where it has rows."""
    forward, _ = _made_for(features, weights)
    coloured = len(colour) > 0
    run_parallel(
        lambda part: forward(features, directions, *weights, *part, coloured, density, colour), _chunks(len(features))
    )


def backward_into(
    features: np.ndarray,
    directions: np.ndarray,
    weights: Sequence[np.ndarray],
    density_grad: np.ndarray,
    colour_grad: np.ndarray,
    features_grad: np.ndarray,
) -> list[np.ndarray]:
    """Fills `features_grad` and returns the gradient of each weight."""
    _, backward = _made_for(features, weights)
    turned = [np.ascontiguousarray(weight.T) for weight in weights]

    def run(part: tuple[int, int]) -> list[np.ndarray]:
        sums = [np.zeros_like(weight) for weight in weights]
        backward(features, directions, *weights, *turned, *part, density_grad, colour_grad, *sums, features_grad)
        return sums

    total, *others = run_parallel(run, _chunks(len(features)))
    for other in others:
        for sum_, more in zip(total, other, strict=True):
            sum_ += more
    return total


class _Decode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, directions: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(features, directions, *weights)
        density, colour = torch.empty(len(features)), torch.empty(len(features), 3)
        forward_into(
            features.numpy(),
            directions.numpy(),
            [weight.numpy() for weight in weights],
            density.numpy(),
            colour.numpy(),
        )
        return density, colour

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        features, directions, *weights = ctx.saved_tensors
        made = torch.empty_like(features)
        sums = backward_into(
            features.numpy(),
            directions.numpy(),
            [weight.detach().numpy() for weight in weights],
            grads[0].contiguous().numpy(),
            grads[1].contiguous().numpy(),
            made.numpy(),
        )
        return made, None, *map(torch.from_numpy, sums)


def decode(features: Tensor, directions: Tensor, weights: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Density [N] and colour [N, 3] of features [N, F] and unit directions [N, 3], float32 on the CPU.

    `weights`: two of the density decoder, three of the colour decoder, [outputs, inputs] each, without biases.
    Differentiable once in features and weights.
    """
    if len(features) == 0:
        return features.sum(-1), features[:, :3]
    made = _Decode.apply(features.contiguous(), directions.contiguous(), *(weight.contiguous() for weight in weights))
    assert isinstance(made, tuple)
    return made


def decode_density(features: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """The density that `decode` gives, without colour or gradient."""
    density = torch.empty(len(features))
    if len(features):
        plain = [weight.detach().contiguous().numpy() for weight in weights]
        features = features.detach().contiguous()
        forward_into(features.numpy(), features.numpy(), plain, density.numpy(), np.empty((0, 3), np.float32))
    return density
