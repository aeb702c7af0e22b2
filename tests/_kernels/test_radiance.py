"""The decoders of a radiance field in tiles: values and gradients of plain torch, whatever the number of threads."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ohmfield._kernels.radiance import decode
from ohmfield.fields.radiance import Radiance
from ohmfield.numerics import Noise


def model(width: int, features: int) -> Radiance:
    made = Radiance(num_levels=features // 2, log2_table=8, resolutions=(4, 64), width=width, cells=8)
    made.reset(Noise(0))
    return made


@pytest.mark.parametrize(("num", "width", "features"), [(0, 64, 32), (1, 64, 32), (64, 32, 16), (777, 64, 32)])
def test_values_and_gradients_are_those_of_the_layers(num: int, width: int, features: int) -> None:
    field, noise = model(width, features), Noise(1)
    given = noise.at("features").normal((num, features)).requires_grad_()
    directions = nn.functional.normalize(noise.at("directions").normal((num, 3)), dim=-1)
    weights = field.weights()
    scales = noise.at("density").normal((num,)), noise.at("colour").normal((num, 3))

    def plain(features: Tensor) -> tuple[Tensor, Tensor]:
        geometry = field.density(features)
        colour = field.colour(torch.cat([field.harmonics(directions), geometry], -1)).sigmoid()
        return geometry[:, 0].exp(), colour

    results = []
    for density, colour in (decode(given, directions, weights), plain(given)):
        total = (density * scales[0]).sum() + (colour * scales[1]).sum()
        grads = torch.autograd.grad(total, [given, *weights], allow_unused=True, materialize_grads=True)
        results.append((density, colour, *grads))
    for fast, wanted in zip(*results, strict=True):
        torch.testing.assert_close(fast, wanted, rtol=2e-4, atol=2e-4)


def test_bits_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    field, noise = model(64, 32), Noise(2)
    directions = nn.functional.normalize(noise.at("directions").normal((900, 3)), dim=-1)
    results = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OHMFIELD_THREADS", threads)
        given = noise.at("features").normal((900, 32)).requires_grad_()
        density, colour = decode(given, directions, field.weights())
        results.append(torch.autograd.grad(density.sum() + colour.square().sum(), [given, *field.weights()]))
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))


def test_a_changed_layer_is_not_passed_by() -> None:
    field = model(64, 32)
    samples = torch.rand(9, 6)
    before = field(samples)
    field.colour.layers[1].register_forward_hook(lambda *_: torch.zeros(9, 64))
    after = field(samples)
    assert torch.allclose(before[:, 3], after[:, 3], rtol=1e-5)
    torch.testing.assert_close(after[:, :3], torch.full((9, 3), 0.5))
