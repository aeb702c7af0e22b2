"""Where quality is lost: the same instance run with one cause more at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar
from ohmfield.simulate.choose import product_of
from ohmfield.simulate.conversion import IDEAL, Causes
from ohmfield.simulate.convert import chip_layers
from ohmfield.simulate.products import ExactProduct
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.run import Encoded, encoded_once, install, predict
from ohmfield.simulate.statistical import match_moments
from ohmfield.tally import Tally

STEPS: tuple[tuple[str, Causes], ...] = (
    ("quantised", IDEAL),
    ("clipping", replace(IDEAL, clipping=True)),
    ("rounding", replace(IDEAL, clipping=True, rounding=True)),
    ("programming", Causes(wires=False, reading=False)),
    ("wires", Causes(reading=False)),
    ("reading", Causes()),
)
"""Causes in the order they are added. Clipping alone: the chosen range with steps of one cell level. Programming
includes stuck cells and age, wires are there where a chip declares them; reading is the noise of cells and
converters."""


def steps(chip: Chip) -> tuple[tuple[str, Causes], ...]:
    """The causes that `chip` has: without wires where no crossbar declares any."""
    wired = any(isinstance(unit, Crossbar) and unit.array.wires is not None for unit in chip.units.values())
    return tuple((cause, causes) for cause, causes in STEPS if wired or cause != "wires")


@dataclass(frozen=True, eq=False)
class Losses:
    """Scores by cause, and the last run, with every cause: what it predicted and counted."""

    scores: tuple[tuple[str, float], ...]
    picture: Float[Tensor, "num *outputs"]
    tally: Tally


def waterfall(
    module: nn.Module,
    chip: Chip,
    programmed: Programmed,
    coords: Shaped[Tensor, "num *dims"],
    score: Callable[[Float[Tensor, "num *outputs"]], float],
    fitted_on: Shaped[Tensor, "some *dims"] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Losses:
    """The prediction at `coords` scored after each cause is added. `module` ends with every cause installed.

    A cause that leaves every product exact changes no bit, so it is not run again. With `fitted_on` every product
    through converters is moment-matched on those inputs. `say` hears how far it is.
    """
    scores: list[tuple[str, float]] = []
    exact, picture, tally, kept = False, None, Tally(), Encoded()
    for cause, causes in steps(chip):
        say(f"run: {cause}")
        install(module, chip, programmed, causes, say)
        if fitted_on is not None:
            match_moments(module, fitted_on)
        products = [layer.product for layer in chip_layers(module).values()]
        now_exact = all(product is None or isinstance(product, ExactProduct) for product in products)
        if picture is None or not (exact and now_exact):
            tally = Tally()
            with tally.listen(), encoded_once(module, kept):
                picture = predict(module, coords)
        exact = now_exact
        scores.append((cause, score(picture)))
    assert picture is not None
    return Losses(tuple(scores), picture, tally)


def layer_losses(
    module: nn.Module, chip: Chip, programmed: Programmed, inputs: Shaped[Tensor, "num *dims"]
) -> dict[str, dict[str, float]]:
    """For each layer on a crossbar, and each cause added in order, signal over error of the model's output in dB.

    One layer at a time has the causes, all others are ideal and lossless; the error is what that layer adds to the
    quantised model's output at `inputs`, infinite where it changes nothing. The products of `module` stay as they were.
    """
    layers = chip_layers(module)
    kept = {path: layer.product for path, layer in layers.items()}
    losses: dict[str, dict[str, float]] = {}
    try:
        install(module, chip, None)
        clean = predict(module, inputs)
        for path, layer in layers.items():
            if not isinstance(chip.units[layer.plan.unit], Crossbar):
                continue
            losses[path] = {}
            for cause, causes in steps(chip)[1:]:
                stored = programmed.layers[path]
                layer.product = product_of(stored, layer.plan, chip, causes, programmed.seed, programmed.elapsed_s)
                exact = isinstance(layer.product, ExactProduct)
                losses[path][cause] = math.inf if exact else over_error_dB(clean, predict(module, inputs))
            layer.product = None
    finally:
        for path, layer in layers.items():
            layer.product = kept[path]
    return losses


def over_error_dB(clean: Float[Tensor, "*shape"], seen: Float[Tensor, "*shape"]) -> float:
    """Variance of `clean` over the mean square of the difference, in dB.

    >>> import torch
    >>> round(over_error_dB(torch.tensor([1.0, -1.0]), torch.tensor([1.1, -0.9])), 3)
    20.0
    """
    error = float((seen - clean).double().square().mean())
    spread = float(clean.double().var(correction=0))
    return math.inf if error == 0.0 else 10.0 * math.log10(max(spread, 1e-300) / error)
