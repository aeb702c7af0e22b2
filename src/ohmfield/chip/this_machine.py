"""This machine as a baseline: peak rate and bandwidth measured, power assumed."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch

from ohmfield.chip.baseline import Roofline

NUM_THREADS = 2
# Power of a laptop or server core under load and at rest; no portable counter tells it.
BUSY_W_PER_CORE, IDLE_W_PER_CORE = 8.0, 1.5
_REPEATS = 5


def this_machine_path() -> Path:
    """Where `ohmfield doctor --measure` keeps what it measured."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "ohmfield" / "this-machine.yaml"


def measure() -> Roofline:
    """Peak of a large fp32 product, its share that a 64-wide layer reaches, copy bandwidth; a second or two.

    The thread count is put back afterwards.
    """
    threads = torch.get_num_threads()
    num_threads = min(NUM_THREADS, os.cpu_count() or 1)
    torch.set_num_threads(num_threads)
    try:
        peak, small = _product_GFLOPs(1024, 1024, 1024), _product_GFLOPs(16384, 64, 64)
        bandwidth = _copy_GBps()
    finally:
        torch.set_num_threads(threads)
    return Roofline(
        name=f"this machine, {num_threads} threads ({platform.processor() or platform.machine()})",
        source="rate and bandwidth measured with torch; power assumed, 8 W per busy core and 1.5 W per idle one",
        peak_GFLOPs=peak,
        bandwidth_GBps=bandwidth,
        idle_W=IDLE_W_PER_CORE * num_threads,
        busy_W=BUSY_W_PER_CORE * num_threads,
        utilisation=min(1.0, small / peak),
        streaming=1.0,
        launch_us=2.0,
        assumed=True,
    )


def _best_s(action: Callable[[], object]) -> float:
    action()
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def _product_GFLOPs(rows: int, inner: int, columns: int) -> float:
    left, right = torch.ones(rows, inner), torch.ones(inner, columns)
    out = torch.empty(rows, columns)
    return 2e-9 * rows * inner * columns / _best_s(lambda: torch.mm(left, right, out=out))


def _copy_GBps() -> float:
    """Bytes read and written per second, far beyond any cache."""
    source = torch.ones(2**26, dtype=torch.float32)
    target = torch.empty_like(source)
    return 2e-9 * source.numel() * source.element_size() / _best_s(lambda: target.copy_(source))
