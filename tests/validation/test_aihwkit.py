"""Our cells against the statistics that aihwkit and CrossSim draw, within sampling error of both sides.

`peers/device_statistics.py` drew 200,000 cells per target and stored their mean, variance and fourth moment, so the
sampling error of every figure is known; a figure of ours must lie within 4.5 standard errors (of about 700 figures,
0.005 would fall outside by chance).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ohmfield.chip.array import Array
from ohmfield.chip.cells.pcm import PcmCell
from ohmfield.chip.cells.rram_measured import MeasuredRramCell
from ohmfield.numerics import Noise

FILE = json.loads((Path(__file__).parent / "peers" / "device_statistics.json").read_text(encoding="utf-8"))
ERRORS = 4.5
SAMPLES = 60_000
PCM = {
    "nandakumar": "aihwkit PCMLikeNoiseModel",
    "hermes-1": "aihwkit HermesNoiseModel, one device",
    "hermes-2": "aihwkit HermesNoiseModel, two devices",
}
by_model = pytest.mark.parametrize("name", PCM)


def moments(values: Tensor) -> np.ndarray:
    off = values - values.mean()
    return np.array([float(part.mean()) for part in (values, off**2, off**4)])


def assert_within_sampling_error(ours: Tensor, theirs: list[float], what: str) -> None:
    """Means and variances of both draws differ by at most `ERRORS` standard errors of their difference."""
    mine, peer = moments(ours.double()), np.array(theirs)
    for order, name in ((0, "mean"), (1, "variance")):
        error = 0.0
        for moment, samples in ((mine, ours.numel()), (peer, FILE["samples"])):
            spread = moment[1] if order == 0 else moment[2] - moment[1] ** 2
            error += max(spread, 0.0) / samples
        # What a constant leaves of single precision, on either side
        bound = ERRORS * error**0.5 + 1e-6 * max(1e-3, abs(peer[order]))
        assert abs(mine[order] - peer[order]) <= bound, f"{what}: {name} {mine[order]:.6g}, theirs {peer[order]:.6g}"


def cells(name: str) -> tuple[PcmCell, dict[str, Any]]:
    theirs = FILE["models"][PCM[name]]
    cell = PcmCell(model=name, g_max_uS=theirs["g_max_uS"])  # pyright: ignore[reportArgumentType]
    assert cell.first_read_s == theirs["first_read_s"]
    return cell, theirs


def full(target_uS: float) -> Tensor:
    return torch.full((SAMPLES // 100, 100), target_uS, dtype=torch.float64)


@by_model
def test_programming_spread(name: str) -> None:
    cell, theirs = cells(name)
    for number, target in enumerate(theirs["targets_uS"]):
        stored = cell.program(full(target), Noise(number).at("program"))
        assert_within_sampling_error(stored, theirs["programmed"][number], f"{name} at {target:g} uS")


@by_model
def test_drift_exponents(name: str) -> None:
    cell, theirs = cells(name)
    for number, target in enumerate(theirs["targets_uS"]):
        exponents = cell.exponents(full(target), Noise(number).at("drift"))
        assert_within_sampling_error(exponents, theirs["exponent"][number], f"{name} at {target:g} uS")


@by_model
def test_conductance_from_a_second_to_a_month(name: str) -> None:
    """Programmed, drifted, and read: the whole chain at every age."""
    cell, theirs = cells(name)
    assert theirs["ages_s"][0] == 1.0
    assert theirs["ages_s"][-1] == 30 * 86400.0
    for number, target in enumerate(theirs["targets_uS"]):
        targets = full(target)
        stored = cell.program(targets, Noise(number).at("program"))
        for place, age in enumerate(theirs["ages_s"]):
            aged = cell.age(stored, targets, age, Noise(number).at("age"))
            std = cell.read_std_uS(stored, aged, age, Array())
            read = (aged + std * Noise(number).at("read", age).normal(tuple(std.shape)).double()).clamp_min(0.0)
            what = f"{name} at {target:g} uS after {age:g} s"
            assert_within_sampling_error(aged, theirs["drifted"][number][place], what)
            assert_within_sampling_error(read, theirs["read"][number][place], f"{what}, read")


@by_model
def test_read_noise_alone(name: str) -> None:
    """The spread of a read, as a number: no draw of ours, so only their sampling error."""
    cell, theirs = cells(name)
    compared = 0
    for number, target in enumerate(theirs["targets_uS"]):
        exact = torch.tensor([target], dtype=torch.float64)
        for place, age in enumerate(theirs["ages_s"]):
            _, variance, fourth = theirs["read_alone"][number][place]
            error = ERRORS * ((fourth - variance**2) / FILE["samples"]) ** 0.5 + 1e-9
            ours = float(cell.read_std_uS(exact, exact, age, Array())) ** 2
            if target > 4.5 * ours**0.5:  # their clamp at zero cuts nothing off
                compared += 1
                assert abs(ours - variance) <= error, f"{name} at {target:g} uS after {age:g} s"
    assert compared >= 36


def test_joshi_programs_as_in_crosssim() -> None:
    theirs = FILE["models"]["CrossSim PCMJoshi"]
    cell = PcmCell(model="joshi", g_max_uS=theirs["g_max_uS"])
    for number, target in enumerate(theirs["targets_uS"]):
        stored = cell.program(full(target), Noise(number).at("program"))
        assert_within_sampling_error(stored, theirs["programmed"][number], f"joshi at {target:g} uS")


def test_neurram_cells_spread_as_in_aihwkit() -> None:
    """aihwkit draws anew around the target at each time, counted from programming; ours starts at the first second."""
    theirs = FILE["models"]["aihwkit ReRamWan2022NoiseModel"]
    cell = MeasuredRramCell(model="neurram", g_max_uS=theirs["g_max_uS"])
    assert theirs["ages_s"] == [1.0, 86400.0, 172800.0]
    for number, target in enumerate(theirs["targets_uS"]):
        targets = full(target)
        stored = cell.program(targets, Noise(number).at("program"))
        assert_within_sampling_error(stored, theirs["programmed"][number], f"neurram at {target:g} uS")
        for place, since_s in enumerate(theirs["ages_s"]):
            aged = cell.age(stored, targets, since_s - 1.0, Noise(number).at("age"))
            if target > 0.1 * theirs["g_max_uS"]:  # below, clamping once (theirs) and twice (ours) differ
                what = f"neurram at {target:g} uS, {since_s:g} s"
                assert_within_sampling_error(aged, theirs["read"][number][place], what)


def test_the_statistics_were_drawn_by_the_named_versions() -> None:
    assert FILE["versions"]["aihwkit"] == "1.2.0"
    assert FILE["versions"]["CrossSim"] == "3.2.0"
    assert FILE["samples"] >= 100_000
