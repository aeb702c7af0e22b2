"""How cells stand in arrays: geometry, bits per cell, and how weights are written as cells."""

from __future__ import annotations

from typing import Literal

from ohmfield.chip.wires import Wires
from ohmfield.spec import knob, spec


@spec
class Array:
    """One array of cells with its read order. A *pair* is two physical columns."""

    rows: int = knob("both", 256, ge=1, le=8192, doc="stored rows of one array")
    columns: int = knob("cost", 256, ge=1, le=8192, doc="physical columns of one array")
    rows_active: int = knob("both", 128, ge=1, le=8192, doc="rows driven in one conversion (a row group)")
    cell_bits: int = knob("both", 2, ge=1, le=8, doc="bits stored in one cell")
    encoding: Literal["differential", "offset"] = knob("both", "differential", doc="signed weights as pairs or offset")
    subtract: Literal["analog", "digital"] = knob("both", "analog", doc="pairs subtracted before or after conversion")
    read_voltage_V: float = knob(
        "both", 0.2, gt=0, le=2, doc="read pulse height: signal against converter noise, energy"
    )
    read_ns: float = knob(
        "both", 10.0, gt=0, doc="driven time of one read: signal against converter noise, energy, latency"
    )
    sample_and_hold: bool = knob("cost", True, doc="the next read settles while the last is converted")
    wires: Wires | None = knob("both", None, doc="resistance of the lines; none: not modelled")

    def __post_init__(self) -> None:
        if self.rows_active > self.rows:
            raise ValueError(f"rows_active {self.rows_active} exceeds rows {self.rows}")

    def num_slices(self, weight_bits: int) -> int:
        """Cells that hold one (side of a) weight: `ceil((b - 1) / c)` in pairs, `ceil(b / c)` with offset."""
        stored = weight_bits - 1 if self.encoding == "differential" else weight_bits
        return max(1, -(-stored // self.cell_bits))

    def columns_per_weight(self, weight_bits: int) -> int:
        """Physical columns of one weight."""
        return self.num_slices(weight_bits) * (2 if self.encoding == "differential" else 1)

    def conversions_per_weight(self, weight_bits: int) -> int:
        """Conversions of one weight column per row group and plane."""
        pairs = self.encoding == "differential" and self.subtract == "analog"
        return self.columns_per_weight(weight_bits) // (2 if pairs else 1)
