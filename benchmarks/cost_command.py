"""How long `ohmfield cost` takes for four models on six chips, after import: processor and wall seconds, best of three.

python benchmarks/cost_command.py
"""

from __future__ import annotations

import contextlib
import io
import time

from common import show, write
from ohmfield.cli import commands, cost

CHIPS = "rram-40nm,dcim-28nm,hybrid-40nm,pcm-14nm,h100,jetson-agx-orin"
MODELS = ("resnet-18", "vit-b-16", "llama-3-8b", "nerf")


def main() -> None:
    figures = {model: _timed(model) for model in MODELS}
    figures["all four"] = {
        "processor_s": sum(row["processor_s"] for row in figures.values()),
        "wall_s": sum(row["wall_s"] for row in figures.values()),
    }
    rows = [[name, row["processor_s"], row["wall_s"]] for name, row in figures.items()]
    show(f"ohmfield cost MODEL --chip {CHIPS}", ["model", "processor seconds", "wall seconds"], rows)
    write("cost_command", {"chips": CHIPS.split(","), "rows": figures})


def _timed(model: str, repeats: int = 3) -> dict[str, float]:
    """Of the whole command but its imports, its table included."""
    command = commands.Cost(model=model, chip=CHIPS, allow_waves=True)
    best = {"processor_s": float("inf"), "wall_s": float("inf")}
    for _ in range(repeats):
        processor, wall = time.process_time(), time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            cost.run(command)
        took = time.process_time() - processor, time.perf_counter() - wall
        best = {"processor_s": min(best["processor_s"], took[0]), "wall_s": min(best["wall_s"], took[1])}
    return best


if __name__ == "__main__":
    main()
