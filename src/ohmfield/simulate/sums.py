"""What encodings and zero points take off an output: multiples of the sum of the inputs, counted or read.

A counter knows the sum exactly. Reference columns read it: a column of ones beside the weights of each array, and under
a pedestal a column of g_min, with cells, errors and conversions of their own. Their error is common to all columns of
their array.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from ohmfield._kernels.crossbar import LoweredArray
from ohmfield._kernels.crossbar_fast import fast
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import Slices
from ohmfield.numerics import Noise
from ohmfield.simulate.conversion import Causes, Driving, hardware_step, output_step, pedestal_levels, signed_conversion
from ohmfield.simulate.lower import Columns, Stored, bank_octaves, lower, plain_scale
from ohmfield.spec import InputError

Column = Literal["ones", "pedestal"]
Counts = dict[str, float]


def reference_kinds(crossbar: Crossbar) -> tuple[Column, ...]:
    """The reference columns of one array, in their order."""
    if not crossbar.reference_columns:
        return ()
    ones: tuple[Column, ...] = ("ones",) if crossbar.array.written.needs_sum else ()
    return (*ones, "pedestal") if crossbar.cell.g_min_uS > 0.0 else ones


def reference_slices(crossbar: Crossbar, inputs: int, blocks: int) -> Slices:
    """What the reference columns store: level 1 or 0 in every row, one column of each kind beside every block."""
    levels = np.array([int(kind == "ones") for kind in reference_kinds(crossbar)], dtype=np.int64)
    digits = np.broadcast_to(levels[None, :, None, None], (inputs, len(levels), 1, blocks)).copy()
    return Slices(digits, np.ones(len(levels), dtype=np.int64), (1,), 0, 1, np.array([0, inputs]))


@dataclass(frozen=True, eq=False)
class Reference:
    """One kind of reference column of one copy: an array of one bank per part of the rows, a column per block."""

    arrays: tuple[LoweredArray, ...]
    step: float  # levels that one unit of their outputs counts

    def read(self, codes: np.ndarray, starts: Sequence[int], noise: Noise, first: int) -> tuple[np.ndarray, Counts]:
        """float64 [parts, vectors, blocks] in cell levels, and what the reads counted."""
        parts, counts = [], Counts()
        for number, array in enumerate(self.arrays):
            rows = codes[:, starts[number] : starts[number + 1]]
            out, made = fast(array, np.ascontiguousarray(rows), noise.at("part", number), first)
            parts.append(out * self.step)
            counts["conversions"] = counts.get("conversions", 0.0) + made["conversions"]
        return np.stack(parts), counts


@dataclass(frozen=True, eq=False)
class SumCorrection:
    """`sum over row groups of per_sum[group] * (sum of inputs)` in levels, and how that sum is known.

    `per_sum` is [1, 1] or [1, outputs] where all groups agree. With references, `per_pedestal` is what one level of a
    pedestal would add to an output. `block_of` is the array beside which an output stands.
    """

    per_sum: Float[np.ndarray, "parts outputs"]
    starts: tuple[int, ...]  # of the parts
    per_pedestal: Float[np.ndarray, "parts outputs"] | None = None
    block_of: Int[np.ndarray, " outputs"] | None = None
    references: tuple[dict[Column, Reference], ...] = ()  # per copy; empty: counted

    def __bool__(self) -> bool:
        return bool(self.references) or bool(self.per_sum.any())

    def of_copy(self, copy: int) -> SumCorrection:
        """The correction of one copy."""
        return replace(self, references=self.references[copy : copy + 1])

    def levels(
        self, codes: Int[np.ndarray, "vectors inputs"], copy: int, noise: Noise, first: int
    ) -> tuple[Float[np.ndarray, "vectors outputs"], Counts]:
        """What is to be taken off, in cell levels, and what reading it counted."""
        if not self.references:
            total = np.add.reduceat(codes, self.starts[:-1], axis=1, dtype=np.int64)
            return total @ self.per_sum, {}
        assert self.per_pedestal is not None
        assert self.block_of is not None
        found, counts = 0.0, Counts()
        for kind, reference in self.references[copy].items():
            read, made = reference.read(codes, self.starts, noise.at("reference", kind), first)
            # The column of ones reads its pedestal too; the other one takes it off where weights count the sum.
            per_read = self.per_sum if kind == "ones" else self.per_pedestal - self.per_sum
            found = found + np.einsum("pvo,po->vo", read[:, :, self.block_of], per_read)
            counts["conversions"] = counts.get("conversions", 0.0) + made["conversions"]
        return np.asarray(found), counts


def sum_correction(
    slices: Slices,
    crossbar: Crossbar,
    driving: Driving,
    causes: Causes,
    zero: np.ndarray | float,
    blocks: Int[np.ndarray, " outputs"],
    references: Sequence[Stored],
) -> SumCorrection:
    """The correction of a layer. `zero` is the zero point of its weights, `references` what each copy stores."""
    outputs = slices.digits.shape[3]
    per_sum = slices.sum_weights() + np.asarray(zero, dtype=np.float64).reshape(1, -1)
    if crossbar.array.averages:  # the pedestal comes off where factors have undone the division
        per_sum = per_sum + pedestal_levels(crossbar) * slices.bank_weights(crossbar.array.subtract).sum()
    per_sum = np.broadcast_to(per_sum, (len(per_sum), outputs))
    starts = [0, len(slices.digits)] if len(per_sum) == 1 else [int(start) for start in slices.starts]
    if not references:
        return SumCorrection(per_sum, tuple(starts))
    banks = slices.bank_weights(crossbar.array.subtract)
    pedestal = banks.sum(axis=1) if banks.ndim == 3 else np.full((1, outputs), banks.sum())
    copies = tuple(_references(stored, starts, crossbar, driving, causes) for stored in references)
    return SumCorrection(per_sum, tuple(starts), pedestal.astype(np.float64), blocks, copies)


def _references(
    stored: Stored, starts: list[int], crossbar: Crossbar, driving: Driving, causes: Causes
) -> dict[Column, Reference]:
    """The reference columns of one copy; `stored` has them as banks and a column per block."""
    gain = reference_gain(crossbar, driving)
    step = output_step(crossbar, driving, causes) * (_ratio(crossbar, driving, gain) if causes.rounding else 1.0)
    made: dict[Column, Reference] = {}
    for bank, kind in enumerate(reference_kinds(crossbar)):
        arrays = []
        for low, high in pairwise(starts):
            inside = (driving.starts[:-1] >= low) & (driving.starts[:-1] < high)
            cut = replace(
                stored,
                levels=stored.levels[low:high, bank : bank + 1],
                read_std=None if stored.read_std is None else stored.read_std[low:high, bank : bank + 1],
                circuits=None,
                columns=_converters(stored.columns, inside, bank),
            )
            groups = driving.starts[(driving.starts >= low) & (driving.starts <= high)] - low
            driven = replace(driving, starts=groups, gains=(gain,))
            column = Slices(cut.levels[:, :, None].astype(np.int64), np.array([1]), (1,), 0, 1, groups)
            arrays.append(lower(cut, column, crossbar, driven, causes))
        made[kind] = Reference(tuple(arrays), step * stored.scale)
    return made


def _converters(columns: Columns, inside: np.ndarray, bank: int) -> Columns:
    """Those of one reference column at some of the row groups."""
    gain, offset = (
        None if values is None else (values if len(values) == 1 else values[inside])[:, bank : bank + 1]
        for values in (columns.gain, columns.offset_lsb)
    )
    return Columns(gain, offset)


def reference_is_exact(crossbar: Crossbar, driving: Driving) -> bool:
    """Whether ideal reference columns are converted without loss: whole levels, and a range that holds them."""
    step = hardware_step(crossbar, driving.signed_input) / reference_gain(crossbar, driving)
    high = crossbar.adc.limits(signed_conversion(crossbar, driving.signed_input))[1]
    return step == 1.0 and _largest(crossbar) <= high and pedestal_levels(crossbar).is_integer()


def _largest(crossbar: Crossbar) -> float:
    """A column of ones with every row driven, in levels."""
    return crossbar.array.rows_active * (2**crossbar.dac.bits - 1) * (1.0 + pedestal_levels(crossbar))


def reference_gain(crossbar: Crossbar, driving: Driving) -> float:
    """The largest gain whose range still holds a column of ones with every row driven.

    Of those that a shift brings to the finest step of the layer, or the declared multiplier of a digital correction:
    `InputError` where only others hold it. Where none does, the one that holds most.
    """
    largest, step = _largest(crossbar), hardware_step(crossbar, driving.signed_input)
    high = crossbar.adc.limits(signed_conversion(crossbar, driving.signed_input))[1]
    post, finest = crossbar.adc.post_calibration, max(driving.gains)
    free = post is not None and post.fit == "scale_shift"
    offered = sorted({*crossbar.adc.choices(), finest})
    reached = [gain for gain in offered if _shifted(finest / gain) or (free and gain < finest)]
    holding = [gain for gain in offered if np.floor(largest * gain / step + 0.5) <= high]
    both = [gain for gain in reached if gain in holding]
    if holding and not both:
        raise InputError(
            f"at gain {finest:g} of a layer no gain a power of two from it holds a reference column of ones: "
            "use adc.gains in powers of two, array.sum_x digital, or declare adc.post_calibration scale_shift"
        )
    return max(both, default=min(reached))


def _shifted(ratio: float) -> bool:
    """Whether a shift does for a multiplication by it."""
    octaves = math.log2(ratio)
    return abs(octaves - round(octaves)) < 1e-9


def _ratio(crossbar: Crossbar, driving: Driving, gain: float) -> float:
    """Steps at `gain` over the finest of the layer, as far as a shift, or else the declared multiplier, knows it."""
    steps = np.array([max(driving.gains) / gain, 1.0])
    if _shifted(steps[0]):
        return float(2.0 ** round(math.log2(steps[0])))
    scale = float(plain_scale(crossbar, steps)[0]) / 2.0**crossbar.adc.fraction_bits
    return scale * float(2.0 ** bank_octaves(steps)[0])
