"""The bill counts the actions that the simulation performs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from ohmfield.chip.files import load_chip
from ohmfield.chip.units import Crossbar
from ohmfield.cost.actions import Rates, linear_actions
from ohmfield.deploy import deploy
from ohmfield.fields import presets
from ohmfield.mapping.tile import tile
from ohmfield.networks import vit
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
                assert counts["crossed"] == pytest.approx(actions.cell_reads)
        elif operator.kind == "table":
            assert counts["reads"] == operator.reads * made.workload.items
        elif operator.kind == "activation":
            assert counts["values"] == operator.outputs * made.workload.items
    assert crossbars
    assert not [line for line in made.bill.warnings if line.startswith("assumed rate")]


@pytest.mark.parametrize("chip_name", ["rram-40nm", "dcim-28nm"])
def test_counts_of_convolutions_and_attention_are_those_of_the_bill(chip_name):
    torch.manual_seed(0)
    grouped = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, groups=16), nn.Flatten())
    chip = load_chip(chip_name)
    for model, x in ((grouped, torch.rand(8, 3, 12, 12)), (vit(8, 4, 16, 1, 2, 16), torch.rand(8, 3, 8, 8))):
        made = deploy(model, chip, x)
        for operator in made.workload.shapes.operators:
            site, counts = made.placement.sites[operator.id], made.workload.tally[operator.id]
            if operator.kind not in ("linear", "product") or site.unit == "host":
                continue
            unit = chip.units[site.unit]
            cut = tile(operator, unit, made.placement.weight_bits)
            ran = replace(made.workload, items=made.workload.tally_items)
            actions = linear_actions(operator, site, unit, cut, Rates(ran), made.placement)
            batches = operator.groups if operator.kind == "product" else cut.packs
            assert counts["vectors"] == actions.vectors * batches
            if isinstance(unit, Crossbar):
                assert counts["driven"] == pytest.approx(actions.driven)
                assert counts["conversions"] == actions.conversions
                if operator.kind == "linear" and cut.packs == 1:  # of packs that differ in size the bill takes the mean
                    assert counts["crossed"] == pytest.approx(actions.cell_reads)
        rows = {row.operator: row for row in made.placed}
        assert set(rows) == {operator.id for operator in made.workload.shapes.operators}
        assert all((row.why == "") == (made.workload.shapes[name].kind == "linear") for name, row in rows.items())
