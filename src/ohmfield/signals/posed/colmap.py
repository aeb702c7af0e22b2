"""COLMAP models, text or binary: cameras and photographs of `sparse/0`, points for the box and for splats."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ohmfield.signals.cameras import OPENCV_AXES
from ohmfield.signals.posed import colmap_binary, colmap_text
from ohmfield.signals.posed.colmap_model import Camera, Photograph
from ohmfield.signals.posed.found import (
    MAX_FAR,
    Found,
    Lens,
    Shot,
    images_folder,
    in_order,
    inside,
    mask_of,
    rigid,
    shown,
)
from ohmfield.spec import InputError

PLACES = ("sparse/0", "sparse", "colmap/sparse/0", "")
READERS = {".bin": colmap_binary, ".txt": colmap_text}


def model_files(folder: Path) -> tuple[Path, str] | None:
    """The folder of a whole model and the ending of its files, where COLMAP and its users put one."""
    for place in PLACES:
        for suffix in READERS:
            if all((folder / place / f"{name}{suffix}").is_file() for name in ("cameras", "images")):
                return folder / place, suffix
    return None


def read_colmap(folder: Path, images: str | None = None) -> Found:
    """The model of a folder with its photographs, in order of their names; those without a file are left out."""
    found = model_files(folder)
    if found is None:
        raise InputError(f"{folder}: holds no COLMAP model; sparse/0 needs cameras and images, .bin or .txt")
    place, suffix = found
    reader = READERS[suffix]
    cameras = reader.read_cameras(place / f"cameras{suffix}")
    photographs = reader.read_photographs(place / f"images{suffix}")
    chosen = images_folder(folder, images)
    shots, skipped = [], []
    for photograph in sorted(photographs, key=lambda photograph: in_order(photograph.name)):
        where = f"{place / f'images{suffix}'}: {shown(photograph.name)}"
        file = inside(chosen, photograph.name, where)
        camera = cameras.get(photograph.camera)
        if camera is None:
            raise InputError(f"{where}: camera {photograph.camera} is not in cameras{suffix}; export the model again")
        if not file.is_file():
            skipped.append(f"{where}: no such picture in {chosen.name}")
            continue
        lens = lens_of(camera).checked(f"{place / f'cameras{suffix}'}: camera {photograph.camera}")
        shots.append(Shot(file, pose_of(photograph, where), lens, mask=mask_of(folder, photograph.name)))
    points = place / f"points3D{suffix}"
    cloud = reader.read_points(points) if points.is_file() else None
    if cloud is None:
        return Found(folder, shots, tuple(skipped))
    whole = (np.abs(cloud.places) < MAX_FAR).all(1)  # neither NaN nor thrown far away
    return Found(folder, shots, tuple(skipped), points=cloud.places[whole], colours=cloud.colours[whole])


def pose_of(photograph: Photograph, where: str) -> np.ndarray:
    """Camera-to-world [3, 4] with our axes, of a world-to-camera quaternion and translation with OpenCV's."""
    length = math.hypot(*photograph.quaternion)
    if not (math.isfinite(length) and length > 1e-6):
        raise InputError(f"{where}: the quaternion {photograph.quaternion} is no rotation; remove this photograph")
    w, x, y, z = (value / length for value in photograph.quaternion)
    axes = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    position = -axes.T @ np.array(photograph.translation)
    return rigid(np.concatenate([axes.T * np.array(OPENCV_AXES), position[:, None]], 1), where)


def lens_of(camera: Camera) -> Lens:
    """The lens of a camera: one or two focal lengths, the centre, and what bends."""
    one_focal = camera.model not in ("PINHOLE", "OPENCV", "OPENCV_FISHEYE")
    values = camera.parameters if not one_focal else (camera.parameters[0], *camera.parameters)
    focal, centre, bends = values[:2], values[2:4], values[4:]
    if bends:
        bends = tuple([*bends, 0.0, 0.0, 0.0, 0.0][:5])  # k1 k2, then p1 p2 or k3 k4, in the order of `Cameras`
    return Lens(
        (camera.width, camera.height), (focal[0], focal[1]), (centre[0], centre[1]), bends, "FISHEYE" in camera.model
    )
