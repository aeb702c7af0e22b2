"""Lets CrossSim read one array over and over with read noise, and stores how its column sums are distributed.

    PYTHON tests/validation/peers/read_noise.py [tests/validation/peers/read_noise.npz]

PYTHON is an interpreter that has CrossSim 3.2.0 (https://github.com/sandialabs/cross-sim) and NumPy. Pairs of 2-bit
cells, one vector of zeros and ones at a time, fresh noise in each cell and read, nothing rounded. Stored per device
and density: the quantiles of (sum - exact sum) / exact sd, and the variance over the exact one.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROWS, OUTPUTS, READS, CALL = 256, 64, 1800, 60
DENSITIES = (0.1, 0.5, 0.9)
MAGNITUDE = 0.02
ON_OFF = 10.0  # g_min lies 5 sd above zero, where CrossSim would clip
DEVICES = ("NormalIndependentDevice", "NormalProportionalDevice")
QUANTILES = (np.arange(2000) + 0.5) / 2000


def weights_and_inputs() -> tuple[np.ndarray, np.ndarray]:
    """Integer weights [outputs, rows] of -3 .. 3, inputs [densities, rows] of zeros and ones."""
    rng = np.random.default_rng(7)
    weights = rng.integers(-3, 4, size=(OUTPUTS, ROWS))
    return weights, np.array([rng.permutation(ROWS) < round(density * ROWS) for density in DENSITIES]).astype(np.int32)


def cell_std_levels(device: str, weights: np.ndarray) -> np.ndarray:
    """Sd of one read of each pair [outputs, rows], in levels."""
    top, low = 3.0, 3.0 / (ON_OFF - 1.0)  # levels above g_min, and g_min in levels
    if device == "NormalIndependentDevice":
        return np.full(weights.shape, MAGNITUDE * (top + low) * 2**0.5)
    return MAGNITUDE * np.hypot(low + np.maximum(weights, 0), low + np.maximum(-weights, 0))


def core(device: str, weights: np.ndarray) -> Any:
    """CrossSim's array of these weights with ideal converters."""
    package = importlib.import_module("simulator")
    enums = importlib.import_module("simulator.parameters.core_parameters")
    params = package.CrossSimParameters()
    params.core.style = enums.CoreStyle.BALANCED
    params.core.mapping.weights.percentile = None
    params.core.mapping.weights.min, params.core.mapping.weights.max = -3.0, 3.0
    params.core.mapping.inputs.mvm.min, params.core.mapping.inputs.mvm.max = -1.0, 1.0
    params.xbar.device.Rmin, params.xbar.device.Rmax = 1e4, ON_OFF * 1e4
    noise = params.xbar.device.read_noise
    noise.enable, noise.model, noise.magnitude = True, device, MAGNITUDE
    return package.AnalogCore(weights.astype(np.float64), params)


def main() -> None:
    """Writes the file."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("read_noise.npz")
    weights, inputs = weights_and_inputs()
    np.random.seed(3)
    quantiles = np.zeros((len(DEVICES), len(DENSITIES), len(QUANTILES)))
    variance = np.zeros((len(DEVICES), len(DENSITIES)))
    for place, device in enumerate(DEVICES):
        made, std = core(device, weights), cell_std_levels(device, weights)
        silent = np.zeros((ROWS, 4))
        assert not made.matmul(silent).any()
        for number, driven in enumerate(inputs):
            batch = np.repeat(driven[:, None].astype(np.float64), CALL, axis=1)
            sums = np.concatenate([made.matmul(batch) for _ in range(READS // CALL)], axis=1)
            exact = np.sqrt((std**2 @ driven)[:, None])
            off = (sums - (weights @ driven)[:, None]) / exact
            quantiles[place, number] = np.quantile(off, QUANTILES)
            variance[place, number] = (off**2).mean()
    np.savez_compressed(
        target,
        allow_pickle=False,
        quantiles=quantiles.astype(np.float32),
        variance=variance,
        samples=np.array(READS * OUTPUTS),
    )
    print(variance)  # noqa: T201
    print(f"{target}: {target.stat().st_size} bytes")  # noqa: T201


if __name__ == "__main__":
    main()
