"""Compiled parts of the fused analog product: lanes are input vectors, and columns are scalars of the loop.

One index per vector and input bit holds that bit of a few rows (6 or 5); one vector register holds, for one column,
the sum of those rows for every index. A permutation by index looks up 64 or 32 vectors at once, an addition collects
them. Without that instruction an index is a mask of one row, and the level of the column is added where it is set.

All compiled functions of the product stand in this one file, because Numba's cache does not see edits in another.
Vector loads and stores go to addresses, so every buffer is an argument: Numba frees a local array after its last use.
"""

# pyright: reportCallIssue=false
# (Numba itself passes the first argument of an intrinsic.)
from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

from ohmfield.numerics import GOLDEN, MIX_1, MIX_2, NORMAL_A, NORMAL_B

BYTES = 64  # of one vector
COLUMNS, BITS = 4, 4  # accumulated side by side: 16 sums, their 4 tables and an index stay in registers
BLOCK = 2  # times so many columns: tables stay in the first-level cache while the vectors of a job pass
DECLARED = getattr(config, "CPU_FEATURES", None)  # NUMBA_CPU_FEATURES, or what NUMBA_CPU_NAME=generic implies
FEATURES = get_host_cpu_features() if DECLARED is None else DECLARED
LOOKUP = {8: "+avx512vbmi" in FEATURES, 16: "+avx512bw" in FEATURES}  # by bits of a sum
I8, I16, I32, I64 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)


def rows_per_entry(bits: int) -> int:
    """Rows that one index stands for, where sums have 8 or 16 `bits`."""
    return {8: 6, 16: 5}[bits] if LOOKUP[bits] else 1


def entry_bytes(bits: int) -> int:
    """Size of what one column holds for one entry: a vector of sums, or the level of a row."""
    return BYTES if LOOKUP[bits] else bits // 8


def _at(builder, base, offset, kind):
    """Pointer to `kind` at address `base` (int64) plus `offset` bytes (int or int64)."""
    offset = ir.Constant(I64, offset) if isinstance(offset, int) else offset
    return builder.inttoptr(builder.add(base, offset), kind.as_pointer())


def _splat(builder, value, lanes):
    vector = ir.VectorType(value.type, lanes)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(I32, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))


def _call(builder, name, vector, *args):
    kind = ir.FunctionType(vector, [vector] * len(args))
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


def _accumulate(element, wide):
    """Intrinsic: sums of `COLUMNS` columns for `BITS` bits, over runs of entries.

    Within a run sums are held in `element`, whose overflow is harmless where the run's own sum fits; runs add up in
    `wide`. `table` is the first column's first entry, `column_step` bytes before the next column's; `index` is the
    first bit of the first entry, `entry_step` bytes before the next entry's; run r goes from entry `runs[r]` to
    `runs[r + 1]`; `sums` [columns, bits, lanes] has its columns `sums_step` bytes apart.
    """
    size = element.width // 8
    lookup = LOOKUP[element.width]
    parts, side = (1, COLUMNS) if lookup else (2, 2)  # sixteen 256-bit registers hold 8 sums, a mask and two levels
    lanes = BYTES // size // parts
    vector, target = ir.VectorType(element, lanes), ir.VectorType(wide, lanes)
    permute = f"llvm.x86.avx512.permvar.{'qi' if size == 1 else 'hi'}.512"

    def one_run(builder, table, column_step, index, entry_step, begin, count, held, part, column):
        with cgutils.for_range(builder, count) as loop:
            entry = builder.add(begin, loop.index)
            own = builder.add(table, builder.mul(entry, ir.Constant(I64, entry_bytes(element.width))))
            bits = builder.add(index, builder.mul(entry, entry_step))
            held_tables = []
            for c in range(side):
                offset = builder.mul(column_step, ir.Constant(I64, column + c))
                if lookup:
                    held_tables.append(builder.load(_at(builder, own, offset, vector), align=BYTES))
                else:
                    held_tables.append(_splat(builder, builder.load(_at(builder, own, offset, element)), lanes))
            for bit in range(BITS):
                place = _at(builder, bits, bit * BYTES + part * BYTES // 2, vector)
                chosen = builder.load(place, align=BYTES // parts)
                for c in range(side):
                    if lookup:
                        value = _call(builder, permute, vector, held_tables[c], chosen)
                    else:
                        value = builder.and_(held_tables[c], chosen)
                    builder.store(builder.add(builder.load(held[c][bit]), value), held[c][bit])

    @intrinsic
    def accumulate(typingctx, table, column_step, index, entry_step, runs, num_runs, sums, sums_step):
        def codegen(context, builder, signature, args):
            table, column_step, index, entry_step, runs, num_runs, sums, sums_step = args
            zero = ir.Constant(vector, [0] * lanes)
            held = [[cgutils.alloca_once(builder, vector) for _ in range(BITS)] for _ in range(side)]
            for part in range(parts):
                for column in range(0, COLUMNS, side):
                    with cgutils.for_range(builder, num_runs) as run:
                        here = builder.mul(run.index, ir.Constant(I64, 8))
                        begin = builder.load(_at(builder, runs, here, I64))
                        end = builder.load(_at(builder, builder.add(runs, here), 8, I64))
                        for line in held:
                            for place in line:
                                builder.store(zero, place)
                        count = builder.sub(end, begin)
                        one_run(builder, table, column_step, index, entry_step, begin, count, held, part, column)
                        first = builder.icmp_signed("==", run.index, ir.Constant(I64, 0))
                        for c in range(side):
                            at = builder.add(sums, builder.mul(sums_step, ir.Constant(I64, column + c)))
                            for bit in range(BITS):
                                value = builder.load(held[c][bit])
                                step = lanes * wide.width // 8
                                place = _at(builder, at, (bit * parts + part) * step, target)
                                if wide != element:
                                    value = builder.sext(value, target)
                                    before = builder.load(place, align=32)
                                    before = builder.select(first, ir.Constant(target, [0] * lanes), before)
                                    value = builder.add(before, value)
                                builder.store(value, place, align=32)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 8), codegen

    return accumulate


_accumulate_bytes = _accumulate(I8, I16)
_accumulate_words = _accumulate(I16, I16)
_accumulate_long = _accumulate(I16, I32)


@intrinsic
def _convert_shift(typingctx, sums, plane_step, planes, weights, curve, out, weight, blocks):
    """Adds `weight * sum over planes of plane weight * clip((sum + half) >> shift, low, high)` to `out` (int32).

    `sums` int16 [planes, vectors], `blocks` of 32 vectors; `curve` is (half, shift, low, high), `weights` points at
    int16.
    """

    def codegen(context, builder, signature, args):
        sums, plane_step, planes, weights, curve, out, weight, blocks = args
        vector, wide = ir.VectorType(I16, 32), ir.VectorType(I32, 32)
        half, shift, low, high = (_splat(builder, builder.extract_value(curve, k), 32) for k in range(4))
        scale = _splat(builder, weight, 32)
        total = cgutils.alloca_once(builder, vector)
        with cgutils.for_range(builder, blocks) as block:
            builder.store(ir.Constant(vector, [0] * 32), total)
            own = builder.add(sums, builder.mul(block.index, ir.Constant(I64, 64)))
            with cgutils.for_range(builder, planes) as plane:
                value = builder.load(_at(builder, own, builder.mul(plane.index, plane_step), vector), align=32)
                code = builder.ashr(builder.add(value, half), shift)
                code = _call(builder, "llvm.smax.v32i16", vector, code, low)
                code = _call(builder, "llvm.smin.v32i16", vector, code, high)
                times = builder.load(_at(builder, weights, builder.mul(plane.index, ir.Constant(I64, 2)), I16))
                code = builder.mul(code, _splat(builder, times, 32))
                builder.store(builder.add(builder.load(total), code), total)
            place = _at(builder, out, builder.mul(block.index, ir.Constant(I64, 128)), wide)
            added = builder.mul(builder.sext(builder.load(total), wide), scale)
            builder.store(builder.add(builder.load(place, align=64), added), place, align=64)
        return context.get_dummy_value()

    head = (types.int64, types.int64, types.int64, types.int64)
    return types.void(*head, types.UniTuple(types.int16, 4), types.int64, types.int32, types.int64), codegen


def _normal(builder, low, high, start):
    """16 normal float32 of row keys `low`, `high` and a column: the steps of `numerics.normal_from_bits`."""
    lanes, floats = ir.VectorType(I32, 16), ir.VectorType(ir.FloatType(), 16)

    def constant(value):
        return ir.Constant(lanes, [value] * 16)

    def fold(x, bits):
        return builder.xor(x, builder.lshr(x, constant(bits)))

    x = builder.mul(fold(builder.add(low, start), 16), constant(MIX_1))
    x = builder.mul(fold(builder.xor(x, high), 15), constant(MIX_2))
    x = fold(x, 15)
    mask = constant(0x00FF00FF)
    pairs = builder.add(builder.and_(x, mask), builder.and_(builder.lshr(x, constant(8)), mask))
    total = builder.add(builder.and_(pairs, constant(0xFFFF)), builder.lshr(pairs, constant(16)))
    z = builder.fsub(builder.sitofp(total, floats), ir.Constant(floats, [510.0] * 16))
    cubic = builder.fmul(ir.Constant(floats, [float(NORMAL_B)] * 16), builder.fmul(z, z))
    return builder.fmul(z, builder.fadd(ir.Constant(floats, [float(NORMAL_A)] * 16), cubic))


def _settle(element, draw):
    """Intrinsic: `values = sums + offset + pedestal` (int32), plus a draw unless `draw` is "none".

    "even": of sd `spread` (float32). "cell": of sd `sqrt(spread * unit + fixed)`, where `spread` is as wide as the
    sums. All arrays run over planes and vectors alike, in `blocks` of 16; `start` is the column times `GOLDEN`.
    """

    @intrinsic
    def settle(typingctx, sums, values, blocks, offset, pedestal, low, high, start, spread, unit, fixed):
        def codegen(context, builder, signature, args):
            sums, values, blocks, offset, pedestal, low, high, start, spread, unit, fixed = args
            lanes, floats = ir.VectorType(I32, 16), ir.VectorType(ir.FloatType(), 16)
            offset, start, unit, fixed = (_splat(builder, value, 16) for value in (offset, start, unit, fixed))
            halves = ir.Constant(floats, [0.5] * 16)
            with cgutils.for_range(builder, blocks) as block:
                at = builder.mul(block.index, ir.Constant(I64, 64))
                narrow = builder.mul(block.index, ir.Constant(I64, 2 * element.width))

                def load(address, kind, at=at):
                    return builder.load(_at(builder, address, at, kind), align=32)

                def wide(address, narrow=narrow):
                    held = load(address, ir.VectorType(element, 16), narrow)
                    return held if element == I32 else builder.sext(held, lanes)

                value = builder.add(builder.add(wide(sums), offset), load(pedestal, lanes))
                if draw != "none":
                    if draw == "even":
                        sd = load(spread, floats)
                    else:
                        cells = builder.fmul(builder.sitofp(wide(spread), floats), unit)
                        sd = _call(builder, "llvm.sqrt.v16f32", floats, builder.fadd(cells, fixed))
                    drawn = builder.fmul(sd, _normal(builder, load(low, lanes), load(high, lanes), start))
                    drawn = _call(builder, "llvm.floor.v16f32", floats, builder.fadd(drawn, halves))
                    value = builder.add(value, builder.fptosi(drawn, lanes))
                builder.store(value, _at(builder, values, at, lanes), align=32)
            return context.get_dummy_value()

        head = (types.int64, types.int64, types.int64, types.int32, types.int64, types.int64, types.int64)
        return types.void(*head, types.int32, types.int64, types.float32, types.float32), codegen

    return settle


_settle16 = _settle(I16, "none")
_settle32 = _settle(I32, "none")
_settle16_even = _settle(I16, "even")
_settle32_even = _settle(I32, "even")
_settle16_cell = _settle(I16, "cell")
_settle32_cell = _settle(I32, "cell")


@intrinsic
def _stairs(typingctx, values, lanes, planes, curve, weights, out):
    """`out = sum over planes of weight * clip(floor(value * scale + 1/2), low, high)`, all int32.

    `values` [planes, lanes]; `curve` is (low, high, scale); `weights` points at int32.
    """

    def codegen(context, builder, signature, args):
        values, lanes, planes, curve, weights, out = args
        whole, floats = ir.VectorType(I32, 16), ir.VectorType(ir.FloatType(), 16)
        low, high, scale = (_splat(builder, builder.extract_value(curve, k), 16) for k in range(3))
        halves = ir.Constant(floats, [0.5] * 16)
        total = cgutils.alloca_once(builder, whole)
        plane_step = builder.mul(lanes, ir.Constant(I64, 4))
        with cgutils.for_range(builder, builder.sdiv(lanes, ir.Constant(I64, 16))) as block:
            builder.store(ir.Constant(whole, [0] * 16), total)
            at = builder.mul(block.index, ir.Constant(I64, 64))
            own = builder.add(values, at)
            with cgutils.for_range(builder, planes) as plane:
                value = builder.load(_at(builder, own, builder.mul(plane.index, plane_step), whole), align=32)
                code = builder.fadd(builder.fmul(builder.sitofp(value, floats), scale), halves)
                code = builder.fptosi(_call(builder, "llvm.floor.v16f32", floats, code), whole)
                code = _call(builder, "llvm.smax.v16i32", whole, code, low)
                code = _call(builder, "llvm.smin.v16i32", whole, code, high)
                times = builder.load(_at(builder, weights, builder.mul(plane.index, ir.Constant(I64, 4)), I32))
                code = builder.mul(code, _splat(builder, times, 16))
                builder.store(builder.add(builder.load(total), code), total)
            builder.store(builder.load(total), _at(builder, out, at, whole), align=32)
        return context.get_dummy_value()

    curve_type = types.Tuple((types.int32, types.int32, types.float32))
    return types.void(types.int64, types.int64, types.int64, curve_type, types.int64, types.int64), codegen


@njit(cache=True, nogil=True)
def _sums(bits, wide, table, column_step, index, entry_step, planes, runs, num_runs, sums, sums_step):
    """Sums of `COLUMNS` columns over one row group, for every bit plane."""
    for bit in range(0, planes, BITS):
        at = index + bit * BYTES
        place = sums + bit * BYTES * wide // bits
        if bits == 8:
            _accumulate_bytes(table, column_step, at, entry_step, runs, num_runs, place, sums_step)
        elif wide == 16:
            _accumulate_words(table, column_step, at, entry_step, runs, num_runs, place, sums_step)
        else:
            _accumulate_long(table, column_step, at, entry_step, runs, num_runs, place, sums_step)


@njit(cache=True, nogil=True)
def product_shift(bits, table, index, layout, columns, curve, unit_weights, scratch, totals):
    """Power-of-two conversions of sums in int16; `totals` (int32 [outputs, vectors]) gains weighted codes."""
    entry_starts, runs, run_starts = layout
    output_of, bank_of, weight_of, offset_of = columns
    half, shift, low, high = curve
    lanes, planes = index.shape[3], index.shape[2]
    entry_step, sums_step = planes * BYTES, planes * lanes * 2
    units, unit = unit_weights.shape[0], unit_weights.shape[1] - 1  # planes that add up in int16; then their factor
    unit_bytes, num_columns = table.shape[1], len(output_of)
    sums, weights, out = np.int64(scratch.ctypes.data), np.int64(unit_weights.ctypes.data), np.int64(totals.ctypes.data)
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
                            _convert_shift(
                                sums + c * sums_step + number * unit * lanes * 2,
                                lanes * 2,
                                min(unit, planes - number * unit),
                                weights + number * (unit + 1) * 2,
                                stairs,
                                place,
                                np.int32(weight_of[column] * unit_weights[number, unit]),
                                lanes // 32,
                            )


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def _collect(codes, made, weights, times, limit, total):
    """Adds `times * weight * code` of each plane, where made, to `total` (int64), which saturates at `limit`."""
    for plane in range(codes.shape[0]):
        weight = weights[plane] * times
        for lane in range(len(total)):
            added = weight * codes[plane, lane] if made[plane, lane] else np.int64(0)
            total[lane] = min(max(total[lane] + added, -limit - 1), limit)


@njit(cache=True, nogil=True)
def product_general(kinds, tables, indices, layouts, columns, curve, drawn, combine, given, scratch, totals):
    """Any converter, pedestal and noise; `totals` (int64 [outputs, vectors]) gains weighted codes.

    kinds: bits of a sum, bits of its widening, draw (0 none, 1 one sd per conversion, 2 per cell), plain (0 or 1).
    """
    bits, wide, draw, plain = kinds
    table, cells_table = tables
    index, cells_index = indices
    entry_starts, runs, run_starts, cells_runs, cells_run_starts = layouts
    output_of, bank_of, weight_of, offset_of, gain_of, shift_of = columns
    scale, codes, first_value, low, high = curve
    low_key, high_key, sd, unit, fixed = drawn
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
                at = np.int64(index.ctypes.data) + (chunk * index.shape[1] + start) * bit_planes * BYTES
                cells_bits = np.int64(cells_index.ctypes.data) + (chunk * index.shape[1] + start) * squares * BYTES
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
                        bit_planes * BYTES,
                        bit_planes,
                        own,
                        num,
                        sums_at,
                        span,
                    )
                    if draw == 2:
                        first, num = cells_run_starts[place], cells_run_starts[place + 1] - cells_run_starts[place] - 1
                        own, span = np.int64(cells_runs.ctypes.data) + 8 * first, squares * lanes * step
                        from_ = cells_base + ahead
                        _sums(
                            bits,
                            wide,
                            from_,
                            column_step,
                            cells_bits,
                            squares * BYTES,
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
                            unit,
                            fixed[bank],
                        )
                        if draw == 0:
                            _settle16(*args) if wide == 16 and single else _settle32(*args)
                        elif draw == 1:
                            _settle16_even(*args) if wide == 16 and single else _settle32_even(*args)
                        else:
                            _settle16_cell(*args) if wide == 16 and single else _settle32_cell(*args)
                        total = totals[output, chunk * lanes : (chunk + 1) * lanes]
                        if plain:
                            _stairs(values_at, lanes, planes, (low[bank], high[bank], scale[bank]), weights_at, out_at)
                            for lane in range(lanes):
                                total[lane] += weight_of[column] * out[lane]
                        else:
                            gain, shift = gain_of[column], shift_of[column]
                            _convert(values, gain, shift, first_value, codes[bank], scale[bank], low[bank], high[bank])
                            _collect(values, made[chunk, group], long_weights, weight_of[column], limit, total)
