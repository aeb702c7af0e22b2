"""A solid as samples of its signed distance: negative inside, in edges of the unit cube that holds it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ohmfield._kernels import scanlines, triangles
from ohmfield.numerics import Noise
from ohmfield.signals.mesh import Mesh, isosurface, watertight
from ohmfield.signals.mesh import mesh as read_mesh
from ohmfield.signals.quality import iou
from ohmfield.spec import InputError

MARGIN = 0.05
"""Room between the solid and the nearest faces of the unit cube."""

PARTS = {"close": 5, "near": 2, "anywhere": 1}
"""Eighths of the samples, about the surface and uniform in the cube.

None lies exactly on it, as three eighths do in instant-ngp: asked for zero everywhere, a ReLU decoder learns to be off
on a layer around the surface, whose side is then that of one bias (spot at 128^3, 400 steps: IoU 0.993 against 0.997).
"""

SPREAD = {"close": 0.004, "near": 0.02}
"""Standard deviations of the steps away from the surface."""

SCORED_RESOLUTION = 256
MAX_RESOLUTION = 1024
MAX_SAMPLES = 2**26
CHAMFER_POINTS = 100_000

Sdf = Callable[[Tensor], Tensor]
"""Distances [N, 1] at coordinates [N, 3] of the unit cube."""


@dataclass(frozen=True, eq=False)
class Shape:
    """A solid: distances `values` [N, 1] at `coords` [N, 3], and the mesh they were taken from, in the unit cube.

    Inside is where the generalised winding number is above one half, so that open meshes have an inside too. A point
    of the mesh's file is `(coordinate - shift) / scale`.
    """

    coords: Float[Tensor, "num_points 3"]
    values: Float[Tensor, "num_points 1"]
    mesh: Mesh
    scale: float
    shift: tuple[float, float, float]
    name: str
    source: str = ""

    dim = 3
    channels = 1

    def __len__(self) -> int:
        return len(self.coords)

    @cached_property
    def inside(self) -> Bool[Tensor, "size size size"]:
        """Which cells of a grid of `SCORED_RESOLUTION` have their middle inside, x first; computed once."""
        return inside_grid(self.mesh, SCORED_RESOLUTION)

    def score(self, sdf: Sdf) -> dict[str, float]:
        """`iou` over the cells of a grid of 256^3, `chamfer`, `watertight` (1 or 0) of the extracted surface.

        `chamfer` is the mean distance of its points to the mesh plus that of the mesh's points to it, halved; infinite
        where `sdf` has no surface.
        """
        values = on_grid(sdf, SCORED_RESOLUTION)
        scores = {"iou": iou(values < 0.0, self.inside)}
        if not bool((values < 0.0).any()):
            return {**scores, "chamfer": float("inf"), "watertight": 0.0}
        made = isosurface(values.numpy(), self.name)
        return {**scores, "chamfer": chamfer(made, self.mesh), "watertight": float(watertight(made.faces))}

    def extract(self, sdf: Sdf, resolution: int = SCORED_RESOLUTION) -> Mesh:
        """The surface of `sdf`, by marching cubes, where and as large as the original mesh was."""
        made = isosurface(on_grid(sdf, resolution).numpy(), self.name)
        return replace(made, vertices=(made.vertices - np.array(self.shift)) / self.scale)

    def describe(self) -> dict[str, object]:
        """Plain data that identifies the signal: name, sizes and a digest of coordinates and values."""
        digest = hashlib.blake2b(self.coords.contiguous().numpy().tobytes(), digest_size=16)
        digest.update(self.values.contiguous().numpy().tobytes())
        return {
            "name": self.name,
            "samples": len(self),
            "triangles": len(self.mesh.faces),
            "source": self.source,
            "digest": digest.hexdigest(),
        }


def shape(source: str | os.PathLike[str] | Mesh, samples: int = 2**20, seed: int = 0) -> Shape:
    """The solid of a mesh, or of a mesh file, as `samples` distances (a multiple of 8).

    The mesh is moved to the middle of the unit cube and scaled to leave `MARGIN` free along its longest side.
    """
    if not 8 <= samples <= MAX_SAMPLES or samples % 8:
        raise InputError(f"samples: {samples} is not allowed; use a multiple of 8 up to {MAX_SAMPLES}")
    given = source if isinstance(source, Mesh) else read_mesh(source)
    low, high = given.vertices.min(0), given.vertices.max(0)
    scale = (1.0 - 2.0 * MARGIN) / float((high - low).max())
    shift = 0.5 - scale * 0.5 * (low + high)
    inner = replace(given, vertices=given.vertices * scale + shift)
    noise = Noise(seed).at("shape")
    coords = torch.from_numpy(_places(inner, samples, noise)).float().clamp(0.0, 1.0)
    values = torch.from_numpy(signed_distance(inner, coords.double().numpy())).float()[:, None]
    x, y, z = (float(value) for value in shift)
    return Shape(coords, values, inner, scale, (x, y, z), given.name, given.source)


def signed_distance(mesh: Mesh, points: Float[np.ndarray, "num 3"]) -> Float[np.ndarray, " num"]:
    """Exact distances to `mesh`, negative where its winding number is above one half."""
    distance = triangles.distance(points, mesh.tree)
    return np.where(triangles.winding(points, mesh.tree) > 0.5, -distance, distance)


def inside_grid(mesh: Mesh, size: int) -> Bool[Tensor, "size size size"]:
    """Which cells of the unit cube have their middle inside `mesh`, x first.

    Lines along z count the crossings with the mesh closed by a lid; the winding number of the lid, if there is one,
    is taken away again.
    """
    lid = mesh.lid
    closed = scanlines.winding_grid(np.concatenate([mesh.triangles, lid]), size)
    if not len(lid):
        return torch.from_numpy(closed > 0)
    tree = triangles.build(lid)
    out = torch.empty(closed.shape, dtype=torch.bool)
    for x, coords in enumerate(_slabs(size)):
        own = triangles.winding(coords.double().numpy(), tree).reshape(size, size)
        out[x] = torch.from_numpy(closed[x] - own > 0.5)
    return out


def on_grid(sdf: Sdf, size: int) -> Float[Tensor, "size size size"]:
    """`sdf` at the middles of the cells of the unit cube, x first, a slab at a time."""
    if not 2 <= size <= MAX_RESOLUTION:
        raise InputError(f"resolution: {size} is not allowed; use 2 to {MAX_RESOLUTION}")
    out = torch.empty(size, size, size)
    for x, coords in enumerate(_slabs(size)):
        values = sdf(coords).detach().reshape(size, size)
        if not bool(torch.isfinite(values).all()):
            raise InputError("the field gives NaN or infinity as a distance; train it again with a lower learning rate")
        out[x] = values
    return out


def chamfer(one: Mesh, other: Mesh, points: int = CHAMFER_POINTS) -> float:
    """Mean distance of points of one surface to the other, both ways, halved."""
    drawn = Noise(0).at("chamfer")
    there = triangles.distance(one.surface_points(points, drawn.at("one")), other.tree).mean()
    back = triangles.distance(other.surface_points(points, drawn.at("other")), one.tree).mean()
    return 0.5 * float(there + back)


def _places(mesh: Mesh, samples: int, noise: Noise) -> Float[np.ndarray, "num 3"]:
    counts = {part: samples // 8 * eighths for part, eighths in PARTS.items()}
    places = []
    for part, spread in SPREAD.items():
        steps = spread * noise.at(part, "step").normal((counts[part], 3)).double().numpy()
        places.append(mesh.surface_points(counts[part], noise.at(part)) + steps)
    places.append(noise.at("anywhere").uniform((counts["anywhere"], 3)).double().numpy())
    return np.concatenate(places)


def _slabs(size: int):
    """Coordinates [size^2, 3] of the middles of the cells with the same x, one x after the other."""
    middles = (torch.arange(size, dtype=torch.float32) + 0.5) / size
    y, z = torch.meshgrid(middles, middles, indexing="ij")
    for x in middles:
        yield torch.stack([x.expand_as(y), y, z], dim=-1).reshape(-1, 3)
