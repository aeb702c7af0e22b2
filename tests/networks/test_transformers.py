"""Transformers as records: published numbers of parameters, and what a config of the hub says."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ohmfield.networks.configs import ARCHITECTURES, from_config, library_config
from ohmfield.networks.transformers import Clip, Transformer, clip, list_transformers, transformer
from ohmfield.spec import InputError, build
from plain_transformer import PlainTransformer

# As their model cards and papers state them.
PUBLISHED = {
    "llama-3.2-1b": 1.236e9,
    "llama-3-8b": 8.03e9,
    "gpt-oss-120b": 116.8e9,
    "vit-b-16": 86.6e6,
    "clip-vit-b-32": 151e6,
}


def test_every_preset_has_a_published_size_here() -> None:
    assert set(PUBLISHED) == set(list_transformers())


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_has_the_parameters_that_were_published(name: str) -> None:
    made = clip(name) if name.startswith("clip") else transformer(name)
    assert made.parameters == pytest.approx(PUBLISHED[name], rel=0.01)
    assert made.source


def test_a_token_of_gpt_oss_meets_the_parameters_that_were_published() -> None:
    made = transformer("gpt-oss-120b")
    assert made.active_parameters == pytest.approx(5.1e9, rel=0.01)
    assert [made.window(layer) for layer in range(4)] == [128, 0, 128, 0]


SMALL = Transformer(
    layers=2,
    hidden=12,
    heads=4,
    kv_heads=2,
    head_dim=3,
    mlp=20,
    activation="silu",
    norm="rms",
    vocabulary=50,
    outputs=50,
)
VARIANTS = {
    "plain": SMALL,
    "gated": replace(SMALL, gated=True, tied=True),
    "biased": replace(SMALL, biases=("qkv", "out", "mlp", "outputs"), norm="layer", positions=9),
    "experts": replace(SMALL, experts=5, experts_per_token=2, gated=True, biases=("mlp", "router")),
    "image": replace(
        SMALL, vocabulary=0, image=8, patch=4, positions=5, causal=False, outputs=7, biases=("patch", "outputs")
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_are_those_of_a_module_of_these_sizes(name: str) -> None:
    with torch.device("meta"):
        module = PlainTransformer(VARIANTS[name])
    assert sum(parameter.numel() for parameter in module.parameters()) == VARIANTS[name].parameters


LLAMA = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32,
    "num_hidden_layers": 32, "num_key_value_heads": 8, "vocab_size": 128256, "hidden_act": "silu",
    "tie_word_embeddings": False, "attention_bias": False, "max_position_embeddings": 8192,
}  # fmt: skip
GPT_OSS = {
    "model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880, "num_attention_heads": 64,
    "num_hidden_layers": 36, "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 201088, "hidden_act": "silu",
    "attention_bias": True, "num_local_experts": 128, "num_experts_per_tok": 4, "sliding_window": 128,
    "layer_types": ["sliding_attention", "full_attention"] * 18,
}  # fmt: skip
VIT = {
    "model_type": "vit", "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12,
    "num_hidden_layers": 12, "image_size": 224, "patch_size": 16, "num_channels": 3, "qkv_bias": True,
    "hidden_act": "gelu", "id2label": {str(label): "" for label in range(1000)},
}  # fmt: skip
CLIP = {
    "model_type": "clip", "projection_dim": 512,
    "vision_config": {
        "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12,
        "image_size": 224, "patch_size": 32, "hidden_act": "quick_gelu",
    },
    "text_config": {
        "hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8, "num_hidden_layers": 12,
        "vocab_size": 49408, "max_position_embeddings": 77, "hidden_act": "quick_gelu",
    },
}  # fmt: skip
CONFIGS = {"llama-3-8b": LLAMA, "gpt-oss-120b": GPT_OSS, "vit-b-16": VIT}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_of_the_hub_gives_the_preset(name: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIGS[name]))
    made, wanted = from_config(path), transformer(name)
    assert isinstance(made, Transformer)
    assert made.source == str(path)
    windows = tuple(wanted.window(layer) for layer in range(wanted.layers)) if wanted.windows else ()
    biases = set(wanted.biases)
    assert set(made.biases) == biases
    assert replace(made, source="", biases=()) == replace(wanted, source="", biases=(), windows=windows)


def test_a_config_of_clip_gives_both_towers() -> None:
    made = from_config(CLIP)
    assert isinstance(made, Clip)
    assert made.parameters == clip().parameters
    assert made.text.length == 77


def test_older_decoders_and_windows_are_read() -> None:
    mistral = from_config({**LLAMA, "model_type": "mistral", "sliding_window": 4096})
    assert isinstance(mistral, Transformer)
    assert mistral.windows == (4096,)
    qwen = from_config(
        {**LLAMA, "model_type": "qwen2", "use_sliding_window": True, "sliding_window": 64, "max_window_layers": 30}
    )
    assert isinstance(qwen, Transformer)
    assert qwen.windows == (0,) * 30 + (64, 64)
    assert qwen.biases == ("qkv",)


def test_a_config_object_is_read_by_what_it_says_of_itself() -> None:
    class Config:
        def to_dict(self) -> dict[str, object]:
            return LLAMA

    made = from_config(Config())
    assert isinstance(made, Transformer)
    assert made.parameters == transformer("llama-3-8b").parameters


def test_without_the_library_a_kind_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        InputError, match=r"'llama' need the transformers library .*ohmfield\[transformers\]'.*config.json"
    ):
        library_config("llama")


def test_a_kind_that_the_library_does_not_know_is_said() -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    with pytest.raises(InputError, match="transformers knows no 'no-such-kind'"):
        library_config("no-such-kind")


@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral", "gpt_oss", "vit", "clip"])
def test_parameters_are_those_that_transformers_allocates(kind: str) -> None:
    library = pytest.importorskip("transformers", reason="transformers is not installed")
    config = library_config(kind)
    with torch.device("meta"):
        models = {"vit": library.AutoModelForImageClassification, "clip": library.AutoModel}
        module = models.get(kind, library.AutoModelForCausalLM).from_config(config)
    made = from_config(config)
    assert made.parameters == sum(parameter.numel() for parameter in module.parameters())
    assert kind in ARCHITECTURES


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: transformer("gpt-2"), "transformer 'gpt-2' is not known; known: clip-vit-b-32/image"),
        (lambda: transformer("llama-3-8b", kv_heads=5), "heads 32 must be a multiple of kv_heads 5"),
        (lambda: transformer("llama-3-8b", wide=5), "wide: is not a known key"),
        (lambda: clip("vit-b-16"), "no pair of towers"),
        (lambda: build(Transformer, {**vars(SMALL), "experts": 4}), "experts_per_token 0 of 4 experts"),
        (lambda: build(Transformer, {**vars(SMALL), "patch": 4, "image": 9}), "patch 4: give a vocabulary, or an"),
        (lambda: build(Transformer, {**vars(SMALL), "tied": True, "outputs": 3}), "3 outputs and 50 words"),
        (lambda: build(Transformer, {**vars(SMALL), "layers": 0}), "layers: 0 is not allowed"),
        (lambda: from_config({"model_type": "rwkv"}), "model_type 'rwkv' is not known; known: llama, mistral"),
        (lambda: from_config({**LLAMA, "hidden_size": None}), "hidden_size is missing"),
        (lambda: from_config({**LLAMA, "hidden_size": "wide"}), "hidden_size 'wide'"),
        (lambda: from_config({**LLAMA, "hidden_act": "tanh"}), "activation: 'tanh' is not allowed"),
        (lambda: from_config({**LLAMA, "num_key_value_heads": 7}), "kv_heads 7"),
        (lambda: from_config({**CLIP, "text_config": 3}), "must hold keys and values"),
        (lambda: from_config("nowhere/config.json"), "nowhere/config.json: no such file"),
        (lambda: from_config(7), "holds int"),
    ],
)
def test_what_is_no_transformer_is_refused_in_one_line(call: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        call()  # type: ignore[operator]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        from_config(path)
