"""How fast a bill is: many designs at once, one after the other, a ResNet-18. Run: python benchmarks/bill_speed.py

Processor seconds of one thread. The loop of a million additions in Python is timed beside it, so that a busy machine
shows: an idle one of this kind takes 0.04 to 0.05 s.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from common import show, write
from ohmfield.chip.chip import Chip
from ohmfield.chip.designs import with_values
from ohmfield.chip.files import load_chip
from ohmfield.cost.evaluate import evaluate
from ohmfield.cost.sweep import sweep
from ohmfield.mapping.place import place
from ohmfield.mapping.tokens import decode
from ohmfield.mapping.trace import trace
from ohmfield.mapping.workload import Workload
from ohmfield.networks.cnn import ResNet18
from ohmfield.networks.transformers import transformer
from ohmfield.quantities import MID

DESIGNS = 200_000
CROSSBAR = "units.crossbar."


def seconds(run: Callable[[], object], repeats: int = 3) -> float:
    """Best processor time of a few runs."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return min(taken)


def loop() -> int:
    total = 0
    for number in range(1_000_000):
        total += number
    return total


def roomy(arrays: int) -> Chip:
    """`rram-40nm` with arrays for all of a network and no copies."""
    chip = load_chip("rram-40nm")
    return replace(chip, units={"crossbar": replace(chip.units["crossbar"], num_arrays=arrays, max_copies=1)})


def mlp() -> Workload:
    """The 2-256-256-256-3 field over 512 x 512 points."""
    sizes = (2, 256, 256, 256, 3)
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    return Workload(trace(nn.Sequential(*layers[:-1]), torch.rand(4, 2)), items=512 * 512)


def knobs(num: int) -> dict[str, Any]:
    """Five knobs of the arrays, drawn at random, four of few values; node, supply and memories are the same for all."""
    rng = np.random.default_rng(0)
    return {
        CROSSBAR + "array.rows": rng.choice([128, 256, 512, 1024], num),
        CROSSBAR + "array.columns": rng.choice([256, 512, 1024], num),
        CROSSBAR + "array.rows_active": rng.choice([32, 64, 128], num),
        CROSSBAR + "adc.columns_per_adc": rng.choice([1, 2, 4, 8], num),
        CROSSBAR + "num_arrays": rng.integers(20_000, 90_000, num),
    }


def real(num: int) -> dict[str, Any]:
    """Five knobs that go into most prices of the arrays, no two designs alike in any real one."""
    rng = np.random.default_rng(0)
    return {
        CROSSBAR + "array.rows": rng.integers(128, 1025, num),
        CROSSBAR + "array.read_ns": rng.uniform(5.0, 20.0, num),
        CROSSBAR + "array.read_voltage_V": rng.uniform(0.1, 0.4, num),
        CROSSBAR + "adc.enob": rng.uniform(4.0, 7.0, num),
        CROSSBAR + "num_arrays": rng.integers(20_000, 90_000, num),
    }


def many(workload: Workload, drawn: dict[str, Any], num: int) -> dict[str, float]:
    """A sweep over random designs, and that every figure is the one of the scalar path."""
    chip = roomy(90_000)
    table = sweep(chip, workload, drawn, combine="rows")
    for design in range(0, num, num // 5):
        one = with_values(chip, {path: values[design].item() for path, values in drawn.items()})
        bill = evaluate(one, workload, place(workload.shapes, one))
        np.testing.assert_allclose(table.energy_pJ[design], bill.energy_pJ[MID, 0].sum(0), rtol=1e-12)
        np.testing.assert_allclose(table.latency_ms[:, design], bill.latency_ms, rtol=1e-12)
    taken = seconds(lambda: sweep(chip, workload, drawn, combine="rows"), 5)
    layers = sum(operator.kind == "linear" for operator in workload.shapes.operators)
    every = len(workload.shapes.operators)
    return {
        "feasible_share": float(table.feasible.mean()),
        "designs_per_s": num / taken,
        "designs_x_layers_per_s": num * layers / taken,
        "designs_x_operators_per_s": num * every / taken,
    }


def single(workload: Workload, num: int = 200) -> float:
    """Designs per second that are placed and billed one by one, with the full breakdown; made beforehand."""
    chip, drawn = roomy(90_000), knobs(num)
    chips = [with_values(chip, {path: v[design].item() for path, v in drawn.items()}) for design in range(num)]

    def run() -> None:
        for one in chips:
            one.units["crossbar"].__dict__.pop("_once", None)  # what a run before has worked out of this design
            evaluate(one, workload, place(workload.shapes, one)).energy_mJ  # noqa: B018

    return num / seconds(run)


def main() -> None:
    field = mlp()
    with torch.device("meta"):
        images = Workload(
            trace(ResNet18().eval(), torch.empty(1, 3, 224, 224, device="meta")), items=1, inference="image"
        )
    tokens = decode(transformer("llama-3.2-1b"), 1024)
    results: dict[str, Any] = {"python_loop_s": seconds(loop)}
    results |= {
        "mlp": many(field, knobs(DESIGNS), DESIGNS),
        "mlp_real_knobs": many(field, real(DESIGNS), DESIGNS),
        "resnet_18": many(images, knobs(DESIGNS // 10), DESIGNS // 10),
        "resnet_18_real_knobs": many(images, real(DESIGNS // 10), DESIGNS // 10),
    }
    chip = roomy(90_000)
    results["single_designs_per_s"] = single(field)
    results["resnet_18_ms"] = 1e3 * seconds(lambda: evaluate(chip, images, place(images.shapes, chip)), 10)
    results["llama_3_2_1b_token_ms"] = 1e3 * seconds(lambda: evaluate(chip, tokens, place(tokens.shapes, chip)), 5)
    swept = {name: value for name, value in results.items() if isinstance(value, dict)}
    rows = [[f"{name} {key}", value] for name, figures in swept.items() for key, value in figures.items()]
    rows += [[name, value] for name, value in results.items() if name not in swept]
    show("Bills", ("figure", "value"), rows)
    write("bill_speed", results)


if __name__ == "__main__":
    main()
