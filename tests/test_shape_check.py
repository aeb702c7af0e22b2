"""The net under all tests holds: another type than declared is refused, and shapes that do not fit together are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from jaxtyping import TypeCheckError

from ohmfield.chip.fixed import Word, word_for
from ohmfield.cost.bill import Row
from ohmfield.signals.quality import psnr, top_k

TEXT: Any = "text"


def test_another_type_is_refused_with_and_without_shapes() -> None:
    assert word_for(3, 8) == word_for(3.0, 8)  # an int will do for a float
    for call in (lambda: word_for(TEXT, 8), lambda: Row("first#0", "adc", TEXT, 1.0, 1.0, 1.0)):
        with pytest.raises(TypeError, match="violates type hint"):
            call()
    for call in (lambda: Word(8, 4).codes(TEXT), lambda: top_k(torch.zeros(4, 3), torch.zeros(4))):
        with pytest.raises(TypeCheckError):
            call()


def test_shapes_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(TypeCheckError):
        psnr(torch.zeros(4, 3), torch.zeros(5, 3))
    with pytest.raises(TypeCheckError):
        top_k(torch.zeros(4, 3), torch.zeros(5, dtype=torch.int64))
