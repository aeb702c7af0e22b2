"""The one library of digital gates: adders, multipliers, registers, muxes, tables, comparators, by width.

Each answers as a `Block`: energy of one use in fJ and area in um2, both at 28 nm and 0.9 V; `Process` brings them to a
chip. Every digital unit is composed of these, so no unit has gate costs of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ohmfield.chip.anchors import ZIGZAG_DIGITAL, Anchored, gate_area, gate_energy, given
from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, Number, PartCost, Span, span

_ZIGZAG = "ZigZag-IMC gates, 28 nm 0.9 V, fitted to four digital macros"
_NEUROSIM = "NeuroSim 1.3 component models"
_ALADDIN = "Aladdin 40 nm library"
_ALADDIN_V = 0.9  # the 40 nm library does not state its supply; the fitted macros' is taken

# NAND2: 0.7 fF, 0.614 um2; XOR2 1.5 C, 2.4 area; flip-flop 3 C, 6 area; full adder = 3 NAND2 + 2 XOR2.
_NAND_FJ, _NAND_UM2 = 0.7 * 0.9**2, 0.614
_ADDER_FJ, _ADDER_UM2 = _NAND_FJ * (3 + 2 * 1.5), _NAND_UM2 * (3 + 2 * 2.4)

FULL_ADDER_FJ = Anchored(
    "full adder energy",
    (
        gate_energy(_ADDER_FJ, 28, 0.9, _ZIGZAG, ZIGZAG_DIGITAL),
        gate_energy(17.1 / 16, 22, 0.85, f"{_NEUROSIM}, 16-bit adder at 22 nm 17.1 fJ"),
        gate_energy(32.5 / 16, 32, 0.9, f"{_NEUROSIM}, 16-bit adder at 32 nm 32.5 fJ"),
        gate_energy(210.0 / 32, 40, _ALADDIN_V, f"{_ALADDIN}, 32-bit add 0.21 pJ"),
    ),
)
FULL_ADDER_UM2 = Anchored(
    "full adder area",
    (
        gate_area(_ADDER_UM2, 28, _ZIGZAG, ZIGZAG_DIGITAL),
        gate_area(22 / 16, 22, f"{_NEUROSIM}, 16-bit adder at 22 nm 22 um2"),
        gate_area(47 / 16, 32, f"{_NEUROSIM}, 16-bit adder at 32 nm 47 um2"),
        gate_area(278 / 32, 40, f"{_ALADDIN}, 32-bit add 278 um2"),
    ),
)
# One cell of an array multiplier: an AND and a full adder.
PRODUCT_FJ = Anchored(
    "multiplier energy per bit by bit",
    (
        gate_energy(_ADDER_FJ + 0.5 * _NAND_FJ, 28, 0.9, _ZIGZAG, ZIGZAG_DIGITAL),
        gate_energy(225.0 / 64, 40, _ALADDIN_V, "40 nm 8x8-bit multiply 0.2-0.25 pJ"),
        gate_energy(12680.0 / 1024, 40, _ALADDIN_V, f"{_ALADDIN}, 32-bit multiply 12.68 pJ"),
    ),
)
PRODUCT_UM2 = Anchored(
    "multiplier area per bit by bit",
    (
        gate_area(_ADDER_UM2 + _NAND_UM2, 28, _ZIGZAG, ZIGZAG_DIGITAL),
        gate_area(6350 / 1024, 40, f"{_ALADDIN}, 32-bit multiply 6350 um2"),
    ),
)
REGISTER_FJ = Anchored(
    "register energy per bit",
    (
        gate_energy(3 * _NAND_FJ, 28, 0.9, _ZIGZAG, ZIGZAG_DIGITAL),
        gate_energy(2.55, 22, 0.85, f"{_NEUROSIM}, flip-flop at 22 nm 2.55 fJ"),
        gate_energy(4.8, 32, 0.9, f"{_NEUROSIM}, flip-flop at 32 nm 4.8 fJ"),
        gate_energy(9.0, 40, _ALADDIN_V, f"{_ALADDIN}, register 9 fJ per bit"),
    ),
)
REGISTER_UM2 = Anchored(
    "register area per bit",
    (
        gate_area(6 * _NAND_UM2, 28, _ZIGZAG, ZIGZAG_DIGITAL),
        gate_area(1.24, 22, f"{_NEUROSIM}, flip-flop at 22 nm 1.24 um2"),
        gate_area(2.6, 32, f"{_NEUROSIM}, flip-flop at 32 nm 2.6 um2"),
        gate_area(5.98, 40, f"{_ALADDIN}, register 5.98 um2 per bit"),
    ),
)
GATE_FJ = Anchored(
    "two-input gate energy",
    (
        gate_energy(_NAND_FJ, 28, 0.9, _ZIGZAG, ZIGZAG_DIGITAL),
        gate_energy(17.1 / 16 / 6, 22, 0.85, f"{_NEUROSIM}, a sixth of a full adder at 22 nm"),
        gate_energy(210.0 / 32 / 6, 40, _ALADDIN_V, f"{_ALADDIN}, a sixth of a full adder"),
    ),
)
GATE_UM2 = Anchored(
    "two-input gate area",
    (
        gate_area(_NAND_UM2, 28, _ZIGZAG, ZIGZAG_DIGITAL),
        gate_area(22 / 16 / 7.8, 22, f"{_NEUROSIM}, a full adder over 7.8 at 22 nm"),
        gate_area(278 / 32 / 7.8, 40, f"{_ALADDIN}, a full adder over 7.8"),
    ),
)
# In units of a two-input gate: XOR2 as in ZigZag-IMC; a 2:1 mux is three NAND2.
_XOR_ENERGY, _XOR_AREA = 1.5, 2.4
_MUX_GATES = 3.0
COMPARATOR_FJ = Anchored(
    "digital comparator energy per bit", (gate_energy(29.0 / 32, 40, _ALADDIN_V, f"{_ALADDIN}, comparator 29 fJ"),)
)
COMPARATOR_UM2 = Anchored(
    "digital comparator area per bit", (gate_area(71 / 32, 40, f"{_ALADDIN}, comparator 71 um2"),)
)
# A lookup table is a small synchronous SRAM: CACTI's 1 KB, 64-bit array at 22 nm, 0.048 pJ per byte, 900 um2.
TABLE_FJ = Anchored("table read energy per bit, 1 KB", (gate_energy(48.0 / 8, 22, 0.85, "CACTI, 1 KB at 22 nm"),))
TABLE_UM2 = Anchored("table area per bit", (gate_area(900.0 / 8192, 22, "CACTI, 1 KB at 22 nm"),))
TABLE_DEPTH_EXPONENT = given(0.78, "CACTI: energy ~ depth^0.78").value


@dataclass(frozen=True)
class Block:
    """Energy of one use in fJ and area in um2, `[3, designs]`, at 28 nm and 0.9 V."""

    energy_fJ: Span
    area_um2: Span

    def __add__(self, other: Block) -> Block:
        return Block(self.energy_fJ + other.energy_fJ, self.area_um2 + other.area_um2)

    def times(self, count: Number) -> Block:
        """That many, all used."""
        return Block(self.energy_fJ * count, self.area_um2 * count)

    def action(self, process: Process, stages: Number = 1.0) -> ActionCost:
        """One use on a chip; it takes `stages` clock periods."""
        return ActionCost(process.gates_pJ(self.energy_fJ), process.cycle_ns * stages * span(1.0))

    def part(self, process: Process) -> PartCost:
        """One instance on a chip."""
        return process.powered(process.gates_um2(self.area_um2))


def adder(bits: Number) -> Block:
    """Ripple adder: one full adder per bit.

    >>> float((adder(32).energy_fJ / adder(16).energy_fJ)[1, 0])
    2.0
    """
    return Block(FULL_ADDER_FJ.value() * bits, FULL_ADDER_UM2.value() * bits)


def multiplier(bits: Number, other_bits: Number) -> Block:
    """Array multiplier: an AND and a full adder per pair of bits."""
    return Block(PRODUCT_FJ.value() * bits * other_bits, PRODUCT_UM2.value() * bits * other_bits)


def register(bits: Number) -> Block:
    """Flip-flops, written and clocked once."""
    return Block(REGISTER_FJ.value() * bits, REGISTER_UM2.value() * bits)


def gate(bits: Number) -> Block:
    """Two-input gates (AND, NAND, OR)."""
    return Block(GATE_FJ.value() * bits, GATE_UM2.value() * bits)


def xor(bits: Number) -> Block:
    """Two-input XOR gates."""
    return Block(GATE_FJ.value() * _XOR_ENERGY * bits, GATE_UM2.value() * _XOR_AREA * bits)


def mux(bits: Number, ways: Number = 2) -> Block:
    """Multiplexer of `ways` words: `ways - 1` two-way muxes per bit."""
    return gate(_MUX_GATES * bits * (np.asanyarray(ways) - 1))


def shifter(bits: Number) -> Block:
    """Barrel shifter: `ceil(log2 bits)` rows of two-way muxes."""
    return mux(bits).times(np.ceil(np.log2(np.maximum(bits, 2))))


def comparator(bits: Number) -> Block:
    """Digital comparator of two words."""
    return Block(COMPARATOR_FJ.value() * bits, COMPARATOR_UM2.value() * bits)


def table(entries: Number, bits: Number) -> Block:
    """Read-only table, one read of `bits`; energy per bit ~ depth^0.78 (CACTI) from 1 KB (128 words of 64 bits)."""
    depth = (np.asanyarray(entries, dtype=np.float64) / 128.0) ** float(TABLE_DEPTH_EXPONENT[1, 0])
    return Block(TABLE_FJ.value() * depth * bits, TABLE_UM2.value() * entries * bits)


def adder_tree_cells(inputs: Number, bits: Number) -> Number:
    """Full adders of a ripple adder tree over `inputs` words: `N (b + 1) - (b + log2 N + 1)` (ZigZag-IMC).

    >>> int(adder_tree_cells(2, 8))
    8
    """
    return inputs * (np.asanyarray(bits) + 1) - (bits + np.log2(inputs) + 1)
