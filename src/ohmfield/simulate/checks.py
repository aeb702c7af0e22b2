"""What a model and its inputs must be before a chip is asked, and a run afterwards: refused by name, or cast."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.weight_norm import WeightNorm

from ohmfield.chip.chip import Chip
from ohmfield.mapping.fold import NORMS
from ohmfield.mapping.workload import Placement, Shapes
from ohmfield.signals.examples import Examples
from ohmfield.signals.points import Points
from ohmfield.spec import InputError
from ohmfield.tally import Tally


def check_kind(model: object) -> None:
    """Raises `InputError` naming the first module that cannot be looked into or copied."""
    if not isinstance(model, nn.Module):
        raise InputError(f"is a {type(model).__name__}; give a torch module", "model")
    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise InputError("is compiled by torch.jit; give the module it was made from", path or "model")
        normed = any(isinstance(hook, WeightNorm) for hook in module._forward_pre_hooks.values())
        if normed:
            raise InputError(
                "has the old weight_norm; use torch.nn.utils.parametrizations.weight_norm, or call "
                "torch.nn.utils.remove_weight_norm on it first",
                path or "model",
            )


def as_float32(model: nn.Module, data: Any, calibrate: Tensor | None) -> tuple[Any, Tensor | None, list[str]]:
    """Inputs and targets as float32, and a note if that or the `model`, cast in place, was anything else."""
    parts = {Points: ("coords", "values"), Examples: ("inputs",)}.get(type(data), ())
    given = [getattr(data, name) for name in parts] or [*(data if isinstance(data, tuple) else (data,)), calibrate]
    held = [tensor for tensor in (*model.parameters(), *given) if isinstance(tensor, Tensor)]
    kinds = {tensor.dtype for tensor in held if tensor.is_floating_point()} - {torch.float32}
    if not kinds:
        return data, calibrate, []
    model.float()
    if isinstance(data, (Points, Examples)):
        data = replace(data, **{name: _float32(getattr(data, name)) for name in parts})
    else:
        data = tuple(_float32(each) for each in data) if isinstance(data, tuple) else _float32(data)
    names = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
    return data, _float32(calibrate), [f"numbers given as {names} are computed as float32, the float model's too"]


def _float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


def check_weights(model: nn.Module) -> None:
    """Raises `InputError` naming the first parameter, or statistic of a batch norm, that holds NaN or infinity."""
    norms = {f"{path}." if path else "": module for path, module in model.named_modules() if type(module) in NORMS}
    statistics = [(path + name, value) for path, norm in norms.items() for name, value in norm.named_buffers()]
    for name, held in (*model.named_parameters(), *statistics):
        if held.is_floating_point() and not bool(torch.isfinite(held).all()):
            raise InputError("holds NaN or infinity; train or load the model again", name)


def check_tally(shapes: Shapes, placement: Placement, chip: Chip, tally: Tally) -> None:
    """Raises `InputError` where a layer ran that the trace, over other inputs, had not seen, or the other way round."""
    unseen = sorted(set(tally.counts) - {operator.id for operator in shapes.operators})
    served = [o.id for o in shapes.operators if o.kind in ("linear", "product")]
    idle = [name for name in served if placement.sites[name].unit in chip.units and name not in tally.counts]
    for names, what in ((unseen, "ran on the scored inputs but not in the trace"), (idle, "ran in the trace only")):
        if names:
            raise InputError(
                f"{what}: which layers run depends on the data, which a bill cannot "
                "state; deploy the branches as models of their own",
                names[0],
            )
