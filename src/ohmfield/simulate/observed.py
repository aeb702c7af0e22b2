"""What the function calls of a float model are given and make, on calibration data."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ohmfield.compress.quantise import Observed
from ohmfield.mapping.calls import Calls
from ohmfield.mapping.trace import plain, speaks_for_itself
from ohmfield.mapping.window import Window
from ohmfield.spec import InputError

View = tuple[tuple[int, ...], tuple[int, ...], int]
"""Size, strides and offset of a tensor in the memory of a parameter."""
ALIKE = "one matrix on the chip serves all calls of a name; give each kind of call a parameter of its own"


@dataclass(frozen=True, eq=False)
class Part:
    """A tensor that a function was called with: a parameter of the model, or part of one; else its values."""

    name: str | None
    values: Tensor
    view: View | None

    @classmethod
    def of(cls, tensor: Tensor, calls: Calls) -> Part:
        found = calls.named.get(tensor.untyped_storage().data_ptr())
        if found is None:
            return cls(None, tensor.detach().clone(), None)
        name, whole = found
        same = tensor.shape == whole.shape and tensor.stride() == whole.stride()
        view = None if same else (tuple(tensor.shape), tuple(tensor.stride()), int(tensor.storage_offset()))
        return cls(name, tensor.detach(), view)

    def same(self, other: Part | None) -> bool:
        """Whether `other` is that tensor too."""
        if other is None or (self.name, self.view) != (other.name, other.view):
            return False
        return self.name is not None or torch.equal(self.values, other.values)

    def inside(self, model: nn.Module) -> Tensor:
        """The tensor of `model` that it lies in."""
        if self.name is None:
            return nn.Parameter(self.values, requires_grad=False)
        path, _, name = self.name.rpartition(".")
        return getattr(model.get_submodule(path), name)


@dataclass(eq=False)
class Site:
    """Calls that one matrix of weights, one product or one activation serves: who makes them, and with what."""

    callers: dict[str, None] = field(default_factory=dict)  # paths of the modules that call
    weight: Part | None = None
    bias: Part | None = None
    window: Window | None = None


class Observer(Calls):
    """Keeps what goes in and comes out of every call, and where it comes from; weights by path, others by id."""

    def __init__(self, model: nn.Module, seen: Observed, second: Observed, sites: dict[str, Site]) -> None:
        super().__init__(model, speaks_for_itself)
        self.seen, self.second, self.sites = seen, second, sites

    def _site(self, name: str) -> Site:
        site = self.sites.setdefault(name, Site())
        site.callers[self.paths[self.caller]] = None
        return site

    def weighted(self, path: str, x: Tensor, weight: Tensor, bias: Tensor | None, window: Window | None) -> Tensor:
        known, site = path in self.sites, self._site(path)
        part, beside = Part.of(weight, self), None if bias is None else Part.of(bias, self)
        if known:
            added = beside is site.bias if beside is None else beside.same(site.bias)
            if site.window != window or not part.same(site.weight) or not added:
                raise InputError("is called with different biases, windows or parts of it: " + ALIKE, path)
        site.weight, site.window, site.bias = part, window, beside
        made = plain(x, weight, bias, window)
        self.seen.add(path, x, made)
        return made

    def product(self, path: str, a: Tensor, b: Tensor) -> Tensor:
        name = self.number(path)
        self._site(name)
        made = a @ b
        self.seen.add(name, a, made)
        self.second.add(name, b, b)
        return made

    def relu(self, path: str, x: Tensor) -> Tensor:
        name = self.number(path)
        self._site(name)
        made = x.clamp_min(0)
        self.seen.add(name, x, made)
        return made
