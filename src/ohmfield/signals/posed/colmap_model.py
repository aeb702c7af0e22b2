"""A COLMAP model in memory, whatever file it came from, and what both its readers check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ohmfield.spec import InputError

# Number of a camera model in binary files: its name, and how many parameters it has.
MODELS = {
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
    6: ("FULL_OPENCV", 12),
    7: ("FOV", 5),
    8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5),
    10: ("THIN_PRISM_FISHEYE", 12),
}
NUM_PARAMETERS = dict(MODELS.values())
SUPPORTED = tuple(name for name in NUM_PARAMETERS if name not in ("FULL_OPENCV", "FOV", "THIN_PRISM_FISHEYE"))


@dataclass(frozen=True)
class Camera:
    """Size and parameters of a camera, in COLMAP's order."""

    model: str
    width: int
    height: int
    parameters: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Photograph:
    """World-to-camera quaternion (w first) and translation, and where points of the scene were seen in it."""

    name: str
    quaternion: tuple[float, ...]
    translation: tuple[float, ...]
    camera: int
    seen: np.ndarray = field(repr=False)  # [num, 2] pixels
    seen_points: np.ndarray = field(repr=False)  # [num] numbers of points, -1 where none


@dataclass(frozen=True, eq=False)
class Points:
    """Numbers, places [num, 3] and colours [num, 3] (uint8) of the points of the scene."""

    numbers: np.ndarray
    places: np.ndarray
    colours: np.ndarray

    @classmethod
    def of(cls, numbers: list[int], places: list[Sequence[float]], colours: list[Sequence[int]]) -> Points:
        """From lists, which may be empty."""
        return cls(
            np.array(numbers, np.uint64),
            np.array(places, np.float64).reshape(-1, 3),
            np.array(colours, np.uint8).reshape(-1, 3),
        )


def checked_model(name: str, num_parameters: int | None, where: str) -> str:
    """The name, or `InputError` for a model that is not read or has another number of parameters."""
    if name not in SUPPORTED:
        raise InputError(
            f"{where}: camera model {name[:40]} is not read; allowed: {', '.join(SUPPORTED)}; "
            "undistort with `colmap image_undistorter` first"
        )
    if num_parameters is not None and num_parameters != NUM_PARAMETERS[name]:
        raise InputError(f"{where}: {name} with {num_parameters} parameters, it has {NUM_PARAMETERS[name]}")
    return name
