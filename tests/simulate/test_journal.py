"""The journal of a study: what is in it survives a kill and is not run again; another deployment's is refused."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from ohmfield.deploy import Deployment, Recipe, deploy
from ohmfield.simulate.journal import Journal
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.study import study
from ohmfield.spec import InputError

SLOW = """
import sys, time
from pathlib import Path
from ohmfield.simulate.journal import Journal
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.study import study

def score(programmed):
    time.sleep(0.05)
    return programmed.seed / 3.0

study(lambda seed: Programmed("test", seed, {}), score, metric="score", seeds=range(1000),
      journal=Journal(Path(sys.argv[1]), "mine"))
"""


def write(seed: int) -> Programmed:
    return Programmed("test", seed, {})


def test_a_killed_study_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.jsonl"
    running = subprocess.Popen([sys.executable, "-c", SLOW, str(path)])
    limit = time.monotonic() + 120
    while (not path.exists() or path.read_bytes().count(b"\n") < 6) and time.monotonic() < limit:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    kept = Journal(path, "mine").scores
    assert 5 <= len(kept) < 1000
    again: list[int] = []

    def score(programmed: Programmed) -> float:
        again.append(programmed.seed)
        return programmed.seed / 3.0

    seeds = range(len(kept) + 3)
    made = study(write, score, metric="score", seeds=seeds, journal=Journal(path, "mine"))
    assert made.scores[0].tolist() == [seed / 3.0 for seed in seeds]  # to the bit, from the file as well
    assert sorted(again) == sorted(set(seeds) - {seed for seed, _ in kept})
    assert set(Journal(path, "mine").scores) == {(seed, 0.0) for seed in seeds} | set(kept)


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_line_cut_short_is_dropped(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal.jsonl"
    first = Journal(path, "mine")
    first.add(0, 0.0, math.inf)
    first.add(1, 1e6, 0.1 + 0.2)
    path.write_bytes(path.read_bytes()[:-cut])
    again = Journal(path, "mine")
    assert again.scores == {(0, 0.0): math.inf}
    again.add(1, 1e6, 0.1 + 0.2)
    assert Journal(path, "mine").scores == {(0, 0.0): math.inf, (1, 1e6): 0.1 + 0.2}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"format": 1, "deployment": "other"}', "is the journal of another deployment"),
        ('{"format": 9, "deployment": "mine"}', "journal of format 9, this version reads 1"),
        ("no json", "damaged"),
        ("[1]", "damaged"),
        ('{"format": 1, "deployment": "mine"}\n{"seed": 3}', "damaged"),
    ],
)
def test_what_is_not_its_journal_is_refused(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match=message) as error:
        Journal(path, "mine")
    assert "\n" not in str(error.value)
    assert path.read_text() == line + "\n"


def small(scale: float = 1.0, recipe: Recipe | None = None) -> Deployment:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).eval()
    with torch.no_grad():
        next(model.parameters()).mul_(scale)
    return deploy(model, "rram-40nm", torch.rand(16, 6), recipe)


def test_a_deployment_knows_its_journal(tmp_path: Path) -> None:
    path, made = tmp_path / "journal.jsonl", small()
    scores = made.study([1, 2], journal=path).scores
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(record["seed"] for record in lines[1:]) == [1, 2]
    assert small().study([1, 2], journal=path).scores.tolist() == scores.tolist()
    assert len(path.read_text().splitlines()) == 3  # nothing ran again
    for other in (small(scale=0.9), small(recipe=Recipe(input_bits=7))):
        with pytest.raises(InputError, match="another deployment"):
            other.study([1, 2], journal=path)
