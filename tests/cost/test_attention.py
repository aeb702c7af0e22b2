"""Attention on a spatial array: counts of a real run, the artifact's figures, and what bounds it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ohmfield.chip.spatial import FUSEMAX
from ohmfield.cost.attention import Attention, attention_cost, one_pass, softmax_on_the_row
from ohmfield.spec import InputError

# Artifact of arXiv 2406.10491, batch 64: length, seconds and utilisation of the plane, seconds of FLAT.
BERT = [
    (2**10, "0.00201314", 0.890, "0.0133861"),
    (2**12, "0.0297004", 0.965, "0.214177"),
    (2**14, "0.465166", 0.986, "3.42684"),
    (2**16, "7.40250", 0.991, "54.8294"),
    (2**18, "118.279", 0.992, None),
    (2**20, "1891.83", 0.993, None),
]


def bert(length: int) -> Attention:
    return Attention(batch=64, heads=12, queries=length, keys=length, width=64)


def printed(value: float, like: str) -> str:
    """`value` to as many digits as were printed."""
    digits = len(like.replace(".", "").lstrip("0"))
    return f"{value:#.{digits}g}"


@pytest.mark.parametrize(("length", "seconds", "utilisation", "flat"), BERT)
def test_every_printed_digit_of_the_artifact(length, seconds, utilisation, flat):
    cost = attention_cost(FUSEMAX, bert(length))
    assert printed(cost.latency_s, seconds) == seconds
    assert round(cost.plane_utilisation, 3) == utilisation
    if flat is not None:
        assert printed(attention_cost(FUSEMAX, bert(length), softmax_on_the_row(bert(length))).latency_s, flat) == flat


def test_another_width_of_head():
    xlm = Attention(batch=64, heads=16, queries=1024, keys=1024, width=128)
    assert printed(attention_cost(FUSEMAX, xlm).latency_s, "0.00519408") == "0.00519408"


def test_energy_of_the_artifact():
    """1.95 J, 96 % of it operations; registers, buffer and DRAM are our count of the rest."""
    cost = attention_cost(FUSEMAX, bert(1024))
    assert cost.total_J == pytest.approx(1.95, rel=0.05)
    assert cost.energy_J["operations"] == pytest.approx(0.96 * 1.95, rel=0.005)
    assert cost.energy_J["operations"] / cost.total_J == pytest.approx(0.96, abs=0.005)


def test_a_longer_sequence_needs_no_larger_buffer_and_a_slow_memory_bounds():
    """What is held is a set of queries, whatever the length; keys then pass again."""
    short, long = (attention_cost(FUSEMAX, bert(length)) for length in (2**14, 2**20))
    assert long.memory_s / short.memory_s < 2**12  # no worse than scores times as many
    assert long.compute_s > 50 * long.memory_s
    slow = attention_cost(replace(FUSEMAX, bandwidth_GBps=1.0), bert(1024))
    # Q, K, V and the result, 16 bits each
    assert slow.latency_s == pytest.approx(4 * 64 * 12 * 1024 * 64 * 2 / 1e9)
    assert slow.latency_s > slow.compute_s


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match=r"attention.keys: 1000 keys are not whole blocks of 256: pad them"):
        attention_cost(FUSEMAX, replace(bert(1024), keys=1000))
    with pytest.raises(InputError, match=r"attention.heads: 0 is not allowed"):
        Attention(batch=1, heads=0, queries=1, keys=1, width=1)
    with pytest.raises(InputError, match="do not hold one query"):
        attention_cost(replace(FUSEMAX, buffer_MiB=1e-6), bert(1024))


# ---- the same steps on values ----------------------------------------------------------------------------------------


def stream(query: Tensor, key: Tensor, value: Tensor, block: int) -> tuple[Tensor, Counter[str]]:
    """Attention of `[batch, heads, length, width]` in one pass over keys, and the points each step visited."""
    count: Counter[str] = Counter()
    largest = torch.full(query.shape[:-1], -math.inf, dtype=query.dtype)
    denominator = torch.zeros_like(largest)
    numerator = torch.zeros(*query.shape[:-1], value.shape[-1], dtype=query.dtype)
    for start in range(0, key.shape[-2], block):
        keys, values = key[..., start : start + block, :], value[..., start : start + block, :]
        products = query[..., :, None, :] * keys[..., None, :, :]
        scores = products.sum(-1)
        count["scores"] += products.numel()
        local = scores.amax(-1)
        count["local maximum"] += scores.numel()
        grown = torch.maximum(largest, local)
        count["running maximum"] += grown.numel()
        raised = (scores - grown[..., None]).exp()
        count["exponential"] += raised.numel()
        part = raised.sum(-1)
        count["local denominator"] += raised.numel()
        correction = (largest - grown).exp()
        count["correction"] += correction.numel()
        kept = denominator * correction
        count["rescale denominator"] += kept.numel()
        denominator = kept + part
        count["add denominator"] += kept.numel()
        terms = raised[..., None] * values[..., None, :, :]
        count["numerator"] += terms.numel()
        scaled = numerator * correction[..., None]
        count["rescale numerator"] += scaled.numel()
        numerator = scaled + terms.sum(-2)
        count["add numerator"] += scaled.numel()
        largest = grown
    count["divide"] += numerator.numel()
    return numerator / denominator[..., None], count


def test_one_pass_is_softmax_attention_and_visits_the_points_that_are_counted():
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(2, 3, length, 16, generator=generator, dtype=torch.float64) * scale
        for length, scale in ((24, 4), (40, 4), (40, 1))
    )
    made, count = stream(query, key, value, block=8)
    want = (query @ key.transpose(-1, -2)).softmax(-1) @ value
    assert (made - want).abs().max() < 1e-13 * want.abs().max()
    steps = one_pass(Attention(batch=2, heads=3, queries=24, keys=40, width=16), block=8)
    assert count == {step.name: step.points for step in steps}
