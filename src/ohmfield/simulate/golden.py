"""Golden vectors: one layer of one chip instance, its inputs, conductances, sums, codes and outputs, as a plain file.

The file is safetensors: 8 bytes, the length of a JSON header (little-endian); the header, which names type, shape and
place of every array; the arrays, little-endian. docs/look_inside.md lists what each is, and docs/examples/recompute.py
computes the codes once more without this package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from safetensors.numpy import save
from torch import Tensor, nn

from ohmfield._kernels.crossbar import LoweredArray, reference
from ohmfield.files import write_atomic
from ohmfield.simulate.calibrate import layer_inputs
from ohmfield.simulate.convert import chip_layers
from ohmfield.simulate.inspect import conversions_of, product_at, range_of
from ohmfield.simulate.products import CrossbarProduct
from ohmfield.simulate.programmed import Programmed
from ohmfield.spec import InputError

SCHEMA = 1


def golden_vectors(
    module: nn.Module, programmed: Programmed, path: str, coords: Shaped[Tensor, "num *dims"], vectors: int = 16
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and facts of the layer at `path`, first copy, for up to `vectors` of the inputs `coords` make.

    `module` is a converted model with `programmed` installed. Read noise is left out, what is frozen in the instance
    is in: the same file comes out every time. `InputError` where the layer does not go through converters.
    """
    product, layer = product_at(module, path), chip_layers(module)[path]
    array, stored = product.copies[0], programmed.layers[path]
    inputs = layer_inputs(module, coords)[path][:vectors].astype(np.int64)
    sums, codes, _, made = conversions_of(product, inputs, None)
    currents = product.circuits[0].values(array) if product.circuits else None
    outputs, _ = reference(array, inputs, currents=currents)
    offset = _offset(product, path)
    if offset:
        total = inputs.sum(axis=1, keepdims=True)
        outputs = outputs - np.floor(offset * total / product.step + 0.5).astype(np.int64)
    low, high = range_of(layer)
    bias = layer.bias_codes(product.step).numpy()
    assert stored.conductances_uS is not None
    assert array.step is not None
    arrays: dict[str, np.ndarray | None] = {
        "inputs": inputs,
        "weights": stored.codes.astype(np.int64),
        "conductances_uS": stored.conductances_uS[0].astype(np.float64),
        "levels": array.levels.astype(np.int64),
        "row_groups": array.starts.astype(np.int64),
        "bank_weights": _by_group(array, array.bank_weights),
        "plane_weights": array.plane_weights.astype(np.int64),
        "steps": array.step.astype(np.float64),
        "pedestal": array.pedestal,
        "pedestal_codes": array.pedestal_code,
        "column_gain": _by_group(array, array.column_gain),
        "column_offset": _by_group(array, array.column_offset),
        "column_shift": _by_group(array, array.column_shift),
        "code_table": array.codes.astype(np.int64),
        "sums": sums,
        "codes": codes,
        "made": made[:, 0].astype(np.int64) if array.skip_zero_planes else None,
        "outputs": outputs,
        "bias": bias - product.offsets[0] if product.offsets else bias,
    }
    facts = {
        "schema": SCHEMA,
        "chip": programmed.chip,
        "seed": programmed.seed,
        "elapsed_s": programmed.elapsed_s,
        "layer": path,
        "grid": array.grid,
        "dac_bits": array.dac_bits,
        "drive": array.drive,
        "skip_zero_planes": array.skip_zero_planes,
        "accumulator_bits": array.accumulator_bits,
        "overflow": array.overflow,
        "lowest_code": low,
        "highest_code": high,
        "code_table_first": array.first,
        "input_offset": offset,
        "input_zero": layer.plan.input_zero,
        "output_step_levels": product.step,
        "sums_are_levels_times_digits": not product.circuits,
        "codes_are_a_staircase": _staircase(array, low, high),
    }
    return {name: value for name, value in arrays.items() if value is not None}, facts


def _by_group(array: LoweredArray, values: np.ndarray | None) -> np.ndarray | None:
    """A field of a lowered array for each row group, bank and output."""
    if values is None:
        return None
    wide = values if values.ndim == 3 else values[None] if values.ndim == 2 else values[None, :, None]
    return np.broadcast_to(wide, (array.num_groups, array.num_banks, array.num_outputs)).copy()


def _staircase(array: LoweredArray, low: int, high: int) -> bool:
    """Whether the code table is `floor(v / step + 1/2)`, clipped."""
    assert array.step is not None
    values = array.first + np.arange(array.codes.shape[1])
    plain = np.clip(np.floor(values / array.step[:, None] + 0.5), low, high)
    return bool(np.array_equal(plain, array.codes))


def _offset(product: CrossbarProduct, path: str) -> int:
    """What every output loses per unit of the inputs' sum; `InputError` where outputs or row groups differ."""
    if not product.sums:
        return 0
    each = product.sums.per_sum
    if product.sums.references or (each != each[0, 0]).any():
        raise InputError(
            "golden vectors hold one offset for a layer; this encoding corrects row groups or outputs apart, or reads "
            "reference columns: take array.encoding differential, offset or twos_complement with sum_x digital",
            path,
        )
    return int(each[0, 0])


def save_golden(arrays: dict[str, np.ndarray], facts: dict[str, Any], path: Path) -> None:
    """Write what `golden_vectors` gave to `path`, whole or not at all."""
    plain = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    write_atomic(path, save(plain, metadata={"golden": json.dumps(facts)}))
