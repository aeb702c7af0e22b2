"""A cell and a converter from outside the package go everywhere: files, simulation, the fused kernel, the bill."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

import ohmfield
from ohmfield._kernels import crossbar_fast
from ohmfield._kernels.crossbar import reference
from ohmfield.chip.adc import Adc
from ohmfield.chip.array import Array
from ohmfield.chip.cells import CELLS
from ohmfield.chip.cells.base import Cell
from ohmfield.chip.chip import Chip
from ohmfield.chip.converters import ADCS
from ohmfield.chip.files import load_chip, save_chip
from ohmfield.chip.process import Process
from ohmfield.cost.evaluate import evaluate
from ohmfield.fields.presets import instant_ngp
from ohmfield.numerics import Noise
from ohmfield.quantities import ActionCost, Number, PartCost, span
from ohmfield.signals.synthetic import shapes
from ohmfield.spec import build, knob, spec, to_plain


@spec
class GraphiteCell(Cell):
    """A made-up device: reads a little high, and costs 7 fJ to read."""

    kind: ClassVar[str] = "graphite"
    lift: float = knob("both", 0.01, ge=0, le=1, doc="share of g_max that every stored cell gains")

    def program(self, target_uS: Tensor, noise: Noise) -> Tensor:
        return target_uS + self.lift * self.g_max_uS * noise.uniform(tuple(target_uS.shape)).to(target_uS.dtype)

    def read(self, process: Process, mean_uS: Number, array: Array) -> ActionCost:
        return ActionCost(span(0.007 * (1.0 + self.lift)), span(array.read_ns))

    def write(self, process: Process) -> ActionCost:
        return ActionCost(span(3.0), span(50.0))

    def part(self, process: Process) -> PartCost:
        return PartCost(span(0.05))


@spec
class SquareRootAdc(Adc):
    """A made-up converter that is finer near zero: the code grows as a power of the input."""

    kind: ClassVar[str] = "square-root"
    conversion_pJ: float = knob("cost", 0.5, gt=0)

    def code(self, lsb: np.ndarray, signed: bool) -> np.ndarray:
        bent = np.sign(lsb) * np.abs(lsb) ** 0.9
        return super().code(bent, signed)

    def conversion(self, process: Process) -> ActionCost:
        return ActionCost(span(self.conversion_pJ), span(4.0))

    def part(self, process: Process) -> PartCost:
        return PartCost(span(900.0), span(0.2))


@pytest.fixture
def listed() -> Iterator[None]:
    """Naming a class in the visible dict is all a user does."""
    CELLS["graphite"] = GraphiteCell
    ADCS["square-root"] = SquareRootAdc
    yield
    del CELLS["graphite"], ADCS["square-root"]


@pytest.fixture
def chip_file(listed: None, tmp_path: Path) -> Path:
    plain = to_plain(load_chip("rram-40nm"))
    plain["name"] = "graphite-40nm"
    unit = plain["units"]["crossbar"]
    unit["cell"] = {"kind": "graphite", "g_min_uS": 1.0, "g_max_uS": 31.0, "lift": 0.02}
    unit["adc"] = {"kind": "square-root", "bits": 7, "columns_per_adc": 4}
    path = tmp_path / "graphite.yaml"
    save_chip(build(Chip, plain), path)
    return path


def test_files_take_them(chip_file: Path) -> None:
    chip = load_chip(chip_file)
    unit = chip.units["crossbar"]
    assert isinstance(unit.cell, GraphiteCell)
    assert isinstance(unit.adc, SquareRootAdc)
    assert build(type(chip), to_plain(chip)) == chip


def test_simulation_kernel_and_bill_take_them(chip_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def watched(array, inputs, noise=None, first=0):
        """The fused kernel, checked against the plain loops on every call."""
        out, counts = fused(array, inputs, noise, first)
        ran.append(crossbar_fast.refused(array))
        np.testing.assert_array_equal(out[:16], reference(array, inputs[:16], noise, first)[0])
        return out, counts

    fused = crossbar_fast.fast
    monkeypatch.setattr("ohmfield.simulate.products.fast", watched)
    torch.manual_seed(0)
    field = instant_ngp(num_levels=4, log2_table=8, resolutions=(4, 32), width=16)
    deployment = ohmfield.deploy(field, load_chip(chip_file), shapes(24))
    assert ran
    assert not any(ran)  # every product ran fused, none was refused
    assert not torch.equal(deployment.picture, ohmfield.deploy(field, load_chip("rram-40nm"), shapes(24)).picture)
    # Half a picojoule more per conversion moves the bill by exactly the conversions that the run counted.
    workload, unit = deployment.workload, deployment.chip.units["crossbar"]
    dearer = replace(unit, adc=replace(unit.adc, conversion_pJ=1.0))
    bill = evaluate(replace(deployment.chip, units={"crossbar": dearer}), workload, deployment.placement)
    counted = sum(counts.get("conversions", 0.0) for counts in workload.tally.counts.values())
    conversions = counted / workload.tally_items * workload.items
    assert conversions > 0
    assert bill.energy_pJ.sum() - deployment.bill.energy_pJ.sum() == pytest.approx(3 * 0.5 * conversions)
