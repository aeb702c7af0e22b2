"""A run folder as the report reads it: the signal, the fitted field and each saved deployment."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch

from ohmfield.chip.chip import Chip
from ohmfield.fields.field import Field, predict
from ohmfield.files import discard
from ohmfield.fit.runs import load_run, provenance, read_tensors, write_tensors
from ohmfield.mapping.trace import trace
from ohmfield.mapping.workload import Workload
from ohmfield.report.baselines import baselines_of
from ohmfield.report.models import MODEL_FILE, collect_model
from ohmfield.report.summary import (
    SUMMARY_FILE,
    Baseline,
    DeploymentSummary,
    ReportData,
    load_summary,
    save_summary,
    slug,
)
from ohmfield.report.write import write_report
from ohmfield.signals.points import Points, from_image
from ohmfield.simulate.programmed import Programmed
from ohmfield.spec import InputError, to_plain

SIGNAL_FILE = "signal.safetensors"
INSTANCE_FILE = "instance.safetensors"
DEPLOYMENTS = "deployments"
EXAMPLE_ITEMS = 64  # coordinates that a trace runs


def save_signal(signal: Points, run: Path) -> None:
    """Keep the signal in the run folder, so that the run can be deployed and shown without the file it came from."""
    if len(signal.shape) != 2:
        raise InputError(f"signal {signal.name!r} has {len(signal.shape)} dimensions; a run folder keeps images")
    write_tensors(run / SIGNAL_FILE, {"values": signal.values.reshape(*signal.shape, signal.channels)})


def load_signal(run: Path, info: dict[str, Any]) -> Points:
    """The signal a run was fitted to; `info` is the run's `run.json`."""
    path = run / SIGNAL_FILE
    if not path.exists():
        raise InputError(
            f"{path}: no such file; fit with `ohmfield fit`, which keeps the signal, or call `save_signal`"
        )
    tensors, known = read_tensors(path), info.get("signal", {})
    if "values" not in tensors or tensors["values"].dim() != 3:
        raise InputError(f"{path}: holds no image; the file is damaged, fit into a new folder")
    signal = from_image(
        tensors["values"].to(torch.float32), str(known.get("name", "signal")), int(known.get("bits", 8))
    )
    if signal.describe()["digest"] != known.get("digest"):
        raise InputError(f"{path}: is not the signal this run was fitted to; fit into a new folder")
    return signal


def deployment_folder(run: Path, chip_name: str) -> Path:
    """Where the deployment on a chip of that name is kept."""
    return run / DEPLOYMENTS / slug(chip_name)


def save_deployment(summary: DeploymentSummary, programmed: Programmed, folder: Path) -> None:
    """Keep a deployment: what the report shows of it and the chip instance that drew it, for `Programmed.load`."""
    discard(folder / SUMMARY_FILE)
    programmed.save(folder / INSTANCE_FILE)
    save_summary(summary, folder)


def load_deployments(run: Path) -> tuple[DeploymentSummary, ...]:
    """Every deployment saved in a run folder, oldest first."""
    files = sorted((run / DEPLOYMENTS).glob(f"*/{SUMMARY_FILE}"), key=lambda path: (path.stat().st_mtime_ns, path))
    return tuple(load_summary(path.parent) for path in files)


def fingerprint(field: Field, chip: Chip, recipe: Any, seed: int, signal: Points) -> str:
    """A digest of all that a deployment follows from: the same digest, the same result."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(field.state_dict().items()):
        digest.update(name.encode() + tensor.detach().contiguous().cpu().numpy().tobytes())
    plain = [provenance()["ohmfield"], to_plain(chip), to_plain(recipe), seed, signal.describe(), field.config]
    digest.update(json.dumps(plain, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def report(run: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Path:
    """Write the page of a run folder from its saved deployments into `out` (the run folder itself by default).

    Returns the path of `report.html`; `metrics.json` and `figures/` lie beside it. Raises `InputError` for what is
    missing or damaged.
    """
    folder = Path(run)
    data = collect(folder)
    return write_report(data, folder if out is None else Path(out))


def collect(run: Path) -> ReportData:
    """All that the report of a run folder shows."""
    if (run / MODEL_FILE).exists():
        return collect_model(run, _deployed(run))
    field, info = load_run(run)
    signal = load_signal(run, info)
    summaries = _deployed(run)
    prediction = predict(field, signal.coords)
    known = provenance()
    return ReportData(
        signal=signal.describe(),
        truth=signal.as_image().numpy(),
        float_picture=signal.as_image(prediction).numpy(),
        float_quality=signal.score(prediction),
        field={
            **field.config,
            "parameters": field.num_parameters(),
            "float_bytes": 4 * field.num_parameters(),
            "steps": info["options"]["steps"],
            "elapsed_s": info["elapsed_s"],
            "command": info["command"],
        },
        summaries=summaries,
        baselines=baselines(field, signal),
        command=known["command"],
        versions={"ohmfield": known["ohmfield"], **known["versions"]},
        peak=signal.peak,
    )


def _deployed(run: Path) -> tuple[DeploymentSummary, ...]:
    summaries = load_deployments(run)
    if not summaries:
        raise InputError(f"{run}: nothing is deployed yet; run `ohmfield deploy {run} --chip rram-40nm`")
    return summaries


def baselines(field: Field, signal: Points) -> tuple[Baseline, ...]:
    """The same field on each known processor, this machine among them once `ohmfield doctor --measure` has run."""
    shapes = trace(field, signal.coords[:EXAMPLE_ITEMS])
    return baselines_of(Workload(shapes, items=float(len(signal))))
