"""What training minimises."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn


def squared_error(prediction: Float[Tensor, "num channels"], values: Float[Tensor, "num channels"]) -> Tensor:
    """Sum of squared differences; values times points make it a mean."""
    return (prediction - values).square().sum()


def cross_entropy(logits: Float[Tensor, "num classes"], labels: Int[Tensor, " num"]) -> Tensor:
    """Sum over the examples of minus the log of the probability given to the right class."""
    return nn.functional.cross_entropy(logits, labels, reduction="sum")
