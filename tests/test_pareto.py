from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmfield.pareto import front
from ohmfield.spec import InputError


def plain(points: np.ndarray) -> np.ndarray:
    return np.array([not ((points <= p).all(1) & (points < p).any(1)).any() for p in points], dtype=bool)


@given(st.integers(1, 3), st.integers(0, 900), st.integers(1, 40), st.integers(0, 2**31))
def test_the_front_is_what_nothing_beats(objectives: int, num: int, values: int, seed: int) -> None:
    points = np.random.default_rng(seed).integers(0, values, (num, objectives)).astype(float)
    np.testing.assert_array_equal(front(points), plain(points))


def test_many_random_points_and_a_sphere() -> None:
    rng = np.random.default_rng(0)
    inside = rng.random((5000, 3))
    np.testing.assert_array_equal(front(inside), plain(inside))
    sphere = np.abs(rng.normal(size=(3000, 3)))
    sphere = 1.0 - sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
    assert front(sphere).all()


def test_what_has_no_front_is_refused() -> None:
    with pytest.raises(InputError, match="4 objectives"):
        front(np.zeros((2, 4)))
    with pytest.raises(InputError, match="not a number"):
        front(np.array([[np.nan, 1.0]]))
