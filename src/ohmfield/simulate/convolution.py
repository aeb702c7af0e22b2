"""Convolutions as a chip computes them: windows of input codes are the vectors of a linear layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ohmfield.chip.chip import Chip
from ohmfield.mapping.window import Window, as_matrix, convolve, from_matrix
from ohmfield.simulate.formats import LinearFormat
from ohmfield.simulate.layers import ChipLinear
from ohmfield.simulate.plan import LayerPlan
from ohmfield.spec import InputError

VALUES = 2**20  # of vectors at a time: four megabytes, which stay in the last cache


class ChipConv(ChipLinear):
    """The groups `span` of a convolution as one matrix; input and output hold the channels of those groups alone.

    Cells where one group's rows cross another's columns hold zero.
    """

    def __init__(
        self,
        path: str,
        weight: Tensor,
        bias: Tensor | None,
        window: Window,
        span: tuple[int, int],
        form: LinearFormat,
        plan: LayerPlan,
        chip: Chip,
    ) -> None:
        super().__init__(path, weight, bias, form, plan, chip)
        self.window, self.span = window, span

    @property
    def rows(self) -> slice:
        """Its part of all output channels."""
        each = self.weights().shape[0] // self.window.groups
        return slice(self.span[0] * each, self.span[1] * each)

    def integers(self, x: Float[Tensor, "items channels *sizes"]) -> Int[np.ndarray, "items *padded channels"]:
        """int32 codes, channels last; the border holds the code of zero."""
        axes = len(self.window.kernel)
        if x.dim() != axes + 2:
            raise InputError(f"takes a batch of {axes + 2} dimensions, not {tuple(x.shape)}", self.path)
        if self.window.border != "zeros" and any(self.window.widths):
            x = nn.functional.pad(x, self.window.widths, mode=self.window.border)
            return self._quantised(x.movedim(1, -1))
        codes = self._quantised(x.movedim(1, -1))
        return self.window.bordered(codes, int(self.form.input.zero))

    def num_vectors(self, codes: Int[np.ndarray, "items *padded channels"]) -> int:
        view = self.window.windows(codes)
        return int(np.prod(view.shape[: 1 + len(self.window.kernel)]))

    def vectors(
        self, codes: Int[np.ndarray, "items *padded channels"]
    ) -> Iterator[tuple[slice, Int[np.ndarray, "vectors inputs"]]]:
        return self.window.vectors(codes, VALUES)

    def arranged(
        self, out: Float[Tensor, "vectors outputs"], x: Float[Tensor, "items channels *sizes"]
    ) -> Float[Tensor, "items outputs *positions"]:
        """Channels stay last in memory: the next convolution reads them as they lie."""
        positions = self.window.outputs(x.shape[2:], self.path)
        return out.reshape(len(x), *positions, -1).movedim(-1, 1)

    def soft(self, x: Float[Tensor, "items channels *sizes"]) -> Float[Tensor, "items outputs *positions"]:
        rounded = from_matrix(self.form.weight.fake(as_matrix(self.weights())), self.weights())
        return convolve(x, rounded[self.rows], self.own_bias(), self.window, self.span[1] - self.span[0])

    def weights(self) -> Tensor:
        return self.window.kernels(super().weights())

    def own_bias(self) -> Float[Tensor, " outputs"] | None:
        return None if self.bias is None else self.bias[self.rows]

    def _codes(self) -> Int[Tensor, "outputs inputs"]:
        """Block-diagonal where it holds several groups."""
        weight = self.weights().detach()
        codes = self.form.weight.codes(as_matrix(weight)).long()[self.rows]
        groups = self.span[1] - self.span[0]
        if groups == 1:
            return codes
        each, size, channels = len(codes) // groups, self.window.size, weight.shape[1]
        blocks = torch.zeros(groups, each, size, groups, channels, dtype=torch.long)
        for group, block in enumerate(codes.reshape(groups, each, size, channels)):
            blocks[group, :, :, group] = block
        return blocks.reshape(groups * each, -1)

    def _channel_scale(self) -> Float[Tensor, " outputs"]:
        scale = torch.as_tensor(self.form.weight.scale).double().flatten().expand(self.weights().shape[0])
        return scale[self.rows]


class ChipGroups(nn.Module):
    """A grouped convolution in packs of groups, each a matrix of its own."""

    def __init__(self, path: str, window: Window, parts: Sequence[ChipConv]) -> None:
        super().__init__()
        self.path, self.window, self.parts = path, window, nn.ModuleList(parts)
        self.weight, self.bias = parts[0].weight, parts[0].bias

    def forward(self, x: Float[Tensor, "items channels *sizes"]) -> Float[Tensor, "items outputs *positions"]:
        """Words of the output, as exact float32 values."""
        each = x.shape[1] // self.window.groups
        made = []
        for part in self.parts:
            assert isinstance(part, ChipConv)
            first, last = part.span
            made.append(part(x[:, first * each : last * each]))
        return torch.cat(made, dim=1)
