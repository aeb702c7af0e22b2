"""From a chip, a workload and a placement to the bill: counts times what the leaves cost."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ohmfield.chip.chip import Chip
from ohmfield.chip.readout import ASSUMPTIONS as READOUT_ASSUMPTIONS
from ohmfield.chip.readout import pulses, settling
from ohmfield.chip.units import Crossbar, DigitalCim, Unit
from ohmfield.cost.actions import (
    LinearActions,
    Rates,
    accumulator_bits,
    calibrations,
    linear_actions,
    processor_work,
)
from ohmfield.cost.area import chip_parts, input_quantiser, part_totals
from ohmfield.cost.bill import Bill, leakage_pJ
from ohmfield.cost.ledger import COMPONENTS, Ledger
from ohmfield.cost.programming import add_programming, write_array
from ohmfield.mapping.place import ACTIVATION, DRAM, GATHER, HOST, REQUANTISER, TABLE_MEMORY
from ohmfield.mapping.tile import Tiling, tile
from ohmfield.mapping.workload import Operator, Placement, Site, Workload
from ohmfield.quantities import ActionCost, Span
from ohmfield.spec import InputError

IDLE = "(idle)"  # row of what is spent whatever runs
DRAM_BURST_BITS = 256  # least that is moved for one row: 16 beats of a 16-bit LPDDR4 channel


def evaluate(chip: Chip, workload: Workload, placement: Placement) -> Bill:
    """What one inference of `workload` costs on `chip`, every operator of it billed.

    Rates that no run has measured take a default and a warning. `InputError` if the placement lacks an operator.
    """
    billing = _Billing(chip, workload, placement)
    for operator in workload.shapes.operators:
        billing.add(operator)
    ledger = billing.ledger
    add_programming(ledger, chip, workload, placement)
    parts = chip_parts(chip, workload, placement)
    area_um2, leakage_uW = part_totals(parts, COMPONENTS)
    interval_ns = ledger.interval_ns()
    idle = leakage_pJ(leakage_uW, interval_ns)
    ledger.spend(IDLE, "leakage", ActionCost(idle))
    operators = (*(operator.id for operator in workload.shapes.operators), IDLE)
    energy = ledger.energy(operators, COMPONENTS)
    designs = energy.shape[1]
    return Bill(
        name=chip.name,
        operators=operators,
        components=COMPONENTS,
        energy_pJ=energy,
        latency_ns=_wide(ledger.latency(operators), designs),
        fill_ns=_wide(ledger.latency_ns(), designs),
        interval_ns=_wide(interval_ns, designs),
        area_um2=_wide(area_um2, designs),
        leakage_uW=_wide(leakage_uW, designs),
        macs=sum(operator.macs for operator in workload.shapes.operators) * workload.items,
        precision=f"{placement.weight_bits}-bit weights, {placement.input_bits}-bit inputs",
        utilisation=billing.utilisation(),
        activity=billing.activity(),
        boundary=billing.boundary(),
        inference=workload.inference,
        warnings=billing.warnings(),
    )


def _wide(values: np.ndarray, designs: int) -> np.ndarray:
    """`values` with its second axis repeated to the number of designs."""
    return np.broadcast_to(values, (3, designs, *values.shape[2:])).copy()


@dataclass
class _Billing:
    """One inference being entered, operator by operator."""

    chip: Chip
    workload: Workload
    placement: Placement
    ledger: Ledger = field(init=False)
    rates: Rates = field(init=False)
    last: str = field(init=False)
    used: list[tuple[float, float, float]] = field(default_factory=list)  # MACs, cells used share, driven share

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.workload.items)
        self.rates = Rates(self.workload)
        linear = [operator.id for operator in self.workload.shapes.operators if operator.kind == "linear"]
        self.last = linear[-1] if linear else ""

    def add(self, operator: Operator) -> None:
        """Enter one operator on the unit where it was placed."""
        site = self.placement.sites.get(operator.id)
        if site is None:
            raise InputError("has no site; place the same shapes that are billed", operator.id)
        if operator.kind == "linear" or (operator.kind == "product" and site.unit != HOST):
            self._linear(operator, site)
        elif site.unit == HOST:
            self._host(operator)
        elif site.unit in (TABLE_MEMORY, DRAM):
            self._table(operator, site.unit)
        elif site.unit == GATHER:
            self._gather(operator)
        elif site.unit == ACTIVATION:
            self._activation(operator)
        elif site.unit == REQUANTISER:
            self._quantise(operator.id, operator.outputs)
        else:
            raise InputError(f"cannot run on {site.unit!r}", operator.id)

    # ---- operators -------------------------------------------------------------------------------------------------

    def _linear(self, operator: Operator, site: Site) -> None:
        """Inputs to codes and through the buffer, read on the arrays, sums to words.

        Values wait in the buffer as the codes of the layer that reads them; words of the last layer go there as well.
        """
        unit = self.chip.units[site.unit]
        cut = tile(operator, unit, self.placement.weight_bits)
        actions = linear_actions(operator, site, unit, cut, self.rates, self.placement)
        self.used.append((operator.macs, cut.utilisation, actions.driven_share))
        self.ledger.wave = site.wave
        width = accumulator_bits(operator, self.placement.weight_bits, self.placement.input_bits)
        # Windows that overlap are read as often as they hold a value; it is quantised and written once.
        code_bits = operator.groups * operator.inputs * self.placement.input_bits
        self._quantise(operator.id, operator.input_values)
        written = operator.input_values / (operator.groups * operator.inputs)
        self._buffer(operator.id, written, code_bits, write=True)
        self._buffer(operator.id, operator.vectors, code_bits, write=False)
        stage = f"{site.unit}:{operator.path}"
        if operator.kind == "product":
            stage = f"{site.unit}:products"  # they take turns on the arrays kept for them
            self._written(operator, unit, cut, stage)
        if isinstance(unit, Crossbar):
            self.rates.note(operator.id, f"mean conductance: {unit.default_fill:g} of the range above g_min")
            turn_ns = self._crossbar(operator.id, unit, actions, width)
            for again in calibrations(operator, site, unit, cut, self.workload, self.placement):
                calibrating_ns = self._crossbar(operator.id, unit, again, width) * again.turns
                self.ledger.occupy(operator.id, stage, calibrating_ns, np.zeros_like(calibrating_ns))
        else:
            assert isinstance(unit, DigitalCim)  # `linear_actions` has refused others
            turn_ns = self._digital(operator.id, unit, actions, width)
        self.ledger.occupy(operator.id, stage, turn_ns * actions.turns, turn_ns * actions.first_turns)
        self._requantise(operator.id, operator.vectors * operator.groups * operator.outputs, width)
        if operator.id == self.last:
            word_bits = operator.groups * operator.outputs * self.chip.requantiser.word_bits
            self._buffer(operator.id, operator.vectors, word_bits, write=True)

    def _written(self, operator: Operator, unit: Unit, cut: Tiling, stage: str) -> None:
        """The second operand of a product, for every item: to codes, through the buffer, into the arrays."""
        values, bits = operator.groups * operator.inputs * operator.outputs, self.placement.weight_bits
        self._quantise(operator.id, values)
        self._buffer(operator.id, operator.groups * operator.outputs, operator.inputs * bits, write=True)
        self._buffer(operator.id, operator.groups * operator.outputs, operator.inputs * bits, write=False)
        array = write_array(unit, self.chip, cut)
        self.ledger.spend(operator.id, "programming", array, cut.arrays * self.workload.items)
        turns = -(-cut.arrays // unit.num_arrays)
        self.ledger.occupy(
            operator.id, stage, array.latency_ns * (turns * self.workload.items), array.latency_ns * turns
        )

    def _crossbar(self, name: str, unit: Crossbar, actions: LinearActions, width: int) -> Span:
        """Energy of the reads; the time of one: settling, then the conversions of one converter, or both at once."""
        process, array, spend = self.chip.process, unit.array, self.ledger.spend
        mean_uS = float(unit.cell.mean_uS(unit.default_fill))
        read, convert = unit.cell.read(process, mean_uS, array), unit.convert(process)
        read = read.times(settling(process, unit, mean_uS))
        spend(name, "cells", read, actions.cell_reads * unit.current_share(mean_uS, actions.driven_share))
        spend(name, "drivers", unit.drive(process), actions.drives)
        spend(name, "adc", convert, actions.conversions)
        spend(name, "shift_add", unit.shift_add(process, width + unit.fraction_bits), actions.additions)
        spend(name, "shift_add", unit.correct(process), actions.conversions)
        spend(name, "control", unit.control(process), actions.reads)
        spend(name, "control", unit.detect(process), actions.looks)
        converting_ns = convert.latency_ns * unit.conversions_per_read()
        driven_ns = read.latency_ns * pulses(array, unit.dac)
        overlapped_ns = np.maximum(driven_ns, converting_ns)
        return np.where(array.sample_and_hold, overlapped_ns, driven_ns + converting_ns)

    def _digital(self, name: str, unit: DigitalCim, actions: LinearActions, width: int) -> Span:
        """Energy of the cycles; the time of one."""
        process, spend = self.chip.process, self.ledger.spend
        add = unit.add(process, self.placement.weight_bits)
        spend(name, "drivers", unit.drive(process), actions.drives)
        spend(name, "adder_tree", add, actions.cell_reads)
        spend(name, "shift_add", unit.shift_add(process, width), actions.additions)
        spend(name, "control", unit.control(process), actions.reads)
        return add.latency_ns

    def _table(self, operator: Operator, home: str) -> None:
        """Rows of a stored table, from table memory or DRAM."""
        gather = self.chip.gather
        assert gather is not None  # without one, `place` sends tables to the host
        bits = operator.outputs * gather.table_bits
        reads = self.workload.rate(operator.id, "reads", operator.reads)
        if home == TABLE_MEMORY and self.chip.table_memory:
            memory = self.chip.table_memory
            access, per_read = memory.read(self.chip.process), memory.accesses(bits)
            self._spread(operator.id, home, access, reads * per_read, memory.banks)
        elif self.chip.dram:
            row = self.chip.dram.transfer(max(bits, DRAM_BURST_BITS))
            self._spread(operator.id, DRAM, row, reads, 1)

    def _gather(self, operator: Operator) -> None:
        """Addresses, or interpolated levels; a lane works at a level per clock."""
        chip, gather = self.chip, self.chip.gather
        assert gather is not None  # `place` has looked
        if operator.kind == "address":
            action, uses = gather.address(chip.process, operator.inputs), operator.reads
            self._buffer(operator.id, 1.0, operator.inputs * gather.coordinate_bits, write=False)
        else:
            action, uses = gather.interpolate(chip.process, operator.inputs, operator.outputs), operator.vectors
        self.ledger.spend(operator.id, GATHER, action, uses * self.workload.items)
        self._pipeline(operator.id, f"{GATHER}:{operator.kind}", action, operator.vectors, gather.lanes)

    def _activation(self, operator: Operator) -> None:
        """Values through the activation unit, on their way from the requantiser to the buffer."""
        unit = self.chip.activation
        values = self.workload.rate(operator.id, "values", operator.outputs)
        action = unit.value(self.chip.process, operator.function)
        self.ledger.spend(operator.id, ACTIVATION, action, values * self.workload.items)
        self._pipeline(operator.id, ACTIVATION, action, values, unit.lanes)

    def _host(self, operator: Operator) -> None:
        """What no unit serves, on the host's roofline, one launch per inference."""
        flops, moved = (work * self.workload.items for work in processor_work(operator))
        cost = self.chip.host.cost(flops, moved, launches=1)
        self.ledger.spend(operator.id, HOST, cost)
        first = self.chip.host.cost(flops / self.workload.items, moved / self.workload.items, launches=1)
        self.ledger.occupy(operator.id, HOST, cost.latency_ns, first.latency_ns)

    # ---- shared units ----------------------------------------------------------------------------------------------

    def _requantise(self, name: str, values: float, width: int) -> None:
        """`values` per item through the requantiser, from sums or words of `width` bits."""
        unit = self.chip.requantiser
        action = unit.value(self.chip.process, width)
        self.ledger.spend(name, REQUANTISER, action, values * self.workload.items)
        self._pipeline(name, REQUANTISER, action, values, unit.lanes)

    def _quantise(self, name: str, values: float) -> None:
        """`values` per item from words to input codes: grids of inputs are powers of two, so a shift and a rounding."""
        unit = input_quantiser(self.chip)
        action = unit.value(self.chip.process, unit.word_bits)
        self.ledger.spend(name, REQUANTISER, action, values * self.workload.items)
        self._pipeline(name, "quantiser", action, values, unit.lanes)

    def _buffer(self, name: str, vectors: float, bits: float, *, write: bool) -> None:
        """`vectors` of `bits` per item through the buffer."""
        buffer = self.chip.buffer
        access = buffer.write(self.chip.process) if write else buffer.read(self.chip.process)
        self._spread(name, "buffer", access, vectors * buffer.accesses(bits), buffer.banks)

    def _spread(self, name: str, component: str, action: ActionCost, uses: float | np.ndarray, banks: float) -> None:
        """`uses` per item of a memory with that many banks."""
        self.ledger.spend(name, component, action, uses * self.workload.items)
        each_ns = action.latency_ns / banks
        first_ns = action.latency_ns * np.ceil(uses / banks)
        self.ledger.occupy(name, component, each_ns * (uses * self.workload.items), first_ns)

    def _pipeline(self, name: str, stage: str, action: ActionCost, values: float, lanes: float) -> None:
        """`values` per item through `lanes` pipelines, one value a clock each; its depth is passed once."""
        cycle_ns = self.chip.process.cycle_ns
        total_ns = cycle_ns * (values * self.workload.items / lanes)
        self.ledger.occupy(name, stage, total_ns, action.latency_ns + cycle_ns * np.ceil(values / lanes))

    # ---- what qualifies the bill -------------------------------------------------------------------------------------

    def utilisation(self) -> float:
        """Share of the cells in the arrays held that store a weight, weighted by MACs."""
        return _mean([(macs, used) for macs, used, _ in self.used])

    def activity(self) -> float:
        """Share of the largest digit sum that is driven, weighted by MACs."""
        return _mean([(macs, driven) for macs, _, driven in self.used])

    def boundary(self) -> str:
        """What the figures include."""
        if any(component == HOST for _, component in self.ledger.energy_pJ):
            return "system: chip and the host while it works"
        return "chip and DRAM" if self.chip.dram else "chip: arrays, converters, digital units, on-chip memory"

    def warnings(self) -> tuple[str, ...]:
        """What was assumed, and what ran elsewhere than hoped."""
        lines = [f"measured: {line}" for line in self.chip.measured]
        lines += [f"assumed: {line}" for line in self.chip.assumed] + self.rates.warnings()
        units = self.chip.units.items()
        for name, unit in units:
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
        hosted = [op.id for op in self.workload.shapes.operators if self.placement.sites[op.id].unit == HOST]
        if hosted:
            lines.append(f"on the host ({self.chip.host.name}): {', '.join(hosted)}")
            if self.chip.host.assumed:
                lines.append(f"assumed: figures of the host, {self.chip.host.name}")
        if self.placement.waves > 1:
            lines.append(f"weights are written in {self.placement.waves} waves per {self.workload.inference}")
        return tuple(lines)


def _mean(weighted: list[tuple[float, float]]) -> float:
    total = sum(weight for weight, _ in weighted)
    return sum(weight * value for weight, value in weighted) / total if total else 0.0
