"""A stored layer as integers for the kernel: the conductance grid, code tables of the converter, pedestals, noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ohmfield._kernels.crossbar import LoweredArray
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import Slices
from ohmfield.spec import InputError

NORMAL_REACH = 4.2  # no number that `Noise.normal` draws lies further out, in sd
FINEST_GRID = 256
COARSE_GRID = 64  # fine enough for any cell where 5 % of its error would ask for more
GRID_ERROR = 0.05  # of the programming sd, at most
REFERENCE_VOLTAGE_V = 0.2  # read voltage at which a converter's noise is declared in levels


@dataclass(frozen=True)
class Causes:
    """Which imperfections a run has. All: the chip. None: the quantised net on ideal cells and lossless conversions."""

    clipping: bool = True
    rounding: bool = True
    programming: bool = True
    reading: bool = True

    @property
    def loses_nothing(crossbar: Crossbar, driving: Driving, slices: Slices, causes: Causes) -> bool:
    """Whether conversions of ideal cells lose nothing: no sum leaves the range and, if rounded, steps are one level."""
    base = hardware_step(crossbar, driving.signed_input)
    if causes.rounding and any(base / gain != 1.0 for gain in driving.gains):
        return False
    digit = 2**crossbar.dac.bits - 1
    nominal = slices.bank_levels(crossbar.array.subtract)
    low, high = _reach(nominal, driving.starts, digit, crossbar.dac.bits > 1 and driving.signed_input)
    rows = int(np.diff(driving.starts).max())
    high += math.floor(pedestal_levels(crossbar) * rows * digit + 0.5)
    least, most = crossbar.adc.limits(signed_conversion(crossbar, driving.signed_input))
    step = base / max(driving.gains)
    return math.ceil(least * step) <= low and high <= math.floor(most * step)


def _converter_variance(crossbar: Crossbar, step: float) -> float:
    """Variance of the converter's noise in levels^2: fixed in amperes, so fewer levels at a higher read voltage."""
    sd = crossbar.adc.noise_levels(step) * REFERENCE_VOLTAGE_V / crossbar.array.read_voltage_V
    return sd * sd


def _group_sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    return np.add.reduceat(values, starts[:-1], axis=0)


def _reach(levels: np.ndarray, starts: np.ndarray, digit: int, signed_digit: bool) -> tuple[int, int]:
    """Smallest and largest sum that any inputs can make in one row group."""
    wide = levels.astype(np.int64)
    high = int(_group_sums(np.maximum(wide, 0), starts).max(initial=0)) * digit
    low = int(_group_sums(np.minimum(wide, 0), starts).min(initial=0)) * digit
    return (min(low, -high), max(high, -low)) if signed_digit else (low, high)


def _grid(levels: np.ndarray, starts: np.ndarray, digit: int, noisy: bool) -> int:
    """Grid points per level."""
    spread = float(np.sqrt(np.mean((levels - np.round(levels)) ** 2)))
    if spread == 0.0 and not noisy:
        return 1
    needed = COARSE_GRID
    if spread > 0.0:
        needed = min(COARSE_GRID, 2 ** math.ceil(math.log2(max(1.0, 1.0 / (math.sqrt(12.0) * GRID_ERROR * spread)))))
    largest = float(_group_sums(np.abs(levels), starts).max(initial=0.0)) * digit
    fits = 2 ** math.floor(math.log2(30000.0 / max(largest, 1.0))) if largest < 30000.0 else 1
    return int(max(needed, min(FINEST_GRID, fits)))


def _read_variance(
    std: np.ndarray | None, starts: np.ndarray, digit: int, grid: int
) -> tuple[np.ndarray | float, float]:
    """Variance of one read per bank and cell in (1 / grid level)^2: a number where all agree, else whole units."""
    if std is None:
        return 0.0, 1.0
    variance = (std * grid) ** 2
    if float(variance.min()) == float(variance.max()):
        return float(variance.flat[0]), 1.0
    # Sums of units over a group stay below 2^15, so that the kernel can add them in 16 bits.
    largest = float(_group_sums(variance, starts).max()) * digit**2
    unit = largest / 30000.0
    return np.floor(variance / unit + 0.5).astype(np.uint16), unit


def _largest_variance(variance: np.ndarray | float, unit: float, starts: np.ndarray, digit: int) -> float:
    if isinstance(variance, np.ndarray):
        return float(_group_sums(variance.astype(np.int64), starts).max()) * unit * digit**2
    return variance * int(np.diff(starts).max()) * digit**2
