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
from ohmfield.cli import commands, console
from ohmfield.deploy import Deployment, Recipe, deploy
from ohmfield.report.models import check_folder, model_digest, save_model
from ohmfield.report.saved import deployment_folder, save_deployment
from ohmfield.report.summarise import summarise
from ohmfield.simulate.study import Study
from ohmfield.spec import InputError, told

LAYER_INPUTS = 32  # that each layer alone is run on: one run for each layer and cause
KEYS = "`inputs` and, if there are any, `labels`"


def run(command: commands.Deploy, chips: list[Chip], recipe: Recipe) -> Path:
    """Deploys the model on each chip into a folder, which it returns.

    A file of code has no fingerprint, so what was saved before is made again; scores of other instances are not.
    """
    source, seeds = str(command.run), range(command.seed, command.seed + command.instances)
    model, data = load(source, command.inputs)
    assert command.inputs is not None
    inputs, labels = (data, None) if isinstance(data, Tensor) else data
    digest = model_digest(model, inputs, labels)
    folder = command.out or Path(source.rpartition("/")[2].replace(".py:", "-"))
    check_folder(folder, digest)
    status = console.progress()
    for chip in chips:
        own = deployment_folder(folder, chip.name)
        with status.status(chip.name) as line:

            def say(stage: str, name: str = chip.name) -> None:
                line.update(f"{name}: {stage}")

            try:
                deployment = deploy(model, chip, data, recipe, seed=command.seed, progress=say)
            except InputError as error:
                raise InputError(str(error), f"{source} on {command.inputs}") from error
            say("one layer at a time")
            losses = deployment.layer_losses(LAYER_INPUTS)
        study = study_of(deployment, seeds, own)
        save_deployment(summarise(deployment, study=study, layer_losses=losses), deployment.programmed, own)
        save_model(folder, source, command.inputs, digest, deployment)
    return folder


def study_of(deployment: Deployment, seeds: range, folder: Path) -> Study | None:
    """The scores of that many instances, none of a single one. What `folder` knows of this deployment is kept."""
    if len(seeds) < 2:
        return None
    journal = folder / f"instances-{deployment.key[:12]}.jsonl"
    return deployment.study(seeds, (deployment.recipe.elapsed_s,), journal=journal, progress=True)


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
