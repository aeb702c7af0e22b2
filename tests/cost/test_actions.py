"""What drift compensation and encodings of single columns add, and what of it is assumed."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from cost.leaves import chip, layers
from ohmfield.chip.array import Array
from ohmfield.chip.cells.rram import RramCell
from ohmfield.chip.column_sums import ColumnSums
from ohmfield.chip.compensation import Compensation
from ohmfield.chip.converters import FlashAdc, SarAdc
from ohmfield.chip.correction import PostCalibration
from ohmfield.chip.units import Crossbar
from ohmfield.cost.actions import LinearActions, Rates, calibrations, linear_actions
from ohmfield.cost.evaluate import evaluate
from ohmfield.mapping.place import place
from ohmfield.mapping.tile import tile
from ohmfield.mapping.workload import Operator, Shapes, Workload


def both(array: Array, operator: Operator, g_min_uS: float = 0.0) -> tuple[LinearActions, LinearActions]:
    """(one inference, one calibration) of one vector through `operator`."""
    made = chip(array=array)
    unit = made.units["crossbar"]
    assert isinstance(unit, Crossbar)
    compensate = Compensation(inferences_between=1.0)
    unit = replace(unit, cell=RramCell(g_min_uS=g_min_uS, g_max_uS=60.0), compensate=compensate)
    made = replace(made, units={"crossbar": unit})
    workload = Workload(Shapes((operator,)), items=1)
    placement = place(workload.shapes, made, copies=1)
    site, cut = placement.sites[operator.id], tile(operator, unit, 8)
    plain = linear_actions(operator, site, unit, cut, Rates(workload), placement)
    (again,) = calibrations(operator, site, unit, cut, workload, placement)
    return plain, again


@pytest.mark.parametrize("groups", [1, 12, 40])
@pytest.mark.parametrize("sum_x", ["digital", "analog"])
def test_a_calibration_reads_every_pack_once(groups: int, sum_x: Literal["digital", "analog"]) -> None:
    """As one inference of one plane does, except that reference columns are not converted."""
    array = Array(rows=64, columns=128, rows_active=32, encoding="offset", sum_x=sum_x)
    operator = Operator("layer#0", "linear", inputs=9, outputs=4, groups=groups)
    plain, again = both(array, operator, g_min_uS=1.0)
    planes = plain.planes
    assert again.reads == plain.reads / planes
    assert again.looks == plain.looks / planes
    assert again.turns == plain.turns / planes
    assert again.driven == 9 * groups
    assert again.cell_reads == pytest.approx(plain.cell_reads / plain.driven * again.driven)
    assert again.conversions == 4 * 4 * groups
    if sum_x == "digital":
        assert again.conversions == plain.conversions / planes


@pytest.mark.parametrize("sum_x", ["digital", "analog"])
def test_column_sums_are_read_as_often_as_declared(sum_x: Literal["digital", "analog"]) -> None:
    """Like inferences of as many vectors per copy, half of the bits set; only of layers with a zero point."""
    array = Array(rows=64, columns=128, rows_active=32, encoding="offset", sum_x=sum_x)
    operator = Operator("layer#0", "linear", inputs=100, outputs=40)
    made = chip(array=array)
    unit = replace(made.units["crossbar"], measured_column_sums=ColumnSums(reads=8, inferences_between=50.0))
    assert isinstance(unit, Crossbar)
    made = replace(made, units={"crossbar": unit})
    workload = Workload(Shapes((operator,)), items=1)
    placement = place(workload.shapes, made, copies=1)
    site, cut = placement.sites[operator.id], tile(operator, unit, 8)
    assert calibrations(operator, site, unit, cut, workload, placement) == []
    placement = replace(placement, zero_points=frozenset({"layer"}))
    (again,) = calibrations(operator, site, unit, cut, workload, placement)
    plain = linear_actions(operator, site, unit, cut, Rates(workload), placement)
    for name in ("vectors", "reads", "driven", "drives", "cell_reads", "conversions", "turns"):
        assert getattr(again, name) == pytest.approx(getattr(plain, name) * 8 / 50), name
    (waves,) = calibrations(operator, site, unit, cut, workload, replace(placement, waves=2))
    assert waves.conversions == pytest.approx(plain.conversions * 8)


def test_a_pedestal_is_taken_off_codes_or_once_off_every_output() -> None:
    """256 x 16 weights in four slices, two row groups: a counter corrects every code, reference columns the outputs."""
    operator = Operator("layer#0", "linear", inputs=256, outputs=16)
    cases: list[tuple[Literal["digital", "analog"], float, int]] = [
        ("digital", 0.0, 8 * 256 + 16),
        ("digital", 1.0, 8 * 256 + 16 + 8 * 2 * 64),
        ("analog", 0.0, 16),
        ("analog", 1.0, 2 * 16),
    ]
    for sum_x, g_min_uS, extra in cases:
        array = Array(rows=256, columns=2050, rows_active=128, encoding="offset", sum_x=sum_x)
        plain, _ = both(array, operator, g_min_uS)
        assert plain.additions - plain.conversions == extra, (sum_x, g_min_uS)


def test_what_is_assumed_of_trimming_and_of_effective_bits_is_said() -> None:
    made = chip()
    unit, workload = made.units["crossbar"], Workload(layers((64, 8)), items=1)
    assert isinstance(unit, Crossbar)

    def said(other: Crossbar) -> str:
        changed = replace(made, units={"crossbar": other})
        return "\n".join(evaluate(changed, workload, place(workload.shapes, changed)).warnings)

    trimmed = "assumed: drift compensation of crossbar: 5% of a converter"
    assert trimmed in said(replace(unit, compensate=Compensation(where="analog")))
    assert trimmed not in said(replace(unit, compensate=Compensation(where="digital")))
    effective = "assumed: converters of crossbar: half of a decision's energy"
    assert effective in said(replace(unit, adc=FlashAdc(bits=6, enob=5.0)))
    assert effective not in said(replace(unit, adc=FlashAdc(bits=6)))
    assert effective not in said(replace(unit, adc=SarAdc(bits=6, enob=5.0)))  # its shape has a source


def test_fits_of_registers_and_ranges_chosen_on_an_instance_are_read_and_billed() -> None:
    """64 known vectors every 10 inferences; two vectors an inference at each of three gains."""
    made = chip()
    unit, workload = made.units["crossbar"], Workload(layers((256, 256)), items=1)
    assert isinstance(unit, Crossbar)

    def bill(adc: SarAdc, range_vectors: float = 0.0) -> tuple[float, float]:
        changed = replace(made, units={"crossbar": replace(unit, adc=adc)})
        work = replace(workload, range_vectors=range_vectors)
        result = evaluate(changed, work, place(work.shapes, changed, copies=1))
        adc_pJ = float(result.energy_pJ[1, 0, :, result.components.index("adc")].sum())
        return adc_pJ, float(result.interval_ns[1, 0])

    plain, interval_ns = bill(SarAdc())
    fitted, longer_ns = bill(SarAdc(post_calibration=PostCalibration(inferences_between=10.0)))
    assert fitted == pytest.approx(plain * (1.0 + 64 / 10.0))
    assert longer_ns > 5.0 * interval_ns
    gains = SarAdc(gains=(1.0, 2.0, 4.0))
    assert bill(gains, 2.0)[0] == pytest.approx(bill(gains)[0] * (1.0 + 2.0 * 3))
    assert bill(SarAdc(), 2.0) == (plain, interval_ns)  # one range: nothing to choose
