"""A deployed ResNet-20 beside the same network in torch: how many times longer 64 images take.

    python benchmarks/networks.py [--batch 64]

One process, one thread, in turns, processor time. Every conversion is made (exact arithmetic), on one programmed
instance, without and with read noise of its cells: 8-bit serial inputs, 6-bit ADC, 128 rows active, RRAM with 2 %
programming error. Two 4-bit slices, and four 2-bit slices. Weights are random: no step here depends on what they are.
First calls, which compile, are not counted.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from common import in_turns, show, write
from ohmfield.chip.cells import RramCell
from ohmfield.chip.chip import Chip
from ohmfield.chip.files import load_chip
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.fold import fold_batch_norms
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import trace
from ohmfield.networks import resnet
from ohmfield.simulate.calibrate import choose_gains
from ohmfield.simulate.convert import convert
from ohmfield.simulate.formats import choose_formats
from ohmfield.simulate.run import install, predict, program

LIMIT = 15.0  # what is asked of two 4-bit slices


def chip_with(cell_bits: int, read_fraction: float) -> Chip:
    """`rram-40nm` with these cells."""
    base = load_chip("rram-40nm")
    unit = base.units["crossbar"]
    assert isinstance(unit, Crossbar)
    made = replace(
        unit,
        num_arrays=4096,
        max_copies=1,
        cell=RramCell(g_min_uS=4.0, g_max_uS=60.0, program_fraction=0.02, read_fraction=read_fraction),
        array=replace(unit.array, cell_bits=cell_bits, rows_active=128),
        adc=replace(unit.adc, bits=6, enob=None, step_levels=None, gains=(1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)),
    )
    return replace(base, units={"crossbar": made})


def deployed(model: nn.Module, chip: Chip, images: Tensor) -> nn.Module:
    """`model` on one instance of `chip`."""
    model, _ = fold_batch_norms(model, images[:4])
    placement = place(trace(model, images[:4]), chip, 8, 8)
    module = convert(model, chip, placement, choose_formats(model, chip, placement, images))
    programmed = program(module, chip, seed=1, gains=choose_gains(module, chip, images[:32]))
    return install(module, chip, programmed)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--batch", type=int, default=64)
    arguments.add_argument("--repeats", type=int, default=5)
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images = torch.rand(chosen.batch, 3, 32, 32)
    model = resnet(20).train()
    with torch.no_grad():
        for _ in range(20):  # batch norms take statistics, so that activations have a size
            model(images)
    model.eval()
    modules = {
        "two_4bit_slices": deployed(model, chip_with(4, 0.0), images),
        "four_2bit_slices": deployed(model, chip_with(2, 0.0), images),
        "two_4bit_slices_read_noise": deployed(model, chip_with(4, 0.002), images),
    }

    def run(module: nn.Module) -> Callable[[], object]:
        return lambda: predict(module, images)

    runs: dict[str, Callable[[], object]] = {"torch_float": run(model)}
    runs |= {name: run(module) for name, module in modules.items()}
    seconds = in_turns(runs, chosen.repeats, cpu=True)
    ratios = {f"{name}_over_float": seconds[name] / seconds["torch_float"] for name in modules}
    show(
        f"ResNet-20, batch {chosen.batch}",
        ("run", "ms", "over torch float"),
        [(name, 1e3 * value, value / seconds["torch_float"]) for name, value in seconds.items()],
    )
    milliseconds = {f"{name}_ms": 1e3 * value for name, value in seconds.items()}
    write("networks", {"batch": chosen.batch, "limit": LIMIT, **milliseconds, **ratios}, rates=True)


if __name__ == "__main__":
    main()
