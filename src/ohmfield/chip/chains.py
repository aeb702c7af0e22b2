"""Adders in the cells of a digital array, the sum running from row to row, and recoded input digits."""

from __future__ import annotations

import numpy as np

from ohmfield.chip import library
from ohmfield.chip.anchors import Spanned
from ohmfield.chip.cells.sram import six_transistor_um2
from ohmfield.chip.process import Process
from ohmfield.quantities import Number, PartCost, Span, span

# Full swings of every gate of an adder in one cycle, inputs and weights random: what rises late in one row rises again
# in every row behind it. Gate by gate with unit delays (`benchmarks/glitches.py`): 1 to 32 rows, 1 to 16 bits.
FIRST_ROW, NEXT_ROW, HALF_BITS = 0.234, 0.22, 15.0
DELAYS = Spanned(
    "spread of gate delays", span(1.0, 0.5, 1.5)
)  # delays of real gates differ, and short pulses die (assumed)
# A mirror adder has 28 transistors (Weste and Harris), an XNOR and a switch 10, each as large as one of the six of a
# memory cell; what is not drawn by the rules of memory cells takes up to twice that.
LINK_TRANSISTORS = Spanned("transistors of an adder in a cell", span(38.0, 38.0, 76.0))
BOOTH_GATES = 5.0  # from three bits to "once", "twice" and "below zero": three XOR and two gates


def rises(rows: Number, weight_bits: Number) -> Number:
    """Full swings of one adder of a chain of `rows` rows in one cycle.

    >>> round(float(rises(8, 8)), 2)
    0.87
    """
    return FIRST_ROW + NEXT_ROW * (1.0 - np.exp(-np.asanyarray(weight_bits) / HALF_BITS)) * (np.asanyarray(rows) - 1.0)


def link_fJ(rows: Number, weight_bits: Number, columns: Number) -> Span:
    """One weight of a chain in one cycle: an adder in each of its `columns`, an XNOR for each of its bits."""
    adders = library.adder(columns).energy_fJ * rises(rows, weight_bits) * DELAYS.value()
    return adders + library.xor(weight_bits).energy_fJ * 0.25


def link_part(process: Process) -> PartCost:
    """Adder, XNOR and switch of one cell."""
    return process.powered(six_transistor_um2(process.node_nm) * LINK_TRANSISTORS.value() / 6.0)


def booth_product(weight_bits: Number) -> library.Block:
    """None, the weight or twice of it, chosen per bit of the product, and its complement."""
    return library.mux(weight_bits + 1) + library.xor(weight_bits + 1)
