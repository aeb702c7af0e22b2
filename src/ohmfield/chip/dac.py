"""Input drivers: how an input integer becomes row voltages."""

from __future__ import annotations

import numpy as np

from ohmfield.chip.lines import DAC_FF, DAC_UM2, DRIVER_FF, DRIVER_UM2, LINE_FF
from ohmfield.chip.process import Process
from ohmfield.chip.scaling import REFERENCE_V
from ohmfield.quantities import ActionCost, Number, PartCost
from ohmfield.spec import knob, spec


@spec
class Dac:
    """Row drivers. `bits` per digit: 1 is bit-serial; every digit is one plane, read and converted by itself."""

    bits: int = knob("both", 1, ge=1, le=8, doc="input bits driven at once")

    def num_planes(self, input_bits: int) -> int:
        """Digits of one input: `ceil(input_bits / bits)`."""
        return -(-input_bits // self.bits)

    def plane_weights(self, input_bits: int, signed: bool) -> tuple[int, ...]:
        """What each plane counts, lowest first; the top bit of a signed input weighs `-2^(b-1)`.

        With a multi-bit DAC the top *digit* is signed and its driver bipolar: its weight stays positive here and its
        digit value is negative.

        >>> Dac(bits=1).plane_weights(4, signed=True)
        (1, 2, 4, -8)
        """
        weights = [2 ** (self.bits * plane) for plane in range(self.num_planes(input_bits))]
        if signed and self.bits == 1:
            weights[-1] = -weights[-1]
        return tuple(weights)

    def drive(self, process: Process, columns: Number) -> ActionCost:
        """One driven digit of one row: driver and line swing by the supply; wider digits need a converter."""
        wide = np.minimum(np.asarray(self.bits) - 1, 1)  # a single bit is a switch, not a converter
        capacitance_fF = DRIVER_FF.value() + LINE_FF.value() * columns + DAC_FF.value() * self.bits * wide
        return ActionCost(process.analog_pJ(capacitance_fF * REFERENCE_V**2))

    def part(self, process: Process) -> PartCost:
        """The driver of one row."""
        further = np.asarray(self.bits) - 1
        return process.powered(process.analog_um2(DRIVER_UM2.value() + DAC_UM2.value() * further))
