"""Files are written whole or not at all: a full disk, an interrupt, a umask."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ohmfield.files import discard, write_atomic
from ohmfield.spec import InputError


def test_writes_replace_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.bin"
    write_atomic(path, b"first")
    write_atomic(path, b"second")
    assert path.read_bytes() == b"second"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.bin"]
    assert path.stat().st_mode & 0o400
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_atomic(tmp_path / "file" / "a.bin", b"")


FULL = """
import resource, sys
from pathlib import Path
from ohmfield.files import write_atomic
from ohmfield.spec import InputError

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomic(Path(sys.argv[1]), b"x" * 5000)
except InputError as error:
    sys.exit(0 if "cannot be written" in str(error) and "\\n" not in str(error) else 3)
sys.exit(4)
"""


def test_disk_full_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")
    assert subprocess.run([sys.executable, "-c", FULL, str(path)], check=False, timeout=120).returncode == 0
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]


def test_an_interrupt_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "a.bin"
    write_atomic(path, b"old")
    monkeypatch.setattr("ohmfield.files.os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_the_mode_follows_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_atomic(tmp_path / "a.bin", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a.bin").stat().st_mode & 0o777 == 0o666 & ~mask


def test_discarding_what_is_not_there_is_fine_and_a_folder_is_refused(tmp_path: Path) -> None:
    discard(tmp_path / "nothing")
    with pytest.raises(InputError, match="cannot be removed"):
        discard(tmp_path)
