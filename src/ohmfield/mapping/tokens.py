"""From the sizes of a transformer to workloads: a prompt or an image, one more token, a whole query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ohmfield.mapping.workload import Operator, Shapes, Stated, Workload
from ohmfield.networks.transformers import Clip, Transformer
from ohmfield.spec import InputError

FLOAT_BYTES = 4  # as `trace` counts what it leaves to the host


@dataclass(frozen=True)
class _Pass:
    """`tokens` new tokens in each of `steps` passes, the last of which looks back over `contexts.stop - 1` tokens."""

    model: Transformer
    tokens: int
    contexts: range  # tokens that attention may look at, pass by pass, the new ones among them
    index: int = 0

    @property
    def steps(self) -> int:
        return len(self.contexts)

    def id(self, path: str) -> str:
        return f"{path}#{self.index}"

    def operators(self) -> list[Operator]:
        """One pass after the other, each operator once with the work of all of them."""
        model, vectors = self.model, float(self.tokens * self.steps)
        found = [*self._start(vectors)]
        for layer in range(model.layers):
            at = f"layers.{layer}"
            found += [
                self._host(at, "add", 2 * vectors * model.hidden, passes=3),
                self._norm(f"{at}.norm1", vectors),
                *self._attention(f"{at}.attention", model.window(layer), vectors),
                self._norm(f"{at}.norm2", vectors),
                *self._perceptron(f"{at}.mlp", vectors),
            ]
        found.append(self._norm("norm", vectors))
        if model.outputs:  # of the last token, or of the class token
            found.append(self._linear("head", model.hidden, model.outputs, float(self.steps)))
        return found

    # ---- parts -------------------------------------------------------------------------------------------------------

    def _linear(self, path: str, inputs: int, outputs: int, vectors: float) -> Operator:
        return Operator(self.id(path), "linear", inputs=inputs, outputs=outputs, vectors=vectors)

    def _host(self, path: str, function: str, values: float, *, passes: float = 2.0, more: float = 0.0) -> Operator:
        """One operation on each of `values`, read and written in so many `passes`; `more` values are read beside."""
        moved = FLOAT_BYTES * (passes * values + more)
        return Operator(self.id(path), "host", function=function, flops=values, bytes=moved)

    def _norm(self, path: str, vectors: float) -> Operator:
        hidden, kind = self.model.hidden, self.model.norm
        scales = hidden * self.steps * (2 if kind == "layer" else 1)
        return self._host(path, f"{kind}_norm", vectors * hidden, more=scales)

    def _start(self, vectors: float) -> Iterator[Operator]:
        model = self.model
        if model.patch:
            size = model.channels * model.patch**2
            yield self._linear("patches", size, model.hidden, float((model.image // model.patch) ** 2))
        else:
            yield Operator(self.id("embed"), "table", outputs=model.hidden, rows=model.vocabulary, reads=vectors)
        if model.positions:
            yield self._host("positions", "add", vectors * model.hidden, passes=3)
        if model.input_norm:
            yield self._norm("norm0", vectors)

    def _attention(self, at: str, window: int, vectors: float) -> Iterator[Operator]:
        model = self.model
        dim, shared, group = model.head_dim, model.kv_heads, model.heads // model.kv_heads
        queries, keys = model.heads * dim, shared * dim
        seen = [min(window or context, context) for context in self.contexts]
        looks = float(self.tokens * sum(seen))  # pairs of a query and a key, of each head
        yield self._linear(f"{at}.q", model.hidden, queries, vectors)
        yield self._linear(f"{at}.k", model.hidden, keys, vectors)
        yield self._linear(f"{at}.v", model.hidden, keys, vectors)
        if model.rotary:
            turned = vectors * (queries + keys)
            yield self._host(f"{at}.rotary", "rotary", 3 * turned, passes=2 / 3, more=2 * vectors * dim)
        if model.generates:
            before = looks - vectors if self.tokens == 1 else 0.0
            moved = FLOAT_BYTES * 2 * keys * (before + vectors)
            sizes = {"outputs": 2 * keys, "rows": seen[-1], "reads": before, "writes": vectors, "bytes": moved}
            yield Operator(self.id(f"{at}.cache"), "cache", **sizes)
        # A product is as wide as the mean context; its vectors are as many as give the looks exactly.
        width = max(1, round(sum(seen) / self.steps))
        again = 0.0 if self.steps == 1 and width == self.tokens else vectors * keys
        product = Operator(
            self.id(f"{at}.scores"),
            "product",
            inputs=dim,
            outputs=width,
            vectors=group * looks / width,
            groups=shared,
            writes=again,
        )
        yield product
        yield self._host(f"{at}.softmax", "softmax", looks * model.heads, more=vectors * model.heads * model.sinks)
        yield replace(product, id=self.id(f"{at}.values"), inputs=width, outputs=dim)
        yield self._linear(f"{at}.o", queries, model.hidden, vectors)

    def _perceptron(self, at: str, vectors: float) -> Iterator[Operator]:
        """Every token through one perceptron, or through those of the experts it takes."""
        model = self.model
        taken = max(1, model.experts_per_token)
        inner = taken * vectors * model.mlp
        if model.experts:
            yield self._linear(f"{at}.router", model.hidden, model.experts, vectors)
            yield self._host(f"{at}.route", "topk, softmax", vectors * model.experts)
            at += ".experts"
        yield self._experts(f"{at}.up", model.hidden, model.mlp, vectors, vectors * model.hidden)
        if model.gated:
            yield self._experts(f"{at}.gate", model.hidden, model.mlp, vectors, vectors * model.hidden)
        yield Operator(self.id(f"{at}.act"), "activation", outputs=round(inner), function=model.activation)
        if model.gated:
            yield self._host(at, "mul", inner, passes=3)
        yield self._experts(f"{at}.down", model.mlp, model.hidden, vectors, inner)
        if model.experts:
            yield self._host(f"{at}.sum", "mul, add", 2 * taken * vectors * model.hidden, passes=1)

    def _experts(self, path: str, inputs: int, outputs: int, vectors: float, values: float) -> Operator:
        """One matrix, or one for each expert, of which each sees its share of the tokens."""
        model, one = self.model, self._linear(path, inputs, outputs, vectors)
        if not model.experts:
            return one
        share = model.experts_per_token / model.experts
        return replace(one, vectors=vectors * share, groups=model.experts, values=values)


def _routed(model: Transformer) -> tuple[Stated, ...]:
    """What is said of routing where nothing was run."""
    if not model.experts:
        return ()
    value = model.experts_per_token / model.experts
    return (Stated("share of the tokens that an expert sees", value, "routed evenly: no router was run"),)


def _whole(name: str, number: int) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= 2**24:
        raise InputError(f"{name} = {number!r} is not allowed; use a whole number from 1 to {2**24}")


def prefill(model: Transformer | Clip, tokens: int = 0) -> Workload:
    """One input of `tokens` tokens at once: a prompt, or an image, whose tokens its patches are.

    The work of one input; its last token alone meets the last matrix. Scores that a causal mask hides are computed
    like any; a window leaves out what no token looks at. 0 tokens: as many as the model fixes. Both towers of a `Clip`
    are one inference.

    >>> from ohmfield.networks.transformers import transformer
    >>> prefill(transformer("vit-b-16")).macs / 1e9
    17.5...
    """
    if isinstance(model, Clip):
        towers = {"image": prefill(model.image), "text": prefill(model.text, tokens)}
        parts = [replace(op, id=f"{name}.{op.id}") for name, load in towers.items() for op in load.shapes.operators]
        return Workload(Shapes(tuple(parts)), 1.0, "image and text")
    tokens = tokens or model.length
    if not tokens:
        raise InputError("tokens = 0: this model does not fix them; say how many the prompt has")
    _whole("tokens", tokens)
    if model.length and (tokens > model.length or (model.patch and tokens != model.length)):
        raise InputError(f"tokens = {tokens}: this model has {model.length} positions; use {model.length}")
    made = _Pass(model, tokens, range(tokens, tokens + 1)).operators()
    return Workload(Shapes(tuple(made)), 1.0, "prompt" if model.vocabulary else "image", stated=_routed(model))


def decode(model: Transformer, context: int) -> Workload:
    """One more token, the last of `context`: keys and values of the others are read from the cache, its own written.

    >>> from ohmfield.networks.transformers import transformer
    >>> round(decode(transformer("llama-3.2-1b"), 1).macs / 1e6)  # each weight once, and 16 layers of 2 x 2048
    1236
    """
    _generates(model)
    _whole("context", context)
    made = _Pass(model, 1, range(context, context + 1)).operators()
    return Workload(Shapes(tuple(made)), 1.0, "token", stated=_routed(model))


def query(model: Transformer, prompt: int, answer: int) -> Workload:
    """A prompt and the tokens of its answer, the first of which follows from the prompt itself.

    Operators of the answer are second calls of the same modules (`#1`), with the work of all its tokens. They come one
    after the other: the time of an answer is `answer - 1` times that of a `decode`, whatever overlaps inside one.
    """
    _generates(model)
    _whole("answer", answer)
    first = prefill(model, prompt)
    if answer == 1:
        return replace(first, inference="query")
    later = _Pass(model, 1, range(prompt + 1, prompt + answer), index=1).operators()
    return replace(first, shapes=Shapes((*first.shapes.operators, *later)), inference="query")


def _generates(model: Transformer) -> None:
    if not model.generates:
        raise InputError("this model does not say word after word; use prefill")
