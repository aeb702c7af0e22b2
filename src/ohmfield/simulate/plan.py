"""How one layer runs: unit, widths, row groups, copies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ohmfield.simulate.conversion import Driving


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """How one linear layer, or one pack of a grouped one, runs: unit, widths, row groups, copies, and its wave."""

    path: str  # module path; of a pack with its number, "features.3[0]"
    unit: str
    weight_bits: int
    input_bits: int
    signed_input: bool
    starts: Int[np.ndarray, " boundaries"]
    copies: int = 1
    wave: int = 0
    converters: str = ""  # whose it shares, where packs lie on one array; empty: its own
    weight_zero: np.ndarray | float = 0.0  # zero point of the weights, per output or one for all
    input_zero: int = 0  # zero point of the inputs

    def static_offset(self, codes: Int[np.ndarray, "outputs inputs"]) -> Float[np.ndarray, " outputs"]:
        """What inputs at their zero point add to each output of weights that are what `codes` say."""
        if not self.input_zero:
            return np.zeros(len(codes))
        zero = np.asarray(self.weight_zero, dtype=np.float64).reshape(-1)
        return self.input_zero * (codes.sum(axis=1) - codes.shape[1] * zero)

    def driving(self, gains: tuple[float, ...]) -> Driving:
        """The part that a lowered array depends on."""
        return Driving(self.starts, self.input_bits, self.signed_input, gains)
