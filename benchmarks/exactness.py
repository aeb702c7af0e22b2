"""The deployed field against integers and against fake quantisation: how many codes differ.

    python benchmarks/exactness.py [--size 256] [--steps 600]

A hash-grid field is fitted to a photograph and deployed with ideal cells and lossless conversions. The integer forward
must agree in every output word; float arithmetic on the same grids (fake quantisation) may differ where a value lies
on the edge of a rounding.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch

from common import show, write
from ohmfield.chip.cells import IdealCell
from ohmfield.chip.chip import Chip
from ohmfield.chip.files import load_chip
from ohmfield.chip.units import Crossbar
from ohmfield.fields.field import Field
from ohmfield.fields.presets import build
from ohmfield.fit.loop import fit
from ohmfield.fit.options import FitOptions
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import trace
from ohmfield.signals.image import photo as photograph
from ohmfield.simulate.calibrate import layer_inputs
from ohmfield.simulate.conversion import Causes
from ohmfield.simulate.convert import convert
from ohmfield.simulate.formats import CHUNK, choose_formats
from ohmfield.simulate.integer import fake_quantised_forward, integer_forward
from ohmfield.simulate.layers import ChipLinear
from ohmfield.simulate.run import install, predict, program

CODES = 255  # of the picture, 8 bits


def ideal(chip: Chip) -> Chip:
    """`chip` with ideal cells, converters wide enough to lose nothing, and no converter noise."""
    units = {}
    for name, unit in chip.units.items():
        if isinstance(unit, Crossbar):
            adc = replace(unit.adc, bits=12, enob=None, step_levels=1.0, gains=(1.0,))
            unit = replace(unit, cell=IdealCell(), adc=adc)
        units[name] = unit
    return replace(chip, units=units)


@torch.no_grad()
def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--size", type=int, default=256)
    arguments.add_argument("--steps", type=int, default=600)
    chosen = arguments.parse_args()
    photo = photograph(size=chosen.size)
    field = build("hash", resolutions=(16, chosen.size))
    with torch.enable_grad():
        fit(field, photo, FitOptions(steps=chosen.steps, batch=8192), progress=False)
    field.eval()
    figures: dict[str, float] = {
        "pixels": float(len(photo)),
        "psnr_float_dB": photo.score(predict(field, photo.coords))["psnr_dB"],
    }
    rows = []
    for name in ("dcim-28nm", "rram-40nm", "hybrid-40nm"):
        chip = ideal(load_chip(name))
        placement = place(trace(field, photo.coords[:64]), chip)
        module = convert(field, chip, placement, choose_formats(field, chip, placement, photo.coords[::13]))
        assert isinstance(module, Field)
        install(module, chip, program(module, chip), Causes())
        picture = predict(module, photo.coords)
        words = wrong = flipped = 0
        for first in range(0, len(photo), CHUNK):
            part = slice(first, first + CHUNK)
            codes, word = integer_forward(module, photo.coords[part])
            wrong += int((word.values(codes) != picture[part]).sum())
            fake = fake_quantised_forward(module, photo.coords[part])
            flipped += int((torch.floor(fake * CODES + 0.5) != torch.floor(picture[part] * CODES + 0.5)).sum())
            words += codes.numel()
        inputs = input_codes_differing(module, photo.coords[:CHUNK])
        key = name.replace("-", "_")
        figures[f"{key}_words_differing_from_integers"] = wrong / words
        figures[f"{key}_picture_codes_differing_from_fake_quantised"] = flipped / words
        figures[f"{key}_input_codes_differing_from_fake_quantised"] = inputs
        rows.append((name, words, wrong, flipped / words, inputs))
    show(
        "ideal cells, lossless conversions",
        (
            "chip",
            "output words",
            "differ from integers",
            "8-bit picture codes / fake quant",
            "input codes / fake quant",
        ),
        rows,
    )
    write("exactness", figures)


def input_codes_differing(module: Field, coords: torch.Tensor) -> float:
    """Largest share, over the layers, of linear input codes that float arithmetic puts elsewhere."""
    exact = layer_inputs(module, coords)
    seen: dict[str, torch.Tensor] = {}
    x = module.encoding(coords)
    activations = list(module.decoder.activations)
    for index, layer in enumerate(module.decoder.layers):
        assert isinstance(layer, ChipLinear)
        seen[layer.path] = layer.input_codes(x)
        weight = layer.form.weight.fake(layer.weight)
        bias = (layer.bias_codes(1.0) * layer.accumulator_factor(1.0)).float()
        product = torch.nn.functional.linear(layer.form.input.fake(x), weight, bias)
        x = layer.form.output.values(layer.form.output.codes(product))
        x = activations[index](x) if index < len(activations) else x
    shares = []
    for path, codes in exact.items():
        stride = max(1, len(coords) // len(codes))
        shares.append(float((seen[path][::stride][: len(codes)].numpy() != codes).mean()))
    return max(shares)


if __name__ == "__main__":
    main()
