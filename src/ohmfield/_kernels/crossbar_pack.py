"""A lowered array laid out for the fused product: tables of row sums, runs that fit their sums, converter curves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ohmfield._kernels.crossbar import LoweredArray, read_units, staircase
from ohmfield._kernels.crossbar_vectors import BITS, COLUMNS, LOOKUP, entry_bytes, rows_per_entry

SHORTEST_RUN = 20  # rows that byte sums must add up before they are widened, or 16-bit sums are as fast
UNITS = (64, 8, 4, 2, 1)  # planes whose weighted codes may add up in 16 bits


@dataclass(frozen=True, eq=False)
class Sums:
    """One table of row sums and the runs of entries that its sums hold."""

    table: np.ndarray  # int8 [entries * columns, bytes of one entry], group by group, column by column
    runs: np.ndarray  # int64: boundaries of the runs of each (group, block of columns), one list after another
    run_starts: np.ndarray  # int64 [groups * blocks + 1]
    centre: np.ndarray  # int32 [groups, columns]: what must be added to a sum


@dataclass(frozen=True, eq=False)
class Packed:
    """A `LoweredArray` laid out for the kernel; column `output * banks + bank`, blocks padded to `COLUMNS`."""

    bits: int  # of a sum within a run
    wide: int  # of a sum over a group
    entry_starts: np.ndarray  # int64 [groups + 1]
    levels: Sums
    cells: Sums | None  # the same for per-cell read variance
    sides: np.ndarray  # int64 [bit planes]: 0 the code, 1 its positive part, 2 its negative part
    shifts: np.ndarray  # int64 [bit planes]
    terms: np.ndarray  # int32 [planes, terms]: weight of each bit of a digit
    pairs: np.ndarray  # int64 [planes * terms of the square, 2]: bits whose rows count together in digit^2
    square_terms: np.ndarray  # int32 [planes, terms of the square]
    output_of: np.ndarray  # int64 [columns]
    bank_of: np.ndarray  # int64 [columns]
    weight_of: np.ndarray  # int64 [columns]: weight of the bank
    gain_of: np.ndarray  # float32 [columns]
    offset_of: np.ndarray  # float32 [columns]
    unit_of: np.ndarray  # float32 [columns], of per-cell read variance
    weights: np.ndarray  # int64 [planes]
    scale: np.ndarray  # float32 [banks]; 0 sends the bank through its code table
    shift: np.ndarray  # int16 [banks]; -1 where no shift gives the codes
    low: np.ndarray  # int32 [banks]
    high: np.ndarray  # int32 [banks]
    alike: bool  # every converter of a bank is a plain staircase, and the accumulator is wide
    rests: bool  # a conversion with nothing driven and no noise adds nothing
    unit_weights: np.ndarray | None  # int16 [units, planes of a unit + 1], the last their factor: conversion in 16 bits

    @property
    def spread(self) -> int:
        """Registers of vectors side by side: inputs of one or two bits fill with them what more planes would fill."""
        planes, terms = self.terms.shape
        return BITS // planes if terms == 1 and BITS % planes == 0 and planes == len(self.shifts) else 1

    @property
    def lanes(self) -> int:
        """Vectors side by side."""
        return 512 // self.bits * self.spread


def pack(array: LoweredArray) -> Packed | None:
    """The kernel's layout of `array`; None where one entry's sums exceed 16 bits."""
    sides, shifts, terms = _bit_planes(array)
    largest = largest_sum(array.levels, array.starts)
    per_cell = array.read_variance if isinstance(array.read_variance, np.ndarray) else None
    if per_cell is not None:
        largest = max(largest, largest_sum(per_cell, array.starts))
    wide = 16 if largest < 2**15 else 32
    centred = terms.shape[1] == 1
    levels, bits = _sums(array.levels, array.starts, 8, wide, centred) if wide == 16 and per_cell is None else None, 8
    if levels is None or _rows_per_run(levels, array.starts) < SHORTEST_RUN:
        levels, bits = _sums(array.levels, array.starts, 16, wide, centred), 16
    cells = None if per_cell is None else _sums(per_cell, array.starts, 16, wide, False)
    if levels is None or (per_cell is not None and cells is None):
        return None
    pairs, square_terms = _squares(array, terms)
    scale, shift = staircase(array)
    output_of, bank_of = np.divmod(np.arange(array.num_banks * array.num_outputs), array.num_banks)
    weight_of = np.broadcast_to(array.bank_weights.reshape(array.num_banks, -1), array.levels.shape[1:])
    mismatch = array.column_gain is not None or array.column_offset is not None
    saturates = array.accumulator_bits is not None and array.overflow == "saturate"
    alike = not (mismatch or saturates) and bool((scale > 0.0).all())
    exact = alike and centred and wide == 16 and not array.noisy and array.pedestal is None
    return Packed(
        bits=bits,
        wide=wide,
        entry_starts=_entry_starts(array.starts, rows_per_entry(bits)),
        levels=levels,
        cells=cells,
        sides=sides,
        shifts=shifts,
        terms=np.repeat(terms, array.reads_per_group, axis=0),
        pairs=pairs,
        square_terms=square_terms,
        output_of=output_of,
        bank_of=bank_of,
        weight_of=_by_column(weight_of),
        gain_of=_by_column(
            np.ones(array.levels.shape[1:], np.float32) if array.column_gain is None else array.column_gain
        ),
        offset_of=_by_column(
            np.zeros(array.levels.shape[1:], np.float32) if array.column_offset is None else array.column_offset
        ),
        unit_of=_by_column(read_units(array)),
        weights=np.repeat(array.plane_weights, array.reads_per_group).astype(np.int64),
        scale=scale,
        shift=shift,
        low=array.codes[:, 0].astype(np.int32),
        high=array.codes[:, -1].astype(np.int32),
        alike=alike,
        rests=not mismatch and bool((array.codes[:, np.clip(-array.first, 0, array.codes.shape[1] - 1)] == 0).all()),
        unit_weights=_units(array, weight_of) if exact and bool((shift >= 0).all()) else None,
    )


def _by_column(values: np.ndarray) -> np.ndarray:
    """[banks, outputs] in the order of the columns."""
    return np.ascontiguousarray(values.T).reshape(-1)


def _rows_per_run(sums: Sums, starts: np.ndarray) -> float:
    """Mean rows of a run; infinite where no group needs more than one."""
    groups, places = len(starts) - 1, len(sums.run_starts) - 1
    num_runs = len(sums.runs) - places
    return math.inf if num_runs == places else float(starts[-1]) * places / (groups * num_runs)


def largest_sum(cells: np.ndarray, starts: np.ndarray) -> int:
    """Largest size that a sum over one group can reach."""
    wide = cells.astype(np.int64)
    above = np.add.reduceat(np.maximum(wide, 0), starts[:-1], axis=0).max(initial=0)
    below = np.add.reduceat(np.maximum(-wide, 0), starts[:-1], axis=0).max(initial=0)
    return int(max(above, below))


def _bit_planes(array: LoweredArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(sides, shifts, terms): which bits of a code the planes drive, and what each weighs in its digit."""
    bits, planes = array.dac_bits, array.num_planes
    within = np.arange(bits)
    terms = np.tile(2**within, (planes, 1))
    plane = np.arange(planes)
    if array.drive == "sign_magnitude":  # a digit is its positive bits minus its negative bits
        shifts = np.repeat((plane[:, None] * bits + within)[:, None, :], 2, axis=1)
        sides = np.broadcast_to(np.array([1, 2])[None, :, None], shifts.shape)
        terms = np.concatenate([terms, -terms], axis=1)
    else:
        half = planes // 2 if array.drive == "sign_magnitude_two_pass" else planes
        shifts = (plane % half)[:, None] * bits + within
        side = 1 + plane // half if array.drive == "sign_magnitude_two_pass" else np.zeros(planes, dtype=np.int64)
        sides = np.broadcast_to(side[:, None], shifts.shape)
        if array.drive == "twos_complement" and bits > 1:
            terms[-1, -1] *= -1
    return sides.reshape(-1).astype(np.int64), shifts.reshape(-1).astype(np.int64), terms.astype(np.int32)


def _squares(array: LoweredArray, terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of bits, and their weights [planes, pairs], that make digit^2: single bits, and twice each product."""
    planes, count = terms.shape
    side = count // 2 if array.drive == "sign_magnitude" else count  # bits of two signs are never set together
    chosen = [(i, j) for i in range(count) for j in range(i, count) if i // side == j // side]
    weights = np.stack([terms[:, i] * terms[:, j] * (1 if i == j else 2) for i, j in chosen], axis=1)
    places = np.arange(planes)[:, None, None] * count + np.array(chosen)[None]
    return places.reshape(-1, 2).astype(np.int64), weights.astype(np.int32)


def _entry_starts(starts: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(-(-np.diff(starts) // rows))]).astype(np.int64)


def _sums(cells: np.ndarray, starts: np.ndarray, bits: int, wide: int, centred: bool) -> Sums | None:
    """Tables and runs of `cells` [inputs, banks, outputs] for sums of `bits`; None where one entry exceeds them.

    `centred`: a run whose sums span less than 2^bits around another middle than zero is shifted to it.
    """
    rows, lookup = rows_per_entry(bits), LOOKUP[bits]
    columns = cells.shape[1] * cells.shape[2]
    blocks = -(-columns // COLUMNS)
    values = np.arange(entry_bytes(bits) // (bits // 8)) if lookup else np.ones(1, dtype=np.int64)
    chosen = ((values[:, None] >> np.arange(rows)) & 1).astype(np.float64)  # [values of an index, rows]
    tables, runs, centres = [], [], []
    for low, high in pairwise(starts.tolist()):
        entries = -(-(high - low) // rows)
        group = np.zeros((entries * rows, blocks * COLUMNS))
        group[: high - low, :columns] = cells[low:high].transpose(0, 2, 1).reshape(high - low, columns)
        group = group.reshape(entries, rows, -1)
        above, below = np.maximum(group, 0).sum(axis=1), np.maximum(-group, 0).sum(axis=1)
        begins = _run_begins(above, below, bits if bits < wide else 64, centred and lookup)
        if begins is None:
            return None
        sums = np.ascontiguousarray(group.transpose(2, 0, 1)) @ chosen.T  # [columns, entries, values of an index]
        centre = np.zeros(blocks * COLUMNS)
        if centred and lookup and bits < wide:
            _centre(sums, above, below, begins, bits, centre)
        for block in begins.T:
            runs.append(np.append(np.flatnonzero(block), entries))
        tables.append(sums.astype(np.int64).astype(f"int{bits}").view(np.int8).reshape(-1, entry_bytes(bits)))
        centres.append(centre)
    return Sums(
        table=on_cache_lines(np.concatenate(tables)),
        runs=np.concatenate(runs).astype(np.int64),
        run_starts=np.cumsum([0, *map(len, runs)], dtype=np.int64),
        centre=np.array(centres).astype(np.int32),
    )


def _run_begins(above: np.ndarray, below: np.ndarray, bits: int, centred: bool) -> np.ndarray | None:
    """bool [entries, blocks]: where a run starts, so that every column of the block stays within `bits`.

    `above`, `below` [entries, columns]: sums of an entry's positive and negative cells.
    """
    blocks = above.shape[1] // COLUMNS

    def fits(high: np.ndarray, low: np.ndarray) -> np.ndarray:
        inside = high + low < 2**bits if centred else np.maximum(high, low) < 2 ** (bits - 1)
        return inside.reshape(blocks, COLUMNS).all(axis=1)

    begins = np.zeros((len(above), blocks), dtype=bool)
    begins[:1] = True
    high, low = np.zeros(above.shape[1]), np.zeros(above.shape[1])
    for entry, (more, less) in enumerate(zip(above, below, strict=True)):
        if not fits(more, less).all():
            return None
        begins[entry] |= ~fits(high + more, low + less)
        again = np.repeat(begins[entry], COLUMNS)
        high, low = np.where(again, more, high + more), np.where(again, less, low + less)
    return begins


def _centre(
    sums: np.ndarray, above: np.ndarray, below: np.ndarray, begins: np.ndarray, bits: int, centre: np.ndarray
) -> None:
    """Takes the middle of each run that needs it off its first entry in `sums`, and adds it to `centre`."""
    number = np.repeat(np.cumsum(begins, axis=0), COLUMNS, axis=1)  # of the run, from 1, [entries, columns]
    for run in range(1, int(number.max()) + 1):
        own = number == run
        high, low = (above * own).sum(axis=0), (below * own).sum(axis=0)
        middle = np.where(np.maximum(high, low) < 2 ** (bits - 1), 0.0, (high - low + 1) // 2)
        shifted = np.flatnonzero(middle)
        sums[shifted, own.argmax(axis=0)[shifted]] -= middle[shifted, None]
        centre += middle


def _units(array: LoweredArray, bank_weights: np.ndarray) -> np.ndarray | None:
    """Plane weights in units that add up in 16 bits: [units, planes of a unit, and their common factor], if any do."""
    plane_weights = np.repeat(array.plane_weights, array.reads_per_group)
    top = int(np.abs(array.codes.astype(np.int64)).max())
    outputs = int(np.abs(bank_weights).sum(axis=0).max()) * int(np.abs(plane_weights).sum()) * array.num_groups * top
    if outputs >= 2**31:
        return None
    for longest in UNITS:
        size = min(longest, len(plane_weights))
        units = np.zeros((-(-len(plane_weights) // size), size + 1), dtype=np.int64)
        for unit, first in zip(units, range(0, len(plane_weights), size), strict=True):
            own = plane_weights[first : first + size]
            unit[size] = max(1, np.gcd.reduce(own))
            unit[: len(own)] = own // unit[size]
        if top * np.abs(units[:, :size]).sum(axis=1).max() < 2**15 and np.abs(units).max() < 2**15:
            return units.astype(np.int16)
    return None


def on_cache_lines(values: np.ndarray) -> np.ndarray:
    """A contiguous copy that starts on a 64-byte boundary, so that no vector load straddles two cache lines."""
    aligned = empty_on_cache_lines(values.shape, values.dtype)
    aligned[...] = values
    return aligned


def empty_on_cache_lines(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros that start on a 64-byte boundary."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = np.zeros(size + 64, dtype=np.uint8)
    start = -buffer.ctypes.data % 64
    return buffer[start : start + size].view(dtype).reshape(shape)
