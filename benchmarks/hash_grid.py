"""Hash grid, forward and backward: the Numba kernels against plain torch, two threads each, values compared."""

from __future__ import annotations

import os

os.environ.setdefault("OHMFIELD_THREADS", "2")

import torch

from common import in_turns, show, write
from ohmfield._kernels.hash_lookup import hash_lookup, reference
from ohmfield._kernels.threads import one_torch_thread
from ohmfield.fields.encodings.hash_grid import HashGrid
from ohmfield.numerics import Noise

CASES = {"2^14 entries": (14, 512.0), "2^19 entries": (19, 16384.0)}  # log2 of the table, finest resolution
NUM_SAMPLES = 2**17
REPEATS = 3


def measure(log2_table: int, finest: float) -> dict[str, float]:
    """Million samples per second of both, their ratio and the largest difference between them."""
    grid = HashGrid(2, 16, 2, log2_table, 16, finest)
    noise = Noise(0)
    with torch.no_grad():
        grid.table.weight.copy_(noise.at("table").normal(tuple(grid.table.weight.shape)))
    coords = noise.at("coords").uniform((NUM_SAMPLES, 2))
    gradient = noise.at("gradient").normal((NUM_SAMPLES, grid.num_features))
    table = grid.table.weight

    def fast() -> tuple[torch.Tensor, torch.Tensor]:
        features, _ = hash_lookup(coords, table, grid.levels)
        return features.detach(), torch.autograd.grad(features, table, gradient)[0]

    def plain() -> tuple[torch.Tensor, torch.Tensor]:
        features = reference(coords, table, grid.levels)
        return features.detach(), torch.autograd.grad(features, table, gradient)[0]

    difference = max(float((a - b).abs().max()) for a, b in zip(fast(), plain(), strict=True))

    def fast_alone() -> None:
        with one_torch_thread():  # our own threads do the work
            fast()

    torch.set_num_threads(2)
    seconds = in_turns({"ohmfield": fast_alone, "torch": plain}, REPEATS)
    return {
        "ohmfield_Msamples_per_s": NUM_SAMPLES / seconds["ohmfield"] / 1e6,
        "torch_Msamples_per_s": NUM_SAMPLES / seconds["torch"] / 1e6,
        "ratio_vs_torch": seconds["torch"] / seconds["ohmfield"],
        "largest_difference": difference,
    }


def main() -> None:
    """Measures both table sizes."""
    figures = {name: measure(*case) for name, case in CASES.items()}
    rows = [[name, *row.values()] for name, row in figures.items()]
    columns = ["16 levels, 2 features, 2-D", "ohmfield M/s", "torch M/s", "ratio", "largest difference"]
    show("hash grid, forward and backward, two threads", columns, rows)
    write("hash_grid", {"num_samples": NUM_SAMPLES, "threads": 2, "tables": figures})


if __name__ == "__main__":
    main()
