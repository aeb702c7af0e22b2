"""One converter in cell levels: steps, ranges and noise, and which imperfections a run has."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ohmfield._kernels.crossbar import Drive
from ohmfield.chip.scaling import REFERENCE_V
from ohmfield.chip.units import Crossbar
from ohmfield.simulate.readout import charge_std
from ohmfield.spec import InputError

REFERENCE_VOLTAGE_V, REFERENCE_READ_NS = 0.2, 10.0  # the read at which a converter's noise is declared in levels


@dataclass(frozen=True)
class Causes:
    """Which imperfections a run has. All: the chip. None: the quantised net on ideal cells and lossless conversions."""

    clipping: bool = True
    rounding: bool = True
    programming: bool = True
    wires: bool = True
    reading: bool = True

    def __post_init__(self) -> None:
        if self.rounding and not self.clipping:
            raise ValueError("a converter that rounds to its codes also clips to them: rounding needs clipping")

    @property
    def lossless(self) -> bool:
        """Whether nothing may be lost in a conversion."""
        return not (self.clipping or self.rounding)


IDEAL = Causes(clipping=False, rounding=False, programming=False, wires=False, reading=False)


@dataclass(frozen=True, eq=False)
class Driving:
    """What a crossbar layer is driven and read with."""

    starts: np.ndarray
    input_bits: int
    signed_input: bool
    gains: tuple[float, ...]  # per bank


def level_uS(crossbar: Crossbar) -> float:
    """Conductance of one cell level."""
    return (crossbar.cell.g_max_uS - crossbar.cell.g_min_uS) / (2**crossbar.array.cell_bits - 1)


def drive_of(crossbar: Crossbar, signed_input: bool) -> Drive:
    """How a layer's inputs are driven; `InputError` where its drivers refuse signed ones."""
    drive = crossbar.dac.drive_of(signed_input)
    if drive == "none":
        raise InputError(
            "inputs are signed and dac.signed is none: use twos_complement, sign_magnitude or sign_magnitude_two_pass"
        )
    return drive


def signed_conversion(crossbar: Crossbar, signed_input: bool) -> bool:
    """Whether conversions are signed: pairs subtracted before them, or digits that are signed themselves."""
    return crossbar.signed_codes(signed_input)


def rows_per_read(crossbar: Crossbar, signed_input: bool) -> int:
    """Most driven rows of one conversion where zero bits are skipped; 0 where whole row groups are read."""
    return int(crossbar.rows_per_read(signed_input)) if crossbar.dac.skip == "zero_bits" else 0


def pedestal_levels(crossbar: Crossbar) -> float:
    """g_min in levels: what each driven row adds to an unsubtracted column."""
    if crossbar.pairs:
        return 0.0
    return crossbar.cell.g_min_uS / level_uS(crossbar)


def hardware_step(crossbar: Crossbar, signed_input: bool) -> float:
    """Cell levels per code at gain 1: the converter's range covers every sum of the rows active, pedestal included."""
    array = crossbar.array
    digit = 2**crossbar.dac.bits - 1
    rows = rows_per_read(crossbar, signed_input) or array.rows_active
    largest = rows * digit * (array.fullest * (2**array.cell_bits - 1) + pedestal_levels(crossbar))
    return crossbar.adc.hardware_step(largest, signed_conversion(crossbar, signed_input))


def check_ranges(crossbar: Crossbar, signed_input: bool, gains: tuple[float, ...]) -> None:
    """Raises `InputError` where codes that are added differ by what no shift and no declared multiplier makes good."""
    dac = crossbar.dac
    if dac.signed_digits(signed_input) and pedestal_levels(crossbar) > 0.0:
        raise InputError(
            f"dac.signed {dac.signed} with {dac.bits} bits drives pedestals of g_min below zero: "
            "use array.subtract analog, dac.signed sign_magnitude_two_pass, or one bit of two's complement"
        )
    post = crossbar.adc.post_calibration
    if (post is not None and post.fit == "scale_shift") or crossbar.array.column_factor_bits:
        return
    for gain in gains:
        ratio = math.log2(max(gains) / gain)
        if ratio != int(ratio):
            raise InputError(
                f"gains {gains} of one layer differ by other than powers of two: calibrate per layer, "
                "or declare adc.post_calibration scale_shift, or array.factor_bits where voltages average"
            )


def output_step(crossbar: Crossbar, driving: Driving, causes: Causes) -> float:
    """Cell levels that one unit of the output counts: the finest step of the layer, by the places of a correction."""
    if not causes.rounding:
        return 1.0
    finest = hardware_step(crossbar, driving.signed_input) / max(driving.gains)
    return finest / 2**crossbar.adc.fraction_bits


def converter_std(crossbar: Crossbar, step: float) -> float:
    """Rms noise of the converter in levels."""
    return crossbar.adc.noise_levels(step) * levels_per_level(crossbar)


def levels_per_level(crossbar: Crossbar) -> float:
    """How many levels what a converter adds is worth, over the same at its declared read of 0.2 V and 10 ns.

    Its noise and offset are fixed in charge, and a level's charge grows with read voltage and time. Where charge is
    shared they are fixed in voltage, declared for a read of 0.9 V; its time does not matter. So they are where columns
    float, declared for 0.2 V and in levels of a full column.
    """
    array = crossbar.array
    if array.readout == "charge_share":
        return REFERENCE_V / array.read_voltage_V
    if array.averages:
        return REFERENCE_VOLTAGE_V / array.read_voltage_V
    return REFERENCE_VOLTAGE_V * REFERENCE_READ_NS / (array.read_voltage_V * array.read_ns)


def conversion_std(crossbar: Crossbar, step: float) -> float:
    """Rms noise of one conversion in levels, whatever is driven: of the converter, and of shared charge."""
    return math.hypot(converter_std(crossbar, step), charge_std(crossbar))
