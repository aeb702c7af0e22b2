"""Many instances of one converted model as one batch: what they have in common is computed once, two run side by side.

Nothing that runs before the first layer on a crossbar can depend on the instance: a hash grid, digital layers, and the
input codes of that first layer. Their results are kept for all instances, up to `KEPT_BYTES`; whatever is beyond that
is computed again. The rest runs on one replica of the model for each thread, which share its weights.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar
from ohmfield.simulate.convert import chip_layers
from ohmfield.simulate.layers import ChipLinear, current_pass
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.run import install, predict
from ohmfield.simulate.statistical import match_moments

KEPT_BYTES = 2**28  # of results that all instances share


class Common:
    """Results that are the same on every instance, by (first item, items, module, call)."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self.most_bytes, self.num_bytes = most_bytes, 0
        self._kept: dict[tuple[int, int, str, int], Any] = {}
        self._lock = threading.Lock()

    @contextmanager
    def open(self) -> Iterator[None]:
        """While open, replicas look here first and keep here what they compute."""
        token = _common.set(self)
        try:
            yield
        finally:
            _common.reset(token)

    def get(self, key: tuple[int, int, str, int]) -> Any:
        """What is kept under `key`, or None."""
        return self._kept.get(key)

    def keep(self, key: tuple[int, int, str, int], made: Any) -> None:
        """Keeps `made` while there is room; another thread may have been faster."""
        with self._lock:
            if key not in self._kept and self.num_bytes + made.nbytes <= self.most_bytes:
                self._kept[key] = made
                self.num_bytes += made.nbytes


_common: ContextVar[Common | None] = ContextVar("common", default=None)


class Batch:
    """The score of one instance after another, from any number of threads; `module` itself is left as it is.

    With `fitted_on` every product through converters is moment-matched on those inputs. Memory: `KEPT_BYTES`, and for
    each thread one instance and the outputs of `inputs`; how many instances are scored does not matter.
    """

    def __init__(
        self,
        module: nn.Module,
        chip: Chip,
        inputs: Shaped[Tensor, "items *dims"],
        headline: Callable[[Float[Tensor, "items *outputs"]], float],
        fitted_on: Shaped[Tensor, "some *dims"] | None = None,
    ) -> None:
        self.module, self.chip, self.inputs, self.headline, self.fitted_on = module, chip, inputs, headline, fitted_on
        self.scored, self.fitted = Common(), Common()
        self._free: list[tuple[nn.Module, bool]] = []
        self._made = 0
        self._lock = threading.Lock()

    def outputs(self, programmed: Programmed) -> Float[Tensor, "items *outputs"]:
        """What the model gives for `inputs` on this instance."""
        with self._lock:
            replica, backwards = self._free.pop() if self._free else self._replica()
        try:
            install(replica, self.chip, programmed)
            if self.fitted_on is not None:
                with self.fitted.open():
                    match_moments(replica, self.fitted_on)
            with self.scored.open():
                return predict(replica, self.inputs, backwards=backwards)
        finally:
            install(replica, self.chip, None)  # or two idle replicas would hold two more instances
            with self._lock:
                self._free.append((replica, backwards))

    def score(self, programmed: Programmed) -> float:
        """The headline score of this instance."""
        return self.headline(self.outputs(programmed))

    def _replica(self) -> tuple[nn.Module, bool]:
        """A copy that shares all tensors, and whether it starts from the end: two meet in the middle, so that the
        first pair does not compute twice what is common."""
        self._made += 1
        return share_common(replica_of(self.module), self.chip), self._made % 2 == 0


def replica_of(module: nn.Module) -> nn.Module:
    """A copy of the converted `module` with products of its own; weights, formats and what follows from them shared."""
    shared: list[object] = [*module.parameters(), *module.buffers()]
    for layer in chip_layers(module).values():
        shared += [layer.weight, layer.bias, layer.chip, layer.form, layer.plan, layer.product, layer._kept]
    return copy.deepcopy(module, {id(each): each for each in shared if each is not None})


def share_common(module: nn.Module, chip: Chip) -> nn.Module:
    """`module`, in place: parts without a crossbar, and codes of the first layer on one, are taken from `Common`."""
    parts = {part: path for path, part in _alike(module, chip, "")}  # a child of two parents is one module
    for part, path in parts.items():
        part.forward = _kept_forward(path, part.forward)
    for path, layer in chip_layers(module).items():
        if isinstance(chip.units[layer.plan.unit], Crossbar):
            layer.integers = _kept_codes(path, layer.integers)  # type: ignore[method-assign]
    return module


def _alike(module: nn.Module, chip: Chip, path: str) -> Iterator[tuple[str, nn.Module]]:
    """The largest parts of `module` without a layer on a crossbar."""
    inside = (part for part in module.modules() if isinstance(part, ChipLinear))
    if not any(isinstance(chip.units[layer.plan.unit], Crossbar) for layer in inside):
        yield path, module
        return
    for name, child in module.named_children():
        yield from _alike(child, chip, f"{path}.{name}")


def _kept_forward(path: str, forward: Callable[..., Any]) -> Callable[..., Any]:
    def first_time_only(*args: Any, **kwargs: Any) -> Any:
        common, now = _common.get(), current_pass.get()
        if common is None or now is None or not now.alike:
            return forward(*args, **kwargs)
        key = (now.first, now.items, path, now.call(f"{path} in common"))
        known = common.get(key)
        if known is not None:
            return known.clone()  # whoever reads it may write to it
        made = forward(*args, **kwargs)
        if isinstance(made, Tensor) and not _lies_in(made, args):
            common.keep(key, made.clone())
        return made

    return first_time_only


def _kept_codes(path: str, integers: Callable[[Tensor], np.ndarray]) -> Callable[[Tensor], np.ndarray]:
    def first_time_only(x: Tensor) -> np.ndarray:
        common, now = _common.get(), current_pass.get()
        if common is None or now is None or not now.alike:
            return integers(x)
        now.alike = False  # from here on each instance goes its own way
        key = (now.first, now.items, path, 0)
        known = common.get(key)
        if known is None:
            known = integers(x)
            common.keep(key, known)
        return known

    return first_time_only


def _lies_in(made: Tensor, args: tuple[Any, ...]) -> bool:
    """Whether `made` is a view of an argument: a copy of it would no longer follow what happens to that."""
    given = {arg.untyped_storage().data_ptr() for arg in args if isinstance(arg, Tensor)}
    return made.untyped_storage().data_ptr() in given
