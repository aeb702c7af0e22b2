"""A field: an encoding and a decoder, from coordinates to values."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ohmfield._kernels.threads import one_torch_thread, run_parallel
from ohmfield.fields.decoders import MLP


class Field(nn.Module):
    """`decoder(encoding(coords))`: coords [N, dim] in [0, 1]^dim -> values [N, channels].

    An encoding says with `signed` whether it wants coordinates in [-1, 1]. `config` is plain data from which
    `presets.build` makes the same field again (with fresh parameters).
    """

    def __init__(self, encoding: nn.Module, decoder: MLP, dim: int, channels: int) -> None:
        super().__init__()
        self.encoding = encoding
        self.decoder = decoder
        self.dim = dim
        self.channels = channels
        self.config: dict[str, Any] = {}

    def forward(self, coords: Float[Tensor, "num_points dim"]) -> Float[Tensor, "num_points channels"]:
        """Values at `coords`, not clipped."""
        if getattr(self.encoding, "signed", False):
            coords = 2.0 * coords - 1.0
        return self.decoder(self.encoding(coords))

    def num_parameters(self) -> int:
        """Trainable numbers."""
        return sum(parameter.numel() for parameter in self.parameters())


def is_plain(module: nn.Module) -> bool:
    """Whether every child is torch's or of this package: such modules keep no state between calls.

    Only they are called from several threads at once; converted layers (noise counters, observers) run in order.
    """
    return all(type(child).__module__.startswith(("torch.nn.", f"{__package__}.")) for child in module.modules())


def predict(
    module: nn.Module, coords: Float[Tensor, "num_points *dims"], tile: int = 2**14
) -> Float[Tensor, "num_points channels"]:
    """Values of any coordinate network at `coords`, computed `tile` points at a time, without gradients."""
    tiles = list(coords.split(tile))

    @torch.no_grad()
    def run(part: Tensor) -> Tensor:
        return module(part)

    if not is_plain(module):
        return torch.cat([run(part) for part in tiles])
    with one_torch_thread():
        return torch.cat(run_parallel(run, tiles))
