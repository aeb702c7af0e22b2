"""Many chips of one design, at several ages: how far scores spread, not only where one chip lands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from scipy.special import stdtrit

from ohmfield._kernels.threads import one_torch_thread, run_parallel
from ohmfield.simulate.journal import Journal
from ohmfield.simulate.programmed import Programmed
from ohmfield.spec import InputError

FEW_PERCENT = 10.0
CONFIDENCE = 0.95


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
        same = (self.scores == self.scores[:, :1]).all(axis=1)  # also of infinite ones, whose differences are not known
        with np.errstate(invalid="ignore"):
            return np.where(same, 0.0, self.scores.std(axis=1, ddof=min(1, len(self.seeds) - 1)))

    @property
    def interval(self) -> Float[np.ndarray, "ages 2"]:
        """Where the mean over all chips of this design lies, at 95 % (Student's t); not known from a single one."""
        count = len(self.seeds)
        times = float(stdtrit(count - 1, 0.5 + 0.5 * CONFIDENCE)) / count**0.5 if count > 1 else np.nan
        half = self.spread * times
        return np.stack([self.mean - half, self.mean + half], axis=1)

    @property
    def worst(self) -> Float[np.ndarray, " ages"]:
        """The lowest score."""
        return self.scores.min(axis=1)

    @property
    def tenth(self) -> Float[np.ndarray, " ages"]:
        """The 10th percentile: nine in ten chips do better, on a line between the neighbouring ones."""
        with np.errstate(invalid="ignore"):
            return np.percentile(self.scores, FEW_PERCENT, axis=1)

    def summary(self) -> list[dict[str, float]]:
        """Plain numbers, one record per age."""
        low, high = self.interval.T
        columns = {"mean": self.mean, "spread": self.spread, "tenth": self.tenth, "worst": self.worst}
        columns |= {"mean_low": low, "mean_high": high}
        return [
            {"elapsed_s": age, **{name: float(values[row]) for name, values in columns.items()}}
            for row, age in enumerate(self.elapsed_s)
        ]


def study(
    write: Callable[[int], Programmed],
    score: Callable[[Programmed], float],
    *,
    metric: str,
    seeds: Sequence[int],
    elapsed_s: Sequence[float] = (0.0,),
    journal: Journal | None = None,
    progress: bool = False,
) -> Study:
    """`score` of each instance that `write` draws for a seed, written once and read at every age.

    Instances run side by side on the threads of the kernels, so `score` is called from several at once: see
    `simulate.batch.Batch`. What `journal` holds is not run again, and each score is in it once it is known. Raises
    `InputError` where there is nothing to draw, a seed comes twice, or an age is negative.
    """
    if not seeds or not elapsed_s:
        raise InputError(f"a study needs seeds and ages; got {len(seeds)} seeds and {len(elapsed_s)} ages")
    if min(elapsed_s) < 0.0:
        raise InputError(f"elapsed_s {min(elapsed_s)} lies before the first read; use 0 or more")
    twice = [seed for seed in dict.fromkeys(seeds) if list(seeds).count(seed) > 1]
    if twice:
        raise InputError(f"seed {twice[0]} is given twice, which is one chip; give each seed once")
    scores = dict[tuple[int, float], float]() if journal is None else dict(journal.scores)
    wanted = [(seed, float(age)) for seed in seeds for age in elapsed_s]
    known = [scores[pair] for pair in wanted if pair in scores]
    with _bar(progress) as bar:
        task = bar.add_task("instances", total=len(wanted), completed=len(known), mean=_mean(known, metric))

        def run(seed: int) -> None:
            missing = [age for age in dict.fromkeys(map(float, elapsed_s)) if (seed, age) not in scores]
            if not missing:
                return
            torch.set_num_threads(1)  # of this thread, whatever it had before
            written = write(seed)
            for age in missing:
                made = score(written.aged(age))
                if journal is not None:
                    journal.add(seed, age, made)
                scores[seed, age] = made
                known.append(made)
                bar.update(task, completed=len(known), mean=_mean(known, metric))

        with one_torch_thread():
            run_parallel(run, seeds)
    table = np.array([[scores[seed, float(age)] for seed in seeds] for age in elapsed_s])
    return Study(metric, tuple(seeds), tuple(elapsed_s), table)


def _mean(known: Sequence[float], metric: str) -> str:
    return f"mean {metric} {sum(known) / len(known):.4g}" if known else ""


def _bar(enabled: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[mean]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not enabled,
    )
