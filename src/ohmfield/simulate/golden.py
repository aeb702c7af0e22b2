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
from jaxtyping import Float
from safetensors.numpy import save
from torch import Tensor, nn

from ohmfield._kernels.crossbar import shift_sums
from ohmfield.files import write_atomic
from ohmfield.simulate.calibrate import layer_inputs
from ohmfield.simulate.convert import chip_layers
from ohmfield.simulate.inspect import conversions_of, product_at, range_of
from ohmfield.simulate.programmed import Programmed

SCHEMA = 1


def golden_vectors(
    module: nn.Module, programmed: Programmed, path: str, coords: Float[Tensor, "num *dims"], vectors: int = 16
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and facts of the layer at `path`, first copy, for up to `vectors` of the inputs `coords` make.

    `module` is a converted model with `programmed` installed. Read noise is left out, what is frozen in the instance
    is in: the same file comes out every time. `InputError` where the layer does not go through converters.
    """
    product, layer = product_at(module, path), chip_layers(module)[path]
    array, stored = product.copies[0], programmed.layers[path]
    inputs = layer_inputs(module, coords)[path][:vectors].astype(np.int64)
    sums, codes, driven = conversions_of(product, inputs, None)
    kept = codes
    if array.pedestal_code is not None:
        kept = codes - array.pedestal_code[np.arange(array.num_banks)[:, None, None], driven][..., None]
    counts = array.bank_weights if array.bank_weights.ndim == 3 else array.bank_weights.reshape(1, array.num_banks, -1)
    counts = np.broadcast_to(counts, (array.num_groups, array.num_banks, array.num_outputs))
    outputs = np.einsum("gbpvo,gbo,p->vo", kept, counts, array.plane_weights)
    if array.column_shift is not None:
        outputs = outputs + shift_sums(array, inputs)
    if product.offset:
        total = inputs.sum(axis=1, keepdims=True)
        outputs = outputs - np.floor(product.offset * total / product.step + 0.5).astype(np.int64)
    assert stored.conductances_uS is not None
    assert array.step is not None
    arrays: dict[str, np.ndarray | None] = {
        "inputs": inputs,
        "weights": stored.codes.astype(np.int64),
        "conductances_uS": stored.conductances_uS[0].astype(np.float64),
        "levels": array.levels.astype(np.int64),
        "row_groups": array.starts.astype(np.int64),
        "bank_weights": array.bank_weights.astype(np.int64),
        "plane_weights": array.plane_weights.astype(np.int64),
        "steps": array.step.astype(np.float64),
        "pedestal": array.pedestal,
        "pedestal_codes": array.pedestal_code,
        "column_gain": array.column_gain,
        "column_offset": array.column_offset,
        "column_shift": array.column_shift,
        "code_table": array.codes.astype(np.int64),
        "sums": sums,
        "codes": codes,
        "outputs": outputs,
    }
    low, high = range_of(layer)
    facts = {
        "schema": SCHEMA,
        "chip": programmed.chip,
        "seed": programmed.seed,
        "elapsed_s": programmed.elapsed_s,
        "layer": path,
        "levels_per_step_unit": array.grid,
        "dac_bits": array.dac_bits,
        "drive": array.drive,
        "lowest_code": low,
        "highest_code": high,
        "code_table_first": array.first,
        "input_offset": product.offset,
        "output_step_levels": product.step,
        "sums_are_levels_times_digits": not product.circuits,
    }
    return {name: value for name, value in arrays.items() if value is not None}, facts


def save_golden(arrays: dict[str, np.ndarray], facts: dict[str, Any], path: Path) -> None:
    """Write what `golden_vectors` gave to `path`, whole or not at all."""
    plain = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
    write_atomic(path, save(plain, metadata={"golden": json.dumps(facts)}))
