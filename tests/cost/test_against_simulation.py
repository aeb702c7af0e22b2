"""The bill counts the actions that the simulation performs."""

from __future__ import annotations

import pytest

from ohmfield.chip.files import load_chip
from ohmfield.chip.units import Crossbar
from ohmfield.cost.actions import Rates, linear_actions
from ohmfield.deploy import deploy
from ohmfield.fields import presets
from ohmfield.mapping.tile import tile
from ohmfield.signals.synthetic import shapes


@pytest.mark.parametrize("chip_name", ["rram-40nm", "hybrid-40nm"])
def test_counts_of_a_run_are_the_counts_of_the_bill(chip_name):
    chip, signal = load_chip(chip_name), shapes(16)
    made = deploy(presets.build("hash", num_levels=4, log2_table=8, width=16, depth=2), chip, signal)
    crossbars = 0
    for operator in made.workload.shapes.operators:
        counts = made.workload.tally[operator.id]
        if operator.kind == "linear":
            site = made.placement.sites[operator.id]
            unit = chip.units[site.unit]
            cut = tile(operator, unit, made.placement.weight_bits)
            actions = linear_actions(operator, site, unit, cut, Rates(made.workload), made.placement)
            assert counts["vectors"] == actions.vectors
            assert counts["driven"] == pytest.approx(actions.driven)
            if isinstance(unit, Crossbar):
                crossbars += 1
                assert counts["conversions"] == actions.conversions
        elif operator.kind == "table":
            assert counts["reads"] == operator.reads * made.workload.items
        elif operator.kind == "activation":
            assert counts["values"] == operator.outputs * made.workload.items
    assert crossbars
    (left,) = [line for line in made.bill.warnings if line.startswith("assumed rate")]
    assert "mean conductance" in left
