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
from ohmfield.signals.examples import Examples
from ohmfield.simulate.calls import ChipProduct
from ohmfield.simulate.convert import chip_layers, convert, convert_unchanged
from ohmfield.simulate.formats import CalledFormat, ProductFormat, choose_formats
from ohmfield.simulate.run import install, predict, program
from ohmfield.spec import InputError
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


class Tied(nn.Module):
    """Square weights used twice: as they are and transposed, or by rows that start in one place."""

    def __init__(self, second: str) -> None:
        super().__init__()
        self.weight, self.second = nn.Parameter(torch.randn(16, 8) if second == "rows" else torch.randn(8, 8)), second

    def forward(self, x: Tensor) -> Tensor:
        if self.second == "rows":
            return F.linear(x, self.weight[:8]) + F.linear(x, self.weight[::2])
        other = self.weight.t() if self.second == "transposed" else self.weight
        return F.linear(F.relu(F.linear(x, self.weight)), other)


@pytest.mark.parametrize("second", ["transposed", "rows", "same"])
def test_views_of_one_parameter_are_matrices_of_their_own(second: str) -> None:
    torch.manual_seed(3)
    made_here = deploy(Tied(second), small_chip(DigitalCim()), torch.randn(32, 8))
    assert made_here.quality["snr_dB"] > 20.0
    names = {"transposed": {"weight", "weight.view_1"}, "rows": {"weight@0", "weight@0.view_1"}, "same": {"weight"}}
    assert set(chip_layers(made_here.module)) == names[second]


class Beside(nn.Module):
    """A product, or a convolution of either direction, with a bias that follows from the inputs."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(4, 8)), nn.Linear(8, 4)
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        bias = 3.0 * self.bias(x).mean(0)
        if self.kind == "linear":
            return F.linear(x, self.weight, bias)
        if self.kind == "convolution":
            return F.conv1d(x[..., None], self.weight[..., None], bias)
        return F.conv_transpose1d(x[..., None], self.weight.T[..., None], bias)


@pytest.mark.parametrize("kind", ["linear", "convolution", "transposed"])
def test_a_bias_that_is_an_activation_is_added_behind_the_layer(kind: str) -> None:
    torch.manual_seed(3)
    x = 4.0 * torch.rand(64, 8) - 2.0
    x[16:] = x[16:].abs()  # other biases than calibration sees, in the same ranges
    made_here = deploy(Beside(kind), small_chip(DigitalCim()), x)
    assert made_here.quality["snr_dB"] > 20.0


class TwoBiases(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight, self.biases = nn.Parameter(torch.randn(4, 8)), nn.Parameter(torch.randn(2, 4))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.biases[0]) * F.linear(x, self.weight, self.biases[1])


def test_one_matrix_with_two_biases_is_refused() -> None:
    with pytest.raises(InputError, match=r"weight: is called with different biases"):
        deploy(TwoBiases(), small_chip(DigitalCim()), torch.randn(16, 8))


class Standardised(nn.Module):
    """Weights that every forward computes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(8, 16), nn.Linear(16, 3)

    def computed(self) -> Tensor:
        return self.layer.weight - self.layer.weight.mean(1, keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(F.linear(x, self.computed(), self.layer.bias)))


def test_weights_that_a_forward_computes_follow_their_parameters() -> None:
    torch.manual_seed(3)
    x = torch.randn(120, 8)
    examples = Examples(x, x[:, :3].argmax(1), ("a", "b", "c"), 80, "largest")
    made_here = deploy(Standardised(), small_chip(DigitalCim()), examples, Recipe(tune_steps=5, tune_batch=16))
    module: Any = made_here.module
    install(module, made_here.chip, None)
    path = "(model).weights_0"
    layer = chip_layers(module)[path]
    wanted = layer.form.weight.codes(module.computed().detach()).long()
    assert torch.equal(torch.from_numpy(made_here.programmed.layers[path].codes).long().reshape(wanted.shape), wanted)
    with torch.no_grad():
        before = predict(module, x)
        module.layer.weight.neg_()
        assert not torch.equal(predict(module, x), before)
    assert torch.equal(layer.weight_codes(), layer.form.weight.codes(module.computed().detach()).long())


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
