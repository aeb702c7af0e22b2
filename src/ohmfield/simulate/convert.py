"""`convert`: the same model with every layer that a chip serves replaced by what that chip computes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ohmfield.chip.chip import Chip
from ohmfield.chip.gather_twin import quantise_coordinates
from ohmfield.chip.units import Crossbar, Unit
from ohmfield.fields.decoders import ACTIVATIONS
from ohmfield.fields.encodings.hash_grid import HashGrid, Interpolate
from ohmfield.mapping.calls import ROOT
from ohmfield.mapping.tile import tile
from ohmfield.mapping.trace import TRACERS, convolution
from ohmfield.mapping.window import CONVOLUTIONS, Window, as_matrix
from ohmfield.mapping.workload import Operator, Placement
from ohmfield.simulate.calls import ChipProduct, serve
from ohmfield.simulate.convolution import ChipConv, ChipGroups
from ohmfield.simulate.formats import (
    ActivationFormat,
    CalledFormat,
    Formats,
    GatherFormat,
    LinearFormat,
    ProductFormat,
    TableFormat,
)
from ohmfield.simulate.layers import ChipActivation, ChipEmbedding, ChipInterpolate, ChipLinear, ChipTable, Unchanged
from ohmfield.simulate.observed import View
from ohmfield.simulate.plan import LayerPlan
from ohmfield.spec import InputError


@dataclass(frozen=True)
class Target:
    """What a converter needs to know of the chip."""

    chip: Chip
    placement: Placement
    formats: Formats


Converter = Callable[[str, nn.Module, Target], nn.Module]


def _linear(path: str, layer: nn.Module, target: Target) -> nn.Module:
    form = target.formats.get(path)
    if not isinstance(form, LinearFormat) or not isinstance(layer, nn.Linear):
        return Unchanged(layer, path)
    ((plan, _),) = packs_of(path, layer.weight, 1, form, target)
    return ChipLinear(path, layer.weight, layer.bias, form, plan, target.chip)


def _conv(path: str, layer: Any, target: Target) -> nn.Module:
    form = target.formats.get(path)
    if not isinstance(form, LinearFormat):
        return Unchanged(layer, path)
    return _convolution(path, layer.weight, layer.bias, Window.of(layer), None, form, target)


def _convolution(
    path: str,
    weight: Tensor,
    bias: Tensor | None,
    window: Window,
    view: View | None,
    form: LinearFormat,
    target: Target,
) -> ChipConv | ChipGroups:
    seen = window.kernels(weight if view is None else torch.as_strided(weight, *view))
    parts = []
    for plan, span in packs_of(path, as_matrix(seen), window.groups, form, target):
        part = ChipConv(path, weight, bias, window, span, form, plan, target.chip)
        part.view = view
        parts.append(part)
    return parts[0] if len(parts) == 1 else ChipGroups(path, window, parts)


def _served(name: str, called: CalledFormat, model: nn.Module, target: Target) -> nn.Module:
    """What serves the function calls of that name in the copy `model`."""
    form, site = called.form, called.site
    if isinstance(form, ProductFormat):
        return ChipProduct(name, form, target.chip)
    if isinstance(form, ActivationFormat):
        return ChipActivation(name.rpartition("#")[0], "relu", nn.ReLU(), form, target.chip.activation)
    assert site.weight is not None
    weight, view = site.weight.inside(model), site.weight.view
    bias = None if site.bias is None else site.bias.inside(model)
    if bias is not None and site.bias is not None and site.bias.view is not None:
        bias = torch.as_strided(bias, *site.bias.view)
    if site.window is not None:
        return _convolution(name, weight, bias, site.window, view, form, target)
    ((plan, _),) = packs_of(name, site.weight.values, 1, form, target)
    layer = ChipLinear(name, weight, bias, form, plan, target.chip)
    layer.view = view
    return layer


def _activation(name: str) -> Converter:
    def convert_one(path: str, module: nn.Module, target: Target) -> nn.Module:
        form = target.formats.get(path)
        if not isinstance(form, ActivationFormat):
            return Unchanged(module, path)
        return ChipActivation(path, name, module, form, target.chip.activation)

    return convert_one


def _embedding(path: str, table: nn.Module, target: Target) -> nn.Module:
    form = target.formats.get(path)
    if not isinstance(form, TableFormat) or not isinstance(table, nn.Embedding):
        return Unchanged(table, path)
    return ChipEmbedding(path, table, form)


def _hash_grid(path: str, grid: nn.Module, target: Target) -> nn.Module:
    """The grid itself stays; its children and the width of its coordinates change, so it leaves its fused kernel."""
    assert isinstance(grid, HashGrid)
    form, unit = target.formats.get(path), target.chip.gather
    if not isinstance(form, GatherFormat) or unit is None:
        grid.interpolate = Unchanged(grid.interpolate)  # type: ignore[assignment]
        return grid

    def round_coordinates(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        return (quantise_coordinates(inputs[0], unit),)

    grid.table = ChipTable(f"{path}.table", grid.table, form, unit)  # type: ignore[assignment]
    grid.interpolate = ChipInterpolate(f"{path}.interpolate", form, unit)  # type: ignore[assignment]
    grid.register_forward_pre_hook(round_coordinates)
    grid.operator = f"{path}.address#0"
    return grid


CONVERTERS: dict[type[nn.Module], Converter] = {
    nn.Linear: _linear,
    **dict.fromkeys(CONVOLUTIONS, _conv),
    nn.Embedding: _embedding,
    nn.ReLU: _activation("relu"),
    HashGrid: _hash_grid,
    **{kind: _activation(name) for name, kind in ACTIVATIONS.items()},
}
"""How a module of exactly this type is converted; add your own. A module whose host runs it becomes `Unchanged`."""

UNCHANGED: tuple[type[nn.Module], ...] = (
    nn.Linear,
    *CONVOLUTIONS,
    nn.Embedding,
    nn.ReLU,
    Interpolate,
    *ACTIVATIONS.values(),
)
"""What `convert_unchanged` wraps."""

# A converted layer is traced as what it replaces, so a converted model has the operators of the model it was made from.
TRACERS[ChipLinear] = TRACERS[nn.Linear]
TRACERS[ChipEmbedding] = TRACERS[nn.Embedding]
TRACERS[ChipConv] = TRACERS[ChipGroups] = lambda module, call: convolution(module.window, module.weight, call)
TRACERS[ChipActivation] = lambda module, call: TRACERS[type(module.exact)](module.exact, call)
TRACERS[Unchanged] = lambda module, call: TRACERS[type(module.inner)](module.inner, call)


def convert(model: nn.Module, chip: Chip, placement: Placement, formats: Formats) -> nn.Module:
    """A deep copy of `model` whose layers compute as `chip` does; an ordinary module, trainable, in `eval` mode.

    In `eval` each layer is bit-true with ideal cells and lossless conversions until `install` gives it an instance.
    """
    target = Target(chip, placement, formats)
    made = _replaced(model, lambda path, child: _converted(path, child, target), tuple(CONVERTERS))
    called = {name: form for name, form in formats.items() if isinstance(form, CalledFormat)}
    serve(made, {name: (form.site, _served(name, form, made, target)) for name, form in called.items()})
    return made.eval()


def _converted(path: str, child: nn.Module, target: Target) -> nn.Module:
    """What takes the place of `child`, with the sizes that parents may ask for: `in_features`, `kernel_size` ..."""
    made = CONVERTERS[type(child)](path, child, target)
    for name in getattr(type(child), "__constants__", ()):
        if not hasattr(made, name):
            setattr(made, name, getattr(child, name))
    return made


def convert_unchanged(model: nn.Module) -> nn.Module:
    """A deep copy with every convertible child wrapped and nothing else changed: it must compute what `model` does."""
    return _replaced(model, lambda path, child: Unchanged(child), UNCHANGED).eval()


def packs_of(
    path: str, matrix: Float[Tensor, "outputs inputs"], groups: int, form: LinearFormat, target: Target
) -> list[tuple[LayerPlan, tuple[int, int]]]:
    """How each pack of the layer at `path` runs, and which groups it holds; a plain layer is one pack of one group."""
    site = target.placement.sites[f"{path}#0"]
    check_drive(target.chip.units[site.unit], form, path)
    outputs, inputs = matrix.shape
    operator = Operator(site.operator, "linear", inputs=inputs, outputs=outputs // groups, groups=groups)
    cut = tile(operator, target.chip.units[site.unit], form.weight_bits)
    made, first, each = [], 0, outputs // groups
    zero = torch.as_tensor(form.weight.zero).double().flatten().numpy()
    for index, size in enumerate(cut.pack_sizes):
        plan = LayerPlan(
            path=path if cut.packs == 1 else f"{path}[{index}]",
            unit=site.unit,
            weight_bits=form.weight_bits,
            input_bits=form.input.bits,
            signed_input=form.input.signed,
            starts=cut.starts if size == cut.pack_sizes[0] else np.array([0, size * inputs]),
            copies=site.copies,
            wave=site.wave,
            converters="" if cut.packs == 1 else f"{path}@{cut.array_of(index)}",
            input_zero=int(form.input.zero),
            weight_zero=zero[first * each : (first + size) * each] if len(zero) > 1 else zero,
        )
        made.append((plan, (first, first + size)))
        first += size
    return made


def check_drive(unit: Unit, form: LinearFormat, path: str) -> None:
    """Raises `InputError` naming the layer where the row drivers of a crossbar cannot drive its input codes."""
    if not (isinstance(unit, Crossbar) and form.input.signed):
        return
    if unit.dac.signed == "none":
        raise InputError(
            "inputs are signed and dac.signed is none: "
            "use twos_complement, sign_magnitude or sign_magnitude_two_pass, input_zero calibrated, or another unit",
            path,
        )
    if unit.dac.signed.startswith("sign_magnitude") and not form.input.symmetric:
        raise InputError(
            f"dac.signed {unit.dac.signed} has no code for -2^{form.input.bits - 1}: use a symmetric input grid", path
        )


def chip_layers(module: nn.Module) -> dict[str, ChipLinear]:
    """The converted linear layers by path."""
    return {child.path: child for child in module.modules() if isinstance(child, ChipLinear)}


def _replaced(
    model: nn.Module, make: Callable[[str, nn.Module], nn.Module], kinds: tuple[type[nn.Module], ...]
) -> nn.Module:
    made, replaced = copy.deepcopy(model), dict[nn.Module, nn.Module]()  # a child of two parents is one module
    for parent_path, parent, name, child in list(_children(made, "", kinds)):
        if child not in replaced:
            replaced[child] = make(f"{parent_path}.{name}" if parent_path else name, child)
        setattr(parent, name, replaced[child])
    return make(ROOT, made) if type(made) in kinds else made


def _children(
    module: nn.Module, path: str, kinds: tuple[type[nn.Module], ...]
) -> Iterator[tuple[str, nn.Module, str, nn.Module]]:
    for name, child in module._modules.items():
        if child is None:
            continue
        if type(child) in kinds:
            yield path, module, name, child
        else:
            yield from _children(child, f"{path}.{name}" if path else name, kinds)
