"""A full array of each preset that follows a fabricated chip, billed as any chip file is, beside its published row.

Constants of the chip itself take part here: this is what a preset answers, not how good the model is. `silicon.py`
prices the same rows with the actions of the chip; here they are those that the description can say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ohmfield.chip.files import load_chip
from ohmfield.chip.units import Crossbar
from ohmfield.cost.evaluate import evaluate
from ohmfield.mapping.place import place
from ohmfield.mapping.tile import geometry
from ohmfield.mapping.workload import Operator, Shapes, Workload
from validation.silicon_rows import ROWS

# Preset: its row, and arrays that make up what the row's area is of.
FOLLOWED = {
    "neurram-130nm": ("neurram-4b-in-6b-out", 1),
    "hermes-14nm": ("hermes-64-one-phase", 64),
    "jia-65nm": ("jia-1x1b-0.85V", 1),
    "wang-22nm": ("wang-8x8b-1.0V", 1),
    "sinangil-7nm": ("sinangil-typical-0.8V", 1),
    "colonnade-65nm": ("colonnade-square-8x8b-0.8V", 1),
    "dimc-28nm-a": ("isscc2022-11.7", 2),
    "dimc-28nm-b": ("isscc2023-7.2", 1),
}
# What the circuit of a chip does less often than its description: a component's share of what is billed.
ONCE = {
    # three bits of an input are summed on the sampling capacitor, then converted
    "neurram-130nm": {"adc": 1 / 3, "shift_add": 1 / 3, "control": 1 / 3},
    # a train of pulses is one discharge for four bits; four columns of a weight are joined, then converted
    "sinangil-7nm": {"cells": 1 / 4, "adc": 1 / 16, "shift_add": 1 / 16, "control": 1 / 4},
}
MACRO = ("cells", "drivers", "adc", "adder_tree", "shift_add", "control")
LEAST_WEIGHT_BITS = 2  # that two's complement has; Jia's row has 1
FJ_PER_MJ = 1e12


@dataclass(frozen=True)
class Billed:
    """Middle estimates of a preset over its row; `area` is NaN where the row has none.

    `once` is the energy with actions as often as the circuit has them (`ONCE`); elsewhere the same.
    """

    energy: float
    once: float
    area: float
    fJ_per_MAC: float
    reported_fJ_per_MAC: float


def billed(preset: str) -> Billed:
    """What the bill says of arrays, drivers, converters and control at the bits of the row; nothing around them."""
    row = next(row for row in ROWS if row.row == FOLLOWED[preset][0])
    chip = load_chip(preset)
    ((name, built),) = chip.units.items()
    unit = built
    if isinstance(unit, Crossbar):  # a converter with fewer codes stops early: the row is of that many
        unit = replace(unit, adc=replace(unit.adc, bits=int(row.adc_bits)))
    one = replace(chip, units={name: replace(unit, num_arrays=1)})
    weight_bits, input_bits = max(LEAST_WEIGHT_BITS, int(row.weight_bits)), int(row.input_bits)
    held = geometry(unit, weight_bits)
    full = Operator("full#0", "linear", inputs=int(held.rows), outputs=int(held.weights_per_row))
    placement = place(Shapes((full,)), one, weight_bits, input_bits, copies=1)
    bill = evaluate(one, Workload(Shapes((full,)), items=1e4), placement)
    parts = bill.by_component()
    # Per bit of weight where the preset had to take more bits than the row.
    per_MAC = FJ_PER_MJ / bill.macs * row.weight_bits / weight_bits
    energy = sum(parts[part][1] for part in MACRO if part in parts) * per_MAC
    often = ONCE.get(preset, {})
    once = sum(parts[part][1] * often.get(part, 1.0) for part in MACRO if part in parts) * per_MAC
    area = sum(float(part.area_um2[1, 0]) for part in built.parts(chip.process, weight_bits, input_bits).values())
    area *= FOLLOWED[preset][1]
    published = row.energy_fJ_per_MAC
    return Billed(energy / published, once / published, area / row.area_um2, energy, published)
