"""Shapes that published statistics come in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def polynomial(value: Tensor, coefficients: Sequence[float]) -> Tensor:
    """`sum c_i value^i`.

    >>> polynomial(torch.tensor(2.0), (1.0, 0.0, 3.0))
    tensor(13.)
    """
    total = torch.zeros_like(value)
    for coefficient in reversed(coefficients):
        total = total * value + coefficient
    return total


def between(place: float, places: Sequence[float], values: Sequence[Tensor]) -> Tensor:
    """`values` at `places`, linearly interpolated at `place`; the ends hold beyond them.

    >>> between(2.5, [1.0, 2.0, 3.0], [torch.tensor(0.0), torch.tensor(10.0), torch.tensor(30.0)])
    tensor(20.)
    """
    after = next((index for index, later in enumerate(places) if later >= place), len(places) - 1)
    if after == 0:
        return values[0]
    share = min(1.0, (place - places[after - 1]) / (places[after] - places[after - 1]))
    return values[after - 1] + share * (values[after] - values[after - 1])
