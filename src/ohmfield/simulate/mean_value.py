"""What a model of mean values knows of a workload: how dense inputs are and how full cells, layer by layer."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
from jaxtyping import Shaped
from torch import Tensor, nn

from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import slice_weights
from ohmfield.mapping.tile import geometry
from ohmfield.mapping.workload import Operator, Stated, Workload
from ohmfield.quantities import ceil_div
from ohmfield.simulate.convert import chip_layers
from ohmfield.simulate.layers import ChipLinear
from ohmfield.simulate.run import predict
from ohmfield.simulate.sums import reference_slices
from ohmfield.tally import Tally

WHY = "mean values of inputs and weights"


def mean_value_workload(
    workload: Workload, module: nn.Module, chip: Chip, coords: Shaped[Tensor, "num *dims"]
) -> Workload:
    """`workload` without its counts; of each linear operator two means are stated instead.

    `driven`: the mean digit sum of the input codes that the converted `module` makes at `coords`, for every input.
    `fill`: the mean level that its nominal weights, sliced as on the chip, put into cells. What rows and cells have in
    common is lost, and so is what the instance drew: `DrivenCells` counts it.
    """
    parts = defaultdict[str, list[ChipLinear]](list)
    for layer in chip_layers(module).values():
        parts[layer.module_path].append(layer)
    with (seen := Tally()).listen():  # every vector: a few, evenly spread, may all lie at the border of an image
        predict(module, coords)
    stated = list(workload.stated)
    for operator in workload.shapes.operators:
        if operator.path in parts and operator.kind == "linear":
            stated.append(Stated("driven", seen[operator.id]["driven"] / len(coords), WHY, operator.id))
            stated += _fill(operator, parts[operator.path], chip)
    return replace(workload, tally=Tally(), tally_items=0.0, stated=tuple(stated))


def _fill(operator: Operator, layers: list[ChipLinear], chip: Chip) -> list[Stated]:
    """That of one operator on a crossbar; it has several layers where packs of its groups are stored apart."""
    crossed, filled = 0.0, 0.0
    for layer in layers:
        unit = chip.units[layer.plan.unit]
        if isinstance(unit, Crossbar):
            weights = layer.weight_codes().numpy()
            cells, levels = _cells(layer, unit, weights)
            crossed, filled = crossed + weights.shape[1] * cells, filled + weights.shape[1] * levels
    return [Stated("fill", filled / crossed, WHY, operator.id)] if crossed else []


def _cells(layer: ChipLinear, unit: Crossbar, weights: np.ndarray) -> tuple[float, float]:
    """Cells on a row, and the sum of their mean levels over the top one; reference columns included."""
    plan, top = layer.plan, 2**unit.array.cell_bits - 1
    digits = slice_weights(weights, unit.array, plan.weight_bits, plan.path, plan.starts).digits
    cells, levels = digits[0].size, digits.sum() / len(digits)
    if unit.reference_columns:
        blocks = ceil_div(len(weights), geometry(unit, plan.weight_bits, plan.path).weights_per_row)
        beside = reference_slices(unit, 1, int(blocks)).digits
        cells, levels = cells + beside.size, levels + beside.sum()
    return float(cells), float(levels) / top
