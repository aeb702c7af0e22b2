"""Inputs of a layer on their grid, in one pass: `reference` in plain torch beside a kernel in Numba.

Rounding passes its gradient straight through where nothing clips; the scale of the grid carries its own.
"""

# pyright: reportCallIssue=false
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from ohmfield._kernels import training_reference as reference

LANES = 256
PART = 4096  # values whose sum is taken in single precision


def round_inputs(
    x: Tensor, low: int, high: int, scale: Tensor | None = None, below: float = 1.0
) -> tuple[Tensor, Tensor]:
    """`x` on the grid of codes `low .. high`, and the 0-d scale of that grid; gradients to both.

    Without a `scale` it is the smallest power of two that holds the largest input, but for half a step. Its gradient
    goes to that input, as if the scale were in proportion to it: whatever grows with the range pulls at what makes the
    range large. Only a `scale` that is given also learns from what rounding and clipping did here.
    `below` is how much larger than itself an input below zero is taken to be, where codes reach less far down than up.
    The gradient that arrives is overwritten: hand the result to one layer and to nothing else.
    """
    if x.device.type != "cpu":
        return reference.round_inputs(x, low, high, scale, below)
    return _RoundInputs.apply(x, low, high, scale, below)  # type: ignore[no-any-return]


class _RoundInputs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, low: int, high: int, scale: Tensor | None, below: float) -> tuple[Tensor, Tensor]:
        x = x.detach().contiguous()
        flat = x.view(-1).numpy()
        ctx.largest, ctx.follows, ctx.clips = -1, 0.0, True
        if scale is None:
            ctx.largest, least = _largest(flat, np.float32(below))
            ctx.clips = low > -high and least < 0.0 and below == 1.0
            value = float(flat[ctx.largest])
            scale = torch.tensor(reference.scale_for(max(value, -value * below), high))
            ctx.follows = float(scale) / value if float(scale) > reference.SMALLEST_SCALE else 0.0
        else:
            scale = scale.detach().clone()
        ctx.save_for_backward(x, scale)
        ctx.codes = np.float32(low), np.float32(high)
        out = torch.empty_like(x)
        _round(flat, np.float32(float(scale)), *ctx.codes, out.view(-1).numpy())
        return out, scale

    @staticmethod
    def backward(ctx: Any, grad: Tensor, to_scale: Tensor):  # type: ignore[override]
        x, scale = ctx.saved_tensors
        grad = grad.contiguous()  # of one product, and nobody else's: what does not pass is struck out in place
        made, total = grad.view(-1).numpy(), float(to_scale)
        if ctx.clips:
            low, high = ctx.codes
            ends = (low, high + np.float32(ctx.largest >= 0))
            own = float(_round_back(x.view(-1).numpy(), np.float32(float(scale)), *ends, made))
            total += own if ctx.largest < 0 else 0.0
        if ctx.largest >= 0:
            made[ctx.largest] += total * ctx.follows
            return grad, None, None, None, None
        return grad, None, None, torch.as_tensor(total, dtype=scale.dtype).reshape(scale.shape), None


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "nsz"})
def _largest(x, below):
    """Where the largest magnitude stands (the first of them; `below` times it below zero), and the least value."""
    most, least, at = np.float32(-1.0), np.float32(0.0), 0
    lanes, floor = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    lanes[:], floor[:] = np.float32(0.0), np.float32(0.0)
    for first in range(0, len(x), PART):
        part = x[first : first + PART]
        lanes[:] = np.float32(0.0)
        for row in range(0, len(part), LANES):
            line = part[row : row + LANES]
            for i in range(len(line)):  # side by side: one running maximum would be taken number by number
                lanes[i] = max(lanes[i], max(line[i], -line[i] * below))
                floor[i] = min(floor[i], line[i])
        top = np.float32(0.0)
        for i in range(LANES):  # plain loops: the methods of arrays take a second to compile
            top = max(top, lanes[i])
        if top > most:
            most, at = top, first
    for i in range(at, min(at + PART, len(x))):
        if max(x[i], -x[i] * below) == most:
            at = i
            break
    for i in range(LANES):
        least = min(least, floor[i])
    return at, least


@njit(nogil=True, cache=True, error_model="numpy")
def _round(x, scale, low, high, out):
    inverse = np.float32(1.0) / scale
    for i in range(len(x)):
        code = np.floor(x[i] * inverse + np.float32(0.5))
        out[i] = min(max(code, low), high) * scale


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _round_back(x, scale, low, high, grad):
    """Strikes out the gradient of inputs that clip and returns that of the scale."""
    inverse = np.float32(1.0) / scale
    total = 0.0
    for first in range(0, len(x), PART):  # sums of parts: single precision would lose what comes late
        line, given = x[first : first + PART], grad[first : first + PART]
        part = np.float32(0.0)
        for i in range(len(line)):
            ratio = line[i] * inverse
            code = np.floor(ratio + np.float32(0.5))
            held = min(max(code, low), high)
            inside = code == held
            part += given[i] * (held - (ratio if inside else np.float32(0.0)))
            given[i] = given[i] if inside else np.float32(0.0)
        total += part
    return total
