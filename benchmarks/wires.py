"""Resistance in the lines of an array, three ways to the same currents: python benchmarks/wires.py

Square arrays of cells between 0 and 60 uS, lines of 1 ohm a cell, 10 ohm at both ends. The operator is made once and
then costs nothing; its error is taken against the nodal solve of random rows driven at 0.2 V, and so is that of line
solves. One thread, processor seconds.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ["OHMFIELD_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch

from common import show, write
from ohmfield._kernels.wires import CellLaw, Lines, line_currents, nodal, operator

LINES, TOP_S, READ_V = Lines(1.0, 1.0, 10.0, 10.0), 60e-6, 0.2
SOLVES = 10


def measure(size: int, repeats: int) -> dict[str, float]:
    """Seconds and errors of one square array."""
    rng = np.random.default_rng(size)
    cells = rng.uniform(0.0, TOP_S, (size, size))
    drives = READ_V * rng.integers(0, 2, (SOLVES, size))
    batch = torch.from_numpy(cells)
    operator(batch[:8, :8], LINES)
    build_s = min(_seconds(lambda: operator(batch, LINES)) for _ in range(repeats))
    through = operator(batch, LINES).numpy()
    want = np.array([nodal(cells, drive, LINES).currents_A for drive in drives])
    nodal_s = _seconds(lambda: nodal(cells, drives[0], LINES))
    line_currents(cells[:4, :4], drives[:1, :4], LINES)
    lines_s = _seconds(lambda: line_currents(cells, drives, LINES)) / SOLVES
    gates = drives > 0.0
    gated = line_currents(cells, np.full_like(drives, READ_V), LINES, gates=gates)
    gated_want = np.array([nodal(cells, np.full(size, READ_V), LINES, gates=on).currents_A for on in gates[:2]])
    law = CellLaw(5.0, READ_V)
    sinh_s = _seconds(lambda: line_currents(cells, drives[:2], LINES, law)) / 2
    return {
        "rows": size,
        "loss": float(1.0 - want.sum() / (drives @ cells).sum()),
        "operator_s": build_s,
        "operator_error": _error(drives @ through, want),
        "nodal_s": nodal_s,
        "line_solve_s": lines_s,
        "line_solve_error": _error(line_currents(cells, drives, LINES), want),
        "gated_error": _error(gated[:2], gated_want),
        "sinh_solve_s": sinh_s,
        "sinh_error": _error(
            line_currents(cells, drives[:1], LINES, law), nodal(cells, drives[0], LINES, law).currents_A
        ),
    }


def _error(got: np.ndarray, want: np.ndarray) -> float:
    return float(np.abs(got - want).max() / np.abs(want).max())


def _seconds(run: object) -> float:
    assert callable(run)
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    """All sizes, on the screen and into results/wires.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    figures = [measure(size, given.repeats) for size in given.sizes]
    show("wires", list(figures[0]), [list(figure.values()) for figure in figures])
    write("wires", {"arrays": figures}, rates=True)


if __name__ == "__main__":
    main()
