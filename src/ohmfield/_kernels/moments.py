"""Products of 8-bit integers, and their sums scaled, shifted and spread: what a moment-matched product costs."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit

from ohmfield._kernels.threads import one_torch_thread
from ohmfield.numerics import GOLDEN, MIX_1, MIX_2, NORMAL_A, NORMAL_B, Noise, hash_columns, normal_from_bits

TILE = 1024  # vectors at a time: their sums stay in the second-level cache


def reference(sums: np.ndarray, moments: np.ndarray, noise: Noise, first: int) -> np.ndarray:
    """`floor(gain * sum + offset + sd * normal + 1/2)`, int64; `moments` float32 [3, outputs] are gain, offset, sd."""
    numbers = np.arange(first, first + len(sums), dtype=np.uint64)
    normal = normal_from_bits(hash_columns(noise.keys_of(numbers), np.arange(sums.shape[1], dtype=np.uint32)))
    gain, offset, sd = moments[0], moments[1], moments[2]
    return np.floor(sums.astype(np.float32) * gain + offset + sd * normal + np.float32(0.5)).astype(np.int64)


@njit(cache=True, nogil=True, error_model="numpy")
def _to_bytes(codes, room):
    """Fills `room` (int8) with `codes`, or with `codes - 128` where one exceeds 127; which, comes back."""
    high = np.int32(0)
    for vector in range(codes.shape[0]):
        line = codes[vector]
        for row in range(len(line)):
            high = max(high, np.int32(line[row]))
    centre = np.int32(128) if high > 127 else np.int32(0)
    for vector in range(codes.shape[0]):
        line, own = codes[vector], room[vector]
        for row in range(len(line)):
            own[row] = np.int32(line[row]) - centre
    return high > 127


@njit(cache=True, nogil=True, error_model="numpy")
def _finish(sums, base, moments, keys, out):
    gain, offset, sd = moments[0], moments[1], moments[2]
    for vector in range(sums.shape[0]):
        key = keys[vector]
        x0, high = np.uint32(key & np.uint64(0xFFFFFFFF)), np.uint32(key >> np.uint64(32))
        line, own = sums[vector], out[vector]
        for column in range(sums.shape[1]):
            x = np.uint32(np.uint32(np.uint32(column) * np.uint32(GOLDEN)) + x0)
            x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(16))) * np.uint32(MIX_1))
            x = np.uint32(x ^ high)
            x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(15))) * np.uint32(MIX_2))
            x = np.uint32(x ^ np.uint32(x >> np.uint32(15)))
            odd = np.uint32(np.uint32(x >> np.uint32(8)) & np.uint32(0x00FF00FF))
            pairs = np.uint32(np.uint32(x & np.uint32(0x00FF00FF)) + odd)
            total = np.uint32(np.uint32(pairs & np.uint32(0xFFFF)) + np.uint32(pairs >> np.uint32(16)))
            z = np.float32(np.int32(total)) - np.float32(510.0)
            normal = z * (np.float32(NORMAL_A) + np.float32(NORMAL_B) * (z * z))
            value = (
                np.float32(np.int32(line[column] + base[column])) * gain[column] + offset[column] + sd[column] * normal
            )
            own[column] = np.int32(np.floor(value + np.float32(0.5)))


class BytePlane:
    """Whole inputs of at most 8 bits times whole weights within +-127, exactly; `weights` [inputs, outputs]."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = torch.from_numpy(np.ascontiguousarray(weights, dtype=np.int8))
        self.floats = self.weights.float()
        self.total = self.weights.sum(dim=0, dtype=torch.int32).numpy()

    def sums(self, codes: np.ndarray) -> np.ndarray:
        """int32 [vectors, outputs]; `codes` all in [-128, 127] or all in [0, 255]."""
        parts, centre = self._centred(codes)
        return parts + centre * self.total

    def finished(self, codes: np.ndarray, moments: np.ndarray, noise: Noise, first: int) -> np.ndarray:
        """`reference` of the sums of `codes`, int64 [vectors, outputs], tile by tile."""
        out = np.empty((len(codes), self.weights.shape[1]), dtype=np.int64)
        with one_torch_thread():
            for start in range(0, len(codes), TILE):
                parts, centre = self._centred(codes[start : start + TILE])
                keys = noise.row_keys(len(parts), first + start)
                _finish(parts, centre * self.total, moments, keys, out[start : start + TILE])
        return out

    def _centred(self, codes: np.ndarray) -> tuple[np.ndarray, np.int32]:
        """(int32 sums of `codes - centre`, centre)."""
        room = np.empty(codes.shape, dtype=np.int8)
        centre = np.int32(128 if _to_bytes(codes, room) else 0)
        multiply = getattr(torch, "_int_mm", None)  # private, but the only product of bytes that torch has
        if multiply is not None:
            try:
                return multiply(torch.from_numpy(room), self.weights).numpy(), centre
            except RuntimeError:  # not for this shape or processor
                pass
        # Sums below 2^24 are exact in single precision: 8 bits times 8 bits, up to a thousand rows.
        kind = torch.float32 if len(self.weights) < 2**10 else torch.float64
        return (torch.from_numpy(room).to(kind) @ self.floats.to(kind)).int().numpy(), centre
