"""Products that a forward computes by calling functions: found, named and handed on, without editing the model.

A product of activations with something that follows from parameters alone is a layer of weights and takes the name of
its parameter; a product of two activations takes the name of the module that calls it. What a function is made of
(attention, recurrent cells) is taken apart into such products; the rest of it runs as it is.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from ohmfield.mapping.recurrent import CELLS as RECURRENT
from ohmfield.mapping.recurrent import recurrent
from ohmfield.mapping.window import Window

ROOT = "(model)"
KEPT = "chip_calls"  # child of a module in which a converted model keeps what serves the module's calls
listening: ContextVar[bool] = ContextVar("listening", default=False)
F = nn.functional


def home(tensor: Tensor) -> int:
    """What all views of one tensor share: the address of its data, on the meta device of its storage without data."""
    storage = tensor.untyped_storage()
    return storage._cdata if tensor.device.type == "meta" else storage.data_ptr()


class Calls(TorchFunctionMode):
    """While open around one forward of `model`, products called in it go to `weighted`, `product` and `relu`.

    Modules whose type is one of `whole` speak for themselves: nothing inside them is looked at.
    """

    def __init__(self, model: nn.Module, whole: Callable[[nn.Module], bool]) -> None:
        super().__init__()
        self.paths = {module: path or ROOT for path, module in model.named_modules()}
        self.open: list[nn.Module] = [model]  # modules in progress, innermost last
        self.silent = int(whole(model))
        self.count: Counter[str] = Counter()
        self.handles: list[Any] = []
        self.computed: dict[int, Tensor] = {}  # follow from parameters alone; kept alive, so ids stay theirs
        self.named: dict[int, tuple[str, Tensor]] = {}
        self.views: dict[str, list[Any]] = {}  # by name, in the order they are first called with
        for name, tensor in (*_every(model.named_parameters), *_every(model.named_buffers)):
            if tensor.numel() and KEPT not in name.split("."):
                self.named.setdefault(home(tensor), (name, tensor))
        seen: set[nn.Module] = {model}
        for child in () if self.silent else model.children():
            self._watch(child, whole, seen)

    # ---- what becomes of them ----------------------------------------------------------------------------------------

    @abstractmethod
    def weighted(self, path: str, x: Tensor, weight: Tensor, bias: Tensor | None, window: Window | None) -> Tensor:
        """`linear(x, weight, bias)`, or the convolution of `window`; the call of that number of the weights `path`."""

    @abstractmethod
    def product(self, path: str, a: Tensor, b: Tensor) -> Tensor:
        """`a @ b`, [*, M, K] by [*, K, N], both activations."""

    @abstractmethod
    def relu(self, path: str, x: Tensor) -> Tensor:
        """`max(x, 0)`."""

    # ---- names -------------------------------------------------------------------------------------------------------

    @property
    def caller(self) -> nn.Module:
        """The module whose forward is calling."""
        return self.open[-1]

    def number(self, path: str) -> str:
        """Declared id of the next call named `path`."""
        self.count[path] += 1
        return f"{path}#{self.count[path] - 1}"

    def own(self, name: str) -> str:
        """The name of a call of the module in progress."""
        return f"{self.paths[self.caller]}.{name}"

    def name_of(self, tensor: Tensor) -> str | None:
        """The name of a tensor that follows from parameters and buffers alone; None of an activation.

        Different views of a parameter are different matrices: those of like size and offset are numbered.
        """
        found = self.named.get(home(tensor)) if tensor.numel() else None
        if found is not None:
            name, whole = found
            name = name if tensor.numel() == whole.numel() else f"{name}@{tensor.storage_offset()}"
            seen, view = self.views.setdefault(name, []), (tensor.shape, tensor.stride(), tensor.storage_offset())
            if view not in seen:
                seen.append(view)
            return f"{name}.view_{seen.index(view)}" if seen.index(view) else name
        if id(tensor) not in self.computed:
            return None
        key = self.own("weights")
        self.count[f"{key}/{id(self.caller)}"] += 1
        return f"{key}_{self.count[f'{key}/{id(self.caller)}'] - 1}"

    def constant(self, tensor: Any) -> bool:
        """Whether `tensor` follows from parameters and buffers alone."""
        known = tensor.numel() > 0 and home(tensor) in self.named
        return known or id(tensor) in self.computed

    # ---- the forward -------------------------------------------------------------------------------------------------

    def _watch(self, module: nn.Module, whole: Callable[[nn.Module], bool], seen: set[nn.Module]) -> None:
        if module in seen:
            return
        seen.add(module)
        speaks = whole(module)

        def enter(module: nn.Module, _: Any) -> None:
            self.open.append(module)
            self.silent += speaks

        def leave(*_: Any) -> None:
            self.open.pop()
            self.silent -= speaks

        self.handles += [
            module.register_forward_pre_hook(enter),
            module.register_forward_hook(leave, always_call=True),
        ]
        for child in () if speaks else module.children():
            self._watch(child, whole, seen)

    def __enter__(self) -> Calls:
        self.before = listening.set(True)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        listening.reset(self.before)
        super().__exit__(*error)
        for handle in self.handles:
            handle.remove()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.silent:
            return func(*args, **(kwargs or {}))
        return self.call(func, HANDLERS.get(func), args, kwargs or {})

    def call(self, func: Any, handle: Callable[..., Any] | None, args: Any, kwargs: Any) -> Any:
        """What `func` returns, taken apart by `handle` if there is one and it can."""
        out = NotImplemented if handle is None else handle(self, *args, **kwargs)
        if out is not NotImplemented:
            return out
        out = func(*args, **kwargs)
        if isinstance(out, (Tensor, tuple, list)):
            given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
            if given and all(self.constant(value) for value in given):
                self.computed.update({id(made): made for made in tree_leaves(out) if isinstance(made, Tensor)})
        return out

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """A product with weights [outputs, inputs] that have a name."""
        return self.layer(x, weight, bias, None)

    def layer(self, x: Tensor, weight: Tensor, bias: Tensor | None, window: Window | None) -> Tensor:
        """The same of a convolution as well; a bias that is an activation is added behind it."""
        name = self.name_of(weight)
        assert name is not None
        if bias is None or self.constant(bias):
            return self.weighted(name, x, weight, bias, window)
        made = self.weighted(name, x, weight, None, window)
        return made + (bias if window is None else bias.reshape(-1, *[1] * len(window.kernel)))


def _every(named: Callable[..., Any]) -> Any:
    return named(remove_duplicate=False)


# ---- functions, one by one: what they return, or NotImplemented where they are to run as they are --------------------


def _linear(calls: Calls, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    if weight.dim() != 2 or calls.constant(input):
        return NotImplemented
    if not calls.constant(weight):
        made = calls.product(calls.own("linear"), input, weight.mT) if input.dim() > 1 else NotImplemented
        return made if bias is None or made is NotImplemented else made + bias
    return calls.linear(input, weight, bias)


def _conv(axes: int) -> Callable[..., Any]:
    def convolve(
        calls: Calls,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        if calls.constant(input) or not calls.constant(weight) or input.dim() != axes + 2:
            return NotImplemented
        window = Window.made(tuple(weight.shape[2:]), stride, padding, dilation, groups)
        return calls.layer(input, weight, bias, window)

    return convolve


def _conv_transposed(axes: int) -> Callable[..., Any]:
    def convolve(
        calls: Calls,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Any:
        if calls.constant(input) or not calls.constant(weight) or input.dim() != axes + 2:
            return NotImplemented
        window = Window.transposed(tuple(weight.shape[2:]), stride, padding, output_padding, groups, dilation)
        return calls.layer(input, weight, bias, window)

    return convolve


def _matmul(calls: Calls, input: Tensor, other: Tensor, *, name: str = "matmul") -> Any:
    fixed, also = calls.constant(input), calls.constant(other)
    if fixed and also:
        return NotImplemented
    if also and other.dim() == 2:
        return calls.linear(input, other.mT, None)
    if also and other.dim() == 1:
        return calls.linear(input, other[None], None).squeeze(-1)
    if fixed and input.dim() == 2 and other.dim() >= 2:
        return calls.linear(other.mT, input, None).mT
    if fixed or also or input.dim() < 2 or other.dim() < 2:
        return NotImplemented
    return calls.product(calls.own(name), input, other)


def _addmm(calls: Calls, input: Tensor, mat1: Tensor, mat2: Tensor, **scales: Any) -> Any:
    made = _matmul(calls, mat1, mat2) if not scales else NotImplemented
    return NotImplemented if made is NotImplemented else made + input


def _einsum(calls: Calls, equation: Any, *operands: Any) -> Any:
    """Two operands, each index once in each: permuted into one batched product."""
    operands = tuple(operands[0]) if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    if not isinstance(equation, str) or len(operands) != 2 or "." in equation:
        return NotImplemented
    left, _, result = equation.replace(" ", "").partition("->")
    first, _, second = left.partition(",")
    if "->" not in equation:
        result = "".join(sorted(i for i in set(first + second) if (first + second).count(i) == 1))
    once = all(len(set(part)) == len(part) for part in (first, second, result))
    if not once or set(first + second) != set(result) | (set(first) & set(second)):
        return NotImplemented
    a, b = operands
    if calls.constant(a) and not calls.constant(b):  # the weights second
        a, b, first, second = b, a, second, first
    batch = [i for i in first if i in second and i in result]
    inner = [i for i in first if i in second and i not in result]
    rows, columns = [i for i in first if i not in second], [i for i in second if i not in first]
    if not inner or not rows or not columns or (batch and calls.constant(b)):
        return NotImplemented
    size = dict(zip(first + second, (*a.shape, *b.shape), strict=True))

    def count(indices: Sequence[str]) -> int:
        return math.prod(size[i] for i in indices)

    left_side = a.permute([first.index(i) for i in (*batch, *rows, *inner)])
    right_side = b.permute([second.index(i) for i in (*batch, *inner, *columns)])
    left_side = left_side.reshape(*(size[i] for i in batch), *(size[i] for i in rows), count(inner))
    if not batch and calls.constant(b):
        made = calls.linear(left_side, right_side.reshape(count(inner), count(columns)).mT, None)
    else:
        left_side = left_side.reshape(*(size[i] for i in batch), count(rows), count(inner))
        right_side = right_side.reshape(*(size[i] for i in batch), count(inner), count(columns))
        made = _matmul(calls, left_side, right_side, name="einsum")
        if made is NotImplemented:
            return made
    order = [*batch, *rows, *columns]
    return made.reshape(*(size[i] for i in order)).permute([order.index(i) for i in result])


def _attention(
    calls: Calls,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Scores, softmax, values: the keys, then the values are what is written, anew for every item."""
    heads, queries = query.shape[-3:-1] if enable_gqa else (1, 0)
    if enable_gqa:  # what heads share is written once: their queries follow each other
        query = query.reshape(*query.shape[:-3], key.shape[-3], -1, query.shape[-1])
    scores = calls.product(calls.own("scores"), query, key.mT)
    if enable_gqa:
        scores = scores.reshape(*scores.shape[:-3], heads, queries, scores.shape[-1])
    scores = scores * (1.0 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    shares = torch.softmax(scores, -1)
    shares = F.dropout(shares, dropout_p) if dropout_p else shares
    if not enable_gqa:
        return calls.product(calls.own("values"), shares, value)
    shares = shares.reshape(*shares.shape[:-3], value.shape[-3], -1, shares.shape[-1])
    return calls.product(calls.own("values"), shares, value).reshape(*shares.shape[:-3], heads, queries, -1)


# Arguments of `multi_head_attention_forward` behind query, key and value.
_MULTI_HEAD = (
    "embed_dim_to_check", "num_heads", "in_proj_weight", "in_proj_bias", "bias_k", "bias_v", "add_zero_attn",
    "dropout_p", "out_proj_weight", "out_proj_bias", "training", "key_padding_mask", "need_weights", "attn_mask",
    "use_separate_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight", "static_k", "static_v",
    "average_attn_weights", "is_causal",
)  # fmt: skip


def _multi_head(calls: Calls, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Any:
    """`nn.MultiheadAttention` as its layers of weights and its products; sequences come first in what is given."""
    had: dict[str, Any] = {"training": True, "need_weights": True, "average_attn_weights": True}
    had |= dict(zip(_MULTI_HEAD, args, strict=False)) | kwargs
    odd = ("bias_k", "bias_v", "add_zero_attn", "static_k", "static_v")
    if query.dim() != 3 or any(had.get(name) is not None and had.get(name) is not False for name in odd):
        return NotImplemented
    heads, dim = had["num_heads"], query.shape[-1]
    given = [tensor.transpose(0, 1) for tensor in (query, key, value)]  # items first
    bias = had["in_proj_bias"]
    if had.get("use_separate_proj_weight"):
        weights = [had[f"{name}_proj_weight"] for name in "qkv"]
    elif query is key and key is value:
        weights = None
    else:
        weights = list(had["in_proj_weight"].chunk(3))
    if weights is None:
        parts = calls.linear(given[0], had["in_proj_weight"], bias).chunk(3, -1)
    else:
        biases = [None] * 3 if bias is None else list(bias.chunk(3))
        parts = [calls.linear(*one) for one in zip(given, weights, biases, strict=True)]
    q, k, v = (part.unflatten(-1, (heads, dim // heads)).transpose(1, 2) for part in parts)
    scores = calls.product(calls.own("scores"), q, k.mT) / math.sqrt(q.shape[-1])
    masks = [had.get("attn_mask"), had.get("key_padding_mask")]
    if masks[0] is not None and masks[0].dim() == 3:  # one for each item and head
        masks[0] = masks[0].unflatten(0, (-1, heads))
    if masks[1] is not None:
        masks[1] = masks[1][:, None, None, :]
    for mask in masks:
        if mask is not None:
            scores = scores.masked_fill(mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    shares = torch.softmax(scores, -1)
    shares = F.dropout(shares, had["dropout_p"]) if had["training"] and had["dropout_p"] else shares
    mixed = calls.product(calls.own("values"), shares, v).transpose(1, 2).flatten(2)
    out = calls.linear(mixed, had["out_proj_weight"], had["out_proj_bias"]).transpose(0, 1)
    if not had["need_weights"]:
        return out, None
    return out, shares.mean(1) if had["average_attn_weights"] else shares


def _relu(in_place: bool = False) -> Callable[..., Any]:
    def relu(calls: Calls, input: Tensor, inplace: bool = False) -> Any:
        made = calls.relu(calls.own("relu"), input)
        return input.copy_(made) if inplace or in_place else made

    return relu


HANDLERS: dict[Any, Callable[..., Any]] = {
    F.linear: _linear,
    F.conv1d: _conv(1),
    F.conv2d: _conv(2),
    F.conv3d: _conv(3),
    F.conv_transpose1d: _conv_transposed(1),
    F.conv_transpose2d: _conv_transposed(2),
    F.conv_transpose3d: _conv_transposed(3),
    **dict.fromkeys((torch.matmul, torch.mm, torch.bmm, Tensor.matmul, Tensor.mm, Tensor.bmm), _matmul),
    Tensor.__matmul__: _matmul,
    torch.addmm: _addmm,
    torch.einsum: _einsum,
    F.scaled_dot_product_attention: _attention,
    F.multi_head_attention_forward: _multi_head,
    **dict.fromkeys((F.relu, torch.relu, Tensor.relu), _relu()),
    **dict.fromkeys((torch.relu_, Tensor.relu_), _relu(in_place=True)),
    **{getattr(torch._VF, cell): recurrent(cell) for cell in RECURRENT},
}
"""Functions that are taken apart; whatever is not listed runs as it is."""
