"""Writers of every format of posed photographs, for tests: what a reader must give back is known."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ohmfield.signals.views import Views

FLIP = np.diag([1.0, -1.0, -1.0])


def matrices(views: Views) -> np.ndarray:
    """[num, 4, 4] float64 camera-to-world, OpenGL axes, axes orthonormal to the last bit."""
    left, _, right = np.linalg.svd(views.cameras.poses[:, :, :3].double().numpy())
    made = np.tile(np.eye(4), (len(views), 1, 1))
    made[:, :3, :3], made[:, :3, 3] = left @ right, views.cameras.poses[:, :, 3].double().numpy()
    return made


def write_pictures(views: Views, folder: Path, names: Sequence[str]) -> None:
    """PNGs of all views."""
    folder.mkdir(parents=True, exist_ok=True)
    for view, name in enumerate(names):
        Image.fromarray(views.picture(view).numpy()).save(folder / name)


def names_of(views: Views) -> list[str]:
    return [f"{view:03d}.png" for view in range(len(views))]


def frames_of(views: Views, prefix: str = "images/") -> list[dict[str, Any]]:
    return [
        {"file_path": f"{prefix}{name}", "transform_matrix": matrix.tolist()}
        for name, matrix in zip(names_of(views), matrices(views), strict=True)
    ]


def write_json(folder: Path, name: str = "transforms.json", **data: Any) -> None:
    (folder / name).write_text(json.dumps(data))


def write_ngp(views: Views, folder: Path, **more: Any) -> None:
    """One `transforms.json` with the intrinsics of the views, and `images`."""
    write_pictures(views, folder / "images", names_of(views))
    cameras = views.cameras
    given = {
        "fl_x": float(cameras.focals[0, 0]),
        "fl_y": float(cameras.focals[0, 1]),
        "cx": float(cameras.centres[0, 0]),
        "cy": float(cameras.centres[0, 1]),
        "w": cameras.width,
        "h": cameras.height,
        "frames": frames_of(views),
    }
    write_json(folder, **{**given, **more})


def write_blender(views: Views, folder: Path) -> None:
    """`transforms_train.json` and `transforms_test.json`, file paths without ending."""
    write_pictures(views, folder / "pictures", names_of(views))
    angle = 2.0 * float(np.arctan(views.cameras.width / 2 / views.cameras.focals[0, 0]))
    frames = frames_of(views, "./pictures/")
    for split in ("train", "test"):
        chosen = [{**frames[n], "file_path": frames[n]["file_path"][:-4]} for n in views.splits[split]]
        write_json(folder, f"transforms_{split}.json", camera_angle_x=angle, frames=chosen)


def write_llff(views: Views, folder: Path, near: float = 2.0, far: float = 5.0) -> None:
    write_pictures(views, folder / "images", names_of(views))
    np.save(folder / "poses_bounds.npy", llff_rows(views, near, far))


def llff_rows(views: Views, near: float, far: float) -> np.ndarray:
    """[num, 17]: axes down, right, back; height, width, focal length; bounds."""
    rows = []
    for matrix in matrices(views):
        right, up, back, position = matrix[:3].T
        size = [views.cameras.height, views.cameras.width, float(views.cameras.focals[0, 0])]
        rows.append([*np.stack([-up, right, back, position, size], 1).ravel(), near, far])
    return np.array(rows)


def quaternion(axes: np.ndarray) -> list[float]:
    """w x y z of a rotation: the eigenvector of Bar-Itzhack's matrix."""
    k = np.array(
        [
            [axes[0, 0] - axes[1, 1] - axes[2, 2], 0, 0, 0],
            [axes[1, 0] + axes[0, 1], axes[1, 1] - axes[0, 0] - axes[2, 2], 0, 0],
            [axes[2, 0] + axes[0, 2], axes[2, 1] + axes[1, 2], axes[2, 2] - axes[0, 0] - axes[1, 1], 0],
            [axes[2, 1] - axes[1, 2], axes[0, 2] - axes[2, 0], axes[1, 0] - axes[0, 1], np.trace(axes)],
        ]
    )
    vector = np.linalg.eigh(k)[1][:, -1]
    return [float(vector[3]), *(float(value) for value in vector[:3])]


def world_to_camera(views: Views) -> list[tuple[list[float], np.ndarray]]:
    """Quaternion and translation of each view, OpenCV axes."""
    made = []
    for matrix in matrices(views):
        axes = FLIP @ matrix[:3, :3].T
        made.append((quaternion(axes), -axes @ matrix[:3, 3]))
    return made


def write_colmap(
    views: Views, folder: Path, binary: bool, model: tuple[int, str, list[float]] | None = None, points: int = 20
) -> None:
    """`images` and `sparse/0`; without a `model` PINHOLE with the views' intrinsics. Points stand in a small cube."""
    write_pictures(views, folder / "images", names_of(views))
    place = folder / "sparse" / "0"
    place.mkdir(parents=True)
    cameras = views.cameras
    pinhole = [*cameras.focals[0].tolist(), *cameras.centres[0].tolist()]
    number, name, parameters = model or (1, "PINHOLE", pinhole)
    at = np.random.default_rng(0).uniform(-0.5, 0.5, (points, 3))
    poses = world_to_camera(views)
    if binary:
        (place / "cameras.bin").write_bytes(
            struct.pack("<Q", 1)
            + struct.pack("<IiQQ", 7, number, cameras.width, cameras.height)
            + struct.pack(f"<{len(parameters)}d", *parameters)
        )
        (place / "images.bin").write_bytes(images_bin(poses, names_of(views)))
        (place / "points3D.bin").write_bytes(points_bin(at))
        return
    (place / "cameras.txt").write_text(
        f"# a comment\n7 {name} {cameras.width} {cameras.height} {' '.join(map(repr, parameters))}\n"
    )
    lines = ["# two lines each"]
    for view, (turn, shift) in enumerate(poses):
        lines += [f"{view + 1} {' '.join(map(repr, [*turn, *map(float, shift)]))} 7 {names_of(views)[view]}"]
        lines += ["" if view % 2 else "1.5 2.5 -1 3.0 4.0 17"]
    (place / "images.txt").write_text("\n".join(lines) + "\n")
    rows = [f"{n} {x!r} {y!r} {z!r} 1 2 {n} 0.1 1 0 2 0" for n, (x, y, z) in enumerate(at.tolist())]
    (place / "points3D.txt").write_text("\n".join(rows) + "\n")


def images_bin(poses: Sequence[tuple[list[float], np.ndarray]], names: Sequence[str]) -> bytes:
    data = struct.pack("<Q", len(poses))
    for view, ((turn, shift), name) in enumerate(zip(poses, names, strict=True)):
        data += struct.pack("<I7dI", view + 1, *turn, *shift, 7) + name.encode() + b"\0"
        data += struct.pack("<Q", view % 2) + struct.pack("<ddq", 1.5, 2.5, 17) * (view % 2)
    return data


def points_bin(at: np.ndarray) -> bytes:
    data = struct.pack("<Q", len(at))
    for number, place in enumerate(at):
        data += struct.pack("<Q3d3BdQ", number, *place, 1, 2, number % 256, 0.1, 2) + struct.pack("<4I", 1, 0, 2, 0)
    return data
