"""Fourier features: values by hand, and the kernel a Gaussian projection approaches."""

from __future__ import annotations

import math

import pytest
import torch

from ohmfield.fields.encodings.fourier import FourierEncoding, GaussianEncoding, fourier, gaussian_projection
from ohmfield.numerics import Noise


def test_values_at_a_half() -> None:
    features = fourier(torch.tensor([[0.5]]), num_bands=2)
    assert features.flatten().tolist() == pytest.approx([1.0, 0.0, 0.0, -1.0], abs=1e-6)
    assert FourierEncoding(3, 4)(torch.zeros(2, 3)).shape == (2, FourierEncoding(3, 4).num_features)


def test_gaussian_features_approach_the_gaussian_kernel() -> None:
    """E[g(x) . g(y)] / m = exp(-2 pi^2 sigma^2 |x - y|^2)."""
    sigma, num = 1.5, 20000
    encoding = GaussianEncoding(gaussian_projection(2, num, sigma, Noise(0)))
    x, y = torch.tensor([[0.2, 0.3]]), torch.tensor([[0.25, 0.4]])
    product = float((encoding(x) * encoding(y)).sum()) / num
    assert product == pytest.approx(math.exp(-2 * math.pi**2 * sigma**2 * 0.0125), abs=0.01)
    assert float((encoding(x) * encoding(x)).sum()) / num == pytest.approx(1.0, abs=1e-5)


def test_the_projection_is_data_not_a_parameter() -> None:
    encoding = GaussianEncoding(torch.eye(2))
    assert list(encoding.parameters()) == []
    assert "projection" in encoding.state_dict()
