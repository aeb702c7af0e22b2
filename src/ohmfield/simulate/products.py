"""How a layer multiplies: one exact integer product, or bit by bit through the converters of programmed arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from ohmfield._kernels.crossbar import Drive, LoweredArray
from ohmfield._kernels.crossbar_fast import fast
from ohmfield._kernels.crossbar_inputs import count_bits, count_digits
from ohmfield._kernels.crossbar_torch import multiply
from ohmfield.numerics import Noise
from ohmfield.simulate.sums import SumCorrection
from ohmfield.simulate.wires import Circuits

Counts = dict[str, float]


class Product(Protocol):
    """A layer's product as its unit computes it."""

    step: float
    """cell levels that one unit of the output counts"""

    def run(
        self, codes: Int[np.ndarray, "vectors inputs"], first: int
    ) -> tuple[Int[np.ndarray, "vectors outputs"], Counts]:
        """Whole outputs, int64 or int32, and counts; `first` is the number of the first vector."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class InputOrder:
    """How inputs are driven, for counting, and how many columns each read converts (0: none)."""

    starts: np.ndarray
    dac_bits: int
    num_planes: int
    drive: Drive
    skip_zero_planes: bool = False
    rows_per_read: int = 0
    columns: int = 0

    def count(self, codes: Int[np.ndarray, "vectors inputs"]) -> Counts:
        """What the kernels would count for these inputs, had they run."""
        planes, sides = self.num_planes, [codes]
        if self.drive == "sign_magnitude":
            sides = [np.abs(codes)]
        elif self.drive == "sign_magnitude_two_pass":
            planes, sides = planes // 2, [np.maximum(codes, 0), np.maximum(-codes, 0)]
        driven, empty, reads = (sum(part) for part in zip(*(self._of(side, planes) for side in sides), strict=True))
        if not self.rows_per_read:
            reads = len(codes) * (len(self.starts) - 1) * self.num_planes - (empty if self.skip_zero_planes else 0)
        counts = {"vectors": float(len(codes)), "driven": float(driven), "zero_planes": float(empty)}
        return {**counts, "conversions": float(reads * self.columns)} if self.columns else counts

    def _of(self, side: Int[np.ndarray, "vectors inputs"], planes: int) -> tuple[int, int, int]:
        """(digits driven, planes with none, reads by rows) of so many planes; single bits from whole words at once."""
        if self.dac_bits == 1 and not self.rows_per_read and planes <= 31:
            driven, empty = count_bits(side, self.starts, planes)
            return int(driven), int(empty), 0
        bipolar = self.drive == "twos_complement" and self.dac_bits > 1
        made: Any = count_digits(side, self.starts, self.dac_bits, planes, bipolar, self.rows_per_read)
        return made


class ExactProduct:
    """`codes @ weights.T` exactly: digital units, and arrays whose conversions lose nothing."""

    def __init__(
        self,
        weights: Int[np.ndarray, "outputs inputs"],
        largest_input: int,
        order: InputOrder,
        zero: np.ndarray | float = 0.0,
    ) -> None:
        bound = int(np.abs(weights).sum(axis=1).max(initial=0)) * largest_input
        # Integers below 2^24 (2^53) add exactly in single (double) precision, whatever the order.
        self.kind = torch.float32 if bound < 2**24 else torch.float64
        self.weights = torch.from_numpy(np.ascontiguousarray(weights.T)).to(self.kind)
        self.order = order
        self.step = 1.0
        self.zero = np.asarray(zero, dtype=np.float64).reshape(-1)  # of the weights, per output or one for all

    def run(
        self, codes: Int[np.ndarray, "vectors inputs"], first: int
    ) -> tuple[Int[np.ndarray, "vectors outputs"], Counts]:
        """The exact product; counts as the unit would make them."""
        out = (torch.from_numpy(codes).to(self.kind) @ self.weights).long().numpy()
        if self.zero.any():
            out -= np.floor(self.zero * codes.sum(axis=1, keepdims=True, dtype=np.int64) + 0.5).astype(np.int64)
        return out, self.order.count(codes)


class CrossbarProduct:
    """Programmed arrays read by the kernel. Vector i meets copy i % copies; each copy has errors of its own.

    `sums` takes off what the encoding and the zero point of the weights added, rounded half up once to output units.
    `offsets` are taken off the outputs of each copy: what a zero point adds beyond the nominal sums of the weights.
    Copies with `circuits` are solved read by read, slowly.
    """

    def __init__(
        self,
        copies: Sequence[LoweredArray],
        step: float,
        noise: Noise,
        sums: SumCorrection | None = None,
        circuits: Sequence[Circuits] = (),
        offsets: Sequence[Int[np.ndarray, " outputs"]] = (),
    ) -> None:
        self.copies = tuple(copies)
        self.circuits = tuple(circuits)
        self.offsets = tuple(offsets)
        self.step = step
        self.noise = noise
        self.sums = sums

    def run(
        self, codes: Int[np.ndarray, "vectors inputs"], first: int
    ) -> tuple[Int[np.ndarray, "vectors outputs"], Counts]:
        """Outputs in units of `step` levels. A vector's read noise depends on its number alone, not on the tile."""
        return self._read(codes, first, fast)

    def run_tensor(
        self, codes: Int[Tensor, "vectors inputs"], first: int
    ) -> tuple[Int[Tensor, "vectors outputs"], Counts]:
        """What `run` gives, in torch on the device of `codes`; not for arrays that need a circuit solved per vector."""
        return self._read(codes, first, multiply)

    def _read(self, codes: Any, first: int, kernel: Callable[..., tuple[Any, Counts]]) -> tuple[Any, Counts]:
        many = len(self.copies)
        if many == 1:
            return self._one(0, codes, self.noise, first, kernel)
        out, counts = None, Counter()
        for start in range(max(1, min(many, len(codes)))):
            copy = (first + start) % many
            noise = self.noise.at("copy", copy)
            part, made = self._one(copy, codes[start::many], noise, (first + start) // many, kernel)
            if out is None:
                shape = (len(codes), part.shape[1])
                out = part.new_empty(shape) if isinstance(part, Tensor) else np.empty(shape, dtype=part.dtype)
            out[start::many] = part
            counts.update(made)
        return out, dict(counts)

    def _one(
        self, copy: int, codes: Any, noise: Noise, first: int, kernel: Callable[..., tuple[Any, Counts]]
    ) -> tuple[Any, Counts]:
        """One copy's outputs, corrected."""
        if self.circuits:
            out, counts = self.circuits[copy].run(self.copies[copy], codes, noise, first)
        else:
            out, counts = kernel(self.copies[copy], codes, noise, first)
        if self.sums:
            plain = codes.cpu().numpy() if isinstance(codes, Tensor) else codes
            levels, made = self.sums.levels(plain, copy, noise, first)
            taken = np.floor(levels / self.step + 0.5).astype(np.int64)
            out -= torch.from_numpy(taken).to(out.device) if isinstance(out, Tensor) else taken
            counts = {name: value + made.get(name, 0.0) for name, value in counts.items()}
        if self.offsets:
            offset = self.offsets[copy]
            out -= torch.from_numpy(offset).to(out.device) if isinstance(out, Tensor) else offset
        return out, counts

    def of_copy(self, copy: int, noise: Noise) -> CrossbarProduct:
        """The product of one copy alone, with read noise of its own."""
        part = slice(copy, copy + 1)
        sums = self.sums.of_copy(copy) if self.sums else None
        return CrossbarProduct(self.copies[part], self.step, noise, sums, self.circuits[part], self.offsets[part])
