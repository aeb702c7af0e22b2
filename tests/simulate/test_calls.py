"""Products called as functions: attention in integers written once more, recurrent cells, models as people write."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from idioms import Timm, Vision
from ohmfield.chip.cells import RramCell
from ohmfield.chip.chip import Chip
from ohmfield.chip.fixed import Word, requantise
from ohmfield.chip.units import Crossbar, DigitalCim
from ohmfield.deploy import Recipe, deploy
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import trace
from ohmfield.numerics import Grid
from ohmfield.simulate.calls import ChipProduct
from ohmfield.simulate.convert import chip_layers, convert, convert_unchanged
from ohmfield.simulate.formats import CalledFormat, ProductFormat, choose_formats
from ohmfield.simulate.run import install, predict, program
from ohmfield.tally import Tally
from small_chip import crossbar, small_chip

LOSSLESS = crossbar(adc={"bits": 12, "step_levels": 1.0})
HYBRID: dict[str, Any] = {"units": {"unit": LOSSLESS, "digital": DigitalCim()}}


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


class Multi(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(8, 2, batch_first=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        return self.attn(x, x.flip(1) if self.attn.kdim != 8 else x, x, attn_mask=mask, need_weights=False)[0]


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.cells = kind(8, 6, num_layers=2, bidirectional=True, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.cells(x)[0]


class Functions(nn.Module):
    """Weights that are used by function: as they are, transposed, in part, and by einsum; two calls share one."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 12))
        self.both = nn.Parameter(torch.randn(16, 8))
        self.register_buffer("fixed", torch.randn(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.both.chunk(2)
        y = F.relu(F.linear(x, first)) + torch.matmul(x, second.T)
        z = torch.einsum("btd,de->bte", y, self.weight) - x @ self.weight
        mixed = torch.einsum("btd,bsd->bts", y, x)
        return torch.cat([z, x @ self.get_buffer("fixed"), mixed @ z], -1)


MODELS: dict[str, Any] = {
    "attention": Attention,
    "multi-head": Multi,
    "multi-head, other keys": lambda: Multi(kdim=8, vdim=8),
    "lstm": lambda: Recurrent(nn.LSTM),
    "gru": lambda: Recurrent(nn.GRU),
    "rnn": lambda: Recurrent(nn.RNN),
    "functions": Functions,
    "encoder": lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
    "vision": Vision,
    "timm": Timm,
}


def made(name: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(5)
    model = MODELS[name]().eval()
    return model, torch.randn(6, 3, 16, 16) if name in ("vision", "timm") else torch.randn(6, 5, 8)


def converted(model: nn.Module, chip: Chip, x: Tensor) -> tuple[Any, Any]:
    placement = place(trace(model, x), chip)
    formats = choose_formats(model, chip, placement, x)
    return convert(model, chip, placement, formats), formats


@pytest.mark.parametrize("name", MODELS)
def test_converts_without_edits(name: str) -> None:
    model, x = made(name)
    chip = small_chip(**HYBRID)
    with torch.no_grad():
        exact = model(x)
    before = copy.deepcopy(model.state_dict())
    module, _ = converted(model, chip, x)
    install(module, chip, program(module, chip))
    tally = Tally()
    with tally.listen():
        out = predict(module, x)
    assert (out - exact).square().mean() < 2e-3 * exact.square().mean()
    shapes = trace(model, x)
    assert trace(module, x) == shapes == trace(convert_unchanged(model), x)
    chunked = predict(module, x, chunk=2)  # floats of the host may differ in the last bit, and flip a code
    assert (out - chunked).abs().max() < 0.02 * exact.abs().max()
    served = [o.id for o in shapes.operators if o.kind in ("linear", "product")]
    assert {operator for operator in tally.counts if "driven" in tally[operator]} == set(served)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert (convert_unchanged(model)(x) - exact).abs().max() <= 1e-5


def test_attention_equals_its_integers() -> None:
    """Every product once more on whole numbers in double precision, words in between, softmax in floats."""
    model, x = made("attention")
    chip = small_chip(**HYBRID)
    module, formats = converted(model, chip, x)
    install(module, chip, program(module, chip))
    assert isinstance(model, Attention)

    def layer(name: str, value: Tensor) -> Tensor:
        form, weight = formats[name], model.get_submodule(name)
        assert isinstance(weight, nn.Linear)
        sums = form.input.codes(value).double() @ form.weight.codes(weight.weight.detach()).double().T
        factor = form.weight.scale.double().flatten() * float(form.input.scale)
        biased = sums + torch.floor(weight.bias.detach().double() / factor + 0.5)
        codes = requantise(
            biased.long().flatten(0, -2), factor * 2.0**form.output.fraction, chip.requantiser, form.output
        )
        return form.output.values(codes).reshape(biased.shape)

    def product(name: str, a: Tensor, b: Tensor) -> Tensor:
        called = formats[name]
        assert isinstance(called, CalledFormat)
        form = called.form
        assert isinstance(form, ProductFormat)
        sums = form.first.codes(a).double() @ form.second.codes(b).double()
        value = sums * float(form.first.scale) * float(form.second.scale)
        return form.output.values(form.output.codes(value))

    q, k, v = layer("qkv", x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
    scores = product("(model).scores#0", q, k.mT) * (1.0 / math.sqrt(4))
    scores = scores.masked_fill(torch.ones(5, 5, dtype=torch.bool).triu(1), -math.inf)
    mixed = product("(model).values#0", torch.softmax(scores, -1), v).transpose(1, 2).flatten(2)
    assert torch.equal(predict(module, x), layer("proj", mixed))


@pytest.mark.parametrize("length", [257, 511, 512])
def test_products_of_unsigned_operands_are_exact(length: int) -> None:
    """From 259 products of 255 by 255 on, a sum leaves the 24 bits of a float32; words of 4 show an error of 1."""
    unsigned = Grid(bits=8, signed=False, scale=1.0)
    product = ChipProduct("p", ProductFormat(unsigned, unsigned, Word(24, -2)), small_chip(DigitalCim())).eval()
    a = torch.randint(230, 256, (4, 70, length), generator=torch.Generator().manual_seed(1))
    b = torch.randint(230, 256, (4, length, 90), generator=torch.Generator().manual_seed(2))
    assert torch.equal(product(a.float(), b.float()).long(), (a @ b + 2) // 4 * 4)


def test_written_operands_are_billed_for_every_item() -> None:
    model, x = made("attention")
    digital = small_chip(DigitalCim())
    made_here = deploy(model, digital, x)
    bill = made_here.bill
    writes = bill.components.index("programming")
    energy = bill.energy_pJ[1, 0, :, writes]
    operators = {o.id: o for o in made_here.workload.shapes.operators}
    scores = operators["(model).scores#0"]
    assert (scores.kind, scores.inputs, scores.outputs, scores.vectors, scores.groups) == ("product", 4, 5, 5.0, 2)
    resident = energy[bill.operators.index("qkv#0")]
    assert energy[bill.operators.index(scores.id)] > 1000 * resident > 0
    assert made_here.workload.measured(scores.id, "driven")
    analog = deploy(model, small_chip(LOSSLESS), x)
    hosted = {site.operator for site in analog.placement.sites.values() if site.unit == "host"}
    assert {"(model).scores#0", "(model).values#0"} <= hosted
    assert not [m for m in analog.module.modules() if isinstance(m, ChipProduct)]


def test_shared_and_partial_weights_are_stored_once_each() -> None:
    model, x = made("functions")
    module, _ = converted(model, small_chip(**HYBRID), x)
    assert set(chip_layers(module)) == {"both@0", "both@64", "weight", "fixed"}
    assert isinstance(model, Functions)
    stored = chip_layers(module)["weight"]
    assert stored.weight_codes().shape == (12, 8)
    assert stored.weight is module.weight  # the copy's own parameter, not another


def test_calls_train_and_copies_are_independent() -> None:
    for name in ("functions", "attention", "timm"):
        model, x = made(name)
        module, _ = converted(model, small_chip(**HYBRID), x)
        twin = copy.deepcopy(module)
        module.train()
        module(x).square().mean().backward()
        for key, parameter in module.named_parameters():
            if parameter.requires_grad and "chip_calls" not in key:
                assert parameter.grad is not None, key
        with torch.no_grad():
            before = predict(twin.eval(), x)
            for parameter in module.parameters():
                parameter.mul_(0.5)
        assert torch.equal(predict(twin, x), before)
        assert not torch.equal(predict(module.eval(), x), before)


def test_errors_of_cells_reach_function_calls_and_instances_differ() -> None:
    model, x = made("lstm")
    analog = crossbar(RramCell(program_fraction=0.03, read_fraction=0.01), adc={"bits": 9, "step_levels": 1.0})
    here = deploy(model, small_chip(analog), x, Recipe(calibration_points=64))
    assert len(set(here.instances([0, 1, 2]))) == 3
    assert isinstance(analog, Crossbar)
    assert here.quality["snr_dB"] < dict(here.waterfall)["quantised"]
    assert {"cells.weight_hh_l0#4", "cells.weight_ih_l1_reverse#0"} <= set(here.workload.tally.counts)
