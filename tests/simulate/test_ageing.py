"""Drift, its compensation and frozen noise through the whole path: limit cases 7 and 9."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import ohmfield
from ohmfield.chip.cells import PcmCell
from ohmfield.chip.cells.base import Cell
from ohmfield.chip.compensation import Compensation
from ohmfield.chip.units import Crossbar
from ohmfield.cost.evaluate import evaluate
from ohmfield.deploy import Recipe
from ohmfield.fields.presets import instant_ngp
from ohmfield.mapping.place import place
from ohmfield.mapping.workload import Operator, Shapes, Workload
from ohmfield.signals.synthetic import shapes
from ohmfield.simulate.conversion import Causes
from small_chip import crossbar, made, outputs_of, random_codes, small_chip

QUIET = Causes(reading=False)
FINE = {"bits": 14, "step_levels": 1 / 64}
ENCODINGS = [{"encoding": "differential"}, {"encoding": "differential", "subtract": "digital"}, {"encoding": "offset"}]


def aged_outputs(unit: Crossbar, elapsed_s: float, causes: Causes = QUIET, copies: int = 1) -> np.ndarray:
    weights, inputs = random_codes(1, -127, 127, 16, 40), random_codes(2, 0, 255, 20, 40)
    product, _ = made(weights, unit, causes=causes, elapsed_s=elapsed_s, copies=copies)
    return outputs_of(product, inputs)


def test_limit_case_9_drift_of_one_exponent() -> None:
    """0.05 over 1 + t/t0 = 1e4 leaves 0.631 of the signal; at t = 0 nothing has changed."""
    unit = crossbar(PcmCell(drift_exponent=0.05), array={"rows_active": 16}, adc=FINE)
    fresh, old = (aged_outputs(unit, seconds) for seconds in (0.0, 20.0 * (1e4 - 1.0)))
    slope = float((fresh * old).sum() / (fresh**2).sum())
    assert slope == pytest.approx(1e4**-0.05, rel=1e-3)
    assert slope == pytest.approx(0.631, abs=1e-3)
    without = crossbar(PcmCell(drift_exponent=0.0), array={"rows_active": 16}, adc=FINE)
    assert np.array_equal(fresh, aged_outputs(without, 0.0))
    assert np.array_equal(fresh, aged_outputs(without, 1e6))


@pytest.mark.parametrize("array", ENCODINGS)
@pytest.mark.parametrize("g_min_uS", [0.0, 2.5])
def test_limit_case_9_ideal_compensation_gives_the_codes_of_the_first_read(
    array: dict[str, Any], g_min_uS: float
) -> None:
    cell = PcmCell(g_min_uS=g_min_uS, drift_exponent=0.05)
    plain = crossbar(cell, array=array, adc={"bits": 8})
    trimmed = replace(plain, compensate=Compensation(where="analog"))
    fresh = aged_outputs(plain, 0.0)
    assert not np.array_equal(aged_outputs(plain, 1e6), fresh)
    assert np.array_equal(aged_outputs(trimmed, 1e6), fresh)
    assert np.array_equal(aged_outputs(trimmed, 0.0), fresh)


def test_compensation_after_the_conversion_keeps_the_signal_but_not_the_codes() -> None:
    plain = crossbar(PcmCell(drift_exponent=0.05), adc={"bits": 10, "step_levels": 1.0})
    scaled = replace(plain, compensate=Compensation(where="digital"))
    fresh, drifted, restored = aged_outputs(plain, 0.0), aged_outputs(plain, 1e6), aged_outputs(scaled, 1e6)
    assert np.allclose(restored, drifted * 1.7178, rtol=1e-3)  # (1 + 1e6 / 20)^0.05
    error = [float(np.std(values - fresh)) for values in (drifted, restored)]
    assert 0.0 < error[1] < 0.5 * error[0]  # steps of one level stay, and are worth more
    assert np.array_equal(aged_outputs(scaled, 0.0), fresh)


def test_compensation_takes_the_mean_of_a_distribution() -> None:
    """What is left after it is the spread of the exponents."""
    unit = crossbar(PcmCell(), array={"rows_active": 16}, adc=FINE)
    trimmed = replace(unit, compensate=Compensation(where="analog"))
    fresh = aged_outputs(unit, 0.0)
    slope = [
        float((fresh * values).sum() / (fresh**2).sum())
        for values in (aged_outputs(unit, 1e6), aged_outputs(trimmed, 1e6))
    ]
    assert slope[0] < 0.65
    assert slope[1] == pytest.approx(1.0, abs=0.05)


def repeated(cell: Cell, rows: int = 64, reads: int = 400) -> np.ndarray:
    """Errors of the same vector read again and again, 1-bit weights and 4-bit inputs of 15: four equal planes."""
    unit = crossbar(cell, array={"cell_bits": 1, "rows_active": rows}, adc={"bits": 14, "step_levels": 1 / 64})
    weights, inputs = np.ones((64, rows), dtype=np.int64), np.full((reads, rows), 15)
    product, stored = made(weights, unit, weight_bits=2, input_bits=4)
    assert stored.conductances_uS is not None
    held = stored.conductances_uS[0]
    level = cell.g_max_uS - cell.g_min_uS
    nominal = ((held[:, 0, 0] - held[:, 0, 1]) / level).sum(0) * 15
    return outputs_of(product, inputs) - nominal


@pytest.mark.parametrize("correlation", ["conversion", "vector", "frozen"])
def test_limit_case_7_what_averages_out(correlation: Any) -> None:
    """White noise averages over planes and reads, noise kept over a vector over reads alone, frozen noise never."""
    cell = PcmCell(g_max_uS=25.0, drift_exponent=0.0, correlation=correlation)
    errors = repeated(cell)
    share = 0.0088 * math.sqrt(math.log((20.0 + 250e-9) / 500e-9))
    off = 0.2 * math.sqrt(math.log((20.0 + 250e-9) / 500e-9))  # of what little a cell at zero conducts
    planes = 15.0 if correlation != "conversion" else math.sqrt(1 + 4**1 + 4**2 + 4**3)
    expected = planes * math.sqrt(64) * math.sqrt(share**2 + (0.26 / 25.0 * off) ** 2 / 2)
    assert float(errors.std()) == pytest.approx(expected, rel=0.12)
    averaged = errors.mean(axis=0)
    white = float(errors.std()) / math.sqrt(len(errors))
    if correlation == "frozen":
        assert np.array_equal(errors, np.broadcast_to(errors[:1], errors.shape))
    else:
        assert float(averaged.std()) < 1.3 * white


def test_zero_input_reads_nothing() -> None:
    for correlation in ("conversion", "vector", "frozen"):
        unit = crossbar(PcmCell(correlation=correlation), adc={"bits": 14, "step_levels": 1 / 16})
        product, _ = made(random_codes(3, -127, 127, 8, 64), unit)
        assert not outputs_of(product, np.zeros((10, 64), dtype=np.int64)).any()


def test_frozen_noise_belongs_to_an_age() -> None:
    unit = crossbar(PcmCell(drift_exponent=0.0), adc={"bits": 10})
    fresh, again, later = (aged_outputs(unit, seconds, Causes()) for seconds in (0.0, 0.0, 1.0))
    assert np.array_equal(fresh, again)
    assert not np.array_equal(fresh, later)


def test_each_copy_drifts_by_itself() -> None:
    unit = crossbar(PcmCell(), copies=2, adc=FINE, array={"rows_active": 16})
    weights, one = random_codes(4, -127, 127, 8, 40), random_codes(5, 0, 255, 1, 40)
    ratios = []
    for seconds in (0.0, 1e6):
        product, _ = made(weights, unit, copies=2, causes=QUIET, elapsed_s=seconds)
        ratios.append(outputs_of(product, np.repeat(one, 2, axis=0)))
    fresh, old = ratios
    drift = old / fresh
    assert np.abs(drift[0] - drift[1]).max() > 1e-3


def test_an_instance_deployed_later_shows_another_picture() -> None:
    field = instant_ngp(num_levels=4, log2_table=8, resolutions=(4, 32), width=16)
    chip = small_chip(crossbar(PcmCell(), adc={"bits": 8}))
    fresh, aged = (ohmfield.deploy(field, chip, shapes(24), Recipe(elapsed_s=seconds)) for seconds in (0.0, 1e7))
    assert not fresh.picture.equal(aged.picture)
    for path, layer in fresh.programmed.layers.items():
        held = aged.programmed.layers[path].conductances_uS
        assert layer.conductances_uS is not None
        assert held is not None
        assert np.array_equal(layer.conductances_uS, held)  # what is saved is what was written


def test_compensation_is_billed_by_its_reads() -> None:
    """One calibration of 256 x 256 weights reads every cell once and converts every pair of every row group."""
    workload = Workload(Shapes((Operator("layer#0", "linear", inputs=256, outputs=256),)), items=1000.0)
    chip = small_chip(crossbar(PcmCell()))
    unit = chip.units["unit"]
    assert isinstance(unit, Crossbar)
    placement = place(workload.shapes, chip)
    plain = evaluate(chip, workload, placement)
    seldom, often = (
        evaluate(replace(chip, units={"unit": replace(unit, compensate=compensate)}), workload, placement)
        for compensate in (Compensation(inferences_between=100.0), Compensation(inferences_between=10.0))
    )
    extra = often.energy_pJ - plain.energy_pJ
    np.testing.assert_allclose(extra.sum(), 10.0 * (seldom.energy_pJ - plain.energy_pJ).sum(), rtol=1e-6)
    cells, adc = (extra[1, 0, 0, often.components.index(name)] for name in ("cells", "adc"))
    read = unit.cell.read(chip.process, unit.cell.mean_uS(0.25), unit.array).energy_pJ[1, 0]
    assert cells == pytest.approx(read * 256 * 2048 / 10.0)
    assert adc == pytest.approx(unit.convert(chip.process).energy_pJ[1, 0] * 2 * 4 * 256 / 10.0)
    assert often.interval_ns[1, 0] > plain.interval_ns[1, 0]
    analog = replace(unit, compensate=Compensation(where="analog"))
    assert analog.convert(chip.process).energy_pJ[1, 0] > unit.convert(chip.process).energy_pJ[1, 0]
