"""How often the gates of adders rise in a cycle, simulated gate by gate. Run: python benchmarks/glitches.py

NAND2 takes one unit of time, XOR2 two; a full adder is two XOR2 (1.5 of capacitance each) and three NAND2. Inputs and
weights are random, half of them set. Counted is the capacitance that rises over that of one rise of every gate.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from common import show, write
from ohmfield.chip.chains import rises

NAND, XOR, INPUT = 0, 1, 2
CYCLES, TRIALS, SETTLED = 16, 24, 4
XOR_CAPACITANCE, ADDER_CAPACITANCE = 1.5, 6.0


@dataclass
class Netlist:
    """Gates of two inputs; a net is the output of a gate or an input."""

    kind: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    second: list[int] = field(default_factory=list)

    def net(self, kind: int = INPUT, first: int = 0, second: int = 0) -> int:
        self.kind.append(kind)
        self.first.append(first)
        self.second.append(second)
        return len(self.kind) - 1

    def word(self, bits: int) -> list[int]:
        return [self.net() for _ in range(bits)]

    def add(self, left: list[int], right: list[int], zero: int) -> tuple[list[int], int]:
        """Ripple adder: sum bits and carry."""
        carry, bits = zero, []
        for a, b in zip(left, right, strict=True):
            half = self.net(XOR, a, b)
            bits.append(self.net(XOR, half, carry))
            carry = self.net(NAND, self.net(NAND, a, b), self.net(NAND, half, carry))
        return bits, carry

    def risen(self, stimulus: np.ndarray) -> float:
        """Full swings per adder and cycle; `stimulus[cycle, input, trial]`, inputs in the order they were made."""
        kind, first, second = (np.array(each) for each in (self.kind, self.first, self.second))
        nand, xor, inputs = (np.flatnonzero(kind == which) for which in (NAND, XOR, INPUT))
        now = np.zeros((len(kind), stimulus.shape[2]), dtype=bool)
        capacitance = 0.0
        for cycle, values in enumerate(stimulus):
            before, now = now.copy(), now.copy()
            now[inputs] = values
            quiet = 0
            while quiet < SETTLED:
                after = now.copy()
                after[nand] = ~(now[first[nand]] & now[second[nand]])
                after[xor] = before[first[xor]] ^ before[second[xor]]
                up = after & ~now
                if cycle:  # the first settles from nothing
                    capacitance += up[nand].sum() + XOR_CAPACITANCE * up[xor].sum()
                quiet = quiet + 1 if np.array_equal(after, now) else 0
                before, now = now, after
        adders = len(xor) / 2
        return float(capacitance / ((len(stimulus) - 1) * stimulus.shape[2] * ADDER_CAPACITANCE * adders))


def tree(inputs: int, bits: int, rng: np.random.Generator) -> float:
    """A balanced tree over `inputs` products of one input bit and `bits` weight bits."""
    net = Netlist()
    zero = net.net()
    level = [net.word(bits) for _ in range(inputs)]
    while len(level) > 1:
        sums = [net.add(left, right, zero) for left, right in zip(level[::2], level[1::2], strict=True)]
        level = [[*word, carry] for word, carry in sums]
    weights = rng.random((inputs, bits, TRIALS)) < 0.5
    driven = rng.random((CYCLES, inputs, 1, TRIALS)) < 0.5
    return net.risen(_with_zero((weights & driven).reshape(CYCLES, inputs * bits, TRIALS)))


def chain(rows: int, bits: int, rng: np.random.Generator, growth: int = 7) -> float:
    """`rows` rows of full adders as wide as the sum, XNOR products of `bits` bits, from registers to registers."""
    net, wide = Netlist(), bits + growth
    zero = net.net()
    words = [net.word(wide) for _ in range(rows + 1)]
    total = words[0]
    for word in words[1:]:
        total, _ = net.add(total, word, zero)
    weights = rng.random((rows, bits, TRIALS)) < 0.5
    driven = rng.random((CYCLES, rows, 1, TRIALS)) < 0.5
    stimulus = np.zeros((CYCLES, rows + 1, wide, TRIALS), dtype=bool)
    stimulus[:, 0] = rng.random((CYCLES, wide, TRIALS)) < 0.5
    stimulus[:, 1:, :bits] = ~(weights ^ driven)
    return net.risen(_with_zero(stimulus.reshape(CYCLES, (rows + 1) * wide, TRIALS)))


def _with_zero(stimulus: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros_like(stimulus[:, :1]), stimulus], axis=1)


def main() -> None:
    rng = np.random.default_rng(0)
    trees = {f"{inputs} x {bits} b": tree(inputs, bits, rng) for inputs, bits in ((8, 8), (32, 8), (64, 4), (128, 8))}
    chains = [
        {"rows": rows, "bits": bits, "simulated": chain(rows, bits, rng), "law": float(rises(rows, bits))}
        for rows, bits in ((8, 1), (8, 2), (8, 4), (8, 8), (8, 16), (1, 8), (2, 8), (4, 8), (16, 8), (32, 8))
    ]
    show("Trees: full swings per adder and cycle", ("tree", "swings"), list(trees.items()))
    show("Chains", ("rows", "weight bits", "simulated", "law"), [list(each.values()) for each in chains])
    write("glitches", {"trees": {k: round(v, 3) for k, v in trees.items()}, "chains": [_rounded(e) for e in chains]})


def _rounded(each: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in each.items()}


if __name__ == "__main__":
    main()
