"""Products of 8-bit integers, and their sums scaled, shifted and spread: what a moment-matched product costs."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor

from ohmfield._kernels.threads import one_torch_thread
from ohmfield.numerics import GOLDEN, MIX_1, MIX_2, NORMAL_A, NORMAL_B, Noise, hash_columns, normal_from_bits

TILE = 1024  # vectors at a time: their sums stay in the second-level cache


def reference(sums: np.ndarray, moments: np.ndarray, noise: Noise, first: int) -> np.ndarray:
    """`floor(gain * sum + offset + sd * normal + 1/2)`, int64; `moments` float32 [3, outputs] are gain, offset, sd."""
    numbers = np.arange(first, first + len(sums), dtype=np.uint64)
    normal = normal_from_bits(hash_columns(noise.keys_of(numbers), np.arange(sums.shape[1], dtype=np.uint32)))
    gain, offset, sd = moments
    return np.floor(sums.astype(np.float32) * gain + offset + sd * normal + np.float32(0.5)).astype(np.int64)


@njit(cache=True, nogil=True, error_model="numpy")
def _finish(sums, moments, keys, out):
    gain, offset, sd = moments
    for vector in range(sums.shape[0]):
        key = keys[vector]
        low, high = np.uint32(key & np.uint64(0xFFFFFFFF)), np.uint32(key >> np.uint64(32))
        line, own = sums[vector], out[vector]
        for column in range(sums.shape[1]):
            x = np.uint32(np.uint32(np.uint32(column) * np.uint32(GOLDEN)) + low)
            x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(16))) * np.uint32(MIX_1))
            x = np.uint32(x ^ high)
            x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(15))) * np.uint32(MIX_2))
            x = np.uint32(x ^ np.uint32(x >> np.uint32(15)))
            odd = np.uint32(np.uint32(x >> np.uint32(8)) & np.uint32(0x00FF00FF))
            pairs = np.uint32(np.uint32(x & np.uint32(0x00FF00FF)) + odd)
            total = np.uint32(np.uint32(pairs & np.uint32(0xFFFF)) + np.uint32(pairs >> np.uint32(16)))
            z = np.float32(np.int32(total)) - np.float32(510.0)
            normal = z * (np.float32(NORMAL_A) + np.float32(NORMAL_B) * (z * z))
            value = np.float32(line[column]) * gain[column] + offset[column] + sd[column] * normal
            own[column] = np.int64(np.floor(value + np.float32(0.5)))


class BytePlane:
    """Whole inputs of at most 8 bits times whole weights within +-127, exactly; `weights` [inputs, outputs]."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = torch.from_numpy(np.ascontiguousarray(weights, dtype=np.int8))
        self.floats = self.weights.float()
        self.total = self.weights.sum(dim=0, dtype=torch.int32)

    def sums(self, codes: np.ndarray) -> np.ndarray:
        """float32 or int32 [vectors, outputs]; `codes` all in [-128, 127] or all in [0, 255]."""
        centre = 128 if codes.size and int(codes.max()) > 127 else 0
        made = _multiply(torch.from_numpy(codes), centre, self.weights)
        if made is None:  # this torch has no product of bytes; sums below 2^24 are exact in single precision
            return (torch.from_numpy(codes).float() @ self.floats).numpy()
        return (made.add_(self.total, alpha=centre) if centre else made).numpy()

    def finished(self, codes: np.ndarray, moments: np.ndarray, noise: Noise, first: int) -> np.ndarray:
        """`reference` of the sums of `codes`, int64 [vectors, outputs], tile by tile."""
        out = np.empty((len(codes), self.weights.shape[1]), dtype=np.int64)
        with one_torch_thread():
            for start in range(0, len(codes), TILE):
                part = codes[start : start + TILE]
                keys = noise.row_keys(len(part), first + start)
                _finish(self.sums(part), moments, keys, out[start : start + TILE])
        return out


def _multiply(codes: Tensor, centre: int, weights: Tensor) -> Tensor | None:
    """int32 [vectors, outputs] of `codes - centre`; None where torch cannot multiply bytes."""
    multiply = getattr(torch, "_int_mm", None)  # private, but the only such product torch has
    if multiply is None or codes.shape[1] == 0:
        return None
    try:
        return multiply((codes - centre).to(torch.int8), weights)
    except RuntimeError:
        return None
