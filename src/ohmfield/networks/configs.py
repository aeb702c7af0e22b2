"""A `Transformer` from the `config.json` that a model of the Hugging Face hub carries, or from its config object."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ohmfield.networks.transformers import Clip, Transformer
from ohmfield.spec import InputError, build

Config = Mapping[str, Any]


def from_config(config: Any) -> Transformer | Clip:
    """The sizes in a `config.json` (its path, or the mapping it holds), or in a config object of `transformers`.

    Knows what `ARCHITECTURES` lists; `InputError` for others, and where a size is missing. Nothing is downloaded.
    """
    where = "config"
    if isinstance(config, (str, Path)):
        where = str(config)
        try:
            config = json.loads(Path(config).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{where}: no such file") from None
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{where}: cannot be read as JSON ({error})") from None
    elif hasattr(config, "to_dict"):
        where, config = type(config).__name__, config.to_dict()
    if not isinstance(config, Mapping):
        raise InputError(f"{where}: holds {type(config).__name__}, expected keys and values")
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise InputError(f"{where}: model_type {kind!r} is not known; known: {known}; or write a Transformer record")
    return ARCHITECTURES[kind](config, where)


def library_config(kind: str, **sizes: Any) -> Any:
    """The config object of an architecture (`llama`, `vit`, ...) with the sizes that the transformers library gives it.

    `sizes` replace some of them. `InputError` where the library is absent, or does not know `kind`.
    """
    try:
        library = importlib.import_module("transformers")
    except ImportError as error:
        raise InputError(
            f"the sizes of {kind!r} need the transformers library ({error}): pip install 'ohmfield[transformers]', or "
            "give from_config a config.json"
        ) from None
    try:
        return library.AutoConfig.for_model(kind, **sizes)
    except ValueError as error:
        raise InputError(f"transformers knows no {kind!r} with these sizes: {str(error).splitlines()[0]}") from None


def _get(config: Config, where: str, *names: str) -> Any:
    """The value under the first of `names` that is there."""
    for name in names:
        if config.get(name) is not None:
            return config[name]
    raise InputError(f"{where}: {names[0]} is missing; add it to the config")


def _stack(config: Config, where: str, **more: Any) -> dict[str, Any]:
    """What every architecture says of its layers."""
    hidden, heads = _get(config, where, "hidden_size"), _get(config, where, "num_attention_heads")
    if not all(isinstance(size, int) and size > 0 for size in (hidden, heads)):
        raise InputError(f"{where}: hidden_size {hidden!r}, num_attention_heads {heads!r}: use whole numbers from 1")
    return {
        "source": where,
        "layers": _get(config, where, "num_hidden_layers"),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": config.get("num_key_value_heads") or heads,
        "head_dim": config.get("head_dim") or hidden // heads,
        "mlp": _get(config, where, "intermediate_size"),
        "activation": {"swish": "silu"}.get(config.get("hidden_act"), config.get("hidden_act")),  # type: ignore[arg-type]
        **more,
    }


def _decoder(config: Config, where: str, **more: Any) -> Transformer:
    """A decoder of words with gated perceptrons, root-mean-square norms and rotary positions."""
    words = _get(config, where, "vocab_size")
    biases = [name for name, key in _BIASES.items() if config.get(key)]
    fields = _stack(config, where, gated=True, norm="rms", rotary=True, vocabulary=words, outputs=words)
    fields |= {"tied": bool(config.get("tie_word_embeddings")), "biases": biases} | more
    return build(Transformer, fields, where=where)


_BIASES = {"qkv": "attention_bias", "out": "attention_bias", "mlp": "mlp_bias"}


def _windows(config: Config, where: str) -> tuple[int, ...]:
    """The window of each layer, where the config lists the kinds of its layers."""
    kinds = config.get("layer_types") or ()
    if "sliding_attention" not in kinds:
        return ()
    size = _get(config, where, "sliding_window")
    return tuple(size if kind == "sliding_attention" else 0 for kind in kinds)


def _mistral(config: Config, where: str) -> Transformer:
    return _decoder(config, where, windows=tuple(filter(None, [config.get("sliding_window")])))


def _qwen2(config: Config, where: str) -> Transformer:
    windows = _windows(config, where)
    if config.get("use_sliding_window") and not config.get("layer_types"):  # written before layers had kinds
        full, size = config.get("max_window_layers", 28), _get(config, where, "sliding_window")
        windows = tuple(0 if layer < full else size for layer in range(_get(config, where, "num_hidden_layers")))
    return _decoder(config, where, biases=["qkv"], windows=windows)


def _gpt_oss(config: Config, where: str) -> Transformer:
    return _decoder(
        config,
        where,
        biases=["qkv", "out", "mlp", "router"] if config.get("attention_bias", True) else ["mlp", "router"],
        experts=_get(config, where, "num_local_experts"),
        experts_per_token=_get(config, where, "num_experts_per_tok", "experts_per_token"),
        windows=_windows(config, where),
        sinks=True,
    )


def _vit(config: Config, where: str) -> Transformer:
    classes = len(config.get("id2label") or ())
    biases = ["qkv"] if config.get("qkv_bias", True) else []
    fields = _stack(config, where, causal=False, outputs=classes, biases=[*biases, "out", "mlp", "patch", "outputs"])
    return _patches(config, where, fields)


def _patches(config: Config, where: str, fields: dict[str, Any]) -> Transformer:
    image, patch = _get(config, where, "image_size"), _get(config, where, "patch_size")
    fields |= {"image": image, "patch": patch, "channels": config.get("num_channels", 3), "positions": 1}
    made = build(Transformer, fields, where=where)
    return replace(made, positions=made.length)


def _clip(config: Config, where: str) -> Clip:
    vision, text = _get(config, where, "vision_config"), _get(config, where, "text_config")
    if not (isinstance(vision, Mapping) and isinstance(text, Mapping)):
        raise InputError(f"{where}: vision_config and text_config must hold keys and values")
    biases, size = ["qkv", "out", "mlp"], _get(config, where, "projection_dim")
    inside = f"{where}: vision_config"
    fields = _stack(vision, inside, causal=False, biases=biases, outputs=size, input_norm=True)
    image = _patches(vision, inside, fields)
    inside = f"{where}: text_config"
    fields = _stack(text, inside, biases=biases, outputs=size, vocabulary=_get(text, inside, "vocab_size"))
    fields["positions"] = _get(text, inside, "max_position_embeddings")
    return Clip(source=where, image=image, text=build(Transformer, fields, where=inside))


ARCHITECTURES: dict[str, Callable[[Config, str], Transformer | Clip]] = {
    "llama": lambda config, where: _decoder(config, where),
    "mistral": _mistral,
    "qwen2": _qwen2,
    "gpt_oss": _gpt_oss,
    "vit": _vit,
    "clip": _clip,
}
"""How the config of an architecture is read, by its `model_type`; add your own."""
