"""Draws cells from the device models of aihwkit and CrossSim and stores their moments.

    PYTHON tests/validation/peers/device_statistics.py [tests/validation/peers/device_statistics.json]

PYTHON is an interpreter that has aihwkit 1.2.0 (Python 3.12, `pip install aihwkit==1.2.0`) and CrossSim 3.2.0
(https://github.com/sandialabs/cross-sim). Per model and target conductance: mean, variance and fourth central moment
of what was programmed, of the drift exponent, and of the conductance at each age with and without read noise; and of
the read noise alone, of a cell stored exactly at its target that does not drift.
"""

from __future__ import annotations

import importlib
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES = 200_000
SHARES = (0.0, 0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0)  # of g_max
AGES_S = (1.0, 60.0, 3600.0, 86400.0, 604800.0, 2592000.0)  # a second to a month
WAN_AGES_S = (1.0, 86400.0, 172800.0)


def moments(drawn: Any) -> list[float]:
    """Mean, variance, fourth central moment."""
    values = np.asarray(drawn, dtype=np.float64)
    off = values - values.mean()
    return [float(f"{value:.7g}") for value in (values.mean(), (off**2).mean(), (off**4).mean())]


def drifting(model: Any, g_max: float) -> dict[str, Any]:
    """A phase-change model of aihwkit."""
    torch = importlib.import_module("torch")
    made: dict[str, Any] = {"g_max_uS": g_max, "first_read_s": model.t_0, "targets_uS": [], "ages_s": list(AGES_S)}
    for name in ("programmed", "exponent", "drifted", "read", "read_alone"):
        made[name] = []
    scale = model.read_noise_scale
    for share in SHARES:
        target = torch.full((SAMPLES,), share * g_max, dtype=torch.float64)
        made["targets_uS"].append(share * g_max)
        stored = model.apply_programming_noise_to_conductance(target)
        exponent = model.generate_drift_coefficients(target)
        made["programmed"].append(moments(stored))
        made["exponent"].append(moments(exponent))
        rows: dict[str, list[Any]] = {"drifted": [], "read": [], "read_alone": []}
        for age in AGES_S:
            model.read_noise_scale = 0.0
            rows["drifted"].append(moments(model.apply_drift_noise_to_conductance(stored, exponent, age)))
            model.read_noise_scale = scale
            rows["read"].append(moments(model.apply_drift_noise_to_conductance(stored, exponent, age)))
            still = torch.zeros_like(target)
            rows["read_alone"].append(moments(model.apply_drift_noise_to_conductance(target, still, age)))
        for name, values in rows.items():
            made[name].append(values)
    return made


def relaxing(model: Any, g_max: float) -> dict[str, Any]:
    """The RRAM model of aihwkit: a spread around the target that depends on the age."""
    torch = importlib.import_module("torch")
    made: dict[str, Any] = {"g_max_uS": g_max, "ages_s": list(WAN_AGES_S)}
    made["targets_uS"] = [share * g_max for share in SHARES]
    targets = [torch.full((SAMPLES,), value, dtype=torch.float64) for value in made["targets_uS"]]
    made["programmed"] = [moments(model.apply_programming_noise_to_conductance(target)) for target in targets]
    made["read"] = [
        [moments(model.apply_drift_noise_to_conductance(target, target, age)) for age in WAN_AGES_S]
        for target in targets
    ]
    return made


def programmed_by_crosssim(name: str, g_max: float) -> dict[str, Any]:
    """What a device of CrossSim stores; it has no drift for these."""
    device = importlib.import_module("simulator.devices.device").Device
    importlib.import_module("simulator.backend").ComputeBackend(False)  # as its AnalogCore does
    parameters = importlib.import_module("simulator").CrossSimParameters().xbar.device
    parameters.Rmin, parameters.infinite_on_off_ratio = 1e6 / g_max, True
    parameters.programming_error.enable, parameters.programming_error.model = True, name
    made = device.create_device(parameters)
    shares = [np.full(SAMPLES, share) for share in SHARES]
    return {
        "g_max_uS": g_max,
        "targets_uS": [share * g_max for share in SHARES],
        "programmed": [moments(g_max * made.programming_error(share)) for share in shares],
    }


def main() -> None:
    """Writes the file."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("device_statistics.json")
    noise = importlib.import_module("aihwkit.inference.noise.pcm")
    hermes = importlib.import_module("aihwkit.inference.noise.hermes")
    reram = importlib.import_module("aihwkit.inference.noise.reram")
    importlib.import_module("torch").manual_seed(0)
    np.random.seed(0)
    single = hermes.HermesNoiseModel(num_devices=1)
    double = hermes.HermesNoiseModel(num_devices=2)
    record = {
        "versions": {name: version(name) for name in ("aihwkit", "CrossSim", "torch", "numpy")},
        "samples": SAMPLES,
        "models": {
            "aihwkit PCMLikeNoiseModel": drifting(noise.PCMLikeNoiseModel(g_max=25.0), 25.0),
            "aihwkit HermesNoiseModel, one device": drifting(single, single.g_max),
            "aihwkit HermesNoiseModel, two devices": drifting(double, double.g_max),
            "aihwkit ReRamWan2022NoiseModel": relaxing(reram.ReRamWan2022NoiseModel(g_max=40.0), 40.0),
            "CrossSim PCMJoshi": programmed_by_crosssim("PCMJoshi", 25.0),
            "CrossSim RRAMWan": programmed_by_crosssim("RRAMWan", 39.0),
        },
    }
    target.write_text(json.dumps(record, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{target}: {target.stat().st_size} bytes")  # noqa: T201


if __name__ == "__main__":
    main()
