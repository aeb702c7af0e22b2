"""COLMAP's binary files. Little-endian; a count in a file is never trusted with memory."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ohmfield.signals.posed.colmap_model import MODELS, Camera, Photograph, Points, checked_model
from ohmfield.spec import InputError

MAX_BYTES = 2**31
MAX_NAME = 1024
SEEN = np.dtype([("place", "<f8", 2), ("point", "<i8")])
TRACK_BYTES = 8
POINT = struct.Struct("<Q3d3BdQ")


@dataclass
class Cursor:
    """A place in the bytes of a file that never leaves them."""

    path: Path
    data: bytes
    at: int = 0

    @classmethod
    def open(cls, path: Path) -> Cursor:
        """The bytes of a file, at the first."""
        try:
            size = path.stat().st_size
            if size > MAX_BYTES:
                raise InputError(f"{path}: {size} bytes, at most {MAX_BYTES} are read")
            return cls(path, path.read_bytes())
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); give the folder of the model") from None

    def skip(self, num_bytes: int, what: str) -> int:
        """Where `num_bytes` begin, which must be there; the cursor stands behind them."""
        begin, left = self.at, len(self.data) - self.at
        if num_bytes > left:
            raise InputError(
                f"{self.path}: ends within {what} ({num_bytes} bytes wanted, {left} left); copy the file again"
            )
        self.at += num_bytes
        return begin

    def take(self, layout: struct.Struct, what: str) -> tuple[Any, ...]:
        """The values of one record."""
        return layout.unpack_from(self.data, self.skip(layout.size, what))

    def count(self, least_bytes: int, what: str) -> int:
        """A count of records that have at least so many bytes each; one the file cannot hold is an `InputError`."""
        (count,) = self.take(struct.Struct("<Q"), f"the number of {what}")
        left = len(self.data) - self.at
        if count * least_bytes > left:
            raise InputError(f"{self.path}: announces {count} {what}, {left} bytes are left; copy the file again")
        return count

    def name(self, what: str) -> str:
        """Text up to the next zero byte."""
        end = self.data.find(b"\0", self.at, self.at + MAX_NAME)
        if end < 0:
            raise InputError(f"{self.path}: {what} has no end within {MAX_NAME} bytes; copy the file again")
        raw, self.at = self.data[self.at : end], end + 1
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{self.path}: {what} {raw[:40]!r} is no UTF-8; rename the photograph") from None

    def done(self) -> None:
        """Nothing may be left."""
        if self.at != len(self.data):
            raise InputError(
                f"{self.path}: {len(self.data) - self.at} bytes are left behind the last record; copy the file again"
            )


def read_cameras(path: Path) -> dict[int, Camera]:
    """Cameras of `cameras.bin` by number."""
    cursor, cameras = Cursor.open(path), {}
    layout = struct.Struct("<IiQQ")
    for number in range(cursor.count(layout.size, "cameras")):
        what = f"camera {number}"
        identity, model, width, height = cursor.take(layout, what)
        name, num_parameters = MODELS.get(model, (f"number {model}", 0))
        checked_model(name, None, f"{path}: {what}")
        parameters = cursor.take(struct.Struct(f"<{num_parameters}d"), what)
        cameras[identity] = Camera(name, width, height, parameters)
    cursor.done()
    return cameras


def read_photographs(path: Path) -> list[Photograph]:
    """Photographs of `images.bin`; what was seen in them is a view of the file's bytes."""
    cursor, photographs = Cursor.open(path), []
    layout = struct.Struct("<I7dI")
    for number in range(cursor.count(layout.size + 9, "photographs")):
        what = f"photograph {number}"
        _, *pose, camera = cursor.take(layout, what)
        name = cursor.name(f"the name of {what}")
        count = cursor.count(SEEN.itemsize, f"points seen in {what}")
        seen = np.frombuffer(cursor.data, SEEN, count, cursor.skip(count * SEEN.itemsize, what))
        photographs.append(Photograph(name, tuple(pose[:4]), tuple(pose[4:]), camera, seen["place"], seen["point"]))
    cursor.done()
    return photographs


def read_points(path: Path) -> Points:
    """Points of `points3D.bin`, without the photographs each was seen in."""
    cursor, numbers, places, colours = Cursor.open(path), [], [], []
    for number in range(cursor.count(POINT.size, "points")):
        identity, x, y, z, red, green, blue, _, track = cursor.take(POINT, f"point {number}")
        cursor.skip(track * TRACK_BYTES, f"the track of point {number}")
        numbers.append(identity)
        places.append((x, y, z))
        colours.append((red, green, blue))
    cursor.done()
    return Points.of(numbers, places, colours)
