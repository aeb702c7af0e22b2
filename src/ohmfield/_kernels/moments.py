"""Products of 8-bit integers, and their sums scaled, shifted and spread: what a moment-matched product costs.

Bytes multiply fastest where the processor has their dot product. Elsewhere torch has only plain loops for them (37
times slower than the float product of that shape on AVX2), and sums below 2^24 are exact in single precision.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit

from ohmfield._kernels.crossbar_vectors import FEATURES
from ohmfield._kernels.threads import one_torch_thread
from ohmfield.numerics import GOLDEN, MIX_1, MIX_2, NORMAL_A, NORMAL_B, Noise, hash_columns, normal_from_bits

TILE = 1024  # vectors at a time: their sums stay in the second-level cache
FEW_OUTPUTS = 16  # below, a product by rows of outputs is the faster one
INT_MM = getattr(torch, "_int_mm", None) if "+avx512vnni" in FEATURES else None  # private, but all that torch has


def reference(sums: np.ndarray, moments: np.ndarray, noise: Noise, first: int) -> np.ndarray:
    """`floor(gain * sum + offset + sd * normal + 1/2)`, int64; `moments` float32 [3, outputs] are gain, offset, sd."""
    numbers = np.arange(first, first + len(sums), dtype=np.uint64)
    normal = normal_from_bits(hash_columns(noise.keys_of(numbers), np.arange(sums.shape[1], dtype=np.uint32)))
    gain, offset, sd = moments[0], moments[1], moments[2]
    return np.floor(sums.astype(np.float32) * gain + offset + sd * normal + np.float32(0.5)).astype(np.int64)


@njit(cache=True, nogil=True, error_model="numpy")
def _to_bytes(codes, centre, room):
    """Fills `room` (int8) with `codes - centre`."""
    for vector in range(codes.shape[0]):
        line, own = codes[vector], room[vector]
        for row in range(len(line)):
            own[row] = np.int32(line[row]) - np.int32(centre)


@njit(cache=True, nogil=True, error_model="numpy")
def _finish(sums, base, moments, starts, keys, out):
    """`out` (int32) of `sums + base`; `starts` (uint32) are the columns times `GOLDEN`, whole vectors in 32 bits."""
    gain, offset, sd = moments[0], moments[1], moments[2]
    low_bytes, half = np.uint32(0x00FF00FF), np.float32(0.5)
    for vector in range(sums.shape[0]):
        key = keys[vector]
        low, high = np.uint32(key & np.uint64(0xFFFFFFFF)), np.uint32(key >> np.uint64(32))
        line, own = sums[vector], out[vector]
        for column in range(sums.shape[1]):
            x = np.uint32(starts[column] + low)
            x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(16))) * np.uint32(MIX_1))
            x = np.uint32(x ^ high)
            x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(15))) * np.uint32(MIX_2))
            x = np.uint32(x ^ np.uint32(x >> np.uint32(15)))
            pairs = np.uint32(np.uint32(x & low_bytes) + np.uint32(np.uint32(x >> np.uint32(8)) & low_bytes))
            total = np.uint32(np.uint32(pairs & np.uint32(0xFFFF)) + np.uint32(pairs >> np.uint32(16)))
            z = np.float32(np.int32(total)) - np.float32(510.0)
            normal = z * (np.float32(NORMAL_A) + np.float32(NORMAL_B) * (z * z))
            value = np.float32(line[column] + base[column]) * gain[column] + offset[column] + sd[column] * normal
            own[column] = np.int32(np.floor(value + half))


class BytePlane:
    """Whole inputs of at most 8 bits times whole weights within +-127, exactly; `weights` [inputs, outputs].

    `signed` inputs lie in [-128, 127], others in [0, 255].
    """

    def __init__(self, weights: np.ndarray, signed: bool) -> None:
        self.weights = torch.from_numpy(np.ascontiguousarray(weights, dtype=np.int8))
        self.centre = 0 if signed or INT_MM is None else 128  # what makes inputs fit a signed byte
        largest = int(self.weights.int().abs().sum(dim=0).max()) * (128 if signed else 255)
        self.kind = torch.int8 if INT_MM is not None else torch.float32 if largest < 2**24 else torch.float64
        factors = self.weights.to(self.kind)
        by_outputs = INT_MM is None and factors.shape[1] < FEW_OUTPUTS
        self.factors = factors.T.contiguous().T if by_outputs else factors
        total = self.centre * self.weights.sum(dim=0, dtype=torch.int32)
        self.base = total.numpy() if INT_MM is not None else total.to(self.kind).numpy()
        self.starts = np.arange(len(self.base), dtype=np.uint32) * np.uint32(GOLDEN)

    def sums(self, codes: np.ndarray) -> np.ndarray:
        """int32 [vectors, outputs]."""
        room = torch.empty(codes.shape, dtype=self.kind)
        return (self._product(codes, room, None).numpy() + self.base).astype(np.int32)

    def finished(self, codes: np.ndarray, moments: np.ndarray, noise: Noise, first: int) -> np.ndarray:
        """`reference` of the sums of `codes`, as int32 [vectors, outputs], tile by tile."""
        out = np.empty((len(codes), len(self.base)), dtype=np.int32)
        room = torch.empty((TILE, codes.shape[1]), dtype=self.kind)
        sums = torch.empty((TILE, len(self.base)), dtype=torch.int32 if self.kind == torch.int8 else self.kind)
        keys = noise.row_keys(len(codes), first)
        with one_torch_thread():
            for start in range(0, len(codes), TILE):
                here = slice(start, start + TILE)
                part = codes[here]
                made = self._product(part, room[: len(part)], sums[: len(part)]).numpy()
                _finish(made, self.base, moments, self.starts, keys[here], out[here])
        return out

    def _product(self, codes: np.ndarray, room: torch.Tensor, out: torch.Tensor | None) -> torch.Tensor:
        """Sums of `codes - centre`, which are held in `room`."""
        if INT_MM is not None:
            _to_bytes(codes, self.centre, room.numpy())
            return INT_MM(room, self.factors, out=out)
        return torch.mm(room.copy_(torch.from_numpy(codes)), self.factors, out=out)
