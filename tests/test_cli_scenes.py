"""From a folder of posed photographs to what a chip makes of them, by the commands alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from ball import write_photographs
from ohmfield.cli import run

SIDE = 32


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Views of a ball as NeRF's blender files."""
    folder = tmp_path_factory.mktemp("photographs")
    write_photographs(folder, 9, SIDE)
    return folder


@pytest.fixture(scope="module")
def fitted(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "ball"
    assert run(["fit", str(photographs), "--out", str(folder), "--steps", "30", "--batch", "4096", "--json"]) == 0
    return folder


def test_three_commands_lead_to_the_picture_of_a_chip(
    fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pictures"
    capsys.readouterr()
    assert run(["render", str(fitted), "--out", str(out), "--chip", "dcim-28nm", "--views", "2", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["float"]["psnr_dB"] > 15.0
    assert made["dcim-28nm"]["psnr_dB"] == pytest.approx(made["float"]["psnr_dB"], abs=3.0)
    low, mid, high = made["dcim-28nm"]["energy_mJ"]
    assert 0.0 < low <= mid <= high
    names = sorted(path.name for path in out.iterdir())
    assert names == ["dcim-28nm-0.png", "dcim-28nm-1.png", "test-0006.png", "test-0007.png", "turntable.webp"]
    with Image.open(out / "test-0006.png") as picture:
        assert picture.size == (2 * SIDE, SIDE)
    with Image.open(out / "turntable.webp") as turntable:
        assert getattr(turntable, "n_frames", 1) == 36


def test_the_same_fit_again_reads_the_run_back(
    photographs: Path, fitted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(["fit", str(photographs), "--out", str(fitted), "--steps", "30", "--batch", "4096", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["resumed_from"] == 30


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["render", "{run}", "--out", "{out}", "--views", "0"], "--views 0"),
        (["render", "{photographs}", "--out", "{out}"], "is no run folder"),
        (["deploy", "{run}", "--chip", "dcim-28nm"], "holds a radiance field"),
        (["fit", "{empty}", "--out", "{out}"], "transforms_train.json"),
        (["fit", "{photographs}", "--field", "siren", "--out", "{out}"], "field siren maps coordinates"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    said: str,
    photographs: Path,
    fitted: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    places = {"run": fitted, "photographs": photographs, "empty": empty, "out": tmp_path / "out"}
    assert run([argument.format(**places) for argument in arguments]) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in told
    assert told.startswith("ohmfield: ")


def test_photographs_that_changed_are_told(photographs: Path, fitted: Path, tmp_path: Path) -> None:
    moved = json.loads((fitted / "views.json").read_text())
    (fitted / "views.json").write_text(json.dumps({**moved, "side": 16}))
    try:
        assert run(["render", str(fitted), "--out", str(tmp_path)]) == 2
    finally:
        (fitted / "views.json").write_text(json.dumps(moved))
