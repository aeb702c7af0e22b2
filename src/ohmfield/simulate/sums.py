"""What encodings and zero points take off an output: multiples of the sum of the inputs, counted or read.

A counter knows the sum exactly. Reference columns read it: a column of ones beside the weights of each array, and under
a pedestal a column of g_min, with cells, errors and conversions of their own. Their error is common to all columns of
their array.
"""

from __future__ import annotations

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
from ohmfield.simulate.lower import Stored, lower

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
    gain = _reference_gain(crossbar, driving.signed_input)
    step = output_step(crossbar, replace(driving, gains=(gain,)), causes)
    made: dict[Column, Reference] = {}
    for bank, kind in enumerate(reference_kinds(crossbar)):
        arrays = []
        for low, high in pairwise(starts):
            cut = Stored(
                stored.levels[low:high, bank : bank + 1],
                None if stored.read_std is None else stored.read_std[low:high, bank : bank + 1],
            )
            groups = driving.starts[(driving.starts >= low) & (driving.starts <= high)] - low
            driven = replace(driving, starts=groups, gains=(gain,))
            column = Slices(cut.levels[:, :, None].astype(np.int64), np.array([1]), (1,), 0, 1, groups)
            arrays.append(lower(cut, column, crossbar, driven, causes))
        made[kind] = Reference(tuple(arrays), step * stored.scale)
    return made


def reference_is_exact(crossbar: Crossbar, signed_input: bool) -> bool:
    """Whether ideal reference columns are converted without loss: whole levels, and a range that holds them."""
    step = hardware_step(crossbar, signed_input) / _reference_gain(crossbar, signed_input)
    high = crossbar.adc.limits(signed_conversion(crossbar, signed_input))[1]
    return step == 1.0 and _largest(crossbar) <= high and pedestal_levels(crossbar).is_integer()


def _largest(crossbar: Crossbar) -> float:
    """A column of ones with every row driven, in levels."""
    return crossbar.array.rows_active * (2**crossbar.dac.bits - 1) * (1.0 + pedestal_levels(crossbar))


def _reference_gain(crossbar: Crossbar, signed_input: bool) -> float:
    """The largest gain whose range still holds a column of ones with every row driven."""
    largest, step = _largest(crossbar), hardware_step(crossbar, signed_input)
    high = crossbar.adc.limits(signed_conversion(crossbar, signed_input))[1]
    holding = [gain for gain in crossbar.adc.gains if np.floor(largest * gain / step + 0.5) <= high]
    return max(holding, default=min(crossbar.adc.gains))
