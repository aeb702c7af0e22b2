"""Compiled loops around the fused analog product: input bits in, outputs turned back, keys of random draws."""

# pyright: reportCallIssue=false
# (Numba itself passes the first argument of an intrinsic.)
from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import intrinsic


@njit(cache=True, nogil=True)
def _splitmix(value):
    z = value + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def draw_keys(key, first, low, high):
    """Row keys of every conversion, in two halves [chunks, groups, banks, planes, lanes]; `first` is a vector."""
    chunks, groups, banks, planes, lanes = low.shape
    per_vector = np.uint64(groups * planes * banks)
    for chunk in range(chunks):
        for group in range(groups):
            for bank in range(banks):
                for plane in range(planes):
                    place = np.uint64((group * planes + plane) * banks + bank)
                    below, above = low[chunk, group, bank, plane], high[chunk, group, bank, plane]
                    for lane in range(lanes):
                        vector = np.uint64(first + chunk * lanes + lane)
                        row = _splitmix((vector * per_vector + place) ^ key)
                        below[lane] = np.uint32(row & np.uint64(0xFFFFFFFF))
                        above[lane] = np.uint32(row >> np.uint64(32))


@intrinsic
def _ones(typingctx, word):
    """Bits set in a uint32: one instruction for 16 of them where the processor has it."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.uint32(types.uint32), codegen


@njit(cache=True, nogil=True)
def count_bits(codes, starts, planes):
    """(bits set in the lowest `planes`, planes of a group with none) of `codes` [vectors, inputs]."""
    mask = np.uint32((np.int64(1) << planes) - 1)
    driven, empty = np.int64(0), np.int64(0)
    for vector in range(codes.shape[0]):
        for group in range(len(starts) - 1):
            seen, own = np.uint32(0), np.uint32(0)
            line = codes[vector, starts[group] : starts[group + 1]]
            for row in range(len(line)):
                word = np.uint32(np.uint32(line[row]) & mask)
                seen = np.uint32(seen | word)
                own = np.uint32(own + _ones(word))
            driven += np.int64(own)
            empty += planes - np.int64(_ones(seen))
    return driven, empty


@njit(cache=True, nogil=True)
def count_digits(codes, starts, bits, planes, bipolar, rows_per_read):
    """(sum of digits driven, planes of a group with none, reads of so many rows) of `codes` [vectors, inputs].

    Digits have `bits` bits each; `bipolar`: the last one has a sign.
    """
    mask, places = (np.int64(1) << bits) - 1, bits * np.arange(planes)
    driven, empty, reads = np.int64(0), np.int64(0), np.int64(0)
    ones = np.empty(planes, np.int64)
    for vector in range(codes.shape[0]):
        for group in range(len(starts) - 1):
            ones[:] = 0
            for row in range(starts[group], starts[group + 1]):
                word = np.int64(codes[vector, row])
                for plane in range(planes):
                    digit = (word >> places[plane]) & mask
                    if bipolar and plane == planes - 1 and digit > mask // 2:
                        digit = mask + 1 - digit
                    driven += digit
                    ones[plane] += digit > 0
            for plane in range(planes):
                empty += ones[plane] == 0
                reads += -(-ones[plane] // rows_per_read) if rows_per_read else 0
    return driven, empty, reads


@njit(cache=True, nogil=True)
def add_digits(codes, bits, planes, bipolar, first, totals):
    """Adds the digits of `codes` [vectors, inputs] to `totals` [copies, inputs]: vector i to copy (first + i) % copies.

    Digits as in `count_digits`.
    """
    mask, places = (np.int64(1) << bits) - 1, bits * np.arange(planes)
    ones = np.uint32((np.int64(1) << planes) - 1)
    for vector in range(codes.shape[0]):
        line, own = codes[vector], totals[(first + vector) % totals.shape[0]]
        if bits == 1:
            for row in range(len(line)):
                own[row] += np.int64(_ones(np.uint32(np.uint32(line[row]) & ones)))
        else:
            for row in range(len(line)):
                for plane in range(planes):
                    digit = (np.int64(line[row]) >> places[plane]) & mask
                    own[row] += mask + 1 - digit if bipolar and plane == planes - 1 and digit > mask // 2 else digit


@njit(cache=True, nogil=True)
def turn(totals, count, out):
    """`out[vector, output] = totals[output, vector]` for the first `count` vectors, in blocks that fit the cache."""
    for first in range(0, totals.shape[0], 16):
        last = min(first + 16, totals.shape[0])
        for vector in range(count):
            for output in range(first, last):
                out[vector, output] = totals[output, vector]


@njit(cache=True, nogil=True, error_model="numpy")
def pack_inputs(codes, starts, entry_starts, rows_per_entry, mark, sides, shifts, index, ones, turned):
    """Fills `index` [chunks, entries, bits, lanes] and `ones` [chunks, groups, bits, lanes] from `codes`.

    Bit j is bit `shifts[j]` of the code (`sides[j]` 0), of its positive part (1) or of its negative part (2); `ones`
    counts the rows where it is set. Row r of an entry sets `mark << r` in its index. `turned` [sides, rows, lanes] is
    scratch: vectors side by side, of a few entries at a time.
    """
    lanes, together = index.shape[3], turned.shape[1] // rows_per_entry
    for chunk in range(index.shape[0]):
        first = chunk * lanes
        count = min(lanes, codes.shape[0] - first)
        if count < lanes:
            turned[:] = 0
        for group in range(len(starts) - 1):
            entries = entry_starts[group + 1] - entry_starts[group]
            for begin in range(0, entries, together):
                low = starts[group] + begin * rows_per_entry
                inputs = min(together * rows_per_entry, starts[group + 1] - low)
                for lane in range(count):
                    line = codes[first + lane, low : low + inputs]
                    for row in range(inputs):
                        turned[0, row, lane] = line[row]
                if turned.shape[0] > 1:
                    for row in range(inputs):
                        whole, above, below = turned[0, row], turned[1, row], turned[2, row]
                        for lane in range(lanes):
                            above[lane] = max(whole[lane], np.int32(0))
                            below[lane] = max(np.int32(-whole[lane]), np.int32(0))
                for entry in range(begin, min(begin + together, entries)):
                    row = (entry - begin) * rows_per_entry
                    rows = min(rows_per_entry, inputs - row)
                    place = index[chunk, entry_starts[group] + entry]
                    for bit in range(len(shifts)):
                        word, own, shift = place[bit], ones[chunk, group, bit], shifts[bit]
                        for r in range(rows):
                            source, own_mark = turned[sides[bit], row + r], np.int32(mark << r)
                            for lane in range(lanes):
                                one = np.int32(np.int32(source[lane] >> shift) & np.int32(1))
                                own[lane] += one
                                word[lane] |= np.int32(-one & own_mark)


@njit(cache=True, nogil=True)
def pack_sparse(index, starts, entry_starts, rows_per_entry, mark, terms, rows_per_read, reads, planes, spread, ones):
    """Deals the set rows of each plane of `index` to its reads, in order: fills `spread` and its `ones`."""
    for chunk in range(index.shape[0]):
        for group in range(len(starts) - 1):
            for plane in range(planes):
                for lane in range(index.shape[3]):
                    seen = 0
                    for row in range(starts[group + 1] - starts[group]):
                        entry, r = entry_starts[group] + row // rows_per_entry, row % rows_per_entry
                        place, driven = plane * reads + seen // rows_per_read, 0
                        for term in range(terms):
                            if index[chunk, entry, plane * terms + term, lane] & (mark << r):
                                driven = 1
                                spread[chunk, entry, place * terms + term, lane] |= mark << r
                                ones[chunk, group, place * terms + term, lane] += 1
                        seen += driven
