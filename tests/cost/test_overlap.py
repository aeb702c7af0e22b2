"""Host and accelerator: limits in closed form, and the way back from a speed-up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmfield.cost.overlap import Offload, together
from ohmfield.spec import InputError

TIMES = st.floats(1e-3, 1e3)


@given(first=TIMES, second=TIMES, overlap=st.floats(0.0, 1.0))
def test_overlap_lies_between_the_sum_and_the_longer(first, second, overlap):
    assert max(first, second) * (1 - 1e-12) <= together(first, second, overlap) <= first + second
    assert together(first, second, overlap) == pytest.approx(together(second, first, overlap))


@given(
    share=st.floats(0.05, 0.95), rest=st.floats(1.0, 20.0), accelerator=st.floats(0.5, 500.0), over=st.floats(0.0, 0.9)
)
def test_the_way_back(share, rest, accelerator, over):
    offload = Offload(share=share, rest_speed_up=rest)
    made = offload.speed_up(accelerator, over)
    assert made < offload.cap
    assert offload.accelerator_for(made, over) == pytest.approx(accelerator, rel=1e-6)


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match=r"caps it at 2\.0"):
        Offload(share=0.5).accelerator_for(2.5, overlap=1.0)
    with pytest.raises(InputError, match=r"overlap 2 is not within 0 \.\. 1"):
        together(1.0, 1.0, overlap=2.0)
    with pytest.raises(InputError, match="share 1 must lie between 0 and 1"):
        Offload(share=1.0)
