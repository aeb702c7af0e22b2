"""From a chip, a workload and a placement to the bill: counts times what the leaves cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ohmfield.chip.anchors import once
from ohmfield.chip.chip import Chip
from ohmfield.chip.links import Link
from ohmfield.chip.units import Crossbar, DigitalUnit, Unit
from ohmfield.cost.actions import (
    LinearActions,
    Rates,
    accumulator_bits,
    calibrations,
    linear_actions,
    processor_work,
)
from ohmfield.cost.alike import Alike, alike, last_layer
from ohmfield.cost.area import Part, by_component, chip_parts, gated, part_areas, part_totals
from ohmfield.cost.bill import Bill, leakage_pJ
from ohmfield.cost.ledger import COMPONENTS, Ledger
from ohmfield.cost.programming import add_programming, cells_of, write_cell, write_ns
from ohmfield.cost.terms import boundary, warnings
from ohmfield.mapping.place import ACTIVATION, DRAM, GATHER, HOST, REQUANTISER, TABLE_MEMORY
from ohmfield.mapping.tile import Tiling, tile
from ohmfield.mapping.workload import Operator, Placement, Site, Workload
from ohmfield.quantities import ActionCost, Number, Span, ceil_div
from ohmfield.spec import InputError

IDLE = "(idle)"  # row of what is spent whatever runs


@dataclass(frozen=True, eq=False)
class Totals:
    """Sums of a bill alone, each `[3, designs]`, or `[3, 1]` where all designs have the same."""

    energy_pJ: Mapping[str, Span]  # by component, of those that spend any
    fill_ns: Span
    interval_ns: Span
    area_um2: Span
    leakage_uW: Span


def evaluate(chip: Chip, workload: Workload, placement: Placement) -> Bill:
    """What one inference of `workload` costs on `chip`, every operator of it billed.

    Rates that no run has measured take a default and a warning. `InputError` if the placement lacks an operator.
    """
    billing, parts, sums = _entered(chip, workload, placement, by_operator=True)
    components = by_component(parts)
    ledger, standby = billing.ledger, gated(chip, components)
    operators = (*(operator.id for operator in workload.shapes.operators), IDLE)
    energy, area_um2 = ledger.energy(operators, COMPONENTS), part_areas(components, COMPONENTS)
    designs = max(energy.shape[1], area_um2.shape[1], sums.interval_ns.shape[1])
    return Bill(
        name=chip.name,
        operators=operators,
        components=COMPONENTS,
        energy_pJ=_wide(energy, designs),
        latency_ns=_wide(ledger.kept_ns(operators), designs),
        first_ns=_wide(ledger.first_ns(operators), designs),
        stage_ns={key: _wide(time_ns, designs) for key, time_ns in ledger.stage_ns().items()},
        fill_ns=_wide(sums.fill_ns, designs),
        interval_ns=_wide(sums.interval_ns, designs),
        area_um2=_wide(area_um2, designs),
        leakage_uW=_wide(sums.leakage_uW, designs),
        standby_uW=_wide(standby[0], designs),
        wake_pJ=_wide(standby[1].energy_pJ, designs),
        wake_ns=_wide(standby[1].latency_ns, designs),
        macs=sum(operator.macs for operator in workload.shapes.operators) * workload.items,
        precision=f"{placement.weight_bits}-bit weights, {placement.input_bits}-bit inputs",
        utilisation=_mean([(macs, used) for macs, used, _ in billing.used]),
        activity=_mean([(macs, driven) for macs, _, driven in billing.used]),
        boundary=boundary(chip, ledger),
        inference=workload.inference,
        warnings=warnings(chip, workload, placement, billing.rates),
    )


def totals(chip: Chip, workload: Workload, placement: Placement) -> Totals:
    """Sums of that bill, of a chip or of the `columns` of many: a few additions for each design and operator."""
    return _entered(chip, workload, placement, by_operator=False)[2]


def _entered(
    chip: Chip, workload: Workload, placement: Placement, *, by_operator: bool
) -> tuple[_Billing, list[Part], Totals]:
    """All that is entered into a bill, the parts of the chip, and the sums; energies by component only of many."""
    groups = alike(chip, workload, placement)
    billing = _Billing(chip, workload, placement, by_operator)
    for operators in groups:
        billing.add(operators)
    ledger, parts = billing.ledger, chip_parts(chip, workload, placement)
    add_programming(ledger, chip, workload, placement, groups)
    built = part_totals(parts)
    slowest_ns = ledger.slowest_ns()
    fill_ns = ledger.latency_ns(slowest_ns)
    interval_ns = fill_ns if np.any(ledger.load_ns > 0.0) else slowest_ns  # writes in between keep inferences apart
    ledger.enter(IDLE)
    ledger.spend("leakage", ActionCost(leakage_pJ(built.leakage_uW, interval_ns)))
    spent = {} if by_operator else ledger.by_component()
    return billing, parts, Totals(spent, fill_ns, interval_ns, built.area_um2, built.leakage_uW)


def _wide(values: np.ndarray, designs: int) -> np.ndarray:
    """`values` with its second axis repeated to the number of designs."""
    return values if values.shape[1] == designs else np.broadcast_to(values, (3, designs, *values.shape[2:])).copy()


@dataclass
class _Billing:
    """One inference being entered, operators that are alike at once."""

    chip: Chip
    workload: Workload
    placement: Placement
    by_operator: bool = True
    ledger: Ledger = field(init=False)
    rates: Rates = field(init=False)
    last: str = field(init=False)
    used: list[tuple[float, Number, Number]] = field(default_factory=list)  # MACs, cells used share, driven share
    reached: dict[str, tuple[Number, Number]] = field(default_factory=dict)  # arrays so far and the chip of the last
    ends: dict[str, Number] = field(default_factory=dict)  # chips that the inputs of a layer go on to

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.workload.items, by_operator=self.by_operator)
        self.rates = Rates(self.workload)
        self.last = last_layer(self.workload.shapes.operators)

    def price(self, make: Callable[..., Any], *arguments: object) -> Any:
        """What an action of a leaf costs on this chip's process."""
        return once(make, self.chip.process, *arguments)

    def add(self, operators: Alike) -> None:
        """Enter operators that are alike on the unit where they were placed."""
        operator = operators[0]
        names = tuple(each.id for each in operators)
        self.ledger.enter(*names)
        self.rates.alike = names
        site = self.placement.sites.get(operator.id)
        if site is None:
            raise InputError("has no site; place the same shapes that are billed", operator.id)
        if operator.kind == "linear" or (operator.kind == "product" and site.unit != HOST):
            self._linear(operator, site)
        elif site.unit == HOST:
            self._host(operator)
        elif operator.kind == "cache":
            self._cache(operator)
        elif site.unit in (TABLE_MEMORY, DRAM):
            self._table(operator, site.unit)
        elif site.unit == GATHER:
            self._gather(operator)
        elif site.unit == ACTIVATION:
            self._activation(operator)
        elif site.unit == REQUANTISER:
            self._quantise(operator.outputs)
        else:
            raise InputError(f"cannot run on {site.unit!r}", operator.id)

    # ---- operators -------------------------------------------------------------------------------------------------

    def _linear(self, operator: Operator, site: Site) -> None:
        """Inputs to codes and through the buffer, read on the arrays, sums to words.

        Values wait in the buffer as the codes of the layer that reads them; words of the last layer go there as well.
        """
        unit = self.chip.units[site.unit]
        cut = site.cut or tile(operator, unit, self.placement.weight_bits)
        actions = linear_actions(operator, site, unit, cut, self.rates, self.placement)
        if self.by_operator:
            self.used.append((operator.macs * self.ledger.alike, cut.utilisation, actions.driven_share))
        self.ledger.wave = site.wave
        width = accumulator_bits(operator, self.placement.weight_bits, self.placement.input_bits)
        # Windows that overlap are read as often as they hold a value; it is quantised and written once.
        code_bits = operator.groups * operator.inputs * self.placement.input_bits
        self._quantise(operator.input_values)
        if operator.path in self.placement.zero_points:
            shift = self.price(self.chip.requantiser.shift_zero, self.placement.input_bits)
            self.ledger.spend(REQUANTISER, shift, operator.input_values * self.workload.items)
        written = operator.input_values / (operator.groups * operator.inputs)
        self._buffer(written, code_bits, write=True)
        self._buffer(operator.vectors, code_bits, write=False)
        self._cross(operator, site, code_bits)
        stage, own = f"{site.unit}:{operator.path}", operator.kind == "linear"
        if not own:
            stage = f"{site.unit}:products"  # they take turns on the arrays kept for them
            self._written(operator, unit, cut, stage)
        if isinstance(unit, Crossbar):
            fill = self.rates.fill(operator.id, unit.default_fill)
            turn_ns = self._crossbar(unit, actions, width, fill)
            for again in calibrations(operator, site, unit, cut, self.workload, self.placement):
                self._crossbar(unit, again, width, fill)
                self.ledger.occupy(stage, turn_ns, again.turns, 0.0, own=own)
        else:
            assert isinstance(unit, DigitalUnit)  # `linear_actions` has refused others
            turn_ns = self._digital(unit, actions, width)
        self.ledger.occupy(stage, turn_ns, actions.turns, actions.first_turns, own=own)
        self._requantise(operator.vectors * operator.groups * operator.outputs, width)
        if operator.id == self.last:
            word_bits = operator.groups * operator.outputs * self.chip.requantiser.word_bits
            self._buffer(operator.vectors, word_bits, write=True)

    def _cross(self, operator: Operator, site: Site, code_bits: Number) -> None:
        """Inputs on their way from the buffer to the arrays: over the network, and to the chips the layer lies on."""
        chip, each = self.chip, operator.vectors
        if chip.network:
            self._move("network", chip.network, each, code_bits)
            outputs = operator.groups * operator.outputs * chip.requantiser.word_bits
            self._move("network", chip.network, each, outputs)
        if chip.many and operator.kind == "linear" and operator.path not in self.ends:
            before, here = self.reached.get(site.unit, (0, 0))
            arrays = before + site.arrays
            last = ceil_div(arrays, chip.units[site.unit].num_arrays) - 1
            self.reached[site.unit], self.ends[operator.path] = (arrays, last), last - here
        if chip.many and operator.kind == "linear":
            self._move("chips", chip.many.link, each * self.ends[operator.path], code_bits)

    def _move(self, stage: str, link: Link, messages: Number, bits: Number) -> None:
        """`messages` of `bits` per item over a link."""
        message = self.price(link.transfer, bits)
        self.ledger.spend("link", message, messages * self.workload.items)
        self.ledger.occupy(stage, message.latency_ns, messages * self.workload.items, np.ceil(messages))

    def _written(self, operator: Operator, unit: Unit, cut: Tiling, stage: str) -> None:
        """The second operand of a product, for every item: to codes, through the buffer, into the arrays."""
        values, bits = operator.groups * operator.inputs * operator.outputs, self.placement.weight_bits
        new = operator.writes / values if operator.writes else 1.0  # the others come out of a cache as codes
        self._quantise(values * new)
        self._buffer(operator.groups * operator.outputs * new, operator.inputs * bits, write=True)
        self._buffer(operator.groups * operator.outputs, operator.inputs * bits, write=False)
        cells = cells_of(unit, cut) * cut.arrays * self.workload.items
        self.ledger.spend("programming", write_cell(unit, self.chip), cells)
        turns = ceil_div(cut.arrays, unit.num_arrays)
        self.ledger.occupy(stage, write_ns(unit, self.chip, cut), turns * self.workload.items, turns)

    def _crossbar(self, unit: Crossbar, actions: LinearActions, width: Number, fill: Number) -> Span:
        """Energy of the reads, in proportion to the mean conductance at that `fill`; the time of one, as designed."""
        spend = self.ledger.spend
        mean_uS, assumed_uS = unit.cell.mean_uS(fill), unit.cell.mean_uS(unit.default_fill)
        reads = actions.cell_reads * (mean_uS / assumed_uS)
        spend("cells", self.price(unit.read), reads * unit.current_share(mean_uS, actions.driven_share))
        spend("drivers", self.price(unit.drive), actions.drives)
        spend("adc", self.price(unit.convert), actions.conversions)
        spend("shift_add", self.price(unit.shift_add, width + unit.fraction_bits), actions.additions)
        spend("shift_add", self.price(unit.correct), actions.conversions)
        spend("control", self.price(unit.control), actions.reads)
        if unit.dac.skip != "none":
            spend("control", self.price(unit.detect), actions.looks)
        return self.price(unit.turn, self.placement.weight_bits).latency_ns

    def _digital(self, unit: DigitalUnit, actions: LinearActions, width: Number) -> Span:
        """Energy of the cycles; the time of one."""
        spend = self.ledger.spend
        add = self.price(unit.add, self.placement.weight_bits)
        spend("drivers", self.price(unit.drive), actions.drives)
        spend("adder_tree", add, actions.cell_reads)
        spend("shift_add", self.price(unit.shift_add, width), actions.additions)
        spend("control", self.price(unit.control), actions.reads)
        return add.latency_ns

    def _table(self, operator: Operator, home: str) -> None:
        """Rows of a stored table, from table memory or DRAM."""
        gather = self.chip.gather
        assert gather is not None  # without one, `place` sends tables to the host
        bits = operator.outputs * gather.table_bits
        reads = self.workload.rate(operator.id, "reads", operator.reads)
        if home == TABLE_MEMORY and self.chip.table_memory:
            memory = self.chip.table_memory
            per_read = memory.accesses(bits)
            self._spread(home, self.price(memory.read), reads * per_read, memory.banks)
            self._rise(home, reads * per_read, memory.word_bits)
        elif self.chip.dram:
            self._spread(DRAM, self.chip.dram.transfer(bits), reads, 1)

    def _cache(self, operator: Operator) -> None:
        """Keys and values of earlier tokens out of DRAM, those of this one into it, as codes of a layer's inputs."""
        dram = self.chip.dram
        assert dram is not None  # without one, `place` sends a cache to the host
        for rows in (operator.reads, operator.writes):
            if rows:
                moved = dram.transfer(rows * operator.outputs * self.placement.input_bits)
                self._spread(DRAM, moved, 1.0, 1)

    def _gather(self, operator: Operator) -> None:
        """Addresses, or interpolated levels; a lane works at a level per clock."""
        gather = self.chip.gather
        assert gather is not None  # `place` has looked
        if operator.kind == "address":
            action, uses = self.price(gather.address, operator.inputs), operator.reads
            self._buffer(1.0, operator.inputs * gather.coordinate_bits, write=False)
        else:
            action = self.price(gather.interpolate, operator.inputs, operator.outputs)
            uses = operator.vectors
        self.ledger.spend(GATHER, action, uses * self.workload.items)
        self._pipeline(f"{GATHER}:{operator.kind}", action, operator.vectors, gather.lanes)

    def _activation(self, operator: Operator) -> None:
        """Values through the activation unit, on their way from the requantiser to the buffer."""
        unit = self.chip.activation
        values = self.workload.rate(operator.id, "values", operator.outputs)
        action = self.price(unit.value, operator.function)
        self.ledger.spend(ACTIVATION, action, values * self.workload.items)
        self._pipeline(ACTIVATION, action, values, unit.lanes)

    def _host(self, operator: Operator) -> None:
        """What no unit serves, on the host's roofline, one launch per inference."""
        flops, moved = (work * self.workload.items for work in processor_work(operator))
        cost = self.chip.host.cost(flops, moved, launches=1)
        self.ledger.spend(HOST, cost)
        first = self.chip.host.cost(flops / self.workload.items, moved / self.workload.items, launches=1)
        self.ledger.occupy(HOST, cost.latency_ns, 1.0, 0.0)
        self.ledger.occupy(HOST, first.latency_ns, 0.0, 1.0)

    # ---- shared units ----------------------------------------------------------------------------------------------

    def _requantise(self, values: float, width: Number) -> None:
        """`values` per item through the requantiser, from sums or words of `width` bits."""
        unit = self.chip.requantiser
        action = self.price(unit.value, width)
        self.ledger.spend(REQUANTISER, action, values * self.workload.items)
        self._pipeline(REQUANTISER, action, values, unit.lanes)

    def _quantise(self, values: float) -> None:
        """`values` per item from words to input codes: grids of inputs are powers of two, so a shift and a rounding."""
        unit = self.chip.requantiser
        action = self.price(unit.quantise)
        self.ledger.spend(REQUANTISER, action, values * self.workload.items)
        self._pipeline("quantiser", action, values, unit.lanes)

    def _buffer(self, vectors: float, bits: Number, *, write: bool) -> None:
        """`vectors` of `bits` per item through the buffer."""
        buffer = self.chip.buffer
        access = self.price(buffer.write if write else buffer.read)
        accesses = vectors * buffer.accesses(bits)
        self._spread("buffer", access, accesses, buffer.banks)
        self._rise("buffer", accesses, buffer.word_bits)

    def _rise(self, component: str, words: Number, bits: Number) -> None:
        """`words` per item from or to a memory on another tier."""
        stacked = self.chip.stacked
        if stacked and component in stacked.components:
            self._move(f"tier of {component}", stacked.link, words, bits)

    def _spread(self, component: str, action: ActionCost, uses: Number, banks: Number) -> None:
        """`uses` per item of a memory with that many banks."""
        self.ledger.spend(component, action, uses * self.workload.items)
        self.ledger.occupy(component, action.latency_ns, uses * self.workload.items / banks, np.ceil(uses / banks))

    def _pipeline(self, stage: str, action: ActionCost, values: Number, lanes: Number) -> None:
        """`values` per item through `lanes` pipelines, one value a clock each; its depth is passed once."""
        cycle_ns = self.chip.process.cycle_ns
        self.ledger.occupy(stage, cycle_ns, values * self.workload.items / lanes, np.ceil(values / lanes))
        self.ledger.occupy(stage, action.latency_ns, 0.0, 1.0)


def _mean(weighted: list[tuple[float, Number]]) -> Number:
    total = sum(weight for weight, _ in weighted)
    return sum(weight * value for weight, value in weighted) / total if total else 0.0
