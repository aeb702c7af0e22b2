"""From cell digits to the conductances of one drawn instance: programmed, then stuck where a cell is."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import slice_weights
from ohmfield.mapping.tile import geometry
from ohmfield.numerics import Noise
from ohmfield.simulate.averaging import target_uS
from ohmfield.simulate.conversion import check_ranges
from ohmfield.simulate.plan import LayerPlan
from ohmfield.simulate.programmed import StoredLayer
from ohmfield.simulate.spares import Lines, has_line_faults, on_lines
from ohmfield.simulate.sums import reference_gain, reference_slices

Key = tuple[int | str, ...]
Both = tuple[Tensor, Tensor]  # cells of weights, and those of reference columns


def instance_noise(seed: int, path: str, kind: str) -> Noise:
    """`kind` is program, stuck, lines, age or read."""
    return Noise(seed).at("instance", path, kind)


def program_layer(
    codes: Int[np.ndarray, "outputs inputs"], plan: LayerPlan, chip: Chip, seed: int, gains: tuple[float, ...] = ()
) -> StoredLayer:
    """Writes one layer: every copy and every wave draws errors of its own, stuck cells override what was written.

    Where an array has spare lines, they stand in for the lines whose faults cost most.
    """
    unit = chip.units[plan.unit]
    if not isinstance(unit, Crossbar):
        return StoredLayer(codes.astype(np.int64), None)
    slices = slice_weights(codes.astype(np.int64), unit.array, plan.weight_bits, plan.path, plan.starts)
    target = target_uS(slices, unit)
    blocks = -(-len(codes) // geometry(unit, plan.weight_bits, plan.path).weights_per_row)
    reference = target_uS(reference_slices(unit, codes.shape[1], blocks), unit)
    copies, references, lines = [], [], list[Lines]()
    for copy in range(plan.copies):
        key = (plan.wave, copy)
        both = target, reference
        written = _written(both, unit, seed, plan.path, key)
        if has_line_faults(unit.array):
            free = torch.full_like(target, torch.nan), torch.full_like(reference, torch.nan)
            stuck = _stuck(free, unit, seed, plan.path, key)
            noise = instance_noise(seed, plan.path, "lines").at(*key)
            *written, placed = on_lines(both, written, stuck, slices.weights, unit, plan.weight_bits, noise)
            lines.append(placed)
        copies.append(written[0])
        references.append(written[1])
    gains = gains or (min(unit.adc.gains),) * unit.array.conversions_per_weight(plan.weight_bits)
    check_ranges(unit, plan.signed_input, gains)
    if unit.reference_columns:
        reference_gain(unit, plan.driving(gains))  # refuses ranges that none of their columns can take
    return StoredLayer(
        codes.astype(np.int64),
        torch.stack(copies).numpy(),
        gains,
        reference_uS=torch.stack(references).numpy() if unit.reference_columns else None,
        lines=Lines.of_copies(lines) if lines else None,
    )


def _written(targets: Both, unit: Crossbar, seed: int, path: str, key: Key) -> Both:
    """`targets` (uS) as one copy holds them."""
    noise = instance_noise(seed, path, "program")
    cells, references = targets
    programmed = unit.cell.program(cells, noise.at(*key))
    beside = unit.cell.program(references, noise.at(*key, "reference")) if references.numel() else references
    return _stuck((programmed, beside), unit, seed, path, key)


def _stuck(cells: Both, unit: Crossbar, seed: int, path: str, key: Key) -> Both:
    noise = instance_noise(seed, path, "stuck")
    return unit.cell.stick(cells[0], noise.at(*key)), unit.cell.stick(cells[1], noise.at(*key, "reference"))
