"""Numbers as people read them."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmfield.report.tables import finite, headline, number, whole
from report.fake import fake_report


@given(st.floats(1e-6, 1e9))
def test_numbers_keep_three_digits(value: float) -> None:
    text = number(value)
    assert "e" not in text
    assert float(re.sub(r"\s", "", text)) == pytest.approx(value, rel=5.1e-3)


def test_digits_are_grouped_and_signs_are_signs() -> None:
    assert number(-1234.0) == "−1\N{NARROW NO-BREAK SPACE}230"
    assert whole(477923) == "477\N{NARROW NO-BREAK SPACE}923"
    assert number(math.inf) == "∞"
    assert number(9.999) == "10.0"


def test_headline_spans_worst_to_best() -> None:
    data = fake_report(num_chips=3)
    assert re.fullmatch(
        r"“shapes-48” on three chips: 37\.1 to 42\.5 dB for [\d.]+ to [\d.]+\smJ a frame", headline(data)
    )
    assert headline(fake_report(num_chips=1)).startswith("“shapes-48” on rram-40nm: 37.1 dB for ")


def test_finite_replaces_what_json_cannot_say() -> None:
    assert finite({"a": [math.inf, 1.0], "b": (math.nan,)}) == {"a": [None, 1.0], "b": [None]}
