"""Where a scene lies, from cameras alone."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import posed_files as files
from ohmfield.signals.cameras import Cameras
from ohmfield.signals.posed import posed, still_life
from ohmfield.signals.posed.found import Found, Lens, Shot
from ohmfield.signals.posed.place import looked_at, place, recentred
from ohmfield.signals.views import Views

LENS = Lens((40, 20), (50.0, 50.0), (20.0, 10.0))


def looking(origins: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Poses of cameras that look at points, y up."""
    back = origins - at
    back /= np.linalg.norm(back, axis=1, keepdims=True)
    right = np.cross(np.array([0.0, 1.0, 0.0]), back)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return np.stack([right, np.cross(back, right), back, origins], -1)


def around(num: int, radius: float, centre: np.ndarray) -> np.ndarray:
    turn = 2 * np.pi * np.arange(num) / num
    origins = centre + radius * np.stack([np.cos(turn), 0.3 + 0 * turn, np.sin(turn)], -1)
    return looking(origins, np.broadcast_to(centre, origins.shape))


def side_by_side(num: int = 9) -> np.ndarray:
    origins = np.stack([np.linspace(-1, 1, num), np.sin(np.arange(num)), np.zeros(num)], -1)
    return looking(origins, origins - [0.0, 0.0, 1.0])


def found(poses: np.ndarray, **more: object) -> Found:
    return Found(Path(), [Shot(Path("a.png"), pose, LENS) for pose in poses], **more)  # type: ignore[arg-type]


def test_cameras_around_a_point_look_at_it() -> None:
    centre = np.array([3.0, -1.0, 2.0])
    point = looked_at(around(7, 2.0, centre))
    assert point is not None
    np.testing.assert_allclose(point, centre, atol=1e-12)
    assert looked_at(side_by_side()) is None


def test_cameras_that_look_outwards_look_at_nothing_in_common() -> None:
    outward = around(8, 2.0, np.zeros(3))
    outward[:, :, [0, 2]] *= -1
    assert looked_at(outward) is None


@pytest.mark.parametrize("has_alpha", [True, False])
def test_the_cube_holds_what_cameras_around_a_scene_see(has_alpha: bool) -> None:
    made = place(found(around(7, 2.0, np.ones(3))), has_alpha)
    assert made.centre == pytest.approx((1.0, 1.0, 1.0))
    assert made.half == pytest.approx(2.0 * math.hypot(1, 0.3) * 20 / 50)
    assert made.unbounded == (not has_alpha)
    assert made.near == 0.0


def test_the_cube_holds_the_frusta_of_cameras_that_look_one_way() -> None:
    poses = side_by_side()
    made = place(found(poses, bounds=np.tile([2.0, 10.0], (9, 1))), False)
    assert (made.near, made.unbounded) == (1.8, False)
    # Widest: x from -1 - 4 to 1 + 4 at depth 10; deepest: from -1.8 to -10.
    assert made.half == pytest.approx(5.0)
    assert made.centre == pytest.approx((0.0, poses[:, 1, 3].max() / 2 + poses[:, 1, 3].min() / 2, -5.9))


def test_points_give_bounds_to_cameras_that_look_one_way() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform([-0.2, -0.2, -8.0], [0.2, 0.2, -4.0], (5000, 3))
    behind = rng.uniform([-90, -90, 5], [90, 90, 60], (5000, 3))
    made = place(found(side_by_side(), points=np.concatenate([points, behind])), False)
    assert made.near == pytest.approx(0.9 * 4.0, rel=0.02)
    assert made.centre[2] == pytest.approx(-(3.6 + 8.0) / 2, rel=0.02)


def test_cameras_in_one_point_still_get_a_cube() -> None:
    outward = around(8, 1e-9, np.zeros(3))
    outward[:, :, [0, 2]] *= -1
    made = place(found(outward), False)
    assert (made.half, made.unbounded) == (1.0, True)


def test_recentred_cameras_see_the_same_from_the_origin() -> None:
    poses = files.matrices(still_life(8, 2))[1, :3, :3] @ side_by_side()
    poses[:, :, 3] += 5.0
    made = recentred(poses)
    np.testing.assert_allclose(made[:, :, 3].mean(0), 0.0, atol=1e-12)
    np.testing.assert_allclose(made[:, :, 2].mean(0), [0.0, 0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(made[:, :, 1].mean(0), [0.0, 1.0, 0.0], atol=1e-9)
    # Nothing but the world has moved: where one camera stands in the axes of another stays.
    for one in (0, 4):
        seen = [np.einsum("ij,nik->njk", p[one, :, :3], p - p[one] * [0, 0, 0, 1]) for p in (poses, made)]
        np.testing.assert_allclose(*seen, atol=1e-6)
    np.testing.assert_array_equal(recentred(around(8, 2.0, np.zeros(3))), around(8, 2.0, np.zeros(3)))


def test_a_forward_facing_folder_is_recentred(tmp_path: Path) -> None:
    poses = torch.from_numpy(side_by_side()).float()
    poses[:, :, 3] += 7.0
    size = torch.full((9, 2), 8.0)
    grey = np.full((16, 16, 4), 255, np.uint8)
    views = Views(Cameras(poses, 2 * size, size, 16, 16), lambda _: grey, {}, (0.0, 0.0, 0.0), 1.0, "a", False)
    files.write_llff(views, tmp_path, near=2.0, far=10.0)
    made = posed(tmp_path)
    assert made.cameras.poses[:, :, 3].mean(0).abs().max() < 1e-5
    assert (made.near, made.unbounded) == (pytest.approx(1.8), False)
    assert made.half == pytest.approx(6.0, rel=1e-5)
