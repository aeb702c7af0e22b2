"""The analog product, fused: four rows at a time from small tables, converted while still in registers.

A plane drives each row with a digit of 1, 2 or 4 bits, so four input bits select one of 16 possible sums of the rows
they drive. Those sums are tabulated once per array; a vector then costs one load-and-add per four bits and 32 columns,
with no multiply and no instruction that only some processors have. Accumulators are exact integers (int16 where every
sum fits, else int32), so the codes are those of `crossbar.reference`, noise included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from ohmfield._kernels.crossbar import LoweredArray, reference
from ohmfield._kernels.crossbar_vectors import LANES, UNIT, pack_inputs, product_general, product_shift
from ohmfield._kernels.threads import run_parallel
from ohmfield.numerics import Noise

Kept = TypeVar("Kept")
LARGEST_BYTE_ENTRY = 127 // 8  # byte tables pay when at least 8 entries add up before they must be widened
CHUNK = 256  # vectors per job: their inputs and sums stay in the second-level cache


@dataclass(frozen=True, eq=False)
class Packed:
    """A `LoweredArray` laid out for the kernel; columns are bank-major, each bank padded to `LANES`."""

    table: np.ndarray  # int8 | int16 | int32 [tiles, entries, 16, lanes of one 512-bit vector]
    variance: np.ndarray  # the same for per-cell read variance, or empty
    entry_starts: np.ndarray  # int64 [groups + 1]
    bank_of: np.ndarray  # int64 [chunks]: bank of every 16 columns
    column_of: np.ndarray  # int64 [chunks]: first output of every 16 columns
    scale: np.ndarray  # float32 [banks]; 0 sends the bank through its code table
    shift: np.ndarray  # int16 [banks]; all >= 0 when every step is a power of two and sums fit 16 bits
    byte_run: int  # entries of a byte table that add up before they must be widened


def fast(
    array: LoweredArray, inputs: np.ndarray, noise: Noise | None = None, first: int = 0
) -> tuple[np.ndarray, dict[str, float]]:
    """Same outputs and counts as `crossbar.reference`, on two threads; `refused` says when it is the reference."""
    if refused(array):
        return reference(array, inputs, noise, first)
    packed = pack(array)
    codes = np.ascontiguousarray(inputs, dtype=np.int32)
    out = np.zeros((len(codes), array.num_outputs), dtype=np.int64)
    noisy = array.noisy and noise is not None
    starts = range(0, len(codes), CHUNK)
    counts = np.zeros((len(starts), 2), dtype=np.int64)
    key = np.uint64(noise.key if noise is not None else 0)

    def job(number: int) -> None:
        rows = slice(starts[number], min(starts[number] + CHUNK, len(codes)))
        _run(array, packed, codes[rows], out[rows], counts[number], noisy, key, first + rows.start)

    run_parallel(job, range(len(starts)))
    driven, zero_planes = counts.sum(axis=0)
    conversions = float(array.conversions_per_vector) * len(codes)
    return out, {
        "vectors": float(len(codes)),
        "driven": float(driven),
        "conversions": conversions,
        "zero_planes": float(zero_planes),
    }


def _once(array: LoweredArray, name: str, make: Callable[[LoweredArray], Kept]) -> Kept:
    """What `make` derives from an array, derived at its first call and kept on it: arrays do not change."""
    if name not in array.__dict__:
        array.__dict__[name] = make(array)
    return array.__dict__[name]


def refused(array: LoweredArray) -> str:
    """Why this array runs on the reference, or an empty string."""
    return _once(array, "_refused", _refused)


def _refused(array: LoweredArray) -> str:
    if array.dac_bits not in (1, 2, 4):
        return f"digits of {array.dac_bits} bits have no 16-entry table"
    if array.drive.startswith("sign_magnitude") or (array.drive == "twos_complement" and array.dac_bits > 1):
        return "a signed digit needs tables of its own"
    if array.skip_zero_planes or array.rows_per_read:
        return "reads follow the data"
    if array.bank_weights.ndim > 1 or array.column_gain is not None or array.column_offset is not None:
        return "converters of one bank differ"
    if array.accumulator_bits is not None or (array.reads_noisily and array.correlation == "vector"):
        return "narrow accumulators and draws that cells keep"
    if array.num_planes * array.dac_bits > 16:
        return "inputs of more than 16 bits"
    if _largest_sum(array) >= 2**30:
        return "column sums exceed 30 bits"
    weights = int(np.abs(array.plane_weights).sum()) * array.num_groups
    if int(np.abs(array.codes.astype(np.int64)).max()) * weights >= 2**31:
        return "sums of codes exceed 31 bits"
    if len(array.starts) > 1 and int(np.diff(array.starts).max()) * (2**array.dac_bits - 1) >= 2**15:
        return "more rows in one group than a row count holds"
    return ""


def _largest_sum(array: LoweredArray) -> int:
    """Largest size any accumulator can reach: column sums, and sums of per-cell read variance where there are any."""
    top = 2**array.dac_bits - 1
    largest = _largest_column(array.starts, array.levels) * top
    if isinstance(array.read_variance, np.ndarray):
        return max(largest, _largest_column(array.starts, array.read_variance) * top**2)
    return max(largest, int(np.diff(array.starts).max()) * top**2)


def _largest_column(starts: np.ndarray, cells: np.ndarray) -> int:
    size = np.abs(cells.astype(np.int64))
    return max(int(size[low:high].sum(axis=0).max(initial=0)) for low, high in pairwise(starts))


def pack(array: LoweredArray) -> Packed:
    """The kernel's layout of `array`, made once and kept on it."""
    return _once(array, "_packed", _pack)


def _pack(array: LoweredArray) -> Packed:
    small = _largest_sum(array) < 2**15
    scale, shift = _staircase(array, small)
    entry = _largest_entry(array)
    tiny = entry <= LARGEST_BYTE_ENTRY and not array.noisy and array.pedestal is None
    dtype = np.int8 if tiny and bool((shift >= 0).all()) else np.int16 if small else np.int32
    padded = -(-array.num_outputs // LANES) * LANES
    per_bank = padded // LANES
    chunks = array.num_banks * per_bank
    table, entry_starts = _tables(array, array.levels, dtype)
    variance = np.zeros((0, 1, 16, 32), dtype=dtype)
    if isinstance(array.read_variance, np.ndarray):
        variance, _ = _tables(array, array.read_variance.astype(np.int64), dtype, squared=True)
    elif array.dac_bits > 1 and array.read_variance > 0.0:
        # Digits above one weigh by their square, which the count of driven digits does not tell.
        variance, _ = _tables(array, np.ones(array.levels.shape, dtype=np.int64), dtype, squared=True)
    return Packed(
        table=table,
        variance=variance,
        entry_starts=entry_starts,
        bank_of=np.repeat(np.arange(array.num_banks), per_bank)[:chunks],
        column_of=np.tile(np.arange(per_bank) * LANES, array.num_banks),
        scale=scale,
        shift=shift,
        byte_run=127 // max(1, entry),
    )


def _largest_entry(array: LoweredArray) -> int:
    """Bound on one table entry: the rows of one entry at their largest digit."""
    return int(np.abs(array.levels).max(initial=0)) * (4 // array.dac_bits) * (2**array.dac_bits - 1)


def _tables(
    array: LoweredArray, levels: np.ndarray, dtype: type, squared: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """`table[tile, entry, index, lane]`: the sum of the rows of one entry for each value of its four input bits."""
    rows_per_entry = 4 // array.dac_bits
    sizes = np.diff(array.starts)
    entries = -(-sizes // rows_per_entry)
    entry_starts = np.concatenate([[0], np.cumsum(entries)]).astype(np.int64)
    lanes = 64 // np.dtype(dtype).itemsize
    padded = -(-array.num_outputs // LANES) * LANES
    width = -(-array.num_banks * padded // lanes) * lanes
    rows = np.zeros((int(entry_starts[-1]) * rows_per_entry, width), dtype=np.int64)
    for group, (low, high) in enumerate(pairwise(array.starts)):
        at = int(entry_starts[group]) * rows_per_entry
        for bank in range(array.num_banks):
            rows[at : at + high - low, bank * padded : bank * padded + array.num_outputs] = levels[low:high, bank]
    rows = rows.reshape(-1, rows_per_entry, width)
    index = np.arange(16)
    digit = np.stack([(index >> (array.dac_bits * r)) & (2**array.dac_bits - 1) for r in range(rows_per_entry)])
    sums = np.einsum("ri,erw->eiw", digit**2 if squared else digit, rows)
    tiled = sums.reshape(len(sums), 16, width // lanes, lanes).transpose(2, 0, 1, 3)
    return _on_cache_lines(tiled.astype(dtype)), entry_starts


def _on_cache_lines(values: np.ndarray) -> np.ndarray:
    """A contiguous copy that starts on a 64-byte boundary, so that no vector load straddles two cache lines."""
    buffer = np.empty(values.nbytes + 64, dtype=np.uint8)
    start = -buffer.ctypes.data % 64
    aligned = buffer[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    aligned[...] = values
    return aligned


def _staircase(array: LoweredArray, small: bool) -> tuple[np.ndarray, np.ndarray]:
    """Per bank the float factor and the shift whose plain staircase gives every entry of its code table, if any."""
    scale = np.zeros(array.num_banks, dtype=np.float32)
    shift = np.full(array.num_banks, -1, dtype=np.int16)
    values = np.arange(array.codes.shape[1], dtype=np.int64) + array.first
    exact = bool(np.abs(values).max(initial=0) < 2**24)
    widest = int(np.abs(array.plane_weights[:UNIT]).sum()) // max(1, int(np.abs(array.plane_weights[0])))
    for bank, codes in enumerate(array.codes):
        step = 0.0 if array.step is None else float(array.step[bank])
        if step <= 0.0 or not exact:
            continue
        factor = np.float32(1.0 / step)
        stairs = np.floor(values.astype(np.float32) * factor + np.float32(0.5))
        if np.array_equal(np.clip(stairs, codes[0], codes[-1]), codes):
            scale[bank] = factor
        power = int(np.log2(step)) if step >= 1.0 else -1
        fits = small and np.abs(values).max(initial=0) + 2**power < 2**15 if power >= 0 else False
        if fits and 2.0**power == step and np.abs(codes).max(initial=0) * widest < 2**15:
            stairs = (values + (2**power >> 1)) >> power
            if np.array_equal(np.clip(stairs, codes[0], codes[-1]), codes):
                shift[bank] = power
    return scale, shift


def _scratch(*shapes: tuple[tuple[int, ...], Any]) -> tuple[np.ndarray, ...]:
    return tuple(_on_cache_lines(np.zeros(shape, dtype)) for shape, dtype in shapes)


def _run(
    array: LoweredArray,
    packed: Packed,
    codes: np.ndarray,
    out: np.ndarray,
    counts: np.ndarray,
    noisy: bool,
    key: np.uint64,
    first: int,
) -> None:
    """One chunk of vectors: pack the input bits, then accumulate and convert tile by tile."""
    planes = array.num_planes
    index = np.zeros((len(codes), int(packed.entry_starts[-1]), -(-planes // UNIT) * UNIT), dtype=np.uint8)
    driven = np.zeros((len(codes), array.num_groups, index.shape[2]), dtype=np.int64)
    pack_inputs(codes, array.starts, packed.entry_starts, array.dac_bits, index, driven)
    driven = driven[:, :, :planes]
    counts[0] = int(driven.sum())
    counts[1] = int((driven == 0).sum())
    banks, longest = array.num_banks, int(np.diff(array.starts).max(initial=0)) * (2**array.dac_bits - 1) + 1
    pedestal = np.zeros(longest, dtype=np.int32) if array.pedestal is None else array.pedestal.astype(np.int32)
    fixed = np.zeros(banks) if array.noise_variance is None else array.noise_variance
    per_cell = packed.variance.size > 0
    even = 0.0 if isinstance(array.read_variance, np.ndarray) else float(array.read_variance)
    unit = array.read_unit if isinstance(array.read_variance, np.ndarray) else even
    # One standard deviation per bank and count of driven digits, by the same float32 steps as the reference.
    square = np.arange(longest, dtype=np.float32)
    sigma = np.sqrt(square[None, :] * np.float32(even) + fixed.astype(np.float32)[:, None])
    plain = not noisy and array.pedestal is None and bool((packed.shift >= 0).all())
    steps = (packed.shift, array.codes[:, 0].astype(np.int32), array.codes[:, -1].astype(np.int32))
    weights = np.concatenate([array.plane_weights, np.zeros(index.shape[2] - planes, dtype=np.int64)])
    places = (packed.entry_starts, packed.bank_of, packed.column_of, array.bank_weights, weights)
    if plain:
        parts = 2 // packed.table.itemsize
        shapes = (((2, UNIT, 32), np.int16), ((parts, 4, 32), np.int16), ((parts, len(codes), 32), np.int32))
        product_shift(packed.table, index, places, steps, packed.byte_run, _scratch(*shapes), out)
    else:
        curve = (packed.scale, array.codes, np.int64(array.first), *steps[1:])
        read = (packed.variance, np.float32(unit), fixed.astype(np.float32), sigma.astype(np.float32))
        run = (np.uint64(key), np.int64(first), noisy, per_cell, planes)
        lanes = packed.table.shape[3]
        sums = ((UNIT, lanes), packed.table.dtype)
        scratch = _scratch(sums, sums, ((LANES,), np.int32), ((len(codes), lanes), np.int32))
        product_general(packed.table, index, driven, places, curve, read, run, pedestal, scratch, out)
    if array.pedestal_code is not None:
        for bank in range(banks):
            removed = array.pedestal_code[bank][driven]  # [vectors, groups, planes]
            out -= int(array.bank_weights[bank]) * (removed * array.plane_weights).sum(axis=(1, 2))[:, None]
