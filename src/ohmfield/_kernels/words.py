"""Between floats that hold words and the integers of a product: one pass each way, the arithmetic of `chip.fixed`.

The references are `numerics.Grid.codes` on the way in and `chip.fixed.requantise` with `Word.values` on the way out.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ohmfield._kernels.threads import run_parallel

BLOCK = 1 << 16  # values per job


def quantise(values: np.ndarray, scale: float, zero: int, low: int, high: int, out: np.ndarray) -> None:
    """`out` (int32): codes of float32 `values`, contiguous and of one size; half up, then clipped."""
    flat, codes = values.reshape(-1), out.reshape(-1)

    def job(first: int) -> None:
        part = slice(first, first + BLOCK)
        _quantise(flat[part], np.float32(scale), np.float32(zero), np.float32(low), np.float32(high), codes[part])

    run_parallel(job, range(0, len(flat), BLOCK))


def requantise(
    sums: np.ndarray,
    bias: np.ndarray,
    multiplier: np.ndarray,
    shift: np.ndarray,
    low: int,
    high: int,
    step: float,
    out: np.ndarray,
) -> None:
    """`out` (float32 [vectors, outputs]): words of int64 `sums + bias`, times `multiplier / 2^shift`, half up, clipped.

    `bias`, `multiplier` and `shift` (int64) have one entry per output; a word counts `step`.
    """
    rows = max(1, BLOCK // max(1, sums.shape[1]))

    def job(first: int) -> None:
        part = slice(first, first + rows)
        _requantise(sums[part], bias, multiplier, shift, low, high, np.float32(step), out[part])

    run_parallel(job, range(0, len(sums), rows))


def relu(values: np.ndarray, scale: float, high: int, out: np.ndarray) -> None:
    """`out` (float32): words of `max(values, 0)`, a word counting `scale`, a power of two; half up, then clipped."""
    flat, made = values.reshape(-1), out.reshape(-1)

    def job(first: int) -> None:
        part = slice(first, first + BLOCK)
        _relu(flat[part], np.float64(scale), np.float64(high), made[part])

    run_parallel(job, range(0, len(flat), BLOCK))


@njit(cache=True, nogil=True, error_model="numpy")
def _relu(values, scale, high, out):
    for i in range(len(values)):
        code = np.floor(np.float64(values[i]) / scale + 0.5)
        out[i] = np.float32(min(max(code, 0.0), high) * scale)


@njit(cache=True, nogil=True, error_model="numpy")
def _quantise(values, scale, zero, low, high, out):
    half = np.float32(0.5)
    for i in range(len(values)):
        code = np.floor(values[i] / scale + half) + zero
        out[i] = np.int32(min(max(code, low), high))


@njit(cache=True, nogil=True, error_model="numpy")
def _requantise(sums, bias, multiplier, shift, low, high, step, out):
    for row in range(sums.shape[0]):
        for column in range(sums.shape[1]):
            right = max(shift[column], np.int64(0))
            half = (np.int64(1) << right) >> 1
            product = (sums[row, column] + bias[column]) * multiplier[column]
            code = ((product + half) >> right) << max(-shift[column], np.int64(0))
            out[row, column] = np.float32(min(max(code, np.int64(low)), np.int64(high))) * step
