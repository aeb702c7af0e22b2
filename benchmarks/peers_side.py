"""The peers' part of benchmarks/peers.py, run by an interpreter that has one of them; it imports nothing of ours.

    PYTHON benchmarks/peers_side.py crosssim|crosssim-layer|aihwkit JOB.npz ANSWER.npz

The job holds weights, inputs and what is asked; the answer holds processor seconds and the outputs of a few vectors.
Every variant that a peer offers for a task is timed, and the fastest counts.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

CHECKED = 64  # vectors whose outputs go back
NUDGE = 1e-3  # of a step: sums are single precision here, and whole levels
FEW = 25  # vectors in one call of CrossSim's batched read noise
AIHWKIT_VARIANTS = (  # tile, slices joined, planes stacked, vectors a call: the best of 23 tried, and one C++ tile
    ("C++ tile", False, True, 256),
    ("torch tile", False, True, 256),
    ("torch tile", True, False, 256),
    ("torch tile", True, True, 64),
    ("torch tile", True, True, 256),
)


def seconds_of(run: Callable[[], Any], repeats: int) -> float:
    """Least processor seconds of a run, after one uncounted."""
    run()
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


# ---- CrossSim ----------------------------------------------------------------------------------------------------


def crosssim_core(weights: np.ndarray, group: int, adc_bits: int, step: float, read_noise: float = 0.0) -> Any:
    """An 8-bit layer [outputs, inputs] in four 2-bit slices of pairs subtracted in analog, 8 serial unsigned bits."""
    package = importlib.import_module("simulator")
    enums = importlib.import_module("simulator.parameters.core_parameters")
    ranges = importlib.import_module("simulator.parameters.xbar_parameters")
    params = package.CrossSimParameters()
    core, xbar = params.core, params.xbar
    core.style, core.weight_bits, core.rows_max = enums.CoreStyle.BITSLICED, 8, group
    core.bit_sliced.style, core.bit_sliced.num_slices = enums.BitSlicedCoreStyle.BALANCED, 4
    core.balanced.subtract_current_in_xbar = True
    core.mapping.weights.percentile = None
    core.mapping.weights.min, core.mapping.weights.max = -127.0, 127.0
    core.mapping.inputs.mvm.min, core.mapping.inputs.mvm.max = 0.0, 255.0
    xbar.device.cell_bits, xbar.device.infinite_on_off_ratio = 2, True
    dac = xbar.dac.mvm
    dac.model, dac.bits, dac.signed, dac.input_bitslicing, dac.slice_size = "QuantizerDAC", 8, False, True, 1
    xbar.adc.mvm.model = "QuantizerADC"
    adc = xbar.adc.mvm
    adc.bits, adc.adc_per_ibit, adc.adc_range_option = adc_bits, True, ranges.ADCRangeLimits.CALIBRATED
    low, high = -(2 ** (adc_bits - 1)) - NUDGE, 2 ** (adc_bits - 1) - 1 - NUDGE
    adc.calibrated_range = [[low * step / 3.0, high * step / 3.0]] * 4
    if read_noise:
        noise = xbar.device.read_noise
        noise.enable, noise.model, noise.magnitude = True, "NormalIndependentDevice", read_noise / 3.0
    return package.AnalogCore(weights.astype(np.float32), params)


def crosssim_layer(job: dict[str, np.ndarray], answer: dict[str, Any]) -> None:
    """The layer with every row group and converter; one call over the batch, and calls of 256 and 512 vectors."""
    inputs = np.ascontiguousarray(job["inputs"].T.astype(np.float32))
    for group, bits, step in job["cases"]:
        core = crosssim_core(job["weights"], int(group), int(bits), float(step))

        def tiled(size: int, core: Any = core) -> None:
            for first in range(0, inputs.shape[1], size):
                core.matmul(inputs[:, first : first + size])

        name = f"layer, {group}-row groups, {bits}-bit ADC"
        sizes = (256, 512, inputs.shape[1])
        variants = {size: seconds_of(lambda size=size: tiled(size), 2) for size in sizes}
        answer["seconds"][name] = min(variants.values())
        answer["outputs"][name] = core.matmul(inputs[:, :CHECKED]).T
        answer["variants"][name] = {f"{size} vectors a call": value for size, value in variants.items()}


def crosssim_noisy(job: dict[str, np.ndarray], answer: dict[str, Any]) -> None:
    """Read noise drawn at every conversion: vector by vector, and batched."""
    inputs = np.ascontiguousarray(job["inputs"].T.astype(np.float32))
    group, bits, step = job["cases"][0]
    core = crosssim_core(job["weights"], int(group), int(bits), float(step), float(job["read_std_levels"]))
    vectors = int(job["noisy_vectors"])
    one_by_one, batched = min(20, vectors), FEW
    core.matmul(inputs[:, 0])
    start = time.process_time()
    for number in range(one_by_one):
        core.matmul(inputs[:, number])
    variants = {"one vector a call": (time.process_time() - start) / one_by_one}
    start = time.process_time()
    for first in range(0, vectors, batched):
        core.matmul(inputs[:, first : first + batched])
    variants[f"{batched} vectors a call"] = (time.process_time() - start) / (-(-vectors // batched) * batched)
    if variants["one vector a call"] < variants[f"{batched} vectors a call"]:
        start = time.process_time()
        for number in range(vectors):
            core.matmul(inputs[:, number])
        variants["one vector a call"] = (time.process_time() - start) / vectors
    answer["seconds"]["read noise"] = min(variants.values())
    answer["variants"]["read noise"] = variants


def crosssim_field(job: dict[str, np.ndarray], answer: dict[str, Any]) -> None:
    """Four layers one after the other, a ReLU and eight unsigned bits between them."""
    names = [f"field_{number}" for number in range(4)]
    steps = [float(step) for step in job["field_steps"]]
    cores = [crosssim_core(job[name], 256, 8, step) for name, step in zip(names, steps, strict=True)]
    shifts = job["field_shifts"]
    points = job["points"].astype(np.float32)
    moved = [np.float32(NUDGE * step * 85 * 255) for step in steps]  # each code carries the nudge

    def run(first: int, last: int) -> np.ndarray:
        x = np.ascontiguousarray(points[first:last].T)
        for number, core in enumerate(cores):
            x = core.matmul(x)
            if number < len(cores) - 1:
                x = (x + moved[number]) * np.float32(2.0 ** -int(shifts[number]))
                x = np.clip(np.floor(x + np.float32(0.5)), 0.0, 255.0)
        return x.T

    def whole(size: int) -> None:
        for first in range(0, len(points), size):
            run(first, first + size)

    variants = {size: seconds_of(lambda size=size: whole(size), 1) for size in (512, 1024)}
    answer["seconds"]["field"] = min(variants.values())
    answer["outputs"]["field"] = run(0, CHECKED)
    answer["variants"]["field"] = {f"{size} points a call": value for size, value in variants.items()}


# ---- aihwkit -----------------------------------------------------------------------------------------------------


def aihwkit_layer(job: dict[str, np.ndarray], answer: dict[str, Any]) -> None:
    """The layer composed of analog tiles: one per slice (or one for all), planes as a batch or in turn, then added.

    A tile is perfect but for its converter: outputs rounded to `out_res` of `out_bound` and clipped there. Its
    converter is symmetric, so it has one code less than ours.
    """
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    inputs = torch.from_numpy(job["inputs"].astype(np.int32))
    magnitudes = np.abs(job["weights"]).astype(np.int64)
    digits = [((magnitudes >> (2 * number)) & 3) * np.sign(job["weights"]) for number in range(4)]
    for group, bits, step in job["cases"]:
        name = f"layer, {group}-row groups, {bits}-bit ADC"
        variants: dict[str, float] = {}
        for kind, joined, stacked, size in AIHWKIT_VARIANTS:
            tiles = _aihwkit_tiles(digits, int(group), int(bits), float(step), kind, joined=joined)
            run = _aihwkit_run(torch, tiles, inputs, size, int(group), stacked=stacked)
            label = f"{kind}, slices {'joined' if joined else 'apart'}, planes "
            label += f"{'stacked' if stacked else 'in turn'}, {size} vectors a call"
            run(size)
            start = time.process_time()
            run(1024)
            variants[label] = (time.process_time() - start) * len(inputs) / 1024
        best = min(variants, key=lambda label: variants[label])
        kind, joined, size = best.split(",")[0], "joined" in best, int(best.split(", ")[-1].split()[0])
        tiles = _aihwkit_tiles(digits, int(group), int(bits), float(step), kind, joined=joined)
        run = _aihwkit_run(torch, tiles, inputs, size, int(group), stacked="stacked" in best)
        answer["seconds"][name] = seconds_of(lambda run=run: run(len(inputs)), 2)
        # For the comparison of outputs alone: a further row that is always driven lifts what lies between two codes.
        lifted = [_with_a_row(part, int(group), NUDGE * float(step)) for part in digits]
        driven = torch.from_numpy(_with_a_row(job["inputs"][:CHECKED].astype(np.int32), int(group), 255))
        tiles = _aihwkit_tiles(lifted, int(group) + 1, int(bits), float(step), kind, joined=joined)
        run = _aihwkit_run(torch, tiles, driven, CHECKED, int(group) + 1, stacked="stacked" in best)
        answer["outputs"][name] = run(CHECKED).numpy()
        answer["variants"][name] = {"counted": best, **variants}


def _with_a_row(values: np.ndarray, group: int, value: float) -> np.ndarray:
    """`values` [any, inputs] with a further input of `value` after each row group."""
    parts = [values[:, first : first + group] for first in range(0, values.shape[1], group)]
    row = np.full((len(values), 1), value)
    wide = np.concatenate([part for group_of in parts for part in (group_of, row)], axis=1)
    return wide.astype(np.int32) if isinstance(value, int) else wide


def _aihwkit_tiles(
    digits: list[np.ndarray], group: int, bits: int, step: float, kind: str, *, joined: bool
) -> list[list[Any]]:
    """Tiles [group][slice, or all slices side by side]."""
    torch = importlib.import_module("torch")
    configs = importlib.import_module("aihwkit.simulator.configs")
    modules = importlib.import_module("aihwkit.nn")
    config = configs.InferenceRPUConfig() if kind == "C++ tile" else configs.TorchInferenceRPUConfig()
    forward = configs.IOParameters()
    forward.noise_management, forward.bound_management = (
        configs.NoiseManagementType.NONE,
        configs.BoundManagementType.NONE,
    )
    forward.inp_res, forward.inp_bound, forward.inp_noise, forward.out_noise, forward.w_noise = -1, 1.0, 0.0, 0.0, 0.0
    codes = 2**bits - 2
    forward.out_bound = step * codes / 2 / 3.0
    forward.out_res = 1.0 / codes
    config.forward = forward
    config.mapping.digital_bias = False
    config.mapping.weight_scaling_omega = 0.0
    config.mapping.max_input_size = config.mapping.max_output_size = 0
    made = []
    for first in range(0, digits[0].shape[1], group):
        parts = [part[:, first : first + group] / 3.0 for part in digits]
        row = []
        for matrix in [np.concatenate(parts)] if joined else parts:
            layer = modules.AnalogLinear(matrix.shape[1], matrix.shape[0], bias=False, rpu_config=config)
            layer.set_weights(torch.from_numpy(matrix.astype(np.float32)))
            row.append(layer.eval())
        made.append(row)
    return made


def _aihwkit_run(
    torch: Any, tiles: list[list[Any]], inputs: Any, size: int, group: int, *, stacked: bool
) -> Callable[[int], Any]:
    """Runs so many vectors, `size` at a time; outputs in weight times input codes."""
    bits = torch.arange(8, dtype=torch.int32)[:, None, None]
    planes_weigh = (2.0**bits).float()
    slices_weigh = torch.tensor([3.0 * 4.0**number for number in range(4)])
    joined = len(tiles[0]) == 1

    def run(vectors: int) -> Any:
        out = torch.empty(vectors, tiles[0][0].out_features // (4 if joined else 1))
        for first in range(0, vectors, size):
            codes = inputs[first : min(first + size, vectors)]
            planes = ((codes >> bits) & 1).float()
            total = 0.0
            for number, row in enumerate(tiles):
                driven = planes[:, :, number * group : (number + 1) * group].contiguous()
                for place, tile in enumerate(row):
                    if stacked:
                        part = (tile(driven.flatten(0, 1)).view(8, len(codes), -1) * planes_weigh).sum(0)
                    else:
                        part = torch.stack([tile(driven[plane]) for plane in range(8)])
                        part = (part * planes_weigh).sum(0)
                    if joined:
                        total = total + (part.view(len(codes), 4, -1) * slices_weigh[:, None]).sum(1)
                    else:
                        total = total + part * float(slices_weigh[place])
            out[first : first + len(codes)] = total
        return out

    return run


def main() -> None:
    peer, job_file, answer_file = sys.argv[1:4]
    with np.load(job_file) as file:
        job = dict(file)
    answer: dict[str, Any] = {"seconds": {}, "variants": {}, "outputs": {}}
    versions = importlib.import_module("importlib.metadata").version
    tasks = {
        "crosssim": (crosssim_layer, crosssim_noisy, crosssim_field),
        "crosssim-layer": (crosssim_layer,),
        "aihwkit": (aihwkit_layer,),
    }
    for task in tasks[peer]:
        task(job, answer)
    names = ("aihwkit", "torch", "numpy") if peer == "aihwkit" else ("CrossSim", "numpy")
    facts = {
        "seconds": answer["seconds"],
        "variants": answer["variants"],
        "versions": {name: versions(name) for name in names},
        "python": sys.version.split()[0],
    }
    outputs = {f"outputs:{name}": np.asarray(values) for name, values in answer["outputs"].items()}
    np.savez(
        answer_file, allow_pickle=False, facts=np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8), **outputs
    )


if __name__ == "__main__":
    main()
