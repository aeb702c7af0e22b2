"""Write-verify as a procedure against its closed form, telegraph noise, and the published RRAM and flash arrays."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ohmfield.chip.array import Array
from ohmfield.chip.cells import CELLS, FefetCell, MeasuredRramCell, RomCell, RramCell, SonosCell, SramCell
from ohmfield.chip.cells.resistive import Telegraph
from ohmfield.chip.cells.verify import Verify
from ohmfield.chip.process import Process
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.place import place
from ohmfield.mapping.workload import Operator, Shapes
from ohmfield.numerics import Noise
from ohmfield.spec import InputError
from small_chip import crossbar, small_chip

DAY_S = 86400.0
PROCESS = Process(node_nm=40, supply_V=1.0, clock_GHz=0.5)


def cells(level_uS: float, many: int = 40_000) -> torch.Tensor:
    return torch.full((many,), level_uS, dtype=torch.float64)


# ---- write-verify ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spread", "tolerance", "limit"), [(0.05, 0.05, 100), (0.1, 0.02, 4), (0.02, 0.05, 10)])
def test_writes_and_what_is_left_follow_the_closed_form(spread: float, tolerance: float, limit: int) -> None:
    verify = Verify(tolerance=tolerance, max_iterations=limit)
    cell = RramCell(g_max_uS=100.0, program_fraction=spread, verify=verify)
    stored, writes = cell.written(cells(50.0), Noise(1))
    assert float(writes.double().mean()) == pytest.approx(float(verify.attempts(spread)), rel=0.01)
    assert int(writes.max()) <= limit
    assert float(stored.std()) == pytest.approx(100.0 * verify.residual(spread), rel=0.01)
    assert float((stored - 50.0).abs().max()) <= 100.0 * tolerance or bool((writes == limit).any())
    assert torch.equal(cell.program(cells(50.0), Noise(1)), stored)


@pytest.mark.parametrize("tolerance", [1e-17, 1e-15, 1e-9])
def test_what_no_attempt_reaches_is_written_to_the_end(tolerance: float) -> None:
    assert float(Verify(tolerance=tolerance, max_iterations=1000).attempts(0.02)) == pytest.approx(1000.0, rel=1e-4)


def test_a_tolerance_that_every_attempt_meets_leaves_the_spread() -> None:
    assert Verify(tolerance=1.0).residual(0.02) == pytest.approx(0.02)


def test_one_attempt_is_no_verify() -> None:
    plain, once = RramCell(), RramCell(verify=Verify(max_iterations=1))
    assert torch.equal(plain.program(cells(50.0, 100), Noise(1)), once.program(cells(50.0, 100), Noise(1)))
    assert plain.pulses() == pytest.approx(once.pulses())


def test_verified_writes_are_billed_by_their_attempts() -> None:
    verify = Verify(tolerance=0.01, max_iterations=50)
    for plain in (RramCell(program_fraction=0.02), FefetCell()):
        careful = replace(plain, verify=verify)
        ratio = careful.write(PROCESS).energy_pJ / plain.write(PROCESS).energy_pJ
        slower = careful.write(PROCESS).latency_ns / plain.write(PROCESS).latency_ns
        expected = float(verify.attempts(float(plain.spread())))
        assert expected > 2.0
        np.testing.assert_allclose(ratio, expected)
        np.testing.assert_allclose(slower, expected)


def test_a_ferroelectric_needs_verify_for_two_bits() -> None:
    """Four levels: an end level errs to one side only, and with Gray codes an error is one bit of two."""
    single = FefetCell()
    half_uS = (single.g_max_uS - single.g_min_uS) / 6.0
    wrong = (single.program(cells(0.5), Noise(1)) - 0.5).abs() > half_uS
    assert 0.5 * 0.75 * float(wrong.double().mean()) == pytest.approx(0.04, rel=0.15)  # the published bit errors
    careful = replace(single, verify=Verify(tolerance=0.1, max_iterations=10))
    assert not bool(((careful.program(cells(0.5), Noise(1)) - 0.5).abs() > half_uS).any())


# ---- telegraph noise ----------------------------------------------------------------------------------------------


def test_telegraph_noise_leaves_no_negative_conductance() -> None:
    with pytest.raises((InputError, ValueError), match="below zero"):
        Telegraph(amplitude=2.0, duty=0.9)
    lowest = Telegraph(share=1.0, amplitude=2.0, duty=0.5).switch(cells(10.0, 100), Noise(1), 0.0)
    assert float(lowest.min()) >= 0.0


def test_telegraph_noise_has_two_levels_and_keeps_its_traps() -> None:
    noise = Telegraph(share=0.3, amplitude=0.2, duty=0.25)
    cell = RramCell(telegraph=noise)
    before, after = (cell.switch(cells(10.0), Noise(1), epoch) for epoch in (0.0, 1.0))
    # Up by 0.2 x 0.75 a quarter of the time, down by 0.2 x 0.25 the rest: no mean, two levels.
    assert sorted({round(value, 6) for value in before.tolist()}) == [9.5, 10.0, 11.5]
    assert float((before != 10.0).double().mean()) == pytest.approx(0.3, abs=0.01)
    assert float((before == 11.5).double().mean()) == pytest.approx(0.3 * 0.25, abs=0.01)
    assert float(before.mean()) == pytest.approx(10.0, abs=0.01)
    assert torch.equal(before != 10.0, after != 10.0)
    assert not torch.equal(before, after)


# ---- published arrays -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elapsed_s", "fit"),
    [
        (0.0, (0.348, 16.030, -43.853, 45.393, -16.815)),
        (DAY_S, (0.701, 22.086, -50.773, 47.095, -16.458)),
        (2 * DAY_S, (0.782, 20.274, -43.507, 37.062, -11.934)),
    ],
)
def test_neurram_spreads_as_measured(elapsed_s: float, fit: tuple[float, ...]) -> None:
    cell = MeasuredRramCell()
    target = cells(16.0)
    aged = cell.age(cell.program(target, Noise(1)), target, elapsed_s, Noise(2))
    expected = sum(coefficient * 0.4**power for power, coefficient in enumerate(fit))
    assert float(aged.std()) == pytest.approx(expected, rel=0.015)
    assert float(aged.mean()) == pytest.approx(16.0, abs=0.08)
    with pytest.raises(InputError, match="2 days"):
        cell.age(target, target, 3 * DAY_S, Noise(2))


def test_conductive_oxide_relaxes_with_the_logarithm_of_time() -> None:
    cell = MeasuredRramCell(model="cmo-0.2", g_min_uS=9.0, g_max_uS=88.0)
    target = cells(50.0)
    stored = cell.program(target, Noise(1))
    assert float(stored.std()) == pytest.approx(0.00107 * 50 + 0.0008, rel=0.02)
    aged = cell.age(stored, target, DAY_S, Noise(2))
    steps = math.log(1.0 + DAY_S)
    assert float(aged.mean() - 50.0) == pytest.approx(-0.0890 * steps, abs=0.02)
    assert float(aged.std()) == pytest.approx(math.hypot(0.4118 + 0.0420 * steps, 0.0543), rel=0.02)
    quiet = float(cell.read_std_uS(target, target, DAY_S, Array())[0])
    assert quiet == pytest.approx(0.02773 * math.log10(50) * math.sqrt(math.log(86401.0 / 2e-6)), rel=1e-3)
    assert cell.noise_correlation == "frozen"


def test_milo_is_a_line() -> None:
    cell = MeasuredRramCell(model="milo", g_min_uS=50.0, g_max_uS=225.0)
    assert float(cell.program_std_uS(torch.tensor(225.0))) == pytest.approx(4.782321 - 0.009107 * 225)
    with pytest.raises(ValueError, match="measured from 50"):
        MeasuredRramCell(model="milo", g_max_uS=225.0)


def test_sonos_follows_its_days() -> None:
    cell, target = SonosCell(), cells(8.0)
    stored = cell.program(target, Noise(1))
    assert float(stored.std()) == pytest.approx(0.01 * 19.88665 * (1 - math.exp(-800 / 176.3115)), rel=0.02)
    aged = cell.age(stored, target, 2 * DAY_S, Noise(2))
    fit = (6.60925e-01, 8.60627e-03, -1.72936e-04, 7.44096e-07, -5.94866e-09, 2.36734e-11, -4.83740e-14)
    fit += (5.56072e-17, -3.65397e-20, 1.28405e-23, -1.87450e-27)
    shift = sum(coefficient * 800.0**power for power, coefficient in enumerate(fit))
    assert float(aged.mean() - stored.mean()) == pytest.approx(0.01 * shift, abs=0.003)
    assert float(aged.std()) == pytest.approx(0.01 * 28.72753 * (1 - math.exp(-(800 + shift) / 193.56834)), rel=0.02)
    between = cell.age(stored, target, 1.5 * DAY_S, Noise(2)) - stored
    first, second = (cell.age(stored, target, days * DAY_S, Noise(2)) - stored for days in (1.0, 2.0))
    assert float(between.mean()) == pytest.approx(0.5 * float(first.mean() + second.mean()), abs=0.003)
    read = float(cell.read_std_uS(stored, target, 0.0, Array())[0])
    assert read == pytest.approx(0.01 * 12.58037 * (1 - math.exp(-800 / 215.36557)))
    with pytest.raises(InputError, match="5 days"):
        cell.age(stored, target, 6 * DAY_S, Noise(2))


# ---- SRAM and ROM -------------------------------------------------------------------------------------------------


def test_half_the_mismatch_takes_four_times_the_charge() -> None:
    loose, tight = (SramCell(mismatch=mismatch) for mismatch in (0.01, 0.005))
    ratio = tight.read(PROCESS, 50.0, Array()).energy_pJ / loose.read(PROCESS, 50.0, Array()).energy_pJ
    np.testing.assert_allclose(ratio, 4.0)
    assert float(loose.program(cells(60.0), Noise(1)).std()) == pytest.approx(0.6, rel=0.02)
    assert not bool(loose.program(cells(0.0), Noise(1)).any())


def test_a_rom_is_not_written_in_waves() -> None:
    shapes = Shapes((Operator("layer#0", "linear", inputs=256, outputs=4096),))
    unit = replace(crossbar(), cell=RomCell(), num_arrays=4)
    assert isinstance(unit, Crossbar)
    with pytest.raises(InputError, match=r"units\.unit.*its weights cannot be written again"):
        place(shapes, small_chip(unit))
    assert place(shapes, small_chip(replace(unit, cell=CELLS["rram"]()))).waves > 1
