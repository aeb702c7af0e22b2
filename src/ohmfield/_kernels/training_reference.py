"""The operations of a hardware-aware training step in plain torch: what the kernels must equal, on any device."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ohmfield.numerics import Noise, hash_columns, normal_from_bits, round_half_up

SMALLEST_SCALE = 2.0**-100
SMALLEST = np.float32(1e-30)  # an output whose weights are all smaller has none


class Range(NamedTuple):
    """One converter in units of its sums: 0-d float32 tensors. A `step` of zero rounds nothing."""

    sd: Tensor
    step: Tensor
    low: Tensor
    high: Tensor


def scale_for(largest: float, high: int) -> float:
    """The smallest power of two that takes `largest` to a code of `high`, or one more, which clips."""
    return max(SMALLEST_SCALE, 2.0 ** math.ceil(math.log2(max(largest, SMALLEST_SCALE) / (high + 1))))


def round_inputs(
    x: Tensor, low: int, high: int, scale: Tensor | None = None, below: float = 1.0
) -> tuple[Tensor, Tensor]:
    """`round_inputs` in plain torch."""
    follows = scale is None
    if scale is None:
        sizes = torch.maximum(x, -x * below).flatten()
        largest = sizes[int(sizes.detach().argmax())]
        hard = scale_for(float(largest.detach()), high)
        scale = largest * (hard / largest.detach()) if hard > SMALLEST_SCALE else torch.tensor(hard)
    ratio = x / scale.detach()
    code = round_half_up(ratio.detach())
    held = code.clamp(low, high)
    inside = (code == held) | (follows & (code > high))
    soft = torch.where(inside, ratio, ratio.detach())
    rounded = (held + soft - soft.detach()) * scale.detach()
    if follows:
        return rounded, scale
    rest = held - torch.where(inside, ratio.detach(), torch.zeros_like(ratio))  # what one unit of scale adds
    return rounded + rest * (scale - scale.detach()), scale


def draw_weights(weight: Tensor, mean: Tensor, spread: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
    """`draw_weights` in plain torch."""
    most = len(mean) // 2
    at = weight.detach().abs().argmax(1, keepdim=True)
    scale = weight.gather(1, at).abs()[:, 0].clamp_min(float(SMALLEST)) / most
    ratio = weight / scale[:, None]
    code = round_half_up(ratio.detach())
    entry = (code + most).long().clamp(0, 2 * most)
    error = mean[entry] + spread[entry] * noise.normal(tuple(weight.shape)).to(weight.device)
    return (code + error + ratio - ratio.detach()) * scale[:, None], scale


def convert_sums(sums: Tensor, unit: Tensor, limits: Range, noise: Noise, bias: Tensor | None = None) -> Tensor:
    """`convert_sums` in plain torch."""
    sd, step, low, high = limits
    worth = along(unit, sums)
    value = sums / worth + sd * drawn_rows(noise, tuple(sums.shape)).to(sums.device)
    if float(step.detach()) > 0.0:
        ratio = value / step
        value = (round_half_up(ratio.detach()) + ratio - ratio.detach()) * step
    held = torch.where(value.detach() > high, high, torch.where(value.detach() < low, low, value))
    return held * worth if bias is None else held * worth + along(bias, sums)


def along(values: Tensor, sums: Tensor) -> Tensor:
    """[O] so that it broadcasts along the second axis of `sums`."""
    return values.reshape(-1, *([1] * (sums.ndim - 2)))


def drawn_rows(noise: Noise, shape: tuple[int, ...]) -> Tensor:
    """Rows are what the kernels take as rows: vectors of a linear layer, image and channel of a convolution."""
    rows, columns = (shape[0], shape[1]) if len(shape) == 2 else (shape[0] * shape[1], math.prod(shape[2:]))
    bits = hash_columns(noise.row_keys(rows), np.arange(columns, dtype=np.uint32))
    return torch.from_numpy(normal_from_bits(bits)).reshape(shape)
