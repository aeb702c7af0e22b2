"""Where the scene lies, worked out from cameras: the point they look at, what they see of it, and how far it goes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ohmfield.signals.posed.found import Found, Shot

CROSSING = 0.1  # mean squared sine between view axes below which cameras look one way (fern 0.01, an orbit 0.3 to 0.6)
ONE_WAY = 0.8  # length of the mean view direction: all within some 37 degrees
ROOM = 0.9  # content begins at this share of the nearest bound (NeRF's own margin for LLFF scenes)
BOUNDS_PERCENT = (0.1, 99.9)  # of the depths of a photograph's points, as LLFF takes them


@dataclass(frozen=True)
class Place:
    """The cube of a scene, whether it goes on outside, and the distance before which nothing is seen."""

    centre: tuple[float, float, float]
    half: float
    unbounded: bool
    near: float = 0.0


def place(found: Found, has_alpha: bool) -> Place:
    """The box of `found`, or the one its cameras suggest.

    Cameras that look one way see a frustum each: the cube around all of them, from the nearest bound to the farthest.
    All others: as much as they see of the plane through the point they look at, with surroundings outside of it unless
    it is an object that stands free (`has_alpha`).
    """
    if found.box is not None:
        return Place(*found.box, unbounded=False)
    poses = np.stack([shot.pose for shot in found.shots])
    centre = looked_at(poses)
    bounds = found.bounds if found.bounds is not None else depth_bounds(found)
    if centre is None and bounds is not None:
        return _around_frusta(found.shots, bounds)
    if centre is None:
        centre = poses[:, :, 3].mean(0)
    distances = np.linalg.norm(poses[:, :, 3] - centre, axis=1)
    extents = [max(shot.lens.size[axis] / shot.lens.focal[axis] for axis in (0, 1)) / 2 for shot in found.shots]
    half = float(np.median(distances * extents))
    x, y, z = (float(value) for value in centre)
    # Cameras that all stand in one point (a panorama) say nothing of distance: the cube is one unit around them.
    return Place((x, y, z), half if half > 1e-6 else 1.0, unbounded=not has_alpha)


def looked_at(poses: np.ndarray) -> np.ndarray | None:
    """The point nearest to all view axes (least squares), if they cross and it lies ahead of most cameras."""
    looks, origins = -poses[:, :, 2], poses[:, :, 3]
    across = np.eye(3) - looks[:, :, None] * looks[:, None, :]
    total = across.sum(0)
    if np.linalg.eigvalsh(total)[0] < CROSSING * len(poses):
        return None  # they look one way
    point = np.linalg.solve(total, (across @ origins[:, :, None]).sum(0))[:, 0]
    ahead = ((point - origins) * looks).sum(1) > 0
    return point if ahead.mean() > 0.5 else None


def depth_bounds(found: Found) -> np.ndarray | None:
    """[num, 2]: where the points ahead of each photograph, and within it, begin and end; None when any sees none."""
    if found.points is None or not len(found.points):
        return None
    bounds = []
    for shot in found.shots:
        local = (found.points - shot.pose[:, 3]) @ shot.pose[:, :3]
        depth = -local[:, 2]
        ahead = depth > 0
        x, y = (local[ahead, axis] / depth[ahead] * shot.lens.focal[axis] for axis in (0, 1))
        seen = (np.abs(x) < shot.lens.size[0] / 2) & (np.abs(y) < shot.lens.size[1] / 2)
        if not seen.any():
            return None
        bounds.append(np.percentile(depth[ahead][seen], BOUNDS_PERCENT))
    return np.array(bounds)


def recentred(poses: np.ndarray) -> np.ndarray:
    """The same cameras in the axes of their average: it stands in the origin, looks down -z, and y is its up.

    Cameras around a scene have no average worth the name: they stay as they are.
    """
    back = poses[:, :, 2].mean(0)
    if np.linalg.norm(back) < ONE_WAY:
        return poses
    back /= np.linalg.norm(back)
    right = np.cross(poses[:, :, 1].mean(0), back)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(back, right), back])
    moved = poses.copy()
    moved[:, :, 3] -= poses[:, :, 3].mean(0)
    return axes @ moved


def _around_frusta(shots: list[Shot], bounds: np.ndarray) -> Place:
    """The cube around what every photograph sees between its bounds."""
    near, far = ROOM * float(bounds[:, 0].min()), float(bounds[:, 1].max())
    corners = []
    for shot in shots:
        lens = shot.lens
        for x in (-lens.centre[0], lens.size[0] - lens.centre[0]):
            for y in (-lens.centre[1], lens.size[1] - lens.centre[1]):
                ray = shot.pose[:, :3] @ np.array([x / lens.focal[0], -y / lens.focal[1], -1.0])
                corners += [shot.pose[:, 3] + depth * ray for depth in (near, far)]
    low, high = np.min(corners, 0), np.max(corners, 0)
    x, y, z = (float(value) for value in (low + high) / 2)
    return Place((x, y, z), float((high - low).max()) / 2, unbounded=False, near=near)
