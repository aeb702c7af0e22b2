"""The command line: help is quick, `--json` is JSON and nothing else, each bad input is one line and exit code 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ohmfield
from ohmfield.chip.files import chip_text, load_chip
from ohmfield.cli import run
from ohmfield.cli.work import load_chips
from ohmfield.deploy import Recipe, deploy
from ohmfield.fit.runs import load_run
from ohmfield.report.saved import INSTANCE_FILE, load_signal, save_signal
from ohmfield.report.summary import SUMMARY_FILE, load_summary
from ohmfield.signals.synthetic import shapes
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.run import install, predict
from ohmfield.spec import InputError, to_plain

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "shapes.png"
    Image.fromarray((shapes(24).as_image().numpy() * 255).astype(np.uint8)).save(path)
    return path


def fit_arguments(picture: Path, out: Path) -> list[str]:
    return ["fit", str(picture), "--field", "fourier", "--steps", "12", "--out", str(out), "--json"]


@pytest.fixture(scope="module")
def fitted(picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    assert run(fit_arguments(picture, out)) == 0
    assert run(["deploy", str(out), "--chip", "dcim-28nm", "--json"]) == 0
    return out


def plain_json(capsys: Output) -> Any:
    return json.loads(capsys.readouterr().out)


def refused(arguments: list[str], capsys: Output) -> str:
    """The one line a refused command writes."""
    capsys.readouterr()
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("ohmfield: ")
    return lines[0]


# ---- what works ------------------------------------------------------------------------------------------------------


def test_help_needs_no_torch_and_shows_every_command() -> None:
    code = (
        "import sys; from ohmfield.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: print(end.code, *{'torch', 'numba', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].strip() == "0"
    for command in ("demo", "fit", "deploy", "report", "chips", "doctor"):
        assert f"Example: ohmfield {command}" in done.stdout or command == "chips"


def test_instances_of_a_run_are_in_its_report(fitted: Path, capsys: Output) -> None:
    arguments = ["deploy", str(fitted), "--chip", "rram-40nm", "--json"]
    assert run([*arguments, "--instances", "2"]) == 0
    chip = plain_json(capsys)["chips"]["rram-40nm"]
    assert chip["instances"]["scores"][0] == pytest.approx(chip["psnr_dB"], abs=1e-9)
    assert 'id="instances"' in (fitted / "report.html").read_text()
    assert run(arguments) == 0  # read back, with them
    assert plain_json(capsys)["chips"]["rram-40nm"]["instances"] == chip["instances"]
    assert "is for a model" in refused([*arguments, "--out", "x"], capsys)


def test_version(capsys: Output) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"ohmfield {ohmfield.__version__}\n"


@pytest.mark.parametrize("words", [["deploi"], ["fit"], ["chips", "bogus"], ["demo", "--colour", "red"]])
def test_unknown_words_end_with_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(words)
    assert end.value.code == 2


def test_chips_list_show_new_check(tmp_path: Path, capsys: Output) -> None:
    assert run(["chips", "list", "--json"]) == 0
    assert {"rram-40nm", "dcim-28nm", "hybrid-40nm"} <= set(plain_json(capsys)["chips"])
    mine = tmp_path / "mine.yaml"
    assert run(["chips", "new", "--from", "rram-40nm", "--out", str(mine)]) == 0
    assert run(["chips", "check", str(mine)]) == 0
    assert "valid" in capsys.readouterr().out
    assert run(["chips", "show", "rram-40nm", "--json"]) == 0
    assert plain_json(capsys) == to_plain(load_chip("rram-40nm")) | {"place": []}
    assert "exists already" in refused(["chips", "new", "--from", "rram-40nm", "--out", str(mine)], capsys)


def test_doctor_names_the_machine(capsys: Output) -> None:
    assert run(["doctor", "--json"]) == 0
    facts = plain_json(capsys)
    assert facts["cores"] >= 1
    assert facts["ohmfield"] == ohmfield.__version__
    assert isinstance(facts["features"], list)


def test_fit_deploy_report(fitted: Path, capsys: Output) -> None:
    assert run(["report", str(fitted), "--json"]) == 0
    numbers = plain_json(capsys)
    assert numbers == json.loads((fitted / "metrics.json").read_text()) | {"report": str(fitted / "report.html")}
    chip = numbers["chips"]["dcim-28nm"]
    assert chip["energy_mJ"]["mid"] > 0
    assert chip["waterfall_dB"]["float"] == pytest.approx(numbers["field"]["psnr_dB"])
    assert len(numbers["baselines"]) >= 2
    assert (fitted / "report.html").stat().st_size < 8e6


def test_people_see_a_table_and_where_the_report_is(fitted: Path, capsys: Output) -> None:
    assert run(["report", str(fitted)]) == 0
    shown = capsys.readouterr().out
    assert "mJ/frame" in shown
    assert str(fitted / "report.html") in shown


def test_fit_goes_on_and_deploy_reads_back(picture: Path, fitted: Path, capsys: Output) -> None:
    assert run(fit_arguments(picture, fitted)) == 0
    assert plain_json(capsys)["resumed_from"] == 12
    saved = fitted / "deployments" / "dcim-28nm" / SUMMARY_FILE
    before = saved.stat().st_mtime_ns
    assert run(["deploy", str(fitted), "--chip", "dcim-28nm", "--json"]) == 0
    assert "read back" in capsys.readouterr().err
    assert saved.stat().st_mtime_ns == before
    assert run(["deploy", str(fitted), "--chip", "dcim-28nm", "--weight-bits", "6", "--json"]) == 0
    assert saved.stat().st_mtime_ns != before
    assert plain_json(capsys)["chips"]["dcim-28nm"]["recipe"]["weight_bits"] == 6


def test_the_instance_lies_beside_its_deployment_and_draws_the_same_picture(fitted: Path) -> None:
    folder = fitted / "deployments" / "dcim-28nm"
    drawn = Programmed.load(folder / INSTANCE_FILE)
    assert (drawn.chip, drawn.seed) == ("dcim-28nm", 0)
    field, info = load_run(fitted)
    signal = load_signal(fitted, info)
    bits = load_summary(folder).recipe["weight_bits"]
    made = deploy(field, "dcim-28nm", signal, Recipe(weight_bits=bits))
    again = install(made.module, made.chip, drawn)
    assert torch.equal(predict(again, signal.coords), made.picture)


@pytest.mark.parametrize("text", ["{", '{"format": 99}'])
def test_a_damaged_deployment_is_made_again(text: str, fitted: Path, capsys: Output) -> None:
    saved = fitted / "deployments" / "dcim-28nm" / SUMMARY_FILE
    saved.write_text(text)
    assert "again" in refused(["report", str(fitted)], capsys)
    assert run(["deploy", str(fitted), "--chip", "dcim-28nm", "--json"]) == 0
    assert "read back" not in capsys.readouterr().err
    assert load_summary(saved.parent).name == "dcim-28nm"


def test_python_takes_the_same_way(fitted: Path, tmp_path: Path) -> None:
    page = ohmfield.report(fitted, tmp_path / "page")
    assert page == tmp_path / "page" / "report.html"
    assert page.exists()


def test_verbs_are_folders_and_functions() -> None:
    code = (
        "import ohmfield; from ohmfield.fit.loop import fit; from ohmfield import deploy\n"
        "print(callable(ohmfield.fit), ohmfield.fit.loop.fit is fit, callable(deploy), callable(ohmfield.report))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 4


# ---- bad input: one line, exit code 2, nothing half-written ----------------------------------------------------------


def image_file(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / f"{name}.png"
        if name == "unreadable":
            path.write_text("this is not a picture")
        elif name == "truncated":
            Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
            path.write_bytes(path.read_bytes()[:3000])
        elif name == "one-pixel":
            Image.new("RGB", (1, 1)).save(path)
        return path

    return make


@pytest.mark.parametrize("name", ["unreadable", "truncated", "one-pixel", "missing"])
def test_bad_images(name: str, tmp_path: Path, capsys: Output) -> None:
    path = image_file(name)(tmp_path)
    line = refused(["fit", str(path), "--out", str(tmp_path / "run")], capsys)
    assert name in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("rows: 256", "rows: .nan", "array.rows"),
        ("read_voltage_V: 0.2", "read_voltage_V: .nan", "array.read_voltage_V"),
        ("rows_active: 64", "rows_activ: 64", "rows_activ: is not a known key"),
        ("    adc:\n      kind: sar\n      bits: 7", "    adc:\n      kind: sar\n      bits: 0", "adc.bits"),
        ("cell_bits: 2", "cell_bits: 8", "cell_bits 8"),
        ("rows_active: 64", "rows_active: 512", "rows_active 512 exceeds rows 256"),
        ("name: rram-40nm", "name: !!python/object/apply:os.system ['touch owned']", "not valid YAML data"),
        ("name: rram-40nm", "name: [", "not valid YAML data"),
    ],
)
def test_bad_chip_files(old: str, new: str, expected: str, fitted: Path, tmp_path: Path, capsys: Output) -> None:
    text = chip_text(load_chip("rram-40nm"))
    assert old in text
    path = tmp_path / "bad.yaml"
    path.write_text(text.replace(old, new, 1))
    for command in (["chips", "check", str(path)], ["deploy", str(fitted), "--chip", str(path)]):
        assert expected in refused(command, capsys)
    assert not Path("owned").exists()


def test_slices_that_do_not_fit(fitted: Path, tmp_path: Path, capsys: Output) -> None:
    path = tmp_path / "narrow.yaml"
    path.write_text(chip_text(load_chip("rram-40nm")).replace("columns: 256", "columns: 4", 1))
    before = sorted((fitted / "deployments").iterdir())
    assert "columns" in refused(["deploy", str(fitted), "--chip", str(path)], capsys)
    assert sorted((fitted / "deployments").iterdir()) == before


def test_a_copy_of_a_preset_is_called_after_its_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    assert run(["chips", "new", "--from", "dcim-28nm", "--out", str(mine)]) == 0
    assert [chip.name for chip in load_chips(f"dcim-28nm, {mine}")] == ["dcim-28nm", "mine"]


def test_unknown_and_doubled_chips(fitted: Path, capsys: Output) -> None:
    assert "known: colonnade-65nm, dcim-28nm" in refused(["deploy", str(fitted), "--chip", "rram-41nm"], capsys)
    assert "two chips" in refused(["deploy", str(fitted), "--chip", "dcim-28nm,dcim-28nm"], capsys)
    assert "names no chip" in refused(["deploy", str(fitted), "--chip", ","], capsys)


def test_unknown_field(picture: Path, tmp_path: Path, capsys: Output) -> None:
    line = refused(["fit", str(picture), "--field", "nerf", "--out", str(tmp_path / "run")], capsys)
    assert "known fields: hash" in line


@pytest.mark.parametrize("command", [["deploy", "RUN", "--chip", "dcim-28nm"], ["report", "RUN"]])
def test_bad_run_folders(command: list[str], fitted: Path, tmp_path: Path, capsys: Output) -> None:
    def with_run(folder: Path) -> list[str]:
        return [str(folder) if word == "RUN" else word for word in command]

    assert "no such run folder" in refused(with_run(tmp_path / "nothing"), capsys)
    (tmp_path / "empty").mkdir()
    assert "no run.json" in refused(with_run(tmp_path / "empty"), capsys)
    other = tmp_path / "other"
    other.mkdir()
    for name in ("model.json", "model.safetensors", "history.json", "signal.safetensors"):
        (other / name).write_bytes((fitted / name).read_bytes())
    info = json.loads((fitted / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**info, "format": 99}))
    assert "format 99" in refused(with_run(other), capsys)
    (other / "run.json").write_text(json.dumps(info))
    (other / "signal.safetensors").unlink()
    assert "signal.safetensors: no such file" in refused(with_run(other), capsys)


def test_a_run_that_holds_another_signal(fitted: Path, tmp_path: Path) -> None:
    info = json.loads((fitted / "run.json").read_text())
    save_signal(shapes(16), tmp_path)
    with pytest.raises(InputError, match="is not the signal this run was fitted to"):
        load_signal(tmp_path, info)


def test_another_fit_into_the_same_folder(picture: Path, fitted: Path, capsys: Output) -> None:
    arguments = [*fit_arguments(picture, fitted)[:-1], "--seed", "5"]
    assert "holds a run with" in refused(arguments, capsys)


def test_report_without_deployments(picture: Path, tmp_path: Path, capsys: Output) -> None:
    out = tmp_path / "run"
    assert run(fit_arguments(picture, out)) == 0
    assert "nothing is deployed yet" in refused(["report", str(out)], capsys)


def test_recipe_out_of_range(fitted: Path, capsys: Output) -> None:
    assert "weight_bits" in refused(["deploy", str(fitted), "--chip", "dcim-28nm", "--weight-bits", "40"], capsys)


LIMITED = """
import resource, sys
from ohmfield.cli import run
from ohmfield.cli.work import load_chips
import ohmfield.cli.work  # compiled files of libraries are written before the limit holds
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sys.exit(run(sys.argv[2:]))
"""


def limited(limit: int, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LIMITED, str(limit), *arguments]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_disk_full_while_fitting(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = limited(20_000, fit_arguments(picture, out)[:-1])
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    left = {path.name for path in out.iterdir()}
    assert left <= {"run.json", "history.json"}
    assert not json.loads((out / "run.json").read_text())["finished"]


def test_disk_full_while_reporting(fitted: Path, tmp_path: Path) -> None:
    out = tmp_path / "page"
    done = limited(20_000, ["report", str(fitted), "--out", str(out)])
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "cannot be written" in done.stderr
    assert not (out / "report.html").exists()
    assert not [path for path in out.rglob(".*") if path.is_file()]


@pytest.mark.slow
def test_demo_goes_on_where_it_was(picture: Path, tmp_path: Path, capsys: Output) -> None:
    words = ["demo", "--out", str(tmp_path), "--photo", str(picture), "--steps", "20", "--tune-steps", "0"]
    assert run([*words, "--chip", "dcim-28nm"]) == 0
    page = tmp_path / "report.html"
    assert str(page) in capsys.readouterr().out
    page.unlink()
    assert run([*words, "--chip", "dcim-28nm,rram-40nm", "--json"]) == 0
    captured = capsys.readouterr()
    assert "dcim-28nm: saved already, read back" in captured.err
    assert set(json.loads(captured.out)["chips"]) == {"dcim-28nm", "rram-40nm"}
    assert page.exists()


def test_measuring_keeps_the_machine_as_a_baseline(
    fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert run(["doctor", "--measure", "--json"]) == 0
    measured = plain_json(capsys)["measured"]
    assert measured["peak_GFLOPs"] > 0
    assert run(["report", str(fitted), "--json"]) == 0
    assert measured["name"] in plain_json(capsys)["baselines"]


def test_golden_vectors_of_a_run(fitted: Path, tmp_path: Path, capsys: Output) -> None:
    out = tmp_path / "golden.safetensors"
    capsys.readouterr()
    assert run(["golden", str(fitted), "--chip", "rram-40nm", "--vectors", "3", "--out", str(out), "--json"]) == 0
    said = plain_json(capsys)
    assert out.is_file()
    assert said["layer"] == "decoder.layers.0"
    assert said["arrays"]["codes"][3] == 3
    command = ["golden", str(fitted), "--out", str(out), "--chip"]
    assert "is not a layer on the chip" in refused([*command, "rram-40nm", "--layer", "decoder.layers.9"], capsys)
    assert "no layer goes through converters" in refused([*command, "dcim-28nm"], capsys)
    assert "--vectors 0" in refused([*command, "rram-40nm", "--vectors", "0"], capsys)


def test_a_chip_is_calibrated_to_measured_cells(tmp_path: Path, capsys: Output) -> None:
    rows = "".join(f"{cell},{target},{target + 2 * (-1) ** cell}\n" for cell, target in enumerate([20, 40] * 20))
    table = tmp_path / "cells.csv"
    table.write_text("cell,target_uS,measured_uS\n" + rows)
    out = tmp_path / "mine.yaml"
    command = ["chips", "calibrate", "rram-40nm", "--conductances", str(table), "--out", str(out)]
    capsys.readouterr()
    assert run([*command, "--json"]) == 0
    said = plain_json(capsys)["measured"]["units.crossbar.cell.program_fraction"]
    assert said["value"] == pytest.approx(2 / 56)
    assert "held out: +0.0%" in said["held_out"]
    assert load_chip(out).name == "mine"
    assert "exists already" in refused(command, capsys)
    table.write_text("cell,target_uS,measured_uS\n1,2,three\n")
    assert "line 2: measured_uS is 'three'" in refused([*command[:-1], str(tmp_path / "other.yaml")], capsys)
