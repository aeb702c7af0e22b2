"""The contract of posed photographs: reading once, backgrounds, scores, and what identifies them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ohmfield.signals import still_life
from ohmfield.signals.cameras import Cameras
from ohmfield.signals.views import Views
from ohmfield.spec import InputError


def two_views(side: int = 12) -> tuple[Views, list[int]]:
    """Two grey pictures whose left half is transparent, and the list of what was read."""
    asked: list[int] = []

    def read(view: int) -> np.ndarray:
        asked.append(view)
        made = np.full((side, side, 4), 51 * (view + 1), np.uint8)
        made[..., 3] = 255
        made[:, : side // 2, 3] = 0
        return made

    cameras = Cameras(torch.eye(4)[None, :3].repeat(2, 1, 1), torch.ones(2, 2), torch.ones(2, 2), side, side)
    splits = {"train": (0,), "val": (), "test": (1,)}
    return Views(cameras, read, splits, (0.0, 0.0, 0.0), 1.0, "two", has_alpha=True), asked


def test_pictures_are_read_once_and_when_asked_for() -> None:
    views, asked = two_views()
    assert asked == []
    for _ in range(3):
        views.picture(1)
    assert asked == [1]


def test_a_background_shows_where_a_view_is_transparent() -> None:
    views, _ = two_views()
    for background in (0.0, 0.3, 1.0):
        colour = views.colour(1, background)
        torch.testing.assert_close(colour[:, :6], torch.full((12, 6, 3), background))
        torch.testing.assert_close(colour[:, 6:], torch.full((12, 6, 3), 0.4))


def test_the_foreground_is_scored_apart() -> None:
    views, _ = two_views()
    made = views.colour(1).clone()
    made[:, 6:] += 0.1  # half of the pixels, all of the foreground
    scores = views.score(1, made)
    assert scores["foreground_psnr_dB"] == pytest.approx(20.0, abs=1e-4)
    assert scores["psnr_dB"] == pytest.approx(20.0 + 10.0 * np.log10(2.0), abs=1e-4)
    assert 0.0 < scores["ssim"] < 1.0
    assert views.score(1, views.colour(1))["psnr_dB"] == np.inf
    small, _ = two_views(10)
    assert "ssim" not in small.score(0, small.colour(0))


def test_a_split_that_is_empty_is_refused() -> None:
    views, _ = two_views()
    assert views.split("test") == (1,)
    with pytest.raises(InputError, match=r"two: has no val views; it has train \(1\), test \(1\)"):
        views.split("val")


def test_the_digest_sees_cameras_and_pictures() -> None:
    views = still_life(8, 3)
    cameras, known = views.cameras, {n: views.picture(n) for n in range(3)}
    changed = [
        replace(cameras, poses=cameras.poses + 1e-6),
        replace(cameras, focals=cameras.focals * 2),
        replace(cameras, centres=cameras.centres + 1),
        replace(cameras, lenses=torch.full((3, 5), 0.1)),
    ]
    others = [replace(views, cameras=other) for other in changed]
    others.append(replace(views, known={**known, 1: 255 - known[1]}))
    assert len({other.describe()["digest"] for other in (views, *others)}) == 6
