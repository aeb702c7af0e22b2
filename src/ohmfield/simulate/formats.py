"""Number formats of a converted model, by module path: chosen once on calibration data, fixed afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from ohmfield.chip.chip import Chip
from ohmfield.chip.digital import Requantiser
from ohmfield.chip.fixed import Word, dyadic, word_for
from ohmfield.chip.units import Crossbar, Unit
from ohmfield.compress.quantise import Observed, Rule, fit_grid, fit_two_levels, observe, zero_point
from ohmfield.fields.decoders import ACTIVATIONS
from ohmfield.fields.encodings.hash_grid import HashGrid
from ohmfield.mapping.calls import ROOT
from ohmfield.mapping.place import ACTIVATION
from ohmfield.mapping.window import CONVOLUTIONS, Window, as_matrix
from ohmfield.mapping.workload import Placement
from ohmfield.numerics import Grid
from ohmfield.simulate.observed import Observer, Site
from ohmfield.spec import InputError

WATCHED: tuple[type[nn.Module], ...] = (nn.Linear, *CONVOLUTIONS, nn.ReLU, HashGrid, *ACTIVATIONS.values())
"""Modules whose values calibration looks at, by their exact type."""
CHUNK, CHUNK_VALUES = 8192, 2**18  # items and input values per forward: activations stay at some ten megabytes
InputZero = Literal["none", "calibrated"]
"""Whether the input grids of layers may have a zero point, with codes that are all driven one way."""
HEADROOM = 1.25  # words hold this much more than calibration saw: other inputs, and errors of the cells


@dataclass(frozen=True)
class LinearFormat:
    """Codes of a linear layer: weights per output channel, inputs on a power-of-two grid, output words."""

    weight: Grid
    weight_bits: int
    input: Grid
    output: Word


@dataclass(frozen=True)
class ProductFormat:
    """Codes of a product of two activations, on power-of-two grids, and its output words."""

    first: Grid
    second: Grid
    output: Word


@dataclass(frozen=True)
class ActivationFormat:
    """The words that an activation reads."""

    input: Word


@dataclass(frozen=True, eq=False)
class GatherFormat:
    """Codes of a hash grid: fraction bits of the table per level, the rows where levels start, the feature words."""

    fractions: Int[Tensor, " levels"]
    offsets: Int[Tensor, " boundaries"]
    features: Word


@dataclass(frozen=True)
class TableFormat:
    """Codes of the rows of an embedding: one power-of-two scale for the whole table."""

    grid: Grid


@dataclass(frozen=True, eq=False)
class CalledFormat:
    """The format of function calls, and where they come from."""

    form: LinearFormat | ProductFormat | ActivationFormat
    site: Site


Format = LinearFormat | ActivationFormat | GatherFormat | TableFormat | CalledFormat
Formats = Mapping[str, Format]
"""By module path; of function calls by the path of their weights, or else by operator id."""


def choose_formats(
    model: nn.Module,
    chip: Chip,
    placement: Placement,
    coords: Shaped[Tensor, "num *dims"],
    rule: Rule = "mse",
    input_scales: Mapping[str, float] | None = None,
    input_zero: InputZero = "none",
) -> dict[str, Format]:
    """A format for every layer that `placement` puts on a unit, from what the float `model` does at `coords`.

    Grids of inputs and tables have power-of-two scales, so a word becomes an input code by a shift. Words are the
    finest that hold what was seen and a quarter more. `input_scales` are powers of two that training chose, by path.
    `input_zero` says whether inputs below zero may have a zero point (`input_grid`); operands of products have none.
    """
    watched = {path or ROOT: module for path, module in model.named_modules() if type(module) in WATCHED}
    second, sites = Observed(), dict[str, Site]()
    with observe(watched) as seen, torch.no_grad():
        for first in range(0, len(coords), chunk_of(coords)):
            with Observer(model, seen, second, sites):
                model(coords[first : first + chunk_of(coords)])
    rules = Rules(chip, placement, rule, input_scales or {}, input_zero)
    formats: dict[str, Format] = {}
    for path, module in watched.items():
        if path not in seen.inputs:  # never called: it has no operator either
            continue
        if isinstance(module, (nn.Linear, *CONVOLUTIONS)):
            if (unit := unit_of(path, placement)) is not None:
                weight = torch.as_tensor(module.weight)
                matrix = weight if isinstance(module, nn.Linear) else as_matrix(Window.of(module).kernels(weight))
                formats[path] = linear_format(path, matrix, unit, (seen.inputs[path], seen.outputs[path]), rules)
        elif isinstance(module, HashGrid):
            if unit_of(f"{path}.interpolate", placement) is not None and chip.gather is not None:
                formats[path] = _gather(module, chip, seen.outputs[path], rule)
        elif unit_of(path, placement) == ACTIVATION:
            largest = float(seen.inputs[path].abs().max()) * HEADROOM
            formats[path] = ActivationFormat(word_for(largest, chip.activation.word_bits))
    for path, module in model.named_modules():
        if type(module) is nn.Embedding and chip.gather is not None and unit_of(path or ROOT, placement) is not None:
            bits = chip.gather.table_bits
            grid = fit_grid(module.weight, bits, rule=rule, symmetric=True, power_of_two=True)
            formats[path or ROOT] = TableFormat(grid)
    for name, site in sites.items():
        form = _called(name, site, seen, second, rules)
        if form is not None:
            formats[name] = CalledFormat(form, site)
    return formats


def _called(
    name: str, site: Site, seen: Observed, second: Observed, rules: Rules
) -> LinearFormat | ProductFormat | ActivationFormat | None:
    """The format of the calls that `site` describes; None where the host serves them."""
    chip, placement = rules.chip, rules.placement
    if site.weight is not None:
        unit = unit_of(name, placement)
        values = (seen.inputs[name], seen.outputs[name])
        weight = site.weight.values if site.window is None else site.window.kernels(site.weight.values)
        return None if unit is None else linear_format(name, as_matrix(weight), unit, values, rules)
    unit = placement.sites[name].unit
    if unit == ACTIVATION:
        largest = float(seen.inputs[name].abs().max()) * HEADROOM
        return ActivationFormat(word_for(largest, chip.activation.word_bits))
    if unit not in chip.units:
        return None
    operands = ((seen.inputs[name], placement.input_bits), (second.inputs[name], placement.weight_bits))
    for values, _ in operands:
        if not bool(torch.isfinite(values).all()) or not bool(values.any()):
            raise InputError("an operand is all zero, NaN or infinite on the calibration data; give other data", name)
    grids = [
        fit_grid(values, bits, rule=rules.rule, signed=bool((values < 0).any()), power_of_two=True)
        for values, bits in operands
    ]
    word = word_for(float(seen.outputs[name].abs().max()) * HEADROOM, chip.requantiser.word_bits)
    return ProductFormat(grids[0], grids[1], word)


def chunk_of(inputs: Shaped[Tensor, "items *dims"]) -> int:
    """Items that one forward takes."""
    return max(1, min(CHUNK, CHUNK_VALUES // max(1, inputs[0].numel())))


def unit_of(path: str, placement: Placement) -> str | None:
    """Name of the unit that serves the module at `path`, or None where the host does."""
    site = placement.sites.get(f"{path}#0")
    return None if site is None or site.unit == "host" else site.unit


@dataclass(frozen=True)
class Rules:
    """What formats follow from, besides values."""

    chip: Chip
    placement: Placement
    rule: Rule
    input_scales: Mapping[str, float] = field(default_factory=dict)
    input_zero: InputZero = "none"


def linear_format(
    path: str, weights: Float[Tensor, "outputs inputs"], unit: str, values: tuple[Tensor, Tensor], rules: Rules
) -> LinearFormat:
    """Grids of one layer on the unit of that name, for the inputs and outputs in `values`.

    `InputError` names the layer whose values give none.
    """
    chip, placement, rule = rules.chip, rules.placement, rules.rule
    inputs, outputs = values
    held = chip.units[unit]
    for what, numbers in (("weights", weights), ("inputs", inputs), ("outputs", outputs)):
        if not bool(torch.isfinite(numbers).all()):
            raise InputError(f"its {what} hold NaN or infinity on the calibration data; check the model", path)
    if not bool(inputs.any()):  # a layer that only ever sees zero would get a range of nothing
        raise InputError("its inputs are all zero on the calibration data and have no range; give other data", path)
    weight = _weight_grid(weights, held, placement.weight_bits, rule, chip.requantiser.rule == "power_of_two")
    grid = input_grid(inputs, held, rules)
    if path in rules.input_scales:
        scale, least = torch.tensor(rules.input_scales[path]), inputs.detach().amin().clamp(max=0.0)
        grid = replace(grid, scale=scale, zero=zero_point(least, scale, grid) if float(grid.zero) else 0)
    word = word_for(float(outputs.abs().max()) * HEADROOM, chip.requantiser.word_bits)
    return LinearFormat(_snapped(weight, grid, word, chip.requantiser), placement.weight_bits, grid, word)


def input_grid(inputs: Float[Tensor, "*shape"], unit: Unit, rules: Rules) -> Grid:
    """Codes of a layer's inputs: unsigned where none is below zero, else signed, or unsigned with a zero point.

    The zero point is taken where rules allow it and the grid with it errs less on these inputs, or where the drivers
    of `unit` have no other way to drive inputs below zero.
    """
    bits, rule = rules.placement.input_bits, rules.rule
    negative, drive = bool((inputs < 0).any()), unit.dac.signed if isinstance(unit, Crossbar) else "twos_complement"
    symmetric = drive.startswith("sign_magnitude")
    plain = fit_grid(inputs, bits, rule=rule, signed=negative, symmetric=symmetric, power_of_two=True)
    if not negative or rules.input_zero == "none":
        return plain
    shifted = fit_grid(inputs, bits, rule=rule, signed=False, affine=True, power_of_two=True)
    if drive == "none":
        return shifted
    plain_error, shifted_error = (float((grid.fake(inputs) - inputs).square().mean()) for grid in (plain, shifted))
    return shifted if shifted_error < plain_error else plain


def _weight_grid(weight: Tensor, unit: Unit, bits: int, rule: Rule, power_of_two: bool) -> Grid:
    """Codes that the encoding of `unit` holds."""
    array = unit.array if isinstance(unit, Crossbar) else None
    if array is not None and array.encoding in ("xnor", "two_level"):
        return fit_two_levels(weight, centred=array.encoding == "xnor", power_of_two=power_of_two)
    symmetric = array is not None and array.written.sides == 2
    return fit_grid(weight, bits, rule=rule, symmetric=symmetric, per_channel=True, power_of_two=power_of_two)


def _snapped(weight: Grid, inputs: Grid, word: Word, unit: Requantiser) -> Grid:
    """`weight` with scales that the requantiser multiplies exactly: off by 2^-multiplier_bits at most."""
    if unit.rule == "float":
        return weight
    others = float(inputs.scale) * 2.0**word.fraction
    multiplier, shift = dyadic((torch.as_tensor(weight.scale).double() * others).flatten(), unit)
    scale = (multiplier.double() * 2.0 ** -shift.double() / others).float()  # 24 bits hold it exactly
    return replace(weight, scale=scale.reshape(torch.as_tensor(weight.scale).shape))


def _gather(grid: HashGrid, chip: Chip, features: Tensor, rule: Rule) -> GatherFormat:
    assert chip.gather is not None
    offsets = torch.from_numpy(grid.levels.offsets)
    fractions = []
    for low, high in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        level = fit_grid(
            grid.table.weight[low:high], chip.gather.table_bits, rule=rule, symmetric=True, power_of_two=True
        )
        fractions.append(-round(float(torch.log2(torch.as_tensor(level.scale)))))
    word = word_for(float(features.abs().max()) * HEADROOM, chip.gather.feature_bits)
    return GatherFormat(torch.tensor(fractions), offsets, word)
