"""Running a converted model: giving it an instance, predicting in chunks, scoring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar
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


@torch.no_grad()
def predict(module: nn.Module, inputs: Tensor, chunk: int | None = None) -> Float[Tensor, "num *outputs"]:
    """What `module` makes of `inputs` [items, ...], in chunks.

    Item numbers run through, so read noise does not depend on the chunk. `InputError` where the module gives anything
    but one tensor with an entry per item.
    """
    parts = []
    chunk = chunk or chunk_of(inputs)
    for first in range(0, len(inputs), chunk):
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
    return torch.cat(parts)
