"""Column currents of arrays with resistive lines: our operator against what CrossSim 3.2 computes.

`peers/crosssim_wires.py` made the stored currents.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ohmfield._kernels.wires import Lines, operator
from validation.peers.crosssim_wires import CASES, R_MIN_OHM


@pytest.mark.parametrize("number", range(len(CASES)))
def test_currents_are_crosssims(number: int) -> None:
    with np.load(Path(__file__).parent / "peers" / "crosssim_wires.npz") as file:
        share, inputs, theirs = (file[f"{number}:{key}"] for key in ("share", "inputs", "currents"))
    rows, columns, row_ohm, column_ohm, sense_ohm = CASES[number]
    assert share.shape == (rows, columns)
    cells_S = share / R_MIN_OHM
    lines = Lines(row_ohm, column_ohm, 0.0, sense_ohm)
    fast = inputs @ operator(torch.from_numpy(cells_S), lines).numpy() * R_MIN_OHM
    np.testing.assert_allclose(fast, theirs, rtol=1e-8)
    lost = 1.0 - theirs.sum() / (inputs @ share).sum()
    assert 0.02 < lost < 0.6  # the lines matter
