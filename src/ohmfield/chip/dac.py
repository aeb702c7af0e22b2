"""Input drivers: how an input integer becomes row voltages, and which rows are not read at all."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ohmfield.chip import library
from ohmfield.chip.lines import DAC_FF, DAC_UM2, DRIVER_FF, DRIVER_UM2, LINE_FF
from ohmfield.chip.process import Process
from ohmfield.chip.scaling import REFERENCE_V
from ohmfield.quantities import ActionCost, Count, Number, PartCost, ceil_div, uniform
from ohmfield.spec import knob, spec

SignedDrive = Literal["twos_complement", "sign_magnitude", "sign_magnitude_two_pass", "none"]

# A driver of both signs switches a row to a second supply: twice the switches and their drivers (assumed).
BIPOLAR_FACTOR = 2.0


@spec
class Dac:
    """Row drivers. `bits` per digit: 1 is bit-serial; every digit is one plane, read and converted by itself.

    Inputs that are not signed are driven as they are. Of signed ones, two's complement drives the code (with `bits`
    above 1 its top digit is signed: a bipolar driver), `sign_magnitude` the digits of |x| with the sign of x (bipolar
    driver, b - 1 planes of a bit), `sign_magnitude_two_pass` first those above zero and then those below (2 (b - 1)
    planes). A sign and magnitude has no code for -2^(b-1). `none`: the drivers have one sign and no second pass.
    """

    bits: int = knob("both", 1, ge=1, le=8, doc="input bits driven at once")
    signed: SignedDrive = knob("both", "twos_complement", doc="how signed inputs are driven; none: they are refused")
    skip: Literal["none", "zero_planes", "zero_bits"] = knob(
        "both", "none", doc="what is not read: planes without a driven row; every row without one (needs no more bits)"
    )
    jitter: float = knob(
        "both", 0.01, ge=0, le=1, doc="sd of a pulse, of its width, where array.readout is time; less costs energy"
    )

    @property
    def bipolar(self) -> bool:
        """Whether rows must be driven with both signs."""
        return self.signed == "sign_magnitude" or (self.signed == "twos_complement" and uniform(self.bits > 1))

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What no source gives of the costs of what is used; every bill repeats it."""
        lines = {
            "one for both signs is twice one for one": self.bipolar,
            "gates that find zero planes or bits, by count of gates": self.skip != "none",
        }
        return tuple(line for line, used in lines.items() if used)

    def drive_of(self, signed_input: bool) -> Literal["unsigned"] | SignedDrive:
        """How a layer is driven whose inputs are signed, or are not."""
        return self.signed if signed_input else "unsigned"

    def signed_digits(self, signed_input: bool) -> bool:
        """Whether a digit of that layer can be negative."""
        return signed_input and self.bipolar

    def num_planes(self, input_bits: Count, signed: bool = False) -> Count:
        """Digits of one input, read in turn: `ceil(b / bits)`, or of its magnitude, once or for each sign.

        >>> [Dac(signed=drive).num_planes(8, signed=True) for drive in ("sign_magnitude", "sign_magnitude_two_pass")]
        [7, 14]
        """
        magnitude = signed and self.signed.startswith("sign_magnitude")
        passes = 2 if signed and self.signed == "sign_magnitude_two_pass" else 1
        return passes * ceil_div(input_bits - int(magnitude), self.bits)

    def plane_weights(self, input_bits: int, signed: bool) -> tuple[int, ...]:
        """What each plane counts, lowest first; of two's complement the top bit weighs `-2^(b-1)`.

        With a multi-bit DAC the top *digit* is signed and its driver bipolar: its weight stays positive here and its
        digit value is negative. The second pass of a sign and magnitude counts below zero.

        >>> Dac(bits=1).plane_weights(4, signed=True)
        (1, 2, 4, -8)
        >>> Dac(bits=2, signed="sign_magnitude_two_pass").plane_weights(4, signed=True)
        (1, 4, -1, -4)
        """
        planes = int(self.num_planes(input_bits, signed))
        if signed and self.signed == "sign_magnitude_two_pass":
            half = [2 ** (self.bits * plane) for plane in range(planes // 2)]
            return (*half, *(-weight for weight in half))
        weights = [2 ** (self.bits * plane) for plane in range(planes)]
        if signed and self.signed == "twos_complement" and self.bits == 1:
            weights[-1] = -weights[-1]
        return tuple(weights)

    def drive(self, process: Process, columns: Number, *, pulses: bool = False) -> ActionCost:
        """One unit of a driven digit of one row: a line swings once a digit, `2^(bits - 1)` units on average.

        Driver and line swing by the supply; wider digits need a converter, unless they are the widths of `pulses`.
        """
        wide = 0 if pulses else np.minimum(np.asanyarray(self.bits) - 1, 1)  # a single bit is a switch, not a converter
        driver_fF = (DRIVER_FF.value() + DAC_FF.value() * self.bits * wide) * self._sides()
        units = 2.0 ** (np.asanyarray(self.bits) - 1)
        return ActionCost(process.analog_pJ((driver_fF + LINE_FF.value() * columns) * REFERENCE_V**2) / units)

    def part(self, process: Process, *, pulses: bool = False) -> PartCost:
        """The driver of one row."""
        further = 0 if pulses else np.asanyarray(self.bits) - 1
        return process.powered(process.analog_um2((DRIVER_UM2.value() + DAC_UM2.value() * further) * self._sides()))

    def detector(self, rows: Number) -> library.Block:
        """What finds the rows to read, for one group of `rows` and plane.

        A plane of zeros is an OR over all driven bits. To read only driven rows, a prefix sum numbers them and each
        compares its number with that of the read (assumed: adders and comparators of log2 rows bits, one per row).
        """
        if self.skip == "none":
            return library.gate(0)
        driven = library.gate(np.asanyarray(rows) * self.bits)
        if self.skip == "zero_planes":
            return driven
        width = np.ceil(np.log2(np.asanyarray(rows) + 1))
        return driven + (library.adder(width) + library.comparator(width)).times(rows)

    def selection(self, rows: Number) -> library.Block:
        """What one further read of a group costs to select its rows."""
        if self.skip != "zero_bits":
            return library.gate(0)
        return library.comparator(np.ceil(np.log2(np.asanyarray(rows) + 1))).times(rows)

    def _sides(self) -> float:
        return BIPOLAR_FACTOR if self.bipolar else 1.0
