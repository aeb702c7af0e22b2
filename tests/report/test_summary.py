"""A saved deployment comes back as it was; what is missing, damaged or of another version is refused in one line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohmfield.report import summary as module
from ohmfield.report.summary import SUMMARY_FILE, DeploymentSummary, load_summary, save_summary
from ohmfield.signals.synthetic import shapes
from ohmfield.spec import InputError
from report.fake import fake_model_report, fake_summary


def same(one: Any, other: Any) -> bool:
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one))
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


@pytest.fixture
def saved(tmp_path: Path) -> tuple[DeploymentSummary, Path]:
    summary = fake_summary(shapes(24))
    save_summary(summary, tmp_path)
    return summary, tmp_path


def test_summary_comes_back_as_it_was(saved: tuple[DeploymentSummary, Path]) -> None:
    assert same(saved[0], load_summary(saved[1]))


def test_a_model_without_a_picture_comes_back_as_it_was(tmp_path: Path) -> None:
    for number, summary in enumerate(fake_model_report().summaries):
        save_summary(summary, tmp_path / str(number))
        assert same(summary, load_summary(tmp_path / str(number)))
        assert not (tmp_path / str(number) / "picture.safetensors").exists()


def test_other_format_is_refused(saved: tuple[DeploymentSummary, Path]) -> None:
    path = saved[1] / SUMMARY_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(InputError, match=r"format 99, this version reads 1; run `ohmfield deploy` again"):
        load_summary(saved[1])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 1, "costs": 3}'])
def test_damaged_file_is_refused(saved: tuple[DeploymentSummary, Path], text: str) -> None:
    (saved[1] / SUMMARY_FILE).write_text(text)
    with pytest.raises(InputError, match="run `ohmfield deploy` again"):
        load_summary(saved[1])


def test_truncated_picture_is_refused(saved: tuple[DeploymentSummary, Path]) -> None:
    path = saved[1] / "picture.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot be read"):
        load_summary(saved[1])


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_summary(tmp_path / "nothing")


def test_a_stop_between_the_writes_leaves_no_summary_beside_another_picture(
    saved: tuple[DeploymentSummary, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = module.write_atomic

    def stopped(path: Path, data: bytes) -> None:
        if path.name == SUMMARY_FILE:
            raise KeyboardInterrupt
        write(path, data)

    monkeypatch.setattr(module, "write_atomic", stopped)
    assert saved[0].picture is not None
    other = dataclasses.replace(saved[0], picture=1.0 - saved[0].picture, key="other")
    with pytest.raises(KeyboardInterrupt):
        save_summary(other, saved[1])
    with pytest.raises(InputError, match="no such file"):
        load_summary(saved[1])
    monkeypatch.undo()
    save_summary(other, saved[1])
    assert same(other, load_summary(saved[1]))
