"""The folder of a model that is no field: what was deployed, and each deployment; enough to write its page again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ohmfield.deploy import Deployment
from ohmfield.fit.runs import provenance, read_json, write_json
from ohmfield.report.baselines import baselines_of
from ohmfield.report.summary import Baseline, DeploymentSummary, ReportData, with_tuples
from ohmfield.spec import InputError

MODEL_FILE = "deployed.json"
FORMAT = 1


def model_digest(model: nn.Module, inputs: Tensor, labels: Tensor | None) -> str:
    """A digest of weights, inputs and labels."""
    digest = hashlib.blake2b(digest_size=16)
    held = dict(sorted(model.state_dict().items()))
    for name, tensor in (*held.items(), ("(inputs)", inputs), ("(labels)", labels)):
        if tensor is not None:
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def check_folder(folder: Path, digest: str) -> None:
    """Raises `InputError` where `folder` holds the deployments of another model or batch, or a run of another kind."""
    if (folder / "run.json").exists():
        raise InputError(f"{folder}: is the run folder of a fit; choose another --out")
    if (folder / MODEL_FILE).exists() and _known(folder).get("digest") != digest:
        raise InputError(f"{folder}: holds deployments of another model or batch; choose another --out or remove it")


def save_model(folder: Path, source: str, inputs: Path, digest: str, deployment: Deployment) -> None:
    """Keep what the page says of the model and its data."""
    what = deployment.given
    shape = [len(what.inputs), *what.inputs.shape[1:]]
    known = provenance()
    write_json(
        folder / MODEL_FILE,
        {
            "format": FORMAT,
            "digest": digest,
            "model": source,
            "parameters": sum(parameter.numel() for parameter in deployment.module.parameters()),
            "signal": {"name": inputs.name, "shape": shape, "scored": shape[0], "note": what.note, "digest": digest},
            "metric": what.metric,
            "inference": what.inference,
            "baselines": [asdict(baseline) for baseline in baselines_of(deployment.workload)],
            "command": known["command"],
            "versions": {"ohmfield": known["ohmfield"], **known["versions"]},
        },
    )


def collect_model(folder: Path, summaries: Sequence[DeploymentSummary]) -> ReportData:
    """All that the report of such a folder shows."""
    known = _known(folder)
    try:
        baselines = tuple(Baseline(**with_tuples(one)) for one in known["baselines"])
        return ReportData(
            signal=known["signal"],
            truth=None,
            float_picture=None,
            float_quality=summaries[0].float_quality,
            field={"model": known["model"], "parameters": known["parameters"]},
            summaries=tuple(summaries),
            baselines=baselines,
            command=known["command"],
            versions=known["versions"],
            metric=known["metric"],
            inference=known["inference"],
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder / MODEL_FILE}: damaged ({error}); run `ohmfield deploy` again") from None


def _known(folder: Path) -> dict[str, Any]:
    known = read_json(folder / MODEL_FILE)
    found = known.get("format") if isinstance(known, dict) else None
    if found != FORMAT:
        path = folder / MODEL_FILE
        raise InputError(f"{path}: format {found!r}, this version reads {FORMAT}; deploy into another folder")
    return known
