"""Counts of our bill against those of AccelForge and ZigZag on the same layers and chips, from their stored answers.

What a conversion costs differs by a named constant (docs/bill_peers.md); how many there are must not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ohmfield.chip.chip import Chip
from ohmfield.chip.files import load_chip
from ohmfield.chip.units import Crossbar, DigitalCim
from ohmfield.cost.bill import Bill
from ohmfield.cost.evaluate import evaluate
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import trace
from ohmfield.mapping.workload import Workload
from ohmfield.quantities import MID

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NETWORKS = {
    "mlp": (((2, 256), (256, 256), (256, 256), (256, 3)), 64 * 64),
    "transformer": (((768, 2304), (768, 768), (768, 3072), (3072, 768)), 197),
}


class Apart(nn.Module):
    """Each layer on the first of the inputs it needs."""

    def __init__(self, sizes: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(before, after, bias=False) for before, after in sizes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            layer(x[:, : layer.in_features])
        return x


def billed(chip: Chip, network: str) -> Bill:
    sizes, vectors = NETWORKS[network]
    shapes = trace(Apart(sizes), torch.zeros(2, 3072))
    return evaluate(chip, Workload(shapes, items=vectors), place(shapes, chip, copies=1))


def spent_pJ(bill: Bill, component: str) -> float:
    return float(bill.energy_pJ[MID, 0, :, bill.components.index(component)].sum())


def stored(peer: str, chip: str, network: str) -> dict[str, Any]:
    answer = json.loads((BENCHMARKS / "results" / "cost_peers.json").read_text())
    return next(run for run in answer["peers"][peer]["runs"] if (run["chip"], run["network"]) == (chip, network))


@pytest.mark.parametrize("network", NETWORKS)
def test_accelforge_counts_as_many_conversions_and_cells(network: str) -> None:
    chip = load_chip(BENCHMARKS / "peers_chips" / "jia_jssc_2020.yaml")
    unit, bill, theirs = chip.units["crossbar"], billed(chip, network), stored("accelforge", "jia_jssc_2020", network)
    assert isinstance(unit, Crossbar)
    conversions = spent_pJ(bill, "adc") / float(unit.convert(chip.process).energy_pJ[MID, 0])
    assert conversions == pytest.approx(theirs["actions"]["ADC read"], rel=1e-9)
    read = unit.cell.read(chip.process, float(unit.cell.mean_uS(unit.default_fill)), unit.array)
    # It counts every cell and bit, we those that are driven: half, where nothing was measured.
    driven = spent_pJ(bill, "cells") / float(read.energy_pJ[MID, 0])
    assert 2.0 * driven == pytest.approx(theirs["actions"]["BitcellCapacitor read"], rel=1e-9)
    drives = spent_pJ(bill, "drivers") / float(unit.drive(chip.process).energy_pJ[MID, 0])
    assert 2.0 * drives == pytest.approx(theirs["actions"]["RowDrivers read"], rel=1e-9)


@pytest.mark.parametrize("network", NETWORKS)
def test_zigzag_counts_as_many_conversions(network: str) -> None:
    chip = load_chip(BENCHMARKS / "peers_chips" / "aimc_jssc_2023.yaml")
    unit, bill, theirs = chip.units["crossbar"], billed(chip, network), stored("zigzag", "aimc_jssc_2023", network)
    assert isinstance(unit, Crossbar)
    conversions = spent_pJ(bill, "adc") / float(unit.convert(chip.process).energy_pJ[MID, 0])
    bits = unit.adc.bits
    one_pJ = (100.0 * bits + 0.001 * 4.0**bits) * 0.9**2 * 1e-3  # ZigZag's formula, fJ at 0.9 V
    assert conversions == pytest.approx(theirs["energy_pJ"]["adcs"] / one_pJ, rel=0.02)


@pytest.mark.parametrize("network", NETWORKS)
def test_zigzag_counts_as_many_additions(network: str) -> None:
    chip = load_chip(BENCHMARKS / "peers_chips" / "dimc_isscc_2022.yaml")
    unit, bill, theirs = chip.units["digital_cim"], billed(chip, network), stored("zigzag", "dimc_isscc_2022", network)
    assert isinstance(unit, DigitalCim)
    sizes, _ = NETWORKS[network]
    widths = [8 + 8 + float(np.ceil(np.log2(before))) for before, _ in sizes]  # ours grow with the layer
    adds = [float(unit.shift_add(chip.process, width).energy_pJ[MID, 0]) for width in widths]
    row = bill.energy_pJ[MID, 0, :, bill.components.index("shift_add")][: len(sizes)]
    additions = float(np.sum(row / np.array(adds)))
    one_pJ = (6 + 3) * 0.7e-3 * 0.9**2 * (8 + 8 + 5)  # a full adder and a flip-flop for each of its 21 bits
    assert additions == pytest.approx(theirs["energy_pJ"]["accumulators"] / one_pJ, rel=0.02)
