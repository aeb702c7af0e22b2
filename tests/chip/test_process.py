"""Operating points, gating, and nodes beyond what has a source."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ohmfield.chip.gating import PowerDomain
from ohmfield.chip.memory import Sram
from ohmfield.chip.process import OperatingPoint, Process
from ohmfield.chip.sense import SenseAmplifier
from ohmfield.quantities import span
from ohmfield.spec import InputError, build, to_plain
from views import view_of

PROCESS = Process(
    node_nm=28,
    supply_V=0.9,
    clock_GHz=0.5,
    points={"low": OperatingPoint(supply_V=0.6, clock_GHz=0.1, leakage=0.5)},
)


def test_a_point_sets_supply_clock_and_leakage_together() -> None:
    low = PROCESS.at("low")
    assert (low.node_nm, low.supply_V, low.clock_GHz, low.leakage) == (28, 0.6, 0.1, 0.5)
    part, lower = PROCESS.powered(span(1e6)), low.powered(span(1e6))
    np.testing.assert_allclose(lower.leakage_uW, part.leakage_uW * 0.5 * 0.6 / 0.9)
    np.testing.assert_array_equal(lower.area_um2, part.area_um2)
    memory = Sram().part(PROCESS).leakage_uW
    np.testing.assert_allclose(Sram().part(low).leakage_uW, memory * 0.5 * 0.6 / 0.9)
    with pytest.raises(InputError, match=r"operating point 'high' is not known; known: low"):
        PROCESS.at("high")
    assert build(Process, json.loads(json.dumps(to_plain(PROCESS)))) == PROCESS


@pytest.mark.parametrize("node", [4.9, 2.0, 131.0, 180.0])
def test_nodes_without_a_source_need_the_flag(node: float) -> None:
    fields = {"node_nm": node, "supply_V": 0.9, "clock_GHz": 0.5}
    with pytest.raises(InputError) as caught:
        build(Process, fields)
    assert f"node {node:g} nm is outside 5..130 nm" in str(caught.value)
    assert "process.extrapolate: true" in str(caught.value)
    assert any("node" in line for line in build(Process, fields | {"extrapolate": True}).extrapolated)


def test_what_is_extrapolated_is_said() -> None:
    assert PROCESS.extrapolated == ()
    assert replace(PROCESS, node_nm=7.0).extrapolated == ()
    assert replace(PROCESS, node_nm=130.0).extrapolated == ()
    assert len(replace(PROCESS, node_nm=5.0).extrapolated) == 1
    assert len(replace(PROCESS, node_nm=3.0, extrapolate=True).extrapolated) == 2
    many = view_of(PROCESS, node_nm=np.array([28.0, 3.0, 150.0]))
    assert len(many.extrapolated) == 3


def test_gating_pays_from_the_break_even_on() -> None:
    part = PROCESS.powered(span(1e6))
    domain = PowerDomain(components=("buffer",))
    even = float(domain.break_even_ns(PROCESS, part)[1, 0])
    on = part.leakage_uW[1, 0] * 1e-3
    short, just, long = (
        float(domain.leakage_pJ(PROCESS, part, 0.0, idle)[1, 0]) for idle in (even / 2, even, 100 * even)
    )
    assert short == pytest.approx(on * even / 2)  # sat out
    assert just == pytest.approx(on * even)
    assert long < 0.1 * on * 100 * even
    kept = replace(domain, retain=True)
    assert np.all(kept.idle_uW(part) > domain.idle_uW(part))
    assert np.all(kept.wake(PROCESS, part).energy_pJ < domain.wake(PROCESS, part).energy_pJ)
    # 1 nF of a square millimetre at 0.9 V
    assert float(domain.wake(PROCESS, part).energy_pJ[1, 0]) == pytest.approx(1e3 * 0.81)
    assert float(domain.wake(PROCESS, part).latency_ns[1, 0]) == 100.0
    np.testing.assert_allclose(domain.switches(part).area_um2.ravel() / 1e6, [0.02, 0.05, 0.10])
    busy = domain.leakage_pJ(PROCESS, part, 1000.0, 0.0)
    np.testing.assert_allclose(busy, part.leakage_uW)


def test_a_domain_names_its_components() -> None:
    with pytest.raises(InputError, match="components"):
        build(PowerDomain, {"components": []})


def test_sense_amplifiers_are_shared() -> None:
    alone, shared = SenseAmplifier(), SenseAmplifier(columns_per_amplifier=8)
    np.testing.assert_allclose(alone.part(PROCESS, 250).area_um2, shared.part(PROCESS, 250).area_um2 * 250 / 32)
    low, middle, high = alone.read(PROCESS).energy_pJ.ravel()
    assert low == pytest.approx(1.6e-3)
    assert low < middle < high
