"""What writing weights costs: once for many inferences, or in every inference where the chip is too small."""

from __future__ import annotations

import math

import numpy as np

from ohmfield.chip.chip import Chip
from ohmfield.chip.process import Process
from ohmfield.chip.units import Crossbar, DigitalCim, Unit
from ohmfield.cost.actions import reference_cells
from ohmfield.cost.ledger import Ledger
from ohmfield.mapping.place import TABLE_MEMORY, product_arrays, table_bits
from ohmfield.mapping.tile import Tiling, tile
from ohmfield.mapping.workload import Operator, Placement, Site, Workload
from ohmfield.quantities import ActionCost, largest, smallest, span, uniform
from ohmfield.spec import InputError


def rewritten(first: int, arrays: int, needed: int, slots: int) -> int:
    """How many of the arrays `first .. first + arrays` are written again in every inference.

    `needed` arrays lie on `slots` in turn: array j in slot j mod slots. A slot that two waves share is written twice
    per inference, to load and to restore; a slot of its own is never written again.

    >>> [rewritten(0, 9, needed, 8) for needed in (8, 9)]
    [0, 2]
    """
    shared = min(max(0, needed - slots), slots)

    def below(index: int) -> int:
        """Arrays before `index` whose slot is shared."""
        return index // slots * shared + min(index % slots, shared)

    return below(first + arrays) - below(first)


def add_programming(ledger: Ledger, chip: Chip, workload: Workload, placement: Placement) -> None:
    """Enter all writes: resident weights and tables spread over `inferences_per_write`, shared slots in full."""
    for name, unit in chip.units.items():
        layers = _stored(workload, placement, name)
        needed = sum(site.arrays for _, site in layers)
        kept = product_arrays(workload.shapes, chip, placement.weight_bits).get(name, 0)
        slots = largest(1, unit.num_arrays * chip.num_chips - kept)
        resident, first, loaded = not layers or not uniform(needed > slots), 0, 0.0
        test = line_test(unit, chip.process) if isinstance(unit, Crossbar) and unit.array.has_spares else None
        for operator, site in layers:
            cut = tile(operator, unit, placement.weight_bits)
            again = 0 if resident else rewritten(first, site.arrays, needed, slots)
            first += site.arrays
            # Experts that no item of the inference meets are not written.
            met = min(1.0, operator.vectors * workload.items)
            loaded += site.arrays * met
            written = write_array(unit, chip, cut)
            writes = (site.arrays - again) / chip.inferences_per_write + again * met
            ledger.spend(operator.id, "programming", written, writes)
            if test is not None:
                ledger.spend(operator.id, "programming", test, writes)
            if again:
                bits = cut.weights * placement.weight_bits / cut.arrays
                ledger.load_ns = ledger.load_ns + _fetch(ledger, chip, operator.id, bits * again * met)
        if not resident:
            cut = tile(layers[0][0], unit, placement.weight_bits)
            # Arrays of a wave are written side by side, their rows one after the other.
            ledger.load_ns = ledger.load_ns + write_array(unit, chip, cut).latency_ns * math.ceil(loaded / slots)
    _spill(ledger, chip, workload, placement)
    memory = chip.table_memory
    tables = {op.path: op for op in reversed(workload.shapes.operators) if op.kind == "table"}  # the first call of each
    for operator in tables.values():
        if memory and placement.sites[operator.id].unit == TABLE_MEMORY:
            words = memory.accesses(table_bits(operator, chip)) / chip.inferences_per_write
            ledger.spend(operator.id, "programming", memory.write(chip.process), words)


def write_array(unit: Unit, chip: Chip, cut: Tiling) -> ActionCost:
    """One array of a layer written (mean over its arrays): energy of the cells in use, time of its rows in turn."""
    if isinstance(unit, Crossbar):
        cell = unit.cell.write(chip.process)
    elif isinstance(unit, DigitalCim):
        cell = unit.write(chip.process)
    else:
        raise InputError(f"a {unit.kind} unit has no write cost")
    cells = (cut.weights * cut.geometry.columns_per_weight + reference_cells(unit, cut)) / cut.arrays
    rows = smallest(cut.inputs * cut.packs, cut.geometry.rows)
    return ActionCost(cell.energy_pJ * cells, cell.latency_ns * rows)


def line_test(unit: Crossbar, process: Process) -> ActionCost:
    """What finds the bad lines of one array after it was written: each row is read by itself, once, on all columns."""
    array = unit.array
    mean_uS = unit.cell.mean_uS(unit.default_fill)
    row = unit.cell.read(process, mean_uS, array).times(array.built_columns) + unit.drive(process)
    conversions = array.built_columns / (2 if unit.pairs else 1)
    row = row + unit.convert(process).times(conversions) + unit.control(process)
    return row.times(array.built_rows)


def _stored(workload: Workload, placement: Placement, unit: str) -> list[tuple[Operator, Site]]:
    """The layers stored on a unit, each module once, in running order."""
    layers: dict[str, tuple[Operator, Site]] = {}
    for operator in workload.shapes.operators:
        site = placement.sites[operator.id]
        if operator.kind == "linear" and site.unit == unit:
            layers.setdefault(operator.path, (operator, site))
    return list(layers.values())


def _fetch(ledger: Ledger, chip: Chip, operator: str, bits: float) -> np.ndarray:
    """Enter the way of `bits` from or to the memory outside the arrays: DRAM, or the host's; its time in ns."""
    cost = chip.dram.transfer(bits) if chip.dram else chip.host.cost(0.0, bits / 8.0)
    ledger.spend(operator, "dram" if chip.dram else "host", cost)
    return cost.latency_ns * span(1.0)


def _spill(ledger: Ledger, chip: Chip, workload: Workload, placement: Placement) -> None:
    """Between two waves the values of a whole inference wait; what the buffer cannot hold is written out and read."""
    if placement.waves == 1:
        return
    wave: dict[str, int] = {}
    for operator in workload.shapes.operators:
        site = placement.sites[operator.id]
        if operator.kind != "linear":
            continue
        last = wave.get(site.unit, site.wave)
        wave[site.unit] = site.wave + site.wave_span - 1
        crossings = wave[site.unit] - last
        bits = operator.input_values * workload.items * chip.requantiser.word_bits
        excess = max(0.0, bits - float(chip.buffer.capacity_bits))
        if crossings > 0 and excess > 0.0:
            ledger.load_ns = ledger.load_ns + _fetch(ledger, chip, operator.id, 2.0 * excess * crossings)
