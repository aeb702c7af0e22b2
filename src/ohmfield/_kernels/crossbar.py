"""The analog product on integers: one programmed layer lowered to levels, code tables and sigmas, and its reference.

Everything before the converter is an integer in units of `1 / grid` cell level: conductances, the g_min pedestal and
each noise sample are rounded to that grid, and the grid is part of the model. So `fast` and `reference` agree to the
last code, noise included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np

from ohmfield.numerics import Noise, hash_columns, normal_from_bits

Drive = Literal["unsigned", "twos_complement", "sign_magnitude", "sign_magnitude_two_pass"]
Currents = Callable[[int, int, np.ndarray], np.ndarray]
"""What the columns of a bank carry, int64 [vectors, outputs] in 1 / grid level, for (group, bank, digits)."""
CELL_DRAW = 256  # parts of a grid step to which a draw kept by its cell is rounded, before cells are summed


class InputDrive(Protocol):
    """How inputs are driven; `LoweredArray` is one, and so is whatever only counts.

    unsigned, twos_complement: the digits of the code, low to high; the top digit of a signed multi-bit code is signed.
    sign_magnitude: the digits of |x|, each with the sign of x (a bipolar driver).
    sign_magnitude_two_pass: all digits of max(x, 0), then all digits of max(-x, 0), on the second half of the planes.
    """

    @property
    def starts(self) -> np.ndarray: ...
    @property
    def num_planes(self) -> int: ...
    @property
    def dac_bits(self) -> int: ...
    @property
    def drive(self) -> Drive: ...
    @property
    def skip_zero_planes(self) -> bool: ...
    @property
    def rows_per_read(self) -> int: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class LoweredArray:
    """One layer on its arrays, as integers.

    A *bank* is one converted column set: a slice (analog subtraction, offset) or one side of a slice (digital
    subtraction). Row group g drives rows `starts[g] : starts[g + 1]` of the input. With n the sum of the driven digits
    of a group, the value before the converter is

        v = sum_r digit[r] * levels[r, bank, column] + pedestal[n] + round(sigma * normal)
        sigma^2 = noise_variance[bank] + read_variance * sum_r digit[r]^2
                  per cell: noise_variance[bank] + read_unit[bank, column] * sum_r digit[r]^2 * read_variance[r, ...]

    A converter of its own gain and offset sees `floor(float32(v) * column_gain + column_offset + 1/2)` instead of v
    (|v| < 2^24). The conversion adds `codes[bank, v - first] - pedestal_code[bank, n]`, times `bank_weights[bank]`,
    plus `column_shift`, times `plane_weights[plane]`, to the output, for every group. `v` outside the table takes its
    end.

    With `correlation` "vector" a cell draws its read noise once per vector and keeps it over all planes; the draw of
    each cell is rounded to `1 / 256` of the grid and their sum to the grid. A narrow accumulator overflows after each
    addition: groups in order, in each its banks in order, in each its planes in order.
    """

    levels: np.ndarray  # int32 [inputs, banks, outputs], in 1 / grid level
    starts: np.ndarray  # int64 [groups + 1]
    grid: int
    bank_weights: np.ndarray  # int64 [banks], [banks, outputs] (a scale per column) or [groups, banks, outputs]
    plane_weights: np.ndarray  # int64 [planes]
    dac_bits: int = 1
    drive: Drive = "unsigned"
    skip_zero_planes: bool = False  # a group and plane with nothing driven is not converted
    rows_per_read: int = 0  # > 0: read only rows whose digit is not zero, in order, at most so many per conversion
    first: int  # v of the first table entry
    codes: np.ndarray  # int32 [banks, table]
    step: np.ndarray | None = None  # float64 [banks]: hint that `codes` is the plain staircase floor(v / step + 1/2)
    pedestal: np.ndarray | None = None  # int64 [n + 1], in 1 / grid level
    pedestal_code: np.ndarray | None = None  # int64 [banks, n + 1]: removed digitally after conversion
    column_gain: np.ndarray | None = None  # float32 [banks, outputs] or [groups, banks, outputs]
    column_offset: np.ndarray | None = None  # the same, in 1 / grid level
    column_shift: np.ndarray | None = None  # int64, the same: added to every weighted code of the column
    noise_variance: np.ndarray | None = None  # float64 [banks], in (1 / grid level)^2
    read_variance: np.ndarray | float = 0.0  # scalar, or uint16 [inputs, banks, outputs] times read_unit
    read_unit: np.ndarray | float = 1.0  # for all, or float32 [banks, outputs]
    correlation: Literal["conversion", "vector"] = "conversion"
    accumulator_bits: int | None = None  # None: wide enough for everything
    overflow: Literal["saturate", "wrap"] = "saturate"

    def __post_init__(self) -> None:
        if self.pedestal is not None and (
            self.drive == "sign_magnitude" or (self.drive == "twos_complement" and self.dac_bits > 1)
        ):
            raise ValueError("a pedestal under signed digits is not modelled: subtract before conversion")
        if self.rows_per_read < 0:
            raise ValueError(f"rows_per_read {self.rows_per_read} must be 0 (all rows of a group) or more")
        if self.accumulator_bits is not None and not 2 <= self.accumulator_bits <= 62:
            raise ValueError(f"accumulator_bits {self.accumulator_bits} must lie between 2 and 62")

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
    def reads_per_group(self) -> int:
        """Most conversions of one column for one group and plane."""
        if not self.rows_per_read:
            return 1
        return -(-int(np.diff(self.starts).max(initial=0)) // self.rows_per_read)

    @cached_property
    def reads_noisily(self) -> bool:
        """Whether cells draw read noise."""
        return isinstance(self.read_variance, np.ndarray) or self.read_variance > 0.0

    @cached_property
    def noisy(self) -> bool:
        """Whether a conversion draws a random number."""
        return self.reads_noisily or (self.noise_variance is not None and bool(np.any(self.noise_variance > 0.0)))

    @property
    def conversions_per_vector(self) -> int:
        """Conversions of one input vector, when none is skipped: groups x planes x banks x outputs."""
        return self.num_groups * self.num_planes * self.num_banks * self.num_outputs


def digit_plane(order: InputDrive, codes: np.ndarray, plane: int) -> np.ndarray:
    """What one plane drives, as integers of the type of `codes`; `codes` are whole numbers of any shape."""
    bits = order.dac_bits
    mask = 2**bits - 1
    if order.drive == "sign_magnitude":
        return ((np.abs(codes) >> (bits * plane)) & mask) * np.sign(codes)
    if order.drive == "sign_magnitude_two_pass":
        half = order.num_planes // 2
        side = np.maximum(codes if plane < half else -codes, 0)
        return (side >> (bits * (plane % half))) & mask
    digit = (codes >> (bits * plane)) & mask
    if order.drive == "twos_complement" and bits > 1 and plane == order.num_planes - 1:  # a bipolar driver
        digit = np.where(digit > mask // 2, digit - mask - 1, digit)
    return digit


def digits(array: LoweredArray, inputs: np.ndarray) -> np.ndarray:
    """int64 [planes, vectors, inputs]: what each plane drives."""
    codes = inputs.astype(np.int64)
    return np.stack([digit_plane(array, codes, plane) for plane in range(array.num_planes)])


def count_inputs(order: InputDrive, codes: np.ndarray, columns: int) -> dict[str, float]:
    """Counts of `reference` for inputs [vectors, inputs], where each read makes `columns` conversions."""
    driven = zero_planes = reads = 0
    for plane in range(order.num_planes):
        digit = np.abs(digit_plane(order, codes, plane))
        driven += int(digit.sum())
        ones = np.add.reduceat(digit > 0, order.starts[:-1], axis=1, dtype=np.int64)
        zero_planes += int((ones == 0).sum())
        reads += int(_num_reads(order, ones).sum())
    counts = {"vectors": float(len(codes)), "driven": float(driven), "zero_planes": float(zero_planes)}
    return {**counts, "conversions": float(reads * columns)}


def _num_reads(order: InputDrive, ones: np.ndarray) -> np.ndarray:
    """Reads of groups and planes in which `ones` rows are driven."""
    if order.rows_per_read:
        return -(-ones // order.rows_per_read)
    return (ones > 0).astype(np.int64) if order.skip_zero_planes else np.ones_like(ones)


def shift_sums(array: LoweredArray, inputs: np.ndarray) -> np.ndarray:
    """What `column_shift` adds to each output, int64 [vectors, outputs], or [1, outputs] where every plane is read."""
    assert array.column_shift is not None
    shift = array.column_shift if array.column_shift.ndim == 3 else array.column_shift[None]
    per_group = np.broadcast_to(shift.sum(axis=1), (array.num_groups, array.num_outputs))
    if not (array.rows_per_read or array.skip_zero_planes):
        return int(array.plane_weights.sum()) * per_group.sum(axis=0, keepdims=True)
    reads = np.zeros((len(inputs), array.num_groups), dtype=np.int64)
    for plane, weight in enumerate(array.plane_weights.tolist()):
        digit = digit_plane(array, inputs, plane) != 0
        reads += weight * _num_reads(array, np.add.reduceat(digit, array.starts[:-1], axis=1, dtype=np.int64))
    return reads @ per_group


def _reads(array: LoweredArray, digit: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(number, digits, made [vectors]) of the reads of one group and plane; where not `made`, nothing is converted."""
    if not array.rows_per_read:
        made = (digit != 0).any(axis=1) if array.skip_zero_planes else np.ones(len(digit), dtype=bool)
        yield 0, digit, made
        return
    place = np.cumsum(digit != 0, axis=1) - 1  # of each set row among the set rows
    for read in range(-(-digit.shape[1] // array.rows_per_read)):
        part = np.where(place // array.rows_per_read == read, digit, 0)
        yield read, part, (part != 0).any(axis=1)


def before_conversion(
    array: LoweredArray,
    inputs: np.ndarray,
    noise: Noise | None = None,
    first: int = 0,
    currents: Currents | None = None,
) -> Iterator[tuple[tuple[int, int, int], np.ndarray, np.ndarray, np.ndarray]]:
    """What every conversion sees, in order: ((group, bank, plane), driven [vectors], values, made [vectors]).

    Values are int64 [vectors, outputs] in 1 / grid level, noise included. `inputs`: whole numbers [vectors, inputs].
    `noise` is the read stream of this layer and `first` the number of its first vector. Vectors that are not `made`
    have no such conversion. A group and plane may have several. `currents` take the place of the sums of levels, where
    lines have resistance and no levels say what it does.
    """
    planes = digits(array, inputs)
    kept = noise is not None and array.reads_noisily and array.correlation == "vector"
    for group in range(array.num_groups):
        rows = slice(int(array.starts[group]), int(array.starts[group + 1]))
        for bank in range(array.num_banks):
            cells = _cell_draws(array, rows, bank, noise, first, len(inputs)) if kept and noise is not None else None
            for plane in range(array.num_planes):
                for read, digit, made in _reads(array, planes[plane][:, rows]):
                    driven = digit.sum(axis=1)
                    if currents is None:  # sums below 2^53 are exact in float64, whose products are the fast ones
                        value = (digit.astype(np.float64) @ array.levels[rows, bank, :]).astype(np.int64)
                    else:
                        value = currents(group, bank, digit)
                    if array.pedestal is not None:
                        value = value + array.pedestal[driven][:, None]
                    if cells is not None:
                        value = value + ((np.einsum("vr,vro->vo", digit, cells) + CELL_DRAW // 2) // CELL_DRAW)
                    if array.noisy and noise is not None:
                        value = value + _noise(array, digit, rows, (group, plane, bank, read), noise, first)
                    yield (group, bank, plane), driven, value, made


def conversions(
    array: LoweredArray,
    inputs: np.ndarray,
    noise: Noise | None = None,
    first: int = 0,
    currents: Currents | None = None,
) -> Iterator[tuple[tuple[int, int, int], np.ndarray, np.ndarray, np.ndarray]]:
    """Every conversion as ((group, bank, plane), driven [vectors], codes [vectors, outputs], made [vectors]), in order.

    Arguments as in `before_conversion`.
    """
    for place, driven, value, made in before_conversion(array, inputs, noise, first, currents):
        yield place, driven, converted(array, *place[:2], value), made


def of_bank(values: np.ndarray, group: int, bank: int) -> np.ndarray:
    """The part of a field of `LoweredArray` that one bank of one row group uses: a number or one per output."""
    return values[group, bank] if values.ndim == 3 else values[bank]


def read_units(array: LoweredArray) -> np.ndarray:
    """`read_unit` as float32 [banks, outputs]."""
    return np.broadcast_to(np.asarray(array.read_unit, dtype=np.float32), array.levels.shape[1:]).copy()


def converted(array: LoweredArray, group: int, bank: int, value: np.ndarray) -> np.ndarray:
    """Codes (int64) of the values before the converters of one bank [vectors, outputs]."""
    if array.column_gain is not None or array.column_offset is not None:
        gain = np.float32(1.0) if array.column_gain is None else of_bank(array.column_gain, group, bank)
        offset = np.float32(0.0) if array.column_offset is None else of_bank(array.column_offset, group, bank)
        value = np.floor(value.astype(np.float32) * gain + offset + np.float32(0.5)).astype(np.int64)
    index = np.clip(value - array.first, 0, array.codes.shape[1] - 1)
    return array.codes[bank][index].astype(np.int64)


def staircase(array: LoweredArray) -> tuple[np.ndarray, np.ndarray]:
    """Per bank the float factor and the shift whose plain staircase gives every entry of its code table, if any."""
    scale = np.zeros(array.num_banks, dtype=np.float32)
    shift = np.full(array.num_banks, -1, dtype=np.int16)
    values = np.arange(array.codes.shape[1], dtype=np.int64) + array.first
    largest = int(np.abs(values).max(initial=0))
    for bank, codes in enumerate(array.codes):
        step = 0.0 if array.step is None else float(array.step[bank])
        if step <= 0.0 or largest >= 2**24:
            continue
        factor = np.float32(1.0 / step)
        stairs = np.floor(values.astype(np.float32) * factor + np.float32(0.5))
        if np.array_equal(np.clip(stairs, codes[0], codes[-1]), codes):
            scale[bank] = factor
        power = int(np.log2(step)) if step >= 1.0 else -1
        if power >= 0 and 2.0**power == step and largest + 2**power < 2**15 and np.abs(codes).max(initial=0) < 2**15:
            stairs = (values + (2**power >> 1)) >> power
            if np.array_equal(np.clip(stairs, codes[0], codes[-1]), codes):
                shift[bank] = power
    return scale, shift


def reference(
    array: LoweredArray,
    inputs: np.ndarray,
    noise: Noise | None = None,
    first: int = 0,
    currents: Currents | None = None,
) -> tuple[np.ndarray, dict[str, float]]:
    """Outputs (int64 [vectors, outputs]) and counts of the analog product, as plain loops over group, bank and plane.

    Arguments as in `conversions`. Counts: `vectors`, `driven` (sum of digits driven, without sign), `conversions`,
    `zero_planes` (planes of a group with nothing driven).
    """
    out = np.zeros((inputs.shape[0], array.num_outputs), dtype=np.int64)
    counts = count_inputs(array, inputs, array.num_banks * array.num_outputs)
    for (group, bank, plane), driven, code, made in conversions(array, inputs, noise, first, currents):
        if array.pedestal_code is not None:
            code = code - array.pedestal_code[bank][driven][:, None]
        added = of_bank(array.bank_weights, group, bank) * code
        if array.column_shift is not None:
            added = added + of_bank(array.column_shift, group, bank)
        out = _accumulated(array, out + np.where(made[:, None], int(array.plane_weights[plane]) * added, 0))
    return out, counts


def _accumulated(array: LoweredArray, total: np.ndarray) -> np.ndarray:
    """`total` as the accumulator holds it."""
    if array.accumulator_bits is None:
        return total
    half = 1 << (array.accumulator_bits - 1)
    if array.overflow == "saturate":
        return np.clip(total, -half, half - 1)
    return ((total + half) & (2 * half - 1)) - half


def _cell_draws(array: LoweredArray, rows: slice, bank: int, noise: Noise, first: int, vectors: int) -> np.ndarray:
    """int64 [vectors, rows, outputs]: what each cell of a bank adds to a vector, in 1 / (256 grid) level."""
    if isinstance(array.read_variance, np.ndarray):
        variance = array.read_variance[rows, bank, :].astype(np.float32) * read_units(array)[bank]
    else:
        variance = np.float32(array.read_variance)
    row = np.arange(rows.start, rows.stop, dtype=np.uint64)[None, :]
    vector = np.arange(first, first + vectors, dtype=np.uint64)[:, None]
    numbers = (vector * np.uint64(array.num_inputs) + row) * np.uint64(array.num_banks) + np.uint64(bank)
    keys = noise.at("cells").keys_of(numbers.ravel())
    normal = normal_from_bits(hash_columns(keys, np.arange(array.num_outputs, dtype=np.uint32)))
    normal = normal.reshape(vectors, rows.stop - rows.start, array.num_outputs)
    return np.floor(np.sqrt(variance) * np.float32(CELL_DRAW) * normal + np.float32(0.5)).astype(np.int64)


def _noise(
    array: LoweredArray, digit: np.ndarray, rows: slice, place: tuple[int, int, int, int], noise: Noise, first: int
) -> np.ndarray:
    """Noise of one conversion per vector and output (int64), rounded half up to the grid.

    The row key of a draw counts (vector, group, plane, read, bank), the column is the output: the same number whatever
    the tile. The variance is summed exactly (integers), then one float32 square root and one product.
    """
    group, plane, bank, read = place
    square = digit.astype(np.int64) ** 2
    fixed = 0.0 if array.noise_variance is None else float(array.noise_variance[bank])
    if array.correlation == "vector":
        variance = np.full((len(digit), 1), np.float32(fixed))
    elif isinstance(array.read_variance, np.ndarray):
        cells = square @ array.read_variance[rows, bank, :].astype(np.int64)
        variance = cells.astype(np.float32) * read_units(array)[bank] + np.float32(fixed)
    else:
        ones = square.sum(axis=1, keepdims=True).astype(np.float32)
        variance = ones * np.float32(array.read_variance) + np.float32(fixed)
    per_vector = array.num_groups * array.num_planes * array.reads_per_group * array.num_banks
    place_index = ((group * array.num_planes + plane) * array.reads_per_group + read) * array.num_banks + bank
    numbers = (np.arange(first, first + digit.shape[0], dtype=np.uint64) * np.uint64(per_vector)) + np.uint64(
        place_index
    )
    keys = noise.keys_of(numbers)
    normal = normal_from_bits(hash_columns(keys, np.arange(array.num_outputs, dtype=np.uint32)))
    return np.floor(np.sqrt(variance) * normal + np.float32(0.5)).astype(np.int64)
