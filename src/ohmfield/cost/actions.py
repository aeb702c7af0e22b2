"""Counts: how often each action of an operator runs in one inference. What an action costs, its leaf says."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from ohmfield.chip.correction import FIT_VECTORS
from ohmfield.chip.units import Crossbar, DigitalUnit, Unit
from ohmfield.mapping.tile import Tiling
from ohmfield.mapping.workload import Operator, Placement, Site, Workload
from ohmfield.quantities import Number, largest, smallest, uniform
from ohmfield.spec import InputError

SECTOR_BYTES = 32  # least a processor fetches for one row of a table: the sector of a GPU cache line
CACHE_BYTES = 4 * 2**20  # a table up to this size stays in a processor's cache: the second level of Jetson Orin
FLOAT_BYTES = 4
ELEMENTARY_FLOPS = 10.0  # a sine, exponential or logarithm on a processor, in operations (assumed)
CHEAP_FUNCTIONS = {"relu": 1.0, "quad": 6.0}


@dataclass
class Rates:
    """Measured rates of a workload, and a note for each that had to be assumed."""

    workload: Workload
    assumed: dict[str, list[str]] = field(default_factory=dict)
    alike: tuple[str, ...] = ()  # the operators that are billed now

    def of(self, operator: str, name: str, default: Number, what: str) -> Number:
        """The rate per item, or `default`, noted as `what`."""
        if self.workload.origin(operator, name) == "default":
            self.note(operator, what)
        return self.workload.rate(operator, name, default)

    def fill(self, operator: str, default: Number) -> Number:
        """Mean level of the cells that driven rows of it cross, over the top level."""
        if self.workload.measured(operator, "crossed"):
            crossed = self.workload.rate(operator, "crossed", 0.0)
            return self.workload.rate(operator, "filled", 0.0) / crossed if crossed else default
        return self.of(operator, "fill", default, f"mean conductance: {default:g} of the range above g_min")

    def note(self, operator: str, what: str) -> None:
        """Say that `what` is assumed of that operator, in every bill: no run counts it."""
        self.assumed.setdefault(what, []).extend(self.alike or (operator,))

    def warnings(self) -> list[str]:
        """One line per assumption."""
        order = {operator.id: place for place, operator in enumerate(self.workload.shapes.operators)}
        return [
            f"assumed rate: {what} ({', '.join(sorted(operators, key=order.__getitem__))})"
            for what, operators in self.assumed.items()
        ]


@dataclass(frozen=True)
class LinearActions:
    """One linear operator in one inference. On a digital unit `driven` counts digits that are not zero."""

    vectors: Number  # input vectors
    planes: Number  # digits of one input, read one after the other
    driven: Number  # row digits driven, summed over planes, each input once
    driven_share: Number  # of the largest sum of digits
    reads: Number  # of one array each: row group, plane and column block
    looks: Number  # of one array at one group and plane, for what it can skip
    drives: Number  # row digits x arrays side by side that they drive
    cell_reads: Number  # row digits x physical columns in use (crossbar), or x outputs (digital)
    conversions: Number  # crossbar only
    additions: Number  # partial sums added to an accumulator
    turns: Number  # reads one after the other, all copies at work
    first_turns: Number  # the same for the first item
    cells: Number  # cells (crossbar) or weight bits (digital) of one copy


def linear_actions(
    operator: Operator, site: Site, unit: Unit, cut: Tiling, rates: Rates, placement: Placement
) -> LinearActions:
    """Counts of a linear operator on its unit.

    One conversion per row group, plane, slice, block and column (pair); sums of groups, slices, planes and blocks are
    added digitally. A layer takes `ceil(vectors / copies) x planes x groups x blocks in series` reads; where the data
    decide how many there are (skipped planes or bits, signs in two passes), that many times their measured share, as
    if blocks beside each other had equally many. Without a measured rate, half of the largest digit sum is driven.
    """
    items = rates.workload.items
    vectors = operator.vectors * items
    inputs, outputs = operator.groups * operator.inputs, operator.groups * operator.outputs
    if isinstance(unit, Crossbar):
        planes, digit_bits = unit.dac.num_planes(placement.input_bits, signed=True), unit.dac.bits
        most = operator.vectors * inputs * planes * (2**digit_bits - 1)
        references = unit.reference_columns * cut.column_blocks
        columns = outputs * unit.array.conversions_per_weight(placement.weight_bits)
        reads = _reads(operator, unit, cut, rates, planes, columns + references * cut.packs)
        conversions = vectors * reads * (columns + references * cut.packs)
        additions = conversions + _corrections(operator, unit, cut, vectors, planes, columns)
        crossed = _crossed(operator, unit, cut)
    elif isinstance(unit, DigitalUnit):
        planes = unit.digits(placement.input_bits)
        digit_bits = smallest(unit.digit_bits, placement.input_bits)
        most = operator.vectors * inputs * placement.input_bits
        conversions, reads = 0.0, planes * cut.row_groups
        crossed = operator.outputs  # weights of zero between groups switch nothing
        additions = vectors * reads * outputs
    else:
        raise InputError(f"a {unit.kind} unit has no counts of its actions", operator.path)
    share = rates.of(operator.id, "driven", most / 2, "half of the largest digit sum is driven") / most
    driven = share * most * items
    if isinstance(unit, DigitalUnit):  # its rate counts bits; a digit is driven if any of its bits is set
        driven = (1.0 - (1.0 - share) ** digit_bits) * vectors * inputs * planes
    series = reads * cut.groups / cut.row_groups * site.wave_span
    return LinearActions(
        vectors=vectors,
        planes=planes,
        driven=driven,
        driven_share=share,
        reads=vectors * reads * cut.packs * cut.column_blocks,
        looks=vectors * planes * cut.row_groups * cut.packs * cut.column_blocks,
        drives=driven * cut.column_blocks,
        cell_reads=driven * crossed,
        conversions=conversions,
        additions=additions,
        turns=np.ceil(vectors / site.copies) * series,
        first_turns=np.ceil(operator.vectors / site.copies) * series,
        cells=cut.weights * cut.geometry.columns_per_weight + reference_cells(unit, cut),
    )


def _crossed(operator: Operator, unit: Crossbar, cut: Tiling) -> Number:
    """Columns that a driven row crosses: those of its whole pack, of other groups too, and the reference columns."""
    weights = cut.weights / operator.inputs / operator.groups
    return weights * cut.geometry.columns_per_weight + unit.reference_columns * cut.column_blocks


def _reads(operator: Operator, unit: Crossbar, cut: Tiling, rates: Rates, planes: Number, columns: Number) -> Number:
    """Reads of one vector, over all groups of rows: one a plane, or as many as were counted."""
    dense = planes * cut.row_groups
    if unit.dac.skip == "zero_bits":
        rows = unit.rows_per_read()
        dense = planes * cut.turns_of(0.5, rows)
        what = f"half of the rows are driven in a plane, {np.ravel(rows)[0]:g} in a read"
    elif unit.dac.skip == "zero_planes":
        what = "no plane is zero"
    elif unit.dac.signed.startswith("sign_magnitude"):
        what = "inputs are signed"
    else:
        return dense
    per_vector = operator.vectors * columns
    return rates.of(operator.id, "conversions", dense * per_vector, what) / per_vector


def calibrations(
    operator: Operator, site: Site, unit: Crossbar, cut: Tiling, workload: Workload, placement: Placement
) -> list[LinearActions]:
    """What calibrations of an instance add to one inference: their share of the reads of every copy.

    Drift compensation reads all rows at one, once. Registers of the converters are fitted on known inputs, the sums of
    1, x, y, x^2 and xy. Ranges that were chosen on the instance saw their vectors at every gain on offer. Column sums
    are read with the code of zero in every row, half of whose bits are taken as set, reference columns too; again in
    every inference where weights are written in turns.
    """
    planes = unit.dac.num_planes(placement.input_bits, signed=True)
    digit, post, gains = 2**unit.dac.bits - 1, unit.adc.post_calibration, len(unit.adc.choices())
    measured = unit.measured_column_sums if operator.path in placement.zero_points else None
    made = []
    if unit.compensate is not None:
        made.append(_known_reads(operator, site, unit, cut, placement, 1.0 / unit.compensate.inferences_between))
    if post is not None:  # densities and sizes are a half each, on average
        vectors = FIT_VECTORS / post.inferences_between
        made.append(_known_reads(operator, site, unit, cut, placement, vectors, planes, digit=digit / 4, sums=5))
    if measured is not None:
        vectors = measured.reads / (1.0 if placement.waves > 1 else measured.inferences_between)
        unsigned = unit.dac.num_planes(placement.input_bits)
        reads = _known_reads(operator, site, unit, cut, placement, vectors, unsigned, digit=digit / 2)
        columns = operator.groups * operator.outputs * unit.array.conversions_per_weight(placement.weight_bits)
        beside = reads.conversions / columns * unit.reference_columns * cut.column_blocks * cut.packs
        made.append(replace(reads, conversions=reads.conversions + beside, additions=reads.additions + beside))
    if workload.range_vectors and gains > 1:
        vectors = workload.range_vectors * gains
        made.append(_known_reads(operator, site, unit, cut, placement, vectors, planes, digit=digit / 2))
    return made


def _known_reads(
    operator: Operator,
    site: Site,
    unit: Crossbar,
    cut: Tiling,
    placement: Placement,
    vectors: Number,
    planes: Number = 1,
    *,
    digit: Number = 1.0,
    sums: int = 1,
) -> LinearActions:
    """Reads of `vectors` on every copy, `digit` driven on each row; each code is added to that many `sums`.

    Row groups and packs in series, copies side by side. Reference columns are scaled by the factor of the weights
    beside them: their rows are driven, their converters rest.
    """
    reads = vectors * planes * site.copies
    inputs, outputs = operator.groups * operator.inputs, operator.groups * operator.outputs
    groups = cut.row_groups
    if unit.dac.skip == "zero_bits":  # what reads few rows at a time reads all of them in several turns
        groups = cut.turns_of(1.0, unit.rows_per_read())
    conversions = reads * groups * outputs * unit.array.conversions_per_weight(placement.weight_bits)
    driven = reads * inputs * digit
    return LinearActions(
        vectors=vectors * site.copies,
        planes=planes,
        driven=driven,
        driven_share=digit / (2**unit.dac.bits - 1),
        reads=reads * groups * cut.packs * cut.column_blocks,
        looks=reads * groups * cut.packs * cut.column_blocks,
        drives=driven * cut.column_blocks,
        cell_reads=driven * _crossed(operator, unit, cut),
        conversions=conversions,
        additions=conversions * sums,
        turns=vectors * planes * groups * cut.groups / cut.row_groups * site.wave_span,
        first_turns=0.0,
        cells=0.0,
    )


def _corrections(
    operator: Operator, unit: Crossbar, cut: Tiling, vectors: float, planes: Number, columns: Number
) -> Number:
    """Additions that take off what encodings of single columns add to codes and outputs.

    A counter adds up the inputs once, in every plane; the sum is taken off every output (where columns are flipped, of
    each row group, shifted once more for the complement), a pedestal off every code. What a reference column read of
    the pedestal is taken off every output instead.
    """
    array, outputs = unit.array, operator.groups * operator.outputs
    if array.written.sides == 2:
        return 0.0
    has_pedestal = uniform(unit.cell.g_min_uS > 0.0)
    flips = 2 * cut.row_groups if array.encoding == "column_flip" else 0
    sums = 1 + flips if array.written.needs_sum else 0
    if array.sum_x == "analog":
        return vectors * outputs * (sums + int(has_pedestal))
    pedestal = vectors * planes * cut.row_groups * columns if has_pedestal else 0.0
    if array.averages and has_pedestal:  # divided like its column: it comes off with the sum, behind the factors
        sums, pedestal = largest(sums, 1), 0.0
    counted = vectors * planes * operator.inputs * operator.groups if array.written.needs_sum or has_pedestal else 0.0
    return pedestal + counted + vectors * outputs * sums


def reference_cells(unit: Unit, cut: Tiling) -> Number:
    """Cells of the reference columns beside the weights of one copy, on every row in use."""
    columns = unit.reference_columns if isinstance(unit, Crossbar) else 0
    return columns * cut.column_blocks * (cut.operator.groups * cut.operator.inputs)


def accumulator_bits(operator: Operator, weight_bits: Number, input_bits: Number) -> Number:
    """Width of a sum that cannot overflow.

    >>> accumulator_bits(Operator("net#0", "linear", inputs=256, outputs=1), 8, 8)
    24
    """
    return weight_bits + input_bits + math.ceil(math.log2(max(1, operator.inputs)))


def processor_work(operator: Operator) -> tuple[float, float]:
    """(flops, bytes) of one item on a processor: 32-bit floats, each operator reads its inputs and writes its outputs.

    Weights stay in a cache; rows of a table are fetched by sectors.
    """
    sizes = FLOAT_BYTES * (operator.input_values + operator.vectors * operator.groups * operator.outputs)
    if operator.kind == "linear":
        return 2.0 * operator.macs, sizes
    if operator.kind == "product":
        return 2.0 * operator.macs, sizes + FLOAT_BYTES * operator.groups * operator.inputs * operator.outputs
    if operator.kind == "table":
        # Fetching a row is no arithmetic; the index it needs is one.
        return operator.reads, operator.reads * max(SECTOR_BYTES, FLOAT_BYTES * operator.outputs)
    if operator.kind == "address":
        return 4.0 * operator.inputs * (operator.vectors + operator.reads), sizes + 2 * FLOAT_BYTES * operator.reads
    if operator.kind == "interpolate":
        return 2.0 * operator.reads * operator.outputs, sizes + 2 * FLOAT_BYTES * operator.reads
    if operator.kind == "activation":
        flops = CHEAP_FUNCTIONS.get(operator.function, ELEMENTARY_FLOPS)
        return flops * operator.outputs, 2 * FLOAT_BYTES * operator.outputs
    if operator.kind == "encode":
        products = 2.0 * operator.inputs if operator.function == "gaussian" else 2.0
        elementary = 0.0 if operator.function == "affine" else ELEMENTARY_FLOPS
        return operator.outputs * (products + elementary), sizes
    return operator.flops, operator.bytes


def fused_bytes(operator: Operator) -> float:
    """Bytes per item that `operator` moves in one fused kernel: values between operators never leave the processor.

    Rows of a table that outgrows the cache are fetched by sectors; keys and values of tokens come from memory, and what
    nobody recognised is moved as it was traced.
    """
    if operator.kind == "table" and operator.rows * operator.outputs * FLOAT_BYTES > CACHE_BYTES:
        return processor_work(operator)[1]
    return operator.bytes if operator.kind in ("host", "cache") else 0.0
