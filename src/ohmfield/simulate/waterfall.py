"""Where quality is lost: the same instance run with one cause more at a time."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from ohmfield.chip.chip import Chip
from ohmfield.simulate.lower import IDEAL, Causes
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.run import install, predict

STEPS: tuple[tuple[str, Causes], ...] = (
    ("quantised", IDEAL),
    ("clipping", Causes(rounding=False, programming=False, reading=False)),
    ("rounding", Causes(programming=False, reading=False)),
    ("programming", Causes(reading=False)),
    ("reading", Causes()),
)
"""Causes in the order they are added. Clipping alone: the chosen range with steps of one cell level. Programming
includes stuck cells and age; reading is the noise of cells and converters."""


def waterfall(
    module: nn.Module,
    chip: Chip,
    programmed: Programmed,
    coords: Float[Tensor, "num dim"],
    score: Callable[[Float[Tensor, "num channels"]], float],
) -> tuple[tuple[str, float], ...]:
    """(cause, score of the prediction at `coords` once it is added). `module` ends with every cause installed."""
    scores = []
    for cause, causes in STEPS:
        install(module, chip, programmed, causes)
        scores.append((cause, score(predict(module, coords))))
    return tuple(scores)
