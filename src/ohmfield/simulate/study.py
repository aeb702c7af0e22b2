"""Many chips of one design, at several ages: how far scores spread, not only where one chip lands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from ohmfield.chip.chip import Chip
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.run import predict, program
from ohmfield.spec import InputError

FEW_PERCENT = 10.0


@dataclass(frozen=True, eq=False)
class Study:
    """Scores of drawn instances, each at every age; higher is better."""

    metric: str
    seeds: tuple[int, ...]
    elapsed_s: tuple[float, ...]
    scores: Float[np.ndarray, "ages instances"]

    @property
    def mean(self) -> Float[np.ndarray, " ages"]:
        """Over the instances, for each age."""
        return self.scores.mean(axis=1)

    @property
    def spread(self) -> Float[np.ndarray, " ages"]:
        """Standard deviation over the instances (n - 1); zero of a single one."""
        return self.scores.std(axis=1, ddof=min(1, len(self.seeds) - 1))

    @property
    def worst(self) -> Float[np.ndarray, " ages"]:
        """The lowest score."""
        return self.scores.min(axis=1)

    @property
    def tenth(self) -> Float[np.ndarray, " ages"]:
        """The 10th percentile: nine in ten chips do better, on a line between the neighbouring ones."""
        return np.percentile(self.scores, FEW_PERCENT, axis=1)

    def summary(self) -> list[dict[str, float]]:
        """Plain numbers, one record per age."""
        columns = {"mean": self.mean, "spread": self.spread, "tenth": self.tenth, "worst": self.worst}
        return [
            {"elapsed_s": age, **{name: float(values[row]) for name, values in columns.items()}}
            for row, age in enumerate(self.elapsed_s)
        ]


def study(
    module: nn.Module,
    chip: Chip,
    inputs: Float[Tensor, "items *dims"],
    score: Callable[[Tensor], float],
    *,
    metric: str,
    seeds: Sequence[int],
    elapsed_s: Sequence[float] = (0.0,),
    gains: dict[str, tuple[float, ...]],
    install: Callable[[Programmed], object],
) -> Study:
    """`score` of what the converted `module` makes of `inputs` on each instance, written once and read at each age.

    Instances share codes, formats, converter gains and inputs: only what a chip draws is drawn again. `install` puts an
    instance into the module. Raises `InputError` where there is nothing to draw or an age is negative.
    """
    if not seeds or not elapsed_s:
        raise InputError(f"a study needs seeds and ages; got {len(seeds)} seeds and {len(elapsed_s)} ages")
    if min(elapsed_s) < 0.0:
        raise InputError(f"elapsed_s {min(elapsed_s)} lies before the first read; use 0 or more")
    scores = np.empty((len(elapsed_s), len(seeds)))
    for column, seed in enumerate(seeds):
        written = program(module, chip, seed=seed, gains=gains)
        for row, age in enumerate(elapsed_s):
            install(written.aged(age))
            scores[row, column] = score(predict(module, inputs))
    return Study(metric, tuple(seeds), tuple(elapsed_s), scores)
