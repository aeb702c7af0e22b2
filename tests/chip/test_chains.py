"""Digital arrays with adders in their cells: the law of their swings, what they cost beside trees, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ohmfield.chip.chains import rises
from ohmfield.chip.digital_cim import TREE_ACTIVITY, DigitalCim
from ohmfield.chip.process import Process

PROCESS = Process(node_nm=28, supply_V=0.9, clock_GHz=0.1)
SIMULATED = json.loads((Path(__file__).parents[2] / "benchmarks" / "results" / "glitches.json").read_text())
CHAIN = DigitalCim(rows=128, columns=128, banks=1, chain_rows=8)


@pytest.mark.parametrize("each", SIMULATED["chains"], ids=lambda each: f"{each['rows']} rows {each['bits']} b")
def test_the_law_meets_the_simulation(each: dict[str, float]) -> None:
    assert float(rises(each["rows"], each["bits"])) == pytest.approx(each["simulated"], rel=0.12)


def test_trees_swing_as_their_constant_says() -> None:
    low, mid, high = TREE_ACTIVITY.span.ravel() / 2.0  # of a cycle in which half of the digits are driven
    swings = list(SIMULATED["trees"].values())
    assert low < min(swings) < mid < max(swings) < high


def test_a_sum_grows_into_columns_of_its_own() -> None:
    assert [int(CHAIN.columns_per_weight(bits)) for bits in (1, 8)] == [8, 15]
    assert int(CHAIN.weights_per_row(8)) == 8
    assert int(replace(CHAIN, chain_rows=None).weights_per_row(8)) == 16


def test_longer_chains_glitch_more_and_shorter_ones_have_more_registers() -> None:
    rows = (4, 8, 16, 32)
    adds = [replace(CHAIN, chain_rows=n).add(PROCESS, 8).energy_pJ[1, 0] for n in rows]
    clocked = [replace(CHAIN, chain_rows=n).control(PROCESS).energy_pJ[1, 0] for n in rows]
    assert np.all(np.diff(adds) > 0)
    assert np.all(np.diff(clocked) < 0)


def test_booth_digits_cost_less_than_products_of_two_bits() -> None:
    plain = DigitalCim(rows=32, columns=48, banks=1, input_bits_per_cycle=2)
    booth = replace(plain, booth=True)
    for quantity in ("energy", "area"):
        ours, theirs = (
            unit.add(PROCESS, 8).energy_pJ if quantity == "energy" else unit.parts(PROCESS, 8, 8)["adder_tree"].area_um2
            for unit in (booth, plain)
        )
        assert np.all(ours < theirs)


def test_an_input_line_rises_in_a_quarter_of_the_cycles() -> None:
    one, two = (DigitalCim(input_bits_per_cycle=bits).drive(PROCESS).energy_pJ[1, 0] for bits in (1, 2))
    assert two * 0.75 == pytest.approx(2.0 * one * 0.5)  # both lines of a digit, three quarters of which are driven


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"chain_rows": 8, "input_bits_per_cycle": 2},
            "chain_rows 8: adders in cells are exact and take one input bit",
        ),
        ({"booth": True}, "booth: a digit is two input bits; set input_bits_per_cycle 2"),
    ],
)
def test_what_cannot_be_built_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DigitalCim(**fields)
