"""From cell digits to the conductances of one drawn instance: programmed, then stuck where a cell is."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import Slices, slice_weights
from ohmfield.numerics import Noise
from ohmfield.simulate.conversion import check_ranges, level_uS
from ohmfield.simulate.plan import LayerPlan
from ohmfield.simulate.programmed import StoredLayer


def instance_noise(seed: int, path: str, kind: str) -> Noise:
    """`kind` is program, stuck, age or read."""
    return Noise(seed).at("instance", path, kind)


def target_uS(slices: Slices, unit: Crossbar) -> Float[Tensor, "inputs slices sides outputs"]:
    """What each cell should hold."""
    return unit.cell.g_min_uS + torch.from_numpy(slices.digits).double() * level_uS(unit)


def program_layer(
    codes: Int[np.ndarray, "outputs inputs"], plan: LayerPlan, chip: Chip, seed: int, gains: tuple[float, ...] = ()
) -> StoredLayer:
    """Writes one layer: every copy and every wave draws errors of its own, stuck cells override what was written."""
    unit = chip.units[plan.unit]
    if not isinstance(unit, Crossbar):
        return StoredLayer(codes.astype(np.int64), None)
    slices = slice_weights(codes.astype(np.int64), unit.array, plan.weight_bits, plan.path)
    target = target_uS(slices, unit)
    copies = []
    for copy in range(plan.copies):
        key = (plan.wave, copy)
        written = unit.cell.program(target, instance_noise(seed, plan.path, "program").at(*key))
        copies.append(unit.cell.stick(written, instance_noise(seed, plan.path, "stuck").at(*key)))
    gains = gains or (min(unit.adc.gains),) * len(slices.bank_weights(unit.array.subtract))
    check_ranges(unit, plan.signed_input, gains)
    return StoredLayer(codes.astype(np.int64), torch.stack(copies).numpy(), gains)
