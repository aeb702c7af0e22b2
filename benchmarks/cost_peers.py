"""The bill beside AccelForge and ZigZag: the same layers on published chips of theirs, described in our YAML as well.

    python benchmarks/cost_peers.py [--accelforge-python PATH --accelforge-examples FOLDER] [--zigzag-python PATH]

Each peer runs in an interpreter of its own (`cost_peers_side.py`). AccelForge: Python 3.12, `pip install
accelforge==1.0.467`; FOLDER is examples/arches/compute_in_memory of a clone of
https://github.com/Accelergy-Project/accelforge. ZigZag: Python 3.11, `pip install zigzag-dse==3.9.1 six`. Without a
path the answer stored in results/cost_peers.json is taken, and the table is made again from it.

Three networks of plain layers, each on inputs of its own, one after the other: an MLP of 2-256-256-256-3 at 64 x 64
points, the four matrices of a ViT-B/16 block at 197 tokens, ResNet-18 at 224 x 224. Processor seconds, mapping counted;
the peers' seconds were taken on the machine named beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ["OHMFIELD_THREADS"] = "1"

import torch
from torch import Tensor, nn

from common import RESULTS, cpu_name, show, write
from ohmfield.chip.anchors import without
from ohmfield.chip.chip import Chip
from ohmfield.chip.files import load_chip
from ohmfield.chip.units import Crossbar, DigitalCim
from ohmfield.cost.bill import PJ_PER_MJ, UM2_PER_MM2, Bill
from ohmfield.cost.evaluate import evaluate
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import trace
from ohmfield.mapping.workload import Shapes, Workload
from ohmfield.quantities import MID
from ohmfield.tally import Tally

HERE = Path(__file__).parent
Layer = dict[str, int]
Record = dict[str, Any]

# What ZigZag is told of a chip; of AccelForge's only the name and the weight bits, the rest are its own files.
# Sizes: outputs, inputs, banks. Cells: bits of one group, mm2 of one (CACTI, in ZigZag-IMC's validation of the chip).
BANKED = ["D1", "D2", "D3"]
ZIGZAG_CHIPS: list[Record] = [
    {
        "name": "aimc_jssc_2023",
        "base": "aimc",
        "array": {
            "bit_serial_precision": 2,
            "adc_resolution": 5,
            "dimensions": ["D1", "D2", "D3"],
            "sizes": [12, 16, 4],
        },
        "cells": {"size": 8, "area": 0.03604507 / 32 / (12 * 16)},
    },
    {
        "name": "dimc_isscc_2022",
        "base": "dimc",
        "array": {"bit_serial_precision": 2, "dimensions": BANKED, "sizes": [6, 32, 64]},
        "cells": {"size": 8, "area": 0.00065545 / (6 * 32)},
    },
]
ACCELFORGE_CHIPS: list[tuple[str, int]] = [("jia_jssc_2020", 8), ("neurram_nature_2022", 4)]
# Chip: its peer, bits of its weights, the share of the digits that the peer drives, our anchors that come from it.
CHIPS: dict[str, tuple[str, int, float, str]] = {
    "jia_jssc_2020": ("accelforge", 8, 4 / 15, "Jia"),
    "neurram_nature_2022": ("accelforge", 4, 0.5, "NeuRRAM"),
    "aimc_jssc_2023": ("zigzag", 8, 1.0, "JSSC 2023 9896828"),
    "dimc_isscc_2022": ("zigzag", 8, 1.0, "ISSCC 2022 15.5"),
}
# A peer's parts in the components of our bill; AccelForge's leakage is each part's own, here in one.
COMPONENT: dict[str, str] = {
    "CimUnit": "cells",
    "BitcellCapacitor": "cells",
    "RowDrivers": "drivers",
    "ColumnDrivers": "drivers",
    "WeightDrivers": "drivers",
    "WordlineDrivers": "drivers",
    "WordlineCap": "drivers",
    "ADC": "adc",
    "Integrator": "adc",
    "Sample": "adc",
    "ShiftAdd": "shift_add",
    "InputZeroGating": "control",
    "OutDatapath": "requantiser",
    "analog_bl_addition": "cells",
    "local_bl_precharging": "cells",
    "cells": "cells",
    "dacs": "drivers",
    "adcs": "adc",
    "adders_regular": "adder_tree",
    "accumulators": "shift_add",
    "memory cells": "programming",
    "memory rf_1B": "control",
    "memory rf_2B": "shift_add",
    "memory sram_256KB": "buffer",
    "memory dram": "dram",
}
MACRO = ("cells", "drivers", "adc", "adder_tree", "shift_add", "control")
MEMORIES = ("buffer", "dram", "programming", "host")  # the host brings weights where a chip has no DRAM
SHOWN = (*MACRO, "requantiser", *MEMORIES, "leakage")


def layer(inputs: int, outputs: int, rows: int, columns: int, kernel: int = 1, stride: int = 1) -> Layer:
    """A convolution by the size of its output; a matrix times vectors has a kernel of 1."""
    names = ("inputs", "outputs", "rows", "columns", "kernel", "stride")
    return dict(zip(names, (inputs, outputs, rows, columns, kernel, stride), strict=True))


def resnet18() -> list[Layer]:
    """He et al., CVPR 2016, table 1: convolutions, shortcuts of 1 x 1 and the classifier."""
    layers = [layer(3, 64, 112, 112, 7, 2), *(layer(64, 64, 56, 56, 3) for _ in range(4))]
    for width, side in ((128, 28), (256, 14), (512, 7)):
        layers += [layer(width // 2, width, side, side, 3, 2), layer(width // 2, width, side, side, 1, 2)]
        layers += [layer(width, width, side, side, 3) for _ in range(3)]
    return [*layers, layer(512, 1000, 1, 1)]


VIT_BLOCK = ((768, 2304), (768, 768), (768, 3072), (3072, 768))
NETWORKS: dict[str, list[Layer]] = {
    "mlp": [layer(before, after, 64, 64) for before, after in pairwise((2, 256, 256, 256, 3))],
    "transformer": [
        layer(before, after, 197, 1) for before, after in ((768, 2304), (768, 768), (768, 3072), (3072, 768))
    ],
    "resnet18": resnet18(),
}


class Layers(nn.Module):
    """Every layer once, each on zeros of its own: what the peers are asked for."""

    def __init__(self, layers: list[Layer]) -> None:
        super().__init__()
        for number, one in enumerate(layers):
            image = torch.zeros(1, one["inputs"], one["rows"] * one["stride"], one["columns"] * one["stride"])
            self.register_buffer(f"image{number}", image)
        self.layers = nn.ModuleList(
            nn.Conv2d(one["inputs"], one["outputs"], one["kernel"], one["stride"], one["kernel"] // 2, bias=False)
            for one in layers
        )

    def forward(self, x: Tensor) -> Tensor:
        """Nothing of use: shapes are what counts."""
        for number, convolution in enumerate(self.layers):
            convolution(getattr(self, f"image{number}").expand(len(x), -1, -1, -1))
        return x


# ---- the peers ---------------------------------------------------------------------------------------------------


def ask(peer: str, python: str, examples: str) -> Record:
    """Runs a peer in its own Python."""
    job = {
        "networks": NETWORKS,
        "chips": ACCELFORGE_CHIPS if peer == "accelforge" else ZIGZAG_CHIPS,
        "accelforge_examples": examples,
    }
    with tempfile.TemporaryDirectory() as folder:
        job_file, answer_file = Path(folder) / "job.json", Path(folder) / "answer.json"
        job_file.write_text(json.dumps(job))
        subprocess.run(
            [python, str(HERE / "cost_peers_side.py"), peer, str(job_file), str(answer_file)], check=True, cwd=folder
        )
        answer: Record = json.loads(answer_file.read_text())
    answer["machine"] = {"cpu": cpu_name(), "cores": os.cpu_count()}
    return answer


def component_of(part: str, chip: str) -> str:
    """The component of our bill that a peer's part belongs to."""
    if part.endswith(" leak"):
        return "leakage"
    name = part.removesuffix(" read").removesuffix(" write")
    digital = chip.startswith("dimc")
    if name == "mults":
        return "adder_tree" if digital else "cells"
    if name == "adders_pv":
        return "adder_tree" if digital else "shift_add"
    if name.startswith("memory "):
        name = name.rpartition(" ")[0]
    return COMPONENT.get(name, name)


def joined(parts: dict[str, float], chip: str) -> dict[str, float]:
    """Sums by component; a part that no component takes keeps its name, and is seen."""
    sums: dict[str, float] = {}
    for part, value in parts.items():
        sums[component_of(part, chip)] = sums.get(component_of(part, chip), 0.0) + value
    return sums


# ---- ours --------------------------------------------------------------------------------------------------------


def seconds_of(action: Any, repeats: int = 5) -> float:
    """Median processor seconds; run once before, uncounted."""
    action()
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        spent.append(time.process_time() - start)
    return statistics.median(spent)


def driven(shapes: Shapes, chip: Chip, share: float) -> Tally:
    """Counts of a run in which that share of all digits is driven."""
    tally = Tally()
    unit = next(iter(chip.units.values()))
    for operator in shapes.operators:
        planes = unit.dac.num_planes(8, signed=True) if hasattr(unit, "dac") else 8
        top = 2**unit.dac.bits - 1 if hasattr(unit, "dac") else 1
        most = operator.vectors * operator.groups * operator.inputs * planes * top
        tally.add(operator.id, driven=share * most)
    return tally


def bill_of(shapes: Shapes, chip: Chip, weight_bits: int, share: float | None = None) -> Bill:
    """One image, picture or sequence; half of the digits driven, or that share."""
    workload = Workload(shapes, items=1)
    if share is not None:
        workload = Workload(shapes, items=1, tally=driven(shapes, chip, share), tally_items=1)
    return evaluate(chip, workload, place(shapes, chip, weight_bits=weight_bits))


def unit_costs(chip: Chip, weight_bits: int) -> dict[str, float]:
    """pJ of one action each, mid, leaves only: what a difference in energy comes from where counts are equal."""
    process, unit = chip.process, next(iter(chip.units.values()))
    costs = {"shift_add": unit.shift_add(process, 24), "drive": unit.drive(process)}
    if isinstance(unit, Crossbar):
        mean_uS = float(unit.cell.mean_uS(unit.default_fill))
        costs |= {"conversion": unit.adc.conversion(process), "conversion with its line": unit.convert(process)}
        costs |= {"cell read": unit.cell.read(process, mean_uS, unit.array)}
        costs |= {"amplifier": unit.cell.sense(process), "cell write": unit.cell.write(process)}
    elif isinstance(unit, DigitalCim):
        costs |= {"add": unit.add(process, weight_bits), "bit write": unit.write(process)}
    memories = {"buffer read": chip.buffer.read(process), "buffer write": chip.buffer.write(process)}
    return {name: float(cost.energy_pJ[MID, 0]) for name, cost in (costs | memories).items()}


def energies(bill: Bill) -> dict[str, float]:
    """pJ by component, mid."""
    return {name: mid * PJ_PER_MJ for name, (_, mid, _) in bill.by_component().items()}


def ours(chip_name: str, network: str, shapes: Shapes) -> Record:
    """Our bill: as it comes, with the peer's activity, and with no constant from this chip."""
    _, weight_bits, share, anchors = CHIPS[chip_name]
    chip = load_chip(HERE / "peers_chips" / f"{chip_name}.yaml")
    bill = bill_of(shapes, chip, weight_bits)
    alike = bill_of(shapes, chip, weight_bits, share)
    with without(anchors):
        held_out = bill_of(shapes, chip, weight_bits, share)
    area = dict(zip(bill.components, bill.area_um2[MID, 0].tolist(), strict=True))
    low, mid, high = (value * PJ_PER_MJ for value in bill.energy_mJ)
    return {
        "chip": chip_name,
        "network": network,
        "seconds": seconds_of(lambda: bill_of(shapes, chip, weight_bits)),
        "macs": bill.macs,
        "energy_pJ": energies(bill),
        "total_pJ": [low, mid, high],
        "energy_as_theirs_pJ": energies(alike),
        "energy_held_out_pJ": energies(held_out),
        "unit_pJ": unit_costs(chip, weight_bits),
        "latency_ns": bill.latency_ms[1] * 1e6,
        "interval_ns": 1e9 / bill.frames_per_s[1],
        "area_um2": {name: value for name, value in area.items() if value},
        "utilisation": bill.utilisation,
    }


# ---- side by side ------------------------------------------------------------------------------------------------


def compared(mine: Record, theirs: Record) -> Record:
    """Both, in the components of our bill: uJ, ms, mm2, s."""
    chip = str(mine["chip"])
    their_parts = joined(theirs["energy_pJ"], chip)
    my_parts: dict[str, float] = mine["energy_as_theirs_pJ"]
    names = [name for name in SHOWN if name in my_parts or name in their_parts]
    names += [name for name in their_parts if name not in names]
    split = {name: [my_parts.get(name, 0.0) / 1e6, their_parts.get(name, 0.0) / 1e6] for name in names}

    def both(names: tuple[str, ...]) -> list[float]:
        return [sum(split[name][side] for name in names if name in split) for side in (0, 1)]

    macro = both(MACRO)
    held_out = sum(value for name, value in mine["energy_held_out_pJ"].items() if name in MACRO) / 1e6
    my_area = sum(value for name, value in mine["area_um2"].items() if name in MACRO) / UM2_PER_MM2
    return {
        "chip": chip,
        "network": mine["network"],
        "macro_uJ": macro,
        "macro_ratio": macro[0] / macro[1],
        "macro_held_out_uJ": held_out,
        "memories_uJ": both(MEMORIES),
        "total_uJ": [sum(pair[side] for pair in split.values()) for side in (0, 1)],
        "components_uJ": split,
        "latency_ms": [mine["latency_ns"] / 1e6, theirs["latency_ns"] / 1e6],
        "macro_mm2": [my_area, sum(theirs["area_um2"].values()) / UM2_PER_MM2],
        "seconds": [mine["seconds"], theirs["seconds"]],
        "seconds_ratio": theirs["seconds"] / mine["seconds"],
    }


def per_event(mine: list[Record]) -> Record:
    """pJ of single events on each chip, the same for every network."""
    events: Record = {}
    for run in mine:
        unit: dict[str, float] = run["unit_pJ"]
        event = {"addition": unit["shift_add"], "drive": unit["drive"]}
        if "conversion" in unit:
            event |= {"conversion": unit["conversion"], "line": unit["conversion with its line"] - unit["conversion"]}
            event |= {"conversion_with_line": unit["conversion with its line"], "cell_fJ": unit["cell read"] * 1e3}
        events[run["chip"]] = event
    return events


def table(rows: list[Record]) -> None:
    """One table: totals, breakdown, run time."""
    lines = []
    for row in rows:
        for side, who in enumerate(("ours", CHIPS[row["chip"]][0])):
            split = {name: pair[side] for name, pair in row["components_uJ"].items()}
            largest = sorted(split.items(), key=lambda item: -item[1])[:4]
            lines.append(
                (
                    row["chip"] if side == 0 else "",
                    row["network"] if side == 0 else "",
                    who,
                    row["macro_uJ"][side],
                    row["total_uJ"][side],
                    ", ".join(f"{name} {value:.3g}" for name, value in largest if value),
                    row["latency_ms"][side],
                    row["macro_mm2"][side],
                    row["seconds"][side],
                )
            )
    names = ("chip", "network", "tool", "macro uJ", "all uJ", "most of it, uJ", "ms", "macro mm2", "CPU s")
    show("Bills beside AccelForge and ZigZag", names, lines)


def stored() -> dict[str, Record]:
    """Answers of the peers from an earlier run."""
    path = RESULTS / "cost_peers.json"
    return json.loads(path.read_text())["peers"] if path.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accelforge-python", default="")
    parser.add_argument("--accelforge-examples", default="")
    parser.add_argument("--zigzag-python", default="")
    given = parser.parse_args()
    torch.set_num_threads(1)
    peers = stored()
    if given.accelforge_python:
        if not given.accelforge_examples:
            sys.exit("--accelforge-examples is needed beside --accelforge-python: the folder of its chips")
        peers["accelforge"] = ask("accelforge", given.accelforge_python, given.accelforge_examples)
    if given.zigzag_python:
        peers["zigzag"] = ask("zigzag", given.zigzag_python, "")
    shapes, tracing = {}, {}
    for network, layers in NETWORKS.items():
        model = Layers(layers)
        shapes[network] = trace(model, torch.zeros(1, 1))
        tracing[network] = seconds_of(lambda model=model: trace(model, torch.zeros(1, 1)), 1)
    mine = [ours(chip, network, shapes[network]) for chip in CHIPS for network in NETWORKS]
    answers = {(run["chip"], run["network"]): run for peer in peers.values() for run in peer["runs"]}
    rows = [compared(run, answers[key]) for run in mine if (key := (run["chip"], run["network"])) in answers]
    table(rows)
    by_chip: Record = {chip: {row["network"]: row for row in rows if row["chip"] == chip} for chip in CHIPS}
    write(
        "cost_peers",
        {
            "compared": by_chip,
            "per_event_pJ": per_event(mine),
            "tracing_seconds": tracing,
            "ours": mine,
            "peers": peers,
        },
    )


if __name__ == "__main__":
    main()
