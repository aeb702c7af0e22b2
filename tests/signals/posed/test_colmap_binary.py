"""The binary reader: whatever a file holds, it is read or refused, in memory that its own size bounds."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import posed_files as files
from ohmfield.signals.posed import still_life
from ohmfield.signals.posed.colmap_binary import read_cameras, read_photographs, read_points
from ohmfield.spec import InputError

VIEWS = still_life(8, 4)
READERS: dict[str, tuple[Callable[[Path], object], bytes]] = {
    "cameras.bin": (
        read_cameras,
        struct.pack("<Q", 2)
        + struct.pack("<IiQQ4d", 1, 1, 8, 8, 9.0, 9.0, 4.0, 4.0)
        + struct.pack("<IiQQ3d", 2, 0, 8, 8, 9.0, 4.0, 4.0),
    ),
    "images.bin": (read_photographs, files.images_bin(files.world_to_camera(VIEWS), files.names_of(VIEWS))),
    "points3D.bin": (read_points, files.points_bin(np.arange(15.0).reshape(5, 3))),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("model")


def attempt(name: str, data: bytes, folder: Path) -> object | None:
    path = folder / name
    path.write_bytes(data)
    try:
        return READERS[name][0](path)
    except InputError as error:
        told = str(error)
    assert "\n" not in told
    assert str(path) in told
    return None


def test_whole_files_are_read(folder: Path) -> None:
    cameras = attempt("cameras.bin", READERS["cameras.bin"][1], folder)
    assert isinstance(cameras, dict)
    assert [camera.model for camera in cameras.values()] == ["PINHOLE", "SIMPLE_PINHOLE"]
    photographs = attempt("images.bin", READERS["images.bin"][1], folder)
    assert isinstance(photographs, list)
    assert photographs[1].seen.tolist() == [[1.5, 2.5]]
    assert photographs[1].seen_points.tolist() == [17]
    points = attempt("points3D.bin", READERS["points3D.bin"][1], folder)
    np.testing.assert_array_equal(getattr(points, "places", None), np.arange(15.0).reshape(5, 3))


@pytest.mark.parametrize("name", READERS)
def test_every_shorter_file_is_refused(name: str, folder: Path) -> None:
    data = READERS[name][1]
    for length in range(len(data)):
        assert attempt(name, data[:length], folder) is None, f"{length} of {len(data)} bytes"
    assert attempt(name, data + b"\0", folder) is None


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_changed_bytes_are_read_or_refused(name: str, folder: Path, data: st.DataObject) -> None:
    changed = bytearray(READERS[name][1])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        piece = data.draw(st.sampled_from([b"\xff", b"\xff" * 8, b"\0" * 8, b"\x7f", struct.pack("<d", float("nan"))]))
        changed[at : at + len(piece)] = piece
    attempt(name, bytes(changed), folder)


@pytest.mark.parametrize("name", READERS)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(name: str, folder: Path, data: bytes) -> None:
    attempt(name, data, folder)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("count", [2**63, 2**40, 10**6])
def test_a_count_is_not_trusted_with_memory(name: str, count: int, folder: Path) -> None:
    data = struct.pack("<Q", count) + READERS[name][1][8:]
    tracemalloc.start()
    assert attempt(name, data, folder) is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20
