"""What an analog layer adds to a training step, each in one pass: weights as cells hold them, sums as converted.

Each operation is an autograd function over a `reference` in plain torch and a `fast` kernel in Numba; both draw the
counter-based numbers of `Noise`, forward and backward alike, so nothing but the inputs is kept between the two.
Rounding passes its gradient straight through where nothing clips. Scales, ranges and noise carry theirs.
"""

# pyright: reportCallIssue=false
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from ohmfield._kernels import training_reference as reference
from ohmfield._kernels.training_reference import SMALLEST, Range
from ohmfield.numerics import (
    GOLDEN,
    MIX_1,
    MIX_2,
    NORMAL_A,
    NORMAL_B,
    Noise,
)

# ---- weights ---------------------------------------------------------------------------------------------------------


def draw_weights(weight: Tensor, mean: Tensor, spread: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
    """Weights [O, K] as cells hold them, `scale * (code + mean[code] + spread[code] * N)`, and their scales [O].

    The largest weight of an output takes the largest code and, with it, the gradient of the scale. `mean` and `spread`
    list the error of every code from the most negative to the most positive.
    """
    if weight.device.type != "cpu":
        return reference.draw_weights(weight, mean, spread, noise)
    return _DrawWeights.apply(weight, mean, spread, noise)  # type: ignore[no-any-return]


class _DrawWeights(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, mean: Tensor, spread: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        weight = weight.detach().contiguous()
        out, scale = torch.empty_like(weight), torch.empty(len(weight))
        ctx.largest = np.empty(len(weight), np.int64)
        tables = mean.numpy(), spread.numpy()
        _draw(weight.numpy(), *tables, np.uint64(noise.key), out.numpy(), scale.numpy(), ctx.largest)
        ctx.save_for_backward(weight, scale, out)
        ctx.most = np.float32(len(mean) // 2)
        return out, scale

    @staticmethod
    def backward(ctx: Any, grad: Tensor, to_scale: Tensor):  # type: ignore[override]
        weight, scale, drawn = (kept.numpy() for kept in ctx.saved_tensors)
        made = grad.contiguous().clone()
        _draw_back(weight, scale, drawn, to_scale.contiguous().numpy(), ctx.largest, ctx.most, made.numpy())
        return made, None, None, None


@njit(nogil=True, cache=True, inline="always")
def _splitmix(value):
    z = value + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(nogil=True, cache=True, inline="always")
def _normal(low, high, column):
    """`normal_from_bits(hash_columns(...))` of one column, in 32-bit arithmetic."""
    x = np.uint32(np.uint32(column * np.uint32(GOLDEN)) + low)
    x = np.uint32(np.uint32(x ^ (x >> np.uint32(16))) * np.uint32(MIX_1))
    x = np.uint32(x ^ high)
    x = np.uint32(np.uint32(x ^ (x >> np.uint32(15))) * np.uint32(MIX_2))
    x = np.uint32(x ^ (x >> np.uint32(15)))
    mask = np.uint32(0x00FF00FF)
    pairs = np.uint32(np.uint32(x & mask) + np.uint32(np.uint32(x >> np.uint32(8)) & mask))
    total = np.int32(np.uint32(np.uint32(pairs & np.uint32(0xFFFF)) + np.uint32(pairs >> np.uint32(16))))
    z = np.float32(total) - np.float32(510.0)
    return z * (NORMAL_A + NORMAL_B * (z * z))


@njit(nogil=True, cache=True, error_model="numpy")
def _draw(weight, mean, spread, key, out, scale, largest):
    most = np.float32(len(mean) // 2)
    for o in range(len(weight)):
        row = _splitmix(np.uint64(o) ^ key)
        low, high = np.uint32(row & np.uint64(0xFFFFFFFF)), np.uint32(row >> np.uint64(32))
        line, made = weight[o], out[o]
        at, top = 0, np.float32(-1.0)
        for k in range(len(line)):
            if abs(line[k]) > top:
                at, top = k, abs(line[k])
        step = max(top, SMALLEST) / most
        scale[o], largest[o] = step, at
        inverse = np.float32(1.0) / step
        for k in range(len(line)):
            code = np.floor(line[k] * inverse + np.float32(0.5))
            entry = min(max(np.int32(code + most), 0), len(mean) - 1)
            made[k] = (code + mean[entry] + spread[entry] * _normal(low, high, np.uint32(k))) * step


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _draw_back(weight, scale, drawn, to_scale, largest, most, grad):
    """Adds to the gradient of an output's largest weight what its scale passes on."""
    for o in range(len(weight)):
        line, made, given = weight[o], drawn[o], grad[o]
        total = np.float32(0.0)
        for k in range(len(line)):
            total += given[k] * (made[k] - line[k])
        if scale[o] * most > SMALLEST:
            slope = (total / scale[o] + to_scale[o]) / most
            given[largest[o]] += slope if line[largest[o]] >= np.float32(0.0) else -slope


# ---- sums ------------------------------------------------------------------------------------------------------------


def convert_sums(sums: Tensor, unit: Tensor, limits: Range, noise: Noise, bias: Tensor | None = None) -> Tensor:
    """Sums [A, O] or [A, O, places ...] after their converter: noise added, rounded, clipped, then `bias` [O] added.

    `unit` [O] is what one count of a sum is worth. Gradients to all of them. `sums` is overwritten where it can be.
    """
    if sums.device.type != "cpu":
        return reference.convert_sums(sums, unit, limits, noise, bias)
    if float(limits.step.detach()) == 0.0:
        sums = sums.clone() if sums.is_leaf else sums.contiguous()
        return _AddNoise.apply(sums, unit, *limits, noise, bias)  # type: ignore[no-any-return]
    made: Tensor = _ConvertSums.apply(sums, unit, *limits, noise)  # type: ignore[assignment]
    return made if bias is None else made + reference.along(bias, made)


def _rows(values: Tensor) -> tuple[np.ndarray]:
    """[A, O] of a linear layer, [A, O, C] of images."""
    array = values.detach().numpy()
    return (array if values.ndim == 2 else array.reshape(*values.shape[:2], -1),)


class _AddNoise(torch.autograd.Function):
    """Nothing is rounded: noise and bias are added in place, and the few sums that clip are remembered."""

    @staticmethod
    def forward(
        ctx: Any,
        sums: Tensor,
        unit: Tensor,
        sd: Tensor,
        step: Tensor,
        low: Tensor,
        high: Tensor,
        noise: Noise,
        bias: Tensor | None,
    ) -> Tensor:
        unit = unit.detach().contiguous()
        ctx.save_for_backward(unit)
        ctx.sd, ctx.key, ctx.biased = np.float32(float(sd.detach())), np.uint64(noise.key), bias is not None
        ctx.ends = np.float32(float(low.detach())), np.float32(float(high.detach()))
        added = torch.zeros_like(unit) if bias is None else bias.detach().contiguous()
        (rows,) = _rows(sums)
        clipped = np.empty(rows.size, np.int32)  # memory that is not written costs nothing
        run = _add_columns if sums.ndim == 2 else _add_places
        count = run(rows, unit.numpy(), ctx.sd, *ctx.ends, added.numpy(), ctx.key, clipped)
        ctx.clipped = clipped[:count].copy()
        ctx.mark_dirty(sums)
        return sums

    @staticmethod
    def backward(ctx: Any, grad: Tensor):  # type: ignore[override]
        unit = ctx.saved_tensors[0].numpy()
        grad = grad.contiguous()
        drawn, plain = np.zeros(len(unit), np.float32), np.zeros(len(unit), np.float32)  # sums over items and places
        to_unit, to_low, to_high = np.zeros(len(unit), np.float32), 0.0, 0.0
        if len(ctx.clipped):
            grad, flat = grad.clone(), None
            flat = grad.view(-1).numpy()
            places = flat.size // (grad.shape[0] * len(unit))
            at = np.abs(ctx.clipped) - 1
            output = (at // places) % len(unit)
            worth, below = flat[at].astype(np.float64), ctx.clipped < 0
            to_low = float((worth * unit[output])[below].sum())
            to_high = float((worth * unit[output])[~below].sum())
            np.add.at(to_unit, output, (worth * np.where(below, *ctx.ends)).astype(np.float32))
            np.add.at(plain, output, worth.astype(np.float32))  # a bias comes behind the converter
            flat[at] = 0.0
        run = _add_columns_back if grad.ndim == 2 else _add_places_back
        run(*_rows(grad), ctx.key, drawn, plain)
        to_unit += drawn * ctx.sd
        scalars = (torch.tensor(float(value)) for value in (np.dot(drawn, unit), 0.0, to_low, to_high))
        return grad, torch.from_numpy(to_unit), *scalars, None, torch.from_numpy(plain) if ctx.biased else None


class _ConvertSums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, sums: Tensor, unit: Tensor, sd: Tensor, step: Tensor, low: Tensor, high: Tensor, noise: Noise
    ) -> Tensor:
        sums, unit = sums.detach(), unit.detach().contiguous()
        ctx.save_for_backward(sums, unit)
        ctx.limits = tuple(np.float32(float(value.detach())) for value in (sd, step, low, high))
        ctx.key = np.uint64(noise.key)
        out = torch.empty_like(sums)
        run = _convert_columns if sums.ndim == 2 else _convert_places
        run(*_rows(sums), unit.numpy(), *ctx.limits, ctx.key, *_rows(out))
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor):  # type: ignore[override]
        sums, unit = ctx.saved_tensors
        grad = grad.contiguous()
        out, to_unit = torch.empty_like(sums), torch.zeros_like(unit)
        run = _convert_columns_back if sums.ndim == 2 else _convert_places_back
        totals = np.zeros(4)
        run(*_rows(sums), unit.numpy(), *ctx.limits, ctx.key, *_rows(grad), *_rows(out), to_unit.numpy(), totals)
        return out, to_unit, *torch.from_numpy(totals).float(), None


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def _add_columns(sums, unit, sd, low, high, bias, key, clipped):
    """Returns how many sums clipped; `clipped` lists them, from 1, negative at the lower end."""
    count = 0
    spread, least, most = sd * unit, low * unit, high * unit
    row_of = np.empty(len(unit), np.float32)
    for a in range(len(sums)):
        row = _splitmix(np.uint64(a) ^ key)
        first, last = np.uint32(row & np.uint64(0xFFFFFFFF)), np.uint32(row >> np.uint64(32))
        line, outside = sums[a], np.int32(0)
        for o in range(len(row_of)):
            value = line[o] + spread[o] * _normal(first, last, np.uint32(o))
            held = min(max(value, least[o]), most[o])
            outside += np.int32(value != held)
            row_of[o] = value
            line[o] = held + bias[o]
        if outside:
            for o in range(len(row_of)):
                if row_of[o] < least[o] or row_of[o] > most[o]:
                    place = np.int32(a * len(row_of) + o + 1)
                    clipped[count] = -place if row_of[o] < least[o] else place
                    count += 1
    return count


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def _add_places(sums, unit, sd, low, high, bias, key, clipped):
    count, outputs = 0, len(unit)
    row_of = np.empty(sums.shape[2], np.float32)
    for a in range(len(sums)):
        for o in range(outputs):
            row = _splitmix(np.uint64(a * outputs + o) ^ key)
            first, last = np.uint32(row & np.uint64(0xFFFFFFFF)), np.uint32(row >> np.uint64(32))
            line, spread, least, most, added = sums[a, o], sd * unit[o], low * unit[o], high * unit[o], bias[o]
            outside = np.int32(0)
            for c in range(len(row_of)):
                value = line[c] + spread * _normal(first, last, np.uint32(c))
                held = min(max(value, least), most)
                outside += np.int32(value != held)
                row_of[c] = value
                line[c] = held + added
            if outside:
                for c in range(len(row_of)):
                    if row_of[c] < least or row_of[c] > most:
                        place = np.int32((a * outputs + o) * len(row_of) + c + 1)
                        clipped[count] = -place if row_of[c] < least else place
                        count += 1
    return count


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def _add_columns_back(grad, key, drawn, plain):
    for a in range(len(grad)):
        row = _splitmix(np.uint64(a) ^ key)
        first, last = np.uint32(row & np.uint64(0xFFFFFFFF)), np.uint32(row >> np.uint64(32))
        line = grad[a]
        for o in range(len(line)):
            drawn[o] += line[o] * _normal(first, last, np.uint32(o))
            plain[o] += line[o]


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _add_places_back(grad, key, drawn, plain):
    outputs = len(drawn)
    for a in range(len(grad)):
        for o in range(outputs):
            row = _splitmix(np.uint64(a * outputs + o) ^ key)
            first, last = np.uint32(row & np.uint64(0xFFFFFFFF)), np.uint32(row >> np.uint64(32))
            line, noisy, total = grad[a, o], np.float32(0.0), np.float32(0.0)
            for c in range(len(line)):
                noisy += line[c] * _normal(first, last, np.uint32(c))
                total += line[c]
            drawn[o] += noisy
            plain[o] += total


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def _convert_columns(sums, unit, sd, step, low, high, key, out):
    inverse = np.float32(1.0) / unit
    half, finer = np.float32(0.5), np.float32(1.0) / step if step > 0.0 else np.float32(0.0)
    for a in range(len(sums)):
        row = _splitmix(np.uint64(a) ^ key)
        first, last = np.uint32(row & np.uint64(0xFFFFFFFF)), np.uint32(row >> np.uint64(32))
        line, made = sums[a], out[a]
        if step > 0.0:
            for o in range(len(line)):
                value = line[o] * inverse[o] + sd * _normal(first, last, np.uint32(o))
                value = np.floor(value * finer + half) * step
                made[o] = min(max(value, low), high) * unit[o]
        else:
            for o in range(len(line)):
                value = line[o] * inverse[o] + sd * _normal(first, last, np.uint32(o))
                made[o] = min(max(value, low), high) * unit[o]


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _convert_columns_back(sums, unit, sd, step, low, high, key, grad, out, to_unit, totals):
    inverse = np.float32(1.0) / unit
    half, zero = np.float32(0.5), np.float32(0.0)
    finer = np.float32(1.0) / step if step > 0.0 else zero
    parts = np.zeros((4, len(unit)), np.float32)  # of one row after the other: sd, step, low, high per output
    for a in range(len(sums)):
        row = _splitmix(np.uint64(a) ^ key)
        first, last = np.uint32(row & np.uint64(0xFFFFFFFF)), np.uint32(row >> np.uint64(32))
        line, given, made = sums[a], grad[a], out[a]
        for o in range(len(line)):
            drawn = _normal(first, last, np.uint32(o))
            exact = line[o] * inverse[o]
            soft = exact + sd * drawn
            value = np.floor(soft * finer + half) * step if step > 0.0 else soft
            held = min(max(value, low), high)
            g = given[o]
            inside = value == held
            passed = g if inside else zero
            made[o] = passed
            to_unit[o] += g * held - passed * exact
            parts[0, o] += passed * drawn * unit[o]
            parts[1, o] += passed * (value - soft) * unit[o]
            parts[2, o] += (g if value < low else zero) * unit[o]
            parts[3, o] += (g if value > high else zero) * unit[o]
    for kind in range(4):
        totals[kind] = parts[kind].sum()
    totals[1] *= finer


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def _convert_places(sums, unit, sd, step, low, high, key, out):
    half, finer = np.float32(0.5), np.float32(1.0) / step if step > 0.0 else np.float32(0.0)
    outputs = len(unit)
    for a in range(len(sums)):
        for o in range(outputs):
            row = _splitmix(np.uint64(a * outputs + o) ^ key)
            first, last = np.uint32(row & np.uint64(0xFFFFFFFF)), np.uint32(row >> np.uint64(32))
            line, made, worth = sums[a, o], out[a, o], unit[o]
            inverse = np.float32(1.0) / worth
            if step > 0.0:
                for c in range(len(line)):
                    value = line[c] * inverse + sd * _normal(first, last, np.uint32(c))
                    value = np.floor(value * finer + half) * step
                    made[c] = min(max(value, low), high) * worth
            else:
                for c in range(len(line)):
                    value = line[c] * inverse + sd * _normal(first, last, np.uint32(c))
                    made[c] = min(max(value, low), high) * worth


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _convert_places_back(sums, unit, sd, step, low, high, key, grad, out, to_unit, totals):
    half, zero = np.float32(0.5), np.float32(0.0)
    finer = np.float32(1.0) / step if step > 0.0 else zero
    outputs = len(unit)
    for a in range(len(sums)):
        for o in range(outputs):
            row = _splitmix(np.uint64(a * outputs + o) ^ key)
            first, last = np.uint32(row & np.uint64(0xFFFFFFFF)), np.uint32(row >> np.uint64(32))
            line, given, made, worth = sums[a, o], grad[a, o], out[a, o], unit[o]
            inverse = np.float32(1.0) / worth
            own, spread, steps, lows, highs = zero, zero, zero, zero, zero
            for c in range(len(line)):
                drawn = _normal(first, last, np.uint32(c))
                exact = line[c] * inverse
                soft = exact + sd * drawn
                value = np.floor(soft * finer + half) * step if step > 0.0 else soft
                held = min(max(value, low), high)
                g = given[c]
                passed = g if value == held else zero
                made[c] = passed
                own += g * held - passed * exact
                spread += passed * drawn
                steps += passed * (value - soft)
                lows += g if value < low else zero
                highs += g if value > high else zero
            to_unit[o] += own
            totals[0] += spread * worth
            totals[1] += steps * worth * finer
            totals[2] += lows * worth
            totals[3] += highs * worth
