"""From cell digits to the conductances of one drawn instance: programmed, then stuck where a cell is."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import Slices, slice_weights
from ohmfield.mapping.tile import geometry
from ohmfield.numerics import Noise
from ohmfield.simulate.conversion import check_ranges, level_uS
from ohmfield.simulate.plan import LayerPlan
from ohmfield.simulate.programmed import StoredLayer
from ohmfield.simulate.sums import reference_gain, reference_slices


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
    slices = slice_weights(codes.astype(np.int64), unit.array, plan.weight_bits, plan.path, plan.starts)
    target = target_uS(slices, unit)
    blocks = -(-len(codes) // geometry(unit, plan.weight_bits, plan.path).weights_per_row)
    reference = target_uS(reference_slices(unit, codes.shape[1], blocks), unit)
    copies, references = [], []
    for copy in range(plan.copies):
        key = (plan.wave, copy)
        copies.append(_written(target, unit, seed, plan.path, key))
        if unit.reference_columns:
            references.append(_written(reference, unit, seed, plan.path, (*key, "reference")))
    gains = gains or (min(unit.adc.gains),) * unit.array.conversions_per_weight(plan.weight_bits)
    check_ranges(unit, plan.signed_input, gains)
    if unit.reference_columns:
        reference_gain(unit, plan.driving(gains))  # refuses ranges that none of their columns can take
    stored = torch.stack(references).numpy() if references else None
    return StoredLayer(codes.astype(np.int64), torch.stack(copies).numpy(), gains, reference_uS=stored)


def _written(target: Tensor, unit: Crossbar, seed: int, path: str, key: tuple[int | str, ...]) -> Tensor:
    """`target` (uS) as one copy holds it."""
    written = unit.cell.program(target, instance_noise(seed, path, "program").at(*key))
    return unit.cell.stick(written, instance_noise(seed, path, "stuck").at(*key))
