"""The analog product, fused: sums of a few rows looked up for many vectors at once, converted while still in cache.

A plane of inputs drives one bit of each row, so the bits of 6 (or 5) rows select one of 64 (32) sums, which is what one
vector register holds: one permutation looks them up for 64 (32) vectors, with no multiply. Digits of several bits and
signed digits are weighted sums of such bits, taken before conversion. Sums are exact integers, so the codes are those
of `crossbar.reference`, noise included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch

from ohmfield._kernels.crossbar import LoweredArray, digit_plane, reference, shift_sums
from ohmfield._kernels.crossbar_inputs import draw_keys, pack_inputs, pack_sparse, turn
from ohmfield._kernels.crossbar_pack import Packed, empty_on_cache_lines, largest_sum, pack
from ohmfield._kernels.crossbar_product import product_general, product_shift
from ohmfield._kernels.crossbar_torch import multiply
from ohmfield._kernels.crossbar_vectors import BITS, COLUMNS, index_marks, rows_per_entry
from ohmfield._kernels.threads import run_parallel
from ohmfield.numerics import Noise

Kept = TypeVar("Kept")
JOB = 256  # vectors per job: their inputs and sums stay in the second-level cache
TURNED = 24  # rows turned at a time, which stay in the first-level cache


def fast(
    array: LoweredArray, inputs: np.ndarray, noise: Noise | None = None, first: int = 0
) -> tuple[np.ndarray, dict[str, float]]:
    """Same outputs and counts as `crossbar.reference`, on two threads; `refused` says when torch computes them."""
    if array.column_shift is not None and array.accumulator_bits is not None:
        return reference(array, inputs, noise, first)
    if refused(array):
        found, counted = multiply(array, torch.from_numpy(np.ascontiguousarray(inputs)), noise, first)
        return found.numpy(), counted
    packed = packed_of(array)
    codes = np.ascontiguousarray(inputs, dtype=np.int32)
    out = np.empty((len(codes), array.num_outputs), dtype=np.int64)
    own = noise if array.noisy else None

    def job(start: int) -> tuple[float, float, float]:
        return _run(array, packed, codes[start : start + JOB], out[start : start + JOB], own, first + start)

    made = run_parallel(job, range(0, len(codes), JOB))
    if array.column_shift is not None:
        out += shift_sums(array, codes)
    driven, zero_planes, reads = np.sum(made, axis=0) if made else (0.0, 0.0, 0.0)
    return out, {
        "vectors": float(len(codes)),
        "driven": float(driven),
        "zero_planes": float(zero_planes),
        "conversions": float(reads) * array.num_banks * array.num_outputs,
    }


def _once(array: LoweredArray, name: str, make: Callable[[LoweredArray], Kept]) -> Kept:
    """What `make` derives from an array, derived at its first call and kept on it: arrays do not change."""
    if name not in array.__dict__:
        array.__dict__[name] = make(array)
    return array.__dict__[name]


def packed_of(array: LoweredArray) -> Packed:
    """The kernel's layout of an array that is not refused, made once and kept on it."""
    packed = _once(array, "_packed", pack)
    assert packed is not None
    return packed


def refused(array: LoweredArray) -> str:
    """Why torch runs this array, or an empty string."""
    return _once(array, "_refused", _refused)


def _refused(array: LoweredArray) -> str:
    columns = (array.bank_weights, array.column_gain, array.column_offset)
    if any(column is not None and column.ndim == 3 for column in columns):
        return "converters differ from one row group to the next"
    if array.num_planes * array.dac_bits > 16 * (2 if array.drive == "sign_magnitude_two_pass" else 1):
        return "inputs of more than 16 bits"
    if array.reads_noisily and array.correlation == "vector":
        return "draws that cells keep"
    if array.rows_per_read and array.dac_bits > 1:
        return "bit-sparse reads of digits"
    if array.accumulator_bits is not None and array.overflow == "saturate" and array.pedestal_code is not None:
        return "pedestals removed on the way to an accumulator that saturates"
    digit = 2**array.dac_bits - 1
    rows = int(np.diff(array.starts).max(initial=0))
    largest = int(np.abs(array.levels.astype(np.int64)).max(initial=0)) * rows * digit
    per_cell = array.read_variance if isinstance(array.read_variance, np.ndarray) else None
    if per_cell is not None and largest_sum(per_cell, array.starts) * digit**2 >= 2**30:
        return "sums of variances exceed 30 bits"
    largest += 0 if array.pedestal is None else int(np.abs(array.pedestal).max())
    if largest + abs(array.first) + array.codes.shape[1] >= 2**30:
        return "column sums exceed 30 bits"
    codes = int(np.abs(array.codes.astype(np.int64)).max()) * int(np.abs(array.plane_weights).sum())
    if codes * array.num_groups * array.reads_per_group >= 2**31:
        return "sums of codes exceed 31 bits"
    return "" if _once(array, "_packed", pack) is not None else "cells of more than 16 bits"


def _run(
    array: LoweredArray, packed: Packed, codes: np.ndarray, out: np.ndarray, noise: Noise | None, first: int
) -> tuple[float, float, float]:
    """One job: its outputs into `out`, and (driven digits, zero planes, reads)."""
    index, ones = _index(array, packed, codes)
    chunks, groups, _, lanes = ones.shape
    bits = ones[:, :, : packed.terms.size].reshape(chunks, groups, *packed.terms.shape, lanes)
    driven = np.einsum("cgptl,pt->cgpl", bits, packed.terms, dtype=np.int32)
    follows = array.skip_zero_planes or array.rows_per_read > 0
    made = np.asarray(bits.any(axis=3)) if follows else np.ones(driven.shape, dtype=np.bool_)
    if packed.unit_weights is not None:
        totals = _exact(array, packed, index, packed.unit_weights)
    else:
        gated = made if follows and not (packed.rests and noise is None) else None
        square = _squares(array, codes, bits) if noise is not None else None
        totals = _general(array, packed, index, driven, square, gated, noise, first)
    turn(totals, len(codes), out)
    if array.pedestal_code is not None:
        removed = (array.pedestal_code[:, driven] * made * packed.weights[:, None]).sum(axis=(2, 3))
        removed = removed.reshape(array.num_banks, -1)[:, : len(codes)]
        out -= np.einsum("bv,bo->vo", removed, packed.weight_of.reshape(array.num_outputs, array.num_banks).T)
    if array.accumulator_bits is not None and array.overflow == "wrap":
        half = 1 << (array.accumulator_bits - 1)
        out[...] = ((out + half) & (2 * half - 1)) - half
    return _counts(array, codes, bits, packed.terms, made)


def _index(array: LoweredArray, packed: Packed, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index [chunks, entries, bits, lanes] of each driven bit, and rows set [chunks, groups, bits, lanes]."""
    lanes, rows, (mark, always) = packed.lanes, rows_per_entry(packed.bits), index_marks(packed.bits)
    chunks, entries = -(-len(codes) // lanes), int(packed.entry_starts[-1])
    dtype = np.int8 if packed.bits == 8 else np.int16
    turned = np.empty((3 if packed.sides.any() else 1, TURNED, lanes), dtype=np.int32)

    def empty(bits: int) -> tuple[np.ndarray, np.ndarray]:
        padded = bits if packed.spread > 1 else -(-bits // BITS) * BITS
        index = empty_on_cache_lines((chunks, entries, padded, lanes), dtype)
        if always:
            index[...] = always
        return index, np.zeros((chunks, array.num_groups, padded, lanes), dtype=np.int32)

    index, ones = empty(len(packed.shifts))
    places = (array.starts, packed.entry_starts, rows, mark)
    pack_inputs(codes, *places, packed.sides, packed.shifts, index, ones, turned)
    if array.rows_per_read:
        whole, terms, reads = index, packed.terms.shape[1], array.reads_per_group
        index, ones = empty(packed.terms.size)
        pack_sparse(whole, *places, terms, array.rows_per_read, reads, len(array.plane_weights), index, ones)
    return index, ones


def _exact(array: LoweredArray, packed: Packed, index: np.ndarray, unit_weights: np.ndarray) -> np.ndarray:
    """int32 [outputs, vectors] where every value and step is whole and small: conversion in 16 bits."""
    chunks, _, planes, lanes = index.shape
    totals = empty_on_cache_lines((array.num_outputs, chunks * lanes), np.int32)
    scratch = empty_on_cache_lines((COLUMNS, planes, lanes), np.int16)
    half = ((1 << packed.shift.astype(np.int64)) >> 1).astype(np.int16)
    curve = (half, packed.shift, packed.low.astype(np.int16), packed.high.astype(np.int16))
    columns = (packed.output_of, packed.bank_of, packed.weight_of, packed.levels.centre)
    layout = (packed.entry_starts, packed.levels.runs, packed.levels.run_starts)
    product_shift(packed.bits, packed.levels.table, index, layout, columns, curve, unit_weights, scratch, totals)
    return totals


def _general(
    array: LoweredArray,
    packed: Packed,
    index: np.ndarray,
    driven: np.ndarray,
    square: np.ndarray | None,
    made: np.ndarray | None,
    noise: Noise | None,
    first: int,
) -> np.ndarray:
    """int64 [outputs, vectors] for any converter, pedestal and noise; `square` [chunks, groups, planes, lanes]."""
    chunks, _, bit_planes, lanes = index.shape
    groups, banks, planes = array.num_groups, array.num_banks, len(packed.weights)
    draw = 0 if noise is None else 2 if packed.cells is not None else 1
    cells, cells_index = packed.cells or packed.levels, index
    if draw == 2 and packed.terms.shape[1] > 1:
        first_bit, second_bit = packed.pairs.T
        cells_index = empty_on_cache_lines(
            (chunks, index.shape[1], -(-len(first_bit) // BITS) * BITS, lanes), index.dtype
        )
        np.bitwise_and(index[:, :, first_bit], index[:, :, second_bit], out=cells_index[:, :, : len(first_bit)])
    element = np.int16 if packed.wide == 16 else np.int32
    sums = empty_on_cache_lines((COLUMNS, bit_planes, lanes), element)
    spreads = empty_on_cache_lines((COLUMNS, cells_index.shape[2], lanes), element)
    combined = empty_on_cache_lines((2, planes, lanes), np.int32)
    values, out = empty_on_cache_lines((planes, lanes), np.int32), empty_on_cache_lines((lanes,), np.int32)
    totals = np.zeros((array.num_outputs, chunks * lanes), dtype=np.int64)
    place = (chunks, groups, banks, planes, lanes)
    low_key, high_key = empty_on_cache_lines(place, np.uint32), empty_on_cache_lines(place, np.uint32)
    fixed = np.zeros(banks, np.float32) if array.noise_variance is None else array.noise_variance.astype(np.float32)
    sd = empty_on_cache_lines(place, np.float32)
    if noise is not None:
        draw_keys(np.uint64(noise.key), first, low_key, high_key)
    if square is not None and not isinstance(array.read_variance, np.ndarray):
        even = square.astype(np.float32) * np.float32(array.read_variance)
        np.sqrt(even[:, :, None] + fixed[:, None, None], out=sd)
    pedestal = empty_on_cache_lines(driven.shape, np.int32)
    if array.pedestal is not None:
        pedestal[...] = array.pedestal[driven]
    plain = packed.alike and made is None
    made = np.ones(driven.shape, dtype=np.bool_) if made is None else made
    saturates = array.accumulator_bits is not None and array.overflow == "saturate"
    limit = (1 << (array.accumulator_bits - 1)) - 1 if saturates and array.accumulator_bits else 2**62
    product_general(
        (packed.bits, packed.wide, draw, plain),
        (packed.levels.table, cells.table),
        (index, cells_index),
        (packed.entry_starts, packed.levels.runs, packed.levels.run_starts, cells.runs, cells.run_starts),
        (packed.output_of, packed.bank_of, packed.weight_of, packed.levels.centre, packed.gain_of, packed.offset_of),
        (packed.scale, array.codes, np.int32(array.first), packed.low, packed.high),
        (low_key, high_key, sd, packed.unit_of, fixed),
        (packed.terms, packed.square_terms),
        (pedestal, made, packed.weights, packed.weights.astype(np.int32), limit),
        (sums, spreads, combined, values, out),
        totals,
    )
    return totals


def _squares(array: LoweredArray, codes: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Sum of squared digits [chunks, groups, planes, lanes]."""
    if array.dac_bits == 1:
        return bits.sum(axis=3)
    chunks, groups, planes, _, lanes = bits.shape
    out = np.zeros((chunks * lanes, planes, groups), dtype=np.int64)
    for plane in range(planes):
        out[: len(codes), plane] = np.add.reduceat(digit_plane(array, codes, plane) ** 2, array.starts[:-1], axis=1)
    return out.reshape(chunks, lanes, planes, groups).transpose(0, 3, 2, 1)


def _counts(
    array: LoweredArray, codes: np.ndarray, bits: np.ndarray, terms: np.ndarray, made: np.ndarray
) -> tuple[float, float, float]:
    """(driven digits, zero planes, reads) of one job; its padding drives nothing."""
    places = array.num_groups * array.num_planes * len(codes)
    zero_planes = places - int(bits[:, :, :: array.reads_per_group].any(axis=3).sum())
    driven = int((bits.sum(axis=(0, 1, 4), dtype=np.int64) * np.abs(terms)).sum())
    if array.drive == "twos_complement" and array.dac_bits > 1:  # the bits of the signed digit cancel in part
        driven -= int((bits[:, :, -1].sum(axis=(0, 1, 3), dtype=np.int64) * np.abs(terms[-1])).sum())
        driven += int(np.abs(digit_plane(array, codes, array.num_planes - 1)).sum())
    reads = int(made.sum()) if array.skip_zero_planes or array.rows_per_read else places
    return float(driven), float(zero_planes), float(reads)
