"""The analog product: fused kernel, torch, and the moment-matched product, as rates and shares of the int8 peak.

    python benchmarks/crossbar.py [--batch 4096] [--repeats 5]

One layer of 256 x 256 (four 2-bit slices in pairs subtracted before conversion: 2,048 columns), 8 serial bits, one
thread, processor seconds; every path is checked against the plain loops in the process that is timed, and its first
call is reported apart. Nothing is collapsed or skipped. Then a field of 2-256-256-256-3 with a ReLU and 8 bits between
its layers over 512 x 512 points, exact and moment-matched. `--portable` runs with code for an AVX2 processor.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ["OHMFIELD_THREADS"] = "1"

import numpy as np
import torch
from numba import njit

from common import has_avx512, in_turns, show, write
from ohmfield._kernels.crossbar import LoweredArray, reference
from ohmfield._kernels.crossbar_fast import fast, packed_of, refused
from ohmfield._kernels.crossbar_torch import multiply
from ohmfield.numerics import Noise
from ohmfield.simulate.products import CrossbarProduct, InputOrder, Product
from ohmfield.simulate.statistical import VECTORS, matched

ROWS, OUTPUTS, SLICES, PLANES = 256, 256, 4, 8
BANK_WEIGHTS = 4 ** np.arange(SLICES)
WIDTHS, SIDE, TILE = (2, 256, 256, 256, 3), 512, 1024  # the field, its points and how many pass at a time
FIELD_STEPS = (1, 2, 2, 2)  # of its layers, whose column sums spread by some twenty levels; of two inputs by less
PORTABLE = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2"}


def layer(
    levels: np.ndarray,
    *,
    group: int = 256,
    adc_bits: int = 8,
    step: int = 8,
    grid: int = 1,
    error_levels: float = 0.0,
    noise_levels: tuple[float, float] = (0.0, 0.0),
    per_cell: bool = False,
    drive: Any = "twos_complement",
) -> LoweredArray:
    """`levels` [inputs, slices, outputs] of pairs; sd of their errors, of converter and of read noise in levels."""
    converter_levels, read_levels = noise_levels
    rng = np.random.default_rng(3)
    stored = levels + rng.normal(scale=error_levels, size=levels.shape) if error_levels else levels
    whole = np.floor(stored * grid + 0.5).astype(np.int32)
    starts = np.append(np.arange(0, len(levels), group), len(levels))
    largest = np.add.reduceat(np.abs(whole), starts[:-1], axis=0).max()
    reach = int(largest + 5 * grid * (converter_levels + 20 * read_levels) + step * grid + 1)
    values = np.arange(-reach, reach + 1)
    codes = np.clip(np.floor(values / (step * grid) + 0.5), -(2 ** (adc_bits - 1)), 2 ** (adc_bits - 1) - 1)
    weights = 2 ** np.arange(PLANES)
    weights[-1] *= -1 if drive == "twos_complement" else 1
    variance: Any = (read_levels * grid) ** 2
    unit = 1.0
    if per_cell:  # the same on average, a third to five thirds of it in each cell
        unit = variance / 60.0
        variance = rng.integers(20, 101, size=levels.shape).astype(np.uint16)
    return LoweredArray(
        levels=whole,
        starts=starts,
        grid=grid,
        bank_weights=BANK_WEIGHTS,
        plane_weights=weights,
        drive=drive,
        first=-reach,
        codes=np.tile(codes.astype(np.int32), (SLICES, 1)),
        step=np.full(SLICES, float(step * grid)),
        noise_variance=np.full(SLICES, (converter_levels * grid) ** 2) if converter_levels else None,
        read_variance=variance,
        read_unit=unit,
    )


def layers() -> dict[str, LoweredArray]:
    """What is timed, by name."""
    levels = np.random.default_rng(0).integers(-3, 4, size=(ROWS, SLICES, OUTPUTS))
    written = {"grid": 32, "error_levels": 0.05}
    return {
        "ideal, 256 rows, 8-bit ADC": layer(levels),
        "ideal, 256 rows, 4-bit ADC": layer(levels, adc_bits=4, step=64),
        "ideal, 128 rows, 8-bit ADC": layer(levels, group=128, step=4),
        "ideal, 128 rows, 4-bit ADC": layer(levels, group=128, adc_bits=4, step=64),
        "programmed, 256 rows": layer(levels, **written),
        "programmed, 128 rows": layer(levels, group=128, **written),
        "read noise, ideal cells, 256 rows": layer(levels, grid=32, noise_levels=(0.0, 0.06)),
        "read noise, programmed, 128 rows": layer(levels, group=128, noise_levels=(0.5, 0.06), **written),
        "read noise of each cell, 128 rows": layer(
            levels, group=128, noise_levels=(0.0, 0.06), per_cell=True, **written
        ),
    }


def int8_peak(repeats: int) -> float:
    """Measured int8 product rate of this machine, GOP/s on one thread: the better of torch's two products.

    Its plain one is fast where the processor has VNNI, that of quantised layers elsewhere as well.
    """
    left = torch.randint(-128, 128, (1024, 1024), dtype=torch.int8)
    right = torch.randint(-128, 128, (1024, 1024), dtype=torch.int8)
    out = torch.empty(1024, 1024, dtype=torch.int32)
    multiply_bytes = getattr(torch, "_int_mm")  # noqa: B009 - private, but the only int8 product torch has
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # quantised tensors are on their way out of torch
        codes = torch.quantize_per_tensor(torch.rand(1024, 1024), 1 / 256, 0, torch.quint8)
        weights = torch.ops.quantized.linear_prepack(torch.quantize_per_tensor(left.float(), 1.0, 0, torch.qint8), None)
    runs: dict[str, Callable[[], object]] = {
        "plain": lambda: multiply_bytes(left, right, out=out),
        "quantised": lambda: torch.ops.quantized.linear(codes, weights, 1.0, 0),
    }
    return 2 * 1024**3 / min(in_turns(runs, repeats, cpu=True).values()) / 1e9


@njit(cache=True, nogil=True)
def rectified(out: np.ndarray, shift: int, codes: np.ndarray) -> None:
    """ReLU and 8 unsigned bits of `out`, rounded half up."""
    half = (1 << shift) >> 1
    for vector in range(out.shape[0]):
        for column in range(out.shape[1]):
            codes[vector, column] = min(max((out[vector, column] + half) >> shift, 0), 255)


class Field:
    """Products of the field's layers, and the shift that takes each layer's outputs to 8 bits."""

    def __init__(self, products: list[Product], shifts: list[int]) -> None:
        self.products, self.shifts = products, shifts

    def run(self, points: np.ndarray) -> np.ndarray:
        """int64 [points, channels]."""
        codes = [np.empty((TILE, width), dtype=np.int32) for width in WIDTHS[1:-1]]
        outs = []
        for first in range(0, len(points), TILE):
            x = points[first : first + TILE]
            for product, shift, room in zip(self.products[:-1], self.shifts, codes, strict=True):
                out, _ = product.run(x, first)
                x = room[: len(out)]
                rectified(out, shift, x)
            outs.append(self.products[-1].run(x, first)[0])
        return np.concatenate(outs)


class Lossless:
    """The integer product, in the units of the others."""

    def __init__(self, array: LoweredArray, step: int) -> None:
        self.step = float(step)
        self.weights = np.einsum("kbn,b->kn", array.levels.astype(np.float64), BANK_WEIGHTS)

    def run(self, codes: np.ndarray, first: int) -> tuple[np.ndarray, dict[str, float]]:
        return np.floor(codes @ self.weights / self.step + 0.5).astype(np.int64), {}


def fields() -> tuple[dict[str, Field], np.ndarray]:
    """Fields with exact, moment-matched (fitted on points between those that are run) and lossless products; points."""
    rng = np.random.default_rng(1)
    across = np.linspace(0, 255, SIDE).round().astype(np.int32)
    points = np.stack(np.meshgrid(across, across, indexing="ij"), axis=-1).reshape(-1, 2)
    seen = rng.integers(0, 256, size=(VECTORS, 2)).astype(np.int32)
    exact, fitted, lossless, shifts = [], [], [], []
    for number, (before, after) in enumerate(pairwise(WIDTHS)):
        weights = np.clip(np.rint(rng.normal(scale=40.0, size=(before, after))), -127, 127).astype(np.int64)
        digits = [np.sign(weights) * (np.abs(weights) // 4**bank % 4) for bank in range(SLICES)]
        step = FIELD_STEPS[number]
        array = layer(np.stack(digits, axis=1), step=step, drive="unsigned")
        order = InputOrder(starts=array.starts, dac_bits=1, num_planes=PLANES, drive="unsigned", columns=SLICES * after)
        product = CrossbarProduct([array], float(step), Noise(0).at("field", number))
        exact.append(product)
        fitted.append(matched(product, seen, order))
        lossless.append(Lossless(array, step))
        out, _ = product.run(seen, 0)
        shifts.append(max(0, int(np.rint(np.log2(max(1.0, np.quantile(out, 0.99)) / 256)))))
        seen = np.empty(out.shape, dtype=np.int32)
        rectified(out, shifts[-1], seen)
    kinds = {"exact": exact, "moment-matched": fitted, "lossless": lossless}
    return {name: Field(products, shifts[:-1]) for name, products in kinds.items()}, points


def rates(batch: int, repeats: int) -> dict[str, dict[str, float]]:
    """Seconds of a batch and of the first call of each layer, all checked here."""
    inputs = np.random.default_rng(1).integers(-128, 128, size=(batch, ROWS)).astype(np.int32)
    noise = Noise(0).at("read")
    first, runs = {}, {}
    for name, array in layers().items():
        assert not refused(array), refused(array)
        start = time.process_time()
        quick = fast(array, inputs[:64], noise)[0]
        first[name] = time.process_time() - start
        np.testing.assert_array_equal(quick[:16], reference(array, inputs[:16], noise)[0])
        runs[name] = lambda array=array: fast(array, inputs, noise)
    seconds = in_turns(runs, repeats, cpu=True)
    return {name: {"seconds": value, "first_call_s": first[name]} for name, value in seconds.items()}


def portable_rates(batch: int, repeats: int) -> dict[str, dict[str, float]]:
    """`rates` of code for a processor with AVX2 only, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "rates.json"
        command = [sys.executable, __file__, "--to", str(target), "--batch", str(batch), "--repeats", str(repeats)]
        subprocess.run(command, env={**os.environ, **PORTABLE}, check=True)
        return json.loads(target.read_text())


def torch_rate(array: LoweredArray, repeats: int) -> float:
    """Vectors per second of the torch path on this processor."""
    inputs = torch.randint(-128, 128, (512, ROWS), dtype=torch.int32)
    np.testing.assert_array_equal(multiply(array, inputs)[0].numpy(), fast(array, inputs.numpy())[0])
    run: dict[str, Callable[[], object]] = {"torch": lambda: multiply(array, inputs)}
    return 512 / in_turns(run, repeats, cpu=True)["torch"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    measured = rates(args.batch, args.repeats)
    if args.to:
        args.to.write_text(json.dumps(measured))
        return
    portable = portable_rates(args.batch, args.repeats) if has_avx512() else measured
    peak = int8_peak(args.repeats)
    operations = 2.0 * args.batch * ROWS * OUTPUTS * SLICES * PLANES
    rows, figures = [], {}
    for name, figure in measured.items():
        share = operations / figure["seconds"] / 1e9 / peak
        rate, plain = args.batch / figure["seconds"], args.batch / portable[name]["seconds"]
        rows.append([name, figure["seconds"], rate, share, plain, figure["first_call_s"]])
        figures[name] = {
            "seconds_per_batch": round(figure["seconds"], 5),
            "first_call_s": round(figure["first_call_s"], 3),
            "samples_per_s": round(rate),
            "share_of_int8_peak": round(share, 3),
            "samples_per_s_avx2": round(plain),
        }
    columns = ["layer", "seconds", "samples/s", "of int8 peak", "samples/s, AVX2 code", "first call, s"]
    show(f"256 x 256, batch {args.batch}, one thread, processor seconds; int8 peak {peak:.0f} GOP/s", columns, rows)
    ideal = layers()["ideal, 256 rows, 8-bit ADC"]
    by_torch = torch_rate(ideal, args.repeats)
    by_kind, points = fields()
    timed = {name: by_kind[name] for name in ("exact", "moment-matched")}
    seconds = in_turns({name: lambda each=each: each.run(points) for name, each in timed.items()}, 3, cpu=True)
    want = by_kind["lossless"].run(points).astype(np.float64)
    signal = want.var(axis=0).mean()
    lost = {name: 10 * np.log10(signal / ((each.run(points) - want) ** 2).mean()) for name, each in timed.items()}
    show(
        "field 2-256-256-256-3, 512 x 512 points",
        ["product", "seconds", "signal over error, dB"],
        [[name, seconds[name], float(lost[name])] for name in timed],
    )
    field = {
        name: {"seconds": round(seconds[name], 3), "signal_to_error_dB": round(float(lost[name]), 2)} for name in timed
    }
    sums = {name: packed_of(array).bits for name, array in layers().items()}
    facts = {"batch": args.batch, "int8_peak_GOPs": round(peak, 1), "bits_of_sums": sums, "layers": figures}
    write("crossbar", {**facts, "torch_samples_per_s": round(by_torch), "field": field}, rates=True)


if __name__ == "__main__":
    main()
