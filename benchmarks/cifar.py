"""A CIFAR ResNet-20 and a small ViT on an analog chip: accuracy against ADC bits, programming error and time.

    python benchmarks/cifar_models.py --out runs/cifar
    python benchmarks/cifar.py --models runs/cifar [--images 500] [--instances 10] [--arithmetic moment_matched]

Chip: `rram-40nm` with two 4-bit slices, 128 rows active, 8-bit serial inputs, a noise-free ADC with gains in octaves;
for the curves over time its cells are phase-change ones with the statistics of `nandakumar`, their global drift
compensated after the conversions.
Without hardware-aware training: the float model, calibrated. With: the same weights after `--steps` further steps of
128 training images with the errors of the chip at 5 ADC bits and 5 % programming error, deployed at every point.
Figures are written after every point; the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import safetensors.torch
import torch
from torch import Tensor, nn

from common import RESULTS, show, write
from ohmfield.chip.cells import PcmCell, RramCell
from ohmfield.chip.chip import Chip
from ohmfield.chip.compensation import Compensation
from ohmfield.chip.files import load_chip
from ohmfield.chip.units import Crossbar
from ohmfield.fit.loop import fit
from ohmfield.fit.options import FitOptions
from ohmfield.mapping.fold import fold_batch_norms
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import trace
from ohmfield.networks import resnet, vit
from ohmfield.signals.examples import Examples
from ohmfield.signals.labels import cifar10
from ohmfield.simulate.batch import Batch
from ohmfield.simulate.calibrate import choose_gains
from ohmfield.simulate.convert import convert
from ohmfield.simulate.formats import choose_formats
from ohmfield.simulate.noisy import with_noise, without_noise
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.run import predict, program
from ohmfield.simulate.study import study

NETWORKS = {"resnet20": resnet, "vit": vit}
SEEDS = range(1001, 1101)
TRAINED_AT = {"adc_bits": 5, "error": 0.05}
DAY_S = 86400.0
RECORD = ("command", "machine", "versions")
AGES_S = (0.0, 3600.0, DAY_S, 30.0 * DAY_S)
FIGURE = Path(__file__).parents[1] / "docs" / "figures"
COLOURS = {"calibrated": "#b2182b", "hardware-aware": "#2166ac"}


def chip_with(adc_bits: int = 6, error: float = 0.02, cell: str = "rram") -> Chip:
    """The chip of one point."""
    base = load_chip("rram-40nm")
    unit = base.units["crossbar"]
    assert isinstance(unit, Crossbar)
    cells = RramCell(g_min_uS=4.0, g_max_uS=60.0, program_fraction=error) if cell == "rram" else PcmCell()
    made = replace(
        unit,
        num_arrays=4096,
        max_copies=1,
        cell=cells,
        compensate=Compensation(where="digital", inferences_between=10000.0) if cell == "pcm" else None,
        array=replace(unit.array, cell_bits=4, rows_active=128),
        adc=replace(unit.adc, bits=adc_bits, enob=None, step_levels=None, gains=(1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)),
    )
    return replace(base, units={"crossbar": made})


@dataclass(frozen=True, eq=False)
class Bench:
    """What every point shares."""

    data: Examples
    images: int
    instances: int
    steps: int
    arithmetic: str

    @property
    def calibration(self) -> Tensor:
        """64 training images."""
        return self.data.train.inputs[:: max(1, self.data.num_train // 64)][:64]

    def deployed(self, model: nn.Module, chip: Chip) -> tuple[nn.Module, dict[str, tuple[float, ...]]]:
        """The converted model and its converter gains."""
        placement = place(trace(model, self.calibration[:8]), chip, 8, 8)
        module = convert(model, chip, placement, choose_formats(model, chip, placement, self.calibration))
        return module, choose_gains(module, chip, self.calibration)

    def trained(self, model: nn.Module, chip: Chip) -> nn.Module:
        """The weights of `model` after training with the errors of `chip`."""
        module, gains = self.deployed(model, chip)
        noisy = with_noise(model, module, chip, self.calibration, gains=gains).train()
        options = FitOptions(steps=self.steps, batch=128, learning_rate=5e-4, epsilon=1e-8, seed=1)
        fit(noisy, replace(self.data.train, num_train=self.data.num_train), options, progress=False)
        return without_noise(noisy)

    def point(self, model: nn.Module, chip: Chip, ages: Sequence[float] = (0.0,)) -> list[dict[str, float]]:
        """Mean, spread, 10th percentile and worst accuracy over the instances, for each age."""
        module, gains = self.deployed(model, chip)
        scored = self.data.test
        part = replace(scored, inputs=scored.inputs[: self.images], labels=scored.labels[: self.images])

        def write_instance(seed: int) -> Programmed:
            return program(module, chip, seed=seed, gains=gains)

        fitted_on = self.calibration[:32] if self.arithmetic == "moment_matched" else None
        batch = Batch(module, chip, part.inputs, lambda made: part.score(made)["accuracy"], fitted_on)
        made = study(write_instance, batch.score, metric="accuracy", seeds=SEEDS[: self.instances], elapsed_s=ages)
        return made.summary()


def sweep(bench: Bench, model: Callable[[], nn.Module], known: set[tuple[str, float]]) -> Iterator[dict[str, Any]]:
    """Every point of one model that is not `known`; the model is asked for only then."""
    for bits in (4, 5, 6, 8):
        if ("adc_bits", bits) not in known:
            (record,) = bench.point(model(), chip_with(adc_bits=bits))
            yield {"axis": "adc_bits", "value": bits, **record}
            if bits == 6:
                yield {"axis": "error", "value": 0.02, **record}
    for error in (0.05, 0.1):
        if ("error", error) not in known:
            yield {"axis": "error", "value": error, **bench.point(model(), chip_with(error=error))[0]}
    if ("elapsed_s", AGES_S[-1]) not in known:
        for record in bench.point(model(), chip_with(adc_bits=8, cell="pcm"), AGES_S):
            yield {"axis": "elapsed_s", "value": record["elapsed_s"], **record}


def known_figures(settings: dict[str, Any]) -> dict[str, Any]:
    """What an earlier run with the same settings wrote, else the settings alone."""
    path = RESULTS / "cifar.json"
    figures = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return figures if settings.items() <= figures.items() else dict(settings)


def draw(name: str, floats: float, points: list[dict[str, Any]], path: Path) -> None:
    """Three panels: accuracy with its 10th percentile, against ADC bits, programming error and age."""
    matplotlib.rcParams |= {"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "ohmfield"}
    figure, panels = plt.subplots(1, 3, figsize=(9, 2.8), sharey=True, layout="constrained")
    titles = {
        "adc_bits": "ADC bits (2 % programming error)",
        "error": "programming error / range (6 bits)",
        "elapsed_s": "hours since the first read, + 1 (PCM, 8 bits)",
    }
    for panel, (axis, title) in zip(panels, titles.items(), strict=True):
        panel.axhline(100 * floats, color="0.6", lw=0.8, ls="--", label="float")
        for variant, colour in COLOURS.items():
            own = sorted((p for p in points if p["axis"] == axis and p["variant"] == variant), key=lambda p: p["value"])
            x = [1 + p["value"] / 3600 if axis == "elapsed_s" else p["value"] for p in own]
            mean, low = ([100 * p[kind] for p in own] for kind in ("mean", "tenth"))
            panel.plot(x, mean, "o-", color=colour, ms=3.5, lw=1.4, label=variant)
            panel.fill_between(x, low, mean, color=colour, alpha=0.2, lw=0)
        panel.set_xlabel(title)
        if axis == "elapsed_s" and panel.dataLim.width > 0:
            panel.set_xscale("log")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel(f"{name}: accuracy, %")
    panels[0].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def once(made: nn.Module | Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """A function that gives the module, made at its first call."""
    return cache(lambda: made if isinstance(made, nn.Module) else made())


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--models", type=Path, default=Path("runs/cifar"))
    arguments.add_argument("--data", default=None, help="data folder, else OHMFIELD_DATA")
    arguments.add_argument("--images", type=int, default=500)
    arguments.add_argument("--instances", type=int, default=10)
    arguments.add_argument("--steps", type=int, default=150)
    arguments.add_argument("--arithmetic", choices=("exact", "moment_matched"), default="moment_matched")
    arguments.add_argument("--networks", nargs="+", choices=sorted(NETWORKS), default=list(NETWORKS))
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    data = cifar10(chosen.data)
    bench = Bench(data, chosen.images, chosen.instances, chosen.steps, chosen.arithmetic)
    settings: dict[str, Any] = {
        "images": chosen.images,
        "instances": chosen.instances,
        "arithmetic": chosen.arithmetic,
        "training": {"steps": chosen.steps, "batch": 128, **TRAINED_AT},
    }
    figures = known_figures(settings)
    scored = data.test
    part = replace(scored, inputs=scored.inputs[: chosen.images], labels=scored.labels[: chosen.images])
    for name in chosen.networks:
        model = NETWORKS[name]()
        model.load_state_dict(safetensors.torch.load_file(chosen.models / f"{name}.safetensors"))
        model, _ = fold_batch_norms(model.eval(), bench.calibration[:8])
        floats = part.score(predict(model, part.inputs))["accuracy"]
        figures.setdefault(name, {"float_accuracy": floats, "points": []})
        points = figures[name]["points"]
        print(f"{name}: float {floats:.3f}", flush=True)
        for variant in COLOURS:
            made = once(partial(bench.trained, model, chip_with(**TRAINED_AT)) if variant != "calibrated" else model)
            known = {(p["axis"], p["value"]) for p in points if p["variant"] == variant}
            for point in sweep(bench, made, known):
                points.append({"variant": variant, **point})
                write("cifar", {key: value for key, value in figures.items() if key not in RECORD})
                draw(name, floats, points, FIGURE / f"cifar_{name}.svg")
                said = " ".join(f"{point[key]:.3f}" for key in ("mean", "tenth", "worst"))
                print(f"{name} {variant} {point['axis']} {point['value']:g}: {said}", flush=True)
        draw(name, floats, points, FIGURE / f"cifar_{name}.svg")
        rows = [(p["variant"], p["axis"], p["value"], p["mean"], p["tenth"], p["worst"]) for p in points]
        show(f"{name}, float {floats:.3f}", ("variant", "against", "value", "mean", "10th percentile", "worst"), rows)


if __name__ == "__main__":
    main()
