"""QuadINR, SIREN, Gauss, WIRE and FINER at equal size: dB on three photographs and three seeds, beside their units.

Area, energy and depth are those of one lane of a 16-bit activation unit at 28 nm, 0.9 V, 1 GHz, from the stage lists;
table functions read 256 entries and interpolate.
"""

from __future__ import annotations

import argparse
from statistics import mean, stdev

from rich.progress import track

from common import show, write
from ohmfield.chip.digital import ActivationUnit
from ohmfield.chip.process import Process
from ohmfield.chip.stages import stages
from ohmfield.fields import presets
from ohmfield.fit.loop import fit
from ohmfield.fit.options import suggested_options
from ohmfield.quantities import MID
from ohmfield.signals.image import PHOTOS, photo

ACTIVATIONS = ("quadinr", "siren", "gauss", "wire", "finer")
UNITS = {"quadinr": "quad", "siren": "sine", "gauss": "gauss", "wire": "wire", "finer": "finer"}
SEEDS = (0, 1, 2)


def unit_costs(function: str) -> dict[str, float]:
    """Mid figures of one lane of the unit that computes `function`."""
    process, unit = Process(node_nm=28, supply_V=0.9, clock_GHz=1.0), ActivationUnit(lanes=1)
    part, value = unit.part(process, (function,)), unit.value(process, function)
    return {
        "unit_area_um2": float(part.area_um2[MID, 0]),
        "unit_energy_pJ": float(value.energy_pJ[MID, 0]),
        "unit_stages": len(stages(function, unit.word_bits, unit.table_bits)),
    }


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
            **unit_costs(UNITS[name]),
            "psnr_dB": psnr_dB[name],
        }
    columns = ["activation", "mean dB", "worst dB", "over seeds +-", "over SIREN", "um2", "pJ", "stages", *PHOTOS]
    rows = [
        [name, *list(row.values())[:7], *(mean(psnr_dB[name][picture]) for picture in PHOTOS)]
        for name, row in figures.items()
    ]
    show(f"{given.size} x {given.size}, width {given.width}, {given.steps} steps, {len(SEEDS)} seeds", columns, rows)
    write("activations", {"size": given.size, "width": given.width, "steps": given.steps, "activations": figures})


if __name__ == "__main__":
    main()
