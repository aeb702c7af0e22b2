"""A stored layer as integers for the kernel: the conductance grid, code tables of the converter, pedestals, noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from ohmfield._kernels.crossbar import LoweredArray
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import Slices
from ohmfield.simulate.averaging import column_factors
from ohmfield.simulate.conversion import (
    Causes,
    Driving,
    conversion_std,
    drive_of,
    hardware_step,
    levels_per_level,
    pedestal_levels,
    rows_per_read,
    signed_conversion,
)
from ohmfield.simulate.wires import Circuits
from ohmfield.spec import InputError

NORMAL_REACH = 4.2  # no number that `Noise.normal` draws lies further out, in sd
FINEST_GRID = 256
LONG_TABLE = 2**18  # a code table longer than this is cut to the range of its converters
MOST_ENTRIES = 2**29  # of all tables of a layer, two GiB
COARSE_GRID = 64  # fine enough for any cell where 5 % of its error would ask for more
GRID_ERROR = 0.05  # of the programming sd, at most
SUM_ERROR = 1.0 / 16.0  # of the finest step, at most


@dataclass(frozen=True, eq=False)
class Columns:
    """The converters of one copy where they differ, by row group (one for all, if they lie in one array)."""

    gain: Float[np.ndarray, "groups banks outputs"] | None = None  # around 1
    offset_lsb: Float[np.ndarray, "groups banks outputs"] | None = None  # in LSB of the hardware range
    scale: Int[np.ndarray, "groups banks outputs"] | None = None  # registers of the digital correction
    shift: Int[np.ndarray, "groups banks outputs"] | None = None


@dataclass(frozen=True, eq=False)
class Stored:
    """One copy of a layer as its cells hold it, in cell levels above g_min: float64 [inputs, banks, outputs]."""

    levels: np.ndarray
    read_std: np.ndarray | None  # sd of one read of a bank's cell (or pair), in levels
    scale: float = 1.0  # what codes are worth more since cells drifted: compensation after the conversion
    gain: float = 1.0  # the same before it, in `levels`: a converter's noise and offset count for as much more
    circuits: Circuits | None = None  # lines whose loss depends on the input: what `levels` would be without them
    columns: Columns = field(default_factory=Columns)


def lower(stored: Stored, slices: Slices, crossbar: Crossbar, driving: Driving, causes: Causes) -> LoweredArray:
    """The kernel's integers for one copy.

    Everything before the converter is rounded to `1 / grid` level: 1 where levels are whole and nothing is drawn,
    else the finest power of two up to 256 whose sums fit 16 bits, but never coarser than 5 % of the spread of the
    levels around whole numbers (or 1/64), nor than what keeps errors of sums below 1/16 of the finest step. Levels are
    rounded along a column: with all rows of a group driven alike its sum errs by at most half a grid point a digit,
    which is below that bound, and so does the rms over random inputs. The grid's own variance is taken off the noise.
    """
    array, adc = crossbar.array, crossbar.adc
    signed = signed_conversion(crossbar, driving.signed_input)
    base = hardware_step(crossbar, driving.signed_input)
    steps = np.array([base / gain for gain in driving.gains]) if causes.rounding else np.ones(len(driving.gains))
    digit = 2**crossbar.dac.bits - 1
    pedestal = 0.0 if array.averages else pedestal_levels(crossbar)  # an average has it in its levels
    fixed = (stored.gain * conversion_std(crossbar, base)) ** 2 if causes.reading else 0.0
    read_std = stored.read_std if causes.reading and stored.read_std is not None and stored.read_std.any() else None
    columns = stored.columns if causes.rounding and causes.programming else Columns()
    exact = fixed == 0.0 and read_std is None and columns.gain is None and stored.circuits is None
    grid = _grid(stored.levels, driving.starts, digit, float(steps.min()), noisy=not exact)
    if pedestal != int(pedestal) and causes.rounding and grid == 1 and not bool((steps == 1.0).all()):
        grid = 16
    levels = _rounded_along(stored.levels * grid, driving.starts).astype(np.int32)
    rows = int(np.diff(driving.starts).max())
    pedestals = np.floor(pedestal * np.arange(rows * digit + 1) * grid + 0.5).astype(np.int64) if pedestal else None
    correlation = "vector" if crossbar.cell.noise_correlation == "vector" else "conversion"
    variance, unit = 0.0, 1.0
    if read_std is not None:
        variance, unit = read_variance((read_std * grid) ** 2, driving.starts, digit, correlation)
    peak = math.sqrt(fixed * grid**2 + _largest_variance(variance, unit, driving.starts, digit))
    low, high = _reach(levels, driving.starts, digit, crossbar.dac.signed_digits(driving.signed_input))
    high += int(pedestals[-1]) if pedestals is not None else 0
    margin = math.ceil(NORMAL_REACH * peak) + math.ceil(grid * float(steps.max())) + 1
    if stored.circuits is not None:  # sides of a pair lose differently, so a sum may leave those of `levels`
        margin += math.ceil(grid * digit * stored.circuits.reach_levels)
    offset = None
    if columns.gain is not None and columns.offset_lsb is not None:
        offset = columns.offset_lsb * (base * grid * stored.gain * levels_per_level(crossbar))
        margin += math.ceil(max(-low, high) * float(np.abs(columns.gain - 1.0).max()) + float(np.abs(offset).max()))
    first, last = low - margin, high + margin
    widest = float((base / np.array(driving.gains)).max()) * grid  # step of the converter, in grid points
    if last - first > LONG_TABLE and causes.clipping:  # beyond the ends of the widest range codes stay what they are
        beyond = 2.0 + max(map(abs, adc.inl), default=0.0)
        least, most = adc.limits(signed)
        first, last = max(first, math.floor((least - beyond) * widest)), min(last, math.ceil((most + beyond) * widest))
    entries = (last - first) * len(steps)
    if entries > MOST_ENTRIES:
        raise InputError(
            f"array.rows_active {crossbar.array.rows_active} and dac.bits {crossbar.dac.bits}: conversions of "
            f"{array.cell_bits}-bit cells on a grid of 1/{grid} level need {entries:.1e} codes "
            f"in a table, {MOST_ENTRIES:.1e} at most: use fewer dac.bits, rows_active or array.cell_bits"
        )
    values = np.arange(first, last + 1)
    codes = np.empty((len(steps), len(values)), dtype=np.int32)
    for bank, step in enumerate(steps):
        if causes.rounding:
            codes[bank] = adc.code(values / (grid * step), signed)
        else:
            codes[bank] = np.floor(values / grid + 0.5)
            if causes.clipping:
                least, most = (limit * base / driving.gains[bank] for limit in adc.limits(signed))
                codes[bank] = np.clip(codes[bank], math.ceil(least), math.floor(most))
    removed = None
    if pedestals is not None and array.written.sides == 1 and array.sum_x == "digital":
        removed = np.floor(pedestals[None, :] / (grid * steps[:, None]) + 0.5).astype(np.int64)
    if array.averages:
        factors, _ = column_factors(slices, crossbar, driving, causes)
        weights, shifts = _squeezed(slices.bank_weights(array.subtract)[:, None] * factors), None
    else:
        weights, shifts = _digital_weights(slices, crossbar, steps, columns, causes)
    extra = np.full(len(steps), max(0.0, fixed * grid**2 - 1.0 / 12.0)) if fixed > 0.0 else None
    return LoweredArray(
        levels=levels,
        starts=driving.starts,
        grid=grid,
        bank_weights=weights,
        plane_weights=np.array(crossbar.dac.plane_weights(driving.input_bits, driving.signed_input), dtype=np.int64),
        dac_bits=crossbar.dac.bits,
        drive=drive_of(crossbar, driving.signed_input),
        skip_zero_planes=crossbar.dac.skip == "zero_planes",
        rows_per_read=rows_per_read(crossbar, driving.signed_input),
        first=first,
        codes=codes,
        step=grid * steps,
        pedestal=pedestals,
        pedestal_code=removed,
        column_gain=None if columns.gain is None else _squeezed(columns.gain.astype(np.float32)),
        column_offset=None if offset is None else _squeezed(offset.astype(np.float32)),
        column_shift=shifts,
        noise_variance=extra,
        read_variance=variance,
        read_unit=unit,
        accumulator_bits=array.accumulator_bits if causes.clipping else None,
        overflow=array.overflow,
        correlation=correlation,
    )


def _digital_weights(
    slices: Slices, crossbar: Crossbar, steps: np.ndarray, columns: Columns, causes: Causes
) -> tuple[np.ndarray, np.ndarray | None]:
    """What a code of each bank counts in units of `output_step`, and what is added to it: bank, shift, scale."""
    banks, post = slices.bank_weights(crossbar.array.subtract).astype(np.int64), crossbar.adc.post_calibration
    octaves = bank_octaves(steps)
    if post is None or not causes.rounding:
        return _squeezed(_by_bank(banks, 2**octaves)), None
    if columns.scale is None or columns.shift is None:
        return _squeezed(_by_bank(banks, (2**octaves) * plain_scale(crossbar, steps))), None
    shifted = _by_bank(banks, 2**octaves)
    wide = shifted if shifted.ndim == 3 else shifted[None] if shifted.ndim == 2 else shifted[None, :, None]
    return _squeezed(wide * columns.scale), _squeezed(wide * columns.shift)


def _by_bank(weights: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """`weights`, whose banks are axis 0 or, where groups differ, axis 1, times a factor per bank."""
    return weights * (factors if weights.ndim == 1 else factors[:, None])


def _squeezed(values: np.ndarray) -> np.ndarray:
    """Without the axis of groups where they share one array."""
    return np.ascontiguousarray(values[0] if values.ndim == 3 and len(values) == 1 else values)


def bank_octaves(steps: Float[np.ndarray, " banks"]) -> Int[np.ndarray, " banks"]:
    """Left shifts that bring codes of each bank to at most the size of those with the finest step."""
    return np.ceil(np.log2(steps / steps.min()) - 1e-9).astype(np.int64)


def plain_scale(crossbar: Crossbar, steps: Float[np.ndarray, " banks"]) -> Int[np.ndarray, " banks"]:
    """Scale registers of ideal columns: one, or what is left of a free ratio of steps after its shift."""
    exact = steps / steps.min() / 2.0 ** bank_octaves(steps)
    return np.floor(exact * 2.0**crossbar.adc.fraction_bits + 0.5).astype(np.int64)


def loses_nothing(crossbar: Crossbar, driving: Driving, slices: Slices, causes: Causes) -> bool:
    """Whether conversions of ideal cells lose nothing: no sum leaves the range and, if rounded, steps are one level."""
    if causes.rounding and (any(crossbar.adc.inl) or (causes.programming and crossbar.adc.mismatched)):
        return False
    base = hardware_step(crossbar, driving.signed_input)
    if crossbar.array.averages:  # which divides a level into other steps in every column
        most = crossbar.adc.limits(signed_conversion(crossbar, driving.signed_input))[1] * base / max(driving.gains)
        return not causes.rounding and crossbar.array.accumulator_bits is None and bool(crossbar.largest_sum() <= most)
    if causes.rounding and any(base / gain != 1.0 for gain in driving.gains):
        return False
    digit = 2**crossbar.dac.bits - 1
    nominal = slices.bank_levels(crossbar.array.subtract)
    low, high = _reach(nominal, driving.starts, digit, crossbar.dac.signed_digits(driving.signed_input))
    rows = int(np.diff(driving.starts).max())
    if few := rows_per_read(crossbar, driving.signed_input):
        rows, most_of_row = min(rows, few), digit * int(np.abs(nominal).max(initial=0))
        low, high = max(low, -rows * most_of_row), min(high, rows * most_of_row)
    high += math.floor(pedestal_levels(crossbar) * rows * digit + 0.5)
    least, most = crossbar.adc.limits(signed_conversion(crossbar, driving.signed_input))
    step = base / max(driving.gains)
    covered = math.ceil(least * step) <= low and high <= math.floor(most * step)
    if crossbar.array.accumulator_bits is None:
        return covered
    counts = int(np.abs(slices.weights).sum()) * len(slices.signs) * (len(driving.starts) - 1)
    counts *= 2**crossbar.adc.fraction_bits
    planes = sum(abs(weight) for weight in crossbar.dac.plane_weights(driving.input_bits, driving.signed_input))
    return covered and max(-low, high) * counts * planes < 2 ** (crossbar.array.accumulator_bits - 1)


def _group_sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    return np.add.reduceat(values, starts[:-1], axis=0)


def _reach(levels: np.ndarray, starts: np.ndarray, digit: int, signed_digit: bool) -> tuple[int, int]:
    """Smallest and largest sum that any inputs can make in one row group."""
    wide = levels.astype(np.int64)
    high = int(_group_sums(np.maximum(wide, 0), starts).max(initial=0)) * digit
    low = int(_group_sums(np.minimum(wide, 0), starts).min(initial=0)) * digit
    return (min(low, -high), max(high, -low)) if signed_digit else (low, high)


def _grid(levels: np.ndarray, starts: np.ndarray, digit: int, step: float, noisy: bool) -> int:
    """Grid points per level.

    A level rounded along its column differs from its own by two uniform errors of one grid point, variance 1/6, so the
    sum over a random half of n rows has one of n/24; all of them err by a half at most. Both times the largest digit.
    """
    spread = float(np.sqrt(np.mean((levels - np.round(levels)) ** 2)))
    if spread == 0.0 and not noisy:
        return 1
    needed = COARSE_GRID
    if spread > 0.0:
        needed = min(COARSE_GRID, _power_of_two(1.0 / (math.sqrt(6.0) * GRID_ERROR * spread)))
        error = digit * max(0.5, math.sqrt(float(np.diff(starts).max()) / 24.0))
        needed = max(needed, _power_of_two(error / (SUM_ERROR * step)))
    largest = float(_group_sums(np.abs(levels), starts).max(initial=0.0)) * digit
    fits = 2 ** math.floor(math.log2(30000.0 / max(largest, 1.0))) if largest < 30000.0 else 1
    return int(max(needed, min(FINEST_GRID, fits)))


def _power_of_two(least: float) -> int:
    return 2 ** math.ceil(math.log2(max(1.0, least)))


def _rounded_along(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """`values` [inputs, ...] as whole numbers (int64) whose running sums in each row group are those rounded half up.

    So the sum of a group errs by at most a half, and that of any neighbours in it by at most one, whatever they have
    in common; rounded one by one, equal values err alike and their errors add up. Whole values stay as they are.
    """
    rounded = np.empty(values.shape, dtype=np.int64)
    for low, high in pairwise(starts.tolist()):
        sums = np.floor(np.cumsum(values[low:high], axis=0) + 0.5).astype(np.int64)
        rounded[low:high] = np.diff(sums, axis=0, prepend=0)
    return rounded


def read_variance(
    variance: Float[np.ndarray, "inputs banks outputs"],
    starts: Int[np.ndarray, " groups"],
    digit: int,
    correlation: Literal["conversion", "vector"],
) -> tuple[np.ndarray | float, np.ndarray | float]:
    """`variance` of one read per bank and cell as the kernel takes it: one number where all agree, else whole units.

    Each column has a unit of its own, float32 [banks, outputs]: its largest row group sums to 30000 units, so that the
    kernel can add single bits in 16 bits and digits of `dac_bits` in 30. Units are rounded along the column, so a group
    errs by half of one. Of draws that cells keep, each cell has up to 60000.
    """
    if float(variance.min()) == float(variance.max()):
        return float(variance.flat[0]), 1.0
    if correlation == "vector":
        unit = (variance.max(axis=0) / 60000.0).astype(np.float32)
    else:
        unit = (_group_sums(variance, starts).max(axis=0) / min(30000, 2**29 // digit**2)).astype(np.float32)
    unit[unit == 0.0] = 1.0
    parts = variance / unit
    whole = np.floor(parts + 0.5) if correlation == "vector" else _rounded_along(parts, starts)
    return whole.astype(np.uint16), unit


def _largest_variance(variance: np.ndarray | float, unit: np.ndarray | float, starts: np.ndarray, digit: int) -> float:
    if isinstance(variance, np.ndarray):
        return float((_group_sums(variance.astype(np.int64), starts) * unit).max()) * digit**2
    return variance * int(np.diff(starts).max()) * digit**2
