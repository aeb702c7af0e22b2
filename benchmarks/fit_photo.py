"""The demo photo as a hash field: dB after 30 s of training, and at 1/8, 1/4 and 1/2 parameter per pixel value."""

from __future__ import annotations

import argparse

import torch

from common import show, write
from ohmfield.fields import presets
from ohmfield.fields.field import Field
from ohmfield.fit.loop import fit
from ohmfield.fit.options import suggested_options
from ohmfield.signals.image import photo, photo_path
from ohmfield.signals.points import Points

# Table sizes that meet the parameter budgets of 512 x 512 x 3 pixel values.
BUDGETS = {
    "1/8": {"num_levels": 14, "log2_table": 12},
    "1/4": {"num_levels": 16, "log2_table": 13},
    "1/2": {"num_levels": 12, "log2_table": 15},
}


def steps_within(field: Field, signal: Points, time_s: float) -> int:
    """Steps that fit into `time_s` on this machine, from 200 steps of a copy."""
    copy = presets.build(field.config)
    trial = fit(copy, signal, suggested_options(copy, steps=200), progress=False)
    return max(100, int(200 * time_s / trial.elapsed_s))


def deployed_bytes(field: Field) -> int:
    """Bytes with 8-bit table entries and weights; biases and scales stay in 32 bits."""
    linear = [module for module in field.modules() if isinstance(module, torch.nn.Linear)]
    biases = sum(layer.out_features for layer in linear)
    return field.num_parameters() - biases + 4 * (biases + len(linear) + 1)


def measure(field: Field, signal: Points, steps: int) -> dict[str, float]:
    """One fit: dB, seconds, size."""
    result = fit(field, signal, suggested_options(field, steps=steps))
    return {
        "psnr_dB": result.score["psnr_dB"],
        "ssim": result.score["ssim"],
        "training_s": result.elapsed_s,
        "steps": steps,
        "num_parameters": field.num_parameters(),
        "parameters_per_pixel_value": field.num_parameters() / signal.values.numel(),
        "deployed_bytes_8_bit": deployed_bytes(field),
        "Msamples_per_s": result.samples_per_s / 1e6,
    }


def main() -> None:
    """Fits the default field, then the budgets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=29.0, help="training time per fit")
    time_s = parser.parse_args().seconds
    signal = photo("astronaut")
    png_bytes = photo_path("astronaut").stat().st_size
    default = presets.build("hash")
    figures = {"default": measure(default, signal, steps_within(default, signal, time_s))}
    for name, arguments in BUDGETS.items():
        field = presets.build("hash", **arguments)
        figures[name] = measure(field, signal, steps_within(field, signal, time_s))
    columns = ["field", "dB", "SSIM", "s", "parameters", "per pixel value", "8-bit bytes", "of PNG"]
    rows = [
        [
            name,
            row["psnr_dB"],
            row["ssim"],
            row["training_s"],
            row["num_parameters"],
            row["parameters_per_pixel_value"],
            row["deployed_bytes_8_bit"],
            row["deployed_bytes_8_bit"] / png_bytes,
        ]
        for name, row in figures.items()
    ]
    show(f"512 x 512 RGB photo; its PNG has {png_bytes} bytes", columns, rows)
    write("fit_photo", {"png_bytes": png_bytes, "fields": figures})


if __name__ == "__main__":
    main()
