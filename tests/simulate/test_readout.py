"""Readouts other than a current: their transfer, their noise, and what they refuse."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ohmfield.chip.cells import IdealCell, SramCell
from ohmfield.chip.units import Crossbar
from ohmfield.cost.evaluate import evaluate
from ohmfield.mapping.place import place
from ohmfield.mapping.workload import Operator, Shapes, Workload
from ohmfield.simulate.conversion import Causes, conversion_std
from ohmfield.simulate.noisy import weight_errors
from ohmfield.simulate.products import CrossbarProduct, ExactProduct
from small_chip import crossbar, made, outputs_of, plan_for, random_codes, random_weights, small_chip

SHARING = {"readout": "charge_share", "cell_bits": 1, "read_voltage_V": 0.9}
LOSSLESS = {"bits": 12, "step_levels": 1.0}


def sharing(cell: dict[str, Any] | None = None, array: Any = None, **parts: Any) -> Crossbar:
    held = SramCell(**{"mismatch": 0.01, "capacitor_fF": 1.0, **(cell or {})})
    return crossbar(held, array={**SHARING, **(array or {})}, **{"adc": LOSSLESS, **parts})


ENCODINGS = [{}, {"subtract": "digital"}, {"encoding": "offset"}, {"encoding": "twos_complement"}]


@pytest.mark.parametrize("array", ENCODINGS)
def test_shared_charge_of_alike_capacitors_is_the_exact_product(array: dict[str, Any]) -> None:
    unit = sharing({"mismatch": 0.0}, array)
    weights, inputs = random_weights(unit, 1, 5, 140), random_codes(2, 0, 255, 40, 140)
    product, _ = made(weights, unit)
    assert isinstance(product, CrossbarProduct)  # kT/C noise is drawn, far smaller than half a level
    assert np.array_equal(outputs_of(product, inputs), inputs @ weights.T)
    quiet, _ = made(weights, unit, causes=Causes(reading=False))
    assert isinstance(quiet, ExactProduct)


def outputs_spread(unit: Crossbar, driven: int) -> float:
    """sd of one conversion's output in levels, `driven` of 128 rows of ones at one."""
    weights, inputs = np.ones((16, 128), dtype=np.int64), np.zeros((2000, 128), dtype=np.int64)
    inputs[:, :driven] = 1
    product, _ = made(weights, unit, weight_bits=2, input_bits=1, causes=Causes(programming=False))
    return float((outputs_of(product, inputs) - driven).std())


FINE = {"bits": 14, "step_levels": 1 / 32}
FEMTO = 1.380649e-23 * 300 / 1e-15


def test_noise_of_shared_charge() -> None:
    """sqrt(2 N kT / C) / V levels of a pair, whatever is driven; half the capacitor, sqrt(2) of it."""
    small = outputs_spread(sharing({"capacitor_fF": 0.01}, adc=FINE), 128)
    assert math.isclose(small, math.sqrt(2 * 128 * FEMTO / 0.01) / 0.9, rel_tol=0.03)
    assert math.isclose(outputs_spread(sharing({"capacitor_fF": 0.01}, adc=FINE), 0), small, rel_tol=0.03)
    assert math.isclose(outputs_spread(sharing({"capacitor_fF": 0.005}, adc=FINE), 128) / small, 2**0.5, rel_tol=0.03)


@pytest.mark.parametrize(
    ("change", "factor"),
    [
        ({"cell": {"capacitor_fF": 0.5}}, math.sqrt(2)),
        ({"array": {"rows_active": 32}}, 0.5),  # a level is the 32nd part of the voltage, no longer the 128th
        ({"array": {"read_voltage_V": 0.45}}, 2.0),
        ({"array": {"read_ns": 5.0}}, 1.0),
        ({"array": {"subtract": "digital"}}, math.sqrt(0.5)),  # a column, not the two of a pair
        ({"cell": {"mismatch": 0.005}}, 0.5),  # four times the capacitor
        ({"cell": {"g_min_uS": 50.0}}, 2.0),  # of 100: half of the charge tells a one from a zero
    ],
)
def test_what_noise_of_shared_charge_depends_on(change: dict[str, Any], factor: float) -> None:
    base = {"mismatch": 0.01, "capacitor_fF": 1.0}
    changed = sharing({**base, **change.get("cell", {})}, change.get("array"))
    assert math.isclose(conversion_std(changed, 1.0) / conversion_std(sharing(base), 1.0), factor, rel_tol=1e-9)


def test_converter_noise_is_fixed_in_volts() -> None:
    adc = {"bits": 10, "enob": 7.0, "step_levels": 1.0}
    loud, half = (sharing({"capacitor_fF": 1e3}, {"read_voltage_V": volts}, adc=adc) for volts in (0.9, 0.45))
    assert math.isclose(conversion_std(loud, 1.0), math.sqrt((4.0**3 - 1) / 12), rel_tol=1e-3)
    assert math.isclose(20 * math.log10(conversion_std(half, 1.0) / conversion_std(loud, 1.0)), 6.02, abs_tol=0.01)


@pytest.mark.parametrize("driven", [16, 64, 120, 128])
def test_mismatch_of_connected_capacitors_counts_twice(driven: int) -> None:
    """k of N alike bits read k with sd `s sqrt(k (1 - k / N))`: a full column divides by itself."""
    sigma, errors = 0.1, []
    unit = sharing({"mismatch": sigma, "capacitor_fF": 1e3}, {"subtract": "digital"}, adc=FINE)
    weights, inputs = np.ones((64, 128), dtype=np.int64), np.zeros((1, 128), dtype=np.int64)
    inputs[:, :driven] = 1
    for seed in range(12):
        product, _ = made(weights, unit, weight_bits=2, input_bits=1, seed=seed, causes=Causes(reading=False))
        errors.append(outputs_of(product, inputs) - driven)
    expected = sigma * math.sqrt(driven * (1 - driven / 128))
    if driven == 128:
        assert np.abs(np.array(errors)).max() < 0.2  # cells are rounded to a grid
    else:
        assert math.isclose(float(np.std(errors)), expected, rel_tol=0.08)
    assert abs(float(np.mean(errors))) < 0.1


def test_unused_rows_are_connected_too() -> None:
    """32 rows of a layer on 128 connected ones, all driven: what is read still divides by the mean of all."""
    sigma = 0.02
    unit = sharing({"mismatch": sigma, "capacitor_fF": 1e3}, {"subtract": "digital"}, adc=FINE)
    weights, inputs = np.ones((64, 32), dtype=np.int64), np.ones((1, 32), dtype=np.int64)
    errors = [
        outputs_of(made(weights, unit, weight_bits=2, input_bits=1, seed=s, causes=Causes(reading=False))[0], inputs)
        for s in range(12)
    ]
    assert math.isclose(float(np.std(errors)), sigma * math.sqrt(32 * (1 - 32 / 128)), rel_tol=0.08)


def test_shared_charge_refuses_what_has_none() -> None:
    with pytest.raises(ValueError, match="names no capacitor"):
        crossbar(IdealCell(), array=SHARING)
    with pytest.raises(ValueError, match="names no capacitor"):
        crossbar(SramCell(), array=SHARING)
    with pytest.raises(ValueError, match=r"dac\.bits"):
        sharing(dac_bits=2)
    with pytest.raises(ValueError, match="zero_bits"):
        sharing(dac={"skip": "zero_bits"})
    with pytest.raises(ValueError, match="wires"):
        sharing(array={"wires": {"row_ohm": 1.0, "column_ohm": 1.0}})


def test_bigger_capacitors_cost_energy_and_in_the_end_area() -> None:
    process = small_chip().process
    for fF, other in ((1.0, 2.0), (10.0, 20.0)):
        small, large = SramCell(capacitor_fF=fF), SramCell(capacitor_fF=other)
        array = sharing().array
        energy = [float(cell.read(process, 50.0, array).energy_pJ[1, 0]) for cell in (small, large)]
        assert math.isclose(energy[0], 0.5 * fF * 0.9**2 * 1e-3, rel_tol=1e-9)  # half of the bits are one
        assert math.isclose(energy[1] / energy[0], 2.0, rel_tol=1e-9)
        areas = [float(cell.part(process).area_um2[1, 0]) for cell in (small, large)]
        assert areas[1] == areas[0] if other == 2.0 else math.isclose(areas[1], 20.0 / 2.3)  # 1.5 um2 of transistors
    shared, current = sharing(), replace(sharing(), array=replace(sharing().array, readout="current"))
    assert float(shared.convert(process).energy_pJ[1, 0]) > float(current.convert(process).energy_pJ[1, 0])


TIMED = {"readout": "time"}


@pytest.mark.parametrize(
    "array", [{}, {"subtract": "digital"}, {"encoding": "offset"}, {"encoding": "twos_complement"}]
)
@pytest.mark.parametrize("bits", [1, 3])
def test_pulses_without_jitter_give_the_exact_product(array: dict[str, Any], bits: int) -> None:
    unit = crossbar(array={**TIMED, **array}, dac={"bits": bits, "jitter": 0.0}, adc={"bits": 14, "step_levels": 1.0})
    weights, inputs = random_weights(unit, 1, 5, 140), random_codes(2, 0, 255, 20, 140)
    assert np.array_equal(outputs_of(made(weights, unit)[0], inputs), inputs @ weights.T)


def jitter_spread(jitter: float, digit: int, driven: int, bits: int = 2, **parts: Any) -> float:
    """sd of one conversion in levels: pairs of one-bit cells at one, `driven` rows at `digit`."""
    dac = {"bits": bits, "jitter": jitter}
    array = {**TIMED, "cell_bits": 1, **parts.pop("array", {})}
    unit = crossbar(array=array, dac=dac, adc={"bits": 14, "step_levels": 1 / 16}, **parts)
    weights, inputs = np.ones((16, 128), dtype=np.int64), np.zeros((2000, 128), dtype=np.int64)
    inputs[:, :driven] = digit
    out = outputs_of(made(weights, unit, weight_bits=2, input_bits=bits)[0], inputs)
    return float((out - digit * driven).std())


def test_noise_of_jitter() -> None:
    """jitter * digit * sqrt(rows) levels, of the difference of a pair and of a pedestal that is converted."""
    assert math.isclose(jitter_spread(0.05, 1, 64), 0.05 * 8, rel_tol=0.03)
    assert math.isclose(jitter_spread(0.05, 3, 64), 0.15 * 8, rel_tol=0.03)
    assert math.isclose(jitter_spread(0.1, 1, 64), 0.1 * 8, rel_tol=0.03)
    assert jitter_spread(0.05, 1, 0) == 0.0
    half: dict[str, Any] = {"cell": IdealCell(g_min_uS=50.0, g_max_uS=100.0)}
    assert math.isclose(jitter_spread(0.05, 1, 64, **half), 0.05 * 8, rel_tol=0.03)
    both = jitter_spread(0.05, 1, 64, **half, array={"subtract": "digital"})  # levels 2 and 1, drawn apart
    assert math.isclose(both, 0.05 * 8 * math.sqrt(2**2 + 1**2), rel_tol=0.03)


def test_pulses_take_time_and_spare_converters() -> None:
    chip = small_chip(crossbar(dac_bits=4))
    timed = crossbar(array=TIMED, dac_bits=4)
    converted = crossbar(dac_bits=4)
    workload = Workload(Shapes((Operator("net#0", "linear", inputs=128, outputs=16),)), items=100)

    def turn_ns(unit: Crossbar) -> float:
        slow = replace(unit, array=replace(unit.array, read_ns=1000.0))
        other = replace(chip, units={"unit": slow})
        return float(evaluate(other, workload, place(workload.shapes, other)).interval_ns[1, 0])

    assert math.isclose(turn_ns(timed) / turn_ns(converted), 15.0, rel_tol=1e-6)
    parts = [unit.parts(chip.process, 8, 8) for unit in (timed, converted)]
    assert float(parts[0]["drivers"].area_um2[1, 0]) < float(parts[1]["drivers"].area_um2[1, 0])
    assert float(parts[0]["control"].area_um2[1, 0]) > float(parts[1]["control"].area_um2[1, 0])
    assert float(timed.drive(chip.process).energy_pJ[1, 0]) < float(converted.drive(chip.process).energy_pJ[1, 0])
    calm = crossbar(array=TIMED, dac={"bits": 4, "jitter": 0.005})
    assert float(calm.control(chip.process).energy_pJ[1, 0]) > 2 * float(timed.control(chip.process).energy_pJ[1, 0])


def test_pulses_refuse_what_is_not_modelled() -> None:
    with pytest.raises(ValueError, match="gives charge"):
        crossbar(SramCell(), array={**TIMED, "cell_bits": 1})
    with pytest.raises(ValueError, match="wires"):
        crossbar(array={**TIMED, "wires": {"row_ohm": 1.0, "column_ohm": 1.0}})
    with pytest.raises(ValueError, match="reference columns"):
        crossbar(array={**TIMED, "encoding": "offset", "sum_x": "analog"})


def test_training_knows_the_spread_of_shared_charge() -> None:
    """One-bit weights in pairs err by the mismatch of one capacitor: a column of many samples divides by nearly 1."""
    weights = np.ones((1, 128), dtype=np.int64)
    unit = sharing({"mismatch": 0.05})
    chip = small_chip(unit)
    mean, spread = weight_errors(plan_for(weights, chip, weight_bits=2), chip)
    assert float(mean.abs().max()) < 0.01
    assert math.isclose(float(spread[-1]), 0.05, rel_tol=0.15)  # of code 1
    assert float(spread[1]) == 0.0  # of code 0: no capacitor is charged
