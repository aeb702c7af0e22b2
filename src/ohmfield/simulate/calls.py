"""Function calls of a converted model, served by what stands for them on the chip.

What serves the calls of a module is kept in a child of it, so it moves, copies and trains with the model. While a
forward runs, a hook of the model listens to its functions; nothing listens where no function needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ohmfield import tally
from ohmfield._kernels import words
from ohmfield.chip.chip import Chip
from ohmfield.mapping.calls import KEPT, ROOT, Calls, listening
from ohmfield.mapping.trace import plain, speaks_for_itself
from ohmfield.mapping.window import Window
from ohmfield.numerics import Grid
from ohmfield.simulate.formats import ProductFormat
from ohmfield.simulate.layers import ChipLinear
from ohmfield.simulate.observed import ALIKE, Part, Site
from ohmfield.simulate.products import InputOrder
from ohmfield.spec import InputError


class ChipProduct(nn.Module):
    """A product of activations on a digital unit: both operands to codes, exact sums, one rounding to words."""

    def __init__(self, operator: str, form: ProductFormat, chip: Chip) -> None:
        super().__init__()
        self.operator, self.form, self.chip = operator, form, chip

    def forward(self, a: Float[Tensor, "*batch m k"], b: Float[Tensor, "*others k n"]) -> Float[Tensor, "*out m n"]:
        """Words of `a @ b`, as exact float32 values."""
        form = self.form
        if self.training:
            word = form.output
            return Grid(bits=word.bits, signed=True, scale=word.step).fake(form.first.fake(a) @ form.second.fake(b))
        with torch.no_grad():
            left, right = _codes(a, form.first), _codes(b, form.second)
            self._count(left)
            largest = a.shape[-1] * _largest(form.first) * _largest(form.second)
            kind = torch.float32 if largest < 2**24 else torch.float64  # sums below 2^24 (2^53) are exact
            sums = torch.from_numpy(left).to(kind) @ torch.from_numpy(right).to(kind)
            # Both scales are powers of two: the requantiser shifts, whatever its rule.
            factor = float(form.first.scale) * float(form.second.scale) * 2.0**form.output.fraction
            codes = torch.floor(sums.double() * factor + 0.5).clamp(form.output.low, form.output.high)
            return codes.float() * form.output.step

    def _count(self, codes: np.ndarray) -> None:
        signed = self.form.first.signed
        vectors = codes.reshape(-1, codes.shape[-1])
        order = InputOrder(
            starts=np.array([0, vectors.shape[1]]),
            dac_bits=1,
            num_planes=self.form.first.bits,
            drive="twos_complement" if signed else "unsigned",
        )
        tally.count(self.operator, **order.count(vectors))


def _largest(grid: Grid) -> int:
    """Largest magnitude of a code: near 2^bits where codes have no sign, half of that where they do."""
    return max(-grid.low, grid.high)


def _codes(values: Tensor, grid: Grid) -> np.ndarray:
    flat = values.detach().contiguous().numpy()
    out = np.empty(flat.shape, dtype=np.int32)
    words.quantise(flat, float(grid.scale), int(grid.zero), grid.low, grid.high, out)
    return out


class Served(Calls):
    """Calls of a converted model, each by the child that was kept for it; calls without one run in floats."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model, speaks_for_itself)

    def _kept(self, name: str) -> Any:
        kept = self.caller._modules.get(KEPT)
        key = name.replace(".", "/")
        return kept[key] if isinstance(kept, nn.ModuleDict) and key in kept else None

    def weighted(self, path: str, x: Tensor, weight: Tensor, bias: Tensor | None, window: Window | None) -> Tensor:
        layer = self._kept(path)
        if layer is None:
            return plain(x, weight, bias, window)
        if weight.untyped_storage().data_ptr() not in self.named:
            return _computed(layer, x, weight)
        if any(part.view != Part.of(weight, self).view for part in _parts(layer)):
            raise InputError("is called with another part of its parameter than in calibration: " + ALIKE, path)
        return layer(x)

    def product(self, path: str, a: Tensor, b: Tensor) -> Tensor:
        made = self._kept(self.number(path))
        return a @ b if made is None else made(a, b)

    def relu(self, path: str, x: Tensor) -> Tensor:
        made = self._kept(self.number(path))
        return x.clamp_min(0) if made is None else made(x)


def _parts(layer: nn.Module) -> list[ChipLinear]:
    return [part for part in layer.modules() if isinstance(part, ChipLinear)]


def _computed(layer: nn.Module, x: Tensor, weight: Tensor) -> Tensor:
    """A layer whose weights the model computes in every forward: an instance that is written keeps what it holds."""
    parts = _parts(layer)
    for part in parts:
        if part.product is None and not torch.equal(part.weight, weight):
            with torch.no_grad():  # counted as a change, so codes are made anew
                part.weight.copy_(weight)
        part.passed = weight if part.training else None
    try:
        return layer(x)
    finally:
        for part in parts:
            part.passed = None


_open: ContextVar[tuple[Served | None, ...]] = ContextVar("open", default=())


def serve(model: nn.Module, served: Mapping[str, tuple[Site, nn.Module]]) -> None:
    """Gives the calling modules of `model` what serves their calls, and the model the hooks that listen."""
    for name, (site, module) in served.items():
        for path in site.callers:
            caller = model if path == ROOT else model.get_submodule(path)
            if KEPT not in caller._modules:
                caller.add_module(KEPT, nn.ModuleDict())
            caller.get_submodule(KEPT).add_module(name.replace(".", "/"), module)
    if served:
        model.register_forward_pre_hook(_listen)
        model.register_forward_hook(_stop, always_call=True)


def _listen(model: nn.Module, _: Any) -> None:
    calls = None if listening.get() else Served(model)
    _open.set((*_open.get(), calls))
    if calls is not None:
        calls.__enter__()


def _stop(*_: Any) -> None:
    *before, calls = _open.get()
    _open.set(tuple(before))
    if calls is not None:
        calls.__exit__(None, None, None)
