"""Non-dominated sets: the front of many points in two or three objectives, all to be small."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from jaxtyping import Bool, Float

from ohmfield.spec import InputError

SAMPLE = 64  # strong points that all others are held against first


def front(points: Float[np.ndarray, "num objectives"]) -> Bool[np.ndarray, " num"]:
    """Which points no other one beats or equals in every objective and beats in one; equal points stay together.

    Smaller is better. Exact; a million points of three objectives take about a second. One to three objectives.

    >>> front(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0], [2.0, 2.0]]))
    array([ True,  True, False,  True])
    """
    num, objectives = points.shape
    if not 1 <= objectives <= 3:
        raise InputError(f"{objectives} objectives: a front takes one to three; weigh some of them together")
    if np.isnan(points).any():
        raise InputError("an objective is not a number for some points: leave those out first")
    kept = np.ones(num, dtype=bool)
    if num > 8 * SAMPLE:
        kept = ~_beaten_by_strong(points)
    left = np.flatnonzero(kept)
    kept[left] = _front(points[left])
    return kept


def _beaten_by_strong(points: np.ndarray) -> np.ndarray:
    """Which points lose to one of a few that are good in a mean of ranks: most do, and need no sorting."""
    scaled = (points - points.min(0)) / np.maximum(np.ptp(points, axis=0), np.finfo(float).tiny)
    beaten = np.zeros(len(points), dtype=bool)
    for step in range(1, SAMPLE + 1):
        # Weights that turn through the objectives: each looks for the best point in another direction.
        weights = np.array([step / SAMPLE, 1.0 - step / SAMPLE, (step * 0.618034) % 1.0])[: points.shape[1]]
        alive = np.flatnonzero(~beaten)
        best = points[alive[np.argmin(scaled[alive] @ (weights + 1e-3))]]
        loses = (points[alive] >= best).all(1) & (points[alive] > best).any(1)
        beaten[alive[loses]] = True
    return beaten


def _front(points: np.ndarray) -> np.ndarray:
    """The front of points sorted by the first objective, with a staircase of the other two."""
    num, objectives = points.shape
    padded = np.concatenate([points, np.zeros((num, 3 - objectives))], axis=1)
    order = np.lexsort(padded.T[::-1])
    kept = np.zeros(num, dtype=bool)
    seconds: list[float] = []  # rising, with `thirds` falling: what lies right of and above a step is beaten
    thirds: list[float] = []
    last: tuple[float, ...] | None = None
    for index in order.tolist():
        point = tuple(padded[index].tolist())
        if point == last:  # equal to one that is in
            kept[index] = True
            continue
        _, second, third = point
        place = bisect_left(seconds, second)
        at_or_left = place if place < len(seconds) and seconds[place] == second else place - 1
        if at_or_left >= 0 and thirds[at_or_left] <= third:
            continue
        kept[index], last = True, point
        end = place
        while end < len(seconds) and thirds[end] >= third:
            end += 1
        seconds[place:end], thirds[place:end] = [second], [third]
    return kept
