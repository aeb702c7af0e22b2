"""Images as `Points`: any file pillow reads, 16 bits kept where the file has them, and three photographs."""

from __future__ import annotations

import importlib.util
import os
import struct
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ohmfield.signals.png16 import is_png16, read_png16
from ohmfield.signals.points import Points, from_image
from ohmfield.spec import InputError

MAX_PIXELS = 2**26
"""Largest image that is read: 8192 x 8192."""

PHOTOS = {"astronaut": "astronaut.png", "coffee": "coffee.png", "cat": "chelsea.png"}
"""Photographs that lie inside scikit-image's wheel: 512x512, 400x600 and 300x451 pixels, RGB, 8 bits."""

# What pillow, tifffile and our PNG reader raise for a damaged file.
READ_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    KeyError,
    IndexError,
    Image.DecompressionBombError,
)


def image(source: str | os.PathLike[str] | np.ndarray | Tensor, size: int | None = None) -> Points:
    """An image as `Points`: 1 (grey), 3 (RGB) or 4 (RGB and alpha, an ordinary channel) values in [0, 1] per pixel.

    `source` is a file, or an array [height, width] or [height, width, channels]: uint8, uint16, or float in [0, 1].
    16 bits are kept from PNG and TIFF. Palettes become RGB or RGBA, CMYK becomes RGB, grey with alpha becomes RGBA;
    of several frames the first is taken; the camera's rotation tag is applied. With `size` the centre square is cut
    out and averaged over areas to size x size pixels. Raises `InputError` for what cannot be read.
    """
    if isinstance(source, (np.ndarray, Tensor)):
        name, pixels, origin = "array", np.asarray(source), ""
    else:
        path = Path(source)
        name, pixels, origin = path.stem, _read(path), str(path.resolve())
    values, bits = _unit_values(pixels, name)
    if min(values.shape[:2]) < 2:
        height, width = values.shape[:2]
        raise InputError(f"{name}: {width} x {height} pixels, at least 2 x 2 are needed for a field")
    if size is not None:
        values = _square(values, size, name)
    points = from_image(torch.from_numpy(np.ascontiguousarray(values)), name, bits)
    return replace(points, source=origin)


def photo(name: str = "astronaut", size: int | None = None) -> Points:
    """One of `PHOTOS`, as `image` gives it."""
    return replace(image(photo_path(name), size), name=name, source=f"photo:{name}")


def open_signal(source: str, size: int | None = None) -> Points:
    """The image of a file, or the photo of a name in `PHOTOS` (also written `photo:NAME`)."""
    name = source.removeprefix("photo:")
    if name in PHOTOS and not Path(source).exists():
        return photo(name, size)
    return image(source, size)


def photo_path(name: str) -> Path:
    """The file of one of `PHOTOS`; no network, it was installed with scikit-image."""
    if name not in PHOTOS:
        raise InputError(f"photo {name!r} is not known; known photos: {', '.join(PHOTOS)}")
    found = importlib.util.find_spec("skimage")  # located, not imported: that would load scipy
    folders = found.submodule_search_locations if found else None
    path = Path(folders[0]) / "data" / PHOTOS[name] if folders else None
    if path is None or not path.is_file():
        raise InputError(f"photo {name!r} ships with scikit-image, which is not installed; pip install scikit-image")
    return path


def _read(path: Path) -> np.ndarray:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if is_png16(path):
                return read_png16(path, MAX_PIXELS)
            if path.suffix.lower() in (".tif", ".tiff"):
                deep = _deep_tiff(path)
                if deep is not None:
                    return deep
            return _pillow(path)
    except InputError:
        raise
    except READ_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be read as an image ({reason}); convert it to PNG, TIFF or JPEG") from None


def _pillow(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise InputError(f"{path}: {opened.width} x {opened.height} pixels, at most {MAX_PIXELS} are read")
        picture = ImageOps.exif_transpose(opened)
        mode = picture.mode
        if mode.startswith("I") or mode == "F":
            return _wide(np.asarray(picture), path)
        if mode in ("1", "L"):
            return np.asarray(picture.convert("L"))
        alpha = mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info
        return np.asarray(picture.convert("RGBA" if alpha else "RGB"))


def _wide(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Grey samples of more than 8 bits: 16-bit whole numbers, or floats as they are."""
    if pixels.dtype.kind == "f":
        return pixels
    if pixels.size and (pixels.min() < 0 or pixels.max() > 65535):
        raise InputError(f"{path}: samples from {pixels.min()} to {pixels.max()}, at most 16 bits are read")
    return pixels.astype(np.uint16)


def _deep_tiff(path: Path) -> np.ndarray | None:
    """Samples of a TIFF with more than 8 bits, [height, width(, channels)]; None leaves the file to pillow."""
    with tifffile.TiffFile(path) as opened:
        page = opened.pages[0]
        if not isinstance(page, tifffile.TiffPage) or page.dtype is None or page.dtype.itemsize < 2:
            return None
        if page.imagewidth * page.imagelength > MAX_PIXELS:
            raise InputError(f"{path}: {page.imagewidth} x {page.imagelength} pixels, at most {MAX_PIXELS} are read")
        pixels = page.asarray()
        if page.axes == "SYX":  # one plane per channel
            pixels = np.moveaxis(pixels, 0, -1)
        return pixels


def _unit_values(pixels: np.ndarray, name: str) -> tuple[np.ndarray, int]:
    """float32 values in [0, 1], [height, width, 1 | 3 | 4], and the bits of the source."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4) or pixels.size == 0:
        raise InputError(f"{name}: an array of shape {pixels.shape} is no image; use [height, width, 1, 3 or 4]")
    if pixels.shape[2] == 2:  # grey with alpha
        pixels = pixels[:, :, [0, 0, 0, 1]]
    if pixels.dtype == np.uint8:
        return pixels.astype(np.float32) / np.float32(255), 8
    if pixels.dtype == np.uint16:
        return pixels.astype(np.float32) / np.float32(65535), 16
    if pixels.dtype.kind == "f":
        values = pixels.astype(np.float32)
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise InputError(f"{name}: float values from {pixels.min()} to {pixels.max()}, rescale them to [0, 1]")
        return values, 32
    raise InputError(f"{name}: samples of type {pixels.dtype}, expected uint8, uint16 or float in [0, 1]")


def _square(values: np.ndarray, size: int, name: str) -> np.ndarray:
    """The centre square of `values`, averaged over areas to size x size."""
    side = min(values.shape[:2])
    if not 2 <= size <= side:
        raise InputError(f"{name}: size {size} is not allowed; use 2 to {side}, the side of its centre square")
    top, left = (values.shape[0] - side) // 2, (values.shape[1] - side) // 2
    square = values[top : top + side, left : left + side].astype(np.float64)
    average = _box_filter(side, size)
    return np.einsum("ij,jkc,lk->ilc", average, square, average, optimize=True).astype(np.float32).clip(0.0, 1.0)


def _box_filter(old: int, new: int) -> np.ndarray:
    """[new, old] weights: the share of each old sample in each new one; rows sum to 1."""
    edges = np.arange(new + 1) * (old / new)
    start = np.arange(old)
    overlap = np.minimum(edges[1:, None], start + 1) - np.maximum(edges[:-1, None], start)
    return overlap.clip(0.0) * (new / old)
