"""Compiled parts of the fused analog product: lanes are input vectors, and columns are scalars of the loop.

One index per vector and input bit holds that bit of a few rows (6 to 3); one vector register holds, for one column,
the sum of those rows for every index. A permutation by index looks up 64 or 32 vectors at once, an addition collects
them. Without such an instruction an index is a mask of one row, and the level of the column is added where it is set.
(Counting the set bits of `weights & inputs` would serve cells of one bit alone, with twice the instructions: it was
measured, see docs/models/analog_product.md.)

Vector loads and stores go to addresses, so every buffer is an argument: Numba frees a local array after its last use.
"""

# pyright: reportCallIssue=false
# (Numba itself passes the first argument of an intrinsic.)
from __future__ import annotations

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

from ohmfield.numerics import MIX_1, MIX_2, NORMAL_A, NORMAL_B

BYTES = 64  # of one vector
COLUMNS, BITS = 4, 4  # accumulated side by side: 16 sums, their 4 tables and an index stay in registers
BLOCK = 2  # times so many columns: tables stay in the first-level cache while the vectors of a job pass
DECLARED = getattr(config, "CPU_FEATURES", None)  # NUMBA_CPU_FEATURES, or what NUMBA_CPU_NAME=generic implies
FEATURES = get_host_cpu_features() if DECLARED is None else DECLARED
WHOLE = {8: "+avx512vbmi" in FEATURES, 16: "+avx512bw" in FEATURES}  # by bits of a sum: permutes a whole vector
LOOKUP = {bits: WHOLE[bits] or "+avx2" in FEATURES for bits in WHOLE}  # the older instruction: one of 16 bytes
I8, I16, I32, I64 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)


def rows_per_entry(bits: int) -> int:
    """Rows that one index stands for, where sums have 8 or 16 `bits`."""
    return ({8: 6, 16: 5} if WHOLE[bits] else {8: 4, 16: 3})[bits] if LOOKUP[bits] else 1


def index_marks(bits: int) -> tuple[int, int]:
    """(what the first row of an entry sets in its index, further rows as much further left; what is always set).

    A mask of one row has all bits; where bytes are looked up, an index of two bytes names both bytes of a sum.
    """
    if not LOOKUP[bits]:
        return -1, 0
    return (1, 0) if WHOLE[bits] or bits == 8 else (0x0202, 0x0100)


def entry_bytes(bits: int) -> int:
    """Size of what one column holds for one entry: a sum for every index, or the level of a row."""
    return (BYTES if WHOLE[bits] else 16) if LOOKUP[bits] else bits // 8


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
    whole, lookup = WHOLE[element.width], LOOKUP[element.width]
    parts, side = (1, COLUMNS) if whole else (2, 2)  # sixteen 256-bit registers hold 8 sums, an index and two tables
    lanes = BYTES // size // parts
    vector, target = ir.VectorType(element, lanes), ir.VectorType(wide, lanes)
    permute = f"llvm.x86.avx512.permvar.{'qi' if size == 1 else 'hi'}.512" if whole else "llvm.x86.avx2.pshuf.b"
    table_type, in_bytes = ir.VectorType(element, 16 // size), ir.VectorType(I8, BYTES // parts)

    def look_up(builder, sums, chosen):
        if whole:
            return _call(builder, permute, vector, sums, chosen)
        own = (builder.bitcast(each, in_bytes) for each in (sums, chosen))
        return builder.bitcast(_call(builder, permute, in_bytes, *own), vector)

    def one_run(builder, table, column_step, index, entry_step, begin, count, held, part, column):
        with cgutils.for_range(builder, count) as loop:
            entry = builder.add(begin, loop.index)
            own = builder.add(table, builder.mul(entry, ir.Constant(I64, entry_bytes(element.width))))
            bits = builder.add(index, builder.mul(entry, entry_step))
            held_tables = []
            for c in range(side):
                offset = builder.mul(column_step, ir.Constant(I64, column + c))
                if whole:
                    held_tables.append(builder.load(_at(builder, own, offset, vector), align=BYTES))
                elif lookup:
                    sums = builder.load(_at(builder, own, offset, table_type), align=16)
                    twice = ir.Constant(ir.VectorType(I32, lanes), [*range(16 // size)] * 2)
                    held_tables.append(builder.shuffle_vector(sums, sums, twice))
                else:
                    held_tables.append(_splat(builder, builder.load(_at(builder, own, offset, element)), lanes))
            for bit in range(BITS):
                place = _at(builder, bits, (part * BITS + bit) * BYTES // parts, vector)  # whole cache lines
                chosen = builder.load(place, align=BYTES // parts)
                for c in range(side):
                    value = (look_up if lookup else ir.IRBuilder.and_)(builder, held_tables[c], chosen)
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
                                place = _at(builder, at, (part * BITS + bit) * step, target)
                                if wide != element:
                                    value = builder.sext(value, target)
                                    before = builder.load(place, align=32)
                                    before = builder.select(first, ir.Constant(target, [0] * lanes), before)
                                    value = builder.add(before, value)
                                builder.store(value, place, align=32)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 8), codegen

    return accumulate


accumulate_bytes = _accumulate(I8, I16)
accumulate_words = _accumulate(I16, I16)
accumulate_long = _accumulate(I16, I32)


@intrinsic
def convert_shift(typingctx, sums, plane_step, planes, weights, curve, out, weight, blocks):
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


settle16 = _settle(I16, "none")
settle32 = _settle(I32, "none")
settle16_even = _settle(I16, "even")
settle32_even = _settle(I32, "even")
settle16_cell = _settle(I16, "cell")
settle32_cell = _settle(I32, "cell")


@intrinsic
def stairs(typingctx, values, lanes, planes, curve, weights, out):
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
