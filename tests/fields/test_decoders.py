"""Activations: the periodic parabola in closed form, and one contract for all."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ohmfield.fields.decoders import ACTIVATIONS, MLP, Finer, Gauss, Quad, Sine, Wire, quad, siren_init
from ohmfield.numerics import Noise


def test_quad_peaks_zeros_and_period() -> None:
    r = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert quad(r).tolist() == [0.0, -1.0, 0.0, 1.0, 0.0]
    for period in (-8.0, -4.0, 4.0, 400.0):
        assert torch.equal(quad(r + period).abs(), quad(r).abs())


@given(st.floats(-100, 100, width=32))
def test_quad_is_odd_bounded_and_periodic(x: float) -> None:
    value = quad(torch.tensor(x, dtype=torch.float64))
    assert abs(float(value)) <= 1.0
    assert float(quad(torch.tensor(-x, dtype=torch.float64))) == pytest.approx(-float(value), abs=1e-9)
    assert float(quad(torch.tensor(x + 4.0, dtype=torch.float64))) == pytest.approx(float(value), abs=1e-9)


def test_quad_slope_is_continuous_and_exact() -> None:
    x = torch.tensor([-2.0, -1.5, -0.5, 0.0, 0.5, 1.5, 1.999999], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(quad(x).sum(), x)
    assert slope.tolist() == pytest.approx([-2.0, -1.0, 1.0, 2.0, 1.0, -1.0, -2.0], abs=1e-5)


def test_quad_fourier_series() -> None:
    """b_n = 32 / (pi^3 n^3) for odd n, zero for even n."""
    size = 2**14
    r = torch.arange(size, dtype=torch.float64) * 4.0 / size
    coefficients = np.fft.rfft(quad(r).numpy()) / size
    for n in range(1, 12):
        expected = 32 / (math.pi * n) ** 3 if n % 2 else 0.0
        assert -2 * coefficients[n].imag == pytest.approx(expected, abs=1e-6)
        assert abs(coefficients[n].real) < 1e-9


def test_activations_by_hand() -> None:
    x = torch.tensor([0.1])
    assert float(Sine(30.0)(x)) == pytest.approx(math.sin(3.0), abs=1e-6)
    assert float(Gauss(10.0)(x)) == pytest.approx(math.exp(-1.0), abs=1e-6)
    assert float(Wire(20.0, 10.0)(x)) == pytest.approx(math.cos(2.0) * math.exp(-1.0), abs=1e-6)
    assert float(Finer(30.0)(x)) == pytest.approx(math.sin(3.3), abs=1e-6)
    assert float(Quad(5.0)(x)) == pytest.approx(0.75, abs=1e-6)


def test_finer_takes_no_gradient_through_its_frequency() -> None:
    x = torch.tensor([0.1], requires_grad=True)
    (slope,) = torch.autograd.grad(Finer(30.0)(x), x)
    assert float(slope) == pytest.approx(33.0 * math.cos(3.3), rel=1e-5)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_a_parameterless_module_of_one_argument(name: str) -> None:
    activation = ACTIVATIONS[name]()
    x = torch.linspace(-3, 3, 101, requires_grad=True)
    y = activation(x)
    assert y.shape == x.shape
    assert bool(y.isfinite().all())
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert bool(slope.isfinite().all())
    assert list(activation.parameters()) == []


def test_mlp_has_plain_linear_children_and_a_linear_end() -> None:
    mlp = MLP(2, 3, 16, 2, Sine)
    siren_init(mlp, Noise(0), 30.0)
    assert [type(layer) for layer in mlp.layers] == [torch.nn.Linear] * 3
    assert len(mlp.activations) == 2
    hidden = mlp.activations[1](mlp.layers[1](mlp.activations[0](mlp.layers[0](torch.ones(4, 2)))))
    assert torch.equal(mlp(torch.ones(4, 2)), mlp.layers[2](hidden))


def test_siren_init_bounds() -> None:
    mlp = MLP(2, 3, 64, 2, Sine)
    siren_init(mlp, Noise(0), 30.0, first_bias=4.0)
    first, second = mlp.layers[0], mlp.layers[1]
    assert isinstance(first, torch.nn.Linear)
    assert isinstance(second, torch.nn.Linear)
    assert 0.45 < float(first.weight.detach().abs().max()) <= 0.5
    assert 3.5 < float(first.bias.detach().abs().max()) <= 4.0
    bound = math.sqrt(6 / 64) / 30
    assert 0.99 * bound < float(second.weight.detach().abs().max()) <= bound
