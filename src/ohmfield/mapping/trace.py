"""From a model and one example batch to `Shapes`: what every module works per item, under declared ids."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ohmfield.fields.decoders import ACTIVATIONS
from ohmfield.fields.encodings.fourier import Coordinates, FourierEncoding, GaussianEncoding
from ohmfield.fields.encodings.hash_grid import HashGrid
from ohmfield.fields.field import Field
from ohmfield.fields.radiance import Harmonics
from ohmfield.mapping.calls import ROOT, Calls, home
from ohmfield.mapping.window import CONVOLUTIONS, Window, convolve
from ohmfield.mapping.workload import Operator, Shapes
from ohmfield.spec import InputError, told

if TYPE_CHECKING:
    from torch.export import ExportedProgram


@dataclass(frozen=True)
class Call:
    """One call of a module: its path and call index, the items of the batch, and what went in and came out."""

    path: str
    index: int
    items: int
    inputs: tuple[Any, ...]
    output: Any

    def id(self, child: str = "") -> str:
        """Operator id of this call, or of a part of it that has no call of its own."""
        parts = [self.path, child]
        return f"{'.'.join(filter(None, parts)) or ROOT}#{self.index}"

    @property
    def values(self) -> float:
        """Output values per item."""
        return self.output.numel() / self.items


Tracer = Callable[[Any, Call], list[Operator]]


def _linear(module: Any, call: Call) -> list[Operator]:
    outputs, inputs = module.weight.shape
    return [Operator(call.id(), "linear", inputs=inputs, outputs=outputs, vectors=call.values / outputs)]


def convolution(window: Window, weight: Tensor, call: Call) -> list[Operator]:
    """One matrix per group, a vector per window; every input value counts once."""
    given, first, second = call.inputs[0], *weight.shape[:2]
    channels, outputs = (first // window.groups, second) if window.spacing else (second, first // window.groups)
    positions = math.prod(call.output.shape[2:]) * len(call.output) / call.items
    return [
        Operator(
            call.id(),
            "linear",
            inputs=window.size * channels,
            outputs=outputs,
            vectors=positions,
            groups=window.groups,
            values=given.numel() / call.items,
            inserted=max(0.0, 1.0 - given[0, 0].numel() / call.output[0, 0].numel()) if window.spacing else 0.0,
        )
    ]


def _conv(module: Any, call: Call) -> list[Operator]:
    window, given = Window.of(module), call.inputs[0]
    if window.spacing and window.outputs(given.shape[2:], call.path) != tuple(call.output.shape[2:]):
        raise InputError("is called with an output_size; give the layer its output_padding instead", call.path)
    return convolution(window, module.weight, call)


def _embedding(module: Any, call: Call) -> list[Operator]:
    reads = call.values / module.embedding_dim
    if module.max_norm is not None:  # rows are rescaled in the table as they are read: floats
        return [Operator(call.id(), "host", function="embedding, renorm", flops=3 * call.values, bytes=8 * call.values)]
    return [Operator(call.id(), "table", outputs=module.embedding_dim, rows=module.num_embeddings, reads=reads)]


def _hash_grid(grid: HashGrid, call: Call) -> list[Operator]:
    """The same three operators whether its forward is fused, composed or converted: read off the grid itself."""
    levels = len(grid.levels.scales)
    features, rows, dim = grid.num_features // levels, int(grid.levels.offsets[-1]), grid.dim
    reads = float(levels * 2**dim)
    return [
        Operator(call.id("address"), "address", inputs=dim, vectors=levels, reads=reads, function="hash"),
        Operator(call.id("table"), "table", outputs=features, rows=rows, reads=reads),
        Operator(call.id("interpolate"), "interpolate", inputs=dim, outputs=features, vectors=levels, reads=reads),
    ]


def _fourier(module: FourierEncoding, call: Call) -> list[Operator]:
    dim = module.num_features // (2 * module.num_bands)
    return [Operator(call.id(), "encode", inputs=dim, outputs=module.num_features, function="fourier")]


def _gaussian(module: GaussianEncoding, call: Call) -> list[Operator]:
    dim = module.projection.shape[0]
    return [Operator(call.id(), "encode", inputs=dim, outputs=module.num_features, function="gaussian")]


def _harmonics(module: Harmonics, call: Call) -> list[Operator]:
    return [Operator(call.id(), "encode", inputs=3, outputs=module.num_features, function="harmonics")]


def _rescale(module: Field, call: Call) -> list[Operator]:
    """Coordinates to [-1, 1]: the offset and scale that the quantiser of the first layer's input applies anyway."""
    if not getattr(module.encoding, "signed", False):
        return []
    return [Operator(call.id("coordinates"), "encode", inputs=module.dim, outputs=module.dim, function="affine")]


def _activation(function: str) -> Tracer:
    def declare(module: Any, call: Call) -> list[Operator]:
        return [Operator(call.id(), "activation", outputs=round(call.values), function=function)]

    return declare


# How the work of a module is declared, by its exact type (a subclass may compute more): one function for the whole
# call, so nothing inside is looked at. Add your own modules here; what no function declares shows as `host`.
TRACERS: dict[type[nn.Module], Tracer] = {
    nn.Linear: _linear,
    **dict.fromkeys(CONVOLUTIONS, _conv),
    nn.Embedding: _embedding,
    HashGrid: _hash_grid,
    FourierEncoding: _fourier,
    GaussianEncoding: _gaussian,
    Coordinates: lambda module, call: [],
    Harmonics: _harmonics,
    nn.ReLU: _activation("relu"),
    nn.GELU: _activation("gelu"),
    nn.SiLU: _activation("silu"),
    nn.Sigmoid: _activation("sigmoid"),
    nn.Tanh: _activation("tanh"),
    nn.Softplus: _activation("softplus"),
    **{kind: _activation(name) for name, kind in ACTIVATIONS.items()},
}

# The same for what a module computes itself, outside its children; those are traced by themselves.
OWN_WORK: dict[type[nn.Module], Tracer] = {Field: _rescale}

# Operations that compute nothing: they only move bytes. Those that touch no data at all are left out.
_MOVES = frozenset({"cat", "stack", "clone", "copy_", "_to_copy", "index", "gather", "index_select", "fill_", "zero_"})
_DRESS = re.compile(r"^_*(native_|fused_)?|_+$")  # around the name of what is done: how or where it is done
_NOTHING = frozenset({"as_strided_", "empty", "empty_like", "empty_strided", "new_empty", "_local_scalar_dense"})


def trace(model: nn.Module | ExportedProgram, *example: Any, **named: Any) -> Shapes:
    """The operators of `model` in the order they run, with the work of one item.

    `example` and `named` are what the model is called with; the first axis of the first tensor counts the items. A
    model and an example on the meta device have no data, and none are needed. A program of `torch.export` brings its
    own example. Runs the model once, without gradients. Ids are module path + call index, the same for a fused
    forward, a composed one, an exported and a converted model. Arithmetic that no function in `TRACERS` or `OWN_WORK`
    declares becomes one `host` row per calling module, with its operations, flops and bytes; work that does not grow
    with the items is shared out among them.
    """
    if not isinstance(model, nn.Module):
        from ohmfield.mapping.exported import trace_exported  # it builds on this module

        return trace_exported(model)
    first = next(iter(_tensors((example, named))), None)
    if first is None or first.ndim < 1 or len(first) == 0:
        shape = None if first is None else tuple(first.shape)
        raise InputError(f"example of shape {shape} has no items; give at least one coordinate")
    recorder = Recorder(len(first))
    try:
        recorder.watch(model, "")
        with without_data(first), torch.no_grad(), recorder, Declare(model, recorder):
            model(*example, **named)
    finally:
        for handle in recorder.handles:
            handle.remove()
    return Shapes(tuple(recorder.operators()))


@contextmanager
def without_data(example: Tensor) -> Iterator[None]:
    """On the meta device, an `InputError` where a model looks at the data that are not there."""
    try:
        yield
    except RuntimeError as error:
        if not (example.is_meta and (isinstance(error, NotImplementedError) or "meta tensors" in str(error))):
            raise
        raise InputError(
            f"the model looks at its data, and an example on the meta device has none ({told(error)}); give it what it "
            "would find out (a mask, positions), or trace it with weights"
        ) from error


def speaks_for_itself(module: nn.Module) -> bool:
    """Whether a function declares all that this module does."""
    return type(module) in TRACERS


def plain(x: Tensor, weight: Tensor, bias: Tensor | None, window: Window | None) -> Tensor:
    """The product with weights in floats."""
    if window is None:
        return nn.functional.linear(x, weight, bias)
    return convolve(x, window.kernels(weight), bias, window, window.groups)


class Declare(Calls):
    """Products of functions as operators of the shapes."""

    def __init__(self, model: nn.Module, recorder: Recorder) -> None:
        super().__init__(model, speaks_for_itself)
        self.recorder = recorder

    def _declared(self, path: str, inputs: tuple[Tensor, ...], run: Callable[[], Tensor], tracer: Tracer) -> Tensor:
        name = self.number(path)
        self.recorder.rows[name] = []
        self.recorder.silent += 1
        output = run()
        self.recorder.silent -= 1
        path, _, index = name.rpartition("#")
        self.recorder.rows[name] = tracer(None, Call(path, int(index), self.recorder.items, inputs, output))
        return output

    def weighted(self, path: str, x: Tensor, weight: Tensor, bias: Tensor | None, window: Window | None) -> Tensor:
        def declare(_: Any, call: Call) -> list[Operator]:
            if window is not None:
                return convolution(window, weight, call)
            outputs, inputs = weight.shape
            return [Operator(call.id(), "linear", inputs=inputs, outputs=outputs, vectors=call.values / outputs)]

        return self._declared(path, (x,), lambda: plain(x, weight, bias, window), declare)

    def product(self, path: str, a: Tensor, b: Tensor) -> Tensor:
        return self._declared(path, (a, b), lambda: a @ b, _product)

    def relu(self, path: str, x: Tensor) -> Tensor:
        return self._declared(path, (x,), lambda: x.clamp_min(0), _activation("relu"))


def _product(_: Any, call: Call) -> list[Operator]:
    """As many groups as an item has second operands; every item writes its own."""
    a, b = call.inputs
    matrices = call.output.numel() // (call.output.shape[-2] * call.output.shape[-1])
    groups = max(1, matrices // call.items)
    vectors = matrices * a.shape[-2] / (groups * call.items)
    return [Operator(call.id(), "product", inputs=a.shape[-1], outputs=b.shape[-1], vectors=vectors, groups=groups)]


@dataclass
class HostWork:
    """Undeclared arithmetic of one call of a module."""

    functions: dict[str, None] = field(default_factory=dict)
    flops: float = 0.0
    bytes: float = 0.0


class Recorder(TorchDispatchMode):
    """Listens to module calls and, between them, to every operation."""

    def __init__(self, items: int) -> None:
        super().__init__()
        self.items = items
        self.handles: list[Any] = []
        self.calls: Counter[str] = Counter()
        self.open: list[str] = [f"{ROOT}#0"]  # ids of the calls in progress, innermost last
        self.silent = 0  # how many declared modules (whose inside is their own) are being run
        self.rows: dict[str, list[Operator] | HostWork] = {}

    def watch(self, module: nn.Module, path: str, seen: set[nn.Module] | None = None) -> None:
        """Hooks on `module` and below; not inside declared modules, whose fused forward may depend on having none."""
        seen = set() if seen is None else seen
        if module in seen:
            return
        seen.add(module)
        whole = TRACERS.get(type(module))
        tracer = whole or OWN_WORK.get(type(module))

        def enter(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            self.open.append(f"{path or ROOT}#{self.calls[path]}")
            self.calls[path] += 1
            self.silent += whole is not None
            self.rows.setdefault(self.open[-1], [] if tracer else HostWork())

        def leave(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            name = self.open.pop()
            self.silent -= whole is not None
            if tracer:
                index = int(name.rpartition("#")[2])
                self.rows[name] = tracer(module, Call(path, index, self.items, inputs, output))

        self.handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
        if whole is None:
            for name, child in module.named_children():
                self.watch(child, f"{path}.{name}" if path else name, seen)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if not self.silent:
            self.add(func, args, kwargs or {}, output)
        return output

    def add(self, func: Any, args: Any, kwargs: Any, output: Any) -> None:
        """Count one operation for the module whose forward runs it."""
        work = self.rows.setdefault(self.open[-1], HostWork())
        name = func.overloadpacket.__name__
        given, made = _tensors((args, kwargs)), _tensors(output)
        if "native_" in name:  # statistics beside the result serve a backward pass that does not come
            made = made[:1]
        if not isinstance(work, HostWork) or name in _NOTHING or not made:
            return
        homes = {home(tensor) for tensor in given}
        if not func._schema.is_mutable and all(home(tensor) in homes for tensor in made):
            return  # a view: no data moves
        work.functions[_DRESS.sub("", name)] = None
        work.bytes += sum(tensor.nbytes for tensor in given + made)
        if func.overloadpacket in flop_registry:
            work.flops += flop_registry[func.overloadpacket](*args, **kwargs, out_val=output)
        elif name not in _MOVES:
            work.flops += max(tensor.numel() for tensor in given + made)

    def operators(self) -> list[Operator]:
        """Declared and host operators, each at the place of its first work."""
        found: list[Operator] = []
        for name, row in self.rows.items():
            if isinstance(row, list):
                found += row
            elif row.functions:
                per_item = 1.0 / self.items
                used = ", ".join(row.functions)
                found.append(
                    Operator(name, "host", function=used, flops=row.flops * per_item, bytes=row.bytes * per_item)
                )
        return found


def _tensors(tree: Any) -> list[Tensor]:
    """Every tensor in nested tuples, lists and dicts."""
    if isinstance(tree, Tensor):
        return [tree]
    branches = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (tuple, list)) else ()
    return [tensor for branch in branches for tensor in _tensors(branch)]
