"""What a readout makes of the cells and noises of a conversion, in cell levels."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ohmfield.chip.cells.base import ROOM_K
from ohmfield.chip.cells.sram import SramCell
from ohmfield.chip.units import Crossbar
from ohmfield.numerics import Noise
from ohmfield.quantities import BOLTZMANN_J_PER_K

FARAD_PER_FF = 1e-15


def charge_std(crossbar: Crossbar) -> float:
    """Rms kT/C noise of one conversion in cell levels; 0 where no charge is shared.

    N connected capacitors C hold `kT / (N C)` of mean square noise, and a level is `V / N` of the column's voltage less
    what g_min conducts: `sqrt(N kT / C) / V` levels, of each column of a pair.
    """
    if crossbar.array.readout != "charge_share":
        return 0.0
    cell = _capacitor(crossbar)
    farad = float(cell.capacitance_fF()) * FARAD_PER_FF
    level_V = crossbar.array.read_voltage_V * (1.0 - cell.g_min_uS / cell.g_max_uS)
    columns = 2 if crossbar.pairs else 1
    return math.sqrt(columns * crossbar.array.rows_active * BOLTZMANN_J_PER_K * ROOM_K / farad) / level_V


def over_connected(
    held_uS: Float[Tensor, "inputs slices sides outputs"],
    target_uS: Float[Tensor, "inputs slices sides outputs"],
    crossbar: Crossbar,
    starts: Int[np.ndarray, " boundaries"],
    noise: Noise,
) -> Float[Tensor, "inputs slices sides outputs"]:
    """Each capacitor over the mean of all that its reads connect: `rows_active` of a column, driven or not.

    A capacitor behind a bit of 0 adds nothing to `held_uS`, nor does a row that the layer leaves unused; what theirs
    are is drawn from `noise`. A group of more rows (samples of a cell, to find its spread) shares among itself.
    """
    mismatch, rows = _capacitor(crossbar).mismatch, crossbar.array.rows_active
    if mismatch == 0.0:
        return held_uS
    drawn = 1.0 + mismatch * noise.at("undriven").normal(tuple(held_uS.shape)).to(held_uS.dtype)
    seen = (held_uS > 0.0) & (target_uS > 0.0)
    made = torch.where(seen, held_uS / torch.where(seen, target_uS, torch.ones_like(target_uS)), drawn)
    shared = held_uS.clone()
    for group, (low, high) in enumerate(pairwise(starts)):
        unused = max(0, rows - int(high - low))
        idle = noise.at("unused", group).normal(tuple(held_uS.shape[1:])).to(held_uS.dtype)
        mean = (made[low:high].sum(0) + unused + mismatch * math.sqrt(unused) * idle) / (int(high - low) + unused)
        shared[low:high] /= mean
    return shared


def with_jitter(
    read_std: Float[np.ndarray, "inputs banks outputs"] | None,
    levels: Float[np.ndarray, "inputs banks outputs"],
    crossbar: Crossbar,
) -> Float[np.ndarray, "inputs banks outputs"] | None:
    """`read_std` of cells (or pairs) that conduct `levels`, with the jitter of the pulses that drive them.

    A pulse errs in proportion to its width, so its variance goes with the square of the digit, like read noise. A pair
    sees one pulse: its difference jitters. That other columns see it too is left out.
    """
    if crossbar.array.readout != "time" or crossbar.dac.jitter == 0.0:
        return read_std
    jitter = crossbar.dac.jitter * np.abs(levels)
    return jitter if read_std is None else np.hypot(read_std, jitter)


def _capacitor(crossbar: Crossbar) -> SramCell:
    assert isinstance(crossbar.cell, SramCell)  # `Crossbar` refuses others
    return crossbar.cell
