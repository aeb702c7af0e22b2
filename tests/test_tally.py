"""Counts land where they are listened for, and nowhere else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from ohmfield.tally import Tally, count


def test_counts_add_up_by_operator_and_name() -> None:
    tally = Tally()
    tally.add("decoder.0#0", ones=3, zeros=5)
    tally.add("decoder.0#0", ones=4)
    tally.add("decoder.1#0", ones=1)
    assert tally["decoder.0#0"] == {"ones": 7.0, "zeros": 5.0}
    assert tally["decoder.1#0"] == {"ones": 1.0}
    assert tally["nobody#0"] == {}


def test_count_without_a_listener_is_silent() -> None:
    count("a#0", ones=1)


def test_the_inner_listener_takes_the_counts_and_gives_back() -> None:
    outer, inner = Tally(), Tally()
    with outer.listen():
        count("a#0", ones=1)
        with inner.listen():
            count("a#0", ones=10)
        count("a#0", ones=2)
    count("a#0", ones=100)
    assert outer["a#0"] == {"ones": 3.0}
    assert inner["a#0"] == {"ones": 10.0}


def test_an_error_inside_closes_the_listener() -> None:
    tally = Tally()

    def fails() -> None:
        with tally.listen():
            count("a#0", ones=1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    count("a#0", ones=1)
    assert tally["a#0"] == {"ones": 1.0}


def test_another_thread_hears_only_what_it_is_handed() -> None:
    tally = Tally()
    with ThreadPoolExecutor(1) as pool, tally.listen():
        pool.submit(count, "a#0", ones=1).result()
        assert tally["a#0"] == {}
        pool.submit(copy_context().run, count, "a#0", ones=1).result()
    assert tally["a#0"] == {"ones": 1.0}


def test_two_tallies_do_not_share_counts() -> None:
    first, second = Tally(), Tally()
    first.add("a#0", ones=1)
    assert second["a#0"] == {}
