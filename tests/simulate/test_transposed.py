"""Transposed convolutions: against torch's own on whole numbers, as modules and as functions, and what is counted."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ohmfield.chip.fixed import requantise
from ohmfield.chip.units import DigitalCim
from ohmfield.deploy import deploy
from ohmfield.mapping.fold import fold_batch_norms
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import trace
from ohmfield.mapping.window import Window, convolve
from ohmfield.simulate.convert import convert, convert_unchanged
from ohmfield.simulate.formats import CalledFormat, InputZero, LinearFormat, choose_formats
from ohmfield.simulate.run import install, predict, program
from ohmfield.spec import InputError
from small_chip import crossbar, small_chip

LOSSLESS = crossbar(adc={"bits": 12, "step_levels": 1.0})
RUN = {3: F.conv_transpose1d, 4: F.conv_transpose2d, 5: F.conv_transpose3d}
CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "1d": (nn.ConvTranspose1d(5, 4, 5, stride=3, padding=2, output_padding=1), (5, 7)),
    "2d": (nn.ConvTranspose2d(3, 6, 4, stride=2, padding=1), (3, 5, 4)),
    "3d": (nn.ConvTranspose3d(2, 3, (2, 3, 2), stride=(1, 2, 2), padding=(0, 1, 0)), (2, 3, 3, 4)),
    "dilation, groups": (
        nn.ConvTranspose2d(6, 4, (3, 2), (2, 3), (1, 0), (1, 2), groups=2, bias=False, dilation=(2, 3)),
        (6, 4, 4),
    ),
    "depthwise": (nn.ConvTranspose2d(40, 40, 3, stride=2, groups=40), (40, 4, 4)),
    "padding takes values away": (nn.ConvTranspose2d(3, 4, 2, stride=3, padding=2), (3, 6, 5)),
}


class Function(nn.Module):
    """The same, called as a function."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.weight, self.bias, self.layer = layer.weight, layer.bias, (layer,)

    def forward(self, x: Tensor) -> Tensor:
        (own,) = self.layer
        given = own.stride, own.padding, own.output_padding, own.groups, own.dilation
        return RUN[x.dim()](x, self.weight, self.bias, *given)


def inputs_for(sizes: tuple[int, ...]) -> Tensor:
    return torch.randn(4, *sizes, generator=torch.Generator().manual_seed(3))


def expected(layer: Any, form: LinearFormat, x: Tensor, chip: Any) -> Tensor:
    """Words of the output: codes through torch's transposed convolution in double precision."""
    each = torch.as_tensor(form.weight.scale).flatten().reshape(layer.groups, 1, -1, *[1] * (x.dim() - 2))
    codes = torch.floor(layer.weight.detach().unflatten(0, (layer.groups, -1)) / each + 0.5)
    weight = codes.clamp(form.weight.low, form.weight.high).flatten(0, 1).double()
    given = layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
    codes = form.input.codes(x).double() - float(form.input.zero)
    sums = RUN[x.dim()](codes, weight, None, *given).long()
    factor = torch.as_tensor(form.weight.scale).double().flatten() * float(form.input.scale)
    bias = torch.zeros_like(factor) if layer.bias is None else layer.bias.detach().double() / factor
    biased = sums.movedim(1, -1) + torch.floor(bias + 0.5).long()
    words = requantise(biased.flatten(0, -2), factor * 2.0**form.output.fraction, chip.requantiser, form.output)
    return form.output.values(words).reshape(biased.shape).movedim(-1, 1)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("unit", [LOSSLESS, DigitalCim()], ids=["crossbar", "digital"])
@pytest.mark.parametrize("make", [nn.Sequential, Function])
@pytest.mark.parametrize("zero", ["none", "calibrated"])
def test_equals_the_integer_convolution(case: str, unit: Any, make: Any, zero: InputZero) -> None:
    layer, sizes = CASES[case]
    model, chip, x = make(layer), small_chip(unit), inputs_for(sizes)
    x = x if zero == "none" else nn.functional.gelu(x)
    shapes = trace(model, x)
    placement = place(shapes, chip)
    formats = choose_formats(model, chip, placement, x, input_zero=zero)
    module = convert(model, chip, placement, formats)
    assert trace(module, x) == shapes == trace(convert_unchanged(model), x)
    install(module, chip, program(module, chip))
    form = formats["0"] if make is nn.Sequential else formats["weight"]
    form = form.form if isinstance(form, CalledFormat) else form
    assert isinstance(form, LinearFormat)
    assert (form.input.zero > 0) == (zero == "calibrated")
    assert torch.equal(predict(module, x), expected(layer, form, x, chip))
    assert torch.equal(predict(module, x, chunk=1), predict(module, x))
    module.train()(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in module.parameters())


@pytest.mark.parametrize("case", CASES)
def test_in_floats_it_is_the_same_function(case: str) -> None:
    layer, sizes = CASES[case]
    x, window = inputs_for(sizes).double(), Window.of(layer)
    weight = layer.weight.detach().double()
    given = layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
    wanted = RUN[x.dim()](x, weight, None, *given)
    made = convolve(x, window.kernels(weight), None, window, layer.groups)
    assert window.outputs(sizes[1:]) == tuple(wanted.shape[2:])
    assert (made - wanted).abs().max() < 1e-12


def test_inserted_zeros_take_turns_but_drive_nothing_and_are_no_work() -> None:
    """5x4 values become 10x8 windows of 48; at least three of four are zeros, between values or at the border."""
    layer, sizes = CASES["2d"]
    x = inputs_for(sizes).abs()
    (operator,) = trace(nn.Sequential(layer), x).operators
    assert (operator.vectors, operator.inputs, operator.outputs, operator.values) == (80.0, 48, 6, 60.0)
    assert operator.macs == pytest.approx(60 * 16 * 6)  # every value meets every kernel position and output once
    made = deploy(nn.Sequential(layer), small_chip(DigitalCim()), x, calibrate=x)
    assert made.workload.tally["0#0"]["vectors"] == 4 * 80
    module: Any = made.module
    grid = module[0].form.input
    apart = torch.zeros(4, 3, 9, 7)
    apart[:, :, ::2, ::2] = grid.codes(x)
    windows = F.unfold(F.pad(apart, (2, 2, 2, 2)), 4)
    assert made.workload.tally["0#0"]["driven"] == sum(int(v).bit_count() for v in windows.flatten().tolist())
    assert made.bill.macs == operator.macs


def test_batch_norms_behind_it_are_folded() -> None:
    torch.manual_seed(2)
    for groups in (1, 2):
        norm = nn.BatchNorm2d(6)
        model = nn.Sequential(nn.ConvTranspose2d(4, 6, 3, stride=2, groups=groups), norm).eval()
        for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
            assert tensor is not None
            tensor.data.uniform_(0.5, 2.0)
        x = inputs_for((4, 5, 5))
        folded: Any
        folded, notes = fold_batch_norms(model, x)
        assert isinstance(folded[1], nn.Identity), notes
        with torch.no_grad():
            assert (folded(x) - model(x)).abs().max() < 1e-5


def test_an_output_size_is_refused() -> None:
    class Sized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(2, 2, 3, stride=2)

        def forward(self, x: Tensor) -> Tensor:
            return self.up(x, output_size=(10, 10))

    with pytest.raises(InputError, match="output_padding") as error:
        trace(Sized(), torch.randn(2, 2, 4, 4))
    assert "up" in str(error.value)
