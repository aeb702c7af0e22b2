"""The analog product beside CrossSim and aihwkit, with equal work, on one thread.

    python benchmarks/peers.py [--crosssim-python PATH] [--aihwkit-python PATH]

Each peer runs in an interpreter of its own (they need other versions of what we need). CrossSim 3.2.0: any Python from
3.10, `pip install numpy scipy` and then `pip install .` in a clone of https://github.com/sandialabs/cross-sim. aihwkit
1.2.0: Python 3.12, `pip install aihwkit==1.2.0`. Without a path only ours is timed.

Processor seconds, the peers at the fastest of their own settings that were tried; what a peer computed is compared
with ours. One layer of 256 x 256 (2,048 columns in pairs), 4,096 vectors of 8 serial unsigned bits, four 2-bit slices,
analog subtraction; the same with read noise drawn at every conversion; and a field of 2-256-256-256-3 with a ReLU and
8 bits between its layers, over 512 x 512 points (the peer: every 16th point, times 16). Nothing is collapsed or
skipped. Where the processor has AVX-512, the layers run again on both sides without it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ["OHMFIELD_THREADS"] = "1"

import numpy as np
import torch
from numba import njit

from common import has_avx512, in_turns, show, write
from crossbar import int8_peak
from ohmfield._kernels.crossbar import LoweredArray, reference
from ohmfield._kernels.crossbar_fast import fast, refused
from ohmfield.chip.array import Array
from ohmfield.chip.cells import IdealCell
from ohmfield.chip.converters import SarAdc
from ohmfield.chip.dac import Dac
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import slice_weights
from ohmfield.numerics import Noise
from ohmfield.simulate.conversion import Causes, Driving
from ohmfield.simulate.lower import Stored, lower
from ohmfield.simulate.products import CrossbarProduct, InputOrder
from ohmfield.simulate.statistical import matched

BATCH, ROWS, OUTPUTS, SLICES, PLANES = 4096, 256, 256, 4, 8
CASES = ((256, 8, 8), (256, 4, 8), (128, 8, 4), (128, 4, 8))  # rows per group, bits of the converter, levels per step
READ_STD_LEVELS = 0.06  # of one cell: 2 % of the highest conductance
NOISY_VECTORS = 100  # that CrossSim reads
SIDE, SHARE = 512, 16  # points of the field, and one in so many for the peer
Product = Callable[[np.ndarray], np.ndarray]
WIDTHS = (2, 256, 256, 256, 3)
FIELD_STEPS = (1, 2, 2, 2)  # levels per step, so that few sums clip
# A processor with AVX2, no AVX-512 and no VNNI: for us, and for the libraries of the peer
PORTABLE = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2"}
PORTABLE_PEER = {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"}


def array_of(weights: np.ndarray, group: int, bits: int, step: float, read_std_levels: float = 0.0) -> LoweredArray:
    """Integer weights [outputs, inputs] on a chip of ideal cells, lowered."""
    unit = Crossbar(
        cell=IdealCell(),
        array=Array(rows=256, rows_active=group, cell_bits=2),
        dac=Dac(bits=1),
        adc=SarAdc(bits=bits, step_levels=float(step)),
    )
    slices = slice_weights(weights, unit.array, 8)
    levels = slices.bank_levels("analog").astype(np.float64)
    noise = np.full(levels.shape, read_std_levels * 2**0.5) if read_std_levels else None
    starts = np.append(np.arange(0, weights.shape[1], group), weights.shape[1])
    driving = Driving(starts=starts, input_bits=PLANES, signed_input=False, gains=(1.0,) * SLICES)
    return lower(Stored(levels, noise), slices, unit, driving, Causes())


@njit(cache=True, nogil=True, error_model="numpy")
def between(out: np.ndarray, step: int, shift: int, codes: np.ndarray) -> None:
    """ReLU and 8 unsigned bits of outputs in steps, rounded half up."""
    times, half, places = np.int32(step), np.int32((1 << shift) >> 1), np.int32(shift)
    for row in range(out.shape[0]):
        line, own = out[row], codes[row]
        for column in range(len(line)):
            value = np.int32(np.int32(np.int32(line[column]) * times + half) >> places)
            own[column] = min(max(value, np.int32(0)), np.int32(255))


class Field:
    """The lowered layers of the field and what lies between them."""

    def __init__(self, weights: list[np.ndarray], points: np.ndarray) -> None:
        self.weights = weights
        self.layers = [array_of(weight, 256, 8, step) for weight, step in zip(weights, FIELD_STEPS, strict=True)]
        self.exact: list[Product] = [lambda x, layer=layer: fast(layer, x)[0] for layer in self.layers]
        self.plain: list[Product] = [lambda x, layer=layer: reference(layer, x)[0] for layer in self.layers]
        self.ideal: list[Product] = [
            lambda x, weight=weight, step=step: np.rint(x @ weight.T / step).astype(np.int64)
            for weight, step in zip(weights, FIELD_STEPS, strict=True)
        ]
        self.shifts: list[int] = []
        self.seen: list[np.ndarray] = []  # what each layer is driven with at some points
        x = points[np.random.default_rng(1).permutation(len(points))[:512]]
        for product, step in zip(self.exact[:-1], FIELD_STEPS, strict=False):
            self.seen.append(x)
            out = product(x)
            most = float(np.quantile(out * step, 0.99)) / 256  # a hundredth of the activations clips
            self.shifts.append(max(0, int(np.ceil(np.log2(most)))))
            x = np.empty(out.shape, dtype=np.int32)
            between(out, step, self.shifts[-1], x)
        self.seen.append(x)

    def matched(self) -> list[Product]:
        """The moment-matched product of every layer, fitted on 512 points."""
        products: list[Product] = []
        for layer, seen, step in zip(self.layers, self.seen, FIELD_STEPS, strict=True):
            columns = layer.num_banks * layer.num_outputs
            order = InputOrder(starts=layer.starts, dac_bits=1, num_planes=PLANES, drive="unsigned", columns=columns)
            made = matched(CrossbarProduct([layer], float(step), Noise(1)), seen, order)
            products.append(lambda x, made=made: made.run(x, 0)[0])
        return products

    def run(self, points: np.ndarray, products: list[Product]) -> np.ndarray:
        """Outputs of all points, in weight times input codes of the last layer."""
        outs = []
        for first in range(0, len(points), BATCH):
            x = points[first : first + BATCH]
            for product, step, shift in zip(products, FIELD_STEPS, self.shifts, strict=False):
                out = product(x)
                x = np.empty(out.shape, dtype=np.int32)
                between(out, step, shift, x)
            outs.append(products[-1](x) * FIELD_STEPS[-1])
        return np.concatenate(outs)

    def error(self, points: np.ndarray, products: list[Product]) -> dict[str, float]:
        """What `products` do to the picture: of its error to ideal arrays, and of what exact conversions give."""
        true = self.run(points, self.ideal)
        exact, other = self.run(points, self.exact), self.run(points, products)

        def rms(values: np.ndarray) -> float:
            return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))

        return {
            "exact_error_over_spread": round(rms(exact - true) / float(true.std()), 4),
            "matched_error_over_spread": round(rms(other - true) / float(true.std()), 4),
            "matched_against_exact_dB": round(20 * float(np.log10(rms(other - true) / rms(exact - true))), 2),
        }


class Job:
    """Weights, inputs and lowered arrays of everything that is timed."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.weights = rng.integers(-127, 128, size=(OUTPUTS, ROWS))
        self.inputs = rng.integers(0, 256, size=(BATCH, ROWS)).astype(np.int32)
        self.field_weights = [
            np.clip(np.rint(rng.normal(scale=40.0, size=(after, before))), -127, 127).astype(np.int64)
            for before, after in pairwise(WIDTHS)
        ]
        across = np.linspace(0, 255, SIDE).round().astype(np.int32)
        self.points = np.stack(np.meshgrid(across, across, indexing="ij"), axis=-1).reshape(-1, 2)
        self.arrays = {name_of(case): array_of(self.weights, *case) for case in CASES}
        self.noisy = array_of(self.weights, *CASES[0], READ_STD_LEVELS)
        self.noise = Noise(0).at("read")

    def save(self, path: Path, field: Field) -> None:
        fields = {f"field_{place}": weights for place, weights in enumerate(self.field_weights)}
        np.savez(
            path,
            allow_pickle=False,
            weights=self.weights,
            inputs=self.inputs,
            cases=np.array(CASES),
            read_std_levels=np.array(READ_STD_LEVELS),
            noisy_vectors=np.array(NOISY_VECTORS),
            points=self.points[::SHARE],
            field_steps=np.array(FIELD_STEPS),
            field_shifts=np.array(field.shifts),
            **fields,
        )


def name_of(case: tuple[int, int, int]) -> str:
    return f"layer, {case[0]}-row groups, {case[1]}-bit ADC"


def ours(job: Job, repeats: int) -> tuple[dict[str, float], dict[str, float], Field]:
    """Processor seconds of each task, those of first calls, and the field; every codes checked in this process."""
    first: dict[str, float] = {}
    some = job.inputs[:64]
    for name, array in {**job.arrays, "read noise": job.noisy}.items():
        assert not refused(array), refused(array)
        start = time.process_time()
        quick = fast(array, some, job.noise)[0]
        first[name] = time.process_time() - start
        np.testing.assert_array_equal(quick, reference(array, some, job.noise)[0])
    field = Field(job.field_weights, job.points)
    few = job.points[:64]
    np.testing.assert_array_equal(field.run(few, field.exact), field.run(few, field.plain))
    start = time.process_time()
    statistical = field.matched()
    first["field, moment-matched"] = time.process_time() - start
    runs: dict[str, Callable[[], object]] = {
        name: lambda array=array: fast(array, job.inputs) for name, array in job.arrays.items()
    }
    runs["read noise"] = lambda: fast(job.noisy, job.inputs, job.noise)
    seconds = in_turns(runs, repeats, cpu=True)
    fields = {"field": field.exact, "field, moment-matched": statistical}
    runs = {name: lambda products=products: field.run(job.points, products) for name, products in fields.items()}
    seconds.update(in_turns(runs, 1, cpu=True))
    return seconds, first, field


def peer(
    python: str, which: str, job_file: Path, settings: dict[str, str] | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the peer's interpreter measured: facts, and outputs by task; `settings` are environment variables."""
    answer = job_file.with_name(f"{which}.npz")
    # A BLAS built for an older processor would slow the peer: it picks its own kernels, on one thread.
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")}
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    script = Path(__file__).with_name("peers_side.py")
    subprocess.run(
        [python, str(script), which, str(job_file), str(answer)],
        env={**kept, **threads, **(settings or {})},
        check=True,
    )
    with np.load(answer) as file:
        outputs = {key.partition(":")[2]: file[key] for key in file.files if key.startswith("outputs:")}
        return json.loads(file["facts"].tobytes()), outputs


def agreement(outputs: dict[str, np.ndarray], which: str, job: Job, field: Field) -> dict[str, float]:
    """Share of a peer's outputs that equal ours, by task; CrossSim's codes each carry a thousandth of a step."""
    shares = {}
    for name, theirs in outputs.items():
        if name == "field":
            mine, step, groups = field.run(job.points[::SHARE][: len(theirs)], field.exact), FIELD_STEPS[-1], 1
        else:
            array = job.arrays[name]
            step = next(case[2] for case in CASES if name_of(case) == name)
            mine, groups = fast(array, job.inputs[: len(theirs)])[0] * step, array.num_groups
        moved = 1e-3 * step * 85 * 255 * groups if which == "crosssim" else 0.0
        shares[name] = float((np.rint((theirs + moved) / step) == mine / step).mean())
    return shares


def portable_seconds(repeats: int) -> dict[str, float]:
    """Our seconds with code for a processor without AVX-512, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "seconds.json"
        command = [sys.executable, __file__, "--only-ours-to", str(target), "--repeats", str(repeats)]
        subprocess.run(command, env={**os.environ, **PORTABLE}, check=True)
        return json.loads(target.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crosssim-python", default=os.environ.get("CROSSSIM_PYTHON"))
    parser.add_argument("--aihwkit-python", default=os.environ.get("AIHWKIT_PYTHON"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only-ours-to", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    own = (args.crosssim_python, args.aihwkit_python)  # paths of one machine do not belong in its record
    sys.argv = ["PATH" if word in own else word for word in sys.argv]
    torch.set_num_threads(1)
    job = Job()
    seconds, first, field = ours(job, args.repeats)
    seconds["read noise"] /= BATCH  # a vector
    if args.only_ours_to:
        args.only_ours_to.write_text(json.dumps(seconds))
        return
    slow = portable_seconds(args.repeats) if has_avx512() else seconds
    peak = int8_peak(args.repeats)
    operations = 2.0 * BATCH * ROWS * OUTPUTS * SLICES * PLANES
    theirs: dict[str, dict[str, Any]] = {}
    equal: dict[str, dict[str, float]] = {}
    slow_theirs: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        job_file = Path(folder) / "job.npz"
        job.save(job_file, field)
        for which, python in (("crosssim", args.crosssim_python), ("aihwkit", args.aihwkit_python)):
            if python is None:
                print(f"{which}: not timed, name its interpreter (python benchmarks/peers.py --help)")
                continue
            theirs[which], outputs = peer(python, which, job_file)
            if "field" in theirs[which]["seconds"]:
                theirs[which]["seconds"]["field"] *= SHARE
                theirs[which]["seconds"]["field, moment-matched"] = theirs[which]["seconds"]["field"]
            equal[which] = agreement(outputs, which, job, field)
        if args.crosssim_python and has_avx512():
            slow_theirs = peer(args.crosssim_python, "crosssim-layer", job_file, PORTABLE_PEER)[0]["seconds"]
    rows, figures = [], {}
    for name, value in seconds.items():
        figure: dict[str, Any] = {
            "seconds": value,
            "seconds_without_avx512": slow[name],
            "first_call_s": first.get(name),
        }
        if name.startswith("layer"):
            figure["share_of_int8_peak"] = round(operations / value / 1e9 / peak, 3)
        row: list[object] = [name, value]
        for which in ("crosssim", "aihwkit"):
            time_taken = theirs.get(which, {}).get("seconds", {}).get(name)
            if time_taken is not None:
                figure[f"{which}_seconds"] = time_taken
                figure[f"ratio_vs_{which}"] = round(time_taken / value, 1)
                figure[f"outputs_equal_to_{which}"] = equal[which].get(name)
            row += [
                time_taken or "-",
                figure.get(f"ratio_vs_{which}", "-"),
                figure.get(f"outputs_equal_to_{which}", "-"),
            ]
        if name in slow_theirs:
            figure["crosssim_seconds_without_avx512"] = slow_theirs[name]
            figure["ratio_vs_crosssim_without_avx512"] = round(slow_theirs[name] / slow[name], 1)
        row += [figure.get("share_of_int8_peak", "-"), slow[name], slow_theirs.get(name, "-")]
        rows.append([*row, figure.get("ratio_vs_crosssim_without_avx512", "-")])
        figures[name] = figure
    columns = ("task", "ours", "CrossSim", "x", "equal", "aihwkit", "x", "equal", "of int8 peak")
    columns += ("ours, no AVX-512", "CrossSim", "x")
    show("processor seconds on one thread; read noise: per vector", columns, rows)
    facts = {which: {key: each[key] for key in ("versions", "python", "variants")} for which, each in theirs.items()}
    figures["field, moment-matched"].update(field.error(job.points[::SHARE], field.matched()))
    write("peers", {"batch": BATCH, "int8_peak_GOPs": round(peak, 1), "tasks": figures, "peers": facts}, rates=True)


if __name__ == "__main__":
    main()
