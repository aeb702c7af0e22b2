"""Vector code of the fused analog product: plain LLVM vectors, which every target lowers to what it has.

All compiled functions of the product stand in this one file, because Numba's cache does not see edits in another.
Vector loads and stores go to addresses, so every buffer is an argument: Numba frees a local array after its last use.
"""

# pyright: reportCallIssue=false
# (Numba itself passes the first argument of an intrinsic.)
from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from ohmfield.numerics import GOLDEN, MIX_1, MIX_2, NORMAL_A, NORMAL_B

UNIT = 4  # planes accumulated side by side: enough independent adds to keep the load ports busy
LANES = 16  # columns of one conversion vector; banks are padded to it
I8, I16, I32, I64, F32 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()


def _address(builder, base, element):
    return builder.inttoptr(base, element.as_pointer())


def _splat(builder, value, lanes):
    vector = ir.VectorType(value.type, lanes)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(I32, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))


def _constant(kind, value, lanes):
    return ir.Constant(ir.VectorType(kind, lanes), [value] * lanes)


def _call(builder, name, vector, *args):
    element = "f32" if vector.element == F32 else f"i{vector.element.width}"
    kind = ir.FunctionType(vector, [vector] * len(args))
    name = f"llvm.{name}.v{vector.count}{element}"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


def _add_entry(builder, base, index, vector, held):
    """Add the table rows that `UNIT` index bytes at `index` select to the vectors in `held`."""
    bits = builder.zext(builder.load(_address(builder, index, I32), align=4), I64)
    for plane in range(UNIT):
        picked = builder.and_(builder.lshr(bits, ir.Constant(I64, 8 * plane)), ir.Constant(I64, 255))
        offset = builder.shl(picked, ir.Constant(I64, 2))
        row = builder.load(_address(builder, builder.add(base, offset), vector), align=64)
        builder.store(builder.add(builder.load(held[plane]), row), held[plane])


def _accumulate(element, lanes):
    """Intrinsic: `sums[plane] = sum over entries of table[entry, index[entry, plane]]` for `UNIT` planes at once."""

    @intrinsic
    def accumulate(typingctx, table, index, stride, entries, sums):
        def codegen(context, builder, signature, args):
            table, index, stride, entries, sums = args
            vector = ir.VectorType(element, lanes)
            held = [cgutils.alloca_once_value(builder, ir.Constant(vector, [0] * lanes)) for _ in range(UNIT)]
            with cgutils.for_range(builder, entries) as loop:
                base = builder.add(table, builder.mul(loop.index, ir.Constant(I64, 16 * 64)))
                _add_entry(builder, base, builder.add(index, builder.mul(loop.index, stride)), vector, held)
            target = _address(builder, sums, vector)
            for plane in range(UNIT):
                place = builder.gep(target, [ir.Constant(I64, plane)])
                builder.store(builder.load(held[plane]), place, align=64)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64, types.int64, types.int64), codegen

    return accumulate


@intrinsic
def _accumulate8(typingctx, table, index, stride, entries, run, sums):
    """As `_accumulate` for 64 byte columns, widened every `run` entries; sums are int16, two halves of 32 columns."""

    def codegen(context, builder, signature, args):
        table, index, stride, entries, run, sums = args
        narrow, wide = ir.VectorType(I8, 64), ir.VectorType(I16, 32)
        zeros = ir.Constant(wide, [0] * 32)
        held = [[cgutils.alloca_once_value(builder, zeros) for _ in range(UNIT)] for _ in range(2)]
        bytes_held = [cgutils.alloca_once(builder, narrow) for _ in range(UNIT)]
        runs = builder.sdiv(builder.add(entries, builder.sub(run, ir.Constant(I64, 1))), run)
        with cgutils.for_range(builder, runs) as block:
            begin = builder.mul(block.index, run)
            left = builder.sub(entries, begin)
            length = builder.select(builder.icmp_signed("<", left, run), left, run)
            for plane in range(UNIT):
                builder.store(ir.Constant(narrow, [0] * 64), bytes_held[plane])
            with cgutils.for_range(builder, length) as loop:
                entry = builder.add(begin, loop.index)
                base = builder.add(table, builder.mul(entry, ir.Constant(I64, 16 * 64)))
                _add_entry(builder, base, builder.add(index, builder.mul(entry, stride)), narrow, bytes_held)
            for plane in range(UNIT):
                row = builder.load(bytes_held[plane])
                for half in range(2):
                    lanes = ir.Constant(ir.VectorType(I32, 32), list(range(32 * half, 32 * half + 32)))
                    part = builder.sext(builder.shuffle_vector(row, row, lanes), wide)
                    builder.store(builder.add(builder.load(held[half][plane]), part), held[half][plane])
        target = _address(builder, sums, wide)
        for half in range(2):
            for plane in range(UNIT):
                place = builder.gep(target, [ir.Constant(I64, half * UNIT + plane)])
                builder.store(builder.load(held[half][plane]), place, align=64)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), codegen


_accumulate16 = _accumulate(I16, 32)
_accumulate32 = _accumulate(I32, 16)


@intrinsic
def _convert_shift(typingctx, sums, weights, curve, out):
    """Convert `UNIT` planes of 32 int16 sums by shifts, add them with `weights` (int16) to `out` (int32).

    `curve` points at 32 int16 each of half step, shift, lowest and highest code.
    """

    def codegen(context, builder, signature, args):
        sums, weights, curve, out = args
        vector = ir.VectorType(I16, 32)
        values, limits = _address(builder, sums, vector), _address(builder, curve, vector)
        half, shift, low, high = (builder.load(builder.gep(limits, [ir.Constant(I64, k)]), align=64) for k in range(4))
        total = None
        for plane in range(UNIT):
            value = builder.load(builder.gep(values, [ir.Constant(I64, plane)]), align=64)
            code = builder.ashr(builder.add(value, half), shift)
            code = _call(builder, "smin", vector, _call(builder, "smax", vector, code, low), high)
            weight = builder.load(builder.gep(_address(builder, weights, I16), [ir.Constant(I64, plane)]))
            code = builder.mul(code, _splat(builder, weight, 32))
            total = code if total is None else builder.add(total, code)
        scale = builder.load(builder.gep(_address(builder, weights, I16), [ir.Constant(I64, UNIT)]))
        wide = ir.VectorType(I32, 32)
        added = builder.mul(builder.sext(total, wide), _splat(builder, builder.sext(scale, I32), 32))
        target = _address(builder, out, wide)
        builder.store(builder.add(builder.load(target, align=64), added), target, align=64)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), codegen


def _normal(builder, key, column):
    """16 normal float32 of row `key` (int64) from `column` on: the steps of `numerics.normal_from_bits`."""
    lanes, floats = ir.VectorType(I32, LANES), ir.VectorType(F32, LANES)
    low = _splat(builder, builder.trunc(key, I32), LANES)
    high = _splat(builder, builder.trunc(builder.lshr(key, ir.Constant(I64, 32)), I32), LANES)
    columns = builder.add(_splat(builder, builder.trunc(column, I32), LANES), ir.Constant(lanes, list(range(LANES))))

    def fold(x, bits):
        return builder.xor(x, builder.lshr(x, _constant(I32, bits, LANES)))

    x = builder.add(builder.mul(columns, _constant(I32, GOLDEN, LANES)), low)
    x = builder.mul(fold(x, 16), _constant(I32, MIX_1, LANES))
    x = builder.mul(fold(builder.xor(x, high), 15), _constant(I32, MIX_2, LANES))
    x = fold(x, 15)
    mask, eight, sixteen = (_constant(I32, value, LANES) for value in (0x00FF00FF, 8, 16))
    pairs = builder.add(builder.and_(x, mask), builder.and_(builder.lshr(x, eight), mask))
    total = builder.add(builder.and_(pairs, _constant(I32, 0xFFFF, LANES)), builder.lshr(pairs, sixteen))
    z = builder.fsub(builder.sitofp(total, floats), _constant(F32, 510.0, LANES))
    cubic = builder.fmul(_constant(F32, float(NORMAL_B), LANES), builder.fmul(z, z))
    return builder.fmul(z, builder.fadd(_constant(F32, float(NORMAL_A), LANES), cubic))


def _settle(element, draw):
    """Intrinsic: `values = sums + pedestal`, 16 int32, plus a draw unless `draw` is "none".

    "even": sd `sigma` for all 16. "cell": sd `sqrt(cells * unit + fixed)`, `cells` at `spread` as wide as the sums.
    """

    @intrinsic
    def settle(typingctx, sums, values, pedestal, key, column, sigma, spread, unit, fixed):
        def codegen(context, builder, signature, args):
            sums, values, pedestal, key, column, sigma, spread, unit, fixed = args
            lanes, floats = ir.VectorType(I32, LANES), ir.VectorType(F32, LANES)

            def wide(address):
                held = builder.load(_address(builder, address, ir.VectorType(element, LANES)), align=32)
                return held if element == I32 else builder.sext(held, lanes)

            value = builder.add(wide(sums), _splat(builder, pedestal, LANES))
            if draw != "none":
                spreads = _splat(builder, sigma, LANES)
                if draw == "cell":
                    cells = builder.fmul(builder.sitofp(wide(spread), floats), _splat(builder, unit, LANES))
                    spreads = builder.fadd(cells, _splat(builder, fixed, LANES))
                    spreads = _call(builder, "sqrt", floats, spreads)
                drawn = builder.fmul(spreads, _normal(builder, key, column))
                drawn = _call(builder, "floor", floats, builder.fadd(drawn, _constant(F32, 0.5, LANES)))
                value = builder.add(value, builder.fptosi(drawn, lanes))
            builder.store(value, _address(builder, values, lanes), align=64)
            return context.get_dummy_value()

        head = (types.int64, types.int64, types.int32, types.uint64, types.int64, types.float32)
        return types.void(*head, types.int64, types.float32, types.float32), codegen

    return settle


_settle16 = _settle(I16, "none")
_settle32 = _settle(I32, "none")
_settle16_even = _settle(I16, "even")
_settle32_even = _settle(I32, "even")
_settle16_cell = _settle(I16, "cell")
_settle32_cell = _settle(I32, "cell")


@intrinsic
def _stairs(typingctx, values, scale, low, high, weight, out):
    """Add `weight * clip(floor(value * scale + 1/2), low, high)` of 16 int32 `values` to `out` (int32)."""

    def codegen(context, builder, signature, args):
        values, scale, low, high, weight, out = args
        lanes, floats = ir.VectorType(I32, LANES), ir.VectorType(F32, LANES)
        value = builder.sitofp(builder.load(_address(builder, values, lanes), align=64), floats)
        code = builder.fadd(builder.fmul(value, _splat(builder, scale, LANES)), _constant(F32, 0.5, LANES))
        code = builder.fptosi(_call(builder, "floor", floats, code), lanes)
        code = _call(builder, "smax", lanes, code, _splat(builder, low, LANES))
        code = _call(builder, "smin", lanes, code, _splat(builder, high, LANES))
        target = _address(builder, out, lanes)
        added = builder.mul(code, _splat(builder, weight, LANES))
        builder.store(builder.add(builder.load(target, align=4), added), target, align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.float32, types.int32, types.int32, types.int32, types.int64), codegen


@njit(cache=True, nogil=True)
def pack_inputs(codes, starts, entry_starts, dac_bits, index, driven):
    """Four input bits per entry and plane, times 16: with the scale of 4 in an address this is a 64-byte offset.

    The rows of an entry stand 16 bits apart in one word; a product with `gather` brings one digit of each together.
    """
    rows_per_entry = 4 // dac_bits
    gather = np.int64(0)
    for r in range(rows_per_entry):
        gather |= np.int64(1) << np.int64(48 - (16 - dac_bits) * r)
    everywhere = np.int64(0x0001000100010001)
    mask = everywhere * ((1 << dac_bits) - 1)
    bits = index.reshape(-1, index.shape[2])
    totals = driven.reshape(-1, index.shape[2])
    for vector in range(codes.shape[0]):
        for group in range(len(starts) - 1):
            low, high = starts[group], starts[group + 1]
            total = totals[vector * driven.shape[1] + group]
            for entry in range(entry_starts[group + 1] - entry_starts[group]):
                row = low + entry * rows_per_entry
                word = np.int64(0)
                for r in range(min(rows_per_entry, high - row)):
                    word |= np.int64(codes[vector, row + r] & 0xFFFF) << np.int64(16 * r)
                place = bits[vector * index.shape[1] + entry_starts[group] + entry]
                for plane in range(index.shape[2]):
                    digits = (word >> (plane * dac_bits)) & mask
                    place[plane] = (((digits * gather) >> 48) & 15) << 4
                    total[plane] += (digits * everywhere) >> 48


@njit(cache=True, nogil=True)
def product_shift(table, index, places, steps, run, scratch, out):
    """Sums (int16, of byte or int16 tables), power-of-two conversions; `out` [vectors, outputs] gains the codes."""
    entry_starts, bank_of, column_of, bank_weights, plane_weights = places
    shift, low, high = steps
    vectors, stride = index.shape[0], index.shape[2]
    sums_of, curves, totals = scratch
    sums, curve, total = np.int64(sums_of.ctypes.data), np.int64(curves.ctypes.data), np.int64(totals.ctypes.data)
    parts = totals.shape[0]  # 32-column parts of one tile
    weights = np.zeros(UNIT + 1, dtype=np.int16)
    for tile in range(table.shape[0]):
        totals[:] = 0
        for lane in range(parts * 32):
            bank = bank_of[min((tile * parts * 32 + lane) // LANES, len(bank_of) - 1)]
            curve_of = curves[lane // 32]
            curve_of[0, lane % 32] = (1 << shift[bank]) >> 1
            curve_of[1, lane % 32] = shift[bank]
            curve_of[2, lane % 32] = low[bank]
            curve_of[3, lane % 32] = high[bank]
        for group in range(len(entry_starts) - 1):
            begin = entry_starts[group]
            entries = entry_starts[group + 1] - begin
            base = np.int64(table.ctypes.data) + (tile * table.shape[1] + begin) * 1024
            for unit in range(0, stride, UNIT):
                scale = max(1, abs(plane_weights[unit]))
                for plane in range(UNIT):
                    weights[plane] = plane_weights[unit + plane] // scale
                weights[UNIT] = scale
                for vector in range(vectors):
                    bits = np.int64(index.ctypes.data) + (vector * index.shape[1] + begin) * stride + unit
                    if parts == 2:
                        _accumulate8(base, bits, stride, entries, run, sums)
                    else:
                        _accumulate16(base, bits, stride, entries, sums)
                    for part in range(parts):
                        target = total + (part * vectors + vector) * 128
                        at = sums + part * UNIT * 64
                        _convert_shift(at, np.int64(weights.ctypes.data), curve + part * 256, target)
        for half in range(min(2 * parts, len(bank_of) - tile * 2 * parts)):
            chunk = tile * 2 * parts + half
            _collect(totals[half // 2], half % 2, bank_weights[bank_of[chunk]], column_of[chunk], out)


@njit(cache=True, nogil=True)
def _splitmix(value):
    z = value + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def _accumulate_any(small, table, bits, stride, entries, sums):
    if small:
        _accumulate16(table, bits, stride, entries, sums)
    else:
        _accumulate32(table, bits, stride, entries, sums)


@njit(cache=True, nogil=True)
def product_general(table, index, driven, places, curve, read, run, pedestal, scratch, out):
    """Any staircase or code table, pedestals, converter noise and read noise; sums in int16 or int32."""
    entry_starts, bank_of, column_of, bank_weights, plane_weights = places
    scale, codes, first_value, low, high = curve
    variance, unit_variance, fixed, sigma_of = read
    key, first_vector, noisy, per_cell, planes = run
    groups, banks = len(entry_starts) - 1, len(bank_weights)
    vectors, stride = index.shape[0], index.shape[2]
    source, spread_source = np.int64(table.ctypes.data), np.int64(variance.ctypes.data)
    small, lanes = table.itemsize == 2, 64 // table.itemsize
    halves = lanes // LANES
    sums_of, spreads_of, value, totals = scratch
    sums, spreads, at_value = (
        np.int64(sums_of.ctypes.data),
        np.int64(spreads_of.ctypes.data),
        np.int64(value.ctypes.data),
    )
    for tile in range(table.shape[0]):
        totals[:] = 0
        present = min(halves, len(bank_of) - tile * halves)
        for group in range(groups):
            begin = entry_starts[group]
            entries = entry_starts[group + 1] - begin
            offset = (tile * table.shape[1] + begin) * 1024
            for vector in range(vectors):
                number = np.uint64(first_vector + vector) * np.uint64(groups * planes * banks)
                for unit in range(0, stride, UNIT):
                    bits = np.int64(index.ctypes.data) + (vector * index.shape[1] + begin) * stride + unit
                    _accumulate_any(small, source + offset, bits, stride, entries, sums)
                    if noisy and per_cell:
                        _accumulate_any(small, spread_source + offset, bits, stride, entries, spreads)
                    for within in range(min(UNIT, planes - unit)):
                        plane = unit + within
                        ones = driven[vector, group, plane]
                        weight = np.int32(plane_weights[plane])
                        for half in range(present):
                            bank, column = bank_of[tile * halves + half], column_of[tile * halves + half]
                            place = np.uint64((group * planes + plane) * banks + bank)
                            at = within * 64 + half * 32
                            sigma, even = np.float32(0.0), fixed[bank]
                            row = np.uint64(0)
                            if noisy:
                                row = _splitmix((number + place) ^ key)
                                if not per_cell:
                                    sigma = sigma_of[bank, ones]
                            args = (at_value, pedestal[ones], row, column, sigma, spreads + at, unit_variance, even)
                            if not noisy:
                                _settle16(sums + at, *args) if small else _settle32(sums + at, *args)
                            elif per_cell:
                                _settle16_cell(sums + at, *args) if small else _settle32_cell(sums + at, *args)
                            else:
                                _settle16_even(sums + at, *args) if small else _settle32_even(sums + at, *args)
                            if scale[bank] > 0.0:
                                target = np.int64(totals.ctypes.data) + (vector * lanes + half * LANES) * 4
                                _stairs(at_value, scale[bank], low[bank], high[bank], weight, target)
                            else:
                                for lane in range(LANES):
                                    entry = min(max(value[lane] - first_value, 0), codes.shape[1] - 1)
                                    totals[vector, half * LANES + lane] += weight * codes[bank, entry]
        for half in range(present):
            _collect(totals, half, bank_weights[bank_of[tile * halves + half]], column_of[tile * halves + half], out)


@njit(cache=True, nogil=True)
def _collect(totals, half, weight, column, out):
    """Add 16 columns of `totals` to their outputs with the weight of their bank."""
    for vector in range(out.shape[0]):
        for lane in range(min(LANES, out.shape[1] - column)):
            out[vector, column + lane] += weight * totals[vector, half * LANES + lane]
