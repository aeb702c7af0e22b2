"""The contract of labelled signals: inputs and the class of each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ohmfield.signals.quality import top_k
from ohmfield.spec import InputError


@dataclass(frozen=True)
class Examples:
    """Labelled inputs: `inputs` float32 [N, ...] and `labels` int64 [N], indices into `classes`.

    The first `num_train` examples are there to learn and to calibrate from, the others to be scored. Images are
    [N, channels, height, width] with values in [0, 1]. `source` is the file they came from, empty for an array.
    """

    inputs: Float[Tensor, "num_examples *dims"]
    labels: Int[Tensor, " num_labels"]
    classes: tuple[str, ...]
    num_train: int
    name: str
    source: str = ""

    def __post_init__(self) -> None:
        count = len(self.labels)
        if len(self.inputs) != count or count == 0:
            raise InputError(f"{self.name}: {len(self.inputs)} inputs and {count} labels; give one label per input")
        if not 0 <= self.num_train <= count:
            raise InputError(f"{self.name}: num_train = {self.num_train} is not allowed; use 0 to {count}")
        least, most = int(self.labels.min()), int(self.labels.max())
        if least < 0 or most >= len(self.classes):
            wrong = least if least < 0 else most
            raise InputError(
                f"{self.name}: label {wrong} is not allowed; use 0 to {len(self.classes) - 1}, the classes"
            )
        if not bool(torch.isfinite(self.inputs).all()):
            raise InputError(f"{self.name}: inputs hold NaN or infinity; remove those examples")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def train(self) -> Examples:
        """The part to learn from; `InputError` where there is none."""
        return self._part(slice(0, self.num_train), "train")

    @property
    def test(self) -> Examples:
        """The part that is scored; `InputError` where there is none."""
        return self._part(slice(self.num_train, None), "test")

    def score(self, logits: Float[Tensor, "num_examples classes"], k: int = 5) -> dict[str, float]:
        """`accuracy`, and `top5_accuracy` (of `k`) where there are more classes than that; shares from 0 to 1.

        `logits` belong to these examples in their order; whoever scores takes `.test` first.
        """
        logits, most = logits.detach(), int(self.labels.max())
        if logits.dim() != 2 or most >= logits.shape[1]:
            shape = tuple(logits.shape)
            raise InputError(
                f"{self.name}: label {most} needs {most + 1} outputs or more for each input, the model makes {shape}; "
                "give labels that count its outputs from 0"
            )
        scores = {"accuracy": top_k(logits, self.labels)}
        if len(self.classes) > k:
            scores[f"top{k}_accuracy"] = top_k(logits, self.labels, k)
        return scores

    def describe(self) -> dict[str, object]:
        """Plain data that identifies the examples: name, sizes and a digest of inputs and labels."""
        digest = hashlib.blake2b(self.inputs.contiguous().numpy().tobytes(), digest_size=16)
        digest.update(self.labels.contiguous().numpy().tobytes())
        return {
            "name": self.name,
            "shape": list(self.inputs.shape),
            "classes": list(self.classes),
            "num_train": self.num_train,
            "source": self.source,
            "digest": digest.hexdigest(),
        }

    def _part(self, where: slice, part: str) -> Examples:
        inputs, labels = self.inputs[where], self.labels[where]
        if len(labels) == 0:
            raise InputError(
                f"{self.name}: has no {part} examples ({len(self)} examples, num_train = {self.num_train}); "
                "choose num_train between 1 and one less than the examples"
            )
        num_train = len(labels) if part == "train" else 0
        return replace(self, inputs=inputs, labels=labels, num_train=num_train)
