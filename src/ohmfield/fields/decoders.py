"""Multilayer perceptrons of plain linear layers, and the activations that fields use."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ohmfield.numerics import Noise
from ohmfield.spec import InputError

MAX_WEIGHTS = 2**28
"""Largest decoder: 1 GB."""


def quad(r: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The periodic parabola r (2 - |r|), r wrapped to [-2, 2): odd, period 4, slope continuous, peaks of 1 at r = 1.

    A sine of half wave 2 with 1.032 of its amplitude and 3.7 % third harmonic. Source: QuadINR, arXiv 2508.14374.

    >>> quad(torch.tensor([1.0, -1.0, 2.0, 5.0]))
    tensor([ 1., -1., -0.,  1.])
    """
    wrapped = r - 4.0 * torch.floor(r * 0.25 + 0.5)
    return wrapped * (2.0 - wrapped.abs())


class ReLU(nn.Module):
    """max(x, 0)."""

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The activation, element by element."""
        return torch.relu(x)


class Sine(nn.Module):
    """sin(w0 x). Source: SIREN, Sitzmann et al., NeurIPS 2020."""

    def __init__(self, w0: float = 30.0) -> None:
        super().__init__()
        self.w0 = w0

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The activation, element by element."""
        return torch.sin(self.w0 * x)


class Gauss(nn.Module):
    """exp(-(s x)^2). Source: Ramasinghe and Lucey, ECCV 2022."""

    def __init__(self, s: float = 10.0) -> None:
        super().__init__()
        self.s = s

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The activation, element by element."""
        return torch.exp(-((self.s * x) ** 2))


class Wire(nn.Module):
    """cos(w0 x) exp(-(s x)^2), the real Gabor wavelet. Source: WIRE, Saragadam et al., CVPR 2023."""

    def __init__(self, w0: float = 20.0, s: float = 10.0) -> None:
        super().__init__()
        self.w0 = w0
        self.s = s

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The activation, element by element."""
        return torch.cos(self.w0 * x) * torch.exp(-((self.s * x) ** 2))


class Finer(nn.Module):
    """sin(w0 (|x| + 1) x): frequency grows with |x|. Source: FINER, Liu et al., CVPR 2024."""

    def __init__(self, w0: float = 30.0) -> None:
        super().__init__()
        self.w0 = w0

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The activation, element by element; |x| + 1 takes no gradient, as published."""
        return torch.sin(self.w0 * (x.detach().abs() + 1.0) * x)


class Quad(nn.Module):
    """`quad(w0 x)`. Its first harmonic is sin(w0 pi / 2 x): w0 = 60 / pi matches a sine of 30."""

    def __init__(self, w0: float = 60.0 / math.pi) -> None:
        super().__init__()
        self.w0 = w0

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The activation, element by element."""
        return quad(self.w0 * x)


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": ReLU,
    "sine": Sine,
    "gauss": Gauss,
    "wire": Wire,
    "finer": Finer,
    "quad": Quad,
}
"""Activations by the name that files use."""


class MLP(nn.Module):
    """`depth` hidden layers of `width`, each followed by an activation, and a linear last layer.

    Children: `layers` (plain `nn.Linear`, depth + 1 of them) and `activations` (depth of them).
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        width: int,
        depth: int,
        activation: Callable[[], nn.Module],
        bias: bool = True,
    ) -> None:
        super().__init__()
        sizes = [num_inputs, *([width] * depth), num_outputs]
        weights = sum(m * n for m, n in pairwise(sizes))
        if weights > MAX_WEIGHTS:
            raise InputError(f"decoder of {weights} weights, at most {MAX_WEIGHTS} are held; lower width or depth")
        self.layers = nn.ModuleList(torch.nn.utils.skip_init(nn.Linear, m, n, bias=bias) for m, n in pairwise(sizes))
        self.activations = nn.ModuleList(activation() for _ in range(depth))

    def forward(self, x: Float[Tensor, "num_points inputs"]) -> Float[Tensor, "num_points outputs"]:
        """Outputs of the last layer."""
        for layer, activation in zip(self.layers, self.activations, strict=False):
            x = activation(layer(x))
        return self.layers[-1](x)


def fan_in_init(mlp: MLP, noise: Noise) -> None:
    """Weights and biases from U(+-1/sqrt(fan-in)): torch's default for linear layers, which Gauss and WIRE use."""
    for index, layer in _linear(mlp):
        bound = 1.0 / math.sqrt(layer.in_features)
        _fill(layer, bound, bound, noise.at(index))


def relu_init(mlp: MLP, noise: Noise) -> None:
    """Weights from U(+-sqrt(6 / fan-in)), biases zero. Source: He et al., ICCV 2015."""
    for index, layer in _linear(mlp):
        _fill(layer, math.sqrt(6.0 / layer.in_features), 0.0, noise.at(index))


def siren_init(mlp: MLP, noise: Noise, w0: float, first_bias: float | None = None) -> None:
    """First layer from U(+-1/fan-in), others from U(+-sqrt(6 / fan-in) / w0); biases from U(+-1/sqrt(fan-in)).

    `w0` is the frequency of the sine, or of the first harmonic. `first_bias` widens the biases of the first layer to
    U(+-first_bias), which spreads FINER's units over its frequencies. Sources: SIREN, section 3.2; FINER, section 3.3.
    """
    for index, layer in _linear(mlp):
        bound = 1.0 / layer.in_features if index == 0 else math.sqrt(6.0 / layer.in_features) / w0
        bias = first_bias if index == 0 and first_bias is not None else 1.0 / math.sqrt(layer.in_features)
        _fill(layer, bound, bias, noise.at(index))


def _linear(mlp: MLP) -> list[tuple[int, nn.Linear]]:
    return [(index, layer) for index, layer in enumerate(mlp.layers) if isinstance(layer, nn.Linear)]


def _fill(layer: nn.Linear, bound: float, bias_bound: float, noise: Noise) -> None:
    with torch.no_grad():
        layer.weight.copy_((2.0 * noise.at("weight").uniform(tuple(layer.weight.shape)) - 1.0) * bound)
        if layer.bias is not None:
            layer.bias.copy_((2.0 * noise.at("bias").uniform(tuple(layer.bias.shape)) - 1.0) * bias_bound)
