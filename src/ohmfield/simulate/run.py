"""Running a converted model: giving it an instance, predicting in chunks, scoring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ohmfield import tally
from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar
from ohmfield.fields.field import Field
from ohmfield.simulate.choose import product_of
from ohmfield.simulate.columns import corrected
from ohmfield.simulate.conversion import IDEAL, Causes
from ohmfield.simulate.convert import chip_layers
from ohmfield.simulate.driven_cells import driven_cells
from ohmfield.simulate.formats import chunk_of
from ohmfield.simulate.layers import Pass, current_pass
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.writing import program_layer
from ohmfield.spec import InputError

KEPT = 2**25  # features that an encoding may leave behind: 128 MB
Encoded = dict[int, tuple[Tensor, tally.Tally]]
"""Features of a chunk and what their encoding counted, by the chunk's first item."""


def program(
    module: nn.Module,
    chip: Chip,
    *,
    seed: int = 0,
    elapsed_s: float = 0.0,
    gains: dict[str, tuple[float, ...]] | None = None,
    corrected_s: float = 0.0,
) -> Programmed:
    """A drawn instance of `chip` that holds the weights of the converted `module` as they are now.

    Where codes are corrected digitally, the registers are fitted `corrected_s` after the first read.
    """
    layers = {
        path: program_layer(layer.weight_codes().numpy(), layer.plan, chip, seed, (gains or {}).get(path, ()))
        for path, layer in chip_layers(module).items()
    }
    plans = {path: layer.plan for path, layer in chip_layers(module).items()}
    return corrected(Programmed(chip.name, seed, layers, elapsed_s), plans, chip, corrected_s)


def install(
    module: nn.Module,
    chip: Chip,
    programmed: Programmed | None,
    causes: Causes | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> nn.Module:
    """`module`, its linear layers now running on `programmed`; None takes them back to ideal and lossless.

    Resistance in the lines takes a while for many arrays: `say` hears of each such layer.
    """
    causes = causes or Causes()
    layers = chip_layers(module)
    for number, (path, layer) in enumerate(layers.items()):
        unit = chip.units[layer.plan.unit]
        if causes.wires and isinstance(unit, Crossbar) and unit.array.wires is not None:
            say(f"wires: layer {number + 1} of {len(layers)}, {path}")
        if programmed is None or causes == IDEAL:
            layer.product = layer.cells = None
        else:
            stored = programmed.layers[path]
            layer.product = product_of(stored, layer.plan, chip, causes, programmed.seed, programmed.elapsed_s)
            layer.cells = driven_cells(programmed, layer.plan, unit)
    return module


@contextmanager
def starting_at(first: int, items: int = 1) -> Iterator[Pass]:
    """While open, one forward over so many items numbered from `first`."""
    token = current_pass.set(made := Pass(first, items))
    try:
        yield made
    finally:
        current_pass.reset(token)


@contextmanager
def encoded_once(module: nn.Module, kept: Encoded) -> Iterator[None]:
    """While open, the encoding of a field reads back what `kept` holds of a chunk, and fills it: features and counts.

    A digital encoding gives the same words whatever the products behind it do, so runs of one set of inputs on several
    instances, or with several causes, share one `kept`. A hash grid takes most of a run. Other models run as they are.
    """
    if not isinstance(module, Field) or chip_layers(module.encoding):
        yield
        return
    inner = module.encoding.forward

    def forward(coords: Tensor) -> Tensor:
        first = (current_pass.get() or Pass()).first
        if first not in kept:
            counted = tally.Tally()
            with counted.listen():
                features = inner(coords)
            if sum(each.numel() for each, _ in kept.values()) + features.numel() <= KEPT:
                kept[first] = features, counted
        else:
            features, counted = kept[first]
        for operator, counts in counted.counts.items():
            tally.count(operator, **counts)
        return features

    module.encoding.forward = forward
    try:
        yield
    finally:
        del module.encoding.forward


@torch.no_grad()
def predict(
    module: nn.Module, inputs: Tensor, chunk: int | None = None, *, backwards: bool = False
) -> Float[Tensor, "num *outputs"]:
    """What `module` makes of `inputs` [items, ...], in chunks, the last first if `backwards`.

    Item numbers run through, so read noise depends neither on the chunk nor on the order. `InputError` where the module
    gives anything but one tensor with an entry per item.
    """
    parts = []
    chunk = chunk or chunk_of(inputs)
    starts = range(0, len(inputs), chunk)
    for first in reversed(starts) if backwards else starts:
        part = inputs[first : first + chunk]
        with starting_at(first, len(part)):
            made = module(part)
        if not isinstance(made, Tensor) or made.dim() == 0 or len(made) != len(part):
            what = f"a tensor of shape {tuple(made.shape)}" if isinstance(made, Tensor) else f"a {type(made).__name__}"
            raise InputError(
                f"the model returns {what} for {len(part)} inputs; it must return one tensor with an entry per input: "
                "wrap it in a module that picks one"
            )
        parts.append(made)
    return torch.cat(parts[::-1] if backwards else parts)
