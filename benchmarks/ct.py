"""A head slice from 20 noisy projections as a field, beside filtered back-projection and SART; and a measured tooth."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.transform import iradon, iradon_sart, radon

from common import show, write
from ohmfield.fields import presets
from ohmfield.fields.field import predict
from ohmfield.fit.loop import fit
from ohmfield.fit.options import FitOptions
from ohmfield.numerics import Noise
from ohmfield.signals.labels import data_folder
from ohmfield.signals.points import Points, from_image
from ohmfield.signals.tomography import measured, scan
from ohmfield.signals.volume import slice_of, volume

SIZE = 256
VIEWS = 20
NOISE = 0.01  # of the largest projection
SWEEPS = 10
SLICE = 40
HEAD = {"num_levels": 10, "log2_table": 14, "resolutions": (8, 256), "width": 32, "depth": 1}
HEAD_FIT = {"steps": 400, "batch": 256, "learning_rate": 1e-2}
SMOOTHNESS = 3e-6  # leaves a residual of the size of the noise: 40 dB
TOOTH_FIT = {"steps": 350, "batch": 256, "learning_rate": 1e-2}


def head(folder: Path) -> Points:
    """A slice of the head, in the middle of a square; zero outside the circle, as `radon` wants it."""
    plane = slice_of(volume(folder / "CT_AVM.nii.gz"), 2, SLICE, "head").as_image()[..., 0]
    room = torch.zeros(SIZE, SIZE)
    top, left = ((SIZE - side) // 2 for side in plane.shape)
    room[top : top + plane.shape[0], left : left + plane.shape[1]] = plane
    at = torch.arange(SIZE) - SIZE // 2
    room[at[:, None] ** 2 + at**2 > (SIZE // 2 - 1) ** 2] = 0.0
    return from_image(room[..., None] / room.max(), "head", bits=32)


def measure_head(folder: Path, smoothness: float, out: Path | None) -> dict[str, float]:
    """dB of the slice by each method."""
    truth = head(folder)
    degrees = np.arange(VIEWS) * 180.0 / VIEWS
    clean = radon(truth.as_image()[..., 0].double().numpy(), degrees, circle=True)
    noisy = clean + NOISE * clean.max() * Noise(0).at("ct").normal(clean.shape).double().numpy()
    peers = {"iradon": iradon(noisy, degrees, circle=True)}
    sart = None
    for _ in range(SWEEPS):
        sart = iradon_sart(noisy, degrees, sart)
    peers["iradon_sart"] = sart
    signal = scan(truth, noisy.T, np.deg2rad(degrees), smoothness)
    model = presets.build("hash", channels=1, **HEAD)
    begin = time.perf_counter()
    result = fit(model, signal, FitOptions(**HEAD_FIT))
    figures = {"field_psnr_dB": result.score["psnr_dB"], "projection_psnr_dB": result.score["projection_psnr_dB"]}
    figures |= {"training_s": time.perf_counter() - begin, "num_parameters": model.num_parameters()}
    pictures = [truth.as_image()[..., 0].numpy(), predict(model, truth.coords).reshape(SIZE, SIZE).numpy()]
    for name, made in peers.items():
        flat = torch.from_numpy(np.asarray(made)).float().reshape(-1, 1)
        figures[f"{name}_psnr_dB"] = truth.psnr_dB(flat)
        pictures.append(np.asarray(made))
    if out is not None:
        strip = np.concatenate(pictures, axis=1).clip(0.0, 1.0) ** 0.5
        Image.fromarray((255 * strip).astype(np.uint8)).save(out / "head.png")
    return figures


def measure_tooth(folder: Path, out: Path | None) -> dict[str, float]:
    """The measured tooth: how well projections are explained, and a picture."""
    signal = measured(folder / "tooth.h5", smoothness=1e-5)
    model = presets.build("hash", channels=1, num_levels=12, log2_table=14, resolutions=(8, 512), width=32, depth=1)
    result = fit(model, signal, FitOptions(**TOOTH_FIT))
    if out is not None:
        canvas = from_image(torch.zeros(512, 512, 1), "canvas", 32)
        made = predict(model, canvas.coords).reshape(512, 512).numpy()
        made = (made / np.percentile(made, 99.8)).clip(0.0, 1.0)
        Image.fromarray((255 * made).astype(np.uint8)).save(out / "tooth.png")
    return {"projection_psnr_dB": result.score["projection_psnr_dB"], "training_s": result.elapsed_s}


def main() -> None:
    """Both objects."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoothness", type=float, default=SMOOTHNESS)
    parser.add_argument("--out", type=Path, help="folder for pictures: truth, field, iradon, iradon_sart; the tooth")
    asked = parser.parse_args()
    folder = data_folder() / "ct"
    slice_figures = measure_head(folder, asked.smoothness, asked.out)
    tooth_figures = measure_tooth(folder, asked.out)
    columns = ["object", *slice_figures]
    show("Tomography", columns, [["head slice, 20 views, 1 % noise", *slice_figures.values()]])
    show("Measured tooth", list(tooth_figures), [list(tooth_figures.values())])
    settings = {"views": VIEWS, "noise": NOISE, "slice": SLICE, "smoothness": asked.smoothness, "field": HEAD}
    write("ct", {**settings, "fit": HEAD_FIT, "head": slice_figures, "tooth": tooth_figures})


if __name__ == "__main__":
    main()
