"""The gate library and activation units made of it."""

from __future__ import annotations

import numpy as np
import pytest

from ohmfield.chip import library
from ohmfield.chip.process import Process
from ohmfield.chip.stages import FUNCTIONS, stages
from ohmfield.spec import InputError

PROCESS = Process(node_nm=28, supply_V=0.9, clock_GHz=0.5)
WIDE = [library.adder, library.register, library.gate, library.xor, library.comparator, library.mux]


def mid(span: np.ndarray) -> float:
    return float(span[1, 0])


@pytest.mark.parametrize("block", WIDE, ids=lambda f: f.__name__)
def test_twice_the_width_costs_twice(block) -> None:
    assert mid(block(32).energy_fJ) == pytest.approx(2 * mid(block(16).energy_fJ))
    assert mid(block(32).area_um2) == pytest.approx(2 * mid(block(16).area_um2))


@pytest.mark.parametrize("block", WIDE, ids=lambda f: f.__name__)
def test_ranges_are_in_order_and_nothing_is_free(block) -> None:
    for span in (block(8).energy_fJ, block(8).area_um2):
        low, middle, high = span.ravel()
        assert 0 < low < middle < high


def test_a_multiplier_is_quadratic_in_its_width() -> None:
    assert mid(library.multiplier(16, 16).energy_fJ) == pytest.approx(4 * mid(library.multiplier(8, 8).energy_fJ))
    assert mid(library.multiplier(8, 4).area_um2) == pytest.approx(mid(library.multiplier(4, 8).area_um2))


def test_full_adders_of_a_tree() -> None:
    # Four inputs of b bits, ripple: two b-bit adders and one of b + 1 bits = 3 b + 1 full adders.
    assert library.adder_tree_cells(4, 8) == 2 * 8 + 9
    # Eight inputs: 4 x 8 + 2 x 9 + 1 x 10.
    assert library.adder_tree_cells(8, 8) == 4 * 8 + 2 * 9 + 10


def test_a_full_adder_lies_between_its_sources() -> None:
    # NeuroSim at 22 nm: 17.1 fJ for 16 bits; ZigZag-IMC at 28 nm: 3.4 fJ per bit.
    low, _, high = library.adder(1).energy_fJ.ravel()
    assert low < 3.402 < high
    assert low <= 17.1 / 16 / 0.5315 + 1e-3


@pytest.mark.parametrize(
    ("function", "depth"), [("relu", 1), ("quad", 4), ("sine", 4), ("gauss", 5), ("wire", 6), ("finer", 6)]
)
def test_depth_of_the_pipelines(function: str, depth: int) -> None:
    assert len(stages(function, 16, 8)) == depth


def test_activation_units_order_as_the_stage_lists_say() -> None:
    area = {name: sum(mid(block.part(PROCESS).area_um2) for block in stages(name, 16, 8)) for name in FUNCTIONS}
    assert area["relu"] < area["quad"] < area["sine"] < area["finer"] < area["wire"]
    assert area["sine"] < area["gauss"] < area["wire"]
    # A 28 nm quad unit is reported at 1914 um2 (arXiv 2508.14374), its width not.
    assert 1914 / 3 < area["quad"] < 1914 * 3


def test_an_unknown_function_lists_the_known() -> None:
    with pytest.raises(InputError, match="'softmax' has no unit; known: relu, quad, sine"):
        stages("softmax", 16, 8)
