"""The transposed product on the same cells: inputs drive columns, rows are sensed.

All columns of an array meet in its rows, so slices and sides, which count differently, are driven in passes of their
own; every conversion is of one side, unsigned unless the inputs' digits are signed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import Slices, slice_weights
from ohmfield.mapping.tile import geometry
from ohmfield.simulate.conversion import Causes, Driving, check_ranges, output_step
from ohmfield.simulate.lower import Stored, lower
from ohmfield.simulate.plan import LayerPlan
from ohmfield.simulate.products import CrossbarProduct
from ohmfield.simulate.programmed import StoredLayer
from ohmfield.simulate.reading import stored_copy
from ohmfield.simulate.sums import sum_correction
from ohmfield.simulate.writing import instance_noise
from ohmfield.spec import InputError


def transposed_product(
    layer: StoredLayer,
    plan: LayerPlan,
    chip: Chip,
    causes: Causes,
    seed: int,
    elapsed_s: float = 0.0,
    *,
    signed_input: bool = True,
    input_bits: int | None = None,
) -> CrossbarProduct:
    """What multiplies codes [vectors, outputs of the layer] by its stored weights: [vectors, inputs of the layer].

    The conductances, ages and dead lines of the product forwards. At most `rows_active` weights of an array are driven
    at once; converters have their widest range. `input_bits` is by default the plan's. `InputError` where the array has
    no `transposed` read, or has parts that are not modelled for one.
    """
    unit = chip.units[plan.unit]
    if not isinstance(unit, Crossbar) or layer.conductances_uS is None:
        raise InputError(f"a {unit.kind} unit has no transposed read; use a crossbar", plan.path)
    _check(unit, layer, plan)
    alone = replace(unit, array=replace(unit.array, subtract="digital"))
    slices = slice_weights(layer.codes, unit.array, plan.weight_bits, plan.path, plan.starts)
    starts = _column_groups(unit, plan, len(layer.codes))
    gains = (min(unit.adc.gains),) * unit.array.columns_per_weight(plan.weight_bits)
    check_ranges(alone, signed_input, gains)
    driving = Driving(starts, input_bits or plan.input_bits, signed_input, gains)
    turned = Slices(
        np.ascontiguousarray(slices.digits.transpose(3, 1, 2, 0)),
        slices.weights,
        slices.signs,
        slices.offset,
        slices.top,
        starts,
    )
    stored = [
        _turned(stored_copy(layer, plan, alone, slices, causes, seed, elapsed_s, copy))
        for copy in range(len(layer.conductances_uS))
    ]
    arrays = [lower(copy, turned, alone, driving, causes) for copy in stored]
    step = output_step(alone, driving, causes) * sum(copy.scale for copy in stored) / len(stored)
    zero = float(np.asarray(plan.weight_zero).flat[0])
    blocks = np.arange(layer.codes.shape[1]) // unit.array.rows
    sums = sum_correction(turned, alone, driving, causes, zero, blocks, [])
    return CrossbarProduct(arrays, step, instance_noise(seed, plan.path, "read").at("transposed"), sums)


def _turned(stored: Stored) -> Stored:
    """Cells with the outputs of the layer as inputs."""
    std = None if stored.read_std is None else np.ascontiguousarray(stored.read_std.transpose(2, 1, 0))
    return replace(stored, levels=np.ascontiguousarray(stored.levels.transpose(2, 1, 0)), read_std=std)


def _column_groups(unit: Crossbar, plan: LayerPlan, outputs: int) -> Int[np.ndarray, " boundaries"]:
    """Outputs whose columns are driven together: those of one array, at most as many as rows are active."""
    wide = geometry(unit, plan.weight_bits, plan.path).weights_per_row
    firsts = np.arange(0, outputs, wide, dtype=np.int64)[:, None]
    starts = (firsts + np.arange(0, wide, unit.array.rows_active, dtype=np.int64)).ravel()
    return np.append(starts[starts < outputs], outputs)


def _check(unit: Crossbar, layer: StoredLayer, plan: LayerPlan) -> None:
    """Raises `InputError` where the unit cannot be read so, or nobody modelled it."""
    array = unit.array
    if not array.transposed:
        raise InputError("array.transposed false: no drivers on columns, no converters on rows; set it true", plan.path)
    missing = {
        "array.encoding column_flip (complements of single columns cannot be taken off rows); use offset": (
            array.encoding == "column_flip"
        ),
        f"array.readout {array.readout}; use current": array.readout != "current",
        "array.wires; use none": array.wires is not None,
        "array.sum_x analog; use digital": layer.reference_uS is not None,
        "mismatch or correction of adc; use ideal converters": (
            unit.adc.mismatched or unit.adc.post_calibration is not None
        ),
        "a zero point per output; use array.encoding differential": len(np.unique(plan.weight_zero)) > 1,
    }
    for what, there in missing.items():
        if there:
            raise InputError(f"a transposed read is not modelled with {what}", plan.path)
