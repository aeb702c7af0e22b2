"""Layers as a chip computes them: codes in, words out, bit-true in `eval`, differentiable in `train`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ohmfield import tally
from ohmfield._kernels import hash_lookup
from ohmfield.chip.chip import Chip
from ohmfield.chip.digital import ActivationUnit, GatherUnit
from ohmfield.chip.fixed import requantise
from ohmfield.chip.gather_twin import axis_weights, interpolate
from ohmfield.chip.twins import activate, output_word
from ohmfield.numerics import Grid, straight_through
from ohmfield.simulate.choose import exact_product
from ohmfield.simulate.formats import ActivationFormat, GatherFormat, LinearFormat
from ohmfield.simulate.plan import LayerPlan
from ohmfield.simulate.products import Product


@dataclass
class Pass:
    """One forward over a chunk: number of its first item, and how often each module was called so far."""

    first: int = 0
    calls: Counter[str] = field(default_factory=Counter)

    def operator(self, path: str) -> str:
        """Declared id of the next call of the module at `path`."""
        self.calls[path] += 1
        return f"{path}#{self.calls[path] - 1}"


current_pass: ContextVar[Pass | None] = ContextVar("current_pass", default=None)


def _pass() -> Pass:
    """The pass in context; outside of one, every call is the first of its own."""
    return current_pass.get() or Pass()


class ChipLinear(nn.Module):
    """A linear layer on a unit: input codes, product, bias in the accumulator, requantiser.

    `product` is what multiplies in `eval`; None means ideal cells and lossless conversions. In `train` the forward is
    the fake-quantised product, with the gradient of rounded weights and inputs.
    """

    def __init__(self, path: str, linear: nn.Linear, form: LinearFormat, plan: LayerPlan, chip: Chip) -> None:
        super().__init__()
        self.path, self.form, self.plan, self.chip = path, form, plan, chip
        self.weight, self.bias = linear.weight, linear.bias
        self.product: Product | None = None

    def weight_codes(self) -> Int[Tensor, "outputs inputs"]:
        """int64 codes of the weights as they are now."""
        return self.form.weight.codes(self.weight.detach()).long()

    def input_codes(self, x: Float[Tensor, "*items inputs"]) -> Int[Tensor, "vectors inputs"]:
        """int32 codes of the inputs."""
        return self.form.input.codes(x.detach()).to(torch.int32).flatten(0, -2)

    def forward(self, x: Float[Tensor, "*items inputs"]) -> Float[Tensor, "*items outputs"]:
        """Words of the output, as exact float32 values."""
        if not self.training:
            return self._chip(x, self.product or self._ideal())
        word = self.form.output
        soft = nn.functional.linear(self.form.input.fake(x), self.form.weight.fake(self.weight), self.bias)
        return Grid(bits=word.bits, signed=True, scale=word.step).fake(soft)

    def accumulator_factor(self, step: float) -> Float[Tensor, " outputs"]:
        """What one accumulator count of each output is worth, float64; `step` in cell levels."""
        scale = torch.as_tensor(self.form.weight.scale).double().flatten().expand(self.weight.shape[0])
        return scale * float(self.form.input.scale) * step

    def bias_codes(self, step: float) -> Int[Tensor, " outputs"]:
        """Bias in accumulator counts, minus what the zero point of the inputs adds; rounded half up once."""
        factor = self.accumulator_factor(step)
        bias = torch.zeros_like(factor) if self.bias is None else self.bias.detach().double() / factor
        static = float(self.form.input.zero) * self.weight_codes().sum(1).double() / step
        return torch.floor(bias - static + 0.5).long()

    def _ideal(self) -> Product:
        return exact_product(self.weight_codes().numpy(), self.plan, self.chip)

    @torch.no_grad()
    def _chip(self, x: Tensor, product: Product) -> Tensor:
        now = _pass()
        out, counts = product.run(self.input_codes(x).numpy(), now.first)
        tally.count(now.operator(self.path), **counts)
        word = self.form.output
        factor = self.accumulator_factor(product.step) * 2.0**word.fraction
        codes = requantise(torch.from_numpy(out) + self.bias_codes(product.step), factor, self.chip.requantiser, word)
        return word.values(codes).reshape(*x.shape[:-1], -1)


class ChipActivation(nn.Module):
    """An activation on its unit: the integer twin forward, the float function's gradient."""

    def __init__(
        self, path: str, function: str, exact: nn.Module, form: ActivationFormat, unit: ActivationUnit
    ) -> None:
        super().__init__()
        self.path, self.function, self.exact, self.form, self.unit = path, function, exact, form, unit
        self.constants: Mapping[str, float] = {
            name: float(getattr(exact, name)) for name in ("w0", "s") if hasattr(exact, name)
        }

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Words of the result, as exact float32 values."""
        if not self.training:
            tally.count(_pass().operator(self.path), values=float(x.numel()))
            return self.twin(x)
        return straight_through(self.exact(x), self.twin(x.detach()))

    def twin(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The unit's arithmetic."""
        word = self.form.input
        codes = activate(self.function, word.codes(x), word, self.constants, self.unit)
        return output_word(self.function, word, self.unit).values(codes)


class ChipTable(nn.Module):
    """A hash grid's rows in table memory: codes of `table_bits`, one power-of-two scale per level."""

    def __init__(self, path: str, table: nn.Embedding, form: GatherFormat, unit: GatherUnit) -> None:
        super().__init__()
        self.path, self.form, self.unit = path, form, unit
        self.weight = table.weight

    def codes(self) -> Int[Tensor, "rows features"]:
        """int64 codes of the whole table as it is now."""
        return self._grid(self._row_scales()).codes(self.weight.detach()).long()

    def forward(self, rows: Int[Tensor, "num levels corners"]) -> Float[Tensor, "num levels corners features"]:
        """Values of the rows that are read."""
        read = nn.functional.embedding(rows, self.weight)
        if not self.training:
            tally.count(_pass().operator(self.path), reads=float(rows.numel()))
        scale = (2.0 ** -self.form.fractions.float())[:, None, None]
        return self._grid(scale).fake(read)

    def _grid(self, scale: Tensor) -> Grid:
        return Grid(bits=self.unit.table_bits, signed=True, scale=scale, symmetric=True)

    def _row_scales(self) -> Tensor:
        sizes = self.form.offsets[1:] - self.form.offsets[:-1]
        return (2.0 ** -self.form.fractions.float()).repeat_interleave(sizes)[:, None]


class ChipInterpolate(nn.Module):
    """The gather unit's interpolator: integer weights, exact products, one rounding to a feature word."""

    def __init__(self, path: str, form: GatherFormat, unit: GatherUnit) -> None:
        super().__init__()
        self.path, self.form, self.unit = path, form, unit

    def forward(
        self, rows: Float[Tensor, "num levels corners features"], weights: Float[Tensor, "num levels corners"]
    ) -> Float[Tensor, "num levels_features"]:
        """Feature words, as exact float32 values."""
        hard = self.twin(rows.detach(), weights)
        if self.training:
            return straight_through(hash_lookup.interpolate(rows, weights), hard)
        tally.count(_pass().operator(self.path), values=float(hard.numel()))
        return hard

    def twin(
        self, rows: Float[Tensor, "num levels corners features"], weights: Float[Tensor, "num levels corners"]
    ) -> Float[Tensor, "num levels_features"]:
        """The unit's arithmetic on table values that are exact codes."""
        codes = (rows * (2.0 ** self.form.fractions.float())[:, None, None]).long()
        word = self.form.features
        return word.values(
            interpolate(codes, axis_weights(weights, self.unit), self.form.fractions, self.unit, word)
        ).flatten(1)


class Unchanged(nn.Module):
    """A child that computes what it did, but is no longer of the plain type: conversion with nothing changed."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    @property
    def weight(self) -> Tensor:
        """The weight of `inner`, for parents that look at it."""
        return self.inner.weight  # type: ignore[return-value]

    def forward(self, *inputs: Tensor) -> Tensor:
        """What `inner` returns."""
        return self.inner(*inputs)
