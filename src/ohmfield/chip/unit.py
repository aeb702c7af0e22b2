"""What every compute unit that holds weights answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from ohmfield.chip import library
from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, Number, PartCost, Span, span
from ohmfield.spec import knob, spec


@spec
class Unit(ABC):
    """Something that holds weights and multiplies by them."""

    kind: ClassVar[str]
    num_arrays: int = knob("cost", 16, ge=1, le=10**7, doc="arrays on the chip")
    max_copies: int = knob("both", 1, ge=1, le=4096, doc="most copies of one layer's weights, to run in parallel")

    @property
    def rewritable(self) -> bool:
        """Whether weights can be written again, so that a model larger than the chip runs in waves."""
        return True

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


@spec
class DigitalUnit(Unit):
    """Exact integer products: digits of the inputs one after the other, sums in logic. Kinds differ in their bill."""

    rows: int = knob("cost", 64, ge=1, le=8192, doc="weights added at once")
    columns: int = knob("cost", 64, ge=1, le=8192, doc="what lies side by side")
    banks: int = knob("cost", 1, ge=1, le=1024, doc="stored rows per compute row")
    max_copies: int = knob("cost", 1, ge=1, le=4096, doc="most copies of one layer's weights: exact, so all alike")

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What its bill rests on, one line each."""
        return ()

    @property
    @abstractmethod
    def digit_bits(self) -> Number:
        """Input bits multiplied in one cycle."""

    @abstractmethod
    def columns_per_weight(self, weight_bits: Number) -> Number:
        """Columns that one weight takes."""

    @abstractmethod
    def add(self, process: Process, weight_bits: Number) -> ActionCost:
        """One driven digit at one output; latency is one cycle. A digit of zero switches nothing."""

    @abstractmethod
    def control(self, process: Process) -> ActionCost:
        """One cycle of one array."""

    @abstractmethod
    def write(self, process: Process) -> ActionCost:
        """One column of one weight written."""

    @abstractmethod
    def step_ns(self, process: Process, weight_bits: Number) -> Span:
        """One cycle: the clock, or the logic where that is slower."""

    def digits(self, input_bits: Number) -> Number:
        """Cycles of one product: `ceil(input_bits / digit_bits)`."""
        return np.ceil(np.asanyarray(input_bits) / self.digit_bits)

    def weights_per_row(self, weight_bits: Number) -> Number:
        """Outputs of one array."""
        return np.floor(np.asanyarray(self.columns) / self.columns_per_weight(weight_bits))

    def accumulator_bits(self, weight_bits: Number, input_bits: Number) -> Number:
        """Width that cannot overflow over one array."""
        return weight_bits + input_bits + np.ceil(np.log2(self.rows))

    def turn(self, process: Process, weight_bits: Number) -> ActionCost:
        """Time of one cycle."""
        return ActionCost(span(0.0), self.step_ns(process, weight_bits))


def accumulator(bits: Number) -> library.Block:
    """An adder and the register that keeps its sum."""
    return library.adder(bits) + library.register(bits)


def control_block(rows: Number, digit_bits: Number) -> library.Block:
    """Input registers of a read and the row decoder, three gates a row of which one in twenty switches (NeuroSim)."""
    decoder = library.gate(3 * rows)
    return library.register(rows * digit_bits) + library.Block(decoder.energy_fJ * 0.05, decoder.area_um2)
