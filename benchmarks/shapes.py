"""Solids as hash fields: seconds to sample, train and extract; IoU at 256^3, Chamfer distance, watertight or not."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from common import show, write
from ohmfield.fields import presets
from ohmfield.fields.field import predict
from ohmfield.fit.loop import fit
from ohmfield.fit.options import suggested_options
from ohmfield.signals.labels import data_folder
from ohmfield.signals.shape import shape

FIELD = {"dim": 3, "channels": 1, "num_levels": 10, "log2_table": 17, "resolutions": (8, 256), "width": 32}
FIT = {"steps": 1400, "batch": 2**14, "learning_rate": 5e-3}
SAMPLES = 2**20


def measure(path: Path, out: Path | None, steps: int) -> dict[str, float]:
    """One mesh: sampled, trained, scored, extracted."""
    begin = time.perf_counter()
    signal = shape(path, SAMPLES)
    sampled = time.perf_counter()
    field = presets.build("hash", **FIELD)
    result = fit(field, signal, suggested_options(field, **{**FIT, "steps": steps}), scored=False)
    score = signal.score(lambda coords: predict(field, coords))
    scored = time.perf_counter()
    if out is not None:
        signal.extract(lambda coords: predict(field, coords)).save(out / f"{path.stem}.ply")
    return {
        "triangles": len(signal.mesh.faces),
        "sampling_s": sampled - begin,
        "training_s": result.elapsed_s,
        "fit_extract_and_score_s": scored - sampled,
        "num_parameters": field.num_parameters(),
        **score,
    }


def main() -> None:
    """Fits the meshes of the data folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--meshes", nargs="+", default=["spot", "armadillo"])
    parser.add_argument("--steps", type=int, default=FIT["steps"], help="training steps per mesh")
    parser.add_argument("--out", type=Path, help="folder for the extracted meshes")
    asked = parser.parse_args()
    folder = data_folder() / "meshes"
    figures = {name: measure(folder / f"{name}.obj", asked.out, asked.steps) for name in asked.meshes}
    columns = ["mesh", "triangles", "sampling s", "training s", "fit, extract, score s", "IoU", "Chamfer", "closed"]
    keys = ["triangles", "sampling_s", "training_s", "fit_extract_and_score_s", "iou", "chamfer", "watertight"]
    show("Solids as hash fields", columns, [[name, *(row[key] for key in keys)] for name, row in figures.items()])
    write("shapes", {"field": FIELD, "fit": {**FIT, "steps": asked.steps}, "samples": SAMPLES, "meshes": figures})


if __name__ == "__main__":
    main()
