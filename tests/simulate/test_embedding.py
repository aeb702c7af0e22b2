"""Embeddings in table memory: what is simulated is what is billed, down to the code of every row."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ohmfield.chip.digital import GatherUnit
from ohmfield.chip.fixed import requantise
from ohmfield.chip.memory import Sram
from ohmfield.deploy import Deployment, deploy
from ohmfield.mapping.trace import trace
from ohmfield.simulate.layers import ChipEmbedding, ChipLinear, Unchanged
from small_chip import crossbar, small_chip

LOSSLESS = crossbar(adc={"bits": 12, "step_levels": 1.0})


class Words(nn.Module):
    """Two looks into one table, and a layer on what was found."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.table, self.linear = nn.Embedding(50, 12, padding_idx=3, **options), nn.Linear(24, 5)

    def forward(self, rows: Tensor) -> Tensor:
        return self.linear(torch.cat([self.table(rows[:, 0]), self.table(rows[:, 1])], -1))


def deployed(**changes: Any) -> tuple[Words, Tensor, Deployment]:
    torch.manual_seed(4)
    model, rows = Words(), torch.randint(0, 50, (40, 2))
    return model, rows, deploy(model, small_chip(LOSSLESS, **changes), rows[8:], calibrate=rows[:8])


@pytest.mark.parametrize("bits", [4, 8])
def test_equals_its_integers(bits: int) -> None:
    """Rows as integers of a scale found here, products and requantiser in integers."""
    model, rows, here = deployed(gather=GatherUnit(table_bits=bits))
    table, linear = here.module.table, here.module.linear
    assert isinstance(table, ChipEmbedding)
    assert isinstance(linear, ChipLinear)
    weight, most = model.table.weight.detach().double(), 2 ** (bits - 1) - 1
    errors = {}
    for fraction in range(-4, 16):
        codes = torch.floor(weight * 2.0**fraction + 0.5).clamp(-most, most)
        errors[fraction] = float((codes * 2.0**-fraction - weight).square().sum())
    fraction = min(errors, key=lambda each: errors[each])
    codes = torch.floor(weight * 2.0**fraction + 0.5).clamp(-most, most).long()
    assert torch.equal(table.codes(), codes)
    assert not codes[3].any()
    form, read = linear.form, codes[rows[8:]].flatten(1)
    ratio = 2.0**-fraction / float(form.input.scale)
    inputs = torch.floor(read * ratio + 0.5).clamp(form.input.low, form.input.high).long()
    factor = torch.as_tensor(form.weight.scale).double().flatten() * float(form.input.scale)
    bias = torch.floor(model.linear.bias.detach().double() / factor + 0.5).long()
    sums = inputs @ form.weight.codes(model.linear.weight.detach()).long().T + bias
    words = requantise(sums, factor * 2.0**form.output.fraction, here.chip.requantiser, form.output)
    assert torch.equal(here.picture, form.output.values(words))


def test_reads_are_counted_and_billed_and_the_table_is_stored_once() -> None:
    model, _, here = deployed()
    assert {name: here.workload.tally[name]["reads"] for name in ("table#0", "table#1")} == {
        "table#0": 32.0,
        "table#1": 32.0,
    }
    bill = here.bill

    def energy(operator: str, component: str) -> float:
        return float(bill.energy_pJ[1, 0, bill.operators.index(operator), bill.components.index(component)])

    assert energy("table#0", "table_memory") == energy("table#1", "table_memory") > 0
    assert energy("table#0", "programming") > 0 == energy("table#1", "programming")
    only_one = small_chip(LOSSLESS, table_memory=Sram(kilobytes=0.5 + 50 * 12 / 1024))
    once = deploy(model, only_one, torch.randint(0, 50, (40, 2)))
    assert {once.placement.sites[name].unit for name in ("table#0", "table#1")} == {"table_memory"}


@pytest.mark.parametrize("changes", [{"gather": None}, {"table_memory": Sram(kilobytes=0.25)}])
def test_without_a_place_the_table_stays_on_the_host(changes: dict[str, Any]) -> None:
    model, rows, here = deployed(**changes)
    assert isinstance(here.module.table, Unchanged)
    assert torch.equal(here.module.table(rows), model.table(rows))
    assert {row.unit for row in here.placed if row.function == "table"} == {"host"}
    assert any(note.startswith("on the host") and "table" in note for note in here.notes)


def test_rows_that_are_rescaled_as_they_are_read_stay_on_the_host() -> None:
    torch.manual_seed(4)
    here = deploy(Words(max_norm=1.0), small_chip(LOSSLESS), torch.randint(0, 50, (40, 2)))
    assert isinstance(here.module.table, Unchanged)
    assert here.placement.sites["table#0"].unit == "host"


def test_trains_with_a_gradient_for_every_row_but_the_padding() -> None:
    _, rows, here = deployed()
    module: Any = here.module.train()
    module(torch.cat([rows, torch.tensor([[3, 7]])])).square().sum().backward()
    table = module.get_submodule("table")
    assert isinstance(table, ChipEmbedding)
    gradient = table.weight.grad
    assert gradient is not None
    assert gradient[7].any()
    assert not gradient[3].any()
    assert trace(module.eval(), rows) == trace(Words(), rows)
