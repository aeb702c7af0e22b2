"""Where quality is lost: the same instance run with one cause more at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor, nn

from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar
from ohmfield.simulate.conversion import IDEAL, Causes
from ohmfield.simulate.convert import chip_layers
from ohmfield.simulate.products import ExactProduct
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.run import install, predict
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
    coords: Float[Tensor, "num *dims"],
    score: Callable[[Float[Tensor, "num *outputs"]], float],
    fitted_on: Float[Tensor, "some *dims"] | None = None,
) -> Losses:
    """The prediction at `coords` scored after each cause is added. `module` ends with every cause installed.

    A cause that leaves every product exact changes no bit, so it is not run again. With `fitted_on` every product
    through converters is moment-matched on those inputs.
    """
    scores: list[tuple[str, float]] = []
    exact, picture, tally = False, None, Tally()
    for cause, causes in steps(chip):
        install(module, chip, programmed, causes)
        if fitted_on is not None:
            match_moments(module, fitted_on)
        products = [layer.product for layer in chip_layers(module).values()]
        now_exact = all(product is None or isinstance(product, ExactProduct) for product in products)
        if picture is None or not (exact and now_exact):
            tally = Tally()
            with tally.listen():
                picture = predict(module, coords)
        exact = now_exact
        scores.append((cause, score(picture)))
    assert picture is not None
    return Losses(tuple(scores), picture, tally)
