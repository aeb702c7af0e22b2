"""Adders of a digital tree that leave out the low bits of a sum."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ohmfield.chip import library
from ohmfield.quantities import Number
from ohmfield.spec import knob, spec


@spec
class ApproximateAdder:
    """Every adder of the tree, over `bits` low bits k.

    `lower_or`: the low bits of a sum are those of `a or b`, and its high bits take `a and b` of bit k - 1 as carry
    (LOA; Mahdiani et al., IEEE Trans. Circuits Syst. I 57(4), 2010). For independent uniform bits one sum errs by +1/4
    on average, with variance (4^k - 1) / 16.
    `truncated`: the low bits of every product are left out before the tree, which then adds exactly.
    """

    rule: Literal["lower_or", "truncated"] = knob("both", "lower_or", doc="what stands for the low bits")
    bits: int = knob("both", 2, ge=1, le=8, doc="low bits without a full adder; fewer are truer and cost more")

    def tree(self, inputs: Number, product_bits: Number) -> library.Block:
        """The adders of a tree over `inputs` products."""
        if self.rule == "truncated":
            return library.adder(1).times(library.adder_tree_cells(inputs, np.maximum(product_bits - self.bits, 1)))
        kept = np.minimum(self.bits, product_bits)
        full = library.adder(1).times(library.adder_tree_cells(inputs, product_bits) - kept * (inputs - 1))
        return full + library.gate((kept + 1) * (inputs - 1))
