"""One weight matrix on arrays: blocks of rows and columns, and the row groups that are read in turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from ohmfield.chip.units import Crossbar, DigitalCim, Unit
from ohmfield.mapping.workload import Operator
from ohmfield.spec import InputError


@dataclass(frozen=True)
class Geometry:
    """What one array of a unit holds: stored rows, rows added at once, and whole weights side by side."""

    rows: int
    rows_active: int
    weights_per_row: int
    columns_per_weight: int  # physical columns (crossbar) or weight bits (digital) of one weight
    columns: int  # of one array, its reference columns included


@dataclass(frozen=True, eq=False)
class Tiling:
    """How the matrices of an operator are cut. Row group g of one is inputs `starts[g] : starts[g + 1]`.

    The `groups` of a grouped operator are stored in `packs`: as many in one row group, one beside the other on rows and
    columns of their own, as its rows and columns hold. Packs lie below each other on the same columns, read in turn.
    Cells where the rows of one group cross the columns of another hold zero; they are written and read as any cell.
    """

    inputs: int  # of the largest pack
    outputs: int
    geometry: Geometry
    starts: Int[np.ndarray, " boundaries"]
    pack_sizes: tuple[int, ...] = (1,)  # groups in each pack

    @property
    def row_blocks(self) -> int:
        """Arrays one above the other; their sums are added digitally, or belong to other packs."""
        return -(-self.inputs // self.geometry.rows) * -(-self.packs // self._packs_per_array)

    @property
    def column_blocks(self) -> int:
        """Arrays side by side; each is driven by the same inputs."""
        return -(-self.outputs // self.geometry.weights_per_row)

    @property
    def arrays(self) -> int:
        """Arrays of one copy."""
        return self.row_blocks * self.column_blocks

    @property
    def row_groups(self) -> int:
        """Row groups of one pack: the partial sums of one output."""
        return len(self.starts) - 1

    @property
    def packs(self) -> int:
        """Matrices that are stored and read apart."""
        return len(self.pack_sizes)

    @property
    def _packs_per_array(self) -> int:
        rows = -(-self.geometry.rows // self.geometry.rows_active)
        return max(1, rows // self.row_groups)

    def array_of(self, pack: int) -> int:
        """Number of the first array, of those one above the other, that holds that pack."""
        return pack // self._packs_per_array * -(-self.inputs // self.geometry.rows)

    @property
    def outputs_per_group(self) -> int:
        """Outputs of one group."""
        return self.outputs // self.pack_sizes[0]

    @property
    def weights(self) -> int:
        """Weights in use on all packs, zeros between groups included."""
        inputs = self.inputs // self.pack_sizes[0]
        return sum(size**2 for size in self.pack_sizes) * inputs * self.outputs_per_group

    @property
    def groups(self) -> int:
        """Most row groups of one array, read one after the other."""
        one = -(-min(self.inputs, self.geometry.rows) // self.geometry.rows_active)
        return one * min(self.packs, self._packs_per_array)

    @property
    def utilisation(self) -> float:
        """Share of the cells held that store a weight.

        (256 x 256 on four arrays of 256 x 512 columns, 8 columns a weight: all of them.)
        """
        held = self.arrays * self.geometry.rows * self.geometry.columns
        used = sum(self.pack_sizes) * (self.inputs // self.pack_sizes[0]) * self.outputs_per_group
        return used * self.geometry.columns_per_weight / held


def geometry(unit: Unit, weight_bits: int, name: str = "") -> Geometry:
    """What one array of `unit` holds; `InputError` where not even one weight fits side by side.

    A digital array reads one of its `banks` at a time: `rows x banks` stored rows, `rows` of them added at once. A
    crossbar that skips zero bits gathers its rows from a whole array: one group, read as often as its inputs need.
    """
    if isinstance(unit, Crossbar):
        array = unit.array
        array.check_bits(weight_bits, name)
        columns, wide = array.columns - unit.reference_columns, array.columns_per_weight(weight_bits)
        rows, active = array.rows, unit.read_rows()
    elif isinstance(unit, DigitalCim):
        columns, wide = unit.columns, int(unit.columns_per_weight(weight_bits))
        rows, active = unit.rows * unit.banks, unit.rows
    else:
        raise InputError(f"a {unit.kind} unit cannot hold weights; use one of crossbar, digital_cim", name)
    if wide > columns:
        raise InputError(
            f"one {weight_bits}-bit weight takes {wide} columns, an array has {columns} for weights: "
            "store more bits in a cell, use fewer weight bits or wider arrays",
            name,
        )
    return Geometry(rows, active, columns // wide, wide, unit.array.columns if isinstance(unit, Crossbar) else columns)


def tile(operator: Operator, unit: Unit, weight_bits: int) -> Tiling:
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
    fitting = min(held.rows_active // operator.inputs, held.weights_per_row // operator.outputs, operator.groups)
    packed = 1 if alone else max(1, fitting)
    sizes = tuple(min(packed, operator.groups - first) for first in range(0, operator.groups, packed))
    inputs = packed * operator.inputs
    firsts = np.arange(0, inputs, held.rows, dtype=np.int64)
    starts = (firsts[:, None] + np.arange(0, held.rows, held.rows_active, dtype=np.int64)).ravel()
    starts = np.append(starts[starts < inputs], inputs)
    return Tiling(inputs, packed * operator.outputs, held, starts, sizes)
