"""Batch norms folded into the layer before them: in float the same function, with nothing left to compute."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from ohmfield.mapping.window import CONVOLUTIONS, TRANSPOSED

NORMS: tuple[type[nn.Module], ...] = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
BEFORE: tuple[type[nn.Module], ...] = (nn.Linear, *CONVOLUTIONS)


def fold_batch_norms(model: nn.Module, example: Tensor) -> tuple[nn.Module, list[str]]:
    """A copy of `model` in `eval` mode without the batch norms that could be folded, and a note of what was done.

    A norm is folded if it reads what one linear or convolutional layer writes, nobody else reads that, and both run
    once in a forward over `example`. Its place takes an `nn.Identity`, so paths stay. Others stay as they are.
    """
    made = copy.deepcopy(model).eval()
    norms = {path: module for path, module in made.named_modules() if type(module) in NORMS}
    if not norms:
        return made, []
    pairs = _pairs(made, example)
    kept = []
    for path, norm in norms.items():
        layer = pairs.get(norm)
        if layer is None or not _folded(layer, norm):
            kept.append(path)
        else:
            made.set_submodule(path, nn.Identity())
    notes = []
    if len(kept) < len(norms):
        notes.append(f"{len(norms) - len(kept)} batch norms are folded into the weights before them")
    if kept:
        notes.append(f"batch norms that do not directly follow a layer of weights stay: {', '.join(kept)}")
    return made, notes


def _folded(layer: Any, norm: Any) -> bool:
    """Whether the norm now stands in the weights and bias of `layer`."""
    mean, variance = norm.running_mean, norm.running_var
    outputs = layer.weight.shape[1] * layer.groups if type(layer) in TRANSPOSED else len(layer.weight)
    if mean is None or variance is None or len(mean) != outputs:
        return False
    with torch.no_grad():
        gain = torch.rsqrt(variance.double() + norm.eps) * (1.0 if norm.weight is None else norm.weight.double())
        bias = 0.0 if layer.bias is None else layer.bias.double()
        moved = (bias - mean.double()) * gain + (0.0 if norm.bias is None else norm.bias.double())
        weight, ones = layer.weight.double(), [1] * (layer.weight.dim() - 2)
        if type(layer) in TRANSPOSED:  # [groups x inputs, outputs, *kernel]
            each = gain.reshape(layer.groups, 1, -1, *ones)
            scaled = (weight.unflatten(0, (layer.groups, -1)) * each).flatten(0, 1)
        else:
            scaled = weight * gain.reshape(-1, *[1] * (weight.dim() - 1))
        layer.weight = nn.Parameter(scaled.to(layer.weight.dtype))
        layer.bias = nn.Parameter(moved.to(layer.weight.dtype))
    return True


def _pairs(model: nn.Module, example: Tensor) -> dict[nn.Module, nn.Module]:
    """The layer that each norm can be folded into, by norm."""
    watch = _Watch()
    weights = Counter(id(m.weight) for m in model.modules() if type(m) in BEFORE)
    handles = []
    for module in model.modules():
        if type(module) in BEFORE:
            handles.append(module.register_forward_hook(watch.wrote))
        elif type(module) in NORMS:
            handles.append(module.register_forward_pre_hook(watch.enters))
            handles.append(module.register_forward_hook(watch.leaves))
    try:
        with torch.no_grad(), watch:
            model(example)
    finally:
        for handle in handles:
            handle.remove()
    return {
        norm: layer
        for norm, (layer, output) in watch.reads.items()
        if watch.calls[norm] == watch.calls[layer] == 1
        and not watch.uses[id(output)]
        and weights[id(layer.weight)] == 1
        and (type(layer) is not nn.Linear or output.dim() == 2)
    }


@dataclass(eq=False)
class _Watch(TorchFunctionMode):
    """Listens to who reads the outputs of layers of weights."""

    written: dict[int, tuple[nn.Module, Tensor]] = field(default_factory=dict)  # kept alive: ids stay theirs
    reads: dict[nn.Module, tuple[Any, Tensor]] = field(default_factory=dict)
    calls: Counter[nn.Module] = field(default_factory=Counter)
    uses: Counter[int] = field(default_factory=Counter)
    inside: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def wrote(self, layer: nn.Module, inputs: Any, output: Tensor) -> None:
        self.calls[layer] += 1
        self.written[id(output)] = (layer, output)

    def enters(self, norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.calls[norm] += 1
        self.inside += 1
        if inputs and id(inputs[0]) in self.written:
            self.reads[norm] = self.written[id(inputs[0])]

    def leaves(self, norm: nn.Module, inputs: Any, output: Tensor) -> None:
        self.inside -= 1

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not self.inside and out is not None and not isinstance(out, (int, bool, float, torch.Size, torch.dtype)):
            for value in tree_leaves((args, kwargs)):
                if isinstance(value, Tensor) and id(value) in self.written:
                    self.uses[id(value)] += 1
        return out
