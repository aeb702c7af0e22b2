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
from ohmfield.spec import InputError, told

KEYS = "`inputs` and, if there are any, `labels`"


def run(source: str, inputs: Path | None, chips: list[Chip], recipe: Recipe, seed: int, quiet: bool) -> dict[str, Any]:
    """Deploys the model on each chip; returns what `--json` prints."""
    model, data = load(source, inputs)
    try:
        made: dict[str, Deployment] = {chip.name: deploy(model, chip, data, recipe, seed=seed) for chip in chips}
    except InputError as error:
        raise InputError(str(error), f"{source} on {inputs}") from error
    if not quiet:
        for name, deployment in made.items():
            console.show(console.table(name, ("", "", ""), _rows(deployment), words=True))
            console.show(f"{name}: {', '.join(f'{k} {v:.4g}' for k, v in deployment.quality.items())}")
            console.show(f"{name}: {number(deployment.bill.energy_mJ[1])} mJ per {deployment.workload.inference}")
    return finite({"model": source, "chips": {name: _plain(one) for name, one in made.items()}})


def named(source: str) -> bool:
    """Whether `source` is `file.py:function` instead of a run folder; `InputError` for a file without a function."""
    if source.endswith((".py", ".py:")):
        file = source.removesuffix(":")
        raise InputError(f"{source}: name the function of the file that builds the model: {file}:function")
    return ".py:" in source


def load(source: str, inputs: Path | None) -> tuple[nn.Module, Tensor | tuple[Tensor, Tensor]]:
    """The model of `file.py:function` and the batch it is run on."""
    if inputs is None:
        raise InputError(f"{source}: say what to run it on: --inputs batch.pt or batch.npz with {KEYS}")
    return load_model(source), load_batch(inputs)


def load_model(source: str) -> nn.Module:
    """What the function of `file.py:function` returns. The file is code and is run; whatever it raises is one line."""
    file, _, name = source.rpartition(":")
    path = Path(file)
    spec = importlib.util.spec_from_file_location(path.stem, path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise InputError(f"{file}: no such file; give file.py:function")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise InputError(f"{file}: cannot be run: {told(error)}") from error
    build = getattr(module, name, None)
    try:
        made = build() if callable(build) else None
    except (Exception, SystemExit) as error:
        raise InputError(f"{source}: builder failed: {told(error)}") from error
    if not isinstance(made, nn.Module):
        raise InputError(f"{source}: {name!r} is no function that returns a torch module; name one that does")
    return made


def load_batch(path: Path) -> Tensor | tuple[Tensor, Tensor]:
    """Inputs, with labels if the file has them: a tensor or a dict saved by torch, or a NumPy array or archive.

    What a file holds is told by its first bytes. `InputError` names the file.
    """
    held = _read(path)
    if isinstance(held, Tensor):
        return _floats(held)
    if not isinstance(held, dict) or not isinstance(held.get("inputs"), Tensor):
        raise InputError(f"{path}: has no tensor called inputs; save {KEYS}")
    labels = held.get("labels")
    if labels is not None and not isinstance(labels, Tensor):
        raise InputError(f"{path}: labels are a {type(labels).__name__}, not a tensor; save torch.tensor(labels)")
    return _floats(held["inputs"]) if labels is None else (_floats(held["inputs"]), labels)


def _read(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path}: no such file; save {KEYS} with torch.save or numpy.savez")
    try:
        with path.open("rb") as file:
            start = file.read(6)
        if start == b"\x93NUMPY":
            return _tensor(np.load(path, allow_pickle=False))
        if not start.startswith((b"PK", b"\x80")):  # an archive of either library, or a pickle of an older torch
            raise InputError(f"{path}: is neither of torch nor of NumPy; save {KEYS} with torch.save or numpy.savez")
        if zipfile.is_zipfile(path) and all(name.endswith(".npy") for name in zipfile.ZipFile(path).namelist()):
            with np.load(path, allow_pickle=False) as archive:
                return {name: _tensor(archive[name]) for name in archive.files}
        if start.startswith(b"PK") and not zipfile.is_zipfile(path):
            raise InputError(f"{path}: is cut short; save {KEYS} again")
        return torch.load(path, weights_only=True, map_location="cpu")
    except InputError:
        raise
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read ({told(error)}); save {KEYS} as numbers") from error
    except Exception as error:  # torch raises the unpickler's own errors, pages long, of a module we do not import
        kind = type(error).__name__
        raise InputError(f"{path}: is damaged or holds more than tensors ({kind}); save {KEYS} alone") from error


def _tensor(array: np.ndarray) -> Tensor:
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{array.dtype}, not a number")
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))


def _floats(inputs: Tensor) -> Tensor:
    return inputs.float() if inputs.is_floating_point() else inputs


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
