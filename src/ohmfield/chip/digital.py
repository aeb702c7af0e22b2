"""Digital units beside the arrays: each is one record here, a bit-true twin and a cost.

Words between units are fixed point: `word_bits` in all, the binary point chosen per layer at calibration (a power of
two), so every value between two layers is `integer * 2^-fraction_bits` exactly, also when carried in float32.
"""

from __future__ import annotations

from typing import Literal

from ohmfield.spec import knob, spec


@spec
class Requantiser:
    """From accumulator integers to fixed-point words, one multiply-shift per output."""

    rule: Literal["float", "dyadic", "power_of_two"] = knob("both", "dyadic", doc="how the scale is multiplied")
    multiplier_bits: int = knob("both", 16, ge=4, le=24, doc="width of the dyadic multiplier")
    word_bits: int = knob("both", 16, ge=6, le=24, doc="width of the words it writes")
    lanes: int = knob("cost", 64, ge=1, le=65536, doc="outputs per cycle")


@spec
class ActivationUnit:
    """Pipelined activation function: its stage list follows from the function and these widths."""

    word_bits: int = knob("both", 16, ge=6, le=24, doc="width of its arithmetic")
    table_bits: int = knob("both", 8, ge=2, le=12, doc="address bits of the sine / exponential table (interpolated)")
    lanes: int = knob("cost", 64, ge=1, le=65536, doc="values per cycle")


@spec
class GatherUnit:
    """Hash-and-gather encoder: address generation, reads from table memory, interpolation."""

    coordinate_bits: int = knob("both", 16, ge=8, le=24, doc="fixed-point coordinate width")
    weight_bits: int = knob("both", 8, ge=2, le=16, doc="fraction bits of an interpolation weight, per axis")
    table_bits: int = knob("both", 8, ge=2, le=16, doc="bits of one stored table value")
    feature_bits: int = knob("both", 12, ge=4, le=20, doc="width of an interpolated feature")
    lanes: int = knob("cost", 16, ge=1, le=4096, doc="levels looked up in parallel")
