"""Where a convolution looks: its windows, as vectors of a matrix product."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, nn

from ohmfield.spec import InputError

FUNCTIONS = {1: nn.functional.conv1d, 2: nn.functional.conv2d, 3: nn.functional.conv3d}
TRANSPOSED: tuple[type[nn.Module], ...] = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS: tuple[type[nn.Module], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)


@dataclass(frozen=True)
class Window:
    """A convolution without its weights, one entry per spatial axis.

    A vector holds one window: kernel positions in order, at each of them the channels. A border of zeros enters as the
    code of zero. A transposed convolution is the convolution of its input, spread out by zeros, with flipped kernels.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]  # zeros added in front of each axis; below 0, values taken away
    after: tuple[int, ...]
    groups: int = 1
    border: str = "zeros"  # or a mode of `torch.nn.functional.pad`: what is added is a copy of values inside
    spacing: tuple[int, ...] = ()  # transposed: how far apart values stand, with zeros between

    @classmethod
    def of(cls, layer: Any) -> Window:
        """The window of an `nn.Conv` or `nn.ConvTranspose` module."""
        if type(layer) in TRANSPOSED:
            given = layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
            return cls.transposed(layer.kernel_size, *given)
        made = cls.made(layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups)
        return replace(made, border=layer.padding_mode)

    @classmethod
    def made(
        cls,
        kernel: Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: str | int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> Window:
        """From the arguments that `torch.nn.functional.conv2d` and its kin take.

        >>> Window.made((3, 3), padding="same").before
        (1, 1)
        """
        axes = len(kernel)
        steps, spread = _each(stride, axes), _each(dilation, axes)
        if isinstance(padding, str):
            total = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, spread, strict=True)]
            before, after = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
        else:
            before = after = _each(padding, axes)
        return cls(tuple(kernel), steps, spread, before, after, groups)

    @classmethod
    def transposed(
        cls,
        kernel: Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        dilation: int | Sequence[int] = 1,
    ) -> Window:
        """From the arguments that `torch.nn.functional.conv_transpose2d` and its kin take.

        >>> Window.transposed((4, 4), stride=2, padding=1).outputs((8, 8))
        (16, 16)
        """
        axes = len(kernel)
        spread, more = _each(dilation, axes), _each(output_padding, axes)
        reach = [d * (k - 1) for k, d in zip(kernel, spread, strict=True)]
        before = tuple(r - p for r, p in zip(reach, _each(padding, axes), strict=True))
        after = tuple(b + m for b, m in zip(before, more, strict=True))
        return cls(tuple(kernel), (1,) * axes, spread, before, after, groups, spacing=_each(stride, axes))

    def kernels(self, weight: Float[Tensor, "*shape"]) -> Float[Tensor, "outputs channels *kernel"]:
        """Weights as torch keeps them for the convolution, [outputs, channels of a group, *kernel]."""
        if not self.spacing:
            return weight
        split = weight.unflatten(0, (self.groups, -1)).transpose(1, 2)
        return split.flatten(0, 1).flip(list(range(2, weight.dim())))

    def spread(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Sizes of an input once its values stand apart."""
        apart = self.spacing or (1,) * len(self.kernel)
        return tuple((size - 1) * by + 1 for size, by in zip(sizes, apart, strict=True))

    def bordered(
        self, codes: Int[np.ndarray, "items *sizes channels"], zero: int
    ) -> Int[np.ndarray, "items *padded channels"]:
        """`codes` standing apart and with their border, filled with the code `zero`."""
        if not any(self.before + self.after) and not self.spacing:
            return codes
        sizes, apart = self.spread(codes.shape[1:-1]), self.spacing or (1,) * len(self.kernel)
        ends = list(zip(self.before, sizes, self.after, apart, strict=True))
        shape = [max(b, 0) + size + max(a, 0) for b, size, a, _ in ends]
        padded = np.full((len(codes), *shape, codes.shape[-1]), zero, dtype=codes.dtype)
        padded[(slice(None), *(slice(max(b, 0), max(b, 0) + size, by) for b, size, _, by in ends))] = codes
        kept = [slice(max(-b, 0), whole + min(a, 0)) for whole, (b, _, a, _) in zip(shape, ends, strict=True)]
        return padded[(slice(None), *kept)]

    @property
    def widths(self) -> list[int]:
        """The border as `torch.nn.functional.pad` takes it: last axis first."""
        pairs = zip(reversed(self.before), reversed(self.after), strict=True)
        return [width for pair in pairs for width in pair]

    @property
    def inner(self) -> Window:
        """The same on an input that has its border already."""
        none = (0,) * len(self.kernel)
        return replace(self, before=none, after=none, border="zeros", spacing=())

    @property
    def size(self) -> int:
        """Kernel positions."""
        return math.prod(self.kernel)

    def outputs(self, sizes: Sequence[int], path: str = "") -> tuple[int, ...]:
        """Windows along each axis of an input of these `sizes`; `InputError` where not one fits."""
        made = []
        for axis, length in enumerate(self.spread(sizes)):
            reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
            free = length + self.before[axis] + self.after[axis] - reach
            if free < 0:
                raise InputError(f"a window of {reach} does not fit an input of {tuple(sizes)} with its padding", path)
            made.append(free // self.stride[axis] + 1)
        return tuple(made)

    def vectors(
        self, padded: Int[np.ndarray, "items *sizes channels"], most: int
    ) -> Iterator[tuple[slice, Int[np.ndarray, "vectors inputs"]]]:
        """(numbers of the vectors, the vectors) in chunks of about `most` values, each chunk in the same memory.

        Vectors are numbered by item, then position. `padded` has its borders already.
        """
        view = self.windows(padded)
        axes = len(self.kernel)
        rest, inputs = math.prod(view.shape[2 : 1 + axes]), math.prod(view.shape[1 + axes :])
        lines = max(1, most // max(1, rest * inputs))  # of the first spatial axis
        items = max(1, lines // view.shape[1])
        lines = view.shape[1] if items > 1 else min(lines, view.shape[1])
        memory = np.empty((min(items, view.shape[0]) * lines * rest, inputs), dtype=padded.dtype)
        for item in range(0, view.shape[0], items):
            for line in range(0, view.shape[1], lines):
                part = view[item : item + items, line : line + lines]
                count = math.prod(part.shape[: 1 + axes])
                np.copyto(memory[:count].reshape(part.shape), part)
                first = (item * view.shape[1] + line) * rest
                yield slice(first, first + count), memory[:count]

    def windows(self, padded: Int[np.ndarray, "items *sizes channels"]) -> Int[np.ndarray, "items *positions channels"]:
        """A view [items, *positions, *kernel, channels]: nothing is copied."""
        sizes, strides = padded.shape[1:-1], padded.strides[1:-1]
        step = [stride * by for stride, by in zip(strides, self.stride, strict=True)]
        inner = [stride * by for stride, by in zip(strides, self.dilation, strict=True)]
        return np.lib.stride_tricks.as_strided(
            padded,
            (len(padded), *self.inner.outputs(sizes), *self.kernel, padded.shape[-1]),
            (padded.strides[0], *step, *inner, padded.strides[-1]),
            writeable=False,
        )


def as_matrix(weight: Float[Tensor, "outputs channels *kernel"]) -> Float[Tensor, "outputs inputs"]:
    """The weights of a convolution as a matrix, inputs in the order of `Window`; a matrix comes back as it is."""
    return weight if weight.dim() == 2 else weight.movedim(1, -1).flatten(1)


def from_matrix(
    matrix: Float[Tensor, "outputs inputs"], like: Float[Tensor, "outputs channels *kernel"]
) -> Float[Tensor, "outputs channels *kernel"]:
    """The inverse of `as_matrix`, in the shape of `like`."""
    if like.dim() == 2:
        return matrix
    return matrix.reshape(len(like), *like.shape[2:], like.shape[1]).movedim(-1, 1)


def convolve(x: Tensor, kernels: Tensor, bias: Tensor | None, window: Window, groups: int) -> Tensor:
    """The convolution of `window` in floats, with so many of its groups and what `Window.kernels` makes of weights."""
    if any(by > 1 for by in window.spacing):
        apart = x.new_zeros(*x.shape[:2], *window.spread(x.shape[2:]))
        apart[(..., *(slice(None, None, by) for by in window.spacing))] = x
        x = apart
    mode = "constant" if window.border == "zeros" else window.border
    padded = nn.functional.pad(x, window.widths, mode=mode) if any(window.widths) else x
    convolution = FUNCTIONS[len(window.kernel)]
    return convolution(padded, kernels, bias, window.stride, 0, window.dilation, groups)


def _each(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 and axes > 1 else values
