"""CT volumes from `.npz`, HDF5 and NIfTI files, and slices of them."""

from __future__ import annotations

import importlib
import os
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from jaxtyping import Float

from ohmfield.signals.points import Points, from_image
from ohmfield.spec import InputError

MAX_VOXELS = 2**29
HDF5 = (".h5", ".hdf5", ".hdf", ".nxs")
NIFTI = (".nii", ".nii.gz")

READ_ERRORS = (OSError, EOFError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What numpy, h5py and nibabel raise for a damaged file."""


def volume(source: str | os.PathLike[str], dataset: str | None = None) -> Float[np.ndarray, "x y z"]:
    """The voxels of a file, float32, in the order and units of the file.

    `dataset` names the array of a `.npz` or HDF5 file; without it the only one of three dimensions is taken. HDF5
    needs the extra `hdf5`, NIfTI the extra `nifti`. Raises `InputError` for what cannot be read.
    """
    path = Path(source)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    name = path.name.lower()
    try:
        if name.endswith(".npz"):
            voxels = _npz(path, dataset)
        elif name.endswith(HDF5):
            voxels = hdf5(path, dataset)
        elif name.endswith(NIFTI):
            voxels = _nifti(path)
        else:
            raise InputError(f"{path}: not a volume; use .npz, {', '.join((*HDF5, *NIFTI))}")
    except InputError:
        raise
    except READ_ERRORS as error:
        raise InputError(f"{path}: cannot be read ({' '.join(str(error).split())}); copy it again") from None
    if voxels.ndim == 4 and voxels.shape[3] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim != 3:
        raise InputError(f"{path}: has shape {voxels.shape}; a volume has three axes")
    voxels = np.ascontiguousarray(voxels, dtype=np.float32)
    if not np.isfinite(voxels).all():
        raise InputError(f"{path}: holds NaN or infinity; replace those voxels")
    return voxels


def slice_of(voxels: Float[np.ndarray, "x y z"], axis: int, index: int, name: str = "slice") -> Points:
    """One slice, scaled so that the volume fills [0, 1], as `Points` of dim 2: rows are the first axis left."""
    if axis not in (0, 1, 2):
        raise InputError(f"axis: {axis} is not allowed; use 0, 1 or 2")
    if not 0 <= index < voxels.shape[axis]:
        raise InputError(f"index: {index} is not allowed; axis {axis} has slices 0 to {voxels.shape[axis] - 1}")
    low, high = float(voxels.min()), float(voxels.max())
    if high <= low:
        raise InputError(f"{name}: all voxels are {low}; there is nothing to fit")
    plane = (np.take(voxels, index, axis) - low) / (high - low)
    return from_image(torch.from_numpy(np.ascontiguousarray(plane, dtype=np.float32))[..., None], name, bits=32)


def hdf5(path: Path, dataset: str | None) -> np.ndarray:
    """An array of an HDF5 file; without a name the only one of three dimensions."""
    h5py = extra("h5py", "hdf5")
    with h5py.File(path, "r") as file:
        found: dict[str, tuple[int, ...]] = {}
        file.visititems(lambda name, item: found.update({name: item.shape}) if isinstance(item, h5py.Dataset) else None)
        name = _chosen(path, dataset, found)
        _bounded(path, found[name])
        return file[name][()]


def _nifti(path: Path) -> np.ndarray:
    nibabel = extra("nibabel", "nifti")
    try:
        image = nibabel.load(path)
        _bounded(path, image.shape)
        return np.asarray(image.dataobj)
    except (nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError) as error:
        raise ValueError(str(error)) from None


def extra(module: str, name: str) -> ModuleType:
    """An optional package; `InputError` says how to get it."""
    with suppress(ImportError):
        return importlib.import_module(module)
    raise InputError(f"{module} is not installed, which reads such files; pip install 'ohmfield[{name}]'")


def _npz(path: Path, dataset: str | None) -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        shapes: dict[str, tuple[int, ...]] = {}
        for name in archive.files:
            with archive.zip.open(f"{name}.npy") as file:
                version = np.lib.format.read_magic(file)
                header = (
                    np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                )
                shapes[name] = header(file)[0]
        name = _chosen(path, dataset, shapes)
        _bounded(path, shapes[name])
        return archive[name]


def _chosen(path: Path, dataset: str | None, shapes: dict[str, tuple[int, ...]]) -> str:
    known = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none"
    if dataset is not None:
        if dataset.strip("/") not in shapes:
            raise InputError(f"{path}: holds no array {dataset!r}; it holds {known}")
        return dataset.strip("/")
    deep = [name for name, shape in shapes.items() if len(shape) == 3]
    if len(deep) != 1:
        raise InputError(f"{path}: {len(deep)} arrays have three dimensions; name one of its arrays: {known}")
    return deep[0]


def _bounded(path: Path, shape: tuple[int, ...]) -> None:
    if int(np.prod(shape, dtype=np.int64)) > MAX_VOXELS or 0 in shape:
        raise InputError(f"{path}: {shape} voxels; 1 to {MAX_VOXELS} are read")
