"""COLMAP's text files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ohmfield.signals.posed.colmap_binary import MAX_BYTES
from ohmfield.signals.posed.colmap_model import Camera, Photograph, Points, checked_model
from ohmfield.spec import InputError


def read_cameras(path: Path) -> dict[int, Camera]:
    """Cameras of `cameras.txt` by number."""
    cameras = {}
    for number, line in _lines(path):
        if not line.strip():
            continue
        words, where = line.split(), f"{path}, line {number}"
        if len(words) < 5:
            raise InputError(f"{where}: {len(words)} words, expected CAMERA_ID MODEL WIDTH HEIGHT PARAMS")
        checked_model(words[1], len(words) - 4, where)
        identity, width, height = (_whole(word, where) for word in (words[0], *words[2:4]))
        cameras[identity] = Camera(words[1], width, height, tuple(_numbers(words[4:], where)))
    return cameras


def read_photographs(path: Path) -> list[Photograph]:
    """Photographs of `images.txt`: two lines each, the second may be empty."""
    photographs, lines = [], _lines(path)
    for number, line in lines:
        if not line.strip():
            continue
        words, where = line.split(maxsplit=9), f"{path}, line {number}"
        if len(words) != 10:
            raise InputError(
                f"{where}: {len(words)} words, expected IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME; "
                "each photograph has two lines"
            )
        pose = _numbers(words[1:8], where)
        seen = _numbers(next(lines, (0, ""))[1].split(), f"{path}, line {number + 1}")
        if len(seen) % 3:
            raise InputError(f"{path}, line {number + 1}: {len(seen)} values, expected X Y POINT3D_ID again and again")
        table = np.array(seen, np.float64).reshape(-1, 3)
        numbers = np.nan_to_num(table[:, 2], nan=-1.0).clip(-1, 2.0**53).astype(np.int64)
        photographs.append(
            Photograph(
                words[9].strip(), tuple(pose[:4]), tuple(pose[4:]), _whole(words[8], where), table[:, :2], numbers
            )
        )
    return photographs


def read_points(path: Path) -> Points:
    """Points of `points3D.txt`, without the photographs each was seen in."""
    numbers, places, colours = [], [], []
    for number, line in _lines(path):
        words = line.split(maxsplit=8)
        if not words:
            continue
        where = f"{path}, line {number}"
        if len(words) < 8:
            raise InputError(f"{where}: {len(words)} words, expected POINT3D_ID X Y Z R G B ERROR TRACK")
        numbers.append(_whole(words[0], where))
        places.append(_numbers(words[1:4], where))
        colours.append([min(_whole(word, where), 255) for word in words[4:7]])
    return Points.of(numbers, places, colours)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are no comments, with their numbers."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: {path.stat().st_size} bytes, at most {MAX_BYTES} are read")
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.startswith("#"):
                    yield number, line
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no UTF-8 text; export the model as text again") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give the folder of the model") from None


def _numbers(words: list[str], where: str) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise InputError(f"{where}: {str(error)[:80]}; expected numbers") from None


def _whole(word: str, where: str) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) < 19):
        raise InputError(f"{where}: {word[:40]!r} is no whole number")
    return int(word)
