"""Triangle meshes: what is checked, how they are closed, sampled and cut out of a grid of distances."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from skimage.measure import marching_cubes

from ohmfield._kernels import triangles
from ohmfield.numerics import Noise
from ohmfield.signals import mesh_files
from ohmfield.spec import InputError


@dataclass(frozen=True, eq=False)
class Mesh:
    """Corners and the triangles between them, counter-clockwise from outside."""

    vertices: Float[np.ndarray, "num_vertices 3"]
    faces: Int[np.ndarray, "num_faces 3"]
    name: str
    source: str = ""
    num_skipped: int = 0  # triangles of the file without area

    @cached_property
    def triangles(self) -> Float[np.ndarray, "num_faces 3 3"]:
        """The corners of each triangle."""
        return self.vertices[self.faces]

    @cached_property
    def tree(self) -> triangles.Tree:
        """For distances and winding numbers."""
        return triangles.build(self.triangles)

    @cached_property
    def areas(self) -> Float[np.ndarray, " num_faces"]:
        """Of each triangle."""
        return areas_of(self.triangles)

    @cached_property
    def lid(self) -> Float[np.ndarray, "num_lids 3 3"]:
        """Triangles that close the mesh: from the middle of its rims to each edge that has no counterpart.

        None for a closed mesh. Whatever holes there are, mesh and lid together have no rim.
        """
        rim = open_edges(self.faces)
        if not len(rim):
            return np.zeros((0, 3, 3))
        a, b = self.vertices[rim[:, 0]], self.vertices[rim[:, 1]]
        apex = np.broadcast_to(a.mean(0), a.shape)
        return np.stack([b, a, apex], axis=1)

    def surface_points(self, count: int, noise: Noise) -> Float[np.ndarray, "count 3"]:
        """Points on the surface, equally likely everywhere on it."""
        ends = np.cumsum(self.areas)
        drawn = noise.uniform((count, 3)).double().numpy()
        chosen = np.searchsorted(ends, drawn[:, 0] * ends[-1], side="right").clip(max=len(ends) - 1)
        root = np.sqrt(drawn[:, 1:2])
        a, b, c = self.triangles[chosen].transpose(1, 0, 2)
        return (1.0 - root) * a + root * (1.0 - drawn[:, 2:]) * b + root * drawn[:, 2:] * c

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a `.ply` (binary) or `.obj`."""
        mesh_files.write(Path(path), self.vertices, self.faces)


def mesh(source: str | os.PathLike[str]) -> Mesh:
    """The mesh of an `.obj`, `.ply` or `.stl` file; raises `InputError` for what cannot be read."""
    path = Path(source)
    vertices, faces = mesh_files.read(path)
    return checked(vertices, faces, path.stem, str(path.resolve()))


def checked(vertices: np.ndarray, faces: np.ndarray, name: str, source: str = "") -> Mesh:
    """A mesh without the triangles that have no area, and without corners that nothing uses.

    Raises `InputError` for NaN, indices of corners that are not there, and when nothing is left.
    """
    where = source or name
    if not len(faces):
        raise InputError(f"{where}: holds no triangles; a cloud of points has no inside: export the surface")
    least, most = int(faces.min()), int(faces.max())
    if least < 0 or most >= len(vertices):
        wrong = least if least < 0 else most
        raise InputError(f"{where}: a face names vertex {wrong}, there are {len(vertices)} (counted from 0)")
    used, faces = np.unique(faces, return_inverse=True)
    vertices, faces = vertices[used].astype(np.float64), faces.reshape(-1, 3)
    broken = ~np.isfinite(vertices).all(1)
    if broken.any():
        raise InputError(f"{where}: {int(broken.sum())} vertices hold NaN or infinity, vertex {used[broken][0]} first")
    size = float(np.ptp(vertices, axis=0).max())
    flat = areas_of(vertices[faces]) <= 1e-14 * size * size
    if flat.all():
        raise InputError(f"{where}: all {len(faces)} triangles have no area; a surface is needed")
    kept, faces = np.unique(faces[~flat], return_inverse=True)
    return Mesh(vertices[kept], faces.reshape(-1, 3), name, source, int(flat.sum()))


def areas_of(corners: Float[np.ndarray, "num_faces 3 3"]) -> Float[np.ndarray, " num_faces"]:
    """Areas of triangles."""
    return 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1)


def open_edges(faces: Int[np.ndarray, "num_faces 3"]) -> Int[np.ndarray, "num_edges 2"]:
    """Directed edges without one the other way, as often as they are missing; none where the mesh is closed.

    >>> open_edges(np.array([[0, 1, 2], [2, 1, 3]])).tolist()
    [[0, 1], [1, 3], [2, 0], [3, 2]]
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    num = int(faces.max()) + 1
    forward = edges[:, 0] < edges[:, 1]
    low, high = edges.min(1), edges.max(1)
    keys, which = np.unique(low * num + high, return_inverse=True)
    surplus = np.bincount(which, weights=np.where(forward, 1.0, -1.0), minlength=len(keys)).astype(np.int64)
    left = np.abs(surplus)
    pairs = np.stack([keys // num, keys % num], axis=1)
    pairs = np.where((surplus > 0)[:, None], pairs, pairs[:, ::-1])
    rim = np.repeat(pairs, left, axis=0)
    return rim[np.lexsort((rim[:, 1], rim[:, 0]))]


def watertight(faces: Int[np.ndarray, "num_faces 3"]) -> bool:
    """Whether each edge belongs to exactly two triangles that run along it in opposite directions."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    keys = edges[:, 0] * (int(faces.max()) + 1) + edges[:, 1]
    return len(np.unique(keys)) == len(keys) and not len(open_edges(faces))


def isosurface(values: Float[np.ndarray, "x y z"], name: str) -> Mesh:
    """The surface where distances at the middles of the cells of the unit cube are zero (negative is inside).

    Closed: what reaches the faces of the cube is cut off there. Raises `InputError` when nothing is inside.
    """
    if not (values < 0.0).any():
        raise InputError(f"{name}: the field is negative nowhere on the grid; there is no surface to extract")
    sides = np.array(values.shape)
    step = 1.0 / sides
    padded = np.pad(values.astype(np.float32), 1, constant_values=float(step.max()))
    padded[padded == 0.0] = 1e-12  # a corner exactly on the surface makes triangles without area
    vertices, faces, _, _ = marching_cubes(padded, level=0.0, gradient_direction="descent", allow_degenerate=True)
    return Mesh((vertices.astype(np.float64) - 0.5) * step, faces.astype(np.int64), name)
