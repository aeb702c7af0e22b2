"""One weight matrix on arrays: blocks of rows and columns, and the row groups that are read in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int

from ohmfield.chip.units import Crossbar, DigitalUnit, Unit
from ohmfield.mapping.workload import Operator
from ohmfield.quantities import Count, Number, ceil_div, floor_div, largest, smallest, uniform
from ohmfield.spec import InputError


@dataclass(frozen=True)
class Geometry:
    """What one array of a unit holds: stored rows, rows added at once, and whole weights side by side."""

    rows: Count
    rows_active: Count
    weights_per_row: Count
    columns_per_weight: Count  # physical columns (crossbar) or weight bits (digital) of one weight
    columns: Count  # of one array, its reference columns included


@dataclass(frozen=True, eq=False)
class Tiling:
    """How the matrices of an operator are cut. Row group g of one is inputs `starts[g] : starts[g + 1]`.

    The `groups` of a grouped operator are stored in `packs`: as many in one row group, one beside the other on rows and
    columns of their own, as its rows and columns hold. Packs lie below each other on the same columns, read in turn.
    Cells where the rows of one group cross the columns of another hold zero; they are written and read as any cell.

    All but `starts` and `pack_sizes` are numbers in closed form, so that arrays of designs are cut in one call.
    """

    operator: Operator
    geometry: Geometry
    packed: Count  # groups in a full pack

    @property
    def inputs(self) -> Count:
        """Inputs of a full pack."""
        return self.packed * self.operator.inputs

    @property
    def outputs(self) -> Count:
        """Outputs of a full pack."""
        return self.packed * self.operator.outputs

    @cached_property
    def blocks(self) -> Count:
        """Arrays one above the other that a full pack takes."""
        return ceil_div(self.inputs, self.geometry.rows)

    @cached_property
    def row_blocks(self) -> Count:
        """Arrays one above the other; their sums are added digitally, or belong to other packs."""
        return self.blocks * ceil_div(self.packs, self._packs_per_array)

    @cached_property
    def column_blocks(self) -> Count:
        """Arrays side by side; each is driven by the same inputs."""
        return ceil_div(self.outputs, self.geometry.weights_per_row)

    @property
    def arrays(self) -> Count:
        """Arrays of one copy."""
        return self.row_blocks * self.column_blocks

    @cached_property
    def row_groups(self) -> Count:
        """Row groups of one pack: the partial sums of one output."""
        held, full = self.geometry, floor_div(self.inputs, self.geometry.rows)
        rest = self.inputs - full * held.rows
        return full * ceil_div(held.rows, held.rows_active) + ceil_div(rest, held.rows_active)

    @cached_property
    def packs(self) -> Count:
        """Matrices that are stored and read apart."""
        return ceil_div(self.operator.groups, self.packed)

    @cached_property
    def _packs_per_array(self) -> Count:
        rows = ceil_div(self.geometry.rows, self.geometry.rows_active)
        return largest(1, floor_div(rows, self.row_groups))

    def array_of(self, pack: int) -> int:
        """Number of the first array, of those one above the other, that holds that pack."""
        return int(pack // self._packs_per_array * self.blocks)

    @cached_property
    def weights(self) -> Count:
        """Weights in use on all packs, zeros between groups included."""
        full = floor_div(self.operator.groups, self.packed)
        rest = self.operator.groups - full * self.packed
        return (full * self.packed**2 + rest**2) * (self.operator.inputs * self.operator.outputs)

    @cached_property
    def groups(self) -> Count:
        """Most row groups of one array, read one after the other."""
        one = ceil_div(smallest(self.inputs, self.geometry.rows), self.geometry.rows_active)
        return one * smallest(self.packs, self._packs_per_array)

    @property
    def utilisation(self) -> Number:
        """Share of the cells held that store a weight.

        (256 x 256 on four arrays of 256 x 512 columns, 8 columns a weight: all of them.)
        """
        held = self.arrays * self.geometry.rows * self.geometry.columns
        used = self.operator.groups * self.operator.inputs * self.operator.outputs
        return used * self.geometry.columns_per_weight / held

    def turns_of(self, share: float, rows: Number) -> Number:
        """Reads that take `share` of the rows of every group, at most `rows` at once: the sum of their ceilings."""
        return sum((ceil_div(size * share, rows) * times for size, times in self._group_sizes()), 0.0)

    def _group_sizes(self) -> Iterator[tuple[Number, Number]]:
        """(rows, how many) of the row groups of one pack: of full blocks, then of the last."""
        held, full = self.geometry, floor_div(self.inputs, self.geometry.rows)
        for rows, times in ((held.rows, full), (self.inputs - full * held.rows, 1)):
            whole = floor_div(rows, held.rows_active)
            yield held.rows_active, whole * times
            yield rows - whole * held.rows_active, times

    # ---- of one design -----------------------------------------------------------------------------------------------

    @cached_property
    def starts(self) -> Int[np.ndarray, " boundaries"]:
        """Where row groups begin and the last one ends: blocks at multiples of the array's rows, groups inside them."""
        rows, active, inputs = (int(n) for n in (self.geometry.rows, self.geometry.rows_active, self.inputs))
        firsts = np.arange(0, inputs, rows, dtype=np.int64)
        starts = (firsts[:, None] + np.arange(0, rows, active, dtype=np.int64)).ravel()
        return np.append(starts[starts < inputs], inputs)

    @cached_property
    def pack_sizes(self) -> tuple[int, ...]:
        """Groups in each pack."""
        groups, packed = self.operator.groups, int(self.packed)
        return tuple(min(packed, groups - first) for first in range(0, groups, packed))


def geometry(unit: Unit, weight_bits: Count, name: str = "") -> Geometry:
    """What one array of `unit` holds; `InputError` where not even one weight fits side by side.

    A digital array reads one of its `banks` at a time: `rows x banks` stored rows, `rows` of them added at once. A
    crossbar that skips zero bits gathers its rows from a whole array: one group, read as often as its inputs need.
    """
    if isinstance(unit, Crossbar):
        array = unit.array
        array.check_bits(weight_bits, name)
        columns, wide = array.columns - unit.reference_columns, array.columns_per_weight(weight_bits)
        rows, active, physical = array.rows, unit.read_rows(), array.columns
    elif isinstance(unit, DigitalUnit):
        columns, wide, physical = unit.columns, unit.columns_per_weight(weight_bits), unit.columns
        rows, active = unit.rows * unit.banks, unit.rows
    else:
        raise InputError(f"a {unit.kind} unit cannot hold weights; use a crossbar or a digital kind", name)
    if uniform(wide > columns):
        raise InputError(
            f"one {weight_bits}-bit weight takes {wide} columns, an array has {columns} for weights: "
            "store more bits in a cell, use fewer weight bits or wider arrays",
            name,
        )
    return Geometry(rows, active, floor_div(columns, wide), wide, physical)


def tile(operator: Operator, unit: Unit, weight_bits: Count) -> Tiling:
    """How the weights of a linear operator lie on the arrays of `unit`.

    Blocks start at multiples of the array's rows, and inside a block groups at multiples of the rows active. Slices
    and sides of one weight lie side by side in one array. A pack of several groups takes one row group.

    >>> from ohmfield.chip.units import DigitalCim
    >>> tile(Operator("net#0", "linear", inputs=70, outputs=9), DigitalCim(rows=32, banks=1, columns=32), 8).starts
    array([ 0, 32, 64, 70])
    """
    held = geometry(unit, weight_bits, operator.path)
    if operator.inputs < 1 or operator.outputs < 1:
        raise InputError(f"a {operator.outputs} x {operator.inputs} matrix has no weights to place", operator.path)
    alone = isinstance(unit, Crossbar) and unit.array.written.weight_bits == 1  # no zero to write between groups
    if alone or operator.groups == 1:
        return Tiling(operator, held, 1)
    beside = smallest(floor_div(held.rows_active, operator.inputs), floor_div(held.weights_per_row, operator.outputs))
    return Tiling(operator, held, largest(1, smallest(beside, operator.groups)))
