"""What qualifies a bill: what its figures include, and what they rest on."""

from __future__ import annotations

from ohmfield.chip.chip import Chip
from ohmfield.chip.readout import ASSUMPTIONS as READOUT_ASSUMPTIONS
from ohmfield.chip.units import Crossbar, DigitalUnit
from ohmfield.cost.actions import Rates
from ohmfield.cost.ledger import Ledger
from ohmfield.mapping.place import HOST
from ohmfield.mapping.workload import Placement, Workload


def boundary(chip: Chip, ledger: Ledger) -> str:
    """What the figures include."""
    if any(component == HOST for component, _ in ledger.spent):
        return "system: chip and the host while it works"
    if chip.many:
        return "chips and the links between them" + (", DRAM" if chip.dram else "")
    return "chip and DRAM" if chip.dram else "chip: arrays, converters, digital units, on-chip memory"


def warnings(chip: Chip, workload: Workload, placement: Placement, rates: Rates) -> tuple[str, ...]:
    """What was assumed, and what ran elsewhere than hoped."""
    lines = [f"measured: {line}" for line in chip.measured]
    lines += [f"assumed: {line}" for line in chip.assumed] + rates.warnings()
    lines += [f"stated: {rate}" for rate in workload.stated]
    lines += [f"extrapolated: {line}" for line in chip.process.extrapolated]
    beside = (chip.buffer, chip.table_memory, chip.dram, chip.network, *chip.gating)
    beside += (chip.stacked and chip.stacked.link, chip.many and chip.many.link)
    lines += dict.fromkeys(f"assumed: {line}" for part in beside if part for line in part.assumptions)
    units = chip.units.items()
    for name, unit in units:
        if isinstance(unit, DigitalUnit):
            lines += [f"assumed: {name}: {line}" for line in unit.assumptions]
        if isinstance(unit, Crossbar):
            lines += [f"assumed: cells of {name}: {line}" for line in unit.cell.assumptions]
            lines += [f"assumed: drivers of {name}: {line}" for line in unit.dac.assumptions]
            lines += [f"assumed: converters of {name}: {line}" for line in unit.adc.assumptions]
            reading = READOUT_ASSUMPTIONS[unit.array.readout]
            lines += [f"assumed: readout of {name}: {line}" for line in reading]
            lines += [f"assumed: arrays of {name}: {line}" for line in unit.array.assumptions]
            wires, compensate = unit.array.wires, unit.compensate
            lines += [f"assumed: wires of {name}: {line}" for line in wires.assumptions] if wires else []
            trims = compensate.assumptions if compensate else ()
            lines += [f"assumed: drift compensation of {name}: {line}" for line in trims]
    ideal = [name for name, unit in units if isinstance(unit, Crossbar) and unit.cell.kind == "ideal"]
    lines += [f"cells of {name} are ideal and cost nothing" for name in ideal]
    hosted = [op.id for op in workload.shapes.operators if placement.sites[op.id].unit == HOST]
    if hosted:
        lines.append(f"on the host ({chip.host.name}): {', '.join(hosted)}")
        if chip.host.assumed:
            lines.append(f"assumed: figures of the host, {chip.host.name}")
    if placement.waves > 1:
        lines.append(f"weights are written in {placement.waves} waves per {workload.inference}")
    return tuple(lines)
