"""A radiance field: positions and directions to colour and density, from a hash grid and two small decoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ohmfield._kernels.radiance import decode, decode_density
from ohmfield.fields.decoders import MLP, ReLU, relu_init
from ohmfield.fields.encodings.hash_grid import HashGrid, has_hooks
from ohmfield.numerics import Noise

GEOMETRY = 16  # values that the density decoder hands on; the first is the logarithm of the density


def harmonics(directions: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 16"]:
    """Real spherical harmonics of degrees 0 to 3 at unit vectors, orthonormal on the sphere, in the order l, m.

    With the signs of the Condon-Shortley phase.

    >>> harmonics(torch.tensor([0.0, 0.0, 1.0]))[:3]  # 1 / sqrt(4 pi), 0, sqrt(3 / (4 pi))
    tensor([0.2821, -0.0000, 0.4886])
    """
    x, y, z = directions.unbind(-1)
    pi = torch.pi
    second, third = (15 / (4 * pi)) ** 0.5, (35 / (32 * pi)) ** 0.5
    edge, side = (105 / (4 * pi)) ** 0.5, (21 / (32 * pi)) ** 0.5
    return torch.stack(
        [
            torch.full_like(x, (1 / (4 * pi)) ** 0.5),
            -((3 / (4 * pi)) ** 0.5) * y,
            (3 / (4 * pi)) ** 0.5 * z,
            -((3 / (4 * pi)) ** 0.5) * x,
            second * x * y,
            -second * y * z,
            (5 / (16 * pi)) ** 0.5 * (3 * z * z - 1),
            -second * x * z,
            second / 2 * (x * x - y * y),
            -third * y * (3 * x * x - y * y),
            edge * x * y * z,
            -side * y * (5 * z * z - 1),
            (7 / (16 * pi)) ** 0.5 * z * (5 * z * z - 3),
            -side * x * (5 * z * z - 1),
            edge / 2 * z * (x * x - y * y),
            -third * x * (x * x - 3 * y * y),
        ],
        dim=-1,
    )


class Harmonics(nn.Module):
    """`harmonics` as a module."""

    num_features = 16

    def forward(self, directions: Float[Tensor, "num_points 3"]) -> Float[Tensor, "num_points 16"]:
        """Features of `directions`."""
        return harmonics(directions)


class Radiance(nn.Module):
    """Samples [N, 6], positions in [0, 1]^3 and unit directions, to [N, 4]: colour in [0, 1] and density.

    Sizes are those of instant-ngp, SIGGRAPH 2022, section 5.4: a density decoder of one hidden layer, a colour decoder
    of two, both 64 wide and without biases. `reset` draws the parameters.

    A field knows the box that it is of, in the units of the cameras, how far from a camera anything can be (`near`, in
    sides of the box), and which cells hold nothing: `occupied` has a bit for each of `cells`^3, z fastest. Density
    counts per side of the box. `contracted` fields reach beyond their box (see `_kernels.march.contract`).
    """

    dim, channels = 6, 4
    centre: Tensor
    half_side: Tensor
    near: Tensor
    occupied: Tensor

    def __init__(
        self,
        num_levels: int = 16,
        features_per_level: int = 2,
        log2_table: int = 19,
        resolutions: tuple[int, float] = (16, 2048),
        width: int = 64,
        cells: int = 128,
        contracted: bool = False,
    ) -> None:
        super().__init__()
        coarsest, finest = resolutions
        self.encoding = HashGrid(3, num_levels, features_per_level, log2_table, coarsest, finest)
        self.density = MLP(self.encoding.num_features, GEOMETRY, width, 1, ReLU, bias=False)
        self.harmonics = Harmonics()
        self.colour = MLP(Harmonics.num_features + GEOMETRY, 3, width, 2, ReLU, bias=False)
        self.cells, self.contracted = cells, contracted
        self.register_buffer("centre", torch.full((3,), 0.5))
        self.register_buffer("half_side", torch.tensor(0.5))
        self.register_buffer("near", torch.tensor(0.0))
        self.register_buffer("occupied", torch.full((cells**3 // 8,), 255, dtype=torch.uint8))
        self.config: dict[str, Any] = {}

    def reset(self, noise: Noise) -> None:
        """Draws the table and both decoders."""
        self.encoding.reset(noise.at("table"))
        relu_init(self.density, noise.at("density"))
        relu_init(self.colour, noise.at("colour"))

    def forward(self, samples: Float[Tensor, "num_points 6"]) -> Float[Tensor, "num_points 4"]:
        """Colour and density of each sample."""
        positions, directions = samples[:, :3], samples[:, 3:]
        features = self.encoding(positions)
        if self._can_fuse(features):
            density, colour = decode(features, directions, self.weights())
            return torch.cat([colour, density[:, None]], -1)
        geometry = self.density(features)
        colour = self.colour(torch.cat([self.harmonics(directions), geometry], -1)).sigmoid()
        return torch.cat([colour, geometry[:, :1].exp()], -1)

    def density_at(self, positions: Float[Tensor, "num_points 3"]) -> Float[Tensor, " num_points"]:
        """Density alone, which needs no direction and a third of the work; no gradient."""
        with torch.no_grad():
            features = self.encoding(positions)
            if self._can_fuse(features):
                return decode_density(features, self.weights())
            return self.density(features)[:, 0].exp()

    def weights(self) -> list[Tensor]:
        """Of the five layers, first to last."""
        layers = (*self.density.layers, *self.colour.layers)
        return [layer.weight for layer in layers if isinstance(layer, nn.Linear)]

    def num_parameters(self) -> int:
        """Trainable numbers."""
        return sum(parameter.numel() for parameter in self.parameters())

    def set_box(self, centre: Sequence[float], half: float, near: float = 0.0) -> None:
        """The box, and the distance at which rays begin, in the units of the cameras."""
        with torch.no_grad():
            self.centre.copy_(torch.tensor(centre))
            self.half_side.fill_(half)
            self.near.fill_(near / (2.0 * half))

    def to_box(self, origins: Float[Tensor, "num_rays 3"]) -> Float[Tensor, "num_rays 3"]:
        """Points in the units of the cameras as points of the field."""
        return (origins - self.centre) / (2.0 * self.half_side) + 0.5

    def _can_fuse(self, features: Tensor) -> bool:
        """Whether every layer is exactly the plain kind, with the sizes of the kernel."""
        if features.device.type != "cpu" or features.dtype != torch.float32:
            return False
        if type(self.harmonics) is not Harmonics:
            return False
        mine = [child for decoder in (self.density, self.colour) for child in (*decoder.layers, *decoder.activations)]
        return all(type(child) in (nn.Linear, ReLU) and not has_hooks(child) for child in mine)
