"""From a program of `torch.export` to `Shapes`: the same operators, under the same ids, as from its module."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.nn import functional as F
from torch.utils._pytree import tree_map

from ohmfield.mapping.calls import HANDLERS, RECURRENT, ROOT, Calls, home
from ohmfield.mapping.trace import TRACERS, Call, Declare, HostWork, Recorder, without_data
from ohmfield.mapping.window import CONVOLUTIONS
from ohmfield.mapping.workload import Shapes
from ohmfield.spec import InputError

aten = torch.ops.aten


def _convolution(calls: Calls, input: Tensor, weight: Tensor, bias: Tensor | None, *window: Any) -> Any:
    """What decomposed programs make of every convolution."""
    stride, padding, dilation, transposed, output_padding, groups = window
    axes = input.dim() - 2
    if transposed:
        function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[axes - 1]
        return HANDLERS[function](calls, input, weight, bias, stride, padding, output_padding, groups, dilation)
    function = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    return HANDLERS[function](calls, input, weight, bias, stride, padding, dilation, groups)


# Operations of a graph that are the functions `Calls` takes apart, by their name without the overload.
ATEN: dict[Any, Callable[..., Any]] = {
    aten.linear: HANDLERS[F.linear],
    **{getattr(aten, name): HANDLERS[getattr(F, name)] for name in ("conv1d", "conv2d", "conv3d")},
    **{getattr(aten, f"conv_transpose{n}d"): HANDLERS[getattr(F, f"conv_transpose{n}d")] for n in (1, 2, 3)},
    aten.convolution: _convolution,
    **dict.fromkeys((aten.matmul, aten.mm, aten.bmm), HANDLERS[torch.matmul]),
    aten.addmm: HANDLERS[torch.addmm],
    aten.einsum: lambda calls, equation, operands, **_: HANDLERS[torch.einsum](calls, equation, *operands),
    aten.scaled_dot_product_attention: HANDLERS[F.scaled_dot_product_attention],
    aten.relu: HANDLERS[torch.relu],
    aten.relu_: HANDLERS[torch.relu_],
    **{getattr(aten, cell): HANDLERS[getattr(torch._VF, cell)] for cell in RECURRENT},
}
WEIGHTED = (nn.Linear, *CONVOLUTIONS)  # whose one function with weights says all
_TYPES = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in TRACERS if kind.__module__.startswith("torch.")}


def trace_exported(program: ExportedProgram) -> Shapes:
    """The operators of an exported program, with the work of one item of its first input.

    Its graph runs once on the meta device. What `TRACERS` says of torch's own modules holds; other modules are taken
    as the functions they called.
    """
    signature = program.graph_signature
    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    given = {name: _meta(value) for name, value in values.items()}
    first = given.get(next(iter(signature.user_inputs), None))  # type: ignore[arg-type]
    if not isinstance(first, Tensor) or first.ndim < 1 or len(first) == 0:
        raise InputError(
            "the program's first input holds no items; export it with a tensor whose first axis counts them"
        )
    root, known = nn.Module(), dict[int, Tensor]()
    for node in program.graph.nodes:
        for path, _ in node.meta.get("nn_module_stack", {}).values():
            _below(root, path)
    held = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    for name, target in held.items():
        stored = program.state_dict.get(target)
        if stored is not None and stored.numel():  # tied weights are one matrix
            given[name] = known.setdefault(home(stored), given[name])
        path, _, own = target.rpartition(".")
        _below(root, path).register_buffer(own, given[name])
    recorder = Recorder(len(first))
    walk = _Walk(program.graph_module, root, recorder)
    with without_data(first), torch.no_grad(), recorder:
        walk.run(*given.values())
    return Shapes(tuple(recorder.operators()))


def _meta(value: Any) -> Any:
    """A tensor like `value` without data; sizes that may vary are those it was exported with."""
    if not isinstance(value, Tensor):
        return value
    size, stride = (
        [int(n if isinstance(n, int) else n.node.hint) for n in part] for part in (value.shape, value.stride())
    )
    return torch.empty_strided(size, stride, dtype=value.dtype, device="meta")


def _below(root: nn.Module, path: str) -> nn.Module:
    """The module at `path`, made where it is missing."""
    for name in filter(None, path.split(".")):
        if name not in root._modules:
            root.add_module(name, nn.Module())
        root = root.get_submodule(name)
    return root


class _Functions(Declare):
    """Functions of a graph as operators; `owner` is the module of a type in `TRACERS` that runs them, if any does."""

    owner = ""

    def own(self, name: str) -> str:
        return self.owner or super().own(name)

    def name_of(self, tensor: Tensor) -> str | None:
        return self.owner or super().name_of(tensor)


class _Walk(fx.Interpreter):
    """Runs a graph without data, in the modules that its nodes name."""

    def __init__(self, graph: fx.GraphModule, root: nn.Module, recorder: Recorder, first: _Walk | None = None) -> None:
        super().__init__(graph)
        self.root, self.recorder = root, recorder
        self.functions = first.functions if first else _Functions(root, recorder)
        self.seen: dict[str, list[str]] = first.seen if first else {}
        self.kind: type[nn.Module] | None = None

    def run_node(self, n: fx.Node) -> Any:
        stack = list(n.meta.get("nn_module_stack", {}).items())
        self.functions.open = [self.root, *(self.root.get_submodule(path) for _, (path, _) in stack)]
        self.functions.owner = ""
        self.kind, self.recorder.open = None, [f"{ROOT}#0"]
        for call, (path, kind) in stack:
            calls = self.seen.setdefault(path, [])
            if call not in calls:
                calls.append(call)
            self.recorder.open.append(f"{path or ROOT}#{calls.index(call)}")
            self.kind = _TYPES.get(kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}")
            self.recorder.rows.setdefault(self.recorder.open[-1], [] if self.kind else HostWork())
            if self.kind:
                self.functions.owner = path
                break
        return super().run_node(n)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        inner = [i for i, value in enumerate(args) if isinstance(value, fx.GraphModule)]
        if len(inner) == 1:  # a part of the graph under another setting: no gradients, no autocast
            return _Walk(args[inner[0]], self.root, self.recorder, self).run(*args[inner[0] + 1 :])
        if inner:
            raise InputError(f"the program chooses by data ({target}); export the branch that is to be billed")
        args, kwargs = tree_map(lambda v: torch.device("meta") if isinstance(v, torch.device) else v, (args, kwargs))
        handle = ATEN.get(getattr(target, "overloadpacket", None))
        if self.kind is None or self.kind in WEIGHTED or handle is not None:
            return self.functions.call(target, handle, args, kwargs)
        return self._declared(self.kind, target, args, kwargs)

    def _declared(self, kind: type[nn.Module], target: Any, args: Any, kwargs: Any) -> Any:
        """One operation of a module that is declared by what comes out of it, and by its table if it has one."""
        self.recorder.silent += 1
        output = target(*args, **kwargs)
        self.recorder.silent -= 1
        name = self.recorder.open[-1]
        path, _, index = name.rpartition("#")
        module = None
        if kind is nn.Embedding:
            rows, features = args[0].shape
            module = SimpleNamespace(num_embeddings=rows, embedding_dim=features, max_norm=None)
        self.recorder.rows[name] = TRACERS[kind](module, Call(path, int(index), self.recorder.items, args, output))
        return output
