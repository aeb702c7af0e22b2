"""Energy of the values that a network really computes with, against mean values and against defaults: ResNet-20.

    python benchmarks/values.py [--models runs/cifar] [--images 64] [--epochs 5]

The network is `resnet20.safetensors` of `cifar_models.py`, else the same one trained here for `--epochs` (minutes).
Counted: every digit that drives a row of the drawn instance, times the conductance of the cells on that row, on test
images. Mean values: the mean digit sum of each layer's input codes on 64 training images and the mean level of its
nominal weights. Default: half of the largest digit sum and the fill that a bill assumes. All three are bills of the
same chip and placement; what differs is the energy of cells and drivers.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn

from cifar_models import accuracy, train
from common import show, write
from ohmfield.chip.chip import Chip
from ohmfield.chip.files import load_chip
from ohmfield.chip.units import Crossbar
from ohmfield.cost.bill import Bill
from ohmfield.cost.evaluate import evaluate
from ohmfield.mapping.fold import fold_batch_norms
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import trace
from ohmfield.mapping.workload import Workload
from ohmfield.networks import resnet
from ohmfield.signals.examples import Examples
from ohmfield.signals.labels import cifar10
from ohmfield.simulate.calibrate import choose_gains
from ohmfield.simulate.convert import convert
from ohmfield.simulate.formats import choose_formats
from ohmfield.simulate.mean_value import mean_value_workload
from ohmfield.simulate.run import install, predict, program
from ohmfield.tally import Tally

ENCODINGS = {"pairs of 2-bit cells": ("differential", 2), "offset, 4-bit cells": ("offset", 4)}
DATA_DEPENDENT = ("cells", "drivers")
# CiMLoop's own figures: its statistics against NeuroSim's values on layers of ResNet-18; then with values ignored.
CIMLOOP = {"mean": {"mean": 0.0296, "max": 0.0726}, "default": {"mean": 0.283, "max": 0.698}}


def chip_of(encoding: str, cell_bits: int) -> Chip:
    """`rram-40nm` with room for the network."""
    base = load_chip("rram-40nm")
    unit = base.units["crossbar"]
    assert isinstance(unit, Crossbar)
    array = replace(unit.array, encoding=encoding, cell_bits=cell_bits)
    adc = replace(unit.adc, bits=8, enob=None, step_levels=None, gains=(1.0, 4.0, 16.0))
    return replace(base, units={"crossbar": replace(unit, num_arrays=4096, max_copies=1, array=array, adc=adc)})


def network(models: Path, data: Examples, epochs: int) -> nn.Module:
    """The float network."""
    torch.manual_seed(0)
    model = resnet(20)
    file = models / "resnet20.safetensors"
    if file.exists():
        model.load_state_dict(safetensors.torch.load_file(file))
        return model.eval()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    train(model, sgd, data, epochs, batch=128, bf16=False)
    models.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file({name: value.contiguous() for name, value in model.state_dict().items()}, file)
    return model.eval()


def bills(model: nn.Module, chip: Chip, data: Examples, images: int) -> dict[str, Bill]:
    """The bill of one image by what was counted, by mean values, by default."""
    calibration = data.train.inputs[:: max(1, data.num_train // 64)][:64]
    shapes = trace(model, calibration[:8])
    placement = place(shapes, chip, 8, 8)
    module = convert(model, chip, placement, choose_formats(model, chip, placement, calibration))
    programmed = program(module, chip, seed=1, gains=choose_gains(module, chip, calibration))
    blank = Workload(shapes, 1.0, "image")
    means = mean_value_workload(blank, module, chip, calibration)  # on ideal arrays
    install(module, chip, programmed)
    with (tally := Tally()).listen():
        predict(module, data.test.inputs[:images])
    counted = replace(blank, tally=tally, tally_items=float(images))
    loads = {"counted": counted, "mean": means, "default": blank}
    return {name: evaluate(chip, load, placement) for name, load in loads.items()}


def layer_energy(bill: Bill, components: tuple[str, ...]) -> dict[str, float]:
    """pJ of each layer of the crossbar in those components, mid values."""
    columns = [bill.components.index(name) for name in components]
    cells = bill.components.index("cells")
    energy = bill.energy_pJ[1, 0]
    return {
        name: float(row[columns].sum()) for name, row in zip(bill.operators, energy, strict=True) if row[cells] > 0.0
    }


def errors(made: dict[str, Bill], name: str, components: tuple[str, ...]) -> dict[str, float]:
    """Relative errors of bill `name` in those components: of the total, and over layers."""
    counted, other = (layer_energy(made[key], components) for key in ("counted", name))
    each = np.array([other[layer] / counted[layer] - 1.0 for layer in counted])
    total = sum(other.values()) / sum(counted.values()) - 1.0
    return {"total": total, "mean": float(np.abs(each).mean()), "max": float(np.abs(each).max())}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--models", type=Path, default=Path("runs/cifar"))
    arguments.add_argument("--data", default=None, help="data folder, else OHMFIELD_DATA")
    arguments.add_argument("--images", type=int, default=64)
    arguments.add_argument("--epochs", type=int, default=5)
    chosen = arguments.parse_args()
    torch.set_num_threads(2)
    data = cifar10(chosen.data)
    model = network(chosen.models, data, chosen.epochs)
    figures: dict[str, Any] = {"images": chosen.images, "float_accuracy": accuracy(model, data.test)}
    model, _ = fold_batch_norms(model, data.train.inputs[:8])
    rows = []
    for title, (encoding, bits) in ENCODINGS.items():
        made = bills(model, chip_of(encoding, bits), data, chosen.images)
        figures[title] = {}
        whole = made["counted"].components
        for boundary, components in (("cells", ("cells",)), ("cells and drivers", DATA_DEPENDENT), ("layer", whole)):
            found = {name: errors(made, name, components) for name in ("mean", "default")}
            figures[title][boundary] = found
            for name, error in found.items():
                rows.append(
                    (title, boundary, name, *(f"{100 * error[key]:+.2f} %" for key in ("total", "mean", "max")))
                )
        counted = layer_energy(made["counted"], ("cells",))
        figures[title]["cells_share_of_layers"] = sum(counted.values()) / sum(
            layer_energy(made["counted"], whole).values()
        )
    show("Energy against what was counted", ("chip", "of", "estimate", "total", "layers, mean", "layers, max"), rows)
    print(write("values", {**figures, "reported_by_cimloop_against_neurosim": CIMLOOP}))


if __name__ == "__main__":
    main()
