"""Presets of published chips: each names its source, loads, places and bills a network, and says what is assumed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from ohmfield.chip.files import PRESETS, list_baselines, list_chips, load_baseline, load_chip
from ohmfield.cost.evaluate import evaluate
from ohmfield.mapping.place import TABLE_MEMORY, place
from ohmfield.mapping.trace import trace
from ohmfield.mapping.workload import Operator, Shapes, Workload
from validation.preset_rows import FOLLOWED, billed
from validation.silicon_rows import ROWS

NETWORK = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8))
FROM_MEMORY = {"a100", "jetson-agx-orin", "jetson-orin-nx", "jetson-xavier-nx", "rtx-3090", "rtx-4090"}


@pytest.mark.parametrize("name", list_chips())
def test_a_preset_names_its_source_and_bills_what_it_assumes(name):
    chip = load_chip(name)
    assert chip.name == name
    assert len(chip.source) > 40
    assert len(chip.assumed) >= 3
    shapes = trace(NETWORK, torch.rand(4, 16))
    placement = place(shapes, chip)
    units = {placement.sites[operator.id].unit for operator in shapes.operators if operator.kind == "linear"}
    assert units <= set(chip.units)
    bill = evaluate(chip, Workload(shapes, items=100.0), placement)
    assert 0.0 < bill.energy_mJ[0] <= bill.energy_mJ[1] <= bill.energy_mJ[2]
    assert bill.area_mm2[1] > 0.0
    for line in chip.assumed:
        assert f"assumed: {line}" in bill.warnings


@pytest.mark.parametrize("name", sorted(FOLLOWED))
def test_a_preset_of_a_fabricated_chip_names_its_row(name):
    chip = load_chip(name)
    row = next(row for row in ROWS if row.row == FOLLOWED[name][0])
    assert f"# validation: {row.chip}, docs/silicon.md\n" in (PRESETS / f"{name}.yaml").read_text()
    assert (chip.process.node_nm, chip.process.supply_V) == (row.node_nm, row.supply_V)
    assert chip.boundary in ("macro", "chip")


# Presets further off than twice, energy and area, each with why in docs/chips.md.
FURTHER = {"energy": {"neurram-130nm", "sinangil-7nm"}, "area": {"neurram-130nm", "wang-22nm"}}


@pytest.mark.parametrize("name", sorted(FOLLOWED))
def test_a_full_array_costs_within_twice_of_what_was_published_but_for_named_presets(name):
    found = billed(name)
    for part, times in (("energy", found.energy), ("area", found.area)):
        if times == times:  # a row without an area has no ratio
            assert (0.5 <= times <= 2.0) == (name not in FURTHER[part]), (part, times)
            assert 0.1 < times < 10.0
    assert 0.5 <= found.once <= 2.0  # with actions as often as the circuit has them


@pytest.mark.parametrize("name", list_baselines())
def test_a_baseline_says_what_is_from_memory(name):
    source = load_baseline(name).source
    assert load_baseline(name).assumed
    assert ("from memory" in source and "not checked" in source) == (name in FROM_MEMORY)


def test_ngpc_runs_beside_the_gpu_of_the_baselines():
    host, gpu = load_chip("ngpc-7nm").host, load_baseline("rtx-3090")
    assert host.name == gpu.name
    assert host.cost(1e9, 1e6, 1.0).latency_ns.tolist() == gpu.cost(1e9, 1e6, 1.0).latency_ns.tolist()
    assert host.cost(1e9, 1e6, 1.0).energy_pJ.tolist() == gpu.cost(1e9, 1e6, 1.0).energy_pJ.tolist()


@pytest.mark.parametrize(("log2_table", "fits"), [(18, True), (19, False)])
def test_tables_of_ngpc_hold_2_to_18_rows_a_level_but_not_2_to_19(log2_table, fits):
    """16 levels of two 16-bit features: 1 MB and 2 MB a level."""
    levels, chip = 16, load_chip("ngpc-7nm")
    table = Operator("grid.table#0", "table", outputs=2, rows=levels * 2**log2_table, reads=8.0 * levels)
    assert (place(Shapes((table,)), chip).sites[table.id].unit == TABLE_MEMORY) == fits


def test_the_page_of_chips_has_a_line_for_each():
    page = (Path(__file__).parents[2] / "docs" / "chips.md").read_text()
    assert "<!-- chips -->" in page
    assert "<!-- baselines -->" in page
    assert set(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)) == set(FOLLOWED)
