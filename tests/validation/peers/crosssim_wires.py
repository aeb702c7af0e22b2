"""Lets CrossSim solve arrays whose lines have resistance, and stores conductances, inputs and column currents.

    PYTHON tests/validation/peers/crosssim_wires.py [tests/validation/peers/crosssim_wires.npz]

PYTHON is an interpreter that has CrossSim 3.2.0 (https://github.com/sandialabs/cross-sim) and NumPy. Its sweeps run on
until voltages change by less than 1e-12. `Rp_row_terminal` is left at zero: 3.2.0 adds it to every segment of the first
row in place of the first segment of every row.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np

R_MIN_OHM = 1e4
CASES = ((32, 16, 1.0, 1.0, 0.0), (64, 24, 2.0, 0.5, 30.0), (24, 40, 0.0, 4.0, 100.0))
"""Rows, columns, Rp_row, Rp_col, Rp_col_terminal in ohm."""


def main() -> None:
    """Writes the file."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("crosssim_wires.npz")
    package = importlib.import_module("simulator")
    stored: dict[str, np.ndarray] = {}
    for number, (rows, columns, row_ohm, column_ohm, sense_ohm) in enumerate(CASES):
        rng = np.random.default_rng(number)
        params = package.CrossSimParameters()
        params.core.mapping.weights.percentile = None
        params.core.mapping.weights.min, params.core.mapping.weights.max = -1.0, 1.0
        params.xbar.device.Rmin, params.xbar.device.infinite_on_off_ratio = R_MIN_OHM, True
        wires = params.xbar.array.parasitics
        wires.enable, wires.Rp_row, wires.Rp_col, wires.Rp_col_terminal = True, row_ohm, column_ohm, sense_ohm
        params.simulation.Verr_th_mvm, params.simulation.Niters_max_parasitics = 1e-12, 10_000
        core = package.AnalogCore(np.zeros((columns, rows)), params).cores[0][0].core_pos
        share = rng.integers(0, 256, size=(rows, columns)) / 255  # of g_max
        inputs = rng.integers(0, 2, size=(4, rows)).astype(np.float64)
        core.matrix = share.T.copy()
        currents = [core.run_xbar_mvm(vector=driven) for driven in inputs]
        stored.update({f"{number}:share": share, f"{number}:inputs": inputs, f"{number}:currents": np.array(currents)})
    np.savez_compressed(target, allow_pickle=False, **stored)
    print(f"{target}: {target.stat().st_size} bytes")  # noqa: T201


if __name__ == "__main__":
    main()
