"""Poses in JSON: NeRF's blender files, instant-ngp's and nerfstudio's `transforms.json`. One reader, by their keys.

Poses are camera-to-world with OpenGL axes, as here. nerfstudio's `applied_transform` is already in them: the world
stays the one of the file.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from ohmfield.signals.posed.found import Found, Lens, Shot, in_order, inside, picture_file, rigid, shown
from ohmfield.signals.posed.pictures import header
from ohmfield.spec import InputError

MAX_BYTES = 2**28
SPLITS = ("train", "val", "test")
BLENDER_HALF = 1.5  # box of NeRF's synthetic scenes, as nerfacc and instant-ngp's loaders take it
NGP_SCALE, NGP_OFFSET = 0.33, 0.5  # instant-ngp's unit cube is scale * world + offset
RADIAL = ("k1", "k2", "p1", "p2", "k3")
FISHEYE = ("k1", "k2", "k3", "k4")
# Names of nerfstudio's camera models, and whether they are fisheyes.
MODELS = {
    "SIMPLE_PINHOLE": False,
    "PINHOLE": False,
    "SIMPLE_RADIAL": False,
    "RADIAL": False,
    "OPENCV": False,
    "PERSPECTIVE": False,
    "OPENCV_FISHEYE": True,
}


def read_blender(folder: Path) -> Found:
    """`transforms_train.json`, `transforms_val.json` and `transforms_test.json`: each file is a split."""
    shots, skipped, box = [], [], None
    for split in SPLITS:
        path = folder / f"transforms_{split}.json"
        if not path.is_file():
            continue
        data = _load(path)
        box = box or _box(data, path)
        for frame, where in _frames(data, path):
            shot = _shot(data, frame, where, folder)
            if isinstance(shot, str):
                skipped.append(shot)
            else:
                shots.append(Shot(shot.image, shot.pose, shot.lens, split, shot.mask))
    return Found(folder, shots, tuple(skipped), box or ((0.0, 0.0, 0.0), BLENDER_HALF))


def read_transforms(folder: Path, name: str = "transforms.json") -> Found:
    """instant-ngp's and nerfstudio's file: intrinsics for all or per frame, masks, and perhaps named splits."""
    path = folder / name
    data = _load(path)
    named = _named_splits(data, path)
    shots, skipped = [], []
    for frame, where in sorted(_frames(data, path), key=lambda pair: in_order(str(pair[0].get("file_path", "")))):
        shot = _shot(data, frame, where, folder)
        if isinstance(shot, str):
            skipped.append(shot)
        elif named and frame["file_path"] not in named:
            skipped.append(f"{where}: stands in none of the lists of splits")
        else:
            shots.append(Shot(shot.image, shot.pose, shot.lens, named.get(frame["file_path"], ""), shot.mask))
    return Found(folder, shots, tuple(skipped), _box(data, path))


def _load(path: Path) -> dict:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: {path.stat().st_size} bytes, at most {MAX_BYTES} are read")
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give the folder of the scene") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is no valid JSON ({error}); write it again") from None
    if not isinstance(data, dict) or not isinstance(data.get("frames"), list):
        raise InputError(f"{path}: holds no list of frames; it must be an object with the key frames")
    return data


def _frames(data: dict, path: Path) -> list[tuple[dict, str]]:
    """Every frame, with the words that name it in an error."""
    frames = []
    for number, frame in enumerate(data["frames"]):
        if not isinstance(frame, dict):
            raise InputError(f"{path}: frame {number} is no object; give file_path and transform_matrix")
        frames.append((frame, f"{path}: {shown(frame.get('file_path', f'frame {number}'))}"))
    return frames


def _shot(data: dict, frame: dict, where: str, folder: Path) -> Shot | str:
    """The photograph of a frame, or why there is none."""
    image = picture_file(inside(folder, frame.get("file_path"), where))
    if image is None:
        return f"{where}: no such picture"
    pose = rigid(frame.get("transform_matrix"), where)
    mask = None
    if frame.get("mask_path") is not None:
        mask = inside(folder, frame["mask_path"], f"{where}: mask_path")
        if not mask.is_file():
            return f"{where}: its mask {shown(frame['mask_path'])} is missing"
    return Shot(image, pose, _lens({**data, **frame}, image, where), mask=mask)


def _lens(given: dict, image: Path, where: str) -> Lens:
    """The lens of one frame; what the file does not say is worked out from the picture's size."""
    model = str(given.get("camera_model", "PINHOLE")).upper()
    if model not in MODELS:
        raise InputError(f"{where}: camera_model {shown(model)} is not read; use one of {', '.join(MODELS)}")
    fisheye = MODELS[model] or given.get("is_fisheye") is True
    width, height = _number(given, "w", where), _number(given, "h", where)
    if width is None or height is None:
        head = header(image)
        width, height = head.width, head.height
    focal_x, focal_y = _focal(given, "x", width, where), _focal(given, "y", height, where)
    if focal_x is None and focal_y is None:
        raise InputError(f"{where}: neither fl_x nor camera_angle_x is given; add one of them")
    focal = (focal_x if focal_x is not None else focal_y, focal_y if focal_y is not None else focal_x)
    centre = (_number(given, "cx", where), _number(given, "cy", where))
    names = FISHEYE if fisheye else RADIAL
    bends = [_number(given, name, where) or 0.0 for name in names]
    if not fisheye and (_number(given, "k4", where) or 0.0) != 0.0:
        raise InputError(f"{where}: k4 belongs to a fisheye; set is_fisheye or camera_model OPENCV_FISHEYE")
    return Lens(
        (round(width), round(height)),
        focal,  # type: ignore[arg-type]
        (width / 2 if centre[0] is None else centre[0], height / 2 if centre[1] is None else centre[1]),
        tuple([*bends, 0.0][:5]) if fisheye or any(bends) else (),
        fisheye,
    ).checked(where)


def _focal(given: dict, axis: str, pixels: float, where: str) -> float | None:
    focal = _number(given, f"fl_{axis}", where)
    angle = _number(given, f"camera_angle_{axis}", where)
    if focal is not None or angle is None:
        return focal
    if not 0.0 < angle < math.pi:
        raise InputError(f"{where}: camera_angle_{axis} {angle:g}; it must lie between 0 and pi, in radians")
    return 0.5 * pixels / math.tan(0.5 * angle)


def _number(given: dict, key: str, where: str) -> float | None:
    value = given.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9:
        raise InputError(f"{where}: {key} {shown(value)!r} is not allowed; give a number")
    return float(value)


def _box(data: dict, path: Path) -> tuple[tuple[float, float, float], float] | None:
    """Centre and half side of instant-ngp's box in the world of the poses, where the file gives `aabb_scale`."""
    aabb = _number(data, "aabb_scale", str(path))
    if aabb is None:
        return None
    scale = _number(data, "scale", str(path))
    scale = NGP_SCALE if scale is None else scale
    if not (aabb > 0 and scale > 0):
        raise InputError(f"{path}: aabb_scale {aabb:g} with scale {scale:g}; both must be above 0")
    offset = data.get("offset", [NGP_OFFSET] * 3)
    if not isinstance(offset, list) or len(offset) != 3:
        raise InputError(f"{path}: offset {shown(offset)} is not allowed; give three numbers")
    x, y, z = ((0.5 - (_number({"offset": value}, "offset", str(path)) or 0.0)) / scale for value in offset)
    return (x, y, z), 0.5 * aabb / scale


def _named_splits(data: dict, path: Path) -> dict[str, str]:
    """Which split each file path is in, where the file lists them."""
    named = {}
    for split in SPLITS:
        names = data.get(f"{split}_filenames", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"{path}: {split}_filenames is no list of names; give file paths of frames")
        # In a file that lists a frame twice (nerfstudio: val and test the same), the later split has it.
        named |= dict.fromkeys(names, split)
    return named
