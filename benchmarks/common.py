"""What every benchmark shares: timing in turns, a table on the screen, and one JSON file of figures."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
INSTRUCTIONS = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512vbmi": "VBMI", "avx512_vnni": "VNNI"}
PACKAGES = ("ohmfield", "torch", "numpy", "numba")


def cpu_name() -> str:
    """The processor's model name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def instructions() -> str:
    """The vector instructions that rates depend on, where the system tells them."""
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.exists() else set()
    return ", ".join(name for flag, name in INSTRUCTIONS.items() if flag in flags)


def has_avx512() -> bool:
    """Whether rates are those of a processor with AVX-512."""
    return "AVX-512" in instructions()


def in_turns(runs: dict[str, Callable[[], object]], repeats: int = 5, *, cpu: bool = False) -> dict[str, float]:
    """Median seconds of each run, taken in turns (A B A B ...), so that a slow minute of the machine hits all alike.

    Each is run once before, uncounted. `cpu` counts processor seconds of this process, all threads added.
    """
    clock = time.process_time if cpu else time.perf_counter
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on the screen; floats with four significant digits."""
    table = Table(title=title)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row))
    Console(width=140).print(table)


def installed() -> dict[str, str]:
    """Versions of the packages that matter, of those that are there."""
    found = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def write(name: str, figures: dict[str, Any], *, rates: bool = False) -> Path:
    """Writes `results/<name>.json`: command, machine, versions, then `figures`; a peer's is `ratio_vs_<peer>`.

    `rates`: figures that depend on vector instructions; a processor without AVX-512 writes `<name>-avx2.json`, so that
    they never replace those of one that has it.
    """
    machine = {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.system(), "instructions": instructions()}
    record = {
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "machine": machine,
        "versions": {"python": platform.python_version(), **installed()},
        **figures,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}{'-avx2' if rates and not has_avx512() else ''}.json"
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path
