"""The analog product on integers: one programmed layer lowered to levels, code tables and sigmas, and its reference.

Everything before the converter is an integer in units of `1 / grid` cell level: conductances, the g_min pedestal and
each noise sample are rounded to that grid, and the grid is part of the model. So `fast` and `reference` agree to the
last code, noise included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from ohmfield.numerics import Noise, hash_columns, normal_from_bits


@dataclass(frozen=True, kw_only=True, eq=False)
class LoweredArray:
    """One layer on its arrays, as integers.

    A *bank* is one converted column set: a slice (analog subtraction, offset) or one side of a slice (digital
    subtraction). Row group g drives rows `starts[g] : starts[g + 1]` of the input. With n the sum of the driven digits
    of a group, the value before the converter is

        v = sum_r digit[r] * levels[r, bank, column] + pedestal[n] + round(sigma * normal)
        sigma^2 = noise_variance[bank] + read_variance * sum_r digit[r]^2       (read_variance may be per cell)

    and the conversion adds `codes[bank, v - first] - pedestal_code[bank, n]`, times `bank_weights[bank]` and
    `plane_weights[plane]`, to the output, for every group. `v` outside the table takes its end (the table reaches
    every possible sum; only noise may leave it).
    """

    levels: np.ndarray  # int32 [inputs, banks, outputs], in 1 / grid level
    starts: np.ndarray  # int64 [groups + 1]
    grid: int
    bank_weights: np.ndarray  # int64 [banks]
    plane_weights: np.ndarray  # int64 [planes]
    dac_bits: int = 1
    signed_input: bool = False
    first: int  # v of the first table entry
    codes: np.ndarray  # int32 [banks, table]
    step: np.ndarray | None = None  # float64 [banks]: hint that `codes` is the plain staircase floor(v / step + 1/2)
    pedestal: np.ndarray | None = None  # int64 [n + 1], in 1 / grid level
    pedestal_code: np.ndarray | None = None  # int64 [banks, n + 1]: removed digitally after conversion
    noise_variance: np.ndarray | None = None  # float64 [banks], in (1 / grid level)^2
    read_variance: np.ndarray | float = 0.0  # scalar, or uint16 [inputs, banks, outputs] times read_unit
    read_unit: float = 1.0

    @property
    def num_inputs(self) -> int:
        return self.levels.shape[0]

    @property
    def num_banks(self) -> int:
        return self.levels.shape[1]

    @property
    def num_outputs(self) -> int:
        return self.levels.shape[2]

    @property
    def num_groups(self) -> int:
        return len(self.starts) - 1

    @property
    def num_planes(self) -> int:
        return len(self.plane_weights)

    @property
    def noisy(self) -> bool:
        """Whether a conversion draws a random number."""
        per_cell = isinstance(self.read_variance, np.ndarray) or self.read_variance > 0.0
        return per_cell or (self.noise_variance is not None and bool(np.any(self.noise_variance > 0.0)))

    @cached_property
    def conversions_per_vector(self) -> int:
        """Conversions of one input vector: groups x planes x banks x outputs."""
        return self.num_groups * self.num_planes * self.num_banks * self.num_outputs


def digits(array: LoweredArray, inputs: np.ndarray) -> np.ndarray:
    """int64 [planes, vectors, inputs]: what each plane drives. The top digit of a signed multi-bit DAC is signed."""
    bits = array.dac_bits
    codes = inputs.astype(np.int64)
    planes = np.stack([(codes >> (bits * plane)) & (2**bits - 1) for plane in range(array.num_planes)])
    if array.signed_input and bits > 1:
        top = planes[-1]
        planes[-1] = np.where(top >= 2 ** (bits - 1), top - 2**bits, top)
    return planes


def conversions(
    array: LoweredArray, inputs: np.ndarray, noise: Noise | None = None, first: int = 0
) -> Iterator[tuple[tuple[int, int, int], np.ndarray, np.ndarray]]:
    """Every conversion as ((group, plane, bank), driven [vectors], codes [vectors, outputs]), in order.

    `inputs`: whole numbers [vectors, inputs]. `noise` is the read stream of this layer and `first` the number of its
    first vector.
    """
    planes = digits(array, inputs)
    for group in range(array.num_groups):
        rows = slice(int(array.starts[group]), int(array.starts[group + 1]))
        for plane in range(array.num_planes):
            digit = planes[plane][:, rows]
            driven = digit.sum(axis=1)
            for bank in range(array.num_banks):
                value = digit @ array.levels[rows, bank, :].astype(np.int64)
                if array.pedestal is not None:
                    value = value + array.pedestal[driven][:, None]
                if array.noisy and noise is not None:
                    value = value + _noise(array, digit, rows, (group, plane, bank), noise, first)
                index = np.clip(value - array.first, 0, array.codes.shape[1] - 1)
                yield (group, plane, bank), driven, array.codes[bank][index].astype(np.int64)


def reference(
    array: LoweredArray, inputs: np.ndarray, noise: Noise | None = None, first: int = 0
) -> tuple[np.ndarray, dict[str, float]]:
    """Outputs (int64 [vectors, outputs]) and counts of the analog product, as plain loops over group, plane and bank.

    Arguments as in `conversions`. Counts: `vectors`, `driven` (sum of digits driven), `conversions`, `zero_planes`
    (planes of a group with nothing driven).
    """
    out = np.zeros((inputs.shape[0], array.num_outputs), dtype=np.int64)
    counts = {"vectors": float(inputs.shape[0]), "driven": 0.0, "conversions": 0.0, "zero_planes": 0.0}
    for digit in digits(array, inputs):
        for low, high in pairwise(array.starts):
            counts["driven"] += float(np.abs(digit[:, low:high]).sum())
            counts["zero_planes"] += float((digit[:, low:high] == 0).all(axis=1).sum())
    for (_, plane, bank), driven, code in conversions(array, inputs, noise, first):
        counts["conversions"] += float(code.size)
        if array.pedestal_code is not None:
            code = code - array.pedestal_code[bank][driven][:, None]
        out += int(array.bank_weights[bank]) * int(array.plane_weights[plane]) * code
    return out, counts


def _noise(
    array: LoweredArray, digit: np.ndarray, rows: slice, place: tuple[int, int, int], noise: Noise, first: int
) -> np.ndarray:
    """Noise of one conversion per vector and output (int64), rounded half up to the grid.

    The row key of a draw counts (vector, group, plane, bank), the column is the output: the same number whatever the
    tile. The variance is summed exactly (integers), then one float32 square root and one product.
    """
    group, plane, bank = place
    square = digit.astype(np.int64) ** 2
    fixed = 0.0 if array.noise_variance is None else float(array.noise_variance[bank])
    if isinstance(array.read_variance, np.ndarray):
        cells = square @ array.read_variance[rows, bank, :].astype(np.int64)
        variance = cells.astype(np.float32) * np.float32(array.read_unit) + np.float32(fixed)
    else:
        ones = square.sum(axis=1, keepdims=True).astype(np.float32)
        variance = ones * np.float32(array.read_variance) + np.float32(fixed)
    per_vector = array.num_groups * array.num_planes * array.num_banks
    place_index = (group * array.num_planes + plane) * array.num_banks + bank
    numbers = (np.arange(first, first + digit.shape[0], dtype=np.uint64) * np.uint64(per_vector)) + np.uint64(
        place_index
    )
    keys = noise.keys_of(numbers)
    normal = normal_from_bits(hash_columns(keys, np.arange(array.num_outputs, dtype=np.uint32)))
    return np.floor(np.sqrt(variance) * normal + np.float32(0.5)).astype(np.int64)
