"""Node and supply: factors, limits, order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmfield.chip import scaling
from ohmfield.spec import InputError

NODES = [2, 3, 5, 7, 10, 14, 16, 20, 22, 28, 32, 40, 45, 65, 90, 130, 180]


def test_the_reference_scales_by_one() -> None:
    assert scaling.digital_energy(28, 0.9) == pytest.approx(1.0)
    assert scaling.digital_area(28) == pytest.approx(1.0)
    assert scaling.analog_energy(28, 0.9) == pytest.approx(1.0)
    assert scaling.analog_area(28) == pytest.approx(1.0)
    assert scaling.delay(28, 0.9) == pytest.approx(1.0)


def test_tabulated_nodes_are_met() -> None:
    # Stillmaker and Baas 2017: area 0.23 at 65 nm and 0.072 at 32 nm, relative to 130 nm.
    assert scaling.digital_area(65) / scaling.digital_area(32) == pytest.approx(0.23 / 0.072)
    # Their polynomials at the nominal supplies 1.1 V and 0.9 V.
    at_65 = 3.755 * 1.1**2 - 4.398 * 1.1 + 1.975
    at_32 = 0.9559 * 0.9**2 - 0.7823 * 0.9 + 0.471
    assert scaling.digital_energy(65, 1.1) / scaling.digital_energy(32, 0.9) == pytest.approx(at_65 / at_32)


@pytest.mark.parametrize("factor", [scaling.digital_area, scaling.analog_area], ids=lambda f: f.__name__)
def test_smaller_nodes_are_smaller(factor) -> None:
    assert np.all(np.diff([factor(node) for node in NODES]) > 0)


@pytest.mark.parametrize("factor", [scaling.digital_energy, scaling.analog_energy], ids=lambda f: f.__name__)
def test_smaller_nodes_draw_less_at_one_supply_and_at_their_nominal(factor) -> None:
    assert np.all(np.diff([factor(node, scaling.nominal_V(node)) for node in NODES]) > 0)


def test_below_seven_nanometres() -> None:
    assert scaling.digital_area(2) / scaling.digital_area(7) == pytest.approx(2 / 7)
    assert scaling.digital_energy(2, 0.7) / scaling.digital_energy(7, 0.7) == pytest.approx((2 / 7) ** 0.5)


@given(st.floats(2, 180), st.floats(0.3, 2.0))
def test_twice_the_supply_four_times_the_energy(node: float, supply: float) -> None:
    assert scaling.digital_energy(node, 2 * supply) == pytest.approx(4 * scaling.digital_energy(node, supply))
    assert scaling.analog_energy(node, 2 * supply) == pytest.approx(4 * scaling.analog_energy(node, supply))


def test_arrays_pass_through() -> None:
    nodes = np.array([7.0, 28.0, 65.0])
    for area, node in zip(np.asarray(scaling.digital_area(nodes)), nodes, strict=True):
        assert area == pytest.approx(scaling.digital_area(node))


@pytest.mark.parametrize("node", [1.9, 181.0, 0.0, -5.0, float("nan"), np.array([28.0, 200.0])])
@pytest.mark.parametrize(
    "factor",
    [
        scaling.digital_area,
        scaling.analog_area,
        lambda node: scaling.digital_energy(node, 1.0),
        lambda node: scaling.analog_energy(node, 1.0),
        lambda node: scaling.delay(node, 1.0),
    ],
)
def test_nodes_without_constants_are_refused(factor, node) -> None:
    with pytest.raises(InputError, match=r"outside 2\.\.180 nm"):
        factor(node)
