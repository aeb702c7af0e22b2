"""The page *Price a model* says what is true: its blocks run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from test_house import ROOT, Block, blocks, run_line

BLOCKS = blocks((ROOT / "docs" / "cost.md").read_text())


@pytest.mark.parametrize("block", BLOCKS, ids=[f"line{block.line}" for block in BLOCKS])
def test_a_block_of_the_page_runs(block: Block, tmp_path: Path) -> None:
    if block.language == "bash":
        for line in block.text.splitlines():
            run_line(line, tmp_path)
            if "--out bill" in line:
                assert {path.name for path in (tmp_path / "bill").iterdir()} == {"bill.html", "bill.csv", "bill.json"}
        return
    done = subprocess.run([sys.executable, "-c", block.text], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    if "hinges" in block.text:
        assert "load of processors" in done.stdout


def test_the_page_is_written_somewhere() -> None:
    assert any("--out bill" in block.text for block in BLOCKS)
