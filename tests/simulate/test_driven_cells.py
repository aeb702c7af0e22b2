"""What driven rows meet, against loops over bits and cells; and what mean values make of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ohmfield._kernels.crossbar_inputs import add_digits
from ohmfield.chip.array import Array
from ohmfield.chip.cells import PcmCell, RramCell
from ohmfield.chip.chip import Chip
from ohmfield.chip.files import load_chip
from ohmfield.chip.units import Crossbar
from ohmfield.cost.bill import Bill
from ohmfield.cost.evaluate import evaluate
from ohmfield.mapping.fold import fold_batch_norms
from ohmfield.mapping.place import place
from ohmfield.mapping.slice import slice_weights
from ohmfield.mapping.trace import trace
from ohmfield.mapping.workload import Workload
from ohmfield.networks import resnet
from ohmfield.simulate.calibrate import choose_gains
from ohmfield.simulate.conversion import Causes
from ohmfield.simulate.convert import chip_layers, convert
from ohmfield.simulate.driven_cells import DrivenCells, driven_cells
from ohmfield.simulate.formats import choose_formats
from ohmfield.simulate.mean_value import mean_value_workload
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.reading import stored_copy
from ohmfield.simulate.run import install, predict, program
from ohmfield.tally import Tally
from small_chip import crossbar, made, plan_for, random_codes, random_weights, small_chip

CELL = RramCell(g_min_uS=5.0, g_max_uS=50.0, program_fraction=0.1, stuck_low_rate=0.05)
SMALL = {"rows": 16, "columns": 64, "rows_active": 8}


def digits_of(code: int, bits: int, drive: str) -> int:
    """Sum of the sizes of the digits that drive one code of 8 bits, one after the other."""
    if drive.startswith("sign_magnitude"):
        code = abs(code)
    total = 0
    for plane in range(8 // bits):
        digit = (code >> (bits * plane)) % 2**bits
        if drive == "twos_complement" and bits > 1 and plane == 8 // bits - 1 and digit >= 2 ** (bits - 1):
            digit = 2**bits - digit  # driven to the other side
        total += digit
    return total


@pytest.mark.parametrize(
    ("array", "dac", "signed"),
    [
        ({}, {}, False),
        ({"cell_bits": 4}, {}, True),
        ({"encoding": "offset", "sum_x": "analog"}, {}, False),
        ({"encoding": "twos_complement", "sum_x": "analog"}, {"bits": 2}, False),
        ({}, {"bits": 2, "signed": "twos_complement"}, True),
        ({}, {"signed": "sign_magnitude"}, True),
        ({"encoding": "column_flip"}, {"signed": "sign_magnitude_two_pass"}, True),
    ],
)
def test_conductance_is_counted_as_a_loop_over_bits_and_cells_does(array: Any, dac: Any, signed: bool) -> None:
    unit = crossbar(CELL, copies=2, array={**SMALL, **array}, dac=dac)
    weights = random_weights(unit, 1, 5, 20)
    if array.get("encoding", "differential") == "differential":
        weights = np.maximum(weights, -127)
    _, stored = made(weights, unit, signed_input=signed, copies=2)
    assert stored.conductances_uS is not None
    plan = plan_for(weights, small_chip(unit), signed_input=signed, copies=2)
    codes = random_codes(2, -127 if signed else 0, 127 if signed else 255, 7, 20)
    codes[0] = 0
    first = 3
    kinds = [cells for cells in (stored.conductances_uS, stored.reference_uS) if cells is not None]
    assert (len(kinds) == 2) == (array.get("sum_x") == "analog")
    crossed, conductance_uS = 0, 0.0
    for number, vector in enumerate(codes.tolist()):
        for row, code in enumerate(vector):
            driven = digits_of(code, unit.dac.bits, unit.dac.signed if signed else "unsigned")
            for cells in kinds:
                for cell_uS in cells[(first + number) % 2, row].ravel().tolist():
                    crossed += driven
                    conductance_uS += driven * cell_uS
    drawn = Programmed("small", 0, {"layer": stored})
    counter = driven_cells(drawn, plan, unit)
    assert counter is not None
    counts = counter.count(codes.astype(np.int32), first)
    assert counts["crossed"] == crossed
    measured_uS = CELL.mean_uS(counts["filled"] / counts["crossed"]) * counts["crossed"]
    assert measured_uS == pytest.approx(conductance_uS, rel=1e-6)


def test_aged_cells_are_counted_as_they_are_read() -> None:
    unit = crossbar(PcmCell(), array={**SMALL, "encoding": "offset"})
    weights = random_weights(unit, 1, 5, 20)
    _, stored = made(weights, unit)
    plan = plan_for(weights, small_chip(unit))
    fresh, old = (DrivenCells(stored, plan, unit, 0, age) for age in (0.0, 1e6))
    slices = slice_weights(weights, unit.array, plan.weight_bits, "", plan.starts)
    read = stored_copy(stored, plan, unit, slices, Causes(reading=False), 0, 1e6, 0)
    assert old.row_fill[0] * (2**unit.array.cell_bits - 1) == pytest.approx(read.levels.sum(axis=(1, 2)), rel=1e-5)
    assert old.row_fill.sum() < 0.8 * fresh.row_fill.sum()


def test_words_of_31_planes_are_counted_whole() -> None:
    totals = np.zeros((1, 2), dtype=np.int64)
    add_digits(np.array([[2**31 - 1, 5]], dtype=np.int32), 1, 31, False, 0, totals)
    assert totals.tolist() == [[31, 2]]


def test_nothing_is_counted_without_a_listener() -> None:
    chip = load_chip("rram-40nm")
    model, x = nn.Sequential(nn.Linear(8, 4)), torch.rand(4, 8)
    _, module, _ = on_chip(model, chip, x)
    (layer,) = chip_layers(module).values()
    predict(module, x)
    assert layer.cells is not None
    assert "row_fill" not in vars(layer.cells)
    with (tally := Tally()).listen():
        predict(module, x)
    assert tally["0#0"]["crossed"] == tally["0#0"]["driven"] * 4 * 8  # four slices on both sides of four outputs
    install(module, chip, None)
    assert layer.cells is None


def on_chip(model: nn.Module, chip: Chip, x: torch.Tensor) -> tuple[Workload, nn.Module, Any]:
    """Shapes, the module on an instance, and where it lies."""
    shapes = trace(model, x[:2])
    placement = place(shapes, chip, 8, 8)
    module = convert(model, chip, placement, choose_formats(model, chip, placement, x))
    install(module, chip, program(module, chip, gains=choose_gains(module, chip, x)))
    return Workload(shapes, 1.0, "image"), module, placement


def heavy_tailed(depth: int, width: int) -> nn.Module:
    """A residual network with weights of Student's t, as long in the tail as trained ones."""
    torch.manual_seed(3)
    model = resnet(depth, width)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                spread = layer.weight[0].numel() ** -0.5
                layer.weight.copy_(torch.distributions.StudentT(4.0).sample(layer.weight.shape) * spread)
    return model.eval()


@pytest.mark.parametrize(("encoding", "bits"), [("differential", 2), ("offset", 4)])
def test_mean_values_are_within_3_percent_of_counted_values(encoding: Any, bits: int) -> None:
    base = load_chip("rram-40nm")
    unit = base.units["crossbar"]
    assert isinstance(unit, Crossbar)
    array: Array = replace(unit.array, encoding=encoding, cell_bits=bits)
    adc = replace(unit.adc, bits=8, enob=None, step_levels=None, gains=(1.0, 4.0, 16.0))
    made_of = replace(unit, array=array, adc=adc, num_arrays=4096, max_copies=1)
    chip = replace(base, units={"crossbar": made_of})
    images = nn.functional.interpolate(torch.rand(12, 3, 6, 6), size=16, mode="bilinear")
    seen, scored = images[:6], images[6:]
    model, _ = fold_batch_norms(heavy_tailed(8, 8), seen)
    blank, module, placement = on_chip(model, chip, seen)
    means = mean_value_workload(blank, module, chip, seen)
    with (tally := Tally()).listen():
        predict(module, scored)
    counted = replace(blank, tally=tally, tally_items=float(len(scored)))
    cells = [cells_pJ(evaluate(chip, load, placement)) for load in (counted, means, blank)]
    assert cells[1].sum() == pytest.approx(cells[0].sum(), rel=0.03)
    assert abs(cells[2].sum() / cells[0].sum() - 1.0) > 0.1
    warned = evaluate(chip, means, placement).warnings
    assert any(line.startswith("stated: fill") for line in warned)
    assert not any("mean conductance" in line for line in warned)


def cells_pJ(bill: Bill) -> np.ndarray:
    """Energy of cells by operator."""
    return bill.energy_pJ[1, 0, :, bill.components.index("cells")]
