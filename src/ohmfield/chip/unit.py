"""What every compute unit that holds weights answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from ohmfield.chip import library
from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, Number, PartCost
from ohmfield.spec import knob, spec


@spec
class Unit(ABC):
    """Something that holds weights and multiplies by them."""

    kind: ClassVar[str]
    num_arrays: int = knob("cost", 16, ge=1, le=10**7, doc="arrays on the chip")
    max_copies: int = knob("both", 1, ge=1, le=4096, doc="most copies of one layer's weights, to run in parallel")

    @abstractmethod
    def drive(self, process: Process) -> ActionCost:
        """One driven input digit of one array."""

    @abstractmethod
    def turn(self, process: Process, weight_bits: Number) -> ActionCost:
        """Time of one read of an array; what it draws stands in its actions."""

    @abstractmethod
    def parts(self, process: Process, weight_bits: Number, input_bits: Number) -> dict[str, PartCost]:
        """Parts of one array by component of the bill."""

    def shift_add(self, process: Process, accumulator_bits: Number) -> ActionCost:
        """One partial sum added to its accumulator."""
        return accumulator(accumulator_bits).action(process)


def accumulator(bits: Number) -> library.Block:
    """An adder and the register that keeps its sum."""
    return library.adder(bits) + library.register(bits)


def control_block(rows: Number, digit_bits: Number) -> library.Block:
    """Input registers of a read and the row decoder, three gates a row of which one in twenty switches (NeuroSim)."""
    decoder = library.gate(3 * rows)
    return library.register(rows * digit_bits) + library.Block(decoder.energy_fJ * 0.05, decoder.area_um2)
