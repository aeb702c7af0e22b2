"""Arrays with resistance in their lines: closed forms, conservation, and three ways to the same currents."""

import numpy as np
import pytest
import torch

from ohmfield._kernels.wires import (
    CellLaw,
    Lines,
    NotConverged,
    Voltages,
    line_currents,
    nodal,
    operator,
)

LINES = Lines(row_ohm=20.0, column_ohm=12.0, driver_ohm=150.0, sense_ohm=70.0)
SINH = CellLaw(k_per_V=8.0, read_V=0.2)


def cells(rows: int, columns: int, seed: int = 0, top_S: float = 100e-6) -> np.ndarray:
    """Conductances of which a fifth are zero."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0.0, top_S, (rows, columns)) * (rng.random((rows, columns)) > 0.2)


def transfer(conductances_S: np.ndarray, lines: Lines, floating: np.ndarray | None = None) -> np.ndarray:
    return operator(torch.from_numpy(conductances_S), lines, floating).numpy()


def assert_close(got: np.ndarray, want: np.ndarray, share: float = 1e-9) -> None:
    assert np.abs(got - want).max() <= share * np.abs(want).max()


def test_limit_case_10_one_cell_is_a_chain_of_resistors() -> None:
    chain = 1.0 / (150.0 + 20.0 + 1.0 / 50e-6 + 12.0 + 70.0)
    one, volt = np.array([[50e-6]]), np.array([0.2])
    assert transfer(one, LINES)[0, 0] == pytest.approx(chain, rel=1e-14)
    assert nodal(one, volt, LINES).currents_A[0] == pytest.approx(0.2 * chain, rel=1e-12)
    assert line_currents(one, volt[None], LINES)[0, 0] == pytest.approx(0.2 * chain, rel=1e-12)


@pytest.mark.parametrize("shape", [(3, 17), (17, 3)])
def test_limit_case_10_no_resistance_gives_the_ideal_product(shape: tuple[int, int]) -> None:
    conductances, none = cells(*shape), Lines(0.0, 0.0)
    assert_close(transfer(conductances, none), conductances, 1e-15)
    drive = np.linspace(0.0, 0.2, shape[0])
    assert_close(line_currents(conductances, drive[None], none)[0], drive @ conductances, 1e-8)


@pytest.mark.parametrize("resistance", [1e-9, 1e-6, 1e-3])
def test_loss_falls_with_resistance_and_nothing_cancels(resistance: float) -> None:
    conductances = cells(24, 18)
    loss = 1.0 - transfer(conductances, Lines(resistance, resistance)).sum() / conductances.sum()
    coarse = 1.0 - transfer(conductances, Lines(1e-2, 1e-2)).sum() / conductances.sum()
    assert loss == pytest.approx(coarse * resistance / 1e-2, rel=1e-3, abs=4e-16)


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (14, 9), (9, 14)])
def test_operator_equals_the_nodal_solve(shape: tuple[int, int]) -> None:
    conductances = cells(*shape)
    drive = np.random.default_rng(1).uniform(-0.2, 0.2, shape[0])
    want = nodal(conductances, drive, LINES).currents_A
    assert_close(drive @ transfer(conductances, LINES), want)
    assert np.abs(drive @ conductances - want).max() > 1e-3 * np.abs(want).max()  # there is something to find


def test_a_batch_of_arrays_is_each_array() -> None:
    batch = torch.from_numpy(np.stack([cells(7, 5, seed) for seed in range(6)])).reshape(2, 3, 7, 5)
    got = operator(batch, LINES)
    assert_close(got[1, 2].numpy(), operator(batch[1, 2], LINES).numpy(), 1e-13)


def test_limit_case_10_transposed_read_is_the_transpose_where_both_ends_match() -> None:
    """Driven at the sense ends of the columns, sensed at the drivers of the rows: cell order turns with the ends."""
    conductances = cells(8, 11)
    ends_match = Lines(20.0, 12.0, 70.0, 70.0)
    turned = np.flip(conductances).T.copy()
    back = np.flip(transfer(turned, Lines(12.0, 20.0, 70.0, 70.0)).T)
    assert_close(back, transfer(conductances, ends_match))
    drive = np.random.default_rng(2).uniform(0.0, 0.2, 11)
    plain = nodal(turned, drive[::-1].copy(), Lines(12.0, 20.0, 70.0, 70.0)).currents_A[::-1]
    assert_close(plain, transfer(conductances, ends_match) @ drive)
    differ = transfer(turned, Lines(12.0, 20.0, 150.0, 70.0))  # each read with its own driver and sense
    assert np.abs(np.flip(differ.T) - transfer(conductances, LINES)).max() > 1e-3 * conductances.max()


@pytest.mark.parametrize("law", [CellLaw(), SINH])
def test_limit_case_10_power_in_is_heat_in_the_resistors(law: CellLaw) -> None:
    conductances, drive = cells(9, 6), np.random.default_rng(3).uniform(0.0, 0.2, 9)
    solved = nodal(conductances, drive, LINES, law)
    assert np.dot(drive, _driver_currents(solved, drive)) == pytest.approx(_heat(solved, conductances, drive, law))


def _driver_currents(solved: Voltages, drive: np.ndarray) -> np.ndarray:
    return (drive - solved.rows_V[:, 0]) / (LINES.driver_ohm + LINES.row_ohm)


def _heat(solved: Voltages, conductances: np.ndarray, drive: np.ndarray, law: CellLaw) -> float:
    """I^2 R of every line segment and end, V I of every cell."""
    rows, columns = np.diff(solved.rows_V, axis=1) / LINES.row_ohm, np.diff(solved.columns_V, axis=0) / LINES.column_ohm
    across = solved.rows_V - solved.columns_V
    return float(
        (rows**2).sum() * LINES.row_ohm
        + (columns**2).sum() * LINES.column_ohm
        + (_driver_currents(solved, drive) ** 2).sum() * (LINES.driver_ohm + LINES.row_ohm)
        + (solved.currents_A**2).sum() * (LINES.column_ohm + LINES.sense_ohm)
        + (across * conductances * law.current(across)).sum()
    )


def test_limit_case_10_gated_inputs_fail_superposition_and_driven_ones_do_not() -> None:
    conductances = cells(12, 8)
    both = np.zeros((3, 12), dtype=bool)
    both[0, :6], both[1, 6:], both[2] = True, True, True
    gated = line_currents(conductances, np.full((3, 12), 0.2), LINES, gates=both)
    assert np.abs(gated[0] + gated[1] - gated[2]).max() > 1e-2 * gated.max()
    driven = line_currents(conductances, 0.2 * both, LINES)
    assert_close(driven[0] + driven[1], driven[2])


@pytest.mark.parametrize("law", [CellLaw(), SINH])
@pytest.mark.parametrize("resistance", [1e-6, 1.0, 100.0, 3000.0])
def test_line_solves_equal_the_nodal_solve_whatever_is_driven(law: CellLaw, resistance: float) -> None:
    """From nothing lost to 99 % lost."""
    rng = np.random.default_rng(4)
    conductances, lines = cells(21, 13), Lines(resistance, resistance, 5.0 * resistance, 2.0 * resistance)
    gates, floating = rng.random((4, 21)) > 0.4, rng.random((4, 21)) > 0.7
    drives = rng.integers(-1, 2, (4, 21)) * 0.2
    got = line_currents(conductances, drives, lines, law, gates, floating)
    for pattern in range(4):
        want = nodal(conductances, drives[pattern], lines, law, gates[pattern], floating[pattern]).currents_A
        assert_close(got[pattern], want, 1e-7)


def test_operator_with_floating_rows() -> None:
    conductances, floating = cells(10, 6), np.arange(10) % 3 == 0
    drive = np.where(floating, 0.0, np.linspace(0.0, 0.2, 10))
    want = nodal(conductances, drive, LINES, floating=floating).currents_A
    assert_close(drive @ transfer(conductances, LINES, floating), want)
    assert np.abs(drive @ transfer(conductances, LINES) - want).max() > 1e-3 * want.max()


def test_nothing_connected_carries_nothing() -> None:
    none = line_currents(cells(5, 4), np.full((1, 5), 0.2), LINES, gates=np.zeros((1, 5), dtype=bool))
    assert not none.any()
    assert not line_currents(np.zeros((5, 4)), np.full((1, 5), 0.2), LINES).any()


def test_less_current_at_less_than_the_read_voltage() -> None:
    """I = G V at the read voltage; at half of it a sinh cell carries less than half."""
    assert SINH.current(np.array([0.2]))[0] == pytest.approx(0.2)
    assert SINH.current(np.array([0.1]))[0] < 0.1
    slope = (SINH.current(np.array([0.1 + 1e-6])) - SINH.current(np.array([0.1 - 1e-6]))) / 2e-6
    assert SINH.slope(np.array([0.1]))[0] == pytest.approx(slope[0], rel=1e-6)


def test_what_does_not_converge_says_so() -> None:
    with pytest.raises(NotConverged, match="60 x 60 array left"):
        line_currents(cells(60, 60, top_S=0.1), np.full((1, 60), 0.2), Lines(1e7, 1e7))
