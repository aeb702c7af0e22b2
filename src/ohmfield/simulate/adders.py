"""Digital compute-in-memory whose adder trees leave out low bits: the product, bit for bit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Int

from ohmfield._kernels.adder_tree import fast
from ohmfield._kernels.crossbar import digit_plane
from ohmfield.chip.adders import ApproximateAdder
from ohmfield.simulate.products import Counts, InputOrder


class ApproximateProduct:
    """One tree per row group, plane and output; sums of trees are added exactly.

    `driving` says how inputs are cut into the digits of one cycle, `order` what is counted.
    """

    def __init__(
        self,
        weights: Int[np.ndarray, "outputs inputs"],
        adder: ApproximateAdder,
        driving: InputOrder,
        order: InputOrder,
    ) -> None:
        self.weights = np.ascontiguousarray(weights.T)
        self.adder, self.driving, self.order = adder, driving, order
        self.step = 1.0

    def run(
        self, codes: Int[np.ndarray, "vectors inputs"], first: int
    ) -> tuple[Int[np.ndarray, "vectors outputs"], Counts]:
        """Outputs and what an exact tree would count as well."""
        out = np.zeros((len(codes), self.weights.shape[1]), dtype=np.int64)
        for plane in range(self.driving.num_planes):
            digit, weight = digit_plane(self.driving, codes, plane), self._weight(plane)
            for low, high in pairwise(self.driving.starts.tolist()):
                out += weight * self._tree(digit[:, low:high], self.weights[low:high])
        return out, self.order.count(codes)

    def _weight(self, plane: int) -> int:
        """What a digit of this plane counts; the top bit of two's complement counts below zero."""
        weight = 2 ** (self.driving.dac_bits * plane)
        top = plane == self.driving.num_planes - 1 and self.driving.dac_bits == 1
        return -weight if top and self.driving.drive == "twos_complement" else weight

    def _tree(self, digit: np.ndarray, weights: np.ndarray) -> np.ndarray:
        bits = self.adder.bits
        if self.adder.rule == "lower_or":
            return fast(digit, weights, bits)
        # The floor of every product is its value less its low bits, which depend on the digit.
        total = np.zeros((len(digit), weights.shape[1]))
        for value in np.unique(digit):
            if value:
                cut = (int(value) * weights.astype(np.int64)) >> bits << bits
                total += (digit == value).astype(np.float64) @ cut.astype(np.float64)  # below 2^53: exact
        return total.astype(np.int64)
