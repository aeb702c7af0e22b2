"""Digital correction of a column's codes after conversion: a scale and a shift, fitted to the instance."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ohmfield.chip import library
from ohmfield.quantities import Number
from ohmfield.spec import knob, spec

FIT_VECTORS = 64  # known inputs of a fit, at densities from none to all rows


@spec
class PostCalibration:
    """`corrected = scale * code + shift` for every physical column, in registers; `offset` has the shift alone.

    Both have `bits - 1` binary places, and the scale lies in [0, 2). They are fitted on known inputs, read noise
    averaged out, by least squares against what ideal cells and converters would give. A fit sees the instance at its
    age, so it is repeated, and every bill has its share of the reads.
    """

    fit: Literal["offset", "scale_shift"] = knob("both", "scale_shift", doc="what is corrected")
    bits: int = knob("both", 8, ge=2, le=16, doc="width of the scale; scale and shift have bits - 1 binary places")
    inferences_between: float = knob("cost", 1e4, gt=0, doc="inferences between two fits of the registers")

    @property
    def fraction_bits(self) -> Number:
        """Binary places of a corrected code."""
        return self.bits - 1

    def correction(self, code_bits: Number) -> library.Block:
        """One code corrected: a product with the scale and a sum with the shift."""
        width = np.asanyarray(code_bits) + self.fraction_bits
        if self.fit == "offset":
            return library.adder(width)
        return library.multiplier(code_bits, self.bits) + library.adder(width)

    def registers(self, code_bits: Number) -> library.Block:
        """What is kept for one column."""
        return library.register(
            np.asanyarray(code_bits) + self.fraction_bits + (self.bits if self.fit != "offset" else 0)
        )
