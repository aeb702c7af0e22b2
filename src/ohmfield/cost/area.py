"""What the chip is made of: every part, once, with its area and leakage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ohmfield.chip.anchors import once
from ohmfield.chip.chip import Chip
from ohmfield.cost.actions import accumulator_bits
from ohmfield.mapping.place import ACTIVATION
from ohmfield.mapping.workload import Placement, Workload
from ohmfield.quantities import ZERO, ActionCost, Number, PartCost, Span, added, side_by_side

# A gather unit is built for these where the workload has no grid to say: image fields with two features per level.
DEFAULT_DIMS, DEFAULT_FEATURES = 2, 2


@dataclass(frozen=True, eq=False)
class Part:
    """Something the chip has so many times of."""

    component: str
    cost: PartCost
    count: Number


def chip_parts(chip: Chip, workload: Workload, placement: Placement) -> list[Part]:
    """All parts of the chip, used or not; activation pipelines are those of the functions used."""
    process, parts, chips = chip.process, list[Part](), chip.num_chips
    for unit in chip.units.values():
        parts_of = once(unit.parts, process, placement.weight_bits, placement.input_bits)
        count = unit.num_arrays * chips
        parts += [Part(component, part, count) for component, part in parts_of.items()]
    operators = workload.shapes.operators
    multiplied = [
        operator
        for operator in operators
        if operator.kind == "linear" or (operator.kind == "product" and placement.sites[operator.id].unit in chip.units)
    ]
    width = chip.requantiser.word_bits
    if multiplied:  # built for the widest sum: of the most inputs
        longest = max(multiplied, key=lambda operator: operator.inputs)
        width = accumulator_bits(longest, placement.weight_bits, placement.input_bits)

    def add(component: str, part: PartCost) -> None:
        parts.append(Part(component, part, chips))

    add("requantiser", once(chip.requantiser.part, process, width))
    if placement.zero_points:
        add("requantiser", once(chip.requantiser.zero_part, process, placement.input_bits))
    functions = dict.fromkeys(op.function for op in operators if placement.sites[op.id].unit == ACTIVATION)
    if functions:
        add("activation", once(chip.activation.part, process, tuple(functions)))
    if chip.gather:
        shapes = [(op.inputs, op.outputs) for op in operators if op.kind == "interpolate"]
        dims, features = max(shapes, default=(DEFAULT_DIMS, DEFAULT_FEATURES))
        add("gather", once(chip.gather.part, process, dims, features))
    if chip.table_memory:
        add("table_memory", once(chip.table_memory.part, process))
    add("buffer", once(chip.buffer.part, process))
    links = (chip.network, chip.stacked and chip.stacked.link, chip.many and chip.many.link)
    for link in links:
        if link:
            add("link", once(link.part, process))
    if chip.gating:
        parts += _switches(chip, by_component(parts))
    if chip.dram:
        parts.append(Part("dram", once(chip.dram.part, process), 1))
    return parts


def _switches(chip: Chip, parts: Mapping[str, PartCost]) -> list[Part]:
    """The switches of power domains over the `parts` of all chips: some area for some area."""
    return [
        Part(component, domain.switches(parts[component]), 1)
        for domain in chip.gating
        for component in domain.components
        if component in parts
    ]


def by_component(parts: Sequence[Part]) -> dict[str, PartCost]:
    """All parts of a component together."""
    made = dict[str, PartCost]()
    for part in parts:
        cost = part.cost.times(part.count)
        made[part.component] = made[part.component] + cost if part.component in made else cost
    return made


def part_totals(parts: Sequence[Part]) -> PartCost:
    """All parts together. Those that the chip has equally many of are added before they are multiplied."""
    alike: dict[int, list[Part]] = {}
    for part in parts:
        alike.setdefault(id(part.count), []).append(part)
    made = [
        PartCost(added(part.cost.area_um2 for part in each), added(part.cost.leakage_uW for part in each)).times(
            each[0].count
        )
        for each in alike.values()
    ]
    return PartCost(added(part.area_um2 for part in made), added(part.leakage_uW for part in made))


def gated(chip: Chip, parts: Mapping[str, PartCost]) -> tuple[Span, ActionCost]:
    """Leakage of the chip while it waits, `[3, designs]` uW, and what waking it costs.

    Components in no power domain leak as ever.
    """
    standby, wake = ZERO, ActionCost(ZERO)
    domains = {component: domain for domain in chip.gating for component in domain.components}
    for component, part in parts.items():
        domain = domains.get(component)
        standby = standby + (part.leakage_uW if domain is None else domain.idle_uW(part))
        if domain is not None:
            each = domain.wake(chip.process, part)
            wake = ActionCost(wake.energy_pJ + each.energy_pJ, np.maximum(wake.latency_ns, each.latency_ns))
    return standby, wake


def part_areas(parts: Mapping[str, PartCost], components: Sequence[str]) -> np.ndarray:
    """Area by component, `[3, designs, components]` um2."""
    return side_by_side([parts[name].area_um2 if name in parts else ZERO for name in components])
