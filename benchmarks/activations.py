"""QuadINR, SIREN, Gauss, WIRE and FINER at equal size: three photographs, three seeds, dB."""

from __future__ import annotations

import argparse
from statistics import mean, stdev

from rich.progress import track

from common import show, write
from ohmfield.fields import presets
from ohmfield.fit.loop import fit
from ohmfield.fit.options import suggested_options
from ohmfield.signals.image import PHOTOS, photo

ACTIVATIONS = ("quadinr", "siren", "gauss", "wire", "finer")
SEEDS = (0, 1, 2)


def main() -> None:
    """Fits every combination with the same steps and the learning rate of the preset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=96, help="pixels per side, averaged over areas")
    parser.add_argument("--width", type=int, default=64, help="units per hidden layer, of which there are three")
    parser.add_argument("--steps", type=int, default=1000, help="steps of all points")
    given = parser.parse_args()
    cases = [(name, picture, seed) for name in ACTIVATIONS for picture in PHOTOS for seed in SEEDS]
    psnr_dB: dict[str, dict[str, list[float]]] = {name: {picture: [] for picture in PHOTOS} for name in ACTIVATIONS}
    for name, picture, seed in track(cases, description="fits"):
        field = presets.build(name, width=given.width, depth=3, seed=seed)
        options = suggested_options(field, steps=given.steps, batch=given.size**2, seed=seed)
        result = fit(field, photo(picture, given.size), options, progress=False)
        psnr_dB[name][picture].append(result.score["psnr_dB"])
    figures = {}
    for name in ACTIVATIONS:
        values = [value for runs in psnr_dB[name].values() for value in runs]
        figures[name] = {
            "mean_psnr_dB": mean(values),
            "worst_psnr_dB": min(values),
            "seed_deviation_dB": mean(stdev(runs) for runs in psnr_dB[name].values()),
            "gain_over_siren_dB": mean(values) - mean(v for runs in psnr_dB["siren"].values() for v in runs),
            "psnr_dB": psnr_dB[name],
        }
    columns = ["activation", "mean dB", "worst dB", "over seeds +-", "over SIREN", *PHOTOS]
    rows = [
        [name, *list(row.values())[:4], *(mean(psnr_dB[name][picture]) for picture in PHOTOS)]
        for name, row in figures.items()
    ]
    show(f"{given.size} x {given.size}, width {given.width}, {given.steps} steps, {len(SEEDS)} seeds", columns, rows)
    write("activations", {"size": given.size, "width": given.width, "steps": given.steps, "activations": figures})


if __name__ == "__main__":
    main()
