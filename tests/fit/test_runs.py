"""Run folders: what is missing, damaged, of another version, or does not fit the disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ohmfield.fields import presets
from ohmfield.fit.loop import FitOptions, fit
from ohmfield.fit.runs import load_run, write_json
from ohmfield.signals.synthetic import shapes
from ohmfield.spec import InputError


@pytest.fixture
def run(tmp_run: Path) -> Path:
    field = presets.siren(width=8, depth=1)
    fit(field, shapes(16), FitOptions(steps=2, batch=64), tmp_run, progress=False)
    return tmp_run


def test_a_run_is_read_back(run: Path) -> None:
    field, info = load_run(run)
    assert sorted(path.name for path in run.iterdir()) == [
        "history.json",
        "model.json",
        "model.safetensors",
        "run.json",
    ]
    assert info["format"] == 1
    assert info["signal"]["name"] == "shapes-16"
    assert {"ohmfield", "versions", "command", "seed", "options", "score"} <= set(info)
    assert field.config["preset"] == "siren"
    assert torch.isfinite(field(torch.rand(3, 2))).all()


def test_missing_and_foreign_folders(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such run folder"):
        load_run(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is no run folder"):
        load_run(tmp_path / "empty")
    info = json.loads((run / "run.json").read_text())
    write_json(run / "run.json", {**info, "format": 2})
    with pytest.raises(InputError, match="format 2, this version reads format 1"):
        load_run(run)
    with pytest.raises(InputError, match="format 2"):
        fit(presets.siren(width=8, depth=1), shapes(16), FitOptions(steps=2, batch=64), run, progress=False)


@pytest.mark.parametrize(
    ("name", "keep"),
    [
        ("model.safetensors", 0),
        ("model.safetensors", 100),
        ("model.safetensors", -1),
        ("model.json", 5),
        ("run.json", 9),
    ],
)
def test_truncated_files_are_one_line(run: Path, name: str, keep: int) -> None:
    path = run / name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError) as caught:
        load_run(run)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_of_another_shape_is_refused(run: Path) -> None:
    model = json.loads((run / "model.json").read_text())
    model["field"]["width"] = 9
    write_json(run / "model.json", model)
    with pytest.raises(InputError, match="does not belong to this field"):
        load_run(run)


def test_json_is_plain(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"psnr": float("inf"), "nan": float("nan"), "x": (1, 2)})
    assert json.loads((tmp_path / "a.json").read_text()) == {"psnr": None, "nan": None, "x": [1, 2]}
