"""How every file is written: beside its place, synced, renamed."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ohmfield.spec import InputError


def write_atomic(path: Path, data: bytes) -> None:
    """Writes `data` beside `path`, syncs and renames: the file is whole, or the previous one is untouched.

    Missing folders are made; the mode follows the umask. Raises `InputError` when the disk is full or the folder is
    not writable. Nothing half-written stays, whatever stops it short of a kill.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"{path}: cannot be written ({reason}); free some space or choose another folder; an older file is intact"
        ) from None


def discard(path: Path) -> None:
    """Removes a file that may not be there; `InputError` when the folder is not writable."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be removed ({error.strerror}); choose another folder") from None
