"""The limit cases of the bill: conversions of a layer, sharing, idling, waves, read voltage."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from cost.leaves import chip, layers, one_layer
from ohmfield.chip.array import Array
from ohmfield.chip.cells.rram import RramCell
from ohmfield.chip.units import Crossbar, DigitalCim
from ohmfield.cost.actions import Rates, linear_actions
from ohmfield.cost.bill import Bill
from ohmfield.cost.evaluate import IDLE, evaluate
from ohmfield.mapping.place import place
from ohmfield.mapping.tile import tile
from ohmfield.mapping.workload import Workload
from ohmfield.tally import Tally

MID = 1


def bill_of(description, workload: Workload, copies: Literal["fit"] | int = "fit", input_bits: int = 8) -> Bill:
    placement = place(workload.shapes, description, input_bits=input_bits, copies=copies)
    return evaluate(description, workload, placement)


def component(bill: Bill, name: str) -> float:
    return float(bill.energy_pJ[MID, 0, :, bill.components.index(name)].sum())


def area(bill: Bill, name: str) -> float:
    return float(bill.area_um2[MID, 0, bill.components.index(name)])


@pytest.mark.parametrize(("subtract", "conversions"), [("analog", 16_384), ("digital", 32_768)])
def test_conversions_of_the_square_layer(subtract, conversions):
    array = Array(rows=256, columns=2048, rows_active=128, cell_bits=2, subtract=subtract)
    description, workload = chip(array=array), one_layer(items=1)
    placement = place(workload.shapes, description)
    (operator,), unit = workload.shapes.operators, description.units["crossbar"]
    cut = tile(operator, unit, 8)
    actions = linear_actions(operator, placement.sites[operator.id], unit, cut, Rates(workload), placement)
    assert cut.outputs * cut.geometry.columns_per_weight == 2048
    assert actions.conversions == conversions
    assert component(evaluate(description, workload, placement), "adc") == pytest.approx(
        conversions * float(unit.convert(description.process).energy_pJ[MID, 0])
    )


@pytest.mark.parametrize(
    ("encoding", "weight_bits", "columns"),
    [
        ("differential", 8, 8),
        ("offset", 8, 4),
        ("column_flip", 8, 4),
        ("twos_complement", 8, 5),
        ("ternary", 2, 2),
        ("xnor", 1, 2),
        ("two_level", 1, 1),
    ],
)
@pytest.mark.parametrize("sum_x", ["digital", "analog"])
def test_columns_and_conversions_of_each_encoding(encoding, weight_bits, columns, sum_x):
    """Reference columns are columns: they take a place beside the weights, are written, read and converted."""
    cell_bits = 1 if weight_bits < 3 else 2
    array = Array(rows=256, columns=2050, rows_active=128, cell_bits=cell_bits, encoding=encoding, sum_x=sum_x)
    description, workload = chip(array=array), one_layer(items=1)
    placement = place(workload.shapes, description, weight_bits)
    (operator,), unit = workload.shapes.operators, description.units["crossbar"]
    cut = tile(operator, unit, weight_bits)
    actions = linear_actions(operator, placement.sites[operator.id], unit, cut, Rates(workload), placement)
    references = int(sum_x == "analog" and encoding in ("offset", "column_flip", "two_level"))
    pairs = 2 if encoding in ("differential", "ternary", "xnor") else 1
    assert cut.geometry.columns_per_weight == columns
    assert cut.column_blocks == 1
    assert actions.conversions == (256 * columns / pairs + references) * 2 * 8
    assert actions.cells == 256 * (256 * columns + references)
    assert unit.array.columns_per_weight(weight_bits) == columns


def test_a_reference_column_takes_the_place_of_weights():
    cases: tuple[tuple[Literal["digital", "analog"], int], ...] = (("digital", 1), ("analog", 2))
    for sum_x, fits in cases:
        array = Array(rows=256, columns=1024, rows_active=128, encoding="offset", sum_x=sum_x)
        assert tile(one_layer().shapes.operators[0], chip(array=array).units["crossbar"], 8).column_blocks == fits


def test_sharing_a_converter_costs_time_not_dynamic_energy():
    array = Array(rows=256, columns=2048, rows_active=128, subtract="digital")
    own, shared = (bill_of(chip(array=array, columns_per_adc=columns), one_layer(), copies=1) for columns in (1, 8))
    assert component(shared, "adc") == pytest.approx(component(own, "adc"))
    # Samplers, one per column, stay; the converters themselves are an eighth.
    per_converter = 64 * 2048 * 800.0
    assert area(own, "adc") - area(shared, "adc") == pytest.approx(per_converter * 7 / 8)
    assert shared.latency_ns[MID, 0, 0] == pytest.approx(8 * own.latency_ns[MID, 0, 0])  # 10 ns settle = 10 ns convert
    assert component(shared, "leakage") > component(own, "leakage")


@pytest.mark.parametrize(("hold", "time_ns"), [(True, 40.0), (False, 50.0)])
def test_one_read_takes_settling_and_conversions_or_the_longer(hold, time_ns):
    array = Array(rows=256, columns=2048, rows_active=128, read_ns=10, sample_and_hold=hold)
    bill = bill_of(chip(array=array), one_layer(items=100), copies=1)  # eight columns: four pairs of 10 ns
    assert bill.latency_ns[MID, 0, 0] == pytest.approx(100 * 8 * 2 * time_ns)  # vectors, planes, groups


def test_idling_draws_leakage_and_frames_follow_at_the_interval():
    bill = bill_of(chip(), one_layer())
    assert bill.power_at(0.0)[MID] == pytest.approx(float(bill.leakage_uW[MID, 0]) * 1e-6)
    fps = 0.5 * bill.frames_per_s[MID]
    assert bill.power_at(fps)[MID] == pytest.approx(bill.dynamic_mJ[MID] * 1e-3 * fps + bill.power_at(0.0)[MID])
    # At full rate leakage is on for one interval per frame.
    idle = bill.energy_pJ[MID, 0, bill.operators.index(IDLE)].sum()
    assert idle == pytest.approx(float(bill.leakage_uW[MID, 0] * bill.interval_ns[MID, 0]) * 1e-3)


def test_one_array_more_than_fits_writes_the_shared_slot_twice():
    workload = Workload(layers(*[(256, 256)] * 9), items=1)
    fits, over = (chip(num_arrays=n, inferences_per_write=1e6) for n in (9, 8))
    all_resident, one_shared = bill_of(fits, workload, copies=1), bill_of(over, workload, copies=1)
    cells = 256 * 2048
    write = cells * 5.0
    step = component(one_shared, "programming") - component(all_resident, "programming")
    assert step == pytest.approx(2 * write * (1 - 1e-6))
    for name in ("cells", "drivers", "adc", "shift_add", "control", "requantiser", "buffer"):
        assert component(one_shared, name) == pytest.approx(component(all_resident, name)), name
    # The codes of the two arrays come from outside the chip.
    moved = over.host.cost(0.0, 2 * 256 * 256).energy_pJ[MID, 0]
    assert component(one_shared, "host") == pytest.approx(moved)
    assert component(all_resident, "host") == 0.0
    assert component(one_shared, "leakage") > component(all_resident, "leakage")
    assert one_shared.interval_ns[MID, 0] > 2 * 256 * 100.0  # two waves, 256 rows of 100 ns


def test_waves_of_three_rewrite_everything():
    workload = Workload(layers(*[(256, 256)] * 6), items=1)
    bill = bill_of(chip(num_arrays=2), workload, copies=1)
    assert component(bill, "programming") == pytest.approx(6 * 256 * 2048 * 5.0)


@pytest.mark.parametrize("cell", [None, RramCell(g_min_uS=4, g_max_uS=60)])
def test_half_the_read_voltage_quarters_the_ohmic_read_energy(cell):
    full, half = (
        bill_of(chip_with(cell, Array(rows=256, columns=2048, read_voltage_V=volt)), one_layer()) for volt in (0.2, 0.1)
    )
    assert component(half, "cells") == pytest.approx(component(full, "cells") / 4)
    assert component(half, "cells") > 0.0


def chip_with(cell, array: Array):
    description = chip(array=array)
    unit = description.units["crossbar"]
    assert isinstance(unit, Crossbar)
    return replace(description, units={"crossbar": replace(unit, cell=cell)}) if cell else description


def test_copies_divide_the_time_and_multiply_the_writes():
    one, four = (bill_of(chip(), one_layer(items=4000), copies=n) for n in (1, 4))
    assert four.latency_ns[MID, 0, 0] == pytest.approx(one.latency_ns[MID, 0, 0] / 4)
    assert component(four, "programming") == pytest.approx(4 * component(one, "programming"))
    assert component(four, "adc") == pytest.approx(component(one, "adc"))


def test_planes_and_slices_multiply_the_work():
    full, half = (bill_of(chip(), one_layer(), input_bits=bits) for bits in (8, 4))
    assert component(full, "adc") == pytest.approx(2 * component(half, "adc"))
    np.testing.assert_allclose(full.latency_ns[MID, 0, 0], 2 * half.latency_ns[MID, 0, 0])


def counts_of(unit, inputs: int, outputs: int, driven: float | None = None):
    shapes = layers((inputs, outputs))
    (operator,) = shapes.operators
    tally = Tally()
    if driven is not None:
        tally.add(operator.id, driven=driven)
    workload = Workload(shapes, items=10, tally=tally, tally_items=1)
    placement = place(shapes, chip(units={"unit": unit}))
    cut = tile(operator, unit, 8)
    return linear_actions(operator, placement.sites[operator.id], unit, cut, Rates(workload), placement)


def test_counts_of_a_digital_array():
    counts = counts_of(DigitalCim(rows=32, banks=4, columns=64), inputs=100, outputs=20, driven=100 * 8 * 0.5)
    assert counts.planes == 8
    assert counts.drives == 10 * 100 * 8 * 0.5 * 3  # 20 outputs are three arrays wide
    assert counts.cell_reads == 10 * 100 * 8 * 0.5 * 20
    assert counts.additions == 10 * 8 * 4 * 20  # four banks of rows
    assert counts.turns == 10 * 8 * 4
    assert counts.conversions == 0
    assert counts.cells == 100 * 20 * 8


def test_a_wider_digit_is_driven_if_any_of_its_bits_is_set():
    counts = counts_of(DigitalCim(rows=128, input_bits_per_cycle=2), inputs=100, outputs=8, driven=100 * 8 * 0.5)
    assert counts.planes == 4
    assert counts.driven == pytest.approx(10 * 100 * 4 * 0.75)


@pytest.mark.parametrize(("g_min_uS", "per_code"), [(0.0, 1), (5.0, 2)])
def test_the_digital_sum_of_inputs_is_billed(g_min_uS, per_code):
    array = Array(rows=256, columns=512, rows_active=128, encoding="offset")
    unit = chip(array=array).units["crossbar"]
    assert isinstance(unit, Crossbar)
    unit = replace(unit, cell=replace(unit.cell, g_min_uS=g_min_uS))
    counts = counts_of(unit, inputs=256, outputs=64)
    codes = 10 * 8 * 2 * 4 * 64
    assert counts.conversions == codes
    assert counts.additions == per_code * codes + 10 * (8 * 256 + 64)
