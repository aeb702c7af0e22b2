"""What lines, drivers and amplifiers of less resistance cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmfield._kernels.wires import nodal
from ohmfield.chip.cells import RramCell
from ohmfield.chip.process import Process
from ohmfield.chip.wires import NARROWEST, Wires, narrowest
from ohmfield.cost.evaluate import evaluate
from ohmfield.mapping.place import place
from ohmfield.mapping.workload import Operator, Shapes, Workload
from small_chip import crossbar, small_chip

PROCESS = Process(node_nm=32, supply_V=1.0, clock_GHz=0.2)
CELL_UM2 = np.full((3, 1), 0.09)  # a pitch of 0.3 um


def test_the_narrowest_line_is_the_process_s() -> None:
    width_nm, ohm_per_um = narrowest(32.0)
    assert (float(width_nm), float(ohm_per_um)) == pytest.approx(NARROWEST[32.0])
    narrow = Wires(row_ohm=5.70 * 0.3, column_ohm=99.0)
    assert narrow.width(narrow.row_ohm, PROCESS, CELL_UM2)[1, 0] == pytest.approx(1.0)
    assert narrow.row_load(PROCESS, CELL_UM2)[1, 0] == pytest.approx(1.0)
    assert narrow.spread_um2(PROCESS, CELL_UM2)[1, 0] == pytest.approx(0.09)


def test_half_the_resistance_is_twice_the_width() -> None:
    half = Wires(row_ohm=5.70 * 0.3 / 2, column_ohm=99.0)
    assert half.row_load(PROCESS, CELL_UM2)[1, 0] == pytest.approx(1.5)  # half of the capacitance doubles
    assert half.spread_um2(PROCESS, CELL_UM2)[1, 0] == pytest.approx(0.3 * (0.3 + 0.056))


def test_drivers_and_amplifiers_cost_inversely_to_their_resistance() -> None:
    ten, hundred = Wires(driver_ohm=10.0, sense_ohm=10.0), Wires(driver_ohm=100.0, sense_ohm=100.0)
    assert np.allclose(ten.drive(PROCESS).energy_pJ, 10.0 * hundred.drive(PROCESS).energy_pJ)
    assert np.allclose(ten.sense(PROCESS, 10.0).energy_pJ, 10.0 * hundred.sense(PROCESS, 10.0).energy_pJ)
    # 3 ps / 10 ohm at 28 nm is 300 fF, at 1 V 0.3 pJ, the delay of 32 nm aside; 40 mV / (100 * 10 ohm) for 10 ns 0.4 pJ
    assert ten.drive(PROCESS).energy_pJ[1, 0] == pytest.approx(0.3 * float(PROCESS.delay_ns(np.ones((3, 1)))[1, 0]))
    assert ten.sense(PROCESS, 10.0).energy_pJ[1, 0] == pytest.approx(0.4)
    low, mid, high = ten.sense(PROCESS, 10.0).energy_pJ[:, 0]
    assert low < mid < high
    gated = replace(ten, input_on="gate", idle_rows="gated")
    assert not gated.drive(PROCESS).energy_pJ.any()  # what switches is the gate


@pytest.mark.parametrize(("ohm", "loss", "within"), [(1.0, 0.1, 0.01), (4.0, 0.3, 0.05)])
def test_the_share_of_current_is_that_of_the_nodal_solve(ohm: float, loss: float, within: float) -> None:
    rows, columns = 48, 64
    wires = Wires(row_ohm=ohm, column_ohm=0.7 * ohm, driver_ohm=9.0 * ohm, sense_ohm=5.0 * ohm)
    driven = np.arange(rows) % 2 == 0
    solved = nodal(np.full((rows, columns), 50e-6), 0.2 * driven, wires.lines)
    delivered = ((0.2 - solved.rows_V[:, 0]) / (wires.driver_ohm + wires.row_ohm))[driven].sum()
    share = delivered / (0.2 * 50e-6 * columns * driven.sum())
    assert 1.0 - share == pytest.approx(loss, rel=0.4)
    assert float(wires.current_share(50.0, driven.sum(), rows, columns)) == pytest.approx(share, rel=within)


def test_a_bill_with_wires_says_what_it_assumes_and_reads_less_current() -> None:
    shapes = Shapes((Operator("layer#0", "linear", inputs=256, outputs=32),))

    def billed(wires: Wires | None) -> tuple[float, tuple[str, ...]]:
        chip = small_chip(crossbar(RramCell(), array={"wires": wires}))
        bill = evaluate(chip, Workload(shapes, items=1.0), place(shapes, chip))
        cells = float(bill.energy_pJ[1, 0, 0, bill.components.index("cells")])
        return cells, bill.warnings

    (without, quiet), (small, said) = billed(None), billed(Wires())
    large, _ = billed(Wires(row_ohm=10.0, column_ohm=10.0))
    assert without > small > large > 0.0
    assert not any("wires" in line for line in quiet)
    assert sum("assumed: wires" in line for line in said) == len(Wires.assumptions)
