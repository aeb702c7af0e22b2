"""What a zero point of the inputs is worth where they are skewed: a CNN with SiLU, at 8 and 6 bits of an input.

    python benchmarks/zero_points.py [--steps 200] [--images 64] [--instances 3]

Three 3x3 convolutions with SiLU between them and a linear layer, trained on the MNIST test archive (its training part),
weights of 8 bits. SNR of the logits against the float model, on images that calibration did not see: `dcim-28nm`
multiplies exactly, so only roundings count; the crossbar is `rram-40nm` with a 10-bit ADC, cells as they are (1 %
error) or three times worse, mean over instances. With error a zero point adds an offset, which measured sums take off.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from common import show, write
from ohmfield.chip.chip import Chip
from ohmfield.chip.column_sums import ColumnSums
from ohmfield.chip.files import load_chip
from ohmfield.chip.units import Crossbar
from ohmfield.deploy import Recipe, deploy
from ohmfield.fit.loop import fit
from ohmfield.fit.options import FitOptions
from ohmfield.signals.labels import mnist


def network() -> nn.Module:
    """9,642 weights; the inputs of all layers but the first go through SiLU."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, stride=2),
        nn.SiLU(),
        nn.Conv2d(16, 32, 3, padding=1, stride=2),
        nn.SiLU(),
        nn.Conv2d(32, 16, 3, padding=1),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def analog(error: float, measured: bool) -> Chip:
    """`rram-40nm` with a converter that clips little and cells of that error."""
    base = load_chip("rram-40nm")
    unit = base.units["crossbar"]
    assert isinstance(unit, Crossbar)
    made = replace(
        unit,
        num_arrays=4096,
        cell=replace(unit.cell, program_fraction=error),
        adc=replace(unit.adc, bits=10, enob=None),
        measured_column_sums=ColumnSums() if measured else None,
    )
    return replace(base, units={"crossbar": made})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--instances", type=int, default=3)
    chosen = parser.parse_args()
    torch.manual_seed(0)
    data, model = mnist(), network()
    fit(model, data, FitOptions(steps=chosen.steps, batch=128, learning_rate=3e-3, epsilon=1e-8), progress=False)
    model.eval()
    learnt, images = data.train.inputs[:64], data.inputs[: chosen.images]
    chips: dict[str, Chip] = {"dcim-28nm": load_chip("dcim-28nm")}
    for error in (0.01, 0.03):
        for way in ("nominal", "measured"):
            chips[f"rram, {error:.0%} error, {way} sums"] = analog(error, way == "measured")
    figures: dict[str, Any] = {"weights": sum(p.numel() for p in model.parameters() if p.dim() > 1)}
    rows = []
    for name, chip in chips.items():
        for bits in (8, 6):
            for zero in ("none", "calibrated"):
                if zero == "none" and name.endswith("measured sums"):
                    continue  # nothing to measure
                recipe = Recipe(input_bits=bits, input_zero=zero)
                made = deploy(model, chip, images, recipe, calibrate=learnt)
                others = made.instances(range(1, chosen.instances)) if chip.name != "dcim-28nm" else []
                snr = (made.quality["snr_dB"] + sum(others)) / (1 + len(others))
                energy_uJ = 1e3 * made.bill.energy_mJ[1]
                figures[f"{name}, {bits} bits, {zero}"] = {"snr_dB": snr, "energy_uJ": energy_uJ}
                print(name, bits, zero, f"{snr:.2f} dB", flush=True)
                rows.append((name, bits, zero, len(made.placement.zero_points), snr, energy_uJ))
    show("SNR of the logits", ("chip", "input bits", "zero point", "layers with one", "SNR dB", "uJ"), rows)
    write("zero_points", figures)


if __name__ == "__main__":
    main()
