"""Digital compute-in-memory: SRAM with adder trees, or adders in its cells."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ohmfield.chip import chains, library
from ohmfield.chip.adders import ApproximateAdder
from ohmfield.chip.anchors import Spanned
from ohmfield.chip.cells.sram import six_transistor_um2, write_bit
from ohmfield.chip.lines import LINE_FF
from ohmfield.chip.process import Process
from ohmfield.chip.scaling import REFERENCE_V
from ohmfield.chip.unit import DigitalUnit, accumulator, control_block
from ohmfield.quantities import ActionCost, Number, PartCost, Span, span, uniform
from ohmfield.spec import knob, spec

# Full swings of an adder in a tree for one driven digit, half of the digits driven: gate by gate with unit delays, 0.24
# to 0.33 a cycle for trees of 8 to 128 inputs (`benchmarks/glitches.py`). ZigZag-IMC takes 0.5, NeuroSim's calibration
# to a layout found 0.15.
TREE_ACTIVITY = Spanned("activity of adder trees", span(0.6, 0.15, 1.0))
# NAND2 47.8 ps, XOR2 2.4 times that, at 28 nm (ZigZag-IMC): a full adder's sum is two XOR2, its carry two NAND2.
SUM_NS, CARRY_NS = span(0.0478 * 2.4 * 2), span(0.0478 * 2)


def tree_ns(process: Process, rows: Number, bits: Number) -> Span:
    """One cycle: the clock, or a ripple adder tree over `rows` words where that is slower."""
    levels = np.log2(np.maximum(rows, 2))
    ripple = SUM_NS * (levels - 1) + CARRY_NS * (bits + levels - 1)
    return np.maximum(process.cycle_ns * span(1.0), process.delay_ns(ripple))


@spec
class DigitalCim(DigitalUnit):
    """SRAM with adder trees, bit-serial over the input: exact integer products, unless its adders are approximate."""

    kind: ClassVar[str] = "digital_cim"
    rows: int = knob("cost", 64, ge=1, le=8192, doc="weights added by one tree")
    columns: int = knob("cost", 64, ge=1, le=8192, doc="weight bits side by side (columns / weight_bits weights)")
    banks: int = knob("cost", 8, ge=1, le=1024, doc="stored rows per compute row")
    input_bits_per_cycle: int = knob("cost", 1, ge=1, le=8, doc="input bits multiplied in one cycle")
    booth: bool = knob("cost", False, doc="two input bits are a Booth digit, which chooses a multiple of the weight")
    chain_rows: int | None = knob(
        "cost", None, ge=1, le=8192, doc="adders in the cells, the sum running over that many rows; none: a tree beside"
    )
    approximate: ApproximateAdder | None = knob("both", None, doc="adders without their low bits; default: exact")

    def __post_init__(self) -> None:
        wide = uniform(self.input_bits_per_cycle > 1)
        if self.chain_rows is not None and (wide or self.approximate is not None):
            raise ValueError(
                f"chain_rows {self.chain_rows}: adders in cells are exact and take one input bit; use none, for a tree"
            )
        if self.booth and uniform(self.input_bits_per_cycle != 2):
            raise ValueError("booth: a digit is two input bits; set input_bits_per_cycle 2")

    def columns_per_weight(self, weight_bits: Number) -> Number:
        """Columns of one weight: its bits, and in a chain those its sum grows by."""
        if self.chain_rows is None:
            return weight_bits
        grown = np.ceil(np.log2(self.rows))
        return weight_bits + (int(grown) if np.ndim(grown) == 0 else grown)

    @property
    def digit_bits(self) -> Number:
        return self.input_bits_per_cycle

    def _product_bits(self, weight_bits: Number) -> Number:
        return weight_bits + np.asanyarray(self.input_bits_per_cycle) - 1

    def _product(self, weight_bits: Number) -> library.Block:
        """One weight times one digit: an AND per bit, and the adders that join the partial products of wider digits."""
        digit = np.asanyarray(self.input_bits_per_cycle)
        if self.booth:
            return chains.booth_product(weight_bits)
        return library.gate(weight_bits * digit) + library.adder(weight_bits * (digit - 1))

    def _tree(self, weight_bits: Number) -> library.Block:
        if self.approximate is not None:
            return self.approximate.tree(np.maximum(self.rows, 2), self._product_bits(weight_bits))
        cells = library.adder_tree_cells(np.maximum(self.rows, 2), self._product_bits(weight_bits))
        return library.adder(1).times(cells)

    def drive(self, process: Process) -> ActionCost:
        """One driven digit: the input lines over all columns keep their level from cycle to cycle.

        A line of random bits rises in a quarter of the cycles; a digit is driven if any of its bits is set.
        """
        digit = np.asanyarray(self.input_bits_per_cycle)
        rises = 0.25 * digit / (1.0 - 0.5**digit)
        return ActionCost(process.analog_pJ(LINE_FF.value() * self.columns * rises * REFERENCE_V**2))

    def add(self, process: Process, weight_bits: Number) -> ActionCost:
        """One driven digit at one output: its product and its share of the tree; latency is one cycle.

        Energy counts the share of adders that toggle; a digit of zero switches nothing.
        """
        if self.chain_rows is not None:
            rows, columns = np.minimum(self.chain_rows, self.rows), self.columns_per_weight(weight_bits)
            row_fJ = 2.0 * chains.link_fJ(rows, weight_bits, columns)  # half of the digits of a cycle are driven
            return ActionCost(process.gates_pJ(row_fJ), self.step_ns(process, weight_bits))
        share = self._product(weight_bits).energy_fJ + self._tree(weight_bits).energy_fJ / self.rows
        return ActionCost(process.gates_pJ(share * TREE_ACTIVITY.value()), self.step_ns(process, weight_bits))

    def step_ns(self, process: Process, weight_bits: Number) -> Span:
        """One cycle: the clock, or the adder tree where that is slower."""
        if self.chain_rows is not None:
            ripple = SUM_NS * np.minimum(self.chain_rows, self.rows) + CARRY_NS * self.columns_per_weight(weight_bits)
            return np.maximum(process.cycle_ns * span(1.0), process.delay_ns(ripple))
        width = self._product_bits(weight_bits)
        if self.approximate is not None:  # no carry runs through the low bits
            width = np.maximum(1, width - self.approximate.bits)
        return tree_ns(process, self.rows, width)

    def control(self, process: Process) -> ActionCost:
        """One cycle of one array."""
        block = control_block(self.rows, self.input_bits_per_cycle) + self._per_cycle()
        return ActionCost(process.gates_pJ(block.energy_fJ))

    def _per_cycle(self) -> library.Block:
        """What works in every cycle: registers between the parts of a chain, or the recoding of every row's digit."""
        if self.chain_rows is None:
            return library.gate(chains.BOOTH_GATES * self.rows if self.booth else 0)
        return library.register(self.columns * np.ceil(np.asanyarray(self.rows) / self.chain_rows))

    def write(self, process: Process) -> ActionCost:
        """One weight bit written."""
        return write_bit(process)

    def parts(self, process: Process, weight_bits: Number, input_bits: Number) -> dict[str, PartCost]:
        outputs = self.weights_per_row(weight_bits)
        if self.chain_rows is not None:
            adders = chains.link_part(process).times(self.rows * self.columns)
        else:
            tree = self._product(weight_bits).times(self.rows) + self._tree(weight_bits)
            adders = tree.part(process).times(outputs)
        sums = accumulator(self.accumulator_bits(weight_bits, input_bits))
        bits = self.rows * self.columns * self.banks
        return {
            "cells": process.powered(six_transistor_um2(process.node_nm)).times(bits),
            "drivers": library.gate(4).part(process).times(self.rows * self.input_bits_per_cycle),
            "adder_tree": adders,
            "shift_add": sums.part(process).times(outputs),
            "control": (control_block(self.rows * self.banks, self.input_bits_per_cycle) + self._per_cycle()).part(
                process
            ),
        }
