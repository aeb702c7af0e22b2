"""Digital units beside the arrays: each is one record here, a bit-true twin and a cost.

Words between units are fixed point: `word_bits` in all, the binary point chosen per layer at calibration (a power of
two), so every value between two layers is `integer * 2^-fraction_bits` exactly, also when carried in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ohmfield.chip import library
from ohmfield.chip.library import Block
from ohmfield.chip.process import Process
from ohmfield.chip.stages import stages
from ohmfield.quantities import ActionCost, Number, PartCost
from ohmfield.spec import knob, spec

# Significand of a 32-bit float, for requantisers that multiply in floating point.
_SIGNIFICAND_BITS = 24
_INDEX_BITS = 24  # hash products are needed modulo the table size only; tables hold at most 2^24 rows


@spec
class Requantiser:
    """From accumulator integers to fixed-point words, one multiply-shift per output."""

    rule: Literal["float", "dyadic", "power_of_two"] = knob("both", "dyadic", doc="how the scale is multiplied")
    multiplier_bits: int = knob("both", 16, ge=4, le=24, doc="width of the dyadic multiplier")
    word_bits: int = knob("both", 16, ge=6, le=24, doc="width of the words it writes")
    lanes: int = knob("cost", 64, ge=1, le=65536, doc="outputs per cycle")

    def _stages(self, accumulator_bits: Number) -> tuple[Block, ...]:
        """Multiply, add bias and rounding, shift and clip; the power-of-two rule has no multiplier."""
        if self.rule == "power_of_two":
            return self._shift(accumulator_bits)
        wide = accumulator_bits + self.multiplier_bits
        add, end = self._shift(wide)
        if self.rule == "dyadic":
            return (library.multiplier(accumulator_bits, self.multiplier_bits) + library.register(wide), add, end)
        # Normalise, multiply significands, align again: two more shifters around a 24-bit multiplier.
        normalise = library.shifter(accumulator_bits) + library.register(accumulator_bits)
        product = library.multiplier(_SIGNIFICAND_BITS, _SIGNIFICAND_BITS) + library.register(2 * _SIGNIFICAND_BITS)
        return (normalise, product, add, end)

    def _shift(self, bits: Number) -> tuple[Block, Block]:
        """Add a bias and a half to words of that width; shift, clip and keep."""
        end = library.shifter(bits) + library.comparator(bits) + library.register(self.word_bits)
        return library.adder(bits) + library.register(bits), end

    def quantise(self, process: Process) -> ActionCost:
        """One word to an input code of a layer, in a quantiser beside: its grids are powers of two."""
        blocks = self._shift(self.word_bits)
        return _total(blocks).action(process, len(blocks))

    def shift_zero(self, process: Process, input_bits: Number) -> ActionCost:
        """The zero point of a layer added to one of its input codes."""
        return (library.adder(input_bits) + library.register(input_bits)).action(process)

    def zero_part(self, process: Process, input_bits: Number) -> PartCost:
        """What does that in all lanes: an adder each, and the register that holds the zero point."""
        return (library.adder(input_bits) + library.register(input_bits)).part(process).times(self.lanes)

    def value(self, process: Process, accumulator_bits: Number) -> ActionCost:
        """One output; latency is the depth of the pipeline, the rate `lanes` per clock."""
        blocks = self._stages(accumulator_bits)
        return _total(blocks).action(process, len(blocks))

    def part(self, process: Process, accumulator_bits: Number) -> PartCost:
        """All lanes, each with the quantiser beside it."""
        lane = _total(self._stages(accumulator_bits)) + _total(self._shift(self.word_bits))
        return lane.part(process).times(self.lanes)


@spec
class ActivationUnit:
    """Pipelined activation function: its stage list follows from the function and these widths."""

    word_bits: int = knob("both", 16, ge=6, le=24, doc="width of its arithmetic")
    table_bits: int = knob("both", 8, ge=2, le=12, doc="address bits of the sine / exponential table (interpolated)")
    lanes: int = knob("cost", 64, ge=1, le=65536, doc="values per cycle")

    def value(self, process: Process, function: str) -> ActionCost:
        """One value; latency is the depth of the pipeline, the rate `lanes` per clock. `InputError`: no such unit."""
        blocks = stages(function, self.word_bits, self.table_bits)
        return _total(blocks).action(process, len(blocks))

    def part(self, process: Process, functions: tuple[str, ...]) -> PartCost:
        """All lanes, each with a pipeline for every one of `functions`."""
        blocks = [block for function in functions for block in stages(function, self.word_bits, self.table_bits)]
        return _total(blocks).part(process).times(self.lanes)


@spec
class GatherUnit:
    """Hash-and-gather encoder: address generation, reads from table memory, interpolation."""

    coordinate_bits: int = knob("both", 16, ge=8, le=24, doc="fixed-point coordinate width")
    weight_bits: int = knob("both", 8, ge=2, le=16, doc="fraction bits of an interpolation weight, per axis")
    table_bits: int = knob("both", 8, ge=2, le=16, doc="bits of one stored table value")
    feature_bits: int = knob("both", 12, ge=4, le=20, doc="width of an interpolated feature")
    lanes: int = knob("cost", 16, ge=1, le=4096, doc="levels looked up in parallel")

    def _address(self, dims: Number) -> tuple[Block, ...]:
        """Scale and floor per axis (shared by the corners), multiply by primes, XOR, mask."""
        bits = self.coordinate_bits
        corners = 2.0 ** np.asanyarray(dims)
        scale = library.multiplier(bits, bits).times(dims / corners) + library.register(bits * dims)
        # Only the low bits of a product with a prime are kept: half an array multiplier; the first prime is 1.
        primes = library.multiplier(bits, _INDEX_BITS).times(0.5 * (dims - 1)) + library.register(_INDEX_BITS * dims)
        mix = library.xor(_INDEX_BITS * (dims - 1)) + library.register(_INDEX_BITS)
        return (scale + library.adder(bits * dims), primes, mix)

    def address(self, process: Process, dims: Number) -> ActionCost:
        """One row address: one level, one corner."""
        blocks = self._address(dims)
        return _total(blocks).action(process, len(blocks))

    def _interpolate(self, dims: Number, features: Number) -> tuple[Block, ...]:
        """Corner weights from the fractions of each axis, a product per corner and feature, adder tree, rounding."""
        corners = 2.0 ** np.asanyarray(dims)
        weight = self.weight_bits * dims
        weights = library.multiplier(self.weight_bits, self.weight_bits).times(corners * (dims - 1))
        products = library.multiplier(self.table_bits, weight).times(corners * features)
        product_bits = self.table_bits + weight
        tree = library.adder(1).times(library.adder_tree_cells(corners, product_bits) * features)
        rounding = library.adder(self.feature_bits * features)
        return (
            weights + library.register(weight * corners),
            products + library.register(product_bits * corners * features),
            tree + rounding + library.register(self.feature_bits * features),
        )

    def interpolate(self, process: Process, dims: Number, features: Number) -> ActionCost:
        """One level of one item: `2^dims` rows of `features` values combined."""
        blocks = self._interpolate(dims, features)
        return _total(blocks).action(process, len(blocks))

    def part(self, process: Process, dims: Number, features: Number) -> PartCost:
        """All lanes; a lane addresses every corner of its level at once."""
        addresses = _total(self._address(dims)).times(2.0 ** np.asanyarray(dims))
        lane = addresses + _total(self._interpolate(dims, features))
        return lane.part(process).times(self.lanes)


def _total(blocks: Sequence[Block]) -> Block:
    total = blocks[0]
    for block in blocks[1:]:
        total = total + block
    return total
