"""How much of what a chip's errors cost noise-aware tuning wins back: mean and worst of ten unseen instances.

    python benchmarks/noise_aware.py [--chip rram-40nm] [--size 256] [--steps 600]

Baseline: MSE-calibrated quantisation and noise-free fine-tuning. Noise-aware: as many steps of as many points at the
same rate on the float field, its analog layers as noisy as their conversions, then the same calibration. Both tune
decoder and table. Lost: PSNR of the baseline on
ideal cells less its PSNR on the chip. Recovered: share of that which the noise-aware recipe wins back on the chip.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from common import show, write
from ohmfield.chip.files import load_chip
from ohmfield.deploy import Recipe, deploy
from ohmfield.fields.presets import build
from ohmfield.fit.loop import fit
from ohmfield.fit.options import FitOptions
from ohmfield.signals.image import photo as photograph

UNSEEN = range(1001, 1011)  # seeds that neither tuning (negative) nor deployment (0) has


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--chip", default="rram-40nm")
    arguments.add_argument("--size", type=int, default=256)
    arguments.add_argument("--steps", type=int, default=600)
    arguments.add_argument("--fit-steps", type=int, default=600)
    chosen = arguments.parse_args()
    chip, photo = load_chip(chosen.chip), photograph(size=chosen.size)
    field = build("hash", num_levels=10, log2_table=13, resolutions=(16, chosen.size))
    fit(field, photo, FitOptions(steps=chosen.fit_steps, batch=8192), progress=False)
    field.eval()
    baseline_recipe = Recipe(tune_steps=chosen.steps)
    made = {
        "baseline": deploy(field, chip, photo, baseline_recipe),
        "noise_aware": deploy(field, chip, photo, replace(baseline_recipe, noise_aware=True)),
    }
    scores = {name: deployment.instances(UNSEEN) for name, deployment in made.items()}
    ideal = dict(made["baseline"].waterfall)["quantised"]
    figures: dict[str, object] = {
        "chip": chosen.chip,
        "float_dB": made["baseline"].float_quality["psnr_dB"],
        "baseline_on_ideal_cells_dB": ideal,
    }
    rows = []
    for name, reduce in (("mean", lambda values: sum(values) / len(values)), ("worst", min)):
        before, after = reduce(scores["baseline"]), reduce(scores["noise_aware"])
        lost = ideal - before
        recovered = (after - before) / lost if lost > 0 else 0.0
        figures |= {
            f"baseline_{name}_dB": before,
            f"noise_aware_{name}_dB": after,
            f"lost_{name}_dB": lost,
            f"recovered_share_{name}": recovered,
            f"lost_less_than_1_dB_{name}": lost < 1.0,
        }
        rows.append((name, ideal, before, after, lost, recovered))
    show(
        f"{chosen.chip}, ten unseen instances",
        ("of ten", "ideal cells dB", "baseline dB", "noise-aware dB", "lost dB", "recovered"),
        rows,
    )
    write("noise_aware", figures)


if __name__ == "__main__":
    main()
