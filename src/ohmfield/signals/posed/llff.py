"""LLFF's `poses_bounds.npy`: a row per photograph, 3 x 5 pose and size, then where its content begins and ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ohmfield.signals.posed.found import MAX_FAR, SUFFIXES, Found, Lens, Shot, images_folder, mask_of, rigid
from ohmfield.spec import InputError

COLUMNS = 17
MAX_ROWS = 100_000


def read_llff(folder: Path, images: str | None = None) -> Found:
    """Poses of `folder/poses_bounds.npy` with the photographs beside it, both in order of their names.

    The file's axes are down, right, back; focal length and size are those of the photographs as taken.
    """
    path = folder / "poses_bounds.npy"
    rows = _rows(path)
    chosen = images_folder(folder, images)
    files = sorted(file for file in chosen.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    if len(files) != len(rows):
        raise InputError(
            f"{path}: {len(rows)} poses, {chosen} holds {len(files)} photographs; each pose needs its own, in order"
        )
    shots = []
    for number, (row, file) in enumerate(zip(rows, files, strict=True)):
        where = f"{path}: row {number} ({file.name})"
        down, right, back, position, size = row[:15].reshape(3, 5).T
        pose = rigid(np.stack([right, -down, back, position], 1), where)
        if not np.abs(row).max() < MAX_FAR:
            raise InputError(f"{where}: size, focal length or bounds are not finite or beyond {MAX_FAR:g}; remove it")
        if not 0 < row[15] < row[16]:
            raise InputError(f"{where}: bounds {row[15]:g} to {row[16]:g}; expected 0 < near < far")
        height, width, focal = (float(value) for value in size)
        lens = Lens((round(width), round(height)), (focal, focal), (width / 2, height / 2)).checked(where)
        shots.append(Shot(file, pose, lens, mask=mask_of(folder, file.name)))
    return Found(folder, shots, bounds=rows[:, 15:], recentre=True)


def _rows(path: Path) -> np.ndarray:
    """[num, 17] float64; the size a file announces is held against the bytes it has before anything is allocated."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            if version not in readers:
                raise InputError(f"{path}: npy version {version}; save it with numpy.save")
            shape, fortran, dtype = readers[version](file)
            if dtype.kind != "f" or len(shape) != 2 or shape[1] != COLUMNS or not 1 <= shape[0] <= MAX_ROWS:
                raise InputError(f"{path}: an array {shape} of {dtype}, expected [photographs, {COLUMNS}] of floats")
            data = file.read(shape[0] * COLUMNS * dtype.itemsize + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give the folder of the scene") from None
    except InputError:
        raise
    except (ValueError, SyntaxError, TypeError, EOFError, OverflowError, RecursionError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: is no npy file ({reason}); save it with numpy.save") from None
    if len(data) != shape[0] * COLUMNS * dtype.itemsize:
        raise InputError(f"{path}: holds not the {shape} values it announces; the file is damaged, copy it again")
    rows = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return rows.astype(np.float64)
