"""Weights as wires: which adders an input reaches is its weight, so nothing is stored, read or written."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ohmfield.chip import library
from ohmfield.chip.digital_cim import TREE_ACTIVITY, tree_ns
from ohmfield.chip.lines import LINE_FF
from ohmfield.chip.process import Process
from ohmfield.chip.scaling import REFERENCE_V
from ohmfield.chip.unit import DigitalUnit, accumulator, control_block
from ohmfield.quantities import ActionCost, Number, PartCost, Span, span
from ohmfield.spec import knob, spec

BITS_PER_CYCLE = 1


@spec
class Hardwired(DigitalUnit):
    """Constants in metal, inputs bit by bit: exact integer products.

    An output has a counter for each value that a weight can take; a weight is the wire from its input to one of them.
    Counts are multiplied by their values once a cycle. Source: Metal-Embedding, arXiv 2508.16151. What masks cost, and
    cost again when weights change, is in no bill.
    """

    kind: ClassVar[str] = "hardwired"
    columns: int = knob("cost", 64, ge=1, le=8192, doc="outputs side by side, one weight of each in a row")
    banks: int = knob("cost", 1, ge=1, le=1024, doc="weights that take turns on one input of the counters")

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the bill rests on."""
        return (
            "a weight is one gate and a line as of a memory cell; counters are adder trees",
            "weights are integers; masks and their change are in no bill",
        )

    @property
    def rewritable(self) -> bool:
        return False

    @property
    def digit_bits(self) -> Number:
        return BITS_PER_CYCLE

    def columns_per_weight(self, weight_bits: Number) -> Number:
        """One: a wire carries any value."""
        return weight_bits * 0 + 1

    def _counters(self, weight_bits: Number) -> library.Block:
        """All counters of one output, a full adder for each of their inputs, and the sum of values times counts.

        A value of which a row can have no second one is a counter of one input; zero needs none.
        """
        values = np.minimum(2.0**weight_bits - 1.0, self.rows)
        return library.adder(self.rows + values * self._sum_bits(weight_bits))

    def _sum_bits(self, weight_bits: Number) -> Number:
        return weight_bits + np.ceil(np.log2(np.maximum(self.rows, 2)))

    def drive(self, process: Process) -> ActionCost:
        """One driven bit on the lines over all outputs: random bits rise in half as many cycles as they are driven."""
        return ActionCost(process.analog_pJ(LINE_FF.value() * self.columns * 0.5 * REFERENCE_V**2))

    def add(self, process: Process, weight_bits: Number) -> ActionCost:
        """One driven bit at one output: the gate that gives it its turn, and its share of the counters."""
        share = library.gate(1).energy_fJ + self._counters(weight_bits).energy_fJ / self.rows
        return ActionCost(process.gates_pJ(share * TREE_ACTIVITY.value()), self.step_ns(process, weight_bits))

    def step_ns(self, process: Process, weight_bits: Number) -> Span:
        """One cycle: the clock, or the counters where they are slower."""
        return tree_ns(process, self.rows, self._sum_bits(weight_bits))

    def control(self, process: Process) -> ActionCost:
        """One cycle of one array."""
        return ActionCost(process.gates_pJ(control_block(self.rows, BITS_PER_CYCLE).energy_fJ))

    def write(self, process: Process) -> ActionCost:
        """Nothing: weights came with the masks."""
        return ActionCost(span(0.0), span(0.0))

    def parts(self, process: Process, weight_bits: Number, input_bits: Number) -> dict[str, PartCost]:
        outputs = self.weights_per_row(weight_bits)
        sums = accumulator(self.accumulator_bits(weight_bits, input_bits))
        return {
            "cells": library.gate(1).part(process).times(self.rows * self.banks * outputs),
            "drivers": library.gate(4).part(process).times(self.rows),
            "adder_tree": self._counters(weight_bits).part(process).times(outputs),
            "shift_add": sums.part(process).times(outputs),
            "control": control_block(self.rows * self.banks, BITS_PER_CYCLE).part(process),
        }
