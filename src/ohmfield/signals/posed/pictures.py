"""Reading photographs: straight alpha, masks, scaled down by area, and kept scaled in the user's cache folder.

The folder of the photographs is never written to. What the cache cannot hold is scaled again: no error stops a reader.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from scipy import sparse

from ohmfield.files import write_atomic
from ohmfield.signals.image import MAX_PIXELS, READ_ERRORS
from ohmfield.spec import InputError

CACHE_VARIABLE = "OHMFIELD_CACHE"
MAX_CACHE_BYTES = 2**30
TRANSPARENT_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
CACHE_FORMAT = 1  # counts up when the same photograph is scaled to other pixels


@dataclass(frozen=True)
class Header:
    """What a file says of its picture before it is decoded."""

    width: int
    height: int
    alpha: bool


def header(path: Path) -> Header:
    """Size of a picture and whether it may be transparent; `InputError` when the file is no picture."""
    with _opened(path) as picture:
        return Header(picture.width, picture.height, _transparent(picture))


def read_picture(
    image: Path, mask: Path | None, cut: tuple[int, int], size: tuple[int, int]
) -> UInt8[np.ndarray, "height width 4"]:
    """Red, green, blue and straight alpha: the `cut` upper left pixels (width, height), averaged over areas to `size`.

    Rotation tags are not applied: poses and lenses are written for the pixels as stored. Colours count as much as they
    cover, so none bleeds in from where a picture is transparent.
    """
    kept = _kept(image, mask, cut, size) if size != cut else None
    if kept is not None:
        with contextlib.suppress(*READ_ERRORS), Image.open(kept) as picture:
            if picture.size == size and picture.mode == "RGBA":
                return np.array(picture)
    pixels = _pixels(image)
    if mask is not None:
        pixels = np.concatenate([pixels[..., :3], _mask(mask, image, pixels.shape)], -1)
    if pixels.shape[0] < cut[1] or pixels.shape[1] < cut[0]:
        raise InputError(f"{image}: has changed since the folder was opened; open it again")
    pixels = pixels[: cut[1], : cut[0]]
    if size == cut:
        return pixels
    pixels = scaled(pixels, *size)
    if kept is not None:
        _keep(kept, pixels)
    return pixels


def scaled(
    pixels: UInt8[np.ndarray, "old_height old_width 4"], width: int, height: int
) -> UInt8[np.ndarray, "height width 4"]:
    """Averages over areas, with premultiplied alpha; a pixel at an edge counts by its share.

    >>> half = np.array([[[200, 0, 0, 255], [0, 0, 0, 0]]] * 2, dtype=np.uint8)
    >>> scaled(half, 1, 1)[0, 0]
    array([200,   0,   0, 128], dtype=uint8)
    """
    values = pixels.astype(np.float32)
    opaque = bool((pixels[..., 3] == 255).all())
    if not opaque:
        values[..., :3] *= values[..., 3:] / np.float32(255)
    old_height, old_width = pixels.shape[:2]
    rows, columns = _box_filter(old_height, height), _box_filter(old_width, width)
    values = (rows @ values.reshape(old_height, -1)).reshape(height, old_width, 4).transpose(1, 0, 2)
    values = (columns @ values.reshape(old_width, -1)).reshape(width, height, 4).transpose(1, 0, 2)
    alpha = values[..., 3:]
    if not opaque:
        colours = values[..., :3] / np.maximum(alpha / np.float32(255), np.float32(1e-6))
        values = np.concatenate([colours, alpha], -1)
    return np.floor(values + np.float32(0.5)).clip(0, 255).astype(np.uint8)


@lru_cache(maxsize=8)
def _box_filter(old: int, new: int) -> sparse.csr_array:
    """[new, old] shares of old pixels in new ones; rows sum to 1."""
    edges = np.arange(new + 1) * (old / new)
    index = np.floor(edges[:-1, None]).astype(np.int64) + np.arange(int(np.ceil(old / new)) + 1)
    share = (np.minimum(edges[1:, None], index + 1) - np.maximum(edges[:-1, None], index)) * (new / old)
    row = np.broadcast_to(np.arange(new)[:, None], index.shape)
    used = (share > 1e-9) & (index < old)
    return sparse.csr_array((share[used].astype(np.float32), (row[used], index[used])), shape=(new, old))


def cache_folder() -> Path | None:
    """Where scaled photographs are kept: what `OHMFIELD_CACHE` names, or the user's cache; None when there is none."""
    named = os.environ.get(CACHE_VARIABLE)
    if named is not None:
        return Path(named) if named else None
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "ohmfield" if os.path.isabs(base) else None


def _kept(image: Path, mask: Path | None, cut: tuple[int, int], size: tuple[int, int]) -> Path | None:
    """The cache's file for a photograph at a size; another one as soon as the photograph or its mask changes."""
    folder = cache_folder()
    if folder is None:
        return None
    digest = hashlib.blake2b(f"{CACHE_FORMAT} {cut} {size}".encode(), digest_size=16)
    try:
        for path in (image, mask) if mask is not None else (image,):
            stat = path.stat()
            digest.update(f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode(errors="surrogateescape"))
    except OSError:
        return None
    return folder / "pictures" / f"{digest.hexdigest()}.png"


def _keep(path: Path, pixels: np.ndarray) -> None:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", compress_level=1)  # its checksums tell a damaged file
    with contextlib.suppress(InputError, OSError):
        write_atomic(path, data.getvalue())
        _forget_oldest(path.parent)


def _forget_oldest(folder: Path) -> None:
    """Holds the cache to its size, whatever a killed writer left behind included."""
    files = [(entry.stat().st_mtime_ns, entry.stat().st_size, entry.path) for entry in os.scandir(folder)]
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= MAX_CACHE_BYTES:
            return
        os.unlink(path)
        total -= size


def _mask(mask: Path, image: Path, shape: tuple[int, ...]) -> np.ndarray:
    """[height, width, 1] uint8: the alpha channel of a mask, or its brightness where it has none."""
    pixels = _pixels(mask)
    if pixels.shape != shape:
        raise InputError(
            f"{mask}: {pixels.shape[1]} x {pixels.shape[0]} pixels, its photograph {image.name} has "
            f"{shape[1]} x {shape[0]}; scale the mask to the same size"
        )
    return pixels[..., 3:] if (pixels[..., 3] < 255).any() else pixels[..., :1]


def _pixels(path: Path) -> UInt8[np.ndarray, "height width 4"]:
    with _opened(path) as picture:
        if picture.mode.startswith("I") or picture.mode == "F":
            return _deep(np.asarray(picture), path)
        if picture.mode == "1" or not _transparent(picture):
            picture = picture.convert("RGB")
        return np.array(picture.convert("RGBA"))


def _deep(samples: np.ndarray, path: Path) -> UInt8[np.ndarray, "height width 4"]:
    """Grey samples of 16 bits, at 8."""
    if samples.dtype.kind == "f" or samples.min() < 0 or samples.max() > 65535:
        raise InputError(f"{path}: samples of more than 16 bits; convert it to PNG or JPEG")
    grey = ((samples.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return np.stack([grey, grey, grey, np.full_like(grey, 255)], -1)


def _transparent(picture: Image.Image) -> bool:
    return picture.mode in TRANSPARENT_MODES or "transparency" in picture.info


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The picture of a file; every way a file can be damaged is an `InputError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise InputError(
                        f"{path}: {picture.width} x {picture.height} pixels, at most {MAX_PIXELS} are read"
                    )
                yield picture
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; it was there when the folder was opened") from None
    except READ_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be read as an image ({reason}); convert it to PNG or JPEG") from None
