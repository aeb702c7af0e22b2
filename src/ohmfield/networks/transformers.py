"""Transformers as records of sizes: nothing is downloaded and no weight is allocated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field as Limits

from ohmfield.spec import InputError, build, spec

PRESETS = Path(__file__).parent / "presets"
Activation = Literal["relu", "gelu", "silu", "quick_gelu"]
Biased = Literal["qkv", "out", "mlp", "router", "patch", "outputs"]
Positive = Annotated[int, Limits(ge=1, le=2**24)]
Number = Annotated[int, Limits(ge=0, le=2**24)]


@spec
class Transformer:
    """One stack of layers, each attention and a multilayer perceptron (or experts of which a token takes a few)."""

    source: str = ""
    """where the sizes are published"""
    layers: Positive
    hidden: Positive
    """values of one token between layers"""
    heads: Positive
    kv_heads: Positive
    """heads of keys and values; groups of `heads` share one"""
    head_dim: Positive
    mlp: Positive
    """width between the matrices of the perceptron, or of one expert"""
    gated: bool = False
    """two matrices in front of the activation: one is activated and multiplies the other"""
    activation: Activation = "gelu"
    norm: Literal["rms", "layer"] = "layer"
    biases: tuple[Biased, ...] = ()
    experts: Number = 0
    """0: one perceptron that every token passes"""
    experts_per_token: Number = 0
    windows: tuple[Number, ...] = ()
    """how many tokens the attention of a layer looks back, layer by layer and again from the first; 0: all of them"""
    sinks: bool = False
    """a learnt logit for each head, which takes its share of the softmax"""
    causal: bool = True
    rotary: bool = False
    positions: Number = 0
    """learnt positions that are added to tokens; 0: none"""
    vocabulary: Number = 0
    """0: tokens are patches of an image"""
    image: Number = 0
    """pixels on a side"""
    patch: Number = 0
    channels: Positive = 3
    input_norm: bool = False
    """a norm in front of the first layer as well"""
    outputs: Number = 0
    """words, classes or a projection behind the last norm; 0: none"""
    tied: bool = False
    """the matrix of the outputs is the table of the words"""

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} must be a multiple of kv_heads {self.kv_heads}")
        if not (self.experts_per_token <= self.experts and bool(self.experts) == bool(self.experts_per_token)):
            raise ValueError(
                f"experts_per_token {self.experts_per_token} of {self.experts} experts; use 1 to all of them"
            )
        if bool(self.vocabulary) == bool(self.patch) or (self.patch and (not self.image or self.image % self.patch)):
            raise ValueError(
                f"vocabulary {self.vocabulary}, image {self.image}, patch {self.patch}: give a vocabulary, or an image "
                "that is a multiple of its patch"
            )
        if self.tied and self.outputs != self.vocabulary:
            raise ValueError(f"tied with {self.outputs} outputs and {self.vocabulary} words; they must be as many")

    @property
    def generates(self) -> bool:
        """Whether it says word after word, each from those before it."""
        return self.causal and 0 < self.outputs == self.vocabulary

    @property
    def length(self) -> int:
        """Tokens of one input, where the model fixes them: patches and a class token, or its learnt positions."""
        return (self.image // self.patch) ** 2 + 1 if self.patch else self.positions

    def window(self, layer: int) -> int:
        """How many tokens the attention of that layer looks back; 0: all of them."""
        return self.windows[layer % len(self.windows)] if self.windows else 0

    def biased(self, name: Biased, values: int) -> int:
        """`values` biases, if that layer has them."""
        return values if name in self.biases else 0

    @property
    def parameters(self) -> int:
        """All trained numbers.

        >>> transformer("llama-3.2-1b").parameters
        1235814400
        """
        return self._parameters(max(1, self.experts)) + self.vocabulary * self.hidden * (not self.tied)

    @property
    def active_parameters(self) -> int:
        """Those that one token meets: the experts it takes; a table of words is looked up, not multiplied."""
        return self._parameters(max(1, self.experts_per_token))

    def _parameters(self, experts: int) -> int:
        """All but the table of the words (a tied one is counted as the outputs), with that many experts."""
        norm = self.hidden * (2 if self.norm == "layer" else 1)
        queries, keys, into = self.heads * self.head_dim, self.kv_heads * self.head_dim, self.mlp * (1 + self.gated)
        attention = self.hidden * (2 * queries + 2 * keys) + self.heads * self.sinks
        attention += self.biased("qkv", queries + 2 * keys) + self.biased("out", self.hidden)
        perceptron = self.hidden * (into + self.mlp) + self.biased("mlp", into + self.hidden)
        router = self.hidden * self.experts + self.biased("router", self.experts)
        each = attention + experts * perceptron + router + 2 * norm
        patches = self.channels * self.patch**2 * self.hidden + self.hidden * bool(self.patch)  # with a class token
        ends = self.positions * self.hidden + patches + self.biased("patch", self.hidden) + norm * (1 + self.input_norm)
        return self.layers * each + ends + self.hidden * self.outputs + self.biased("outputs", self.outputs)


@spec
class Clip:
    """Two towers whose projections are compared."""

    source: str = ""
    image: Transformer
    text: Transformer

    @property
    def parameters(self) -> int:
        """All trained numbers: both towers and one scale."""
        return self.image.parameters + self.text.parameters + 1


def list_transformers() -> tuple[str, ...]:
    """Names of the transformers that come with the package."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.json")))


def transformer(name: str, **changes: Any) -> Transformer:
    """The preset of that name, with `changes`; a tower of `clip-vit-b-32` by `clip-vit-b-32/image` or `/text`.

    >>> transformer("gpt-oss-120b").experts
    128
    """
    file, _, tower = name.partition("/")
    made = _load(file) if file in list_transformers() else None
    if isinstance(made, Clip) and tower in ("image", "text"):
        made = made.image if tower == "image" else made.text
    if not isinstance(made, Transformer):
        raise InputError(f"transformer {name!r} is not known; known: {', '.join(_names())}; or read a config.json")
    return build(Transformer, {**vars_of(made), **changes}, where=name) if changes else made


def clip(name: str = "clip-vit-b-32") -> Clip:
    """Both towers of a preset."""
    made = _load(name) if name in list_transformers() else None
    if not isinstance(made, Clip):
        raise InputError(f"{name!r} is no pair of towers that is known; use clip-vit-b-32")
    return made


def vars_of(record: Transformer) -> dict[str, Any]:
    """The fields of a record by name."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}  # type: ignore[attr-defined]


def _load(name: str) -> Transformer | Clip:
    fields = json.loads((PRESETS / f"{name}.json").read_text(encoding="utf-8"))
    made = build(Clip if "text" in fields else Transformer, fields, where=name)
    if isinstance(made, Clip):
        image, text = (replace(tower, source=made.source) for tower in (made.image, made.text))
        return replace(made, image=image, text=text)
    return made


def _names() -> list[str]:
    pairs = {name for name in list_transformers() if isinstance(_load(name), Clip)}
    return [n for name in list_transformers() for n in ([f"{name}/image", f"{name}/text"] if name in pairs else [name])]
