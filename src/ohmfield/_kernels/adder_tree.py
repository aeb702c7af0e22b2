"""Sums of a binary tree of adders that approximate their low bits: `reference` in NumPy, `fast` in Numba, bit for bit.

Operands are two's complement. Rows r and r + 1 are added first, then pairs of those sums; a row without a partner moves
up as it is.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ohmfield._kernels.threads import run_parallel

TILE = 64  # vectors per job


def add_lower_or(a: np.ndarray, b: np.ndarray, bits: int) -> np.ndarray:
    """`a + b` whose `bits` low bits are `a | b`; the carry into the others is `a & b` of the highest of them.

    >>> add_lower_or(np.array([3]), np.array([1]), 1), add_lower_or(np.array([3]), np.array([1]), 2)
    (array([5]), array([3]))
    """
    carry = (a >> (bits - 1)) & (b >> (bits - 1)) & 1
    return (((a >> bits) + (b >> bits) + carry) << bits) | ((a | b) & ((1 << bits) - 1))


def reference(digits: np.ndarray, weights: np.ndarray, bits: int) -> np.ndarray:
    """int64 [vectors, outputs]: the tree over `digits` [vectors, rows] times `weights` [rows, outputs]."""
    sums = digits.astype(np.int64)[:, :, None] * weights.astype(np.int64)[None]
    while sums.shape[1] > 1:
        even = sums.shape[1] // 2 * 2
        added = add_lower_or(sums[:, 0:even:2], sums[:, 1:even:2], bits)
        sums = np.concatenate([added, sums[:, even:]], axis=1)
    return sums[:, 0]


def fast(digits: np.ndarray, weights: np.ndarray, bits: int) -> np.ndarray:
    """What `reference` returns; products and sums below 2^31."""
    out = np.empty((len(digits), weights.shape[1]), dtype=np.int32)
    small, held = np.ascontiguousarray(digits, dtype=np.int32), np.ascontiguousarray(weights, dtype=np.int32)

    def job(start: int) -> None:
        _tree(small[start : start + TILE], held, bits, np.empty_like(held), out[start : start + TILE])

    run_parallel(job, range(0, len(digits), TILE))
    return out.astype(np.int64)


@njit(cache=True, nogil=True)
def _tree(digits: np.ndarray, weights: np.ndarray, bits: int, sums: np.ndarray, out: np.ndarray) -> None:
    rows, outputs = weights.shape
    mask, top = np.int32((1 << bits) - 1), np.int32(bits - 1)
    shift, one = np.int32(bits), np.int32(1)
    for vector in range(len(digits)):
        for row in range(rows):
            digit = digits[vector, row]
            for column in range(outputs):
                sums[row, column] = digit * weights[row, column]
        count = rows
        while count > 1:
            for pair in range(count // 2):
                for column in range(outputs):
                    a, b = sums[2 * pair, column], sums[2 * pair + 1, column]
                    carry = (a >> top) & (b >> top) & one
                    sums[pair, column] = (((a >> shift) + (b >> shift) + carry) << shift) | ((a | b) & mask)
            if count % 2:
                for column in range(outputs):
                    sums[count // 2, column] = sums[count - 1, column]
            count = (count + 1) // 2
        for column in range(outputs):
            out[vector, column] = sums[0, column]
