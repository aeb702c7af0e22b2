"""What training minimises: for each kind of signal, what a model learns from and how far off it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn

from ohmfield.signals.examples import Examples
from ohmfield.signals.points import Points
from ohmfield.signals.shape import Shape
from ohmfield.signals.tomography import Sinogram

Listed = Points | Examples | Shape | Sinogram
"""Signals that are lists of items, each with its target."""

SDF_FLOOR = 0.01
"""Distance below which an error is no longer weighed by the distance. Source: instant-ngp's MAPE loss."""


def squared_error(prediction: Float[Tensor, "num channels"], values: Float[Tensor, "num channels"]) -> Tensor:
    """Sum of squared differences; `Lesson.terms` times the number of points make it a mean."""
    return (prediction - values).square().sum()


def relative_error(prediction: Float[Tensor, "num 1"], distances: Float[Tensor, "num 1"]) -> Tensor:
    """Sum of absolute differences over |distance| + `SDF_FLOOR`: near the surface an error counts most."""
    return ((prediction - distances).abs() / (distances.abs() + SDF_FLOOR)).sum()


def cross_entropy(logits: Float[Tensor, "num classes"], labels: Int[Tensor, " num"]) -> Tensor:
    """Sum over the examples of minus the log of the probability given to the right class."""
    return nn.functional.cross_entropy(logits, labels, reduction="sum")


@dataclass(frozen=True, eq=False)
class Items:
    """What a signal of items asks of a model: inputs, targets, and the loss, a sum over `terms` numbers per item."""

    inputs: Tensor
    targets: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]
    terms: int
    peak: float | None  # of a signal whose loss is a mean square
    observe: Callable[[nn.Module, Tensor], Tensor] = lambda model, inputs: model(inputs)
    points: int = 1  # that one item asks of the model

    def __len__(self) -> int:
        return len(self.inputs)


def items_of(signal: Listed) -> Items:
    """All samples of a `Points` or `Shape`; all rays of a `Sinogram`; the training part of `Examples`."""
    if isinstance(signal, Points):
        return Items(signal.coords, signal.values, squared_error, signal.channels, signal.peak)
    if isinstance(signal, Shape):
        return Items(signal.coords, signal.values, relative_error, 1, None)
    if isinstance(signal, Sinogram):

        def loss(observed: Tensor, values: Tensor) -> Tensor:
            integral, variation = observed[:, :1], observed[:, 1]
            return squared_error(integral, values) + signal.smoothness * variation.sum()

        return Items(signal.rays.both, signal.values, loss, 1, None, signal.observe, signal.num_samples)
    part = signal.train
    return Items(part.inputs, part.labels, cross_entropy, 1, None)
