"""Every preset: shape, size, the same field again from its config."""

from __future__ import annotations

import json

import pytest
import torch

from ohmfield.fields import presets
from ohmfield.fields.field import is_plain, predict
from ohmfield.numerics import Noise
from ohmfield.spec import InputError


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_is_rebuilt_from_its_config(name: str) -> None:
    radiance = name == "instant-ngp"
    small: dict[str, int] = {} if name in ("hash", "gaussian", "instant-ngp") else {"width": 32}
    small |= {"cells": 16} if radiance else {"channels": 4}
    field = presets.build(name, seed=5, **small)
    again = presets.build(json.loads(json.dumps(field.config)))
    assert field.config["preset"] == name
    for (key, value), other in zip(field.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(value, other), key
    coords = Noise(0).uniform((70, 6 if radiance else 2))
    values = field(coords)
    assert values.shape == (70, 4)
    assert torch.equal(predict(field, coords, tile=32), values.detach()) or torch.allclose(
        predict(field, coords, tile=32), values, atol=1e-6
    )
    assert is_plain(field)
    other_seed = presets.build(name, seed=6, **small)
    assert not torch.equal(other_seed(coords), values)


def test_default_photo_field_has_at_most_480k_parameters() -> None:
    assert presets.instant_ngp().num_parameters() <= 480_000


def test_activation_presets_have_equal_size() -> None:
    sizes = {presets.build(name).num_parameters() for name in ("siren", "quadinr", "gauss", "wire", "finer")}
    assert sizes == {2 * 256 + 256 + 2 * (256 * 256 + 256) + 256 * 3 + 3}


def test_coordinates_are_rescaled_for_decoders_that_want_it() -> None:
    field = presets.siren(width=8)
    assert torch.equal(field(torch.full((1, 2), 0.5)), field.decoder(torch.zeros(1, 2)))
    grid = presets.instant_ngp()
    coords = torch.full((1, 2), 0.5)
    assert torch.equal(grid(coords), grid.decoder(grid.encoding(coords)))


def test_a_projection_can_be_given() -> None:
    projection = 3.0 * Noise(1).normal((2, 16))
    field = presets.gaussian_encoder(num_frequencies=16, projection=projection)
    assert torch.equal(field.state_dict()["encoding.projection"], projection)
    again = presets.build(field.config)
    again.load_state_dict(field.state_dict())
    coords = Noise(0).uniform((9, 2))
    assert torch.equal(again(coords), field(coords))
    with pytest.raises(InputError, match="projection"):
        presets.gaussian_encoder(num_frequencies=8, projection=projection)


def test_matched_quad_starts_like_a_sine() -> None:
    sine, quad = presets.siren(width=64), presets.quadinr(width=64)
    coords = Noise(0).uniform((500, 2))
    difference = (sine(coords) - quad(coords)).std() / sine(coords).std()
    # The first harmonic is the sine itself; three layers add their third harmonics.
    assert float(difference.detach()) < 0.35


def test_bad_names_and_arguments() -> None:
    with pytest.raises(InputError, match="known fields: hash, siren"):
        presets.build("nerf")
    with pytest.raises(InputError, match="widht"):
        presets.build("siren", widht=3)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ({"preset": ["a"]}, r"\['a'\]"),
        ({"preset": None}, "None"),
        ({"width": "x"}, "width: 'x'"),
        ({"width": -3}, "width: -3"),
        ({"width": 10**12}, "width: 1000000000000"),
        ({"width": 2**14, "depth": 64}, "lower width or depth"),
        ({"depth": 2.5}, "depth: 2.5"),
        ({"channels": None}, "channels: None"),
        ({"dim": {}}, "dim: {}"),
        ({"dim": 9}, "dim: 9"),
        ({"seed": -1}, "seed: -1"),
        ({"resolutions": 5}, "resolutions: 5"),
        ({"resolutions": [4]}, "resolutions"),
        ({"resolutions": [4, "x"]}, "resolutions"),
        ({"resolutions": [float("nan"), 8]}, "resolutions"),
        ({"resolutions": [64, 8]}, "finest_resolution: 8"),
        ({"log2_table": 99}, "log2_table: 99"),
    ],
)
def test_a_damaged_config_names_the_value(damage: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named) as caught:
        presets.build({**presets.instant_ngp(width=8, num_levels=2).config, **damage})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "damage"), [("siren", {"w0": "x"}), ("gauss", {"s": float("inf")}),
    ("finer", {"first_bias": -1.0}), ("quadinr", {"matched": 7}), ("fourier", {"num_bands": 0}),
    ("gaussian", {"projection": "x"}), ("gaussian", {"num_frequencies": 10**9})])  # fmt: skip
def test_every_argument_of_a_preset_has_its_limits(name: str, damage: dict[str, object]) -> None:
    (key,) = damage
    with pytest.raises(InputError, match=f"field '{name}': .*{key}"):
        presets.build(name, **damage)
