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
    columns: int


@dataclass(frozen=True, eq=False)
class Tiling:
    """How an `outputs x inputs` matrix is cut. Row group g is inputs `starts[g] : starts[g + 1]`."""

    inputs: int
    outputs: int
    geometry: Geometry
    starts: Int[np.ndarray, " boundaries"]

    @property
    def row_blocks(self) -> int:
        """Arrays one above the other; their sums are added digitally."""
        return -(-self.inputs // self.geometry.rows)

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
        """Row groups in all: the partial sums of one output."""
        return len(self.starts) - 1

    @property
    def groups(self) -> int:
        """Most row groups of one array, read one after the other."""
        return -(-min(self.inputs, self.geometry.rows) // self.geometry.rows_active)

    @property
    def utilisation(self) -> float:
        """Share of the cells held that store a weight.

        (256 x 256 on four arrays of 256 x 512 columns, 8 columns a weight: all of them.)
        """
        held = self.arrays * self.geometry.rows * self.geometry.columns
        return self.inputs * self.outputs * self.geometry.columns_per_weight / held


def geometry(unit: Unit, weight_bits: int, name: str = "") -> Geometry:
    """What one array of `unit` holds; `InputError` where not even one weight fits side by side.

    A digital array reads one of its `banks` at a time: `rows x banks` stored rows, `rows` of them added at once. A
    crossbar that skips zero bits gathers its rows from a whole array: one group, read as often as its inputs need.
    """
    if isinstance(unit, Crossbar):
        array = unit.array
        columns, wide = array.columns, array.columns_per_weight(weight_bits)
        rows, active = array.rows, unit.read_rows()
    elif isinstance(unit, DigitalCim):
        columns, wide = unit.columns, weight_bits
        rows, active = unit.rows * unit.banks, unit.rows
    else:
        raise InputError(f"a {unit.kind} unit cannot hold weights; use one of crossbar, digital_cim", name)
    if wide > columns:
        raise InputError(
            f"one {weight_bits}-bit weight takes {wide} columns, an array has {columns}: "
            "store more bits in a cell, use fewer weight bits or wider arrays",
            name,
        )
    return Geometry(rows, active, columns // wide, wide, columns)


def tile(operator: Operator, unit: Unit, weight_bits: int) -> Tiling:
    """How the weights of a linear operator lie on the arrays of `unit`.

    Blocks start at multiples of the array's rows, and inside a block groups at multiples of the rows active. Slices
    and sides of one weight lie side by side in one array.

    >>> from ohmfield.chip.units import DigitalCim
    >>> tile(Operator("net#0", "linear", inputs=70, outputs=9), DigitalCim(rows=32, banks=1, columns=32), 8).starts
    array([ 0, 32, 64, 70])
    """
    held = geometry(unit, weight_bits, operator.path)
    if operator.inputs < 1 or operator.outputs < 1:
        raise InputError(f"a {operator.outputs} x {operator.inputs} matrix has no weights to place", operator.path)
    firsts = np.arange(0, operator.inputs, held.rows, dtype=np.int64)
    starts = (firsts[:, None] + np.arange(0, held.rows, held.rows_active, dtype=np.int64)).ravel()
    starts = np.append(starts[starts < operator.inputs], operator.inputs)
    return Tiling(operator.inputs, operator.outputs, held, starts)
