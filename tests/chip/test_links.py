"""Links: published figures are met where they were published, distance and width cost."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from ohmfield.chip.links import LINKS, PORTS, Bus, ChipLink, HTree, HybridBond, Link, Mesh, Tsv
from ohmfield.chip.links.between_chips import PortName
from ohmfield.chip.links.on_chip import ISAAC_BUS_MM
from ohmfield.chip.process import Process
from views import view_of

PROCESS = Process(node_nm=32, supply_V=0.9, clock_GHz=1.0)
every_kind = pytest.mark.parametrize("kind", LINKS.values(), ids=lambda kind: kind.kind)


def mid(span: np.ndarray) -> float:
    return float(span[1, 0])


@every_kind
def test_twice_the_bits_twice_the_energy(kind: type[Link]) -> None:
    once, twice = (kind().transfer(PROCESS, bits) for bits in (2**20, 2**21))
    np.testing.assert_allclose(twice.energy_pJ, 2 * once.energy_pJ)
    assert np.all(twice.latency_ns > once.latency_ns)
    low, middle, high = once.energy_pJ.ravel()
    assert 0 < low < middle < high
    assert np.all(np.diff(kind().part(PROCESS).area_um2.ravel()) > 0)


def test_isaacs_bus_and_router() -> None:
    bus = Bus(width_bits=384, length_mm=ISAAC_BUS_MM)
    assert mid(bus.transfer(PROCESS, 1).energy_pJ) == pytest.approx(0.054)
    assert mid(bus.part(PROCESS).area_um2) == pytest.approx(384 * 29.3)
    assert mid(bus.transfer(PROCESS, 385).latency_ns) == 2.0
    router = Mesh(routers=1, hops=0.0)
    assert mid(router.transfer(PROCESS, 256).energy_pJ) == pytest.approx(20.74)
    assert mid(router.part(PROCESS).area_um2) == pytest.approx(150_000)


def test_paths() -> None:
    assert Mesh(routers=16).num_hops() == pytest.approx(2.5)  # by hand: 2 x mean |i - j| of 0..3 = 2 x 1.25
    drawn = [abs(a - b) + abs(c - d) for a in range(4) for b in range(4) for c in range(4) for d in range(4)]
    assert Mesh(routers=16).num_hops() == pytest.approx(np.mean(drawn))
    # Four leaves on a unit square: a bar of a half and two of a half; a quarter and a quarter to each leaf.
    four, sixteen = HTree(leaves=4), HTree(leaves=16)
    assert (four.path_mm, four.wire_mm) == (pytest.approx(0.5), pytest.approx(1.5))
    assert sixteen.wire_mm == pytest.approx(1.5 + 4 * 1.5 / 2)
    farther = [mid(Mesh(hops=hops).transfer(PROCESS, 256).energy_pJ) for hops in (1.0, 2.0, 3.0)]
    assert farther[2] - farther[1] == pytest.approx(farther[1] - farther[0])


def test_ports() -> None:
    assert set(PORTS) == set(get_args(PortName))
    isaac = ChipLink(port="isaac").transfer(PROCESS, 128)
    assert mid(isaac.energy_pJ) == pytest.approx(26.0, rel=1e-3)
    wide, narrow = ChipLink(ports=4), ChipLink()
    message = 8 * 112_000  # a microsecond of one port
    gained = mid(narrow.transfer(PROCESS, message).latency_ns) - mid(wide.transfer(PROCESS, message).latency_ns)
    assert gained == pytest.approx(750.0)
    np.testing.assert_allclose(wide.part(PROCESS).area_um2, 4 * narrow.part(PROCESS).area_um2)
    np.testing.assert_array_equal(wide.transfer(PROCESS, 1).energy_pJ, narrow.transfer(PROCESS, 1).energy_pJ)


def test_stacks() -> None:
    # 40 fF and 2 fF of driver at 28 nm, charged by a quarter of random bits.
    at_28 = replace(PROCESS, node_nm=28.0)
    assert mid(Tsv().transfer(at_28, 1).energy_pJ) == pytest.approx(42e-3 * 0.81 / 4)
    assert mid(HybridBond(pitch_um=9.0).transfer(PROCESS, 1).energy_pJ) == pytest.approx(0.05)
    assert mid(HybridBond(pitch_um=1.0).transfer(PROCESS, 1).energy_pJ) == pytest.approx(0.01)
    vias = (
        Tsv(connections=100, pitch_um=10.0).part(PROCESS).area_um2 - HybridBond(connections=100).part(PROCESS).area_um2
    )
    np.testing.assert_allclose(vias, 100 * 100.0)  # only vias take silicon


@every_kind
def test_many_designs_are_priced_as_one_each(kind: type[Link]) -> None:
    nodes, supplies, bits = np.array([22.0, 65.0]), np.array([0.8, 1.1]), np.array([100.0, 5e4])
    view = view_of(PROCESS, node_nm=nodes, supply_V=supplies)
    many, parts = kind().transfer(view, bits), kind().part(view)
    for i in range(2):
        single = replace(PROCESS, node_nm=float(nodes[i]), supply_V=float(supplies[i]))
        one = kind().transfer(single, float(bits[i]))
        np.testing.assert_allclose(many.energy_pJ[:, i], one.energy_pJ[:, 0])
        np.testing.assert_allclose(np.broadcast_to(many.latency_ns, (3, 2))[:, i], one.latency_ns[:, 0])
        area = np.broadcast_to(parts.area_um2, (3, 2))[:, i]
        np.testing.assert_allclose(area, kind().part(single).area_um2[:, 0])
