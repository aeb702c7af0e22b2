"""What writing weights costs: once for many inferences, or in every inference where the chip is too small."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ohmfield.chip.anchors import once
from ohmfield.chip.chip import Chip
from ohmfield.chip.process import Process
from ohmfield.chip.units import Crossbar, DigitalUnit, Unit
from ohmfield.cost.actions import accumulator_bits, reference_cells
from ohmfield.cost.alike import Alike
from ohmfield.cost.ledger import Ledger
from ohmfield.mapping.place import TABLE_MEMORY, product_arrays, table_bits
from ohmfield.mapping.tile import Tiling, tile
from ohmfield.mapping.workload import Placement, Site, Workload
from ohmfield.quantities import ActionCost, Number, Span, largest, smallest, span, uniform
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


def add_programming(
    ledger: Ledger, chip: Chip, workload: Workload, placement: Placement, groups: Sequence[Alike]
) -> None:
    """Enter all writes: resident weights and tables spread over `inferences_per_write`, shared slots in full.

    `groups` are the operators that are alike.
    """
    for name, unit in chip.units.items():
        layers = _stored(groups, placement, name)
        needed = sum(site.arrays * len(operators) for operators, site in layers)
        kept = product_arrays(workload.shapes, chip, placement.weight_bits).get(name, 0)
        slots = largest(1, unit.num_arrays * chip.num_chips - kept)
        resident, first, loaded = not layers or not uniform(needed > slots), 0, 0.0
        test = line_test(unit, chip.process) if isinstance(unit, Crossbar) and unit.array.has_spares else None
        if not resident:  # in waves it matters which came before
            layers = [((operator,), site) for operators, site in layers for operator in operators]
        for operators, site in layers:
            operator = operators[0]
            cut = site.cut or tile(operator, unit, placement.weight_bits)
            ledger.enter(*(each.id for each in operators))
            again = 0 if resident else rewritten(first, site.arrays, needed, slots)
            first += site.arrays
            # Experts that no item of the inference meets are not written.
            met = min(1.0, operator.vectors * workload.items)
            loaded += site.arrays * met
            writes = (site.arrays - again) / chip.inferences_per_write + again * met
            ledger.spend("programming", write_cell(unit, chip), cells_of(unit, cut) * writes)
            if test is not None:
                ledger.spend("programming", test, writes)
            if again:
                bits = cut.weights * placement.weight_bits / cut.arrays
                ledger.load_ns = ledger.load_ns + _fetch(ledger, chip, bits * again * met)
        if not resident:
            cut = layers[0][1].cut or tile(layers[0][0][0], unit, placement.weight_bits)
            # Arrays of a wave are written side by side, their rows one after the other.
            ledger.load_ns = ledger.load_ns + write_ns(unit, chip, cut) * math.ceil(loaded / slots)
    _spill(ledger, chip, workload, placement)
    memory = chip.table_memory
    tables = {op.path: op for op in reversed(workload.shapes.operators) if op.kind == "table"}  # the first call of each
    for operator in tables.values():
        if memory and placement.sites[operator.id].unit == TABLE_MEMORY:
            words = memory.accesses(table_bits(operator, chip)) / chip.inferences_per_write
            ledger.enter(operator.id)
            ledger.spend("programming", memory.write(chip.process), words)


def write_cell(unit: Unit, chip: Chip) -> ActionCost:
    """One cell of a unit written."""
    if isinstance(unit, Crossbar):
        return once(unit.cell.write, chip.process)
    if isinstance(unit, DigitalUnit):
        return once(unit.write, chip.process)
    raise InputError(f"a {unit.kind} unit has no write cost")


def cells_of(unit: Unit, cut: Tiling) -> Number:
    """Cells in use on one array of a layer, mean over its arrays."""
    return (cut.weights * cut.geometry.columns_per_weight + reference_cells(unit, cut)) / cut.arrays


def write_ns(unit: Unit, chip: Chip, cut: Tiling) -> Span:
    """Time of writing one array, its rows in turn."""
    return write_cell(unit, chip).latency_ns * smallest(cut.inputs * cut.packs, cut.geometry.rows)


def line_test(unit: Crossbar, process: Process) -> ActionCost:
    """What finds the bad lines of one array after it was written: each row is read by itself, once, on all columns."""
    array = unit.array
    mean_uS = unit.cell.mean_uS(unit.default_fill)
    row = unit.cell.read(process, mean_uS, array).times(array.built_columns) + unit.drive(process)
    conversions = array.built_columns / (2 if unit.pairs else 1)
    row = row + unit.convert(process).times(conversions) + unit.control(process)
    return row.times(array.built_rows)


def _stored(groups: Sequence[Alike], placement: Placement, unit: str) -> list[tuple[Alike, Site]]:
    """The layers stored on a unit, each module once, in running order."""
    layers: dict[str, tuple[Alike, Site]] = {}
    for operators in groups:
        first = operators[0]
        site = placement.sites[first.id]
        if first.kind == "linear" and site.unit == unit:
            layers.setdefault(first.path, (operators, site))
    return list(layers.values())


def _fetch(ledger: Ledger, chip: Chip, bits: float) -> np.ndarray:
    """Enter the way of `bits` from or to the memory outside the arrays: DRAM, or the host's; its time in ns."""
    cost = chip.dram.transfer(bits) if chip.dram else chip.host.cost(0.0, bits / 8.0)
    ledger.spend("dram" if chip.dram else "host", cost)
    return cost.latency_ns * span(1.0)


def _spill(ledger: Ledger, chip: Chip, workload: Workload, placement: Placement) -> None:
    """Between two waves the values of a whole inference wait; what the buffer cannot hold is written out and read.

    A layer that lies in several waves finds its inputs again in each, those of its own rows; arrays of a wave are
    filled column by column, so of the sums only those of a column that a wave breaks off wait for the next. Whether
    weights are better written again for every part of the inputs that the buffer holds is not looked into.
    """
    if placement.waves == 1:
        return
    last: dict[str, int] = {}
    for operator in workload.shapes.operators:
        site = placement.sites[operator.id]
        if operator.kind != "linear":
            continue
        before = last.get(site.unit, site.wave)
        span_, last[site.unit] = int(site.wave_span), site.wave + int(site.wave_span) - 1
        if last[site.unit] == before:
            continue
        capacity = float(chip.buffer.capacity_bits)
        codes = max(0.0, operator.input_values * workload.items * placement.input_bits - capacity)
        rows = min(1.0, site.arrays / span_ / site.row_blocks)  # share of its inputs that one wave reads
        moved = codes * (1.0 + span_ * rows)
        if span_ > 1 and site.row_blocks > 1:
            cut = site.cut or tile(operator, chip.units[site.unit], placement.weight_bits)
            width = accumulator_bits(operator, placement.weight_bits, placement.input_bits)
            sums = operator.vectors * workload.items * min(cut.geometry.weights_per_row, operator.outputs) * width
            moved += 2.0 * (span_ - 1) * max(0.0, sums - capacity)
        if moved:
            ledger.enter(operator.id)
            ledger.load_ns = ledger.load_ns + _fetch(ledger, chip, moved)
