"""`ohmfield deploy MODEL.py:fn`: a batch from a file, the same numbers as JSON, one line for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ohmfield.cli import run

MODEL = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    first = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    return nn.Sequential(*first, nn.Flatten(), nn.Linear(144, 5), nn.Softmax(1))

number = 3
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    (tmp_path / "model.py").write_text(MODEL)
    return f"{tmp_path / 'model.py'}"


def test_a_model_is_deployed_on_a_batch(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = torch.rand(8, 3, 8, 8)
    torch.save({"inputs": x, "labels": torch.arange(8) % 5}, tmp_path / "batch.pt")
    np.savez(tmp_path / "batch.npz", inputs=x.numpy())
    for file, score in (("batch.pt", "accuracy"), ("batch.npz", "snr_dB")):
        arguments = ["deploy", f"{model}:build", "--chip", "dcim-28nm", "--inputs", str(tmp_path / file)]
        assert run([*arguments, "--json"]) == 0
        made = json.loads(capsys.readouterr().out)["chips"]["dcim-28nm"]
        assert score in made["quality"]
        assert {row["operator"]: row["unit"] for row in made["placed"]} == {
            "0#0": "digital_cim",
            "2#0": "activation",
            "4#0": "digital_cim",
            "5#0": "host",
        }
        assert any("softmax" in note for note in made["notes"])
    assert run(arguments) == 0
    assert "exponents and a division" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "file", "message"),
    [
        (":build", None, "say what to run it on"),
        (":build", "missing.pt", "cannot be read"),
        (":build", "empty.npz", "has no tensor called inputs"),
        (":build", "small.npz", "does not run on these inputs"),
        (":number", "small.npz", "'number' is no function"),
        ("x:build", "small.npz", "no such file"),
    ],
)
def test_what_is_wrong_is_one_line(
    source: str, file: str | None, message: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "empty.npz", other=np.zeros(3))
    np.savez(tmp_path / "small.npz", inputs=np.random.rand(4, 2, 8, 8).astype(np.float32))
    place = model.replace(".py", "x.py") + source[1:] if source.startswith("x") else model + source
    inputs = [] if file is None else ["--inputs", str(tmp_path / file)]
    assert run(["deploy", place, "--chip", "dcim-28nm", *inputs]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
