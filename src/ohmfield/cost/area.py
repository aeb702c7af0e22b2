"""What the chip is made of: every part, once, with its area and leakage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ohmfield.chip.anchors import once
from ohmfield.chip.chip import Chip
from ohmfield.cost.actions import accumulator_bits
from ohmfield.mapping.place import ACTIVATION
from ohmfield.mapping.workload import Placement, Workload
from ohmfield.quantities import ZERO, ActionCost, PartCost, Span, largest

# A gather unit is built for these where the workload has no grid to say: image fields with two features per level.
DEFAULT_DIMS, DEFAULT_FEATURES = 2, 2


def chip_parts(chip: Chip, workload: Workload, placement: Placement) -> dict[str, PartCost]:
    """All parts of the chip by component, used or not; activation pipelines are those of the functions used."""
    process, parts = chip.process, dict[str, PartCost]()

    def add(component: str, part: PartCost) -> None:
        parts[component] = parts[component] + part if component in parts else part

    for unit in chip.units.values():
        parts_of = once(unit.parts, process, placement.weight_bits, placement.input_bits)
        for component, part in parts_of.items():
            add(component, part.times(unit.num_arrays))
    operators = workload.shapes.operators
    widths = [
        accumulator_bits(operator, placement.weight_bits, placement.input_bits)
        for operator in operators
        if operator.kind == "linear" or (operator.kind == "product" and placement.sites[operator.id].unit in chip.units)
    ]
    add("requantiser", once(chip.requantiser.part, process, largest(*(widths or [chip.requantiser.word_bits]))))
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
    for component, part in _composed(chip, parts):
        add(component, part)
    if chip.many:
        parts = {component: part.times(chip.num_chips) for component, part in parts.items()}
    if chip.dram:
        add("dram", once(chip.dram.part, process))
    return parts


def _composed(chip: Chip, parts: Mapping[str, PartCost]) -> list[tuple[str, PartCost]]:
    """Links of one chip, and the switches of its power domains."""
    links = (chip.network, chip.stacked and chip.stacked.link, chip.many and chip.many.link)
    made = [("link", once(link.part, chip.process)) for link in links if link]
    for domain in chip.gating:
        made += [
            (component, domain.switches(parts[component])) for component in domain.components if component in parts
        ]
    return made


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
    areas = [parts[name].area_um2 if name in parts else ZERO for name in components]
    return np.stack(np.broadcast_arrays(*areas), axis=-1)
