"""Real photographs: every set opens, and its poses agree with what the pictures show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ohmfield.signals.posed import posed
from ohmfield.signals.posed.colmap_binary import read_photographs, read_points
from ohmfield.signals.posed.llff import read_llff
from ohmfield.signals.posed.place import depth_bounds, looked_at
from ohmfield.signals.views import Views


@pytest.fixture(scope="module")
def scenes(real_data: Path) -> Path:
    folder = real_data / "posed"
    if not folder.is_dir():
        pytest.skip(f"no posed photographs at {folder}")
    return folder


# Sizes of the sets as their README states them; boxes are checked below.
@pytest.mark.parametrize(
    ("name", "shape", "splits", "has_alpha", "unbounded"),
    [
        ("chair_blender", (400, 400), (100, 25, 50), True, False),
        ("fox_ngp", (540, 960), (43, 0, 7), False, False),
        ("fern_llff", (504, 378), (17, 0, 3), False, False),
        ("ethiopian_head_llff", (500, 500), (57, 0, 9), True, False),
        ("figurine_colmap", (1000, 656), (20, 0, 3), False, True),
    ],
)
def test_every_set_opens(
    scenes: Path, name: str, shape: tuple[int, int], splits: tuple[int, ...], has_alpha: bool, unbounded: bool
) -> None:
    views = posed(scenes / name)
    assert (views.cameras.width, views.cameras.height) == shape
    assert tuple(len(views.splits[split]) for split in ("train", "val", "test")) == splits
    assert (views.has_alpha, views.unbounded) == (has_alpha, unbounded)
    last = views.picture(len(views) - 1)
    assert last.shape == (shape[1], shape[0], 4)
    assert last[..., :3].float().std() > 10
    small = posed(scenes / name, side=50)
    assert max(small.picture(1).shape[:2]) == 50
    # What is kept scaled is the area average: the mean colour stays.
    whole = posed(scenes / name).colour(1, 0.0).mean((0, 1))
    torch.testing.assert_close(small.colour(1, 0.0).mean((0, 1)), whole, atol=2e-3, rtol=0.0)


def test_colmap_points_fall_where_they_were_seen(scenes: Path) -> None:
    views, model = posed(scenes / "figurine_colmap"), scenes / "figurine_colmap" / "sparse" / "0"
    points = read_points(model / "points3D.bin")
    places = dict(zip(points.numbers.tolist(), points.places, strict=True))
    photographs = sorted(read_photographs(model / "images.bin"), key=lambda photograph: photograph.name)
    errors = []
    for view, photograph in enumerate(photographs):
        known = np.array([number in places for number in photograph.seen_points.tolist()])
        at = torch.from_numpy(np.array([places[n] for n in photograph.seen_points[known].tolist()]))
        pixels, depth = views.cameras.project(view, at)
        assert (depth > 0).all()
        errors.append(np.linalg.norm(pixels.numpy() - photograph.seen[known], axis=1))
    error = np.concatenate(errors)
    assert len(error) > 5000
    assert np.median(error) < 0.3  # half a pixel off in the convention of centres would show
    assert error.max() < 2.0
    assert views.half < 2.0 < float(views.cameras.poses[:, :, 3].sub(torch.tensor(views.centre)).norm(dim=1).min())


def test_cameras_of_the_fox_look_at_it(scenes: Path) -> None:
    views = posed(scenes / "fox_ngp")
    point = looked_at(views.cameras.poses.double().numpy())
    assert point is not None
    assert np.abs(point - np.array(views.centre)).max() < 0.05 * views.half
    for view in range(len(views)):
        pixels, depth = views.cameras.project(view, torch.from_numpy(point)[None])
        assert 0 < pixels[0, 0] < 540
        assert 0 < pixels[0, 1] < 960
        assert depth[0] > 0
    assert (views.cameras.poses[:, :, 3].abs() < views.half).all()  # aabb_scale holds the cameras


def test_cameras_of_the_fern_look_one_way_at_it(scenes: Path) -> None:
    views = posed(scenes / "fern_llff")
    poses = views.cameras.poses.double()
    assert looked_at(poses.numpy()) is None
    assert poses[:, :, 3].mean(0).abs().max() < 1e-5
    assert (poses[:, 2, 2] > 0.98).all()
    # One point amid the bounds is in every picture, and moves against the camera as parallax has it.
    middle = torch.tensor([[0.0, 0.0, -30.0]], dtype=torch.float64)
    pixels = torch.cat([views.cameras.project(view, middle)[0] for view in range(len(views))])
    assert ((pixels > 0) & (pixels < torch.tensor([504, 378]))).all()
    # The box holds what every picture sees, from the nearest bound to the farthest.
    for view in range(len(views)):
        origins, directions = views.cameras.all_rays(view)
        ahead = -(directions @ views.cameras.poses[view, :, 2])
        for depth in (views.near, 80.0):
            at = origins + directions * (depth / ahead)[:, None]
            assert ((at - torch.tensor(views.centre)).abs() < 1.001 * views.half).all()


def test_points_of_the_fern_lie_between_its_bounds(scenes: Path) -> None:
    # The set's own points, in the world before it is recentred: bounds are percentiles of their depths.
    found = read_llff(scenes / "fern_llff")
    points = read_points(scenes / "fern_llff" / "sparse" / "0" / "points3D.bin").places
    made = depth_bounds(replace(found, points=points))
    assert made is not None
    assert found.bounds is not None
    np.testing.assert_allclose(made, found.bounds, rtol=0.08)


def carved(views: Views, chosen: list[int], size: int) -> np.ndarray:
    """Share of the chosen views in which each cell's middle falls on the object."""
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    at = torch.from_numpy(grid * views.half + np.array(views.centre))
    inside = torch.zeros(len(at))
    for view in chosen:
        pixels, depth = views.cameras.project(view, at)
        x, y = pixels.floor().long().unbind(-1)
        seen = (x >= 0) & (y >= 0) & (x < views.cameras.width) & (y < views.cameras.height) & (depth > 0)
        alpha = views.picture(view)[y.clamp(0, views.cameras.height - 1), x.clamp(0, views.cameras.width - 1), 3]
        inside += (alpha > 127) & seen
    return (inside / len(chosen)).numpy()


@pytest.mark.parametrize(("name", "step"), [("chair_blender", 9), ("ethiopian_head_llff", 4)])
def test_silhouettes_carve_one_object(scenes: Path, name: str, step: int) -> None:
    views = posed(scenes / name, side=100)
    chosen = list(range(0, len(views), step))
    size = 64
    share = carved(views, chosen, size)
    hull = share == 1.0
    assert 0.002 < hull.mean() < 0.3
    # The hull, seen again, covers the silhouettes it was carved from: a wrong axis or sign leaves almost nothing.
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    kept = torch.from_numpy(grid[hull] * views.half + np.array(views.centre))
    for view in chosen:
        x, y = views.cameras.project(view, kept)[0].floor().long().unbind(-1)
        shown = torch.zeros(views.cameras.height, views.cameras.width)
        shown[y, x] = 1.0
        shown = torch.nn.functional.max_pool2d(shown[None, None], 5, 1, 2)[0, 0] > 0
        silhouette = views.picture(view)[..., 3] > 127
        assert (shown & silhouette).sum() > 0.9 * silhouette.sum()
    # The object lies within the box: no silhouette's cell stands at its border.
    border = (np.abs(grid) > 1 - 1.5 / size).any(1)
    assert not (hull & border).any()
