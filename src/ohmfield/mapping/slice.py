"""Integer weights as cell digits: slices of `cell_bits`, in pairs of columns or with an offset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from ohmfield.chip.array import Array
from ohmfield.spec import InputError


@dataclass(frozen=True, eq=False)
class Slices:
    """The digits that the cells of one layer store, and what each counts.

    `code[o, i] = sum over slice s and side k of weights[s] * signs[k] * digits[i, s, k, o] - offset`.
    """

    digits: Int[np.ndarray, "inputs slices sides outputs"]  # 0 .. 2^cell_bits - 1
    weights: Int[np.ndarray, " slices"]  # 2^(cell_bits * slice)
    signs: tuple[int, ...]  # (1, -1) for pairs, (1,) with an offset
    offset: int  # 0 for pairs, 2^(weight_bits - 1) with an offset

    def bank_weights(self, subtract: str) -> Int[np.ndarray, " banks"]:
        """What one code of each bank counts: per slice, or per slice and side (plus first) if sides convert apart."""
        if subtract == "analog" or len(self.signs) == 1:
            return self.weights.copy()
        return (self.weights[:, None] * np.array(self.signs)).ravel()

    def bank_levels(self, subtract: str) -> Int[np.ndarray, "inputs banks outputs"]:
        """Nominal cell levels that each bank sums: pairs subtracted (`analog`), else one bank per side."""
        inputs, slices, sides, outputs = self.digits.shape
        if subtract == "analog" and sides == 2:
            return self.digits[:, :, 0] - self.digits[:, :, 1]
        return self.digits.reshape(inputs, slices * sides, outputs)


def weight_range(array: Array, weight_bits: int) -> tuple[int, int]:
    """Smallest and largest code that `array` can store.

    >>> weight_range(Array(), 8), weight_range(Array(encoding="offset"), 8)
    ((-127, 127), (-128, 127))
    """
    high = 2 ** (weight_bits - 1) - 1
    return (-high if array.encoding == "differential" else -high - 1), high


def slice_weights(codes: Int[np.ndarray, "outputs inputs"], array: Array, weight_bits: int, name: str = "") -> Slices:
    """The cell digits of signed integer `codes`; `name` is the layer, for errors.

    Pairs store the magnitude on the side of the sign and zero on the other, `ceil((b - 1) / c)` slices of c bits, so
    -2^(b-1) has no code; an offset stores `code + 2^(b-1)` in `ceil(b / c)` slices. `InputError` on a code outside.

    >>> slice_weights(np.array([[-6]]), Array(cell_bits=2), weight_bits=5).digits[0, :, :, 0].tolist()
    [[0, 2], [0, 1]]
    """
    low, high = weight_range(array, weight_bits)
    outside = np.argwhere((codes < low) | (codes > high))
    if len(outside):
        row, column = (int(i) for i in outside[0])
        raise InputError(
            f"weight [{row}, {column}] has code {codes[row, column]}; {weight_bits}-bit {array.encoding} weights hold "
            f"{low} .. {high}: use a symmetric grid or array.encoding offset",
            name,
        )
    count, mask = array.num_slices(weight_bits), 2**array.cell_bits - 1
    shifts = array.cell_bits * np.arange(count, dtype=np.int64)
    stored = codes.T.astype(np.int64)  # [inputs, outputs]
    if array.encoding == "differential":
        signs, offset = (1, -1), 0
        sides = np.stack([np.maximum(stored, 0), np.maximum(-stored, 0)], axis=1)
    else:
        signs, offset = (1,), 2 ** (weight_bits - 1)
        sides = (stored + offset)[:, None, :]
    digits = (sides[:, None, :, :] >> shifts[:, None, None]) & mask
    return Slices(digits, 2**shifts, signs, offset)


def unslice(slices: Slices) -> Int[np.ndarray, "outputs inputs"]:
    """The integer codes that `slices` stand for: the inverse of `slice_weights`."""
    signs = np.array(slices.signs, dtype=np.int64)
    codes = np.einsum("isko,s,k->oi", slices.digits, slices.weights, signs) - slices.offset
    return codes
