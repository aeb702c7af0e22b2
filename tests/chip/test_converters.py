"""Converters: closed forms, the thermal floor, what gains and effective bits cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmfield.chip.adc import Adc
from ohmfield.chip.anchors import without
from ohmfield.chip.converters import ADCS, CcoAdc, FlashAdc, RampAdc, SarAdc, SigmaDeltaAdc
from ohmfield.chip.process import Process
from ohmfield.chip.survey import SurveyAdc
from ohmfield.spec import InputError, build

PROCESS = Process(node_nm=28, supply_V=0.9, clock_GHz=0.5)
every_kind = pytest.mark.parametrize("kind", ADCS.values(), ids=lambda kind: kind.kind)


def least_bits(kind: type[Adc]) -> int:
    bits: Any = vars(kind)["__pydantic_fields__"]["bits"]
    return next(limit.ge for limit in bits.metadata if hasattr(limit, "ge"))


def energy_pJ(adc: Adc, process: Process = PROCESS) -> np.ndarray:
    return adc.conversion(process).energy_pJ.ravel()


@every_kind
@pytest.mark.parametrize("bits", range(1, 15))
def test_never_below_the_thermal_floor(kind: type[Adc], bits: int) -> None:
    # 8 k T 10^(SNDR/10) at 300 K; a supply of 0.21 V makes every switched capacitor look cheap.
    if bits < least_bits(kind):
        with pytest.raises(InputError, match=f"bits: {bits} is not allowed"):
            build(kind, {"bits": bits})
        return
    floor_pJ = 8 * 1.380649e-23 * 300 * 10 ** ((6.02 * bits + 1.76) / 10) * 1e12
    starved = Process(node_nm=2, supply_V=0.21, clock_GHz=0.5, extrapolate=True)
    assert np.all(energy_pJ(kind(bits=bits), starved) >= floor_pJ * (1 - 1e-9))


def test_only_the_survey_does_not_reach_one_bit() -> None:
    assert {name: least_bits(kind) for name, kind in ADCS.items() if least_bits(kind) != 1} == {"survey": 4}


@every_kind
def test_each_bit_costs_and_ranges_are_in_order(kind: type[Adc]) -> None:
    every = range(least_bits(kind), 15)
    costs = np.array([energy_pJ(kind(bits=bits)) for bits in every])
    areas = np.array([kind(bits=bits).part(PROCESS).area_um2.ravel() for bits in every])
    assert np.all(np.diff(costs, axis=0) > 0)
    assert np.all(np.diff(areas, axis=0) > 0)
    for table in (costs, areas):
        assert np.all(table > 0)
        assert np.all(np.diff(table, axis=1) > 0)  # low < mid < high


def test_one_more_bit_doubles_the_thresholds_and_the_steps() -> None:
    for bits in range(2, 8):
        flash = [energy_pJ(FlashAdc(bits=b))[1] for b in (bits, bits + 1)]
        assert flash[1] / flash[0] == pytest.approx((2 ** (bits + 1) - 1) / (2**bits - 1))
        ramp = [RampAdc(bits=b).conversion(PROCESS) for b in (bits, bits + 1)]
        np.testing.assert_allclose(ramp[1].energy_pJ, 2 * ramp[0].energy_pJ)
        np.testing.assert_allclose(ramp[1].latency_ns, 2 * ramp[0].latency_ns)


def test_a_sar_takes_one_period_per_bit_and_one_to_sample() -> None:
    latency = [SarAdc(bits=bits).conversion(PROCESS).latency_ns[1, 0] for bits in (4, 9)]
    assert latency == pytest.approx([5.0, 10.0])  # 1 ns each at 28 nm, 0.9 V


def test_eight_bits_lie_in_the_published_span() -> None:
    # 0.14 pJ (NeuroSim) to 2.66 pJ (Wang) near 22-32 nm.
    low, mid, high = energy_pJ(SarAdc(bits=8), Process(node_nm=25, supply_V=0.9, clock_GHz=0.5))
    assert 0.1 < low < 0.3
    assert 0.7 < mid < 1.7
    assert 1.7 < high < 4


# The table of the regression, pJ and um2 at 100 MS/s.
@pytest.mark.parametrize(
    ("node", "bits", "whole_pJ", "area_um2"),
    [(130, 4, 12.9, 28984), (65, 8, 6.49, 11862), (28, 6, 0.829, None), (22, 12, 14.4, None), (7, 8, 0.098, 370)],
)
def test_the_survey_converter_gives_its_regression(node: float, bits: int, whole_pJ: float, area_um2: Any) -> None:
    adc, process = SurveyAdc(bits=bits), Process(node_nm=node, supply_V=0.9, clock_GHz=0.5)
    energy, part = adc.conversion(process), adc.part(process)
    assert energy.energy_pJ[1, 0] == pytest.approx(0.8 * whole_pJ, rel=5e-3)
    assert energy.latency_ns[1, 0] == pytest.approx(10.0)
    assert part.leakage_uW[1, 0] == pytest.approx(0.2 * whole_pJ * 100, rel=5e-3)
    if area_um2 is not None:
        assert part.area_um2[1, 0] == pytest.approx(area_um2, rel=2e-3)
    for fields in ({"bits": 3}, {"bits": 8, "enob": 3.5}):
        with pytest.raises(InputError, match="greater than or equal to 4"):
            build(SurveyAdc, fields)


def test_an_oscillator_counts_codes() -> None:
    # HERMES, 14 nm: 300 ps per code; half of 10.5 TOPS/W over 256 x 256 converters and codes.
    hermes = Process(node_nm=14, supply_V=0.8, clock_GHz=1.0)
    conversion = CcoAdc(bits=8).conversion(hermes)
    assert conversion.energy_pJ[1, 0] == pytest.approx(2 * 256**2 / 10.5 / 256 / 2)
    ratio = conversion.latency_ns / CcoAdc(bits=7).conversion(hermes).latency_ns
    np.testing.assert_allclose(ratio, 2.0)
    with without("HERMES"):
        assert CcoAdc(bits=8).conversion(hermes).energy_pJ[1, 0] < conversion.energy_pJ[1, 0]


def test_a_second_integrator_saves_clocks_and_costs_area() -> None:
    first, second = SigmaDeltaAdc(bits=8), SigmaDeltaAdc(bits=8, order=2)
    assert (first.clocks(), second.clocks()) == (256, 23)  # 2^8; the root of 2 x 2^8, rounded up
    assert np.all(second.conversion(PROCESS).energy_pJ < first.conversion(PROCESS).energy_pJ)
    assert np.all(second.conversion(PROCESS).latency_ns < first.conversion(PROCESS).latency_ns)
    assert np.all(second.part(PROCESS).area_um2 > first.part(PROCESS).area_um2)


@every_kind
def test_effective_bits_and_gains_are_not_free(kind: type[Adc]) -> None:
    adc = kind(bits=8, enob=6.0)
    assert np.all(energy_pJ(replace(adc, enob=7.5)) > energy_pJ(adc))
    more = replace(adc, gains=(1.0, 2.0))
    assert np.all(energy_pJ(more) > energy_pJ(adc))
    assert np.all(more.part(PROCESS).area_um2 > adc.part(PROCESS).area_um2)
    wider = replace(adc, gains=(1.0, 8.0))
    assert np.all(wider.part(PROCESS).area_um2 > more.part(PROCESS).area_um2)


@every_kind
@given(node=st.floats(2, 179), bits=st.integers(1, 10))
def test_a_larger_node_is_larger_and_draws_more(kind: type[Adc], node: float, bits: int) -> None:
    small, large = (Process(node_nm=n, supply_V=0.9, clock_GHz=0.5, extrapolate=True) for n in (node, node + 1))
    adc = kind(bits=max(bits, least_bits(kind)))
    assert np.all(adc.part(large).area_um2 > adc.part(small).area_um2)
    assert np.all(energy_pJ(adc, large) >= energy_pJ(adc, small))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bits": 0}, "bits: 0 is not allowed: input should be greater than or equal to 1"),
        ({"bits": 15}, "bits: 15 is not allowed"),
        ({"enob": float("nan")}, "enob: nan is not allowed"),
        ({"bits": 4, "enob": 5.0}, "enob 5.0 exceeds bits 4"),
        ({"gains": [0.5]}, "must each be >= 1"),
        ({"step_levels": 3.0}, "step_levels 3.0 must be a power of two"),
        ({"step_levels": 0.3}, "step_levels 0.3 must be a power of two"),
        ({"gains": []}, "gains"),
        ({"bit": 8}, "bit: is not a known key"),
    ],
)
def test_bad_converters(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        build(SarAdc, fields)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
