"""Ten chips of one design: as one batch, and one after the other. Seconds of wall time, in turns, and the same bits.

    python benchmarks/instances.py [--instances 10] [--turns 3]

One after the other: each instance is drawn, installed in the one module, and run with the kernels on all their threads.
As a batch: `Deployment.study`. A hash field shows 96 x 96 pixels; a ResNet-8 of 16 channels runs 24 images of 32 x
32. Both are on `rram-40nm`; how long they take does not depend on whether they were trained.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch

from common import in_turns, show, write
from ohmfield.deploy import Deployment, Recipe, deploy
from ohmfield.fields.presets import build
from ohmfield.networks import resnet
from ohmfield.signals.synthetic import zone_plate
from ohmfield.simulate.run import install, predict, program
from ohmfield.simulate.statistical import match_moments


def field(recipe: Recipe) -> Deployment:
    """A hash field of the default size, untrained."""
    signal = zone_plate(96)
    return deploy(build("hash", channels=signal.channels).eval(), "rram-40nm", signal, recipe)


def network(recipe: Recipe) -> Deployment:
    """A small residual network on random images."""
    torch.manual_seed(0)
    return deploy(resnet(depth=8, width=16).eval(), "rram-40nm", torch.rand(32, 3, 32, 32), recipe)


def in_a_row(made: Deployment, count: int) -> list[float]:
    """Scores of so many instances, one after the other."""
    gains = {path: layer.gains for path, layer in made.programmed.layers.items()}
    scores = []
    for seed in range(count):
        install(made.module, made.chip, program(made.module, made.chip, seed=seed, gains=gains))
        if made.fitted_on is not None:
            match_moments(made.module, made.fitted_on)
        scores.append(made.given.headline(predict(made.module, made.given.inputs)))
    return scores


def main() -> None:
    """Runs the comparison; `benchmarks/results/instances.json` holds the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=10)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    models: dict[str, Callable[[Recipe], Deployment]] = {"field": field, "network": network}
    figures, rows = dict[str, object](), []
    for name, make in models.items():
        for arithmetic in ("exact", "moment_matched"):
            made = make(Recipe(arithmetic=arithmetic))
            scores: dict[str, list[float]] = {}

            def one_by_one(made: Deployment = made, scores: dict[str, list[float]] = scores) -> None:
                scores["in a row"] = in_a_row(made, options.instances)

            def together(made: Deployment = made, scores: dict[str, list[float]] = scores) -> None:
                scores["batch"] = made.instances(range(options.instances))

            took = in_turns({"in a row": one_by_one, "batch": together}, options.turns)
            same = scores["in a row"] == scores["batch"]
            faster = took["in a row"] / took["batch"]
            rows.append((name, arithmetic, took["in a row"], took["batch"], faster, same))
            figures[f"{name}, {arithmetic}"] = {**took, "faster": faster, "same_bits": same}
            heads = ("model", "arithmetic", "in a row s", "batch s", "faster", "same")
            show(f"{options.instances} instances", heads, rows)
            write("instances", {"instances": options.instances, **figures})  # a case at a time: long work


if __name__ == "__main__":
    main()
