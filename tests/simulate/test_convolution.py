"""Convolutions on a chip: against integer arithmetic written once more, in any chunk, with every border."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ohmfield.chip.cells import RramCell
from ohmfield.chip.chip import Chip
from ohmfield.chip.fixed import requantise
from ohmfield.chip.units import DigitalCim
from ohmfield.mapping.place import place
from ohmfield.mapping.tile import tile
from ohmfield.mapping.trace import trace
from ohmfield.numerics import spread
from ohmfield.simulate import convolution
from ohmfield.simulate.convert import chip_layers, convert, convert_unchanged
from ohmfield.simulate.convolution import ChipConv, ChipGroups
from ohmfield.simulate.formats import InputZero, LinearFormat, choose_formats
from ohmfield.simulate.run import install, predict, program
from ohmfield.spec import InputError
from small_chip import crossbar, small_chip

LOSSLESS = crossbar(adc={"bits": 12, "step_levels": 1.0})
CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "plain": (nn.Conv2d(3, 8, 3, padding=1), (3, 9, 7)),
    "stride, dilation, no bias": (nn.Conv2d(4, 6, (3, 2), stride=(2, 1), dilation=(1, 2), bias=False), (4, 9, 8)),
    "same": (nn.Conv2d(2, 5, 4, padding="same"), (2, 6, 6)),
    "grouped": (nn.Conv2d(6, 9, 3, padding=1, groups=3), (6, 5, 5)),
    "depthwise": (nn.Conv2d(40, 40, 3, padding=1, groups=40), (40, 6, 6)),
    "wide groups": (nn.Conv2d(64, 4, 3, groups=2), (64, 5, 5)),
    "reflected": (nn.Conv2d(3, 4, 3, padding=(1, 2), padding_mode="reflect"), (3, 6, 6)),
    "circular groups": (nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular", groups=2), (4, 6, 6)),
    "1d": (nn.Conv1d(5, 7, 5, stride=2, padding=2), (5, 17)),
    "3d": (nn.Conv3d(2, 3, (2, 3, 3), padding=(0, 1, 1)), (2, 4, 5, 5)),
}


def inputs_for(sizes: tuple[int, ...], signed: bool = True) -> Tensor:
    drawn = torch.randn(5, *sizes, generator=torch.Generator().manual_seed(3))
    return drawn if signed else drawn.abs()


def converted(model: nn.Module, chip: Chip, x: Tensor, zero: InputZero = "none") -> tuple[Any, Any]:
    placement = place(trace(model, x), chip)
    formats = choose_formats(model, chip, placement, x, input_zero=zero)
    return convert(model, chip, placement, formats), formats


def integer_convolution(layer: Any, form: LinearFormat, x: Tensor, chip: Chip) -> Tensor:
    """Words of the output by torch's own convolution on whole numbers in double precision."""
    flat = form.weight.codes(layer.weight.detach().movedim(1, -1).flatten(1))
    spatial = layer.weight.shape[2:]
    weight = flat.reshape(len(flat), *spatial, -1).movedim(-1, 1).double()
    codes = form.input.codes(x).double() - float(form.input.zero)  # the border holds zeros of these
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    codes = nn.functional.pad(codes, layer._reversed_padding_repeated_twice, mode=mode)
    run = {3: nn.functional.conv1d, 4: nn.functional.conv2d, 5: nn.functional.conv3d}[x.dim()]
    sums = run(codes, weight, None, layer.stride, 0, layer.dilation, layer.groups).long()
    factor = torch.as_tensor(form.weight.scale).double().flatten() * float(form.input.scale)
    bias = torch.zeros_like(factor) if layer.bias is None else layer.bias.detach().double() / factor
    biased = sums.movedim(1, -1) + torch.floor(bias + 0.5).long()
    words = requantise(biased.flatten(0, -2), factor * 2.0**form.output.fraction, chip.requantiser, form.output)
    return form.output.values(words).reshape(biased.shape).movedim(-1, 1)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("unit", [LOSSLESS, DigitalCim()], ids=["crossbar", "digital"])
def test_equals_the_integer_convolution(case: str, unit: Any) -> None:
    layer, sizes = CASES[case]
    chip, x = small_chip(unit), inputs_for(sizes, signed=case != "1d")
    module, formats = converted(nn.Sequential(layer), chip, x)
    install(module, chip, program(module, chip))
    assert torch.equal(predict(module, x), integer_convolution(layer, formats["0"], x, chip))
    exact = layer(x)
    assert (predict(module, x) - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("unit", [LOSSLESS, DigitalCim()], ids=["crossbar", "digital"])
def test_a_border_of_inputs_with_a_zero_point_holds_it(case: str, unit: Any) -> None:
    layer, sizes = CASES[case]
    chip, x = small_chip(unit), nn.functional.gelu(inputs_for(sizes))
    module, formats = converted(nn.Sequential(layer), chip, x, "calibrated")
    assert formats["0"].input.zero > 0
    assert not formats["0"].input.signed
    install(module, chip, program(module, chip))
    assert torch.equal(predict(module, x), integer_convolution(layer, formats["0"], x, chip))
    trained = module.train()(x)
    assert (trained - module.eval()(x)).abs().max() < 0.01 * trained.abs().max()


@pytest.mark.parametrize("case", CASES)
def test_a_converted_convolution_is_traced_as_the_one_it_was(case: str) -> None:
    layer, sizes = CASES[case]
    model, x = nn.Sequential(layer), inputs_for(sizes)
    (operator,) = trace(model, x).operators
    assert operator.macs == layer(x)[0].numel() * layer.weight[0].numel()
    assert operator.values == x[0].numel()
    assert trace(converted(model, small_chip(), x)[0], x) == trace(convert_unchanged(model), x) == trace(model, x)
    assert torch.equal(convert_unchanged(model)(x), model(x))


def test_groups_share_an_array_where_they_fit() -> None:
    """Depthwise 3x3 in arrays of 256 x 256 with 128 rows active, 8 columns a weight: 14 groups a read, 2 reads."""
    layer, sizes = CASES["depthwise"]
    x = inputs_for(sizes)
    (operator,) = trace(nn.Sequential(layer), x).operators
    unit = crossbar()
    cut = tile(operator, unit, 8)
    assert (cut.pack_sizes, cut.inputs, cut.outputs, cut.groups, cut.arrays) == ((14, 14, 12), 126, 14, 2, 2)
    assert cut.weights == (14 * 14 + 14 * 14 + 12 * 12) * 9
    module, _ = converted(nn.Sequential(layer), small_chip(unit), x)
    assert isinstance(module[0], ChipGroups)
    parts = list(chip_layers(module).values())
    assert [part.path for part in parts] == ["0[0]", "0[1]", "0[2]"]
    codes = parts[0].weight_codes().reshape(14, 9, 14)
    off = ~torch.eye(14, dtype=torch.bool)[:, None, :].expand_as(codes)
    assert not codes[off].any()
    assert codes[~off].abs().max() == 127


def test_noise_of_a_vector_does_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, sizes = CASES["grouped"]
    cell = RramCell(program_fraction=0.03, read_fraction=0.02, g_min_uS=5.0)
    chip = small_chip(crossbar(cell, adc={"bits": 8, "enob": 7.5}, copies=2))
    x = inputs_for(sizes)
    module, _ = converted(nn.Sequential(layer), chip, x)
    install(module, chip, program(module, chip))
    whole = predict(module, x)
    monkeypatch.setattr(convolution, "VALUES", 300)
    assert torch.equal(predict(module, x, chunk=2), whole)
    assert not torch.equal(module(x[1:2]), whole[1:2])  # item 1 has numbers of its own


def test_calls_of_one_layer_draw_their_own_noise() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x) - self.conv(x)

    x = inputs_for((4, 6, 6))
    chip = small_chip(crossbar(RramCell(program_fraction=0.0, read_fraction=0.05), adc={"bits": 10}))
    module, _ = converted(Twice(), chip, x)
    install(module, chip, program(module, chip))
    assert predict(module, x).abs().max() > 0


def test_training_is_fake_quantised_with_a_gradient() -> None:
    for case in ("plain", "grouped", "circular groups"):
        layer, sizes = CASES[case]
        x = inputs_for(sizes).requires_grad_()
        module, _ = converted(nn.Sequential(layer), small_chip(), x.detach())
        out = module.train()(x)
        out.square().sum().backward()
        assert x.grad is not None
        assert module[0].weight.grad.abs().sum() > 0
        assert (out - module.eval()(x)).abs().max() < 0.02 * out.abs().max()


def test_windows_are_those_of_torch() -> None:
    for case in ("plain", "stride, dilation, no bias"):
        layer, sizes = CASES[case]
        x = inputs_for(sizes)
        module, _ = converted(nn.Sequential(layer), small_chip(), x)
        part = module[0]
        assert isinstance(part, ChipConv)
        assert isinstance(layer, nn.Conv2d)
        codes = torch.from_numpy(part.form.input.codes(x).numpy())
        unfolded = nn.functional.unfold(codes, layer.kernel_size, layer.dilation, layer.padding, layer.stride)  # type: ignore[arg-type]
        channels_first = part.input_codes(x).reshape(5, -1, part.window.size, sizes[0]).permute(0, 3, 2, 1)
        assert torch.equal(channels_first.reshape(unfolded.shape).float(), unfolded)
        few = part.input_codes(x, 7)
        every = part.input_codes(x)
        assert torch.equal(few, every[spread(len(every), 7)])


def test_what_cannot_be_run_is_named() -> None:
    layer, sizes = CASES["plain"]
    x = inputs_for(sizes)
    module, _ = converted(nn.Sequential(layer), small_chip(), x)
    with pytest.raises(InputError, match=r"0: takes a batch of 4 dimensions"):
        module(x[0])
    with pytest.raises(InputError, match=r"0: its inputs are all zero"):
        converted(nn.Sequential(layer), small_chip(), torch.zeros_like(x))
    broken = nn.Sequential(nn.Conv2d(3, 8, 3))
    with torch.no_grad():
        next(broken.parameters())[0, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match=r"0: its weights hold NaN"):
        converted(broken, small_chip(), x)
