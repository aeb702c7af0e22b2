"""Kernels that two processes compile at once are kept apart on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from numba.core import caching

from ohmfield._kernels import InTurn
from ohmfield._kernels.hash_lookup import _kernels

# Reads the index, then waits for the other process to have read it too: as unlucky as it gets.
WRITER = """
import sys, time
from pathlib import Path
from ohmfield._kernels import InTurn

class Slow(InTurn):
    def _load_index(self):
        held = super()._load_index()
        mine, other = (Path(self._cache_path, name) for name in (sys.argv[2], "ab".replace(sys.argv[2], "")))
        mine.touch()
        limit = time.monotonic() + 1.0
        while not other.exists() and time.monotonic() < limit:
            time.sleep(0.01)
        return held

Slow(sys.argv[1], "kernel", 0).save(sys.argv[2], "compiled " + sys.argv[2])
"""


def test_two_writers_keep_both_kernels(tmp_path: Path) -> None:
    made = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name]) for name in "ab"]
    assert [writer.wait(timeout=120) for writer in made] == [0, 0]
    held = InTurn(str(tmp_path), "kernel", 0)
    assert [held.load(name) for name in "ab"] == ["compiled a", "compiled b"]


def test_kernels_are_kept_by_it() -> None:
    assert caching.IndexDataCacheFile is InTurn
    assert all(type(kernel._cache._cache_file) is InTurn for kernel in _kernels(2, 1))


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert InTurn(str(tmp_path / "nothing"), "kernel", 0).load("a") is None
