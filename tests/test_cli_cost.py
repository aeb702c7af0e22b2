"""`ohmfield cost`: what it prices, what it prints, and what it refuses in one line."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from ohmfield.chip.files import load_baseline, load_chip
from ohmfield.cli import run
from ohmfield.cost.price import price
from ohmfield.mapping.tokens import decode, prefill, query
from ohmfield.networks.transformers import transformer
from ohmfield.spec import InputError, to_plain

Output = pytest.CaptureFixture[str]
TWO = "dcim-28nm,h100"
BUILD = "import torch\ndef build():\n    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())\n"


def numbers(capsys: Output, *arguments: str) -> Any:
    assert run(["cost", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: Output, *arguments: str) -> str:
    capsys.readouterr()
    assert run(["cost", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().splitlines()
    return line


def test_help_is_quick_and_teaches() -> None:
    code = (
        "import sys; from ohmfield.cli import main\n"
        "try: main(['cost', '--help'])\n"
        "except SystemExit as end: print(end.code, *{'torch', 'numba', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].strip() == "0"
    assert done.stdout.count("Example: ohmfield cost") == 6


@pytest.mark.parametrize(
    ("options", "workload"),
    [
        ((), decode(transformer("llama-3.2-1b"), 2048)),
        (("--decode", "64"), decode(transformer("llama-3.2-1b"), 64)),
        (("--prefill", "16"), prefill(transformer("llama-3.2-1b"), 16)),
        (("--query", "16,4"), query(transformer("llama-3.2-1b"), 16, 4)),
    ],
)
def test_language_models_by_what_is_asked(capsys: Output, options: tuple[str, ...], workload: Any) -> None:
    made = numbers(capsys, "llama-3.2-1b", *options, "--chip", TWO, "--allow-waves")
    assert (made["inference"], made["macs"]) == (workload.inference, workload.macs)
    bill = price(load_chip("dcim-28nm"), workload, allow_waves=True).bill
    assert list(made["chips"]["dcim-28nm"]["energy_mJ"].values()) == pytest.approx(bill.energy_mJ)


@pytest.mark.parametrize(
    ("model", "inference", "gmacs"),
    [("resnet-18", "image", 1.81), ("vit-b-16", "image", 17.6), ("nerf", "frame", 48.2)],
)
def test_other_networks_by_name(capsys: Output, model: str, inference: str, gmacs: float) -> None:
    made = numbers(capsys, model, "--chip", TWO, "--allow-waves")
    assert made["inference"] == inference
    assert made["macs"] / 1e9 == pytest.approx(gmacs, rel=0.01)
    assert set(made["chips"]) == {"dcim-28nm", "h100"}


def test_rates_of_a_radiance_frame_are_said_to_be_stated(capsys: Output) -> None:
    made = numbers(capsys, "nerf", "--size", "40x30", "--samples-per-ray", "4", "--chip", "dcim-28nm")
    assert made["stated"] == {"samples per ray": 4.0, "steps per ray": 40.0}
    assert run(["cost", "nerf", "--size", "40x30", "--chip", "dcim-28nm"]) == 0
    assert "stated: samples per ray = 8" in capsys.readouterr().out


def test_a_model_in_a_file_with_a_shape_and_with_inputs(capsys: Output, tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text(BUILD)
    torch.save({"inputs": torch.zeros(4, 3, 8, 8)}, tmp_path / "batch.pt")
    shaped = numbers(capsys, f"{file}:build", "--chip", "dcim-28nm", "--input-shape", "4x3x8x8")
    run_on = numbers(capsys, f"{file}:build", "--chip", "dcim-28nm", "--inputs", str(tmp_path / "batch.pt"))
    assert shaped["macs"] == 36 * 27 * 8
    assert {**shaped, "model": ""} == {**run_on, "model": ""}


def test_a_config_is_its_preset(capsys: Output, tmp_path: Path) -> None:
    config = {
        "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "vocab_size": 100, "hidden_act": "silu",
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    made = numbers(capsys, str(tmp_path / "config.json"), "--chip", "h100", "--decode", "8")
    # each matrix once, and scores and values of 8 tokens
    assert made["macs"] == 2 * (4 * 64 * 64 + 3 * 64 * 96 + 2 * 64 * 8) + 64 * 100


def test_power_and_battery_in_closed_form(capsys: Output) -> None:
    made = numbers(capsys, "resnet-18", "--chip", TWO, "--allow-waves", "--fps", "5", "--battery-Wh", "10")
    chip = made["chips"]["dcim-28nm"]
    assert chip["battery_h"]["low"] == pytest.approx(10.0 / chip["power_W"]["high"])
    assert chip["battery_h"]["mid"] == pytest.approx(10.0 / chip["power_W"]["mid"])
    too_fast = numbers(capsys, "resnet-18", "--chip", TWO, "--allow-waves", "--fps", "1000", "--battery-Wh", "10")
    assert too_fast["chips"]["dcim-28nm"]["power_W"] is None
    assert too_fast["chips"]["h100"]["power_W"] is not None


def test_a_bill_refuses_an_impossible_battery() -> None:
    bill = price(load_chip("dcim-28nm"), prefill(transformer("vit-b-16")), allow_waves=True).bill
    with pytest.raises(InputError, match="a battery of 0 Wh is not possible"):
        bill.battery_hours(0.0, 0.1)


def test_weights_beyond_a_cache_are_read_once() -> None:
    """A token of Llama-3 8B takes an H100 at least the time in which 15 GB of weights come from memory."""
    roofline, load = load_baseline("h100"), decode(transformer("llama-3-8b"), 1)
    weights = sum(op.groups * op.inputs * op.outputs for op in load.shapes.operators if op.kind == "linear")
    floor_ms = 2 * weights / (roofline.bandwidth_GBps * roofline.streaming) * 1e-6
    assert floor_ms <= price(roofline, load).bill.latency_ms[1] <= 1.1 * floor_ms


def test_files_are_chips_or_processors_by_what_they_hold(capsys: Output, tmp_path: Path) -> None:
    record = to_plain(load_baseline("h100")) | {"name": "mine"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(record))
    made = numbers(capsys, "vit-b-16", "--chip", f"{tmp_path / 'mine.yaml'},h100")
    assert made["chips"]["mine"]["energy_mJ"] == made["chips"]["h100"]["energy_mJ"]


def test_out_holds_the_page_the_rows_and_the_numbers(capsys: Output, tmp_path: Path) -> None:
    made = numbers(capsys, "resnet-18", "--chip", TWO, "--allow-waves", "--out", str(tmp_path))
    assert made.pop("page") == str(tmp_path / "bill.html")
    written = json.loads((tmp_path / "bill.json").read_text())
    for chip in written["chips"].values():
        assert chip.pop("hinges")
    assert written == made
    with (tmp_path / "bill.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name, chip in made["chips"].items():
        total = sum(float(row["energy_pJ"]) for row in rows if row["chip"] == name)
        assert total * 1e-9 == pytest.approx(chip["energy_mJ"]["mid"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("alexnet", "--chip", "h100"), "model 'alexnet' is not known; known: resnet-18"),
        (("vit-b-16", "--chip", "tpu"), "chip 'tpu' is not known; chips: colonnade-65nm, dcim-28nm"),
        (("vit-b-16", "--chip", ","), "names no chip"),
        (("vit-b-16", "--chip", "h100,h100"), "two are called 'h100'"),
        (("vit-b-16", "--chip", "dcim-28nm"), "dcim-28nm: "),
        (("vit-b-16", "--chip", "h100", "--decode", "9"), "does not say word after word"),
        (("llama-3-8b", "--chip", "h100", "--decode", "9", "--prefill", "9"), "ask for one of them"),
        (("llama-3-8b", "--chip", "h100", "--query", "9"), "write tokens of the prompt and of the answer"),
        (("llama-3-8b", "--chip", "h100", "--decode", "0"), "context = 0"),
        (("clip-vit-b-32", "--chip", "h100", "--query", "9,9"), "two towers"),
        (("nerf", "--chip", "h100", "--size", "800"), "write width x height"),
        (("nerf", "--chip", "h100", "--decode", "9"), "--decode says nothing about nerf"),
        (("resnet-18", "--chip", "h100", "--input-shape", "1x0"), "write sizes from 1 on"),
        (("resnet-18", "--chip", "h100", "--input-shape", "1x4x8x8"), "cannot run on inputs of shape (1, 4, 8, 8)"),
        (("vit-b-16", "--chip", "h100", "--fps", "0"), "--fps 0 must be more than 0"),
        (("vit-b-16", "--chip", "h100", "--battery-Wh", "-1"), "--battery-Wh -1 must be more than 0"),
        (("vit-b-16", "--chip", "dcim-28nm", "--weight-bits", "0"), "--weight-bits 0 must lie between 1 and 16"),
        (("missing.py:build", "--chip", "h100"), "say what goes in"),
        (("missing.json", "--chip", "h100"), "no such file"),
    ],
)
def test_bad_input_is_one_line(capsys: Output, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(capsys, *arguments)
