"""Workloads from sizes alone, held against traces of modules of these sizes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest
import torch

from ohmfield.mapping.tokens import decode, prefill, query
from ohmfield.mapping.trace import trace
from ohmfield.mapping.workload import Operator, Shapes
from ohmfield.networks.configs import from_config, library_config
from ohmfield.networks.transformers import Transformer, clip, transformer
from ohmfield.spec import InputError
from plain_transformer import PlainTransformer

SMALL = Transformer(
    layers=2, hidden=12, heads=4, kv_heads=2, head_dim=3, mlp=20, gated=True, activation="silu", norm="rms",
    vocabulary=50, outputs=50,
)  # fmt: skip
IMAGE = replace(
    SMALL, vocabulary=0, image=8, patch=4, positions=5, causal=False, outputs=7, norm="layer", activation="gelu",
    gated=False, kv_heads=4, biases=("qkv", "out", "mlp", "patch", "outputs"),
)  # fmt: skip
EXPERTS = replace(SMALL, experts=5, experts_per_token=2)


def work(shapes: Shapes) -> dict[str, tuple[object, ...]]:
    """What the units of a chip see of each operator, by id."""

    def of(op: Operator) -> tuple[object, ...]:
        sizes = (op.kind, op.inputs, op.outputs, op.groups, op.rows, op.function)
        return (*sizes, *(round(x, 6) for x in (op.vectors, op.macs, op.input_values, op.reads)))

    return {op.id: of(op) for op in shapes.operators if op.kind not in ("host", "cache")}


def test_a_prompt_is_what_a_module_of_its_sizes_does_operator_by_operator() -> None:
    with torch.device("meta"):
        module, tokens = PlainTransformer(SMALL).eval(), torch.zeros(1, 9, dtype=torch.long)
    wanted = work(trace(module, tokens))
    assert len(wanted) == 2 + 2 * 10
    assert work(prefill(SMALL, 9).shapes) == wanted


def test_an_image_is_what_a_module_of_its_sizes_does_operator_by_operator() -> None:
    with torch.device("meta"):
        module, image = PlainTransformer(IMAGE).eval(), torch.empty(1, 3, 8, 8)
    assert work(prefill(IMAGE).shapes) == work(trace(module, image))


def test_one_more_token_is_what_a_module_with_a_cache_does_operator_by_operator() -> None:
    with torch.device("meta"):
        module, token = PlainTransformer(SMALL).eval(), torch.zeros(1, 1, dtype=torch.long)
        past = [torch.empty(1, 2, SMALL.kv_heads, 16, SMALL.head_dim) for _ in range(SMALL.layers)]
    load = decode(SMALL, 17)
    assert work(load.shapes) == work(trace(module, token, *past))
    cache = load.shapes["layers.1.attention.cache#0"]
    assert (cache.rows, cache.reads, cache.writes, cache.outputs) == (17, 16, 1, past[0][0, :, :, 0].numel())
    assert load.shapes["layers.1.attention.scores#0"].writes == SMALL.kv_heads * SMALL.head_dim


def test_experts_together_do_what_a_router_gives_them() -> None:
    torch.manual_seed(0)
    module = PlainTransformer(EXPERTS).eval()
    measured: dict[str, float] = defaultdict(float)
    for operator in trace(module, torch.randint(0, 50, (2, 9))).operators:
        path = ".".join(part for part in operator.path.split(".") if part != "experts")
        measured[".".join(part for i, part in enumerate(path.split(".")) if i < 2 or not part.isdigit())] += (
            operator.macs
        )
    load = prefill(EXPERTS, 9)
    for operator in load.shapes.operators:
        path = operator.path.replace(".experts", "")
        assert operator.macs == pytest.approx(measured[path]), operator.id
    up = load.shapes["layers.0.mlp.experts.up#0"]
    assert (up.groups, up.vectors) == (5, 9 * 2 / 5)
    assert up.input_values == 9 * 12  # each token comes once, however many experts it goes to
    assert load.shapes["layers.0.mlp.experts.down#0"].input_values == 9 * 2 * 20
    assert [str(rate) for rate in load.stated] == [
        "share of the tokens that an expert sees = 0.4 (routed evenly: no router was run)"
    ]


@pytest.mark.parametrize("sizes", [SMALL, replace(SMALL, windows=(4, 0)), EXPERTS], ids=["whole", "windows", "experts"])
def test_a_query_is_its_prompt_and_each_token_of_its_answer(sizes: Transformer) -> None:
    whole, parts = query(sizes, 7, 5), [prefill(sizes, 7), *(decode(sizes, context) for context in range(8, 12))]
    for name in ("macs", "flops", "reads", "writes", "bytes"):
        kinds = {"linear", "table", "host", "activation", "cache"}  # a product may write all there is, said as 0
        given = [op for op in whole.shapes.operators if name == "macs" or op.kind in kinds]
        wanted = [op for part in parts for op in part.shapes.operators if name == "macs" or op.kind in kinds]
        total = sum(getattr(op, name) for op in wanted)
        assert total > 0
        assert sum(getattr(op, name) for op in given) == pytest.approx(total), name
    assert whole.shapes.weights == parts[0].shapes.weights
    assert query(sizes, 7, 1).shapes == parts[0].shapes
    assert whole.inference == "query"


def test_a_window_bounds_what_is_looked_at_and_kept() -> None:
    sizes = replace(SMALL, windows=(4, 0))
    near, far = (decode(sizes, 100).shapes[f"layers.{layer}.attention.cache#0"] for layer in (0, 1))
    assert (near.rows, near.reads, far.rows, far.reads) == (4, 3, 100, 99)
    near, far = (prefill(sizes, 100).shapes[f"layers.{layer}.attention.scores#0"] for layer in (0, 1))
    assert far.macs == 25 * near.macs
    assert near.writes == 100 * 2 * 3  # all keys are made


def test_weights_of_presets_are_their_matrices_and_tables() -> None:
    for name in ("llama-3-8b", "gpt-oss-120b"):
        sizes = transformer(name)
        few = sizes.parameters - prefill(sizes, 8).shapes.weights  # norms and biases
        assert 0 < few < 1e-3 * sizes.parameters
    assert prefill(clip()).shapes.weights == pytest.approx(clip().parameters, rel=2e-3)


def test_a_token_multiplies_each_active_weight_once() -> None:
    sizes = transformer("gpt-oss-120b")
    linear = sum(op.macs for op in decode(sizes, 1).shapes.operators if op.kind == "linear")
    assert linear == pytest.approx(sizes.active_parameters, rel=1e-3)


def test_vit_has_the_macs_that_follow_from_its_sizes() -> None:
    tokens, hidden = 14 * 14 + 1, 768
    each = tokens * (4 * hidden**2 + 2 * hidden * 4 * hidden) + 2 * tokens**2 * hidden
    assert prefill(transformer("vit-b-16")).macs == 12 * each + 14 * 14 * hidden * 16 * 16 * 3 + hidden * 1000


@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral", "vit"])
def test_the_macs_are_those_of_the_modules_of_transformers(kind: str) -> None:
    library = pytest.importorskip("transformers", reason="transformers is not installed")
    config = library_config(kind, num_hidden_layers=2)
    config._attn_implementation = "sdpa"
    with torch.device("meta"):
        if kind == "vit":
            module = library.AutoModelForImageClassification.from_config(config).eval()
            shapes = trace(module, torch.empty(1, 3, 224, 224))
        else:
            module = library.AutoModelForCausalLM.from_config(config).eval()
            mask = torch.zeros(1, 1, 12, 12)
            shapes = trace(module, torch.zeros(1, 12, dtype=torch.long), mask, use_cache=False, logits_to_keep=1)
    sizes = from_config(config)
    assert prefill(sizes, 0 if kind == "vit" else 12).macs == shapes.macs


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: prefill(SMALL), "say how many the prompt has"),
        (lambda: prefill(SMALL, -3), "tokens = -3 is not allowed"),
        (lambda: prefill(SMALL, True), "tokens = True is not allowed"),
        (lambda: prefill(IMAGE, 4), "this model has 5 positions"),
        (lambda: prefill(replace(SMALL, positions=8), 9), "this model has 8 positions"),
        (lambda: decode(SMALL, 0), "context = 0 is not allowed"),
        (lambda: decode(IMAGE, 5), "does not say word after word"),
        (lambda: query(SMALL, 5, 0), "answer = 0 is not allowed"),
    ],
)
def test_what_cannot_run_is_refused_in_one_line(call: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        call()  # type: ignore[operator]
    assert message in str(caught.value)


def test_a_module_that_looks_at_its_data_is_refused_without_them() -> None:
    with torch.device("meta"):
        module = PlainTransformer(EXPERTS)
    with pytest.raises(InputError, match="looks at its data"):
        trace(module, torch.zeros(1, 4, dtype=torch.long, device="meta"))
