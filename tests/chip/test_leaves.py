"""Cells, lines, units, memory and digital units: closed forms and limits of their costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmfield.chip.array import Array
from ohmfield.chip.baseline import Roofline
from ohmfield.chip.cells import CELLS
from ohmfield.chip.cells.base import Cell
from ohmfield.chip.cells.ideal import IdealCell
from ohmfield.chip.cells.rram import RramCell
from ohmfield.chip.cells.sram import SramCell
from ohmfield.chip.converters import SarAdc
from ohmfield.chip.dac import Dac
from ohmfield.chip.digital import ActivationUnit, GatherUnit, Requantiser
from ohmfield.chip.memory import Dram, Sram
from ohmfield.chip.process import Process
from ohmfield.chip.units import Crossbar, DigitalCim
from views import view_of

PROCESS = Process(node_nm=28, supply_V=0.9, clock_GHz=0.5)
OFFSET = Array(encoding="offset")
REAL = [kind for kind in CELLS.values() if kind is not IdealCell]
WRITTEN = [kind for kind in REAL if kind.rewritable]


def crossbar(cell: Cell | None = None, **changes: object) -> Crossbar:
    array = Array(cell_bits=1) if cell is not None and cell.max_bits == 1 else Array()
    return replace(Crossbar(cell=cell or RramCell(), array=array, dac=Dac(), adc=SarAdc()), **changes)


def mid(span: np.ndarray) -> float:
    return float(span[1, 0])


def test_limit_case_15_half_the_read_voltage_quarters_the_read_energy() -> None:
    for cell in (RramCell(), SramCell()):
        full, half = (cell.read(PROCESS, 50.0, Array(read_voltage_V=volt)).energy_pJ for volt in (0.4, 0.2))
        np.testing.assert_allclose(full, 4 * half)


def test_an_ohmic_read_is_v_squared_g_t() -> None:
    read = RramCell().read(PROCESS, 50.0, Array(read_voltage_V=0.2, read_ns=10.0))
    assert mid(read.energy_pJ) == pytest.approx(0.2**2 * 50e-6 * 10e-9 * 1e12)
    assert mid(read.latency_ns) == 10.0


@pytest.mark.parametrize("kind", REAL, ids=lambda kind: kind.kind)
def test_no_real_cell_is_free(kind: type[Cell]) -> None:
    cell = kind()
    assert np.all(cell.read(PROCESS, cell.mean_uS(0.5), Array(cell_bits=1)).energy_pJ > 0)
    assert np.all((cell.write(PROCESS).energy_pJ > 0) == (kind in WRITTEN))  # masks are not written
    assert np.all((cell.write(PROCESS).latency_ns > 0) == (kind in WRITTEN))
    assert np.all(cell.part(PROCESS).area_um2 > 0)
    assert np.all(cell.part(PROCESS).leakage_uW > 0)
    assert cell.assumptions


def test_the_ideal_cell_is_free() -> None:
    unit = crossbar(IdealCell())
    assert np.all(unit.cell.read(PROCESS, 1.0, unit.array).energy_pJ == 0)
    assert np.all(unit.parts(PROCESS, 8, 8)["cells"].area_um2 == 0)


def test_less_programming_error_costs_pulses() -> None:
    loose, tight = RramCell(program_fraction=0.02), RramCell(program_fraction=0.01)
    assert mid(tight.write(PROCESS).energy_pJ) == pytest.approx(2 * mid(loose.write(PROCESS).energy_pJ))
    assert loose.pulses() == pytest.approx(loose.verify_loops)


def test_a_driven_row_pays_for_all_its_columns() -> None:
    narrow, wide = (Dac().drive(PROCESS, columns).energy_pJ for columns in (128, 256))
    wider = Dac().drive(PROCESS, 384).energy_pJ
    np.testing.assert_allclose(wider - wide, wide - narrow)
    assert np.all(Dac(bits=2).drive(PROCESS, 128).energy_pJ > narrow)


def test_sharing_converters_changes_area_only() -> None:
    # Limit case 13: from 1 to 8 columns per converter, the converters' area falls to an eighth, energy stays.
    one, eight = (crossbar(array=Array(sample_and_hold=False), adc=SarAdc(columns_per_adc=n)) for n in (1, 8))
    ratio = one.parts(PROCESS, 8, 8)["adc"].area_um2 / eight.parts(PROCESS, 8, 8)["adc"].area_um2
    np.testing.assert_allclose(ratio, 8.0)
    np.testing.assert_array_equal(one.convert(PROCESS).energy_pJ, eight.convert(PROCESS).energy_pJ)
    assert (one.conversions_per_read(), eight.conversions_per_read()) == (1, 4)  # pairs subtracted in analog
    digital = crossbar(array=Array(subtract="digital"), adc=SarAdc(columns_per_adc=8))
    assert digital.conversions_per_read() == 8


def test_a_narrower_range_needs_gain_in_front() -> None:
    # 128 rows x 3 levels = 384 levels on either side; 128 codes of 4 levels cover them, of half a level 64 of them.
    covered, narrow = (crossbar(adc=SarAdc(step_levels=step)) for step in (4.0, 0.5))
    assert covered.front_gain() == 1.0
    assert narrow.front_gain() == 6.0
    # Columns by themselves have all 256 codes, and the pedestal: a third of a level more at 25 of 100 uS.
    cell = RramCell(g_min_uS=25.0, g_max_uS=100.0)
    alone = crossbar(cell, array=Array(subtract="digital"), adc=SarAdc(step_levels=1.0))
    assert alone.front_gain() == pytest.approx(384 * (100 / 75) / 256)
    assert replace(alone, cell=RramCell(g_min_uS=0.0)).front_gain() == pytest.approx(384 / 256)


@pytest.mark.parametrize("bits", [4, 6, 8, 10])
@pytest.mark.parametrize("array", [Array(), Array(subtract="digital"), Array(encoding="offset")])
def test_narrowing_the_range_always_costs(bits: int, array: Array) -> None:
    cell = RramCell(g_min_uS=4.0, g_max_uS=60.0)
    largest = float(crossbar(cell, array=array).largest_sum())
    covering = SarAdc(bits=bits).hardware_step(largest, signed=array.subtract == "analog" and array != OFFSET)
    steps = [covering / 2**halvings for halvings in range(1, 7)]
    units = [crossbar(cell, array=array, adc=SarAdc(bits=bits, step_levels=step)) for step in steps]
    energies = [mid(unit.convert(PROCESS).energy_pJ) for unit in units]
    areas = [mid(unit.parts(PROCESS, 8, 8)["adc"].area_um2) for unit in units]
    assert np.all(np.diff(energies) > 0)
    assert np.all(np.diff(areas) > 0)


def test_less_read_noise_costs_read_energy() -> None:
    loud, quiet, silent, least = (
        mid(RramCell(read_fraction=fraction).read(PROCESS, 50.0, Array()).energy_pJ)
        for fraction in (0.002, 0.001, 0.0, 1e-4)
    )
    assert quiet == pytest.approx(4 * loud)
    assert silent == least == pytest.approx(400 * loud)


@pytest.mark.parametrize(
    "unit", [crossbar(), crossbar(SramCell()), DigitalCim()], ids=["rram", "analog sram", "digital"]
)
def test_parts_have_area_leak_and_shrink_with_the_node(unit: Crossbar | DigitalCim) -> None:
    large = unit.parts(replace(PROCESS, node_nm=40.0), 8, 8)
    for name, part in unit.parts(PROCESS, 8, 8).items():
        low, middle, high = part.area_um2.ravel()
        assert 0 < low < middle < high, name
        assert np.all(part.leakage_uW > 0), name
        assert np.all(part.area_um2 < large[name].area_um2), name


def test_digital_cim_closed_forms() -> None:
    unit = DigitalCim(rows=64, columns=64)
    assert unit.digits(8) == 8
    assert DigitalCim(input_bits_per_cycle=3).digits(8) == 3
    assert unit.weights_per_row(8) == 8
    assert unit.weights_per_row(6) == 10
    slow = replace(PROCESS, clock_GHz=0.01)
    assert mid(unit.add(slow, 8).latency_ns) == pytest.approx(100.0)
    fast = replace(PROCESS, clock_GHz=5.0)
    # 64 inputs of 8 bits at 28 nm: five sums (2 XOR2) and thirteen carries (2 NAND2) of 47.8 ps gates.
    assert mid(unit.add(fast, 8).latency_ns) == pytest.approx(0.0478 * (5 * 2 * 2.4 + 13 * 2), rel=1e-6)


def test_sram_meets_the_table_and_grows_with_size() -> None:
    at_22 = Process(node_nm=22, supply_V=0.85, clock_GHz=0.5)
    assert mid(Sram(kilobytes=64).read(at_22).energy_pJ) == pytest.approx(0.709 * 8)
    assert mid(Sram(kilobytes=64).write(at_22).energy_pJ) == pytest.approx(0.553 * 8)
    assert mid(Sram(kilobytes=64).part(at_22).area_um2) == pytest.approx(0.059e6)
    assert mid(Sram(kilobytes=64).read(at_22).latency_ns) == pytest.approx(0.98)
    reads = [mid(Sram(kilobytes=size).read(PROCESS).energy_pJ) for size in (0.25, 1, 3, 8, 50, 700, 9000)]
    assert np.all(np.diff(reads) > 0)
    assert Sram(word_bits=64).accesses(65) == 2


@pytest.mark.parametrize("node", [3, 14, 22, 30, 65, 90, 180])
def test_sram_grows_with_the_node(node: float) -> None:
    small, large = (Process(node_nm=n, supply_V=0.9, clock_GHz=0.5, extrapolate=True) for n in (node * 0.9, node))
    assert np.all(Sram().part(large).area_um2 > Sram().part(small).area_um2)


def test_requantisers_order() -> None:
    cost = {
        rule: mid(Requantiser(rule=rule).value(PROCESS, 24).energy_pJ) for rule in ("power_of_two", "dyadic", "float")
    }
    assert cost["power_of_two"] < cost["dyadic"] < cost["float"]


def test_wider_words_cost_more() -> None:
    for wide, narrow in (
        (ActivationUnit(word_bits=16).value(PROCESS, "sine"), ActivationUnit(word_bits=12).value(PROCESS, "sine")),
        (ActivationUnit(table_bits=10).value(PROCESS, "sine"), ActivationUnit(table_bits=8).value(PROCESS, "sine")),
        (GatherUnit(weight_bits=8).interpolate(PROCESS, 2, 2), GatherUnit(weight_bits=6).interpolate(PROCESS, 2, 2)),
        (GatherUnit(coordinate_bits=16).address(PROCESS, 3), GatherUnit(coordinate_bits=12).address(PROCESS, 3)),
        (Requantiser(multiplier_bits=16).value(PROCESS, 24), Requantiser(multiplier_bits=8).value(PROCESS, 24)),
    ):
        assert np.all(wide.energy_pJ > narrow.energy_pJ)


def test_lanes_are_area() -> None:
    one, two = (ActivationUnit(lanes=lanes).part(PROCESS, ("quad",)).area_um2 for lanes in (64, 128))
    np.testing.assert_allclose(two, 2 * one)
    both = ActivationUnit().part(PROCESS, ("quad", "relu")).area_um2
    assert np.all(both > ActivationUnit().part(PROCESS, ("quad",)).area_um2)


def test_dram_and_roofline() -> None:
    moved = Dram(pJ_per_bit=8.0, bandwidth_GBps=10.0).transfer(32 * 256)
    assert mid(moved.energy_pJ) == pytest.approx(8 * 32 * 256)
    assert mid(moved.latency_ns) == pytest.approx(32 * 32 / 10.0)
    plain = Roofline(
        name="x", source="x", peak_GFLOPs=100, bandwidth_GBps=10, idle_W=1, busy_W=2, utilisation=0.5, streaming=0.5
    )
    assert mid(plain.cost(flops=100, moved_bytes=1).latency_ns) == pytest.approx(2.0)  # compute-bound
    assert mid(plain.cost(flops=1, moved_bytes=100).latency_ns) == pytest.approx(20.0)  # memory-bound
    launched = replace(plain, launch_us=5.0).cost(flops=0, moved_bytes=0, launches=3)
    assert mid(launched.latency_ns) == pytest.approx(15e3)
    low, middle, high = launched.energy_pJ.ravel()
    assert low < middle < high == pytest.approx(15e-6 * 2 * 1e12)


def test_arrays_behind_the_attributes_price_many_designs_alike() -> None:
    nodes, rows = np.array([22.0, 40.0]), np.array([128, 256])
    process = view_of(PROCESS, node_nm=nodes)
    array = view_of(Array(), rows=rows)
    unit = view_of(crossbar(), array=array)
    parts, convert = unit.parts(process, 8, 8), unit.convert(process)
    for index, (node, count) in enumerate(zip(nodes, rows, strict=True)):
        one = crossbar(array=Array(rows=int(count)))
        single = replace(PROCESS, node_nm=float(node))
        np.testing.assert_allclose(convert.energy_pJ[:, index], one.convert(single).energy_pJ[:, 0])
        for name, part in one.parts(single, 8, 8).items():
            np.testing.assert_allclose(np.broadcast_to(parts[name].area_um2, (3, 2))[:, index], part.area_um2[:, 0])
