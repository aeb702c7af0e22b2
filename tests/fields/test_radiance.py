"""Radiance fields: harmonics that are orthonormal, a network of the published sizes."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import sph_harm_y

from ohmfield.fields.radiance import Radiance, harmonics
from ohmfield.mapping.trace import trace
from ohmfield.numerics import Noise


def test_harmonics_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    theta, phi = rng.uniform(0, np.pi, 50), rng.uniform(0, 2 * np.pi, 50)
    directions = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)
    wanted = []
    for degree in range(4):
        for order in range(-degree, degree + 1):
            # Real from complex: sqrt(2) times the real part, or the imaginary one where the order is negative.
            value = sph_harm_y(degree, abs(order), theta, phi)
            wanted.append(value.real if order == 0 else 2**0.5 * (value.imag if order < 0 else value.real))
    np.testing.assert_allclose(harmonics(torch.from_numpy(directions)).numpy(), np.stack(wanted, -1), atol=1e-12)


def test_a_radiance_field_has_the_layers_of_instant_ngp() -> None:
    model = Radiance(num_levels=4, log2_table=8)
    model.reset(Noise(1))
    samples = torch.rand(7, 6)
    out = model(samples)
    assert out.shape == (7, 4)
    assert ((out[:, :3] > 0) & (out[:, :3] < 1)).all()
    assert (out[:, 3] > 0).all()
    assert len(out[:, 0].unique()) == 7
    linear = [op for op in trace(model, samples).operators if op.kind == "linear"]
    assert [(op.inputs, op.outputs) for op in linear] == [(8, 64), (64, 16), (32, 64), (64, 64), (64, 3)]
    with torch.device("meta"):
        whole = Radiance().to("meta")
    assert whole.encoding.table.weight.is_meta
    assert whole.density.layers[0].in_features == 32
