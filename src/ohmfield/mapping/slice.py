"""Integer weights as cell digits: slices of `cell_bits`, in pairs of columns or in single ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from ohmfield.chip.array import Array
from ohmfield.spec import InputError


@dataclass(frozen=True, eq=False)
class Slices:
    """The digits that the cells of one layer store, and what each counts.

    `code[o, i] = sum over slice s and side k of weights[s] * signs[k] * digits[i, s, k, o] - offset`, where a flipped
    column stores `top - digit` instead of its digit.
    """

    digits: Int[np.ndarray, "inputs slices sides outputs"]  # 0 .. top
    weights: Int[np.ndarray, " slices"]  # 2^(cell_bits * slice); the sign bit of two's complement is negative
    signs: tuple[int, ...]  # (1, -1) for pairs, (1,) for single columns
    offset: int  # what was added to every weight
    top: int  # highest digit of a cell
    starts: Int[np.ndarray, " boundaries"]  # row groups
    flipped: Bool[np.ndarray, "groups slices outputs"] | None = None

    def bank_weights(self, subtract: str) -> Int[np.ndarray, " banks"] | Int[np.ndarray, "groups banks outputs"]:
        """What one code of each bank counts; a bank is a slice, or a slice and side (plus first) converted apart.

        Flipped columns count negative, so there it is per row group and output.
        """
        if self.flipped is not None:
            return self.weights[:, None] * np.where(self.flipped, -1, 1)
        if subtract == "analog" or len(self.signs) == 1:
            return self.weights.copy()
        return (self.weights[:, None] * np.array(self.signs)).ravel()

    def sum_weights(self) -> Int[np.ndarray, "groups outputs"]:
        """What is to be taken off each output per unit of a row group's inputs; [1, 1] where all agree."""
        if self.flipped is None:
            return np.array([[self.offset]], dtype=np.int64)
        return self.offset - self.top * np.einsum("s,gso->go", self.weights, self.flipped.astype(np.int64))

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
    if array.encoding == "xnor":
        return -1, 1
    if array.encoding == "two_level":
        return 0, 1
    high = 2 ** (weight_bits - 1) - 1
    return (-high if array.written.sides == 2 else -high - 1), high


def slice_weights(
    codes: Int[np.ndarray, "outputs inputs"],
    array: Array,
    weight_bits: int,
    name: str = "",
    starts: Int[np.ndarray, " boundaries"] | None = None,
) -> Slices:
    """The cell digits of integer `codes`; `name` is the layer, for errors; row groups (default: one) as in `Tiling`.

    `c` bits per cell, b weight bits:
    differential, ternary: the magnitude on the side of the sign and zero on the other; -2^(b-1) has no code.
    xnor: codes -1 and 1, one bit and its complement in a pair. two_level: codes 0 and 1, a zero point comes later.
    offset: `code + 2^(b-1)`. column_flip: the same, and a column whose digits add up to more than half of the highest
    sum in its row group stores their complement (ISAAC, ISCA 2016). twos_complement: b - 1 bits in cells of c bits, and
    the sign bit in a column of its own that weighs -2^(b-1).
    `InputError` on a width or code that the encoding does not have.

    >>> slice_weights(np.array([[-6]]), Array(cell_bits=2), weight_bits=5).digits[0, :, :, 0].tolist()
    [[0, 2], [0, 1]]
    """
    array.check_bits(weight_bits, name)
    _check_codes(codes, array, weight_bits, name)
    groups = np.array([0, codes.shape[1]]) if starts is None else starts
    count, top = array.num_slices(weight_bits), 2**array.cell_bits - 1
    shifts = array.cell_bits * np.arange(count, dtype=np.int64)
    weights = 2**shifts
    stored = codes.T.astype(np.int64)  # [inputs, outputs]
    signs, offset = (1,), 0
    if array.written.sides == 2:
        signs = (1, -1)
        sides = np.stack([np.maximum(stored, 0), np.maximum(-stored, 0)], axis=1)
    elif array.encoding in ("offset", "column_flip"):
        offset = 2 ** (weight_bits - 1)
        sides = (stored + offset)[:, None, :]
    else:
        sides = stored[:, None, :]
    digits = (sides[:, None, :, :] >> shifts[:, None, None]) & top
    if array.encoding == "twos_complement":
        magnitude = stored & (2 ** (weight_bits - 1) - 1)
        digits = (magnitude[:, None, None, :] >> shifts[:, None, None]) & top
        digits[:, -1, 0] = stored < 0
        weights[-1] = -(2 ** (weight_bits - 1))
    flipped = _flip(digits, groups, top) if array.encoding == "column_flip" else None
    return Slices(digits, weights, signs, offset, top, groups, flipped)


def _check_codes(codes: np.ndarray, array: Array, weight_bits: int, name: str) -> None:
    low, high = weight_range(array, weight_bits)
    wrong = (codes < low) | (codes > high) | (codes == 0 if array.encoding == "xnor" else False)
    outside = np.argwhere(wrong)
    if not len(outside):
        return
    row, column = (int(i) for i in outside[0])
    held = "-1 and 1" if array.encoding == "xnor" else f"{low} .. {high}"
    advice = "use a symmetric grid or array.encoding offset"
    if array.written.weight_bits is not None:
        advice = "fit the weights to these codes, or use array.encoding differential"
    raise InputError(
        f"weight [{row}, {column}] has code {codes[row, column]}; "
        f"{weight_bits}-bit {array.encoding} weights hold {held}: {advice}",
        name,
    )


def _flip(digits: np.ndarray, starts: np.ndarray, top: int) -> np.ndarray:
    """Complements in place the columns whose digits sum to more than half; returns which [groups, slices, outputs]."""
    rows = np.diff(starts)
    sums = np.add.reduceat(digits[:, :, 0], starts[:-1], axis=0)
    flipped = 2 * sums > top * rows[:, None, None]
    per_row = np.repeat(flipped, rows, axis=0)
    digits[:, :, 0] = np.where(per_row, top - digits[:, :, 0], digits[:, :, 0])
    return flipped


def unslice(slices: Slices) -> Int[np.ndarray, "outputs inputs"]:
    """The integer codes that `slices` stand for: the inverse of `slice_weights`."""
    digits = slices.digits
    if slices.flipped is not None:
        per_row = np.repeat(slices.flipped, np.diff(slices.starts), axis=0)[:, :, None, :]
        digits = np.where(per_row, slices.top - digits, digits)
    signs = np.array(slices.signs, dtype=np.int64)
    return np.einsum("isko,s,k->oi", digits, slices.weights, signs) - slices.offset
