"""The loops of the fused analog product: tiles of columns, chunks of vectors, and what lies between sum and code.

Numba's cache sees edits in the file of a cached function only. The functions below are cached with all they call, and
a hash of the intrinsics' file, which they close over, is part of the key.
"""

# pyright: reportCallIssue=false
# (Numba itself passes the first argument of an intrinsic.)
from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numba import njit

from ohmfield._kernels import crossbar_vectors
from ohmfield._kernels.crossbar_vectors import (
    BITS,
    BLOCK,
    BYTES,
    COLUMNS,
    accumulate_bytes,
    accumulate_long,
    accumulate_words,
    convert_shift,
    settle16,
    settle16_cell,
    settle16_even,
    settle32,
    settle32_cell,
    settle32_even,
    stairs,
)
from ohmfield.numerics import GOLDEN


@njit(nogil=True)
def _sums(bits, wide, table, column_step, index, entry_step, planes, runs, num_runs, sums, sums_step):
    """Sums of `COLUMNS` columns over one row group, for every bit plane: `BITS` vector registers of them at a time."""
    for bit in range(0, planes, BITS):
        at = index + bit * BYTES
        place = sums + bit * BYTES * wide // bits
        if bits == 8:
            accumulate_bytes(table, column_step, at, entry_step, runs, num_runs, place, sums_step)
        elif wide == 16:
            accumulate_words(table, column_step, at, entry_step, runs, num_runs, place, sums_step)
        else:
            accumulate_long(table, column_step, at, entry_step, runs, num_runs, place, sums_step)


@njit(nogil=True, error_model="numpy")
def _combine(sums, weights, value):
    """`value[plane] = sum over terms of weight * sums[plane * terms + term]`, int32."""
    planes, terms = weights.shape
    for plane in range(planes):
        line = value[plane]
        line[:] = 0
        for term in range(terms):
            weight, own = weights[plane, term], sums[plane * terms + term]
            for lane in range(len(line)):
                line[lane] += np.int32(np.int32(own[lane]) * weight)


@njit(nogil=True, error_model="numpy")
def _convert(value, gain, offset, first, codes, scale, low, high):
    """Codes of `value` (int32) in place: own gain and offset, then the staircase where `scale` > 0, else the table."""
    half, top = np.float32(0.5), np.int32(len(codes) - 1)
    for plane in range(value.shape[0]):
        line = value[plane]
        for lane in range(len(line)):
            line[lane] = np.int32(np.floor(np.float32(line[lane]) * gain + offset + half))
        for lane in range(len(line)):
            if scale > np.float32(0.0):
                code = np.int32(np.floor(np.float32(line[lane]) * scale + half))
                line[lane] = min(max(code, low), high)
            else:
                line[lane] = codes[min(max(np.int32(line[lane] - first), np.int32(0)), top)]


@njit(nogil=True, error_model="numpy")
def _collect(codes, made, weights, times, limit, total):
    """Adds `times * weight * code` of each plane, where made, to `total` (int64), which saturates at `limit`."""
    for plane in range(codes.shape[0]):
        weight = weights[plane] * times
        for lane in range(len(total)):
            added = weight * codes[plane, lane] if made[plane, lane] else np.int64(0)
            total[lane] = min(max(total[lane] + added, -limit - 1), limit)


def _products(source: int) -> tuple[Callable[..., None], Callable[..., None]]:
    """The two products, cached for this `source` of their intrinsics."""

    @njit(cache=True, nogil=True)
    def product_shift(bits, table, index, layout, columns, curve, unit_weights, scratch, totals):
        """Power-of-two conversions of sums in int16; `totals` (int32 [outputs, vectors]) gains weighted codes."""
        _ = source
        entry_starts, runs, run_starts = layout
        output_of, bank_of, weight_of, offset_of = columns
        half, shift, low, high = curve
        lanes, planes = index.shape[3], index.shape[2]
        entry_step, sums_step = index.strides[1], planes * lanes * 2
        units, unit = unit_weights.shape[0], unit_weights.shape[1] - 1  # planes that add up in int16; then their factor
        unit_bytes, num_columns = table.shape[1], len(output_of)
        sums, weights, out = (
            np.int64(scratch.ctypes.data),
            np.int64(unit_weights.ctypes.data),
            np.int64(totals.ctypes.data),
        )
        blocks = -(-num_columns // COLUMNS)
        for group in range(len(entry_starts) - 1):
            start = entry_starts[group]
            column_step = (entry_starts[group + 1] - start) * unit_bytes
            base = np.int64(table.ctypes.data) + start * unit_bytes * blocks * COLUMNS
            for tile in range(0, blocks, BLOCK):
                for chunk in range(index.shape[0]):
                    at = np.int64(index.ctypes.data) + (chunk * index.shape[1] + start) * entry_step
                    for block in range(tile, min(tile + BLOCK, blocks)):
                        first = run_starts[group * blocks + block]
                        num_runs = run_starts[group * blocks + block + 1] - first - 1
                        own_runs = np.int64(runs.ctypes.data) + 8 * first
                        own = base + block * COLUMNS * column_step
                        _sums(bits, 16, own, column_step, at, entry_step, planes, own_runs, num_runs, sums, sums_step)
                        for c in range(min(COLUMNS, num_columns - block * COLUMNS)):
                            column = block * COLUMNS + c
                            bank = bank_of[column]
                            above = np.int16(half[bank] + offset_of[group, column])
                            stairs = (above, shift[bank], low[bank], high[bank])
                            place = out + (output_of[column] * totals.shape[1] + chunk * lanes) * 4
                            for number in range(units):
                                convert_shift(
                                    sums + c * sums_step + number * unit * lanes * 2,
                                    lanes * 2,
                                    min(unit, planes - number * unit),
                                    weights + number * (unit + 1) * 2,
                                    stairs,
                                    place,
                                    np.int32(weight_of[column] * unit_weights[number, unit]),
                                    lanes // 32,
                                )

    @njit(cache=True, nogil=True)
    def product_general(kinds, tables, indices, layouts, columns, curve, drawn, combine, given, scratch, totals):
        """Any converter, pedestal and noise; `totals` (int64 [outputs, vectors]) gains weighted codes.

        kinds: bits of a sum, bits of its widening, draw (0 none, 1 one sd per conversion, 2 per cell), plain (0 or 1).
        """
        _ = source
        bits, wide, draw, plain = kinds
        table, cells_table = tables
        index, cells_index = indices
        entry_starts, runs, run_starts, cells_runs, cells_run_starts = layouts
        output_of, bank_of, weight_of, offset_of, gain_of, shift_of = columns
        scale, codes, first_value, low, high = curve
        low_key, high_key, sd, unit_of, fixed = drawn
        terms, square_terms = combine
        pedestal, made, long_weights, plane_weights, limit = given
        sums, cells, combined, values, out = scratch
        lanes, bit_planes, squares = index.shape[3], index.shape[2], cells_index.shape[2]
        planes = len(plane_weights)
        single, single_square = terms.shape[1] == 1, square_terms.shape[1] == 1
        unit_bytes, num_columns, blocks = table.shape[1], len(output_of), -(-len(output_of) // COLUMNS)
        sums_at, cells_at = np.int64(sums.ctypes.data), np.int64(cells.ctypes.data)
        values_at, out_at = np.int64(values.ctypes.data), np.int64(out.ctypes.data)
        weights_at, step = np.int64(plane_weights.ctypes.data), wide // 8
        for group in range(len(entry_starts) - 1):
            start = entry_starts[group]
            column_step = (entry_starts[group + 1] - start) * unit_bytes
            ahead = start * unit_bytes * blocks * COLUMNS
            base, cells_base = np.int64(table.ctypes.data) + ahead, np.int64(cells_table.ctypes.data) + ahead
            for tile in range(0, blocks, BLOCK):
                for chunk in range(index.shape[0]):
                    at = np.int64(index.ctypes.data) + (chunk * index.shape[1] + start) * index.strides[1]
                    ahead = (chunk * index.shape[1] + start) * cells_index.strides[1]
                    cells_bits = np.int64(cells_index.ctypes.data) + ahead
                    for block in range(tile, min(tile + BLOCK, blocks)):
                        place = group * blocks + block
                        first, num = run_starts[place], run_starts[place + 1] - run_starts[place] - 1
                        own, span = np.int64(runs.ctypes.data) + 8 * first, bit_planes * lanes * step
                        ahead = block * COLUMNS * column_step
                        _sums(
                            bits,
                            wide,
                            base + ahead,
                            column_step,
                            at,
                            index.strides[1],
                            bit_planes,
                            own,
                            num,
                            sums_at,
                            span,
                        )
                        if draw == 2:
                            first, num = (
                                cells_run_starts[place],
                                cells_run_starts[place + 1] - cells_run_starts[place] - 1,
                            )
                            own, span = np.int64(cells_runs.ctypes.data) + 8 * first, squares * lanes * step
                            from_ = cells_base + ahead
                            _sums(
                                bits,
                                wide,
                                from_,
                                column_step,
                                cells_bits,
                                cells_index.strides[1],
                                squares,
                                own,
                                num,
                                cells_at,
                                span,
                            )
                        for c in range(min(COLUMNS, num_columns - block * COLUMNS)):
                            column = block * COLUMNS + c
                            bank, output = bank_of[column], output_of[column]
                            own = sums_at + c * bit_planes * lanes * step
                            spread = np.int64(sd[chunk, group, bank].ctypes.data)
                            if draw == 2:
                                spread = cells_at + c * squares * lanes * step
                            if not single:
                                _combine(sums[c], terms, combined[0])
                                own = np.int64(combined[0].ctypes.data)
                            if draw == 2 and not single_square:
                                _combine(cells[c], square_terms, combined[1])
                                spread = np.int64(combined[1].ctypes.data)
                            args = (
                                own,
                                values_at,
                                planes * lanes // 16,
                                offset_of[group, column],
                                np.int64(pedestal[chunk, group].ctypes.data),
                                np.int64(low_key[chunk, group, bank].ctypes.data),
                                np.int64(high_key[chunk, group, bank].ctypes.data),
                                np.int32(output * GOLDEN),
                                spread,
                                unit_of[column],
                                fixed[bank],
                            )
                            if draw == 0:
                                settle16(*args) if wide == 16 and single else settle32(*args)
                            elif draw == 1:
                                settle16_even(*args) if wide == 16 and single else settle32_even(*args)
                            else:
                                settle16_cell(*args) if wide == 16 and single else settle32_cell(*args)
                            total = totals[output, chunk * lanes : (chunk + 1) * lanes]
                            if plain:
                                stairs(
                                    values_at, lanes, planes, (low[bank], high[bank], scale[bank]), weights_at, out_at
                                )
                                for lane in range(lanes):
                                    total[lane] += weight_of[column] * out[lane]
                            else:
                                gain, shift = gain_of[column], shift_of[column]
                                _convert(
                                    values, gain, shift, first_value, codes[bank], scale[bank], low[bank], high[bank]
                                )
                                _collect(values, made[chunk, group], long_weights, weight_of[column], limit, total)

    return product_shift, product_general


product_shift, product_general = _products(zlib.crc32(Path(crossbar_vectors.__file__).read_bytes()))
