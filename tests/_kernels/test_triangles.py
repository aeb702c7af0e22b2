"""Distances, winding numbers and scan lines: fast against reference, and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from ohmfield._kernels import scanlines, triangles
from solids import box, hemisphere, sphere


def points(count: int, seed: int = 0, low: float = -1.5, high: float = 1.5) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, (count, 3))


@pytest.mark.parametrize("make", [box, sphere, hemisphere])
def test_fast_agrees_with_reference(make) -> None:
    corners, at = make().triangles, points(300)
    distance, winding = triangles.reference(at, corners)
    tree = triangles.build(corners)
    assert triangles.distance(at, tree) == pytest.approx(distance, abs=1e-12)
    assert triangles.winding(at, tree) == pytest.approx(winding, abs=0.05)


def test_a_soup_of_thin_and_flat_triangles_too() -> None:
    soup = points(3 * 200, 1).reshape(200, 3, 3)
    soup[:40, 2] = soup[:40, 1]  # a needle
    soup[40:80] = soup[40:80, :1]  # a point
    at = points(200, 2)
    distance, _ = triangles.reference(at, soup)
    assert triangles.distance(at, triangles.build(soup)) == pytest.approx(distance, abs=1e-9)


def test_distance_to_a_box() -> None:
    at = points(500, 3, -1.0, 2.0)
    outside = np.linalg.norm(np.maximum(np.maximum(-at, at - 1.0), 0.0), axis=1)
    inside = np.minimum(at, 1.0 - at).min(1)
    expected = np.where(inside > 0, inside, outside)
    tree = triangles.build(box().triangles)
    assert triangles.distance(at, tree) == pytest.approx(expected, abs=1e-12)
    clear = np.abs(inside) > 1e-6
    assert ((triangles.winding(at, tree) > 0.5) == (inside > 0))[clear].all()


def test_an_open_rim_sees_half_a_turn() -> None:
    tree = triangles.build(hemisphere().triangles)
    middle = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.5], [0.0, 0.0, -3.0]])
    winding = triangles.winding(middle, tree)
    assert winding[0] == pytest.approx(0.5, abs=0.02)
    assert winding[1] > 0.6
    assert abs(winding[2]) < 0.1


@pytest.mark.parametrize("size", [6, 8])
def test_lines_through_corners_and_edges_count_once(size: int) -> None:
    # With an even number of cells per length of the box, lines meet its corners, edges and diagonals exactly.
    for low, high in ((0.5 / size, 1 - 0.5 / size), (0.25, 0.75), (1.5 / size, 1 - 1.5 / size)):
        grid = scanlines.winding_grid(box(low, high).triangles, size)
        assert set(np.unique(grid)) == {0, 1}
        assert np.array_equal(grid, scanlines.reference(box(low, high).triangles, size))


def test_lines_agree_with_the_winding_number() -> None:
    corners = 0.5 + 0.37 * sphere().triangles
    grid = scanlines.winding_grid(corners, 16)
    at = np.stack(np.meshgrid(*[(np.arange(16) + 0.5) / 16] * 3, indexing="ij"), -1).reshape(-1, 3)
    assert np.array_equal(grid.reshape(-1) > 0, triangles.winding(at, triangles.build(corners)) > 0.5)
    assert np.array_equal(grid, scanlines.reference(corners, 16))
    twice = scanlines.winding_grid(np.concatenate([corners, corners]), 16)
    assert np.array_equal(twice, 2 * grid)
    assert np.array_equal(scanlines.winding_grid(corners[:, ::-1], 16), -grid)
