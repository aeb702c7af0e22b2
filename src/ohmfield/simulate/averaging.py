"""Columns read as a voltage: sums divided by the conductance of their column, and the factors that undo it.

Levels here are those of a *full* column, whose cells in all rows of a read conduct g_max: there a level is worth as
many volts as where a current is read at the same range, and every other column is scaled to it before its converter.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import Slices
from ohmfield.simulate.conversion import Causes, Driving, hardware_step, level_uS, pedestal_levels

EXACT_BITS = 16  # of the factors where nothing is rounded


def target_uS(slices: Slices, unit: Crossbar) -> Float[Tensor, "inputs slices sides outputs"]:
    """What each cell should hold."""
    return unit.cell.g_min_uS + torch.from_numpy(slices.digits).double() * level_uS(unit)


def column_shares(
    held_uS: Float[Tensor, "inputs slices sides outputs"], unit: Crossbar, starts: Int[np.ndarray, " boundaries"]
) -> Float[Tensor, "groups slices sides outputs"]:
    """Summed conductance of each column over that of a full one, by row group; the sides of a pair share a column.

    Rows outside the group are not connected, nor are rows that the layer leaves unused.
    """
    cell, pairs = unit.cell, unit.pairs
    full_uS = unit.array.rows_active * (cell.g_max_uS + (cell.g_min_uS if pairs else 0.0))
    sums = torch.stack([held_uS[low:high].double().sum(0) for low, high in pairwise(starts.tolist())])
    return (sums.sum(2, keepdim=True).expand_as(sums) if pairs else sums) / full_uS


def over_conductance(
    held_uS: Float[Tensor, "inputs slices sides outputs"], unit: Crossbar, starts: Int[np.ndarray, " boundaries"]
) -> Float[Tensor, "inputs slices sides outputs"]:
    """What each cell is multiplied by, 1 in a full column; 0 where a column conducts nothing."""
    shares = column_shares(held_uS, unit, starts)
    scale = torch.where(shares > 0.0, 1.0 / shares, torch.zeros_like(shares))
    return scale.repeat_interleave(torch.from_numpy(np.diff(starts)), dim=0)


def nominal_shares(
    slices: Slices, unit: Crossbar, starts: Int[np.ndarray, " boundaries"]
) -> Float[np.ndarray, "groups banks outputs"]:
    """`column_shares` of ideal cells, for each conversion."""
    shares = column_shares(target_uS(slices, unit), unit, starts)
    return (shares[:, :, 0] if unit.pairs else shares.flatten(1, 2)).numpy()


def column_factors(
    slices: Slices, unit: Crossbar, driving: Driving, causes: Causes
) -> tuple[Int[np.ndarray, "groups banks outputs"], float]:
    """What a code of each column counts, ranges of banks included, and how many cell levels one such count is worth.

    The largest factor of a layer fills its `factor_bits`. Without factors every column counts as the mean one, and
    banks differ by shifts.
    """
    shares, steps = nominal_shares(slices, unit, driving.starts), np.ones(len(driving.gains))
    if causes.rounding:
        steps = hardware_step(unit, driving.signed_input) / np.array(driving.gains)
    bits = unit.array.factor_bits if causes.rounding else EXACT_BITS
    if bits is None:
        shifts = np.floor(steps / steps.min() + 0.5).astype(np.int64)
        return np.broadcast_to(shifts[:, None], shares.shape), float(steps.min() * shares.mean())
    worth = shares * steps[:, None]
    one = (float(worth.max()) or 1.0) / (2**bits - 1)
    return np.floor(worth / one + 0.5).astype(np.int64), one


def in_levels(
    seen: Float[np.ndarray, "inputs banks outputs"], slices: Slices, unit: Crossbar, starts: Int[np.ndarray, " starts"]
) -> Float[np.ndarray, "inputs banks outputs"]:
    """`seen`, cells of a full column, in levels of their own as exact factors undo it, without pedestal."""
    return seen * np.repeat(nominal_shares(slices, unit, starts), np.diff(starts), axis=0) - pedestal_levels(unit)
