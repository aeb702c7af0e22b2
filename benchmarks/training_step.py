"""What errors of the chip add to a training step: a 256-wide MLP and a convolution stack, forward, backward, Adam.

    python benchmarks/training_step.py [--batch 4096]

One process, one thread, plain and hardware-aware steps in turns, processor time. Plain: fp32 torch. Hardware-aware: the
same model with rounded inputs, weights drawn as cells hold them, and noise and clipping on the sums of every row group.
Naive: the same arithmetic as separate torch operations (the references beside the kernels).
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from unittest import mock

import torch
from torch import Tensor, nn

from common import in_turns, show, write
from ohmfield._kernels import training_reference
from ohmfield.chip.files import load_chip
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import trace
from ohmfield.simulate import training
from ohmfield.simulate.convert import convert
from ohmfield.simulate.formats import choose_formats
from ohmfield.simulate.noisy import with_noise

STEPS = 5  # in each turn: memory that a step frees is there for the next one


def mlp(width: int = 256) -> nn.Module:
    """Two coordinates in, four layers, three values out."""
    return nn.Sequential(
        nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, 3),
    )  # fmt: skip


def convolutions(width: int = 32) -> nn.Module:
    """Three 3x3 convolutions."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
    )  # fmt: skip


def for_chip(model: nn.Module, name: str, inputs: Tensor) -> nn.Module:
    """`model` with the errors of the chip in its training forward."""
    chip = load_chip(name)
    placement = place(trace(model, inputs[:64]), chip, 8, 8)
    module = convert(model, chip, placement, choose_formats(model, chip, placement, inputs[:256]))
    return with_noise(model, module, chip, inputs[:256])


def step(model: nn.Module, inputs: Tensor, targets: Tensor) -> Callable[[], None]:
    """`STEPS` training steps."""
    model.train()
    adam = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)

    def run() -> None:
        for _ in range(STEPS):
            adam.zero_grad()
            (model(inputs) - targets).square().mean().backward()
            adam.step()

    return run


def naive(run: Callable[[], None]) -> Callable[[], None]:
    """`run`, its fused operations replaced by their references."""
    references = {name: getattr(training_reference, name) for name in ("round_inputs", "draw_weights", "convert_sums")}

    def slow() -> None:
        with mock.patch.multiple(training, **references):
            run()

    return slow


def measure(model: nn.Module, inputs: Tensor, chip: str, repeats: int) -> dict[str, float]:
    """Median milliseconds of a step of each kind, and their ratios to the plain one."""
    with torch.no_grad():
        targets = torch.rand_like(model(inputs[:2])[:1]).expand(len(inputs), *model(inputs[:2]).shape[1:]).clone()
    noisy = for_chip(model.eval(), chip, inputs)
    runs: dict[str, Callable[[], object]] = {
        "plain": step(copy.deepcopy(model), inputs, targets),
        "hardware_aware": step(noisy, inputs, targets),
        "naive": naive(step(copy.deepcopy(noisy), inputs, targets)),
    }
    seconds = in_turns(runs, repeats, cpu=True)
    figures = {f"{name}_ms": 1e3 * value / STEPS for name, value in seconds.items()}
    return figures | {f"{name}_over_plain": seconds[name] / seconds["plain"] for name in ("hardware_aware", "naive")}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--batch", type=int, default=4096)
    arguments.add_argument("--chip", default="rram-40nm")
    arguments.add_argument("--repeats", type=int, default=9)
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    figures, rows = {}, []
    tried = {
        "mlp_256": (mlp(), torch.rand(chosen.batch, 2)),
        "conv_32": (convolutions(), torch.rand(max(1, chosen.batch // 128), 3, 32, 32)),
    }
    for name, (model, inputs) in tried.items():
        figures[name] = measure(model, inputs, chosen.chip, chosen.repeats)
        rows.append((name, *figures[name].values()))
    show(f"one training step, {chosen.chip}, batch {chosen.batch}", ("model", *figures["mlp_256"]), rows)
    write("training_step", {"chip": chosen.chip, "batch": chosen.batch, **figures}, rates=True)


if __name__ == "__main__":
    main()
