"""One thread pool for all kernels: serial `nogil` kernels run side by side, never inside torch's own pool."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

import torch

from ohmfield.spec import InputError

Job = TypeVar("Job")
Result = TypeVar("Result")

_inside = threading.local()  # set while a thread works on a job: calls from there run serially


def num_threads() -> int:
    """Threads the kernels use: `OHMFIELD_THREADS`, or two (one on a single core)."""
    text = os.environ.get("OHMFIELD_THREADS", "")
    if not text:
        return min(2, os.cpu_count() or 1)
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise InputError(f"OHMFIELD_THREADS={text!r} is not a number of threads from 1 to 256; unset it")
    return int(text)


@lru_cache(maxsize=4)
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="ohmfield")


def run_parallel(fn: Callable[[Job], Result], jobs: Iterable[Job]) -> list[Result]:
    """`[fn(job) for job in jobs]`, on up to `num_threads()` threads, the caller's included; a nested call is serial.

    Jobs are handed out in order; the first exception is raised once every thread has stopped.

    >>> run_parallel(lambda job: 2 * job, [1, 2, 3])
    [2, 4, 6]
    """
    todo = list(enumerate(jobs))
    threads = min(num_threads(), len(todo))
    if threads < 2 or getattr(_inside, "busy", False):
        return [fn(job) for _, job in todo]
    results: dict[int, Result] = {}
    todo.reverse()  # pop() takes the next job and is atomic

    def work() -> None:
        _inside.busy = True
        try:
            while todo:
                try:
                    index, job = todo.pop()
                except IndexError:  # another thread took the last one
                    return
                results[index] = fn(job)
        except BaseException:
            todo.clear()
            raise
        finally:
            _inside.busy = False

    helpers = [_pool(threads - 1).submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        wait(helpers)
    for helper in helpers:
        helper.result()
    return [results[index] for index in range(len(results))]


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Torch's own threads off: they spin beside ours (a 2 ms operation becomes 16 ms); restored at the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
