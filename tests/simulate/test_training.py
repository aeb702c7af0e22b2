"""Layers that train for a chip: their errors are the chip's, their forward is the layer's, and they learn."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from ohmfield.chip.cells import RramCell
from ohmfield.chip.chip import Chip
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import trace
from ohmfield.numerics import Noise
from ohmfield.simulate.conversion import Causes
from ohmfield.simulate.convert import chip_layers, convert
from ohmfield.simulate.formats import choose_formats
from ohmfield.simulate.noisy import conversion_errors, learnt_ranges, weight_errors, with_noise, without_noise
from ohmfield.simulate.training import ChipTrained, Errors, clip_weights
from small_chip import crossbar, small_chip

QUIET = Errors(
    weight_mean=torch.zeros(255),
    weight_spread=torch.zeros(255),
    starts=(0, 20, 36),
    input_low=-128,
    input_high=127,
    input_scale=2.0**-5,
    gains=(1.0, 2.0, 4.0),
    sd=torch.zeros(3),
    step=torch.zeros(3),
    low=torch.tensor([-4e6, -2e6, -1e6]),
    high=torch.tensor([4e6, 2e6, 1e6]),
    gain=1.0,
)


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 4, 6, 6, generator=torch.Generator().manual_seed(1))


def trained(inner: nn.Linear | nn.Conv2d, errors: Errors = QUIET, learn: bool = False) -> ChipTrained:
    return ChipTrained(inner, errors, Noise(0).at("test"), learn).train()


CONVOLUTIONS = {
    "plain": nn.Conv2d(4, 5, 3, padding=1),
    "strided": nn.Conv2d(4, 5, 3, stride=2, bias=False),
    "dilated": nn.Conv2d(4, 5, (3, 3), dilation=2, padding=2),
}


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_without_errors_a_convolution_in_row_groups_is_the_rounded_convolution(kind: str) -> None:
    torch.manual_seed(0)
    conv = CONVOLUTIONS[kind]
    x = images()
    made, wanted = trained(conv)(x), conv(x)
    assert made.shape == wanted.shape
    assert (made - wanted).abs().max() < 0.02 * wanted.abs().max()
    assert not torch.equal(made, wanted)
    for own, exact in zip(
        torch.autograd.grad(made.square().sum(), conv.weight),
        torch.autograd.grad(wanted.square().sum(), conv.weight),
        strict=True,
    ):
        assert (own - exact).abs().max() < 0.05 * exact.abs().max()


def test_a_linear_layer_keeps_the_shape_of_its_items() -> None:
    layer = trained(nn.Linear(36, 7))
    x = torch.randn(2, 5, 36)
    assert (layer(x) - layer.inner(x)).abs().max() < 0.05
    assert torch.equal(layer.eval()(x), layer.inner(x))


def test_every_step_draws_anew_and_the_same_layer_repeats_its_steps() -> None:
    noisy = dataclasses.replace(QUIET, weight_spread=torch.full((255,), 3.0), sd=torch.full((3,), 50.0))
    x = torch.randn(4, 36)
    inner = nn.Linear(36, 7)
    one, two = trained(inner, noisy), trained(inner, noisy)
    first, second = one(x), one(x)
    assert not torch.equal(first, second)
    assert torch.equal(two(x), first)


def test_clipping_bounds_every_row_group() -> None:
    tight = dataclasses.replace(QUIET, low=torch.full((3,), -50.0), high=torch.full((3,), 50.0))
    layer = trained(nn.Linear(36, 7, bias=False), tight)
    out = layer(torch.randn(64, 36))
    scale = layer.inner.weight.detach().abs().amax(1) / 127
    step = 2.0 ** torch.ceil(torch.log2(torch.tensor(3.0 / 127)))
    assert (out.detach().abs() <= 2 * 50.0 * scale * step * 4).all()  # two groups; inputs reach three or four
    out.sum().backward()
    assert torch.isfinite(layer.inner.weight.grad).all()  # type: ignore[arg-type]


def test_ranges_learn_to_hold_what_comes() -> None:
    tight = dataclasses.replace(QUIET, input_scale=2.0**-9, gain=4.0)
    layer = trained(nn.Linear(36, 7), tight, learn=True)
    for parameter in layer.inner.parameters():
        parameter.requires_grad_(False)
    x = torch.randn(256, 36)  # the range starts at a quarter
    adam = torch.optim.Adam([layer.log_scale], lr=0.1)
    before = (layer(x) - layer.inner(x)).square().mean()
    for _ in range(60):
        adam.zero_grad()
        (layer(x) - layer.inner(x)).square().mean().backward()
        adam.step()
    after = (layer(x) - layer.inner(x)).square().mean()
    assert after < 0.05 * before
    assert layer.input_scale().detach().log2() == -5.0
    assert learnt_ranges(nn.Sequential(layer)) == {"0": (2.0**-5, 4.0)}


def test_a_gain_is_given_up_when_it_clips() -> None:
    tight = dataclasses.replace(
        QUIET, low=torch.tensor([-4e5, -2e4, -1e3]), high=torch.tensor([4e5, 2e4, 1e3]), gain=4.0
    )
    layer = trained(nn.Linear(36, 7), tight, learn=True)
    for parameter in layer.inner.parameters():
        parameter.requires_grad_(False)
    x = torch.randn(256, 36)
    adam = torch.optim.Adam([layer.log_gain], lr=0.1)
    for _ in range(40):
        adam.zero_grad()
        (layer(x) - layer.inner(x)).square().mean().backward()
        adam.step()
    assert layer.gain() < 4.0


def test_clipped_weights_stay_within_their_spread() -> None:
    layer = trained(nn.Linear(400, 3))
    with torch.no_grad():
        layer.inner.weight[0, 0] = 50.0 * layer.inner.weight[0].std()
    before = layer.inner.weight.detach().clone()
    clip_weights(nn.Sequential(layer), 4.0)
    limit = 4.0 * before.square().mean(1, keepdim=True).sqrt()
    assert (layer.inner.weight.abs() <= limit * (1 + 1e-6)).all()
    assert torch.equal(layer.inner.weight[1:], before[1:])  # uniform weights reach 1.7 of their spread


# ---- errors, taken from a chip ---------------------------------------------------------------------------------------


def converted(chip: Chip, inputs: int = 32, outputs: int = 24) -> tuple[nn.Module, nn.Module, Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(inputs, outputs)).eval()
    x = torch.rand(256, inputs)
    placement = place(trace(model, x), chip, 8, 8)
    return model, convert(model, chip, placement, choose_formats(model, chip, placement, x)), x


def test_weight_errors_are_those_of_limit_case_6() -> None:
    sigma = 0.01  # of the range of 2-bit cells: 0.03 levels; far from zero, so that nothing is clamped
    chip = small_chip(crossbar(RramCell(program_fraction=sigma, read_fraction=0.0, g_min_uS=40.0)))
    _, module, _ = converted(chip)
    (layer,) = chip_layers(module).values()
    mean, spread = weight_errors(layer.plan, chip)
    assert len(mean) == 255
    assert float(spread.mean()) == pytest.approx(93.5 * 3 * sigma, rel=0.03)
    assert abs(float(mean.mean())) < 0.1


def test_the_errors_of_a_step_have_the_size_of_the_chips() -> None:
    cell = RramCell(program_fraction=0.02, read_fraction=0.02, g_min_uS=5.0)
    chip = small_chip(crossbar(cell, adc={"bits": 7, "enob": 6.0, "step_levels": 1.0}))
    model, module, x = converted(chip)
    noisy = with_noise(model, module, chip, x).train()
    clean, error = model(x), torch.stack([noisy(x) - model(x) for _ in range(20)])
    (layer,) = chip_layers(module).values()
    codes = layer.input_codes(x).numpy()
    square = float((conversion_errors(layer, chip, codes, 1.0, Causes(), 0.0) ** 2).mean())
    unit = torch.as_tensor(layer.form.weight.scale).flatten() * float(layer.form.input.scale)
    wanted = float(unit.square().mean() * square) ** 0.5
    assert float(error.detach().square().mean().sqrt()) == pytest.approx(wanted, rel=0.25)
    assert torch.equal(without_noise(noisy)(x), clean)


def test_layers_of_digital_units_and_unknown_kinds_are_left_alone() -> None:
    chip = small_chip(crossbar(RramCell(program_fraction=0.02)))
    model, module, x = converted(chip)
    noisy = with_noise(model, module, chip, x)
    assert type(model[0]) is nn.Linear  # type: ignore[index]
    assert isinstance(noisy[0], ChipTrained)  # type: ignore[index]
    assert noisy[0].errors.gains == (1.0,)  # type: ignore[index, union-attr]
