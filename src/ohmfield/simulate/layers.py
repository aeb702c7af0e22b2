"""Layers as a chip computes them: codes in, words out, bit-true in `eval`, differentiable in `train`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ohmfield import tally
from ohmfield._kernels import hash_lookup, words
from ohmfield.chip.chip import Chip
from ohmfield.chip.digital import ActivationUnit, GatherUnit
from ohmfield.chip.fixed import dyadic, requantise
from ohmfield.chip.gather_twin import axis_weights, interpolate
from ohmfield.chip.twins import activate, output_word
from ohmfield.numerics import Grid, spread, straight_through
from ohmfield.simulate.choose import exact_product, measures_sums
from ohmfield.simulate.driven_cells import DrivenCells
from ohmfield.simulate.formats import ActivationFormat, GatherFormat, LinearFormat, TableFormat
from ohmfield.simulate.observed import View
from ohmfield.simulate.plan import LayerPlan
from ohmfield.simulate.products import Product

CALL = 2**36  # vector numbers that each call of a module has for itself


@dataclass
class Pass:
    """One forward over a chunk: its first item and how many there are, and how often each module was called so far."""

    first: int = 0
    items: int = 1
    calls: Counter[str] = field(default_factory=Counter)
    alike: bool = True  # no layer has run yet that differs between instances of one chip

    def call(self, path: str) -> int:
        """Index of the next call of the module at `path`."""
        self.calls[path] += 1
        return self.calls[path] - 1

    def operator(self, path: str) -> str:
        """Declared id of the next call of the module at `path`."""
        return f"{path}#{self.call(path)}"

    def first_vector(self, vectors: int, call: int) -> int:
        """Number of the first of so many vectors of this chunk: an item's vectors keep their numbers in any chunk."""
        return call * CALL + self.first * (vectors // self.items)


Kept = TypeVar("Kept")
Finish = tuple[Tensor, Tensor, Tensor | None]
"""Bias, then multiplier and right shift per output; a factor and None where the requantiser multiplies floats."""

current_pass: ContextVar[Pass | None] = ContextVar("current_pass", default=None)


def _pass() -> Pass:
    """The pass in context; outside of one, every call is the first of its own."""
    return current_pass.get() or Pass()


class ChipLinear(nn.Module):
    """A linear layer on a unit: input codes, product, bias in the accumulator, requantiser.

    `product` is what multiplies in `eval`; None means ideal cells and lossless conversions. In `train` the forward is
    the fake-quantised product, with the gradient of rounded weights and inputs. Layers with other vectors than the
    rows of their input override `integers`, `vectors`, `arranged` and `soft`.
    """

    def __init__(
        self, path: str, weight: Tensor, bias: Tensor | None, form: LinearFormat, plan: LayerPlan, chip: Chip
    ) -> None:
        super().__init__()
        self.path, self.module_path, self.form, self.plan, self.chip = plan.path, path, form, plan, chip
        self.weight, self.bias = weight, bias
        self.view: View | None = None
        self.passed: Tensor | None = None  # weights that a model computes from others, in training
        self.product: Product | None = None
        self.cells: DrivenCells | None = None  # of the instance that `product` runs on, for counting
        self._kept: dict[str, tuple[object, Any]] = {}

    def weight_codes(self) -> Int[Tensor, "outputs inputs"]:
        """int64 codes of the weights as they are now."""
        return self._once("codes", lambda: self._codes())

    def input_codes(self, x: Float[Tensor, "*shape"], most: int | None = None) -> Int[Tensor, "vectors inputs"]:
        """int32 codes of the vectors that `x` makes; `most` of them if given, evenly spread."""
        codes = self.integers(x.detach())
        count = self.num_vectors(codes)
        chosen, parts = spread(count, count if most is None else most), []
        for rows, vectors in self.vectors(codes):
            here = chosen[np.searchsorted(chosen, rows.start) : np.searchsorted(chosen, rows.stop)]
            parts.append(torch.from_numpy(vectors[here - rows.start]))
        return torch.cat(parts)

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*out"]:
        """Words of the output, as exact float32 values."""
        if not self.training:
            return self._chip(x, self.product or self._ideal())
        word = self.form.output
        return Grid(bits=word.bits, signed=True, scale=word.step).fake(self.soft(self.form.input.fake(x)))

    # ---- what makes it a linear layer --------------------------------------------------------------------------------

    def integers(self, x: Float[Tensor, "*shape"]) -> Int[np.ndarray, "*codes"]:
        """int32 codes of the input, each value once."""
        return self._quantised(x)

    def num_vectors(self, codes: Int[np.ndarray, "*codes"]) -> int:
        """Vectors that `integers` make."""
        return codes.size // codes.shape[-1]

    def vectors(self, codes: Int[np.ndarray, "*codes"]) -> Iterator[tuple[slice, Int[np.ndarray, "vectors inputs"]]]:
        """(their numbers, the vectors that are multiplied), in one or more chunks that may share their memory."""
        yield slice(0, self.num_vectors(codes)), codes.reshape(-1, codes.shape[-1])

    def arranged(self, out: Float[Tensor, "vectors outputs"], x: Float[Tensor, "*shape"]) -> Float[Tensor, "*out"]:
        """The outputs of all vectors in the shape of the layer's output."""
        return out.reshape(*x.shape[:-1], out.shape[-1])

    def soft(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*out"]:
        """The product in floats, of rounded weights and of inputs that are rounded already."""
        return nn.functional.linear(x, self.form.weight.fake(self.weights()), self.own_bias())

    def own_bias(self) -> Float[Tensor, " outputs"] | None:
        """The bias of its outputs."""
        return self.bias

    def weights(self) -> Tensor:
        """The weights as the layer multiplies by them; where a function was called with part of a parameter, that."""
        if self.passed is not None:
            return self.passed
        return self.weight if self.view is None else torch.as_strided(self.weight, *self.view)

    def _codes(self) -> Int[Tensor, "outputs inputs"]:
        return self.form.weight.codes(self.weights().detach()).long()

    def _channel_scale(self) -> Float[Tensor, " outputs"]:
        outputs = self.weight_codes().shape[0]
        return torch.as_tensor(self.form.weight.scale).double().flatten().expand(outputs)

    # ---- the product -------------------------------------------------------------------------------------------------

    def accumulator_factor(self, step: float) -> Float[Tensor, " outputs"]:
        """What one accumulator count of each output is worth, float64; `step` in cell levels."""
        return self._channel_scale() * float(self.form.input.scale) * step

    def bias_codes(self, step: float) -> Int[Tensor, " outputs"]:
        """Bias in accumulator counts, minus what the zero point of the inputs adds; rounded half up once.

        Where that is measured, in whole counts, a product takes off what the measurement gave beyond these.
        """
        factor = self.accumulator_factor(step)
        own = self.own_bias()
        bias = torch.zeros_like(factor) if own is None else own.detach().double() / factor
        static = torch.from_numpy(self.plan.static_offset(self.weight_codes().numpy())) / step
        if measures_sums(self.chip.units[self.plan.unit]):
            static = torch.floor(static + 0.5)
        return torch.floor(bias - static + 0.5).long()

    def _ideal(self) -> Product:
        return self._once("ideal", lambda: exact_product(self.weight_codes().numpy(), self.plan, self.chip))

    def _once(self, name: str, make: Callable[[], Kept]) -> Kept:
        """What `make` derives from weights and format, kept until they change."""
        tensors = [tensor for tensor in (self.weight, self.bias) if tensor is not None]
        state = (id(self.form), *((tensor.data_ptr(), tensor._version) for tensor in tensors))
        if name not in self._kept or self._kept[name][0] != state:
            self._kept[name] = (state, make())
        return self._kept[name][1]

    @torch.no_grad()
    def _chip(self, x: Tensor, product: Product) -> Tensor:
        now = _pass()
        call = now.call(self.path)
        codes = self.integers(x)
        count = self.num_vectors(codes)
        first = now.first_vector(count, call)
        finish = self._once(f"finish {product.step}", lambda: self._finish(product.step))
        out = np.empty((count, len(self.weight_codes())), dtype=np.float32)
        for rows, vectors in self.vectors(codes):
            sums, counts = product.run(vectors, first + rows.start)
            if self.cells is not None and tally.listening():
                counts |= self.cells.count(vectors, first + rows.start)
            tally.count(f"{self.module_path}#{call}", **counts)
            self._write(sums, finish, out[rows])
        return self.arranged(torch.from_numpy(out), x)

    def _finish(self, step: float) -> Finish:
        factor = self.accumulator_factor(step) * 2.0**self.form.output.fraction
        bias = self.bias_codes(step)
        if self.chip.requantiser.rule == "float":
            return bias, factor, None
        multiplier, shift = dyadic(factor, self.chip.requantiser)
        return bias, multiplier, shift

    def _write(self, sums: np.ndarray, finish: Finish, out: np.ndarray) -> None:
        """Bias, scale and word of `sums` into `out`, float32."""
        word, (bias, multiplier, shift) = self.form.output, finish
        if shift is None:  # the requantiser multiplies in double precision
            made = word.values(requantise(torch.from_numpy(sums) + bias, multiplier, self.chip.requantiser, word))
            np.copyto(out, made.numpy())
            return
        words.requantise(sums, bias.numpy(), multiplier.numpy(), shift.numpy(), word.low, word.high, word.step, out)

    def _quantised(self, x: Tensor, out: np.ndarray | None = None) -> np.ndarray:
        grid = self.form.input
        values = x.detach().contiguous().numpy()
        out = np.empty(values.shape, dtype=np.int32) if out is None else out
        words.quantise(values, float(grid.scale), int(grid.zero), grid.low, grid.high, out)
        return out


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
            made = self.twin(x)
            return x.copy_(made) if getattr(self.exact, "inplace", False) else made
        return straight_through(self.exact(x), self.twin(x.detach()))

    def twin(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The unit's arithmetic."""
        word = self.form.input
        if self.function == "relu":  # one select on words of the same format
            last = x.dim() > 2 and not x.is_contiguous()  # channels lie last behind a convolution
            values = (x.movedim(1, -1) if last else x).detach().contiguous().numpy()
            made = np.empty(values.shape, dtype=np.float32)
            words.relu(values, word.step, word.high, made)
            return torch.from_numpy(made).movedim(-1, 1) if last else torch.from_numpy(made)
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


class ChipEmbedding(nn.Module):
    """An embedding's rows in table memory, as codes; a row of `padding_idx` gets no gradient."""

    def __init__(self, path: str, table: nn.Embedding, form: TableFormat) -> None:
        super().__init__()
        self.path, self.form, self.weight, self.padding_idx = path, form, table.weight, table.padding_idx

    def codes(self) -> Int[Tensor, "rows features"]:
        """int64 codes of the whole table as it is now."""
        return self.form.grid.codes(self.weight.detach()).long()

    def forward(self, rows: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape features"]:
        """Values of the rows that are read, exact multiples of the scale."""
        if not self.training:
            tally.count(_pass().operator(self.path), reads=float(rows.numel()))
        return self.form.grid.fake(nn.functional.embedding(rows, self.weight, self.padding_idx))


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
    """A child that computes what it did, but is no longer of the plain type; with a `path` its calls are counted."""

    def __init__(self, inner: nn.Module, path: str = "") -> None:
        super().__init__()
        self.inner, self.path = inner, path

    def __getattr__(self, name: str) -> Any:
        """What `inner` has, for parents that look at it."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)

    def forward(self, *inputs: Tensor) -> Tensor:
        """What `inner` returns."""
        if self.path:
            tally.count(_pass().operator(self.path), calls=1.0)
        return self.inner(*inputs)
