"""The run folder: files written beside and renamed, nothing unpickled.

`model.safetensors` and `model.json` (the field), `history.json` (loss over time), `run.json` (versions, seed, command,
signal, options, score) and `resume.safetensors` (parameters, moments and step of an unfinished run).
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from ohmfield import networks
from ohmfield.fields import presets
from ohmfield.fields.field import Field
from ohmfield.files import discard, write_atomic
from ohmfield.spec import InputError

Model = TypeVar("Model", bound=nn.Module)

FORMAT = 1
"""Version of the folder's layout; another one is refused."""

RESUME_FILE = "resume.safetensors"


def write_json(path: Path, data: Any) -> None:
    """Writes plain data as JSON, atomically; NaN and infinity become null."""
    write_atomic(path, (json.dumps(_finite(data), indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """The data of a JSON file, or `InputError`."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error}); the file is damaged, fit into a new folder") from None


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors as safetensors, atomically; equal tensors give equal bytes."""
    write_atomic(path, safetensors.torch.save({name: value.detach().contiguous() for name, value in tensors.items()}))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or `InputError`."""
    try:
        return safetensors.torch.load(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the run is not finished, run the same fit again") from None
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); the file is damaged, fit into a new folder") from None


def load_state(field: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Puts `tensors` into `field`; `InputError` when names or shapes differ."""
    try:
        field.load_state_dict(dict(tensors))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: does not belong to this field ({reason}); fit into a new folder") from None


def read_info(run: Path) -> dict[str, Any]:
    """`run.json` of a run folder, of the format this version writes."""
    if not run.is_dir():
        raise InputError(f"{run}: no such run folder; make one with `ohmfield fit SIGNAL --out {run}`")
    path = run / "run.json"
    if not path.exists():
        raise InputError(f"{run}: is no run folder (it has no run.json); make one with `ohmfield fit SIGNAL --out DIR`")
    info = read_json(path)
    found = info.get("format") if isinstance(info, dict) else None
    if found != FORMAT:
        raise InputError(
            f"{path}: run folder of format {found!r}, this version reads format {FORMAT}; fit again into a new folder"
        )
    return info


def save_run(run: Path, field: nn.Module, info: Mapping[str, Any], history: list[dict[str, float]]) -> None:
    """Writes a finished run: `run.json` last, so that it says finished only when all is there.

    What resuming needs goes then.
    """
    write_tensors(run / "model.safetensors", field.state_dict())
    write_json(run / "model.json", {"format": FORMAT, "field": getattr(field, "config", {})})
    write_json(run / "history.json", history)
    write_json(run / "run.json", {"format": FORMAT, **info})
    discard(run / RESUME_FILE)


def load_run(run: str | os.PathLike[str], kind: type[Model] = Field) -> tuple[Model, dict[str, Any]]:
    """The model of a finished run folder, and what `run.json` holds; `InputError` for anything wrong with it.

    A `kind` other than `Field` says what is wanted instead: `nn.Module` takes whatever was fitted.
    """
    folder = Path(run)
    info = read_info(folder)
    model = read_json(folder / "model.json") if (folder / "model.json").exists() else None
    if not info.get("finished") or model is None:
        raise InputError(f"{folder}: the run is not finished; run the same fit again, it goes on where it stopped")
    config = model.get("field") if isinstance(model, dict) else None
    if not isinstance(config, dict):
        raise InputError(f"{folder / 'model.json'}: describes no field; the file is damaged, fit into a new folder")
    made = networks.build(config) if config.get("preset") in networks.NETWORKS else presets.build(config)
    if not isinstance(made, kind):
        raise InputError(f"{folder}: holds a {type(made).__name__}; here a {kind.__name__} is needed")
    load_state(made, read_tensors(folder / "model.safetensors"), folder / "model.safetensors")
    return made, info


def provenance() -> dict[str, Any]:
    """Versions and the command line, for `run.json` and reports."""
    return {
        "ohmfield": _version("ohmfield"),
        "versions": {
            "python": sys.version.split()[0],
            **{name: _version(name) for name in ("torch", "numpy", "numba")},
        },
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if data - data == 0.0 else None
    if isinstance(data, Mapping):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return data
