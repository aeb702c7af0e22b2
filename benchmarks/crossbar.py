"""The fused analog product against a well-tiled torch fp32 version: python benchmarks/crossbar.py

One 256 x 256 layer: 2,048 physical columns in pairs, 128-row groups, 8-bit serial inputs, four 2-bit slices, analog
subtraction, one 8-bit conversion per group, plane, slice and pair. One thread, processor seconds, in turns; codes are
compared in the same process. Nothing is collapsed, cached or skipped.
"""

from __future__ import annotations

import argparse
import os

os.environ["OHMFIELD_THREADS"] = "1"

import numpy as np
import torch

from common import in_turns, show, write
from ohmfield._kernels.crossbar import LoweredArray, reference
from ohmfield._kernels.crossbar_fast import fast, packed_of
from ohmfield.numerics import Noise

ROWS, OUTPUTS, GROUP, SLICES, PLANES, STEP = 256, 256, 128, 4, 8, 8


def layer(grid: int, noise_levels: float = 0.0, read_std_levels: float = 0.0) -> LoweredArray:
    """Random weights in four 2-bit slices; `grid` > 1 adds a programming error of 0.05 level to every pair."""
    rng = np.random.default_rng(0)
    levels = rng.integers(-3, 4, size=(ROWS, SLICES, OUTPUTS)).astype(np.float64)
    if grid > 1:
        levels += rng.normal(scale=0.05, size=levels.shape)
    whole = np.floor(levels * grid + 0.5).astype(np.int32)
    reach = int(np.abs(whole).sum(axis=0).max()) + 64 * grid
    values = np.arange(-reach, reach + 1)
    codes = np.clip(np.floor(values / (STEP * grid) + 0.5), -128, 127).astype(np.int32)
    return LoweredArray(
        levels=whole,
        starts=np.arange(0, ROWS + 1, GROUP),
        grid=grid,
        bank_weights=4 ** np.arange(SLICES),
        plane_weights=np.array([1, 2, 4, 8, 16, 32, 64, -128]),
        drive="twos_complement",
        first=-reach,
        codes=np.tile(codes, (SLICES, 1)),
        step=np.full(SLICES, float(STEP * grid)),
        noise_variance=np.full(SLICES, (noise_levels * grid) ** 2) if noise_levels else None,
        read_variance=(read_std_levels * grid) ** 2,
    )


def tiled(array: LoweredArray, inputs: torch.Tensor, tile: int) -> torch.Tensor:
    """The same codes with torch: one fp32 product per group and tile over all planes and slices, buffers reused."""
    weights = torch.from_numpy(array.levels.astype(np.float32)).reshape(ROWS, -1)
    groups = [weights[low : low + GROUP].contiguous() for low in range(0, ROWS, GROUP)]
    banks = torch.from_numpy(array.bank_weights.astype(np.float32))[:, None]
    out = torch.empty(len(inputs), OUTPUTS)
    sums = torch.empty(PLANES * tile, SLICES * OUTPUTS)
    for first in range(0, len(inputs), tile):
        codes = inputs[first : first + tile]
        planes = torch.stack([(codes >> plane) & 1 for plane in range(PLANES)]).float()
        total = torch.zeros(tile, SLICES * OUTPUTS)
        for group, weight in enumerate(groups):
            rows = planes[:, :, group * GROUP : (group + 1) * GROUP].reshape(-1, GROUP)
            torch.mm(rows, weight, out=sums)
            sums.mul_(1.0 / (STEP * array.grid)).add_(0.5).floor_().clamp_(-128, 127)
            for plane, weight_of_plane in enumerate(array.plane_weights.tolist()):
                total.add_(sums[plane * tile : (plane + 1) * tile], alpha=float(weight_of_plane))
        out[first : first + tile] = (total.view(tile, SLICES, OUTPUTS) * banks).sum(1)
    return out


def int8_peak(repeats: int) -> float:
    """Measured int8 product rate of this machine, GOP/s on one thread."""
    left = torch.randint(-128, 128, (1024, 1024), dtype=torch.int8)
    right = torch.randint(-128, 128, (1024, 1024), dtype=torch.int8)
    out = torch.empty(1024, 1024, dtype=torch.int32)
    multiply = getattr(torch, "_int_mm")  # noqa: B009 - private, but the only int8 product torch has
    seconds = in_turns({"mm": lambda: multiply(left, right, out=out)}, repeats, cpu=True)["mm"]
    return 2 * 1024**3 / seconds / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    inputs = np.random.default_rng(1).integers(-128, 128, size=(args.batch, ROWS)).astype(np.int32)
    drawn = torch.from_numpy(inputs)
    noise = Noise(0).at("read")
    ideal, written = layer(1), layer(64)
    noisy = layer(64, noise_levels=0.5)
    per_read = layer(64, noise_levels=0.5, read_std_levels=0.05)
    for array in (ideal, written, noisy, per_read):
        np.testing.assert_array_equal(fast(array, inputs[:16], noise)[0], reference(array, inputs[:16], noise)[0])
    np.testing.assert_array_equal(tiled(ideal, drawn[:256], 64).numpy(), fast(ideal, inputs[:256])[0])
    runs = {
        "ideal levels": lambda: fast(ideal, inputs),
        "programmed levels": lambda: fast(written, inputs),
        "converter noise": lambda: fast(noisy, inputs, noise),
        "converter and read noise": lambda: fast(per_read, inputs, noise),
        **{f"torch fp32, tiles of {tile}": lambda tile=tile: tiled(ideal, drawn, tile) for tile in (64, 128, 256)},
    }
    seconds = in_turns(runs, args.repeats, cpu=True)
    best_torch = min(value for name, value in seconds.items() if name.startswith("torch"))
    peak = int8_peak(args.repeats)
    operations = 2.0 * ROWS * OUTPUTS * SLICES * PLANES
    rows = []
    figures = {}
    for name, value in seconds.items():
        rate = args.batch / value
        share = rate * operations / 1e9 / peak
        rows.append([name, value, rate, best_torch / value, share])
        figures[name] = {
            "seconds_per_batch": round(value, 5),
            "samples_per_s": round(rate),
            "ratio_vs_torch_fp32_tiled": round(best_torch / value, 2),
            "share_of_int8_peak": round(share, 3),
        }
    show(
        f"256 x 256 layer, batch {args.batch}, one thread, processor seconds; int8 peak {peak:.0f} GOP/s",
        ["path", "seconds", "samples/s", "x torch fp32 tiled", "of int8 peak"],
        rows,
    )
    tables = {name: f"int{packed_of(array).bits}" for name, array in {"ideal": ideal, "programmed": written}.items()}
    write("crossbar", {"batch": args.batch, "int8_peak_GOPs": round(peak, 1), "tables": tables, "paths": figures})


if __name__ == "__main__":
    main()
