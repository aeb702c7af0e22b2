"""The analog product, fused: four rows at a time from small tables, converted while still in registers.

A plane drives each row with a digit of 1, 2 or 4 bits, so four input bits select one of 16 possible sums of the rows
they drive. Those sums are tabulated once per array; a vector then costs one load-and-add per four bits and 32 columns,
with no multiply and no instruction that only some processors have. Accumulators are exact integers (int16 where every
sum fits, else int32), so the codes are those of `crossbar.reference`, noise included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from ohmfield._kernels.crossbar import LoweredArray, reference
from ohmfield._kernels.threads import run_parallel
from ohmfield.numerics import GOLDEN, MIX_1, MIX_2, NORMAL_A, NORMAL_B, Noise

CHUNK = 256  # vectors per job: their inputs and sums stay in the second-level cache
UNIT = 4  # planes accumulated side by side: enough independent adds to keep the load ports busy
LANES = 16  # columns of one conversion vector; banks are padded to it
I8, I16, I32, I64, F32 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()


@dataclass(frozen=True, eq=False)
class Packed:
    """A `LoweredArray` laid out for the kernel; columns are bank-major, each bank padded to `LANES`."""

    table: np.ndarray  # int16 | int32 [tiles, entries, 16, lanes of one 512-bit vector]
    variance: np.ndarray  # the same for per-cell read variance, or empty
    entry_starts: np.ndarray  # int64 [groups + 1]
    bank_of: np.ndarray  # int64 [chunks]: bank of every 16 columns
    column_of: np.ndarray  # int64 [chunks]: first output of every 16 columns
    scale: np.ndarray  # float32 [banks]; 0 sends the bank through its code table
    shift: np.ndarray  # int16 [banks]; all >= 0 when every step is a power of two and sums fit 16 bits


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
    if array.offset:
        out -= array.offset * codes.sum(axis=1, keepdims=True, dtype=np.int64)
    driven, zero_planes = counts.sum(axis=0)
    conversions = float(array.conversions_per_vector) * len(codes)
    return out, {
        "vectors": float(len(codes)),
        "driven": float(driven),
        "conversions": conversions,
        "zero_planes": float(zero_planes),
    }


def refused(array: LoweredArray) -> str:
    """Why this array runs on the reference, or an empty string."""
    if array.dac_bits not in (1, 2, 4):
        return f"digits of {array.dac_bits} bits have no 16-entry table"
    if array.signed_input and array.dac_bits > 1:
        return "a signed multi-bit digit needs tables of its own"
    if array.num_planes * array.dac_bits > 16:
        return "inputs of more than 16 bits"
    if _largest_sum(array) >= 2**30:
        return "column sums exceed 30 bits"
    if len(array.starts) > 1 and int(np.diff(array.starts).max()) * (2**array.dac_bits - 1) >= 2**15:
        return "more rows in one group than a row count holds"
    return ""


def _largest_sum(array: LoweredArray) -> int:
    size = np.abs(array.levels.astype(np.int64))
    largest = 0
    for low, high in zip(array.starts[:-1], array.starts[1:], strict=True):
        largest = max(largest, int(size[low:high].sum(axis=0).max(initial=0)))
    return largest * (2**array.dac_bits - 1)


def pack(array: LoweredArray) -> Packed:
    """The kernel's layout of `array`, made once and kept on it."""
    made = array.__dict__.get("_packed")
    if made is None:
        made = _pack(array)
        array.__dict__["_packed"] = made
    return made


def _pack(array: LoweredArray) -> Packed:
    small = _largest_sum(array) < 2**15
    dtype = np.int16 if small else np.int32
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
    scale, shift = _staircase(array, small)
    return Packed(
        table=table,
        variance=variance,
        entry_starts=entry_starts,
        bank_of=np.repeat(np.arange(array.num_banks), per_bank)[:chunks],
        column_of=np.tile(np.arange(per_bank) * LANES, array.num_banks),
        scale=scale,
        shift=shift,
    )


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
    for group, (low, high) in enumerate(zip(array.starts[:-1], array.starts[1:], strict=True)):
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
    _pack_inputs(codes, array.starts, packed.entry_starts, array.dac_bits, index, driven)
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
        _product_shift(packed.table, index, places, steps, out)
    else:
        curve = (packed.scale, array.codes, np.int64(array.first), *steps[1:])
        read = (packed.variance, np.float32(unit), fixed.astype(np.float32), sigma.astype(np.float32))
        run = (np.uint64(key), np.int64(first), noisy, per_cell, planes)
        _product_general(packed.table, index, driven, places, curve, read, run, pedestal, out)
    if array.pedestal_code is not None:
        for bank in range(banks):
            removed = array.pedestal_code[bank][driven]  # [vectors, groups, planes]
            out -= int(array.bank_weights[bank]) * (removed * array.plane_weights).sum(axis=(1, 2))[:, None]


# ---- vector code: plain LLVM vectors, which every target lowers to what it has ----------------------------------------


def _address(builder, base, element):
    return builder.inttoptr(base, element.as_pointer())


def _splat(builder, value, lanes):
    vector = ir.VectorType(value.type, lanes)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(I32, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))


def _constant(kind, value, lanes):
    return ir.Constant(ir.VectorType(kind, lanes), [value] * lanes)


def _call(builder, name, vector, *args):
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(vector, [vector] * len(args)), f"llvm.{name}.{_suffix(vector)}"
    )
    return builder.call(function, args)


def _suffix(vector):
    return f"v{vector.count}{'f32' if vector.element == F32 else f'i{vector.element.width}'}"


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
                where = builder.add(index, builder.mul(loop.index, stride))
                bits = builder.zext(builder.load(_address(builder, where, I32), align=4), I64)
                for plane in range(UNIT):
                    picked = builder.and_(builder.lshr(bits, ir.Constant(I64, 8 * plane)), ir.Constant(I64, 255))
                    offset = builder.shl(picked, ir.Constant(I64, 2))
                    row = builder.load(_address(builder, builder.add(base, offset), vector), align=64)
                    builder.store(builder.add(builder.load(held[plane]), row), held[plane])
            target = _address(builder, sums, vector)
            for plane in range(UNIT):
                place = builder.gep(target, [ir.Constant(I64, plane)])
                builder.store(builder.load(held[plane]), place, align=64)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64, types.int64, types.int64), codegen

    return accumulate


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
        half, shift, low, high = (
            builder.load(builder.gep(limits, [ir.Constant(I64, k)]), align=64) for k in range(4)
        )
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


@intrinsic
def _draw(typingctx, key, column, sigma, values):
    """Add `floor(sigma * normal + 1/2)` to 16 int32 `values`; `sigma` points at 16 float32, `key` is the row key."""

    def codegen(context, builder, signature, args):
        key, column, sigma, values = args
        lanes = ir.VectorType(I32, LANES)
        low = _splat(builder, builder.trunc(key, I32), LANES)
        high = _splat(builder, builder.trunc(builder.lshr(key, ir.Constant(I64, 32)), I32), LANES)
        columns = builder.add(
            _splat(builder, builder.trunc(column, I32), LANES), ir.Constant(lanes, list(range(LANES)))
        )

        def fold(x, bits):
            return builder.xor(x, builder.lshr(x, _constant(I32, bits, LANES)))

        x = builder.add(builder.mul(columns, _constant(I32, GOLDEN, LANES)), low)
        x = builder.mul(fold(x, 16), _constant(I32, MIX_1, LANES))
        x = builder.mul(fold(builder.xor(x, high), 15), _constant(I32, MIX_2, LANES))
        x = fold(x, 15)
        bytes_mask = _constant(I32, 0x00FF00FF, LANES)
        eight, sixteen = _constant(I32, 8, LANES), _constant(I32, 16, LANES)
        pairs = builder.add(builder.and_(x, bytes_mask), builder.and_(builder.lshr(x, eight), bytes_mask))
        total = builder.add(
            builder.and_(pairs, _constant(I32, 0xFFFF, LANES)), builder.lshr(pairs, sixteen)
        )
        floats = ir.VectorType(F32, LANES)
        z = builder.fsub(builder.sitofp(total, floats), _constant(F32, 510.0, LANES))
        cubic = builder.fmul(_constant(F32, float(NORMAL_B), LANES), builder.fmul(z, z))
        normal = builder.fmul(z, builder.fadd(_constant(F32, float(NORMAL_A), LANES), cubic))
        spread = builder.load(_address(builder, sigma, floats), align=4)
        drawn = builder.fadd(builder.fmul(spread, normal), _constant(F32, 0.5, LANES))
        drawn = builder.fptosi(_call(builder, "floor", floats, drawn), lanes)
        target = _address(builder, values, lanes)
        builder.store(builder.add(builder.load(target, align=4), drawn), target, align=4)
        return context.get_dummy_value()

    return types.void(types.uint64, types.int64, types.int64, types.int64), codegen


@intrinsic
def _stairs(typingctx, values, scale, low, high, weight, out):
    """Add `weight * clip(floor(value * scale + 1/2), low, high)` of 16 int32 `values` to `out` (int32)."""

    def codegen(context, builder, signature, args):
        values, scale, low, high, weight, out = args
        lanes, floats = ir.VectorType(I32, LANES), ir.VectorType(F32, LANES)
        value = builder.sitofp(builder.load(_address(builder, values, lanes), align=4), floats)
        code = builder.fadd(builder.fmul(value, _splat(builder, scale, LANES)), _constant(F32, 0.5, LANES))
        code = builder.fptosi(_call(builder, "floor", floats, code), lanes)
        code = _call(builder, "smax", lanes, code, _splat(builder, low, LANES))
        code = _call(builder, "smin", lanes, code, _splat(builder, high, LANES))
        target = _address(builder, out, lanes)
        added = builder.mul(code, _splat(builder, weight, LANES))
        builder.store(builder.add(builder.load(target, align=4), added), target, align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.float32, types.int32, types.int32, types.int32, types.int64), codegen


@intrinsic
def _spread(typingctx, word, plane, dac_bits, gather, index, driven):
    """Write the table index of `UNIT` planes of one entry and add their digits to `driven` (int64)."""

    def codegen(context, builder, signature, args):
        word, plane, dac_bits, gather, index, driven = args
        lanes = ir.VectorType(I64, UNIT)
        numbers = builder.add(_splat(builder, plane, UNIT), ir.Constant(lanes, list(range(UNIT))))
        shifts = builder.mul(numbers, _splat(builder, dac_bits, UNIT))
        digit = builder.sub(builder.shl(ir.Constant(I64, 1), dac_bits), ir.Constant(I64, 1))
        everywhere = _constant(I64, 0x0001000100010001, UNIT)
        mask = builder.mul(everywhere, _splat(builder, digit, UNIT))
        digits = builder.and_(builder.lshr(_splat(builder, word, UNIT), shifts), mask)
        bits = builder.lshr(builder.mul(digits, _splat(builder, gather, UNIT)), _constant(I64, 48, UNIT))
        bits = builder.shl(builder.and_(bits, _constant(I64, 15, UNIT)), _constant(I64, 4, UNIT))
        small = ir.VectorType(I8, UNIT)
        builder.store(builder.trunc(bits, small), _address(builder, index, small), align=4)
        total = builder.lshr(builder.mul(digits, everywhere), _constant(I64, 48, UNIT))
        target = _address(builder, driven, lanes)
        builder.store(builder.add(builder.load(target, align=8), total), target, align=8)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), codegen


@njit(cache=True, nogil=True)
def _pack_inputs(codes, starts, entry_starts, dac_bits, index, driven):
    """Four input bits per entry and plane, times 16: with the scale of 4 in an address this is a 64-byte offset.

    The rows of an entry stand 16 bits apart in one word; a product with `gather` brings one digit of each together.
    """
    rows_per_entry = 4 // dac_bits
    gather = np.int64(0)
    for r in range(rows_per_entry):
        gather |= np.int64(1) << np.int64(48 - (16 - dac_bits) * r)
    stride = index.shape[2]
    for vector in range(codes.shape[0]):
        for group in range(len(starts) - 1):
            low, high = starts[group], starts[group + 1]
            at_driven = np.int64(driven.ctypes.data) + (vector * driven.shape[1] + group) * stride * 8
            for entry in range(entry_starts[group + 1] - entry_starts[group]):
                row = low + entry * rows_per_entry
                word = np.int64(0)
                for r in range(min(rows_per_entry, high - row)):
                    word |= np.int64(codes[vector, row + r] & 0xFFFF) << np.int64(16 * r)
                place = (vector * index.shape[1] + entry_starts[group] + entry) * stride
                for plane in range(0, stride, UNIT):
                    _spread(word, plane, dac_bits, gather, np.int64(index.ctypes.data) + place + plane, at_driven + plane * 8)


@njit(cache=True, nogil=True)
def _aligned(size):
    """A byte buffer and the address of its first 64-byte boundary."""
    buffer = np.zeros(size + 64, dtype=np.uint8)
    return buffer, (np.int64(buffer.ctypes.data) + 63) & ~63


@njit(cache=True, nogil=True)
def _product_shift(table, index, places, steps, out):
    """Sums and power-of-two conversions in int16; `out` [vectors, outputs] gains the weighted codes."""
    entry_starts, bank_of, column_of, bank_weights, plane_weights = places
    shift, low, high = steps
    vectors, stride = index.shape[0], index.shape[2]
    source = np.int64(table.ctypes.data)
    hold_sums, sums = _aligned(UNIT * 64)
    hold_total, total = _aligned(vectors * 128)
    hold_curve, curve = _aligned(4 * 64)
    totals = hold_total[total - np.int64(hold_total.ctypes.data) :][: vectors * 128].view(np.int32).reshape(vectors, 32)
    curves = hold_curve[curve - np.int64(hold_curve.ctypes.data) :][:256].view(np.int16).reshape(4, 32)
    weights = np.zeros(UNIT + 1, dtype=np.int16)
    hold_sums[0] = 0
    for tile in range(table.shape[0]):
        totals[:] = 0
        for lane in range(32):
            chunk = min(tile * 2 + lane // LANES, len(bank_of) - 1)
            bank = bank_of[chunk]
            curves[0, lane] = (1 << shift[bank]) >> 1
            curves[1, lane] = shift[bank]
            curves[2, lane] = low[bank]
            curves[3, lane] = high[bank]
        for group in range(len(entry_starts) - 1):
            begin = entry_starts[group]
            entries = entry_starts[group + 1] - begin
            base = source + (tile * table.shape[1] + begin) * 1024
            for unit in range(stride // UNIT):
                scale = max(1, abs(plane_weights[unit * UNIT]))
                for plane in range(UNIT):
                    weights[plane] = plane_weights[unit * UNIT + plane] // scale
                weights[UNIT] = scale
                for vector in range(vectors):
                    bits = np.int64(index.ctypes.data) + (vector * index.shape[1] + begin) * stride + unit * UNIT
                    _accumulate16(base, bits, stride, entries, sums)
                    _convert_shift(sums, np.int64(weights.ctypes.data), curve, total + vector * 128)
        for half in range(2):
            chunk = tile * 2 + half
            if chunk >= len(bank_of):
                continue
            weight = bank_weights[bank_of[chunk]]
            column = column_of[chunk]
            for vector in range(vectors):
                for lane in range(min(LANES, out.shape[1] - column)):
                    out[vector, column + lane] += weight * totals[vector, half * LANES + lane]


@njit(cache=True, nogil=True)
def _splitmix(value):
    z = value + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def _product_general(table, index, driven, places, curve, read, run, pedestal, out):
    """Any staircase or code table, pedestals, converter noise and read noise; sums in int16 or int32."""
    entry_starts, bank_of, column_of, bank_weights, plane_weights = places
    scale, codes, first_value, low, high = curve
    variance, unit_variance, fixed, sigma_of = read
    key, first_vector, noisy, per_cell, planes = run
    groups, banks = len(entry_starts) - 1, len(bank_weights)
    vectors, stride = index.shape[0], index.shape[2]
    source = np.int64(table.ctypes.data)
    spread_source = np.int64(variance.ctypes.data)
    small = table.itemsize == 2
    lanes = 32 if small else 16
    hold, sums = _aligned(UNIT * 64)
    hold_spread, spreads = _aligned(UNIT * 64)
    raw = hold[sums - np.int64(hold.ctypes.data) :][: UNIT * 64]
    raw_spread = hold_spread[spreads - np.int64(hold_spread.ctypes.data) :][: UNIT * 64]
    sums16, sums32 = raw.view(np.int16).reshape(UNIT, 32), raw.view(np.int32).reshape(UNIT, 16)
    spread16, spread32 = raw_spread.view(np.int16).reshape(UNIT, 32), raw_spread.view(np.int32).reshape(UNIT, 16)
    totals = np.zeros((vectors, lanes), dtype=np.int32)
    value = np.zeros(LANES, dtype=np.int32)
    sigma = np.zeros(LANES, dtype=np.float32)
    at_value, at_sigma = np.int64(value.ctypes.data), np.int64(sigma.ctypes.data)
    for tile in range(table.shape[0]):
        totals[:] = 0
        for group in range(groups):
            begin = entry_starts[group]
            entries = entry_starts[group + 1] - begin
            offset = (tile * table.shape[1] + begin) * 1024
            for vector in range(vectors):
                for unit in range(stride // UNIT):
                    bits = np.int64(index.ctypes.data) + (vector * index.shape[1] + begin) * stride + unit * UNIT
                    if small:
                        _accumulate16(source + offset, bits, stride, entries, sums)
                    else:
                        _accumulate32(source + offset, bits, stride, entries, sums)
                    if noisy and per_cell:
                        if small:
                            _accumulate16(spread_source + offset, bits, stride, entries, spreads)
                        else:
                            _accumulate32(spread_source + offset, bits, stride, entries, spreads)
                    for within in range(min(UNIT, planes - unit * UNIT)):
                        plane = unit * UNIT + within
                        ones = driven[vector, group, plane]
                        weight = np.int32(plane_weights[plane])
                        for half in range(lanes // LANES):
                            chunk = tile * (lanes // LANES) + half
                            if chunk >= len(bank_of):
                                continue
                            bank, column = bank_of[chunk], column_of[chunk]
                            for lane in range(LANES):
                                v = np.int32(sums16[within, half * LANES + lane]) if small else sums32[within, lane]
                                value[lane] = v + pedestal[ones]
                            if noisy:
                                if per_cell:
                                    for lane in range(LANES):
                                        cells = spread16[within, half * LANES + lane] if small else spread32[within, lane]
                                        sigma[lane] = np.sqrt(np.float32(cells) * unit_variance + fixed[bank])
                                else:
                                    sigma[:] = sigma_of[bank, ones]
                                place = (group * planes + plane) * banks + bank
                                number = np.uint64(first_vector + vector) * np.uint64(groups * planes * banks)
                                row = _splitmix((number + np.uint64(place)) ^ key)
                                _draw(row, column, at_sigma, at_value)
                            target = np.int64(totals.ctypes.data) + (vector * lanes + half * LANES) * 4
                            if scale[bank] > 0.0:
                                _stairs(at_value, scale[bank], low[bank], high[bank], weight, target)
                            else:
                                for lane in range(LANES):
                                    place = min(max(value[lane] - first_value, 0), codes.shape[1] - 1)
                                    totals[vector, half * LANES + lane] += weight * codes[bank, place]
        for half in range(lanes // LANES):
            chunk = tile * (lanes // LANES) + half
            if chunk < len(bank_of):
                for vector in range(vectors):
                    for lane in range(min(LANES, out.shape[1] - column_of[chunk])):
                        out[vector, column_of[chunk] + lane] += (
                            bank_weights[bank_of[chunk]] * totals[vector, half * LANES + lane]
                        )
