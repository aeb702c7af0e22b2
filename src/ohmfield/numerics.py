"""Integer grids, rounding with a straight-through gradient, and counter-based noise."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


def round_half_up(value: Tensor) -> Tensor:
    """`floor(value + 1/2)`: the rounding of every converter and requantiser here (never half-to-even).

    >>> round_half_up(torch.tensor([0.5, 1.5, -0.5, -1.2]))
    tensor([ 1.,  2.,  0., -1.])
    """
    return torch.floor(value + 0.5)


def spread(count: int, most: int) -> np.ndarray:
    """Numbers of `most` of `count` things, rising and evenly spread, yet in step with nothing.

    Multiples of the golden ratio: a fixed stride meets the same column of an image again and again.

    >>> spread(10, 4)
    array([0, 2, 6, 8])
    """
    if count <= most:
        return np.arange(count)
    chosen = np.unique((np.arange(most) * 0.6180339887498949 % 1.0 * count).astype(np.int64))
    if len(chosen) < most:  # two fell on one
        chosen = np.union1d(chosen, np.setdiff1d(np.arange(count), chosen)[: most - len(chosen)])
    return chosen


class _StraightThrough(torch.autograd.Function):
    """Forward takes `hard`; backward hands the gradient to `soft` where `inside`."""

    @staticmethod
    def forward(ctx, soft: Tensor, hard: Tensor, inside: Tensor | None) -> Tensor:
        ctx.inside = inside
        return hard

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[override]
        return (grad if ctx.inside is None else grad * ctx.inside), None, None


def straight_through(soft: Tensor, hard: Tensor, inside: Tensor | None = None) -> Tensor:
    """The value of `hard` with the gradient of `soft` (zero where `inside` is False)."""
    return _StraightThrough.apply(soft, hard, inside)  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The one integer grid: `value = scale * (code - zero)`, codes of `bits` bits.

    `scale` and `zero` are tensors (or numbers) that broadcast against the values: per tensor, or per channel with
    shape `[channels, 1]`; `zero` need not be whole. `symmetric` drops the most negative code, so that -code exists for
    every code (pairs of cells need that).
    """

    bits: int
    signed: bool
    scale: Tensor | float
    zero: Tensor | float = 0
    symmetric: bool = False

    @property
    def low(self) -> int:
        """Smallest code."""
        return -(2 ** (self.bits - 1)) + int(self.symmetric) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest code."""
        return 2 ** (self.bits - 1) - 1 if self.signed else 2**self.bits - 1

    def codes(self, values: Tensor) -> Tensor:
        """Integer codes of `values`, as float tensor of whole numbers; rounds half up, then clips."""
        return round_half_up(values / self.scale + self.zero).clamp(self.low, self.high)

    def values(self, codes: Tensor) -> Tensor:
        """The values that `codes` stand for."""
        return (codes - self.zero) * self.scale

    def fake(self, values: Tensor) -> Tensor:
        """`values` rounded to the grid; the gradient passes where nothing clips, also to `scale` if it is a tensor.

        >>> Grid(bits=3, signed=True, scale=0.5).fake(torch.tensor([0.3, 9.0]))
        tensor([0.5000, 1.5000])
        """
        ratio = values / self.scale + self.zero
        hard = round_half_up(ratio)
        clipped = hard.clamp(self.low, self.high)
        codes = straight_through(ratio, clipped, (hard == clipped).to(values.dtype))
        return (codes - self.zero) * self.scale


@dataclass(frozen=True, kw_only=True)
class SignGrid(Grid):
    """Codes -1 and 1 alone: the sign of a value, of zero 1."""

    bits: int = 1
    signed: bool = True

    @property
    def low(self) -> int:
        return -1

    @property
    def high(self) -> int:
        return 1

    def codes(self, values: Tensor) -> Tensor:
        """The sign of `values` as float tensor."""
        return torch.where(values >= 0, 1.0, -1.0).to(values.dtype)

    def fake(self, values: Tensor) -> Tensor:
        """Signs times `scale`; the gradient passes up to twice the scale."""
        ratio = values / self.scale
        return straight_through(ratio, self.codes(values), (ratio.abs() < 2).to(values.dtype)) * self.scale


# ---- counter-based noise -------------------------------------------------------------------------------------------
# A number depends on (seed, path of names, row, column) alone: the same for any tile size, thread count or device.
# One 32-bit hash per number; its four bytes are summed (Irwin-Hall) and a cubic restores the variance and kurtosis of
# a normal distribution. 1,021 distinct values, reaching +-4.1 sd; Kolmogorov distance to the normal 0.003.
# Adds and multiplies only, in a fixed order, so NumPy, torch and the fused kernels agree to the last bit.

GOLDEN = 0x9E3779B9
MIX_1 = 0x21F0AAAD
MIX_2 = 0x735A2D97


def _cubic() -> tuple[float, float]:
    """(a, b) so that `a z + b z^3` has variance 1 and kurtosis 3, exactly; z is the centred byte sum over 256."""
    pmf = np.ones(256) / 256
    total = np.convolve(np.convolve(pmf, pmf), np.convolve(pmf, pmf))
    z = (np.arange(1021) - 510.0) / 256.0
    m2, m4, m6, m8, m10, m12 = (float(np.sum(total * z**k)) for k in (2, 4, 6, 8, 10, 12))
    low, high = 0.0, 1.0  # ratio r = b / a, by bisection on the kurtosis of z + r z^3

    def kurtosis(r: float) -> float:
        second = m2 + 2 * r * m4 + r * r * m6
        fourth = m4 + 4 * r * m6 + 6 * r**2 * m8 + 4 * r**3 * m10 + r**4 * m12
        return fourth / second**2

    for _ in range(80):
        r = 0.5 * (low + high)
        low, high = (r, high) if kurtosis(r) < 3.0 else (low, r)
    a = 1.0 / math.sqrt(m2 + 2 * low * m4 + low**2 * m6)
    return a, a * low


_A, _B = _cubic()
NORMAL_A = np.float32(_A / 256.0)
NORMAL_B = np.float32(_B / 256.0**3)


def splitmix(values: np.ndarray) -> np.ndarray:
    """The splitmix64 finaliser on uint64 (Steele, Lea and Flood, OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        z = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


@dataclass(frozen=True)
class Noise:
    """A named stream of random numbers: `Noise(seed).at(instance, operator, kind).normal(shape, first)`.

    The last axis of `shape` is the column, all others together the row, counted from `first`: a tile that starts at
    row r asks for `first=r` and gets the same numbers as the whole.
    """

    seed: int
    key: int = 0

    def __post_init__(self) -> None:
        if self.key == 0:
            object.__setattr__(self, "key", _hash64(f"seed:{self.seed}"))

    def at(self, *names: object) -> Noise:
        """The stream below this one that `names` lead to."""
        return Noise(self.seed, _hash64("/".join([str(self.key), *map(str, names)])))

    def row_keys(self, num_rows: int, first: int = 0) -> np.ndarray:
        """uint64 keys of rows `first .. first + num_rows`."""
        return self.keys_of(np.arange(first, first + num_rows, dtype=np.uint64))

    def keys_of(self, rows: np.ndarray) -> np.ndarray:
        """uint64 keys of the rows with these numbers (uint64): what the fused kernels start from."""
        return splitmix(rows ^ np.uint64(self.key))

    def bits(self, shape: tuple[int, ...], first: int = 0) -> np.ndarray:
        """uint32 hash values."""
        columns = shape[-1] if shape else 1
        rows = math.prod(shape[:-1])
        keys = self.row_keys(rows, first)
        return hash_columns(keys, np.arange(columns, dtype=np.uint32)).reshape(shape)

    def normal(self, shape: tuple[int, ...], first: int = 0) -> Tensor:
        """Standard normal float32 numbers."""
        return torch.from_numpy(normal_from_bits(self.bits(tuple(shape), first)))

    def uniform(self, shape: tuple[int, ...], first: int = 0) -> Tensor:
        """Uniform float32 numbers in [0, 1)."""
        return torch.from_numpy(
            (self.bits(tuple(shape), first) >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)
        )

    def integers(self, high: int, shape: tuple[int, ...], first: int = 0) -> Tensor:
        """Whole numbers in [0, high), int64; high below 2^32."""
        scaled = (self.bits(tuple(shape), first).astype(np.uint64) * np.uint64(high)) >> np.uint64(32)
        return torch.from_numpy(scaled.astype(np.int64))


def _hash64(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") | 1


def hash_columns(keys: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """uint32 hashes of every (row key, column): the reference of the hash inside the fused kernels."""
    low = (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32)[:, None]
    high = (keys >> np.uint64(32)).astype(np.uint32)[:, None]
    with np.errstate(over="ignore"):
        x = columns[None, :] * np.uint32(GOLDEN) + low
        x = (x ^ (x >> np.uint32(16))) * np.uint32(MIX_1)
        x = x ^ high
        x = (x ^ (x >> np.uint32(15))) * np.uint32(MIX_2)
        return x ^ (x >> np.uint32(15))


def normal_from_bits(bits: np.ndarray) -> np.ndarray:
    """float32 normal numbers from uint32 hashes: byte sum, then the cubic."""
    pairs = (bits & np.uint32(0x00FF00FF)) + ((bits >> np.uint32(8)) & np.uint32(0x00FF00FF))
    total = (pairs & np.uint32(0xFFFF)) + (pairs >> np.uint32(16))
    z = total.astype(np.float32) - np.float32(510.0)
    return z * (NORMAL_A + NORMAL_B * (z * z))
