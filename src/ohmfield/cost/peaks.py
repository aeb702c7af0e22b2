"""What bounds a workload on a chip: the most its arrays can multiply, the most its memories can bring, and where each
operator lies below both."""

from __future__ import annotations

from dataclasses import dataclass

from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar, DigitalUnit, Unit
from ohmfield.cost.actions import processor_work
from ohmfield.cost.bill import Bill
from ohmfield.mapping.place import HOST
from ohmfield.mapping.tile import geometry
from ohmfield.mapping.workload import Operator, Placement, Workload
from ohmfield.quantities import MID, Number

_DRAM_BITS = 2**20  # a transfer of many bursts


@dataclass(frozen=True)
class Peak:
    """A bound: `gops` is what all arrays of a unit reach, all rows driven and every column in use; or `GBps`."""

    name: str
    gops: float = 0.0
    GBps: float = 0.0


@dataclass(frozen=True)
class Point:
    """One operator: operations (2 a MAC) per byte through the buffer or the host's memory, and what it reaches."""

    operator: str
    unit: str
    ops_per_byte: float
    gops: float
    busy_ns: float  # that it keeps its slowest stage


def peaks(chip: Chip, placement: Placement) -> tuple[Peak, ...]:
    """Mid estimates: one for each unit that holds weights, the host, the buffer, and DRAM where there is one."""
    made = []
    for name, unit in chip.units.items():
        held = geometry(unit, placement.weight_bits)
        planes = _planes(unit, placement.input_bits)
        read_ns = float(unit.turn(chip.process, placement.weight_bits).latency_ns[MID, 0])
        macs = float(held.rows_active * held.weights_per_row * unit.num_arrays)
        made.append(Peak(name, gops=2.0 * macs / (float(planes) * read_ns)))
    host, buffer = chip.host, chip.buffer
    made.append(Peak(HOST, gops=host.peak_GFLOPs * host.utilisation, GBps=host.bandwidth_GBps * host.streaming))
    read = buffer.read(chip.process)
    made.append(Peak("buffer", GBps=float(buffer.word_bits * buffer.banks) / 8.0 / float(read.latency_ns[MID, 0])))
    if chip.dram:
        made.append(Peak("dram", GBps=_DRAM_BITS / 8.0 / float(chip.dram.transfer(_DRAM_BITS).latency_ns[MID, 0])))
    return tuple(made)


def _planes(unit: Unit, input_bits: Number) -> Number:
    """Reads of one input vector, one after the other: a digit each."""
    if isinstance(unit, Crossbar):
        return unit.dac.num_planes(input_bits, signed=True)
    assert isinstance(unit, DigitalUnit)  # `place` has refused others
    return unit.digits(input_bits)


def points(bill: Bill, workload: Workload, placement: Placement) -> tuple[Point, ...]:
    """Where the operators that multiply lie, and those on the host; of the first design."""
    made = []
    busy = dict(zip(bill.operators, bill.latency_ns[MID, 0], strict=True))
    for operator in workload.shapes.operators:
        unit = placement.sites[operator.id].unit
        if unit != HOST and operator.kind not in ("linear", "product"):
            continue
        ops, moved = processor_work(operator) if unit == HOST else (2.0 * operator.macs, _bytes(operator, placement))
        if ops > 0.0 and moved > 0.0 and busy[operator.id] > 0.0:
            rate = ops * workload.items / float(busy[operator.id])
            made.append(Point(operator.id, unit, ops / moved, rate, float(busy[operator.id])))
    return tuple(made)


def _bytes(operator: Operator, placement: Placement) -> float:
    """Through the buffer, per item: inputs written once and read by every vector, outputs written."""
    read = operator.vectors * operator.groups * operator.inputs + operator.input_values
    written = operator.vectors * operator.groups * operator.outputs
    return (read + written) * float(placement.input_bits) / 8.0
