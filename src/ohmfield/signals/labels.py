"""Readers of labelled images: zips of `split/class/name.jpg` (CIFAR-10 as files), and the idx files of MNIST.

The data is not ours to ship: a folder is given, or named by `OHMFIELD_DATA`, or `../shared/data` beside the checkout.
Everything read is bounded; nothing is unpacked to disk.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ohmfield.signals.examples import Examples
from ohmfield.signals.image import READ_ERRORS
from ohmfield.spec import InputError

DATA_VARIABLE = "OHMFIELD_DATA"
DATA_FOLDER = Path("..") / "shared" / "data"

MAX_EXAMPLES = 100_000
MAX_SIDE = 256
MAX_MEMBER_BYTES = 2**20
MEMBER = re.compile(r"(?P<split>\w+)/(?P<name>[\w-]+)/[\w-]+\.(?:jpe?g|png)")
DIGITS = tuple("0123456789")


def data_folder(path: str | os.PathLike[str] | None = None) -> Path:
    """The folder of real data: `path`, else what `OHMFIELD_DATA` names, else `../shared/data`."""
    folder = Path(path if path is not None else os.environ.get(DATA_VARIABLE) or DATA_FOLDER)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of data; give its path or set {DATA_VARIABLE}")
    return folder


def cifar10(path: str | os.PathLike[str] | None = None, per_class: int | None = None) -> Examples:
    """CIFAR-10 images [N, 3, 32, 32] in [0, 1] from two zips of JPEGs; the training part first.

    `path` is the data folder (`data_folder`) or the folder of the zips. With `per_class` at most that many images of
    each class and split are read, the first by name. Examples are interleaved: any first part holds all classes alike.
    """
    folder = data_folder(path)
    folder = folder if (folder / "cifar10_train_jpg.zip").exists() else folder / "classification" / "cifar10"
    archives = [folder / f"cifar10_{split}_jpg.zip" for split in ("train", "test")]
    return labelled_zips(archives, "cifar10", per_class)


def labelled_zips(archives: Sequence[Path], name: str, per_class: int | None = None) -> Examples:
    """Images of one size from zips of `split/class/name.jpg`, one zip per split, training first.

    Classes are the sorted folder names, the same in each zip. `InputError` names the archive and the member at fault.
    """
    pixels, labels, known, num_train = [], [], (), 0
    for archive in archives:
        images, indices, classes = _zip(archive, per_class)
        if known and classes != known:
            raise InputError(f"{archive}: holds classes {', '.join(classes)}; {archives[0]} has {', '.join(known)}")
        if pixels and images.shape[1:] != pixels[0].shape[1:]:
            raise InputError(f"{archive}: images of {_size(images)}; those of {archives[0]} are {_size(pixels[0])}")
        num_train = num_train or len(indices)
        known = classes
        pixels.append(images)
        labels.append(indices)
    inputs = torch.from_numpy(np.concatenate(pixels)).permute(0, 3, 1, 2).contiguous().float() / 255.0
    return Examples(
        inputs, torch.from_numpy(np.concatenate(labels)), known, num_train, name, str(archives[0].resolve())
    )


def mnist(path: str | os.PathLike[str] | None = None, num_train: int = 8000) -> Examples:
    """MNIST's 10,000 test digits, images [N, 1, 28, 28] in [0, 1]; the first `num_train` to learn from.

    `path` is the data folder or the folder of `t10k-images-idx3-ubyte.gz` and `t10k-labels-idx1-ubyte.gz`.
    """
    folder = data_folder(path)
    folder = folder if (folder / "t10k-images-idx3-ubyte.gz").exists() else folder / "classification" / "mnist"
    images = read_idx(folder / "t10k-images-idx3-ubyte.gz", dims=3)
    labels = read_idx(folder / "t10k-labels-idx1-ubyte.gz", dims=1)
    inputs = torch.from_numpy(images.copy()).float()[:, None] / 255.0
    return Examples(
        inputs, torch.from_numpy(labels.astype(np.int64)), DIGITS, num_train, "mnist", str(folder.resolve())
    )


def read_idx(path: Path, dims: int) -> np.ndarray:
    """The uint8 array of a gzipped idx file with `dims` dimensions; `InputError` for anything else.

    Big-endian: 0, 0, type (8: unsigned byte), number of dimensions, their sizes as uint32, then the values.
    """
    try:
        with gzip.open(path, "rb") as file:
            magic = file.read(4)
            if magic != bytes([0, 0, 8, dims]):
                raise InputError(f"{path}: starts with {magic.hex()}, expected {bytes([0, 0, 8, dims]).hex()}")
            shape = struct.unpack(f">{dims}I", file.read(4 * dims))
            if shape[0] > MAX_EXAMPLES or any(size > MAX_SIDE for size in shape[1:]):
                raise InputError(f"{path}: sizes {shape}; at most {MAX_EXAMPLES} examples of {MAX_SIDE} pixels a side")
            count = int(np.prod(shape, dtype=np.int64))
            data = file.read(count + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the folder of the data or set {DATA_VARIABLE}") from None
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); the file is damaged, copy it again") from None
    if len(data) != count:
        raise InputError(
            f"{path}: holds {'more' if len(data) > count else 'fewer'} than the {count} bytes it announces"
        )
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _zip(archive: Path, per_class: int | None) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """uint8 images [N, height, width, 3], int64 labels, and the classes of one archive."""
    try:
        with zipfile.ZipFile(archive) as opened:
            chosen, classes = _members(archive, opened, per_class)
            images = [_image(archive, opened, member) for member, _ in chosen]
    except FileNotFoundError:
        raise InputError(f"{archive}: no such file; give the folder of the data or set {DATA_VARIABLE}") from None
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{archive}: cannot be read ({error}); the file is damaged, copy it again") from None
    for (member, _), image in zip(chosen, images, strict=True):
        if image.shape != images[0].shape:
            raise InputError(f"{archive}: {member.filename}: {_size(image)}, the first image has {_size(images[0])}")
    return np.stack(images), np.array([label for _, label in chosen], dtype=np.int64), classes


def _members(
    archive: Path, opened: zipfile.ZipFile, per_class: int | None
) -> tuple[list[tuple[zipfile.ZipInfo, int]], tuple[str, ...]]:
    """Members with their label, one class after the other in turns, and the classes."""
    found: dict[str, list[zipfile.ZipInfo]] = {}
    for member in opened.infolist():
        matched = MEMBER.fullmatch(member.filename)
        if matched:
            found.setdefault(matched["name"], []).append(member)
    if not found:
        raise InputError(f"{archive}: holds no member called split/class/name.jpg")
    classes = tuple(sorted(found))
    turns: list[tuple[str, int, zipfile.ZipInfo]] = []
    for label, name in enumerate(classes):
        members = sorted(found[name], key=lambda member: member.filename)
        turns += [(f"{turn:08d}", label, member) for turn, member in enumerate(members[:per_class])]
    if len(turns) > MAX_EXAMPLES:
        raise InputError(f"{archive}: {len(turns)} images, at most {MAX_EXAMPLES} are read; use per_class")
    return [(member, label) for _, label, member in sorted(turns, key=lambda turn: turn[:2])], classes


def _image(archive: Path, opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    if member.file_size > MAX_MEMBER_BYTES:
        raise InputError(f"{archive}: {member.filename}: {member.file_size} bytes, at most {MAX_MEMBER_BYTES} are read")
    try:
        with opened.open(member) as file, Image.open(io.BytesIO(file.read(MAX_MEMBER_BYTES))) as picture:
            if max(picture.size) > MAX_SIDE:
                raise InputError(
                    f"{archive}: {member.filename}: {picture.width} x {picture.height} pixels, "
                    f"at most {MAX_SIDE} x {MAX_SIDE} are read"
                )
            return np.asarray(picture.convert("RGB"))
    except InputError:
        raise
    except (*READ_ERRORS, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{archive}: {member.filename}: cannot be read as an image ({reason})") from None


def _size(images: np.ndarray) -> str:
    return f"{images.shape[-2]} x {images.shape[-3]} pixels"
