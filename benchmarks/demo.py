"""The demo as a newcomer runs it, kernels compiled from nothing: python benchmarks/demo.py"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import show, write


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "demo"
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "ohmfield", "demo", "--out", str(out)],
            check=True,
            env={**os.environ, "NUMBA_CACHE_DIR": f"{folder}/kernels"},
        )
        seconds = time.perf_counter() - start
        peak_GB = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        page_MB = (out / "report.html").stat().st_size / 1e6
        chips = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["chips"]
    figures = {
        name: {key: chip[key] for key in ("psnr_dB", "energy_mJ", "frames_per_s", "area_mm2")}
        for name, chip in chips.items()
    }
    show("ohmfield demo, cold kernels", ["seconds", "peak GB", "page MB"], [[seconds, peak_GB, page_MB]])
    write("demo", {"wall_s": seconds, "peak_memory_GB": peak_GB, "page_MB": page_MB, "chips": figures})


if __name__ == "__main__":
    main()
