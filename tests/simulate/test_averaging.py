"""Columns read as a voltage: the average of their rows, what undoes it, its noise, and what it costs and refuses."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from ohmfield._kernels.crossbar import conversions
from ohmfield.chip.cells import IdealCell, PcmCell, RramCell, SramCell
from ohmfield.chip.cells.base import Cell
from ohmfield.chip.compensation import Compensation
from ohmfield.chip.converters import SarAdc
from ohmfield.chip.correction import PostCalibration
from ohmfield.chip.readout import settling
from ohmfield.chip.units import Crossbar
from ohmfield.cost.evaluate import evaluate
from ohmfield.mapping.place import place
from ohmfield.mapping.slice import slice_weights
from ohmfield.mapping.workload import Operator, Shapes, Workload
from ohmfield.simulate.averaging import nominal_shares
from ohmfield.simulate.choose import product_of
from ohmfield.simulate.conversion import Causes, conversion_std, hardware_step
from ohmfield.simulate.noisy import weight_errors
from ohmfield.simulate.products import CrossbarProduct, ExactProduct
from small_chip import crossbar, made, outputs_of, plan_for, random_codes, random_weights, reference_output, small_chip

AVERAGE: dict[str, Any] = {"readout": "voltage_average"}
ENCODINGS: list[dict[str, Any]] = [
    {},
    {"subtract": "digital"},
    {"encoding": "offset"},
    {"encoding": "twos_complement"},
]
LOUD = RramCell(g_min_uS=4.0, g_max_uS=60.0, program_fraction=0.02, read_fraction=0.0)


def averaging(cell: Cell | None = None, array: Any = None, **parts: Any) -> Crossbar:
    return crossbar(cell, array={**AVERAGE, **(array or {})}, **parts)


def shares_of(weights: np.ndarray, unit: Crossbar, **plan: Any) -> np.ndarray:
    """Nominal conductance of each column over that of a full one."""
    layer = plan_for(weights, small_chip(unit), **plan)
    slices = slice_weights(weights, unit.array, layer.weight_bits, "", layer.starts)
    return nominal_shares(slices, unit, layer.starts)


def loops(held_uS: np.ndarray, inputs: np.ndarray, starts: np.ndarray, unit: Crossbar) -> list[float]:
    """Every conversion of unsigned `inputs` in steps of the converter, as circuit theory has it: one loop per index.

    A column at v takes no current: sum of G (V - v) = 0 over its cells. A step is that of a full column.
    """
    cell, array, pairs = unit.cell, unit.array, unit.pairs
    level_uS = (cell.g_max_uS - cell.g_min_uS) / (2**array.cell_bits - 1)
    full_uS = array.rows_active * (cell.g_max_uS + (cell.g_min_uS if pairs else 0.0))
    step_V = hardware_step(unit, signed_input=False) * level_uS / full_uS
    _, slices, sides, outputs = held_uS.shape
    made = []
    for low, high in pairwise(starts.tolist()):
        for bank in range(slices if pairs else slices * sides):
            for plane in range(8):
                for vector in inputs:
                    for output in range(outputs):
                        current = conductance = 0.0
                        for row in range(low, high):
                            volt = (int(vector[row]) >> plane) & 1
                            for side in range(sides) if pairs else [bank % sides]:
                                cell_uS = float(held_uS[row, bank if pairs else bank // sides, side, output])
                                current += cell_uS * volt * (-1 if pairs and side else 1)
                                conductance += cell_uS
                        made.append(current / conductance / step_V)
    return made


@pytest.mark.parametrize("array", ENCODINGS)
def test_codes_are_those_of_floating_columns(array: dict[str, Any]) -> None:
    """Written cells, two row groups, solved one column at a time: what lies between thresholds has the same code."""
    unit = averaging(LOUD, {"rows_active": 16, **array}, adc={"bits": 8})
    weights, inputs = random_weights(unit, 1, 3, 28), random_codes(2, 0, 255, 4, 28)
    product, stored = made(weights, unit)
    assert isinstance(product, CrossbarProduct)
    assert stored.conductances_uS is not None
    seen = loops(stored.conductances_uS[0], inputs, product.copies[0].starts, unit)
    codes = np.concatenate([code.ravel() for _, _, code, _ in conversions(product.copies[0], inputs)])
    volts = np.clip(np.array(seen), *(np.array(unit.adc.limits(unit.pairs)) + np.array([-0.49, 0.49])))
    away = np.abs(volts + 0.5 - np.round(volts + 0.5)) > 1 / 16  # what a grid of conductances may err, in steps
    assert away.mean() > 0.75
    assert np.array_equal(codes[away], np.floor(volts + 0.5)[away])
    assert np.abs(codes - volts).max() < 0.5 + 1 / 16 + 1e-6


@pytest.mark.parametrize("array", ENCODINGS)
@pytest.mark.parametrize("g_min_uS", [0.0, 20.0])
@pytest.mark.parametrize("signed", [False, True])
def test_factors_of_ideal_cells_give_back_the_integer_product(
    array: dict[str, Any], g_min_uS: float, signed: bool
) -> None:
    """Fine steps and factors, rows in two groups, the second shorter: the nearest integer is the product."""
    adc = {"bits": 14, "step_levels": 1 / 64}
    unit = averaging(IdealCell(g_min_uS=g_min_uS), {"cell_bits": 1, "factor_bits": 16, **array}, adc=adc)
    low, high = (-4, 3) if signed else (0, 7)
    weights, inputs = random_weights(unit, 1, 5, 140, weight_bits=3), random_codes(2, low, high, 40, 140)
    product, _ = made(weights, unit, weight_bits=3, input_bits=3, signed_input=signed)
    assert isinstance(product, CrossbarProduct)
    assert np.array_equal(np.floor(outputs_of(product, inputs) + 0.5), inputs @ weights.T)
    if not signed:
        reference_output(product, inputs)  # what is fast gives the same


@pytest.mark.parametrize("factor_bits", [None, 8])
def test_complementary_pairs_all_conduct_alike_and_lose_nothing(factor_bits: int | None) -> None:
    """A cell and its complement make one sum whatever the weight: a divided level is a level, as with currents."""
    unit = averaging(array={"encoding": "xnor", "cell_bits": 1, "factor_bits": factor_bits}, adc={"bits": 9})
    weights, inputs = random_weights(unit, 1, 5, 128), random_codes(2, 0, 255, 40, 128)
    assert np.allclose(outputs_of(made(weights, unit)[0], inputs), inputs @ weights.T, rtol=1e-12)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_alike_cells_read_the_mean_of_their_inputs(level: int) -> None:
    """k of 32 rows driven: k / 32 of the whole range whatever the cells hold; only the factor tells."""
    unit = averaging(array={"encoding": "twos_complement", "factor_bits": 16}, adc={"bits": 8, "step_levels": 2.0})
    weights = np.full((1, 32), level * 5, dtype=np.int64)  # both slices at that level, the sign at 0
    inputs = np.tril(np.ones((33, 32), dtype=np.int64), -1)
    product, _ = made(weights, unit, weight_bits=5, input_bits=1)
    assert isinstance(product, CrossbarProduct)
    full = 128 * 3 / 2.0  # levels of a full column, in codes
    for (_, bank, _), _, code, _ in conversions(product.copies[0], inputs):
        expected = np.floor(np.arange(33) / 32 * full + 0.5) if bank < 2 else np.zeros(33)
        assert np.array_equal(code[:, 0], expected)
    assert np.abs(outputs_of(product, inputs)[:, 0] - level * 5 * np.arange(33)).max() < level * 5 * 32 / full


@pytest.mark.parametrize("array", ENCODINGS)
@pytest.mark.parametrize("factor", [0.5, 0.631])
def test_drift_that_cells_share_changes_no_code(array: dict[str, Any], factor: float) -> None:
    weights, inputs = random_weights(averaging(array=array), 1, 5, 140), random_codes(2, 0, 255, 40, 140)
    for readout, same in (("voltage_average", True), ("current", False)):
        unit = crossbar(LOUD, array={**array, "readout": readout})
        fresh, stored = made(weights, unit)
        assert stored.conductances_uS is not None
        plan, chip = plan_for(weights, small_chip(unit)), small_chip(unit)
        drifted = replace(stored, conductances_uS=stored.conductances_uS * factor)
        later = product_of(drifted, plan, chip, Causes(), seed=0)
        assert np.array_equal(outputs_of(fresh, inputs), outputs_of(later, inputs)) == same


def test_drift_of_a_device_costs_less_than_where_currents_are_read() -> None:
    """Phase change of one exponent for all: the power law divides itself out; with a spread of exponents most does."""
    weights, inputs = random_codes(1, -127, 127, 5, 140), random_codes(2, 0, 255, 40, 140)
    lost = {}
    for readout in ("voltage_average", "current"):
        unit = crossbar(PcmCell(g_min_uS=0.1), array={"readout": readout}, adc={"bits": 12, "step_levels": 0.25})
        young, old = (outputs_of(made(weights, unit, elapsed_s=age)[0], inputs) for age in (0.0, 1e6))
        lost[readout] = float(np.std(old - young) / np.std(young))
    assert lost["voltage_average"] < 0.6 * lost["current"]


def filled(unit: Crossbar) -> tuple[np.ndarray, np.ndarray]:
    """Outputs whose columns conduct very differently, and inputs."""
    size = 2 ** np.arange(7)
    return random_codes(1, -1, 1, 7, 128) * size[:, None], random_codes(2, 0, 255, 60, 128)


def test_without_factors_outputs_are_wrong_by_their_conductance() -> None:
    """And the wider the factors, the nearer to the product."""
    errors = []
    for bits in (None, 4, 8, 12):
        unit = averaging(IdealCell(g_min_uS=5.0), {"factor_bits": bits}, adc={"bits": 14, "step_levels": 1 / 16})
        weights, inputs = filled(unit)
        exact = inputs @ weights.T
        read = outputs_of(made(weights, unit)[0], inputs)
        errors.append(float(np.sqrt(np.mean((read - exact) ** 2) / np.mean(exact.astype(float) ** 2))))
        if bits is None:  # each slice by the mean share over its own
            shares = shares_of(weights, unit)
            one = np.einsum("iso->so", slice_weights(weights, unit.array, 8, "").bank_levels("analog").astype(float))
            wanted = ((shares.mean() / shares[0]) * one * np.array([1, 4, 16, 64])[:, None]).sum(0)
            all_on = outputs_of(made(weights, unit, input_bits=1)[0], np.ones((1, 128), dtype=np.int64))[0]
            assert np.allclose(all_on, wanted, atol=2.0)
    assert errors[0] > 0.2 > 0.05 > errors[1] > errors[2] > errors[3]


def test_a_column_that_conducts_nothing_counts_nothing() -> None:
    unit = averaging(IdealCell(), {"cell_bits": 1}, adc={"bits": 12})
    weights = np.zeros((3, 64), dtype=np.int64)
    weights[0, 5] = 1
    inputs = random_codes(2, 0, 255, 20, 64)
    product, _ = made(weights, unit, weight_bits=2)
    assert np.array_equal(outputs_of(product, inputs)[:, 1:], np.zeros((20, 2)))
    assert np.allclose(outputs_of(product, inputs)[:, 0], inputs[:, 5], atol=1.0)


def test_converter_noise_is_fixed_in_volts_whatever_the_column() -> None:
    """In levels it goes with the conductance of the column; half the voltage costs 6.02 dB, shorter reads nothing."""
    unit = averaging(IdealCell(g_min_uS=25.0), {"cell_bits": 1, "factor_bits": 16}, adc={"bits": 14, "enob": 9.0})
    unit = replace(unit, adc=SarAdc(bits=14, enob=9.0, step_levels=1 / 32))
    weights, inputs = np.zeros((2, 128), dtype=np.int64), np.zeros((4000, 128), dtype=np.int64)
    weights[0] = 1
    product, _ = made(weights, unit, weight_bits=2, input_bits=1)
    spread = outputs_of(product, inputs).std(axis=0)
    shares = shares_of(weights, unit, weight_bits=2)[0, 0]
    assert np.allclose(shares, [1.0, 2 * 25 / 125])
    assert np.allclose(spread, shares * math.sqrt((4.0**5 - 1) / 12) / 32, rtol=0.04)
    half = replace(unit, array=replace(unit.array, read_voltage_V=0.1))
    short = replace(unit, array=replace(unit.array, read_ns=2.5))
    loss_dB = 20 * math.log10(conversion_std(half, 1.0) / conversion_std(unit, 1.0))
    assert math.isclose(loss_dB, 6.02, abs_tol=0.01)
    assert conversion_std(short, 1.0) == conversion_std(unit, 1.0)


@pytest.mark.parametrize(("array", "ratio"), [({}, 1.0), ({"encoding": "twos_complement"}, math.sqrt(0.5))])
def test_read_noise_against_columns_solved_with_every_draw(array: dict[str, Any], ratio: float) -> None:
    """Right for pairs, whose mean voltage is small; alike single cells, half of them driven, really make less."""
    noise = 0.05
    cell = RramCell(g_min_uS=4.0, g_max_uS=60.0, program_fraction=0.0, read_fraction=noise)
    unit = averaging(cell, {"cell_bits": 1, "factor_bits": 16, **array}, adc={"bits": 14, "step_levels": 1 / 32})
    weights, inputs = np.ones((1, 128), dtype=np.int64), np.zeros((3000, 128), dtype=np.int64)
    inputs[:, ::2] = 1
    weights[:, 1::4] = weights[:, 2::4] = -1 if unit.pairs else 1
    product, stored = made(weights, unit, weight_bits=2, input_bits=1)
    assert stored.conductances_uS is not None
    modelled = float(outputs_of(product, inputs).std())
    held = stored.conductances_uS[0][:, 0, :, 0].astype(np.float64)
    drawn = held * (1.0 + noise * np.random.default_rng(1).standard_normal((3000, *held.shape)))
    sides = np.array([1, -1])[: held.shape[1]]
    volts = (drawn * inputs[:, :, None] * sides).sum((1, 2)) / drawn.sum((1, 2))
    true = float(volts.std()) * held.sum() / 56.0
    assert math.isclose(true / modelled, ratio, rel_tol=0.06)


def test_every_kernel_gives_the_codes_of_the_reference() -> None:
    cell = RramCell(g_min_uS=4.0, g_max_uS=60.0)
    for array in ENCODINGS:
        unit = averaging(cell, array, adc={"bits": 8, "enob": 7.0, "offset_lsb_std": 0.5, "gain_std": 0.01})
        weights, inputs = random_weights(unit, 1, 5, 140), random_codes(2, 0, 255, 40, 140)
        product, _ = made(weights, unit)
        assert isinstance(product, CrossbarProduct)
        fast, _ = product.run(inputs.astype(np.int32), 0)
        tensor, _ = product.run_tensor(torch.from_numpy(inputs.astype(np.int32)), 0)
        assert np.array_equal(fast, tensor.numpy())
        quiet, _ = made(weights, unit, causes=Causes(reading=False))
        assert isinstance(quiet, CrossbarProduct)
        reference_output(quiet, inputs)


def test_ranges_that_differ_by_any_ratio_are_undone_by_the_factors() -> None:
    adc = {"bits": 14, "step_levels": 1 / 16, "gains": (1.0, 1.5)}
    unit = averaging(IdealCell(g_min_uS=5.0), {"factor_bits": 16}, adc=adc)
    weights, inputs = random_codes(1, -127, 127, 5, 128), random_codes(2, 0, 255, 40, 128)
    layer, chip = plan_for(weights, small_chip(unit)), small_chip(unit)
    stored = replace(made(weights, unit)[1], gains=(1.0, 1.5, 1.5, 1.0))
    read = outputs_of(product_of(stored, layer, chip, Causes(), seed=0), inputs)
    exact = inputs @ weights.T
    assert float(np.std(read - exact) / np.std(exact)) < 0.01


@pytest.mark.parametrize("clipping", [False, True])
def test_without_rounding_nothing_is_lost(clipping: bool) -> None:
    """Of ideal cells; of written ones the error of the cells is left."""
    weights, inputs = random_codes(1, -127, 127, 5, 128), random_codes(2, 0, 255, 40, 128)
    unit, exact = averaging(LOUD), inputs @ weights.T
    quiet = Causes(clipping=clipping, rounding=False, programming=False)
    assert isinstance(made(weights, unit, causes=quiet)[0], ExactProduct)
    smooth, current = (
        outputs_of(made(weights, each, causes=replace(quiet, programming=True))[0], inputs) - exact
        for each in (unit, crossbar(LOUD))
    )
    assert math.isclose(float(np.std(smooth)), float(np.std(current)), rel_tol=0.15)


def test_training_knows_the_spread_of_averaged_weights() -> None:
    """Of one-bit cells written to 2 % of the range, a pair errs by sqrt(2) of it; the column's sum hardly."""
    cell = RramCell(g_min_uS=20.0, g_max_uS=60.0, program_fraction=0.02, read_fraction=0.0)
    unit = averaging(cell, {"cell_bits": 1})
    mean, spread = weight_errors(
        plan_for(np.ones((1, 128), dtype=np.int64), small_chip(unit), weight_bits=2), small_chip(unit)
    )
    assert float(mean.abs().max()) < 0.01
    assert math.isclose(float(spread[-1]), 0.02 * math.sqrt(2), rel_tol=0.1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cell": SramCell(), "array": {"cell_bits": 1}}, "an sram cell gives charge.*charge_share"),
        ({"array": {"wires": {"row_ohm": 1.0, "column_ohm": 1.0}}}, "floating line are not solved; use no wires"),
        ({"array": {"encoding": "column_flip"}}, "use encoding offset"),
        ({"array": {"encoding": "offset", "sum_x": "analog"}}, "use sum_x digital"),
        ({"dac": {"skip": "zero_bits"}}, "use zero_planes"),
        ({"adc": {"post_calibration": PostCalibration()}}, r"array\.factor_bits; use no adc\.post_calibration"),
    ],
)
def test_averages_refuse_what_they_cannot_do(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        averaging(**change)


def test_averages_need_no_compensation() -> None:
    with pytest.raises(ValueError, match="cancels in an average; use no compensate"):
        replace(averaging(PcmCell()), compensate=Compensation())


WORKLOAD = Workload(Shapes((Operator("net#0", "linear", inputs=128, outputs=16),)), items=100)


def energy_pJ(unit: Crossbar, component: str) -> float:
    chip = small_chip(unit)
    bill = evaluate(chip, WORKLOAD, place(WORKLOAD.shapes, chip))
    return float(bill.energy_pJ[1, 0, :, bill.components.index(component)].sum())


def test_what_a_voltage_costs_beside_a_current() -> None:
    process, cell = small_chip().process, RramCell(g_min_uS=4.0, g_max_uS=60.0)
    floating, held = averaging(cell), crossbar(cell)
    amplifier_pJ = float(cell.sense(process).energy_pJ[1, 0])
    saved = float(held.convert(process).energy_pJ[1, 0] - floating.convert(process).energy_pJ[1, 0])
    assert 0.5 * amplifier_pJ < saved < amplifier_pJ  # less the charge of a line twice as long
    none = replace(floating, array=replace(floating.array, factor_bits=None))
    half = replace(floating, array=replace(floating.array, factor_bits=4))
    undone = [float(unit.correct(process).energy_pJ[1, 0]) for unit in (none, half, floating)]
    assert undone[0] == 0.0
    assert math.isclose(undone[2], 2 * undone[1])
    area = [float(unit.parts(process, 8, 8)["shift_add"].area_um2[1, 0]) for unit in (none, half, floating)]
    assert area[0] < area[1] < area[2]
    wider = float(floating.drive(process).energy_pJ[1, 0]) / float(held.drive(process).energy_pJ[1, 0])
    assert 1.0 < wider < 2.0  # two drivers, of half the line each
    assert float(floating.control(process).energy_pJ[1, 0]) > float(held.control(process).energy_pJ[1, 0])


def test_cells_of_a_single_column_take_less_the_more_rows_are_driven() -> None:
    """With half of alike rows at V the column floats at V / 2: half the power of a column held at 0 V."""
    cell = RramCell(g_min_uS=4.0, g_max_uS=60.0)
    for array, share in (({"encoding": "offset"}, 0.5), ({}, 1.0)):
        ratio = energy_pJ(averaging(cell, array), "cells") / energy_pJ(crossbar(cell, array=array), "cells")
        assert math.isclose(ratio, share, rel_tol=1e-9)


def test_a_read_lasts_until_its_column_has_settled() -> None:
    """ln 2 (bits + 1) C / G: cells of a hundredth take a hundred times as long, a longer declared read hides it."""
    process = small_chip().process
    unit = averaging(RramCell(g_min_uS=4.0, g_max_uS=60.0), {"read_ns": 1e-3}, adc={"bits": 7})
    slow = [settling(process, unit, mean_uS)[1, 0] * 1e-3 for mean_uS in (18.0, 0.18)]
    fF = float(unit.array.rows * 0.63)
    assert math.isclose(slow[1] / slow[0], 100.0)
    assert 0.2 < slow[0] / (math.log(2) * 8 * fF / (128 * 18.0)) < 5.0
    assert settling(process, replace(unit, array=replace(unit.array, read_ns=10.0)), 18.0)[1, 0] == 1.0
    lazy = averaging(RramCell(g_min_uS=0.001, g_max_uS=0.06), {"read_ns": 1.0})
    turns = [
        evaluate(chip, WORKLOAD, place(WORKLOAD.shapes, chip)).interval_ns[1, 0]
        for chip in (small_chip(lazy), small_chip(averaging(LOUD, {"read_ns": 1.0})))
    ]
    assert turns[0] > 3 * turns[1]
