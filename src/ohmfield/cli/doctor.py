"""`ohmfield doctor`: what this machine offers and which paths the kernels take on it."""

from __future__ import annotations

import os
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ohmfield import __version__, _kernels
from ohmfield._kernels.threads import num_threads
from ohmfield.cli import commands, console
from ohmfield.report.tables import number

FEATURES = ("avx2", "avx512f", "avx512vnni", "avxvnni", "avx512bf16", "amx-int8", "neon", "dotprod", "i8mm", "sve")
PACKAGES = ("torch", "numpy", "numba", "pydantic", "safetensors", "scikit-image", "matplotlib")


def run(command: commands.Doctor) -> dict[str, Any]:
    """Look, measure if asked, print for people; returns what `--json` prints."""
    facts: dict[str, Any] = {
        "ohmfield": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "features": (present := features()),
        "vector_bits": 512 if "avx512f" in present else 256 if "avx2" in present else 128,
        "cores": os.cpu_count() or 1,
        "threads": num_threads(),
        **{name: version(name) for name in PACKAGES},
        "kernel_cache": str(cache_folder()),
        "kernels_compiled": compiled(),
        "free_disk_GB": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
    }
    if command.measure:
        facts["measured"] = _measure()
    if not command.json:
        console.show(console.table("", ("", ""), [[name, _text(value)] for name, value in facts.items()], words=True))
    return facts


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return number(value, 4) if isinstance(value, float) else str(value)


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def features() -> list[str]:
    """Vector features of this processor that the kernels can use."""
    import llvmlite.binding

    present = llvmlite.binding.get_host_cpu_features()
    return [name for name in FEATURES if present.get(name)]


def cache_folder() -> Path:
    """Where numba keeps the compiled kernels."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    return Path(chosen) if chosen else Path(_kernels.__file__).parent / "__pycache__"


def compiled() -> list[str]:
    """Kernel files that have compiled code in the cache; the others compile when they are first used."""
    found = {path.name.partition(".")[0] for path in cache_folder().rglob("*.nbi")}
    return sorted(name for name in found if (Path(_kernels.__file__).parent / f"{name}.py").exists())


def _measure() -> dict[str, Any]:
    from ohmfield.chip.files import measure_this_machine
    from ohmfield.spec import to_plain

    with console.progress().status("measuring peak rate and bandwidth"):
        return to_plain(measure_this_machine())
