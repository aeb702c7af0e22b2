"""What every format gives: photographs with poses and lenses, checked one by one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ohmfield.spec import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
MAX_SIDE = 2**20  # pixels that a lens may be written for
MIN_FOCAL = 0.01  # pixels
MAX_FAR = 1e6  # units from the origin: beyond, float32 rays lose what a picture shows
MAX_TILT = 0.01  # how far from orthonormal the axes of a pose may be: files of few digits are let through


@dataclass(frozen=True)
class Lens:
    """How one camera maps directions to pixels, for a picture of `size`; `bends` as in `Cameras.lenses`."""

    size: tuple[int, int]
    focal: tuple[float, float]
    centre: tuple[float, float]
    bends: tuple[float, ...] = ()
    fisheye: bool = False

    def checked(self, where: str) -> Lens:
        """Itself, or `InputError` for sizes and focal lengths no camera has, and for what is not finite."""
        if not 2 <= min(self.size) <= max(self.size) <= MAX_SIDE:
            raise InputError(f"{where}: {self.size[0]} x {self.size[1]} pixels; a side has 2 to {MAX_SIDE}")
        if not all(abs(value) < 1e9 for value in (*self.focal, *self.centre, *self.bends)):
            raise InputError(f"{where}: focal length, centre or lens is not finite; calibrate the camera again")
        if min(self.focal) < MIN_FOCAL:
            raise InputError(
                f"{where}: focal length {min(self.focal):g}; at least {MIN_FOCAL} pixels are allowed, calibrate again"
            )
        return self


@dataclass(frozen=True, eq=False)
class Shot:
    """One photograph. `pose` is camera-to-world [3, 4] with OpenGL axes; `split` is empty where the format has none."""

    image: Path
    pose: np.ndarray
    lens: Lens
    split: str = ""
    mask: Path | None = None


@dataclass(frozen=True, eq=False)
class Found:
    """What a folder holds. Without a `box` (centre and half side) one is worked out from cameras, bounds and points."""

    folder: Path
    shots: list[Shot]
    skipped: tuple[str, ...] = ()
    box: tuple[tuple[float, float, float], float] | None = None
    bounds: np.ndarray | None = None  # [num, 2]: where each photograph's content begins and ends along its axis
    points: np.ndarray | None = None  # [num, 3]
    colours: np.ndarray | None = None  # [num, 3] uint8
    recentre: bool = False  # whether the world may be turned to the average camera


def rigid(matrix: object, where: str) -> np.ndarray:
    """[3, 4] float64 with exactly orthonormal axes, or `InputError` for what is no pose of a camera."""
    try:
        pose = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where}: the pose is no matrix of numbers; give 4 rows of 4") from None
    if pose.shape not in ((3, 4), (4, 4)):
        raise InputError(f"{where}: a pose of shape {list(pose.shape)}; give 4 rows of 4 (or the first 3 of them)")
    if not np.isfinite(pose).all():
        raise InputError(f"{where}: the pose holds NaN or infinity; remove this photograph from the file")
    if pose.shape[0] == 4 and np.abs(pose[3] - [0.0, 0.0, 0.0, 1.0]).max() > MAX_TILT:
        raise InputError(f"{where}: the pose ends with {pose[3].tolist()}, expected 0 0 0 1; is it transposed?")
    if np.abs(pose[:3]).max() > MAX_FAR:
        raise InputError(
            f"{where}: the camera stands {np.abs(pose[:3]).max():.3g} from the origin, at most {MAX_FAR:g} is allowed; "
            "subtract an offset from all of them"
        )
    axes = pose[:3, :3]
    tilt = np.abs(axes.T @ axes - np.eye(3)).max()
    if tilt > MAX_TILT:
        raise InputError(
            f"{where}: the pose's axes are {tilt:.3g} off orthonormal, at most {MAX_TILT} is allowed; "
            "take scale and shear out of it"
        )
    if np.linalg.det(axes) < 0:
        raise InputError(f"{where}: the pose is left-handed (determinant -1); flip one of its axes")
    left, _, right = np.linalg.svd(axes)
    return np.concatenate([left @ right, pose[:3, 3:]], 1)


def inside(folder: Path, name: object, where: str) -> Path:
    """The path of a file that `name` says lies below `folder`; `InputError` for one that would leave it."""
    if not isinstance(name, str) or not name or "\0" in name or len(name) > 1024:
        raise InputError(f"{where}: {str(name)[:80]!r} is no file name; give a path below {folder}")
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts or name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name) or not parts:
        raise InputError(f"{where}: {name[:80]!r} leaves the folder; only files below {folder} are read")
    return folder.joinpath(*parts)


def shown(name: object) -> str:
    """What a file calls something, fit for one line of a message.

    >>> shown("a\\nb")
    'a b'
    """
    text = "".join(letter if letter.isprintable() else " " for letter in str(name)[:80])
    return text.strip() or "a frame without a name"


def picture_file(path: Path) -> Path | None:
    """The file of a picture whose name may lack its ending; None where there is none."""
    candidates = [path, *(path.with_name(path.name + suffix) for suffix in SUFFIXES)]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def mask_of(folder: Path, image: str) -> Path | None:
    """A mask in `folder/masks`, called like the picture (`a.jpg`: `a.png`, `a.jpg.png`); white is the object."""
    path = folder / "masks" / image
    names = [path.with_suffix(".png"), path.with_name(path.name + ".png"), path]
    return next((name for name in names if name.is_file()), None)


def images_folder(folder: Path, asked: str | None) -> Path:
    """`folder/asked`, else `images`, else the least scaled-down of `images_2`, `images_4`, ..."""
    if asked is not None:
        path = inside(folder, asked, "images")
        if not path.is_dir():
            raise InputError(f"{path}: no such folder of photographs; name one below {folder}")
        return path
    if (folder / "images").is_dir():
        return folder / "images"
    named = {path: re.fullmatch(r"images_([0-9]{1,4})", path.name) for path in folder.glob("images_*") if path.is_dir()}
    scaled = {int(match[1]): path for path, match in named.items() if match}
    if not scaled:
        raise InputError(f"{folder}: holds no folder images (nor images_2, images_4, ...); put the photographs there")
    return scaled[min(scaled)]


def in_order(name: str) -> list[tuple[int, str]]:
    """A key that sorts names as people do.

    >>> sorted(["r_10", "r_2"], key=in_order)
    ['r_2', 'r_10']
    """
    parts = re.split(r"([0-9]{1,18})", name)  # every second one is a number
    return [(int(part), "") if number % 2 else (0, part) for number, part in enumerate(parts)]
