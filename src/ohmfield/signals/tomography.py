"""Projections: what a scanner measures of a field, from line integrals along the rays of parallel, fan and cone beams.

The object lies in the unit square or cube, around an axis of rotation. At angle a rays of a parallel beam run along
(sin a, cos a), and the detector along (cos a, -sin a): the conventions of scikit-image's `radon`, for which the axis
stands in the middle of pixel size // 2.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ohmfield.signals.points import Points
from ohmfield.signals.quality import psnr
from ohmfield.signals.volume import READ_ERRORS, hdf5
from ohmfield.spec import InputError

MAX_RAYS = 2**26
DARKEST = 1e-4
"""Least transmission that is told from none: of a pixel darker than its dark field, the logarithm is undefined."""

NEGATIVE = 10.0
"""Price of a negative attenuation, beside that of variation."""


@dataclass(frozen=True)
class Rays:
    """Where rays enter and leave the unit square or cube; equal where they miss it."""

    starts: Float[Tensor, "num_rays dim"]
    ends: Float[Tensor, "num_rays dim"]

    @property
    def both(self) -> Float[Tensor, "num_rays twice_dim"]:
        """Starts and ends side by side: what a step of training takes its rays from."""
        return torch.cat([self.starts, self.ends], dim=1)


def parallel(
    angles: Float[np.ndarray, " num_views"],
    num_cells: int,
    pitch: float,
    centre: float | None = None,
    axis: tuple[float, float] = (0.5, 0.5),
) -> Rays:
    """Rays of a parallel beam, view after view; `pitch` is the width of a cell of the detector.

    `centre` is where the axis of rotation falls on the detector, counted in cells (default (num_cells - 1) / 2).
    """
    sin, cos = np.sin(angles)[:, None], np.cos(angles)[:, None]
    offset = _offsets(num_cells, pitch, centre)
    middle = np.stack([axis[0] + offset * cos, axis[1] - offset * sin], axis=-1)
    along = np.stack(np.broadcast_arrays(sin, cos), axis=-1)
    return _clipped(middle, np.broadcast_to(along, middle.shape))


def cone(
    angles: Float[np.ndarray, " num_views"],
    cells: tuple[int, ...],
    pitch: float,
    source_to_axis: float,
    source_to_detector: float,
    centre: float | None = None,
) -> Rays:
    """Rays of a source that turns around the middle, view after view, with a flat detector across from it.

    `cells` is (columns,) for a fan beam in the unit square, (rows, columns) for a cone in the unit cube, whose axis is
    z. `pitch` is the width of a cell on the detector itself.
    """
    if not 0.0 < source_to_axis < source_to_detector:
        raise InputError(f"source_to_axis: {source_to_axis} is not allowed; use more than 0, less than to the detector")
    sin, cos = np.sin(angles), np.cos(angles)
    flat = [np.zeros_like(sin)] * (len(cells) - 1)
    along, across = np.stack([sin, cos, *flat], -1), np.stack([cos, -sin, *flat], -1)
    offset = _offsets(cells[-1], pitch, centre)
    reach = source_to_detector * along[:, None] + offset[:, None] * across[:, None]
    if len(cells) == 2:
        up = np.zeros((cells[0], 1, 3))
        up[:, 0, 2] = _offsets(cells[0], pitch, None)
        reach = reach[:, None] + up
    source = 0.5 - source_to_axis * along
    source = np.broadcast_to(source.reshape(len(angles), *[1] * len(cells), -1), reach.shape)
    return _clipped(source, reach / np.linalg.norm(reach, axis=-1, keepdims=True))


def _offsets(num_cells: int, pitch: float, centre: float | None) -> np.ndarray:
    return (np.arange(num_cells) - ((num_cells - 1) / 2 if centre is None else centre)) * pitch


def _clipped(points: np.ndarray, directions: np.ndarray) -> Rays:
    """Rays through `points` along unit `directions`, cut off at the unit square or cube."""
    dim = points.shape[-1]
    points, directions = points.reshape(-1, dim), directions.reshape(-1, dim)
    if len(points) > MAX_RAYS:
        raise InputError(f"{len(points)} rays, at most {MAX_RAYS} are held; use fewer views or wider cells")
    safe = np.where(np.abs(directions) < 1e-12, 1e-12, directions)
    one, other = -points / safe, (1.0 - points) / safe
    near, far = np.minimum(one, other).max(1), np.maximum(one, other).min(1)
    far = np.maximum(near, far)[:, None]
    near = near[:, None]
    missed = near >= far
    start, end = points + near * directions, points + far * directions
    start, end = (np.where(missed, 0.5, np.clip(x, 0.0, 1.0)) for x in (start, end))
    return Rays(torch.from_numpy(start).float(), torch.from_numpy(end).float())


@dataclass(frozen=True, eq=False)
class Sinogram:
    """Measured line integrals `values` [N, 1] along `rays`, of a picture of `shape` = (views, cells...).

    A field is sampled `num_samples` times along a ray. `smoothness` weighs what is asked of it beside agreement: little
    variation along the rays, nothing negative. `truth` is the object where it is known.
    """

    rays: Rays
    values: Float[Tensor, "num_rays 1"]
    shape: tuple[int, ...]
    num_samples: int
    name: str
    smoothness: float = 0.0
    truth: Points | None = field(default=None)
    source: str = ""

    channels = 1

    @property
    def dim(self) -> int:
        """Number of coordinates of the object."""
        return self.rays.starts.shape[1]

    def __len__(self) -> int:
        return len(self.values)

    def observe(
        self, model: Callable[[Tensor], Tensor], rays: Float[Tensor, "num twice_dim"]
    ) -> Float[Tensor, "num 2"]:
        """For each ray, start and end side by side: the line integral of `model`, and what `smoothness` weighs.

        Midpoint rule; differentiable in the parameters of `model`, so that its gradient is the back-projection.
        """
        starts, ends = rays.chunk(2, dim=1)
        share = (torch.arange(self.num_samples, dtype=rays.dtype) + 0.5) / self.num_samples
        coords = starts[:, None] + (ends - starts)[:, None] * share[:, None]
        along = model(coords.reshape(-1, self.dim)).reshape(len(rays), self.num_samples)
        length = (ends - starts).norm(dim=1)
        variation = along.diff(dim=1).abs().sum(1) + NEGATIVE * torch.relu(-along).mean(1) * length
        return torch.stack([along.mean(1) * length, variation], dim=1)

    def score(self, model: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """`projection_psnr_dB` of the projections and, where the truth is known, `psnr_dB` of the object."""
        with torch.no_grad():
            made = torch.cat([self.observe(model, part)[:, :1] for part in self.rays.both.split(1024)])
            scores = {"projection_psnr_dB": psnr(made, self.values, float(self.values.max()))}
            if self.truth is not None:
                scores["psnr_dB"] = self.truth.psnr_dB(model(self.truth.coords))
        return scores

    def describe(self) -> dict[str, object]:
        """Plain data that identifies the signal: name, sizes and a digest of rays and values."""
        digest = hashlib.blake2b(self.values.contiguous().numpy().tobytes(), digest_size=16)
        digest.update(self.rays.both.numpy().tobytes())
        return {
            "name": self.name,
            "shape": list(self.shape),
            "num_samples": self.num_samples,
            "smoothness": self.smoothness,
            "source": self.source,
            "digest": digest.hexdigest(),
        }


def absorbed(
    counts: Float[np.ndarray, "views *cells"],
    dark: Float[np.ndarray, "darks *cells"],
    white: Float[np.ndarray, "whites *cells"],
) -> Float[np.ndarray, "views *cells"]:
    """-log of the transmission: `(counts - dark) / (white - dark)`, with the means of the dark and the white fields.

    >>> absorbed(np.array([[11.0]]), np.array([[1.0]]), np.array([[101.0]])).round(4)
    array([[2.3026]])
    """
    ground = dark.mean(0)
    span = white.mean(0) - ground
    if (span <= 0.0).any():
        raise InputError(f"{int((span <= 0).sum())} cells are not brighter in the white field than in the dark one")
    return -np.log(np.maximum((counts - ground) / span, DARKEST))


def axis_of(sinogram: Float[np.ndarray, "views cells"], angles: Float[np.ndarray, " views"]) -> float:
    """Where the axis of rotation falls on the detector of a parallel beam, in cells.

    The middle of mass of a projection runs on a sine around it, whatever the object; fitted to all views. All of the
    object must be seen in each.
    """
    cells = np.arange(sinogram.shape[1])
    mass = sinogram.sum(1)
    if (mass <= 0.0).any() or len(angles) < 3:
        raise InputError("the axis is found from three views or more that absorb something; give `centre`")
    middles = (sinogram * cells).sum(1) / mass
    terms = np.stack([np.ones_like(angles), np.cos(angles), np.sin(angles)], axis=1)
    return float(np.linalg.lstsq(terms, middles, rcond=None)[0][0])


def measured(
    source: str | os.PathLike[str], row: int = 0, centre: float | None = None, smoothness: float = 0.0
) -> Sinogram:
    """One row of a parallel-beam scan in an HDF5 file of the Data Exchange layout.

    `exchange/data` [views, rows, cells] with `data_dark`, `data_white` and `theta` in degrees; the axis is found where
    `centre` is not given. Values are attenuation per width of the detector, which the unit square spans.
    """
    path = Path(source)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        counts, dark, white, theta = (
            np.asarray(hdf5(path, f"exchange/{name}"), np.float64)
            for name in ("data", "data_dark", "data_white", "theta")
        )
    except READ_ERRORS as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())}); copy it again") from None
    if counts.ndim != 3 or counts.shape[1:] != dark.shape[1:] or counts.shape[1:] != white.shape[1:]:
        raise InputError(
            f"{path}: data {counts.shape}, dark {dark.shape}, white {white.shape} are not views x one detector"
        )
    if theta.shape != counts.shape[:1]:
        raise InputError(f"{path}: {counts.shape[0]} views and {theta.size} angles; axes must be views, rows, cells")
    if not 0 <= row < counts.shape[1]:
        raise InputError(f"{path}: row {row} is not allowed; there are rows 0 to {counts.shape[1] - 1}")
    values = absorbed(counts[:, row], dark[:, row], white[:, row])
    if not np.isfinite(values).all():
        raise InputError(f"{path}: row {row} holds NaN or infinity; replace those counts")
    angles, num_cells = np.deg2rad(theta), values.shape[1]
    axis = axis_of(values, angles) if centre is None else centre
    rays = parallel(angles, num_cells, 1.0 / num_cells, axis)
    flat = torch.from_numpy(values.reshape(-1, 1)).float()
    return Sinogram(rays, flat, values.shape, num_cells, path.stem, smoothness, None, str(path.resolve()))


def scan(
    truth: Points,
    values: Float[np.ndarray, "views cells"],
    angles: Float[np.ndarray, " views"],
    smoothness: float = 0.0,
) -> Sinogram:
    """The signal of projections that scikit-image's `radon` made of a square picture: [cells, views] transposed.

    `radon` sums pixels; over the side of the picture that is the integral across the unit square.
    """
    size = truth.shape[0]
    if truth.shape != (size, size):
        raise InputError(f"{truth.name}: {truth.shape} pixels; projections are made of square pictures")
    middle = (size // 2 + 0.5) / size
    num_cells = values.shape[1]
    rays = parallel(angles, num_cells, 1.0 / size, num_cells // 2, (middle, middle))
    flat = torch.from_numpy(np.ascontiguousarray(values).reshape(-1, 1) / size).float()
    samples = math.ceil(math.sqrt(2.0) * size)
    return Sinogram(rays, flat, values.shape, samples, truth.name, smoothness, truth, truth.source)
