"""Many instances at several ages: each is written once, and the summary is what NumPy says of the scores."""

from __future__ import annotations

import numpy as np
import pytest

from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.study import study
from ohmfield.spec import InputError


def write(seed: int) -> Programmed:
    return Programmed("test", seed, {})


def test_every_instance_is_written_once_and_read_at_every_age() -> None:
    written: list[int] = []

    def noted(seed: int) -> Programmed:
        written.append(seed)
        return write(seed)

    made = study(noted, lambda p: p.seed - p.elapsed_s, metric="score", seeds=[7, 3, 5], elapsed_s=[0.0, 2.0])
    assert sorted(written) == [3, 5, 7]
    assert made.scores.tolist() == [[7.0, 3.0, 5.0], [5.0, 1.0, 3.0]]
    half = pytest.approx(4.968, abs=1e-3)  # 4.303, Student's t at 97.5 % and two freedoms, times 2 / sqrt(3)
    fresh, aged = made.summary()
    assert 5.0 - fresh.pop("mean_low") == half
    assert fresh.pop("mean_high") - 5.0 == half
    assert fresh == {"elapsed_s": 0.0, "mean": 5.0, "spread": 2.0, "tenth": pytest.approx(3.4), "worst": 3.0}
    assert (aged["mean"], aged["spread"], aged["worst"]) == (3.0, 2.0, 1.0)


def test_the_tenth_percentile_leaves_one_chip_in_ten_below() -> None:
    made = study(write, lambda p: float(p.seed), metric="score", seeds=range(101))
    assert made.tenth.tolist() == [10.0]
    assert np.mean(made.scores[0] < made.tenth[0]) == pytest.approx(0.1, abs=0.01)
    assert study(write, lambda p: 1.0, metric="score", seeds=[0]).spread.tolist() == [0.0]


def test_nothing_to_draw_is_refused() -> None:
    for seeds, ages in (([], [0.0]), ([1], [])):
        with pytest.raises(InputError, match="needs seeds and ages"):
            study(write, lambda p: 0.0, metric="score", seeds=seeds, elapsed_s=ages)
    with pytest.raises(InputError, match=r"elapsed_s -1.0 lies before"):
        study(write, lambda p: 0.0, metric="score", seeds=[1], elapsed_s=[0.0, -1.0])
