"""What a picture on phase-change cells loses with age, with and without drift compensation: ten instances each.

    python benchmarks/drift.py [--chip pcm-14nm] [--size 128] [--steps 600]

One field, calibrated once on the design; ten instances, each read at once, and an hour, a day and a month later.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from common import show, write
from ohmfield.chip.chip import Chip
from ohmfield.chip.compensation import Compensation
from ohmfield.chip.files import load_chip
from ohmfield.chip.units import Crossbar
from ohmfield.deploy import deploy
from ohmfield.fields.presets import build
from ohmfield.fit.loop import fit
from ohmfield.fit.options import FitOptions
from ohmfield.signals.image import photo as photograph
from ohmfield.simulate.run import install, predict, program

INSTANCES = range(1001, 1011)
AGES_S = {"first read": 0.0, "an hour": 3600.0, "a day": 86400.0, "a month": 30 * 86400.0}
WAYS = {"none": None, "digital": Compensation(where="digital"), "analog": Compensation(where="analog")}


def compensated(chip: Chip, way: Compensation | None) -> Chip:
    """`chip` with drift undone in one way on all its crossbars."""
    units = {
        name: replace(unit, compensate=way) if isinstance(unit, Crossbar) else unit for name, unit in chip.units.items()
    }
    return replace(chip, units=units)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--chip", default="pcm-14nm")
    arguments.add_argument("--size", type=int, default=128)
    arguments.add_argument("--steps", type=int, default=600)
    chosen = arguments.parse_args()
    photo = photograph(size=chosen.size)
    field = build("hash", num_levels=10, log2_table=13, resolutions=(16, chosen.size))
    fit(field, photo, FitOptions(steps=chosen.steps, batch=8192), progress=False)
    field.eval()
    figures: dict[str, object] = {"chip": chosen.chip, "size": chosen.size}
    rows = []
    for name, way in WAYS.items():
        chip = compensated(load_chip(chosen.chip), way)
        made = deploy(field, chip, photo)
        gains = {path: layer.gains for path, layer in made.programmed.layers.items()}
        figures |= {"float_dB": made.float_quality["psnr_dB"], "ideal_cells_dB": dict(made.waterfall)["rounding"]}
        for age, elapsed_s in AGES_S.items():
            scores = []
            for seed in INSTANCES:
                drawn = program(made.module, chip, seed=seed, elapsed_s=elapsed_s, gains=gains)
                install(made.module, chip, drawn)
                scores.append(photo.score(predict(made.module, photo.coords))["psnr_dB"])
            mean, worst = sum(scores) / len(scores), min(scores)
            figures |= {f"{name}, {age}, mean_dB": mean, f"{name}, {age}, worst_dB": worst}
            rows.append((name, age, mean, worst))
    show(f"{chosen.chip}, ten instances", ("compensation", "age", "mean dB", "worst dB"), rows)
    write("drift", figures)


if __name__ == "__main__":
    main()
