"""The deployed field once more, in integers alone: what a chip with ideal cells and lossless conversions must equal.

The order of the layers is written once more: codes travel as integers, sums are checked to fit 32 bits. Shared with
the layers are the units' own integer functions (interpolation, requantiser, activation twins) and the addresses and
corner weights, which are computed in floats before they are rounded.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ohmfield.chip.fixed import Word, requantise
from ohmfield.chip.gather_twin import axis_weights, interpolate, quantise_coordinates
from ohmfield.chip.twins import activate, output_word
from ohmfield.fields.encodings.hash_grid import HashGrid
from ohmfield.fields.field import Field
from ohmfield.simulate.layers import ChipActivation, ChipInterpolate, ChipLinear, ChipTable
from ohmfield.spec import InputError

Words = tuple[Tensor, Word]


def integer_forward(field: Field, coords: Float[Tensor, "num dim"]) -> tuple[Int[Tensor, "num channels"], Word]:
    """Output codes and their word of a converted hash-grid field with ideal cells and lossless conversions.

    Raises `InputError` where a part of `field` is not on the chip, `OverflowError` where a sum leaves 32 bits.
    """
    codes, word = _features(field.encoding, coords)
    layers, activations = list(field.decoder.layers), list(field.decoder.activations)
    for index, layer in enumerate(layers):
        codes, word = _linear(layer, codes, word)
        if index < len(activations):
            codes, word = _activation(activations[index], codes, word)
    return codes, word


def _features(encoding: torch.nn.Module, coords: Tensor) -> Words:
    if not isinstance(encoding, HashGrid):
        raise InputError("the integer forward starts at a hash grid; this field has another encoding")
    table, blend = encoding.table, encoding.interpolate
    if not isinstance(table, ChipTable) or not isinstance(blend, ChipInterpolate):
        raise InputError("the hash grid is not converted: give the chip a gather unit")
    rows, weights = encoding.address(quantise_coordinates(coords, blend.unit))
    codes = table.codes()[rows]
    word = blend.form.features
    features = interpolate(codes, axis_weights(weights, blend.unit), blend.form.fractions, blend.unit, word)
    return features.flatten(1), word


def _linear(layer: torch.nn.Module, codes: Tensor, word: Word) -> Words:
    if not isinstance(layer, ChipLinear):
        raise InputError("a linear layer is not converted: it is left to the host")
    grid = layer.form.input
    fraction = -round(float(np.log2(float(grid.scale))))
    shifted = word.convert(codes, Word(32, fraction)) + int(grid.zero)
    inputs = shifted.clamp(grid.low, grid.high)
    sums = inputs.numpy().astype(np.int64) @ layer.weight_codes().numpy().T
    zero = layer.plan.weight_zero * inputs.numpy().sum(axis=1, keepdims=True)
    sums -= np.floor(zero + 0.5).astype(np.int64)
    biased = sums + layer.bias_codes(1.0).numpy()
    if max(np.abs(sums).max(), np.abs(biased).max()) >= 2**31:
        raise OverflowError(f"{layer.path}: a sum leaves 32 bits")
    out = layer.form.output
    factor = layer.accumulator_factor(1.0) * 2.0**out.fraction
    return requantise(torch.from_numpy(biased), factor, layer.chip.requantiser, out), out


def _activation(activation: torch.nn.Module, codes: Tensor, word: Word) -> Words:
    if not isinstance(activation, ChipActivation):
        raise InputError("an activation is not converted: it is left to the host")
    reads = activation.form.input
    made = activate(activation.function, word.convert(codes, reads), reads, activation.constants, activation.unit)
    return made, output_word(activation.function, reads, activation.unit)


def fake_quantised_forward(field: Field, coords: Float[Tensor, "num dim"]) -> Float[Tensor, "num channels"]:
    """The same field in float32 arithmetic, fake-quantised: weights, biases, inputs and words rounded to their grids.

    The activation twins and the gather unit are the chip's.
    """
    x = field.encoding(coords)
    activations = list(field.decoder.activations)
    for index, layer in enumerate(field.decoder.layers):
        assert isinstance(layer, ChipLinear)
        weight = layer.form.weight.fake(layer.weight)
        bias = (layer.bias_codes(1.0) * layer.accumulator_factor(1.0)).float()
        product = torch.nn.functional.linear(layer.form.input.fake(x), weight, bias)
        word = layer.form.output
        x = word.values(word.codes(product))
        x = activations[index](x) if index < len(activations) else x
    return x
