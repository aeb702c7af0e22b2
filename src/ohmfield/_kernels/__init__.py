"""The compiled kernels. Two processes that compile at the same time write numba's files of them in turn.

A file is named by counting what the index holds, and the index is written before it. Two processes that read the index
together give two kernels one name: from then on one of them is loaded in place of the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import caching

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    """No other process (or thread) is inside with the same folder, where there is one and its file system has locks."""
    handle = None
    try:
        if fcntl is not None:
            handle = os.open(folder, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        pass
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


class InTurn(caching.IndexDataCacheFile):
    """Numba's index and files of one kernel, read and written by one process at a time."""

    def save(self, key: Any, data: Any) -> None:
        with _alone(self._cache_path):
            super().save(key, data)

    def load(self, key: Any) -> Any:
        with _alone(self._cache_path):
            return super().load(key)


caching.IndexDataCacheFile = InTurn  # what `cache=True` of the kernels below takes
