"""Attention on a plane of multipliers and the row beside it: sums over indices, their counts, and what they take.

Every step of attention is one sum over some of batch, head, query, key and feature (an Einsum): so many points, a few
operations at each. Steps that wait for nothing of each other run at once, one on the plane and one on the row.
Source: Nayak et al., MICRO 2024, arXiv 2406.10491.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ohmfield.chip.spatial import SpatialArray
from ohmfield.spec import InputError

BITS_PER_BYTE, BYTES_PER_MIB = 8, 2**20
J_PER_PJ = 1e-12
EXP = {"mac": 6, "add": 1}  # an exponential as a polynomial of degree six, and what is taken off its argument


@dataclass(frozen=True)
class Attention:
    """`softmax(Q K^T) V` of every head of a batch; `width` features a head."""

    batch: int
    heads: int
    queries: int
    keys: int
    width: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise InputError(f"{value} is not allowed: use 1 or more", f"attention.{name}")

    @property
    def scores(self) -> int:
        """Pairs of query and key."""
        return self.batch * self.heads * self.queries * self.keys


@dataclass(frozen=True)
class Einsum:
    """One step: its points, the operations at each, and where it runs; steps of equal `stage` overlap."""

    name: str
    place: Literal["plane", "row"]
    stage: int
    points: int
    operations: Mapping[str, int]

    @property
    def work(self) -> int:
        """Operations in all."""
        return self.points * sum(self.operations.values())


def one_pass(attention: Attention, block: int) -> tuple[Einsum, ...]:
    """Keys seen once, `block` at a time: the largest score so far is kept, and sums are rescaled when it grows.

    `InputError` where blocks do not divide the keys.
    """
    if attention.keys % block:
        raise InputError(f"{attention.keys} keys are not whole blocks of {block}: pad them", "attention.keys")
    scores, width = attention.scores, attention.width
    blocks = scores // block
    rows = attention.batch * attention.heads * attention.queries
    return (
        Einsum("scores", "plane", 0, scores * width, {"mac": 1}),
        Einsum("local maximum", "plane", 0, scores, {"max": 1}),
        Einsum("add denominator", "row", 0, blocks, {"add": 1}),
        Einsum("add numerator", "row", 0, blocks * width, {"add": 1}),
        Einsum("divide", "row", 0, rows * width, {"divide": 1}),
        Einsum("running maximum", "row", 1, blocks, {"max": 1}),
        Einsum("exponential", "plane", 2, scores, EXP),
        Einsum("local denominator", "plane", 2, scores, {"add": 1}),
        Einsum("correction", "row", 2, blocks, EXP),
        Einsum("rescale denominator", "row", 2, blocks, {"mac": 1}),
        Einsum("numerator", "plane", 3, scores * width, {"mac": 1}),
        Einsum("rescale numerator", "row", 3, blocks * width, {"mac": 1}),
    )


def softmax_on_the_row(attention: Attention) -> tuple[Einsum, ...]:
    """The plane makes both products, the row the softmax between them: four operations for every score (FLAT)."""
    scores, width = attention.scores, attention.width
    return (
        Einsum("scores", "plane", 0, scores * width, {"mac": 1}),
        Einsum("numerator", "plane", 0, scores * width, {"mac": 1}),
        Einsum("softmax", "row", 0, scores, {"max": 1, "exp": 1, "add": 1, "divide": 1}),
    )


@dataclass(frozen=True)
class AttentionCost:
    """Time and energy of one attention on one array."""

    stage_cycles: tuple[float, ...]
    compute_s: float
    memory_s: float
    plane_utilisation: float
    energy_J: Mapping[str, float]

    @property
    def latency_s(self) -> float:
        """Stages one after the other, or the way to the memory outside where that takes longer."""
        return max(self.compute_s, self.memory_s)

    @property
    def total_J(self) -> float:
        """Energy of all parts."""
        return math.fsum(self.energy_J.values())


def attention_cost(array: SpatialArray, attention: Attention, steps: tuple[Einsum, ...] | None = None) -> AttentionCost:
    """What `attention` takes on `array`, in `steps` (`one_pass` over blocks of the plane's columns by default).

    In a stage the plane and the row work at once and wait for each other. The memory outside gives Q, K and V and
    takes the result: lower bounds for steps that spill scores.

    >>> from ohmfield.chip.spatial import FUSEMAX
    >>> bert = Attention(batch=64, heads=12, queries=1024, keys=1024, width=64)
    >>> print(f"{attention_cost(FUSEMAX, bert).latency_s:.6g}")
    0.00201314
    """
    steps = one_pass(attention, array.columns) if steps is None else steps
    processors = {"plane": array.rows * array.columns, "row": array.lanes}
    stages = []
    for stage in sorted({step.stage for step in steps}):
        busy = [
            sum(step.work for step in steps if step.stage == stage and step.place == place) / processors[place]
            for place in processors
        ]
        stages.append(max(busy))
    cycles = math.fsum(stages)
    plane = sum(step.work for step in steps if step.place == "plane")
    bits = _outside_bits(array, attention)
    compute_s, memory_s = cycles / array.clock_GHz / 1e9, bits / BITS_PER_BYTE / array.bandwidth_GBps / 1e9
    per_operation = {name: getattr(array, f"{name}_pJ") for name in ("mac", "add", "max", "divide", "exp")}
    operations = math.fsum(
        step.points * count * per_operation[name] for step in steps for name, count in step.operations.items()
    )
    # A tile of queries stays; keys and values of a block pass for each. What comes from outside is written once.
    tiles = math.ceil(attention.queries / array.rows)
    fed = (2 * tiles * attention.keys + attention.queries) * _row_bits(array, attention)
    energy_pJ = {
        "operations": operations,
        "registers": plane * array.register_pJ,
        "buffer": (fed * array.buffer_read_pJ + bits * array.buffer_write_pJ) / array.buffer_row_bits,
        "dram": bits * array.dram_pJ_per_bit,
    }
    return AttentionCost(
        stage_cycles=tuple(stages),
        compute_s=compute_s,
        memory_s=memory_s,
        plane_utilisation=plane / processors["plane"] / (max(compute_s, memory_s) * array.clock_GHz * 1e9),
        energy_J={name: energy * J_PER_PJ for name, energy in energy_pJ.items()},
    )


def _row_bits(array: SpatialArray, attention: Attention) -> int:
    """Bits of one query, key or value of every head and batch."""
    return attention.batch * attention.heads * attention.width * array.word_bits


def _outside_bits(array: SpatialArray, attention: Attention) -> float:
    """Bits from and to the memory outside: Q and the result once, K and V as often as the buffer takes new queries.

    A query waits there with the sum of its outputs, its largest score and its denominator.
    """
    held = int(array.buffer_MiB * BYTES_PER_MIB * BITS_PER_BYTE // (array.word_bits * (2 * attention.width + 2)))
    if held < 1:
        raise InputError(f"{array.buffer_MiB:g} MiB do not hold one query of {attention.width}", "buffer_MiB")
    passes = math.ceil(attention.queries / held)
    return 2.0 * (attention.queries + attention.keys * passes) * _row_bits(array, attention)
