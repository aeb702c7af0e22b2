"""The whole path once: fitted, killed, resumed to the same bits, converted, counted and billed, host row included."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ohmfield.chip.files import load_chip
from ohmfield.deploy import deploy
from ohmfield.fit.runs import load_run
from ohmfield.signals.synthetic import shapes
from ohmfield.simulate.convert import convert_unchanged
from ohmfield.simulate.layers import ChipLinear

FIT = """
import sys
from ohmfield.fields import presets
from ohmfield.fit import loop
from ohmfield.signals.synthetic import shapes

loop.CHECKPOINT_S = 0.1
field = presets.instant_ngp(num_levels=4, log2_table=9, resolutions=(4, 24), width=16)
loop.fit(field, shapes(24), loop.FitOptions(steps=600, batch=256), sys.argv[1], progress=False)
"""


def zeros(_module: nn.Module, _inputs: tuple[Tensor, ...], out: Tensor) -> Tensor:
    return torch.zeros_like(out)


class Display(nn.Module):
    """A field behind a display curve: an operation that no unit of the chip computes."""

    def __init__(self, field: nn.Module) -> None:
        super().__init__()
        self.field = field

    def forward(self, coords: Tensor) -> Tensor:
        return self.field(coords).clamp(0.0, 1.0) ** 0.9


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed with -9 on its way and resumed, next to one that was left alone: the same bits."""
    folder = tmp_path_factory.mktemp("runs")

    def fit(name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", FIT, str(folder / name)])

    assert fit("whole").wait(timeout=300) == 0
    victim = fit("killed")
    deadline = time.monotonic() + 200
    while not (folder / "killed" / "resume.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    assert victim.wait(timeout=60) == -signal.SIGKILL
    assert not (folder / "killed" / "model.safetensors").exists()
    assert fit("killed").wait(timeout=300) == 0
    weights = "model.safetensors"
    assert (folder / "killed" / weights).read_bytes() == (folder / "whole" / weights).read_bytes()
    return folder / "killed"


def test_conversion_that_changes_nothing_equals_the_fused_forward(run: Path) -> None:
    field, _ = load_run(run)
    coords = shapes(24).coords
    with torch.no_grad():
        assert (convert_unchanged(field)(coords) - field(coords)).abs().max() <= 1e-5


def test_measured_counts_and_a_host_row_stand_in_the_bill(run: Path) -> None:
    field, _ = load_run(run)
    deployment = deploy(Display(field), load_chip("rram-40nm"), shapes(24))
    workload, bill = deployment.workload, deployment.bill
    linear = [operator.id for operator in workload.shapes.operators if operator.kind == "linear"]
    assert len(linear) == sum(isinstance(child, nn.Linear) for child in field.modules())
    assert all(workload.measured(operator, "driven") for operator in linear)
    hosted = [site.operator for site in deployment.placement.sites.values() if site.unit == "host"]
    assert hosted
    energy = bill.energy_pJ[1, 0]
    for operator in (*linear, *hosted):
        assert energy[bill.operators.index(operator)].sum() > 0
    host = bill.components.index("host")
    assert all(energy[bill.operators.index(operator), host] > 0 for operator in hosted)


def test_every_linear_layer_is_converted_and_none_is_bypassed(run: Path) -> None:
    field, _ = load_run(run)
    deployment = deploy(field, load_chip("rram-40nm"), shapes(24))
    layers = [child for child in deployment.module.modules() if isinstance(child, ChipLinear)]
    assert len(layers) == sum(isinstance(child, nn.Linear) for child in field.modules())
    coords = shapes(24).coords
    with torch.no_grad():
        before = deployment.module(coords)
        for layer in layers:
            handle = layer.register_forward_hook(zeros)
            assert not torch.equal(deployment.module(coords), before)
            handle.remove()
