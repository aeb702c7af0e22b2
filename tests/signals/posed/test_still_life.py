"""The scene without a file: surfaces where they are said to be, light that moves, pictures that stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ohmfield.signals.posed import still_life
from ohmfield.signals.posed.analytic import FAR, Ball, Box, Ring, Shape, turned
from ohmfield.signals.posed.still_life import LIGHT, SHAPES, SHININESS, SPECULAR, _seen
from ohmfield.spec import InputError


def gap(shape: Shape, at: np.ndarray) -> np.ndarray:
    """Signed distance to a surface, written apart from the shapes' own code."""
    local = at - np.array(shape.centre)
    if isinstance(shape, Ball):
        return np.linalg.norm(local, axis=1) - shape.radius
    if isinstance(shape, Box):
        c, s = np.cos(shape.turn), np.sin(shape.turn)
        local = local @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        beyond = np.abs(local) - np.array(shape.halves)
        return np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(1), 0)
    assert isinstance(shape, Ring)
    c, s = np.cos(shape.tilt), np.sin(shape.tilt)
    local = local @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    return np.hypot(np.hypot(local[:, 0], local[:, 1]) - shape.radius, local[:, 2]) - shape.thickness


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: type(shape).__name__)
def test_rays_end_on_the_first_surface(shape: Shape) -> None:
    rng = np.random.default_rng(0)
    along = rng.normal(size=(4000, 3))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    origin = np.array(shape.centre) - 2.5 * along + rng.uniform(-0.5, 0.5, (4000, 3))
    distance = shape.distance(origin, along)
    hit = distance < FAR
    assert 200 < hit.sum() < 4000
    at = origin[hit] + distance[hit, None] * along[hit]
    assert np.abs(gap(shape, at)).max() < 2e-6
    # Nothing lies before the first point, and nothing at all on a ray that misses.
    for share in np.linspace(0.02, 0.98, 60):
        before = np.where(hit, share * distance, share * 5.0)
        assert gap(shape, origin + before[:, None] * along).min() > -2e-6
    normal = shape.normal(at)
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1.0, atol=1e-9)
    assert np.abs(gap(shape, at + 1e-4 * normal) - 1e-4).max() < 1e-6
    assert (np.einsum("ij,ij->i", normal, along[hit]) < 1e-3).all()


def test_turns_are_turns() -> None:
    np.testing.assert_allclose(turned(np.eye(3), 2, np.pi / 2), [[0, 1, 0], [-1, 0, 0], [0, 0, 1]], atol=1e-12)


def test_every_shape_lies_in_the_box_and_every_camera_sees_the_box() -> None:
    views = still_life(64)
    rng = np.random.default_rng(0)
    outside = rng.uniform(-2, 2, (100_000, 3))
    outside = outside[np.abs(outside).max(1) > views.half]
    assert min(gap(shape, outside).min() for shape in SHAPES) > 0
    assert np.linalg.norm(LIGHT) == pytest.approx(1.0)
    for view in range(0, 120, 7):
        pixels, depth = views.cameras.project(view, torch.zeros(1, 3))
        torch.testing.assert_close(pixels, torch.full((1, 2), 32.0), atol=1e-3, rtol=0.0)
        assert depth[0] > views.half


def test_pictures_show_the_shapes_and_nothing_else() -> None:
    views = still_life(48, 12)
    for view in (0, 6, 11):
        alpha = views.picture(view)[..., 3].flatten().numpy()
        origin, along = (rays.double().numpy() for rays in views.cameras.all_rays(view))
        met = np.min([shape.distance(origin, along) for shape in SHAPES], 0) < FAR
        assert (alpha[met] > 0).all()
        assert (alpha[~met] < 255).all()
        partly = (alpha > 0) & (alpha < 255)
        assert 20 < partly.sum() < 400  # edges are soft
        assert 0.15 < met.mean() < 0.6


def test_an_edge_covers_its_share() -> None:
    # The alpha of a coarse picture is the area that a fine one shows.
    coarse, fine = still_life(24, 6), still_life(192, 6)
    for view in (1, 4):
        area = (fine.picture(view)[..., 3].double() / 255).reshape(24, 8, 24, 8).mean((1, 3))
        assert (area - coarse.picture(view)[..., 3] / 255).abs().max() < 0.2
        assert (area - coarse.picture(view)[..., 3] / 255).mean().abs() < 0.003


def test_the_same_point_looks_otherwise_from_elsewhere() -> None:
    views, ball = still_life(200, 120), SHAPES[2]
    assert isinstance(ball, Ball)
    eyes, centre = views.cameras.poses[:, :, 3].double().numpy(), np.array(ball.centre)
    # The place where view 40 sees the ball shine.
    halfway = eyes[40] / np.linalg.norm(eyes[40]) + LIGHT
    normal = halfway / np.linalg.norm(halfway)
    spot = centre + ball.radius * normal
    colours, shine = [], []
    for view in range(20, 80):
        away = (eyes[view] - spot) / np.linalg.norm(eyes[view] - spot)
        clear = all(shape.distance((spot + 1e-3 * away)[None], away[None])[0] == FAR for shape in SHAPES)
        if normal @ away > 0.1 and clear:
            (x, y), _ = (part[0].numpy() for part in views.cameras.project(view, torch.from_numpy(spot)[None]))
            values, met = _seen(views.cameras, view, np.array([x - 0.5]), np.array([y - 0.5]))
            assert met == [2]
            colours.append(values[0, :3])
            middle = (LIGHT + away) / np.linalg.norm(LIGHT + away)
            shine.append(SPECULAR * max(normal @ middle, 0.0) ** SHININESS)
    made, wanted = np.array(colours), np.array(shine)[:, None]
    assert len(made) > 10
    assert np.ptp(wanted) > 0.3
    paint = np.where(made < 1.0, made - wanted, np.nan)  # without the highlight it is one colour from everywhere
    assert np.nanmax(np.nanmax(paint, 0) - np.nanmin(paint, 0)) < 2e-3


def test_the_same_scene_again() -> None:
    one, two = still_life(16, 12), still_life(16, 12)
    assert one.describe() == two.describe()
    assert still_life(16, 18).describe()["digest"] != one.describe()["digest"]


@pytest.mark.parametrize(("num", "train", "test"), [(120, 100, 20), (60, 50, 10), (2, 1, 1), (7, 6, 1)])
def test_a_sixth_tests(num: int, train: int, test: int) -> None:
    splits = still_life(8, num).splits
    assert (len(splits["train"]), len(splits["test"])) == (train, test)
    assert sorted(splits["train"] + splits["test"]) == list(range(num))


@pytest.mark.parametrize(("side", "num"), [(7, 10), (5000, 10), (16, 1), (16, 10**6)])
def test_sizes_that_are_not_allowed(side: int, num: int) -> None:
    with pytest.raises(InputError, match="use"):
        still_life(side, num)
