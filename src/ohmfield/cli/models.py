"""`ohmfield deploy MODEL.py:fn`: a model that a function in a file builds, on a batch from another file."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ohmfield.chip.chip import Chip
from ohmfield.cli import console
from ohmfield.deploy import Deployment, Recipe, deploy
from ohmfield.report.summarise import costs_of
from ohmfield.report.tables import finite, number
from ohmfield.spec import InputError

KEYS = "`inputs` and, if there are any, `labels`"


def run(source: str, inputs: Path | None, chips: list[Chip], recipe: Recipe, seed: int, quiet: bool) -> dict[str, Any]:
    """Deploys the model on each chip; returns what `--json` prints."""
    if inputs is None:
        raise InputError(f"{source}: say what to run it on: --inputs batch.pt or batch.npz with {KEYS}")
    model, data = load_model(source), load_batch(inputs)
    made: dict[str, Deployment] = {}
    for chip in chips:
        try:
            made[chip.name] = deploy(model, chip, data, recipe, seed=seed)
        except (RuntimeError, TypeError, IndexError, AttributeError) as error:
            raise InputError(f"{source}: does not run on these inputs ({error})") from error
    if not quiet:
        for name, deployment in made.items():
            console.show(console.table(name, ("", "", ""), _rows(deployment), words=True))
            console.show(f"{name}: {', '.join(f'{k} {v:.4g}' for k, v in deployment.quality.items())}")
            console.show(f"{name}: {number(deployment.bill.energy_mJ[1])} mJ per {deployment.workload.inference}")
    return finite({"model": source, "chips": {name: _plain(one) for name, one in made.items()}})


def load_model(source: str) -> nn.Module:
    """What the function of `file.py:function` returns. The file is code and is run."""
    file, _, name = source.rpartition(":")
    path = Path(file)
    spec = importlib.util.spec_from_file_location(path.stem, path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise InputError(f"{file}: no such file; give file.py:function")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    build = getattr(module, name, None)
    made = build() if callable(build) else None
    if not isinstance(made, nn.Module):
        raise InputError(f"{source}: {name!r} is no function that returns a torch module; name one that does")
    return made


def load_batch(path: Path) -> Tensor | tuple[Tensor, Tensor]:
    """Inputs, with labels if the file has them: a tensor or a dict saved by torch, or a NumPy archive."""
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                held: Any = {name: torch.from_numpy(archive[name]) for name in archive.files}
        else:
            held = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read ({error}); save {KEYS} with torch.save or numpy.savez") from None
    except Exception as error:  # noqa: BLE001  # torch raises the unpickler's own errors, of a module we do not import
        raise InputError(f"{path}: holds more than tensors ({error}); save {KEYS} alone") from None
    if isinstance(held, Tensor):
        return held.float() if held.is_floating_point() else held
    if not isinstance(held, dict) or not isinstance(held.get("inputs"), Tensor):
        raise InputError(f"{path}: has no tensor called inputs; save {KEYS}")
    inputs = held["inputs"].float() if held["inputs"].is_floating_point() else held["inputs"]
    return (inputs, held["labels"]) if isinstance(held.get("labels"), Tensor) else inputs


def _rows(deployment: Deployment) -> list[list[str]]:
    return [[row.operator, row.unit, row.why] for row in deployment.placed]


def _plain(deployment: Deployment) -> dict[str, Any]:
    costs = costs_of(deployment.bill)
    return {
        "quality": deployment.quality,
        "float_quality": deployment.float_quality,
        "waterfall": dict(deployment.waterfall),
        "energy_mJ": list(costs.energy_mJ),
        "latency_ms": list(costs.frame_ms),
        "area_mm2": list(costs.area_mm2),
        "placed": [vars(row) for row in deployment.placed],
        "notes": list(deployment.notes),
        "warnings": list(deployment.bill.warnings),
    }
