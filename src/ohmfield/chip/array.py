"""How cells stand in arrays: geometry, bits per cell, and how weights are written as cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ohmfield.chip.readout import ReadoutName
from ohmfield.chip.wires import Wires
from ohmfield.quantities import Count, Number, ceil_div, largest, uniform
from ohmfield.spec import InputError, knob, spec

EncodingName = Literal["differential", "offset", "twos_complement", "column_flip", "ternary", "xnor", "two_level"]


@dataclass(frozen=True)
class Encoding:
    """What a way to write signed weights as cells needs. `sides` is 2 for pairs of columns, else 1."""

    sides: int
    weight_bits: int | None = None  # the only width it has; its cells then hold one bit
    needs_sum: bool = False  # its outputs are corrected by the sum of the inputs


ENCODINGS: dict[EncodingName, Encoding] = {
    "differential": Encoding(sides=2),
    "offset": Encoding(sides=1, needs_sum=True),
    "twos_complement": Encoding(sides=1),
    "column_flip": Encoding(sides=1, needs_sum=True),
    "ternary": Encoding(sides=2, weight_bits=2),
    "xnor": Encoding(sides=2, weight_bits=1),
    "two_level": Encoding(sides=1, weight_bits=1, needs_sum=True),
}


@spec
class Array:
    """One array of cells with its read order. A *pair* is two physical columns."""

    rows: int = knob("both", 256, ge=1, le=8192, doc="stored rows of one array")
    columns: int = knob("cost", 256, ge=1, le=8192, doc="physical columns of one array")
    rows_active: int = knob("both", 128, ge=1, le=8192, doc="rows driven in one conversion (a row group)")
    cell_bits: int = knob("both", 2, ge=1, le=8, doc="bits stored in one cell")
    encoding: EncodingName = knob("both", "differential", doc="how a signed weight is written as cells")
    subtract: Literal["analog", "digital"] = knob("both", "analog", doc="pairs subtracted before or after conversion")
    readout: ReadoutName = knob(
        "both",
        "current",
        doc="a column's current, the voltage where it floats, the mean of capacitors connected, or current over pulses "
        "as wide as digits",
    )
    factor_bits: int | None = knob(
        "both",
        8,
        ge=2,
        le=16,
        doc="factor that undoes a column's division by its conductance, where voltages average;"
        " none: one for all columns",
    )
    sum_x: Literal["digital", "analog"] = knob(
        "both", "digital", doc="inputs summed by a counter, or by reference columns with conversions of their own"
    )
    read_voltage_V: float = knob(
        "both", 0.2, gt=0, le=2, doc="read pulse height: signal against converter noise, energy"
    )
    read_ns: float = knob(
        "both", 10.0, gt=0, doc="driven time of one read: signal against converter noise, energy, latency"
    )
    accumulator_bits: int | None = knob(
        "both", None, ge=4, le=62, doc="width of the sums of codes; none: too wide to overflow"
    )
    overflow: Literal["saturate", "wrap"] = knob("both", "saturate", doc="what a narrow accumulator does past its end")
    sample_and_hold: bool = knob("cost", True, doc="the next read settles while the last is converted")
    wires: Wires | None = knob("both", None, doc="resistance of the lines; none: not modelled")
    spare_rows: int = knob("both", 0, ge=0, le=1024, doc="rows that stand in for the worst ones after a test")
    spare_columns: int = knob("both", 0, ge=0, le=1024, doc="columns that stand in for the worst ones after a test")
    transposed: bool = knob("cost", False, doc="drivers on columns and converters on rows, for transposed products too")
    dead_row_rate: float = knob("environment", 0.0, ge=0, le=1, doc="share of rows that drive nothing, spares too")
    dead_column_rate: float = knob("environment", 0.0, ge=0, le=1, doc="share of columns that read nothing, spares too")

    def __post_init__(self) -> None:
        if uniform(self.rows_active > self.rows):
            raise ValueError(f"rows_active {self.rows_active} exceeds rows {self.rows}")
        if self.written.weight_bits is not None and uniform(self.cell_bits != 1):
            raise ValueError(f"cell_bits {self.cell_bits}: {self.encoding} weights use cells of one bit")
        if self.sum_x == "analog" and self.wires is not None:
            raise ValueError("sum_x analog: the wires of reference columns are not modelled; use digital, or no wires")

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What no source gives of its costs; every bill repeats it."""
        spare = (
            "a spare line is a whole line with its share of drivers and converters, a register of the address it "
            "stands in for and a comparator; changing over takes no time; after a write a test reads row by row"
        )
        switched = (
            "the switches that turn a line from its driver to its converter for a transposed read are in neither, and "
            "load no line; a bill has no transposed products"
        )
        return (spare,) * self.has_spares + (switched,) * bool(np.any(self.transposed))

    @property
    def has_spares(self) -> bool:
        """Whether lines stand by for bad ones."""
        return uniform(self.spare_rows > 0) or uniform(self.spare_columns > 0)

    @property
    def built_rows(self) -> Number:
        """Rows that stand in one array, spares included."""
        return self.rows + self.spare_rows

    @property
    def built_columns(self) -> Number:
        """Columns that stand in one array, spares included."""
        return self.columns + self.spare_columns

    @property
    def written(self) -> Encoding:
        """What the encoding needs."""
        return ENCODINGS[self.encoding]

    @property
    def converts_pairs(self) -> bool:
        """Whether a conversion reads a pair of columns, subtracted before it: its codes are signed."""
        return self.written.sides == 2 and self.subtract == "analog"

    @property
    def averages(self) -> bool:
        """Whether columns float and are read as a voltage, the average of their rows."""
        return self.readout == "voltage_average"

    @property
    def column_factor_bits(self) -> Count:
        """Bits of the factor that each code is multiplied by; 0 where there is none."""
        return self.factor_bits if self.averages and self.factor_bits is not None else 0

    @property
    def fullest(self) -> float:
        """Largest sum of a column's levels over what its rows could hold: half where columns are flipped."""
        return 0.5 if self.encoding == "column_flip" else 1.0

    def check_bits(self, weight_bits: Number, name: str = "") -> None:
        """Raises `InputError` where weights of that width cannot be written so; `name` is the layer."""
        only = self.written.weight_bits
        if only is not None and uniform(weight_bits != only):
            raise InputError(
                f"{self.encoding} weights have {only} bit{'s' if only > 1 else ''}, not {weight_bits}: "
                f"set weight_bits {only}, or array.encoding differential",
                name,
            )
        if only is None and uniform(weight_bits < 2):
            raise InputError(f"{self.encoding} weights need 2 bits or more, for 1 use array.encoding xnor", name)

    def num_slices(self, weight_bits: Count) -> Count:
        """Cells that hold one (side of a) weight of b bits.

        `ceil((b - 1) / c)` in pairs, `ceil(b / c)` with an offset; two's complement keeps the sign bit in a column of
        its own, `1 + ceil((b - 1) / c)`.
        """
        sign = 1 if self.written.sides == 2 or self.encoding == "twos_complement" else 0
        magnitude = ceil_div(weight_bits - sign, self.cell_bits)
        return largest(1, magnitude) if self.encoding != "twos_complement" else 1 + magnitude

    def columns_per_weight(self, weight_bits: Count) -> Count:
        """Physical columns of one weight."""
        return self.num_slices(weight_bits) * self.written.sides

    def conversions_per_weight(self, weight_bits: Count) -> Count:
        """Conversions of one weight column per row group and plane."""
        return self.num_slices(weight_bits) * (1 if self.converts_pairs else self.written.sides)
