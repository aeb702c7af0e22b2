"""Sines and cosines of the coordinates: octave-spaced bands, and a random Gaussian projection."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ohmfield.numerics import Noise


def fourier(coords: Float[Tensor, "*batch dim"], num_bands: int) -> Float[Tensor, "*batch features"]:
    """Sines and cosines of `coords` at octave-spaced frequencies.

    `coords` lie in [-1, 1] (`field.py` rescales); features = 2 * dim * num_bands, all sines first. Differentiable in
    `coords`. Source: Mildenhall et al., ECCV 2020, eq. 4.

    >>> fourier(torch.zeros(5, 3), num_bands=4).shape
    torch.Size([5, 24])
    """
    octaves = torch.pi * 2.0 ** torch.arange(num_bands, dtype=coords.dtype, device=coords.device)
    phase = (coords[..., None] * octaves).flatten(-2)
    return torch.cat([phase.sin(), phase.cos()], dim=-1)


def gaussian_projection(dim: int, num: int, sigma: float, noise: Noise) -> Float[Tensor, "dim num"]:
    """A projection drawn from N(0, sigma^2): `sigma` is the bandwidth, in periods per unit length."""
    return sigma * noise.normal((dim, num))


class Coordinates(nn.Module):
    """The coordinates themselves, in [-1, 1]: for decoders that need no encoding."""

    signed = True

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.num_features = dim

    def forward(self, coords: Float[Tensor, "num_points dim"]) -> Float[Tensor, "num_points dim"]:
        """`coords`, unchanged."""
        return coords


class FourierEncoding(nn.Module):
    """`fourier` as a module: coords [N, dim] in [-1, 1] -> [N, 2 * dim * num_bands]."""

    signed = True

    def __init__(self, dim: int, num_bands: int) -> None:
        super().__init__()
        self.num_bands = num_bands
        self.num_features = 2 * dim * num_bands

    def forward(self, coords: Float[Tensor, "num_points dim"]) -> Float[Tensor, "num_points features"]:
        """Features of `coords`."""
        return fourier(coords, self.num_bands)


class GaussianEncoding(nn.Module):
    """Random Fourier features [cos 2 pi x B, sin 2 pi x B] of coords [N, dim] in [0, 1].

    `projection` B [dim, m] is a tensor given to the field and never trained: an ideal draw (`gaussian_projection`) or
    the conductances of cells as they grew. Source: Tancik et al., NeurIPS 2020.
    """

    signed = False
    projection: Tensor

    def __init__(self, projection: Float[Tensor, "dim num"]) -> None:
        super().__init__()
        self.register_buffer("projection", projection.clone())
        self.num_features = 2 * projection.shape[1]

    def forward(self, coords: Float[Tensor, "num_points dim"]) -> Float[Tensor, "num_points features"]:
        """Features of `coords`, all cosines first."""
        phase = (2.0 * math.pi) * (coords @ self.projection)
        return torch.cat([phase.cos(), phase.sin()], dim=-1)
