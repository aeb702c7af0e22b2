"""`ohmfield deploy MODEL.py:fn`: a batch from a file, the same numbers as JSON, one line for what is wrong."""

from __future__ import annotations

import json
import sys
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

class Failing(nn.Module):
    def forward(self, x):
        raise KeyError("k")

def needs(argument):
    return build()

def failing():
    return Failing()
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
        out = ["--out", str(tmp_path / score)]
        arguments = ["deploy", f"{model}:build", "--chip", "dcim-28nm", "--inputs", str(tmp_path / file), *out]
        assert run([*arguments, "--json"]) == 0
        made = json.loads(capsys.readouterr().out)["chips"]["dcim-28nm"]
        assert score in made
        assert (tmp_path / score / "report.html").exists()
        assert {row["operator"]: row["unit"] for row in made["placed"]} == {
            "0#0": "digital_cim",
            "2#0": "activation",
            "4#0": "digital_cim",
            "5#0": "host",
        }
        assert any("softmax" in note for note in made["notes"])
    assert run(arguments) == 0
    assert "SNR dB" in capsys.readouterr().out
    page = tmp_path / "snr_dB" / "report.html"
    assert "exponents and a division" in page.read_text()
    before = page.read_bytes()
    page.unlink()
    assert run(["report", str(tmp_path / "snr_dB"), "--json"]) == 0
    assert page.read_bytes() == before  # without the model, from the folder alone


def test_instances_of_a_model_are_scored_once(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"inputs": torch.rand(8, 3, 8, 8), "labels": torch.arange(8) % 5}, tmp_path / "batch.pt")
    out = tmp_path / "out"
    arguments = ["deploy", f"{model}:build", "--chip", "rram-40nm", "--inputs", str(tmp_path / "batch.pt")]
    arguments += ["--out", str(out)]
    assert run([*arguments, "--instances", "3", "--json"]) == 0
    chip = json.loads(capsys.readouterr().out)["chips"]["rram-40nm"]
    assert chip["instances"]["seeds"] == [0, 1, 2]
    assert chip["instances"]["scores"][0] == chip["accuracy"]
    assert set(chip["layer_losses_dB"]) == {"0", "4"}
    (journal,) = out.glob("deployments/*/instances-*.jsonl")
    kept = journal.read_text()
    assert run([*arguments, "--instances", "3"]) == 0
    assert journal.read_text() == kept
    assert "10th percentile" in capsys.readouterr().out
    torch.save(torch.rand(8, 3, 8, 8), tmp_path / "batch.pt")
    assert run(arguments) == 2
    assert "holds deployments of another model or batch" in capsys.readouterr().err
    for bad in ("0", "10001"):
        assert run([*arguments, "--instances", bad]) == 2
        assert "must lie between 1 and 10000" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "file", "message"),
    [
        (":build", None, "say what to run it on"),
        (":build", "missing.pt", "missing.pt: no such file"),
        (":build", "list.pt", "list.pt: labels are a list, not a tensor"),
        (":build", "junk.pt", "junk.pt: is neither of torch nor of NumPy"),
        (":build", "cut.npz", "cut.npz: is cut short"),
        (":build", "text.npz", "text.npz: cannot be read (TypeError: <U1, not a number)"),
        (":build", "object.pt", "object.pt: is damaged or holds more than tensors (UnpicklingError)"),
        (":build", "high.pt", "label 5 needs 6 outputs or more for each input, the model makes (3, 5)"),
        (":build", "below.pt", "label -1 is not allowed"),
        (":build", "square.pt", "labels have shape (4, 1)"),
        (":needs", "small.npz", "model.py:needs: builder failed: TypeError: needs() missing"),
        (":failing", "small.npz", "(3, 2, 8, 8), float32: KeyError: 'k'"),
        ("syntax.py:build", "small.npz", "syntax.py: cannot be run: SyntaxError"),
        ("imports.py:build", "small.npz", "imports.py: cannot be run: ModuleNotFoundError"),
        ("", "small.npz", "model.py: name the function of the file"),
        (":build", "empty.npz", "has no tensor called inputs"),
        (":build", "small.npz", "does not run on inputs of shape (3, 2, 8, 8)"),
        (":number", "small.npz", "'number' is no function"),
        ("x:build", "small.npz", "no such file"),
    ],
)
def test_what_is_wrong_is_one_line(
    source: str, file: str | None, message: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "empty.npz", other=np.zeros(3))
    np.savez(tmp_path / "small.npz", inputs=np.random.rand(4, 2, 8, 8).astype(np.float32))
    x = torch.rand(4, 3, 8, 8)
    for name, labels in {
        "list": [0, 1, 2, 3],
        "high": torch.tensor([0, 5, 5, 5]),
        "below": torch.tensor([0, 1, 2, -1]),
        "square": torch.zeros(4, 1, dtype=torch.int64),
        "object": Path("x"),
    }.items():
        torch.save({"inputs": x, "labels": labels}, tmp_path / f"{name}.pt")
    np.savez(tmp_path / "text.npz", inputs=np.array(["a", "b"]))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "small.npz").read_bytes()[:90])
    (tmp_path / "junk.pt").write_text("nothing of the kind")
    (tmp_path / "syntax.py").write_text("def f(:")
    (tmp_path / "imports.py").write_text("import no_such_module_at_all")
    other = "" if not source or source.startswith(":") else source
    place = str(tmp_path / other) if other.endswith(":build") and other != "x:build" else model + source
    place = model.replace(".py", "x.py") + source[1:] if source == "x:build" else place
    inputs = [] if file is None else ["--inputs", str(tmp_path / file)]
    assert run(["deploy", place, "--chip", "dcim-28nm", *inputs]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_fault_of_ours_is_not_called_a_fault_of_the_model(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("ours")

    torch.save(torch.rand(4, 3, 8, 8), tmp_path / "batch.pt")
    monkeypatch.setattr(sys.modules["ohmfield.deploy"], "place", broken)
    with pytest.raises(RuntimeError, match="ours"):
        run(["deploy", f"{model}:build", "--chip", "dcim-28nm", "--inputs", str(tmp_path / "batch.pt")])


def test_golden_vectors_of_a_model(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "batch.npy", np.random.default_rng(0).random((4, 3, 8, 8), dtype=np.float32).astype(">f4"))
    out = tmp_path / "golden.safetensors"
    chip = ["--chip", "rram-40nm", "--vectors", "2", "--out", str(out)]
    assert run(["golden", f"{model}:build", "--inputs", str(tmp_path / "batch.npy"), *chip, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layer"] == "0"
    assert out.exists()
