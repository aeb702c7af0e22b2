"""Arithmetic on tiles that stay in a core's first cache: products and exponentials that compilers turn into vectors.

The functions are made by a call, each kernel file its own: a compiled kernel is cached by its own file alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

LOG2E = np.float32(1.4426950408889634)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)  # their sum is ln 2 to 50 bits
# Cephes' expf: minimax on +-ln(2)/2, relative error 2e-7 with the two parts of ln 2.
EXP = tuple(
    np.float32(c) for c in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1)
)
HALF, ONE = np.float32(0.5), np.float32(1.0)
LARGEST = np.float32(87.0)


def tile_product() -> Callable[..., Any]:
    """`product(a [M, K], b [K, N], out [M, N])`: adds a @ b to `out`.

    Eight rows of `b` at a time: nine loads and one store for eight multiply-adds, which is what the ports can do.
    """

    @njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
    def product(a, b, out):
        inner, columns = b.shape
        whole = inner - inner % 8
        for m in range(a.shape[0]):
            row = out[m]
            for k in range(0, whole, 8):
                a0, a1, a2, a3 = a[m, k], a[m, k + 1], a[m, k + 2], a[m, k + 3]
                a4, a5, a6, a7 = a[m, k + 4], a[m, k + 5], a[m, k + 6], a[m, k + 7]
                for n in range(columns):
                    row[n] = (
                        row[n]
                        + a0 * b[k, n]
                        + a1 * b[k + 1, n]
                        + a2 * b[k + 2, n]
                        + a3 * b[k + 3, n]
                        + a4 * b[k + 4, n]
                        + a5 * b[k + 5, n]
                        + a6 * b[k + 6, n]
                        + a7 * b[k + 7, n]
                    )
            for k in range(whole, inner):
                a0 = a[m, k]
                for n in range(columns):
                    row[n] += a0 * b[k, n]

    return product


def tile_exp() -> Callable[..., Any]:
    """`exp_into(x, bits, out)`: the exponential of float32 `x` clamped to +-87, by way of int32 scratch `bits`."""

    @njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
    def exp_into(x, bits, out):
        powers = bits.view(np.float32)
        for n in range(len(x)):
            value = min(max(x[n], -LARGEST), LARGEST)
            whole = np.floor(value * LOG2E + HALF)
            bits[n] = (np.int32(whole) + np.int32(127)) << np.int32(23)
            rest = value - whole * LN2_HIGH - whole * LN2_LOW
            square = rest * rest
            series = (((EXP[0] * rest + EXP[1]) * rest + EXP[2]) * rest + EXP[3]) * rest + EXP[4]
            out[n] = (series * rest + HALF) * square + rest + ONE
        for n in range(len(x)):
            out[n] *= powers[n]

    return exp_into
