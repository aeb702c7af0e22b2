"""Converters: closed forms, the thermal floor, what gains and effective bits cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmfield.chip.adc import Adc
from ohmfield.chip.converters import ADCS, FlashAdc, RampAdc, SarAdc
from ohmfield.chip.process import Process
from ohmfield.spec import InputError, build

PROCESS = Process(node_nm=28, supply_V=0.9, clock_GHz=0.5)
every_kind = pytest.mark.parametrize("kind", ADCS.values(), ids=lambda kind: kind.kind)


def energy_pJ(adc: Adc, process: Process = PROCESS) -> np.ndarray:
    return adc.conversion(process).energy_pJ.ravel()


@every_kind
@pytest.mark.parametrize("bits", range(1, 15))
def test_never_below_the_thermal_floor(kind: type[Adc], bits: int) -> None:
    # 8 k T 10^(SNDR/10) at 300 K; a supply of 0.21 V makes every switched capacitor look cheap.
    floor_pJ = 8 * 1.380649e-23 * 300 * 10 ** ((6.02 * bits + 1.76) / 10) * 1e12
    starved = Process(node_nm=2, supply_V=0.21, clock_GHz=0.5)
    assert np.all(energy_pJ(kind(bits=bits), starved) >= floor_pJ * (1 - 1e-9))


@every_kind
def test_each_bit_costs_and_ranges_are_in_order(kind: type[Adc]) -> None:
    costs = np.array([energy_pJ(kind(bits=bits)) for bits in range(1, 15)])
    areas = np.array([kind(bits=bits).part(PROCESS).area_um2.ravel() for bits in range(1, 15)])
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
    small, large = (Process(node_nm=n, supply_V=0.9, clock_GHz=0.5) for n in (node, node + 1))
    adc = kind(bits=bits)
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
