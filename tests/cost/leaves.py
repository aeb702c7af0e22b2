"""A cell and a converter of round numbers, and a chip and layers around them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from ohmfield.chip.adc import Adc
from ohmfield.chip.array import Array
from ohmfield.chip.baseline import Roofline
from ohmfield.chip.cells.base import Cell
from ohmfield.chip.chip import Chip
from ohmfield.chip.dac import Dac
from ohmfield.chip.digital import ActivationUnit, GatherUnit, Requantiser
from ohmfield.chip.memory import Sram
from ohmfield.chip.process import Process
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.workload import Operator, Shapes, Workload
from ohmfield.quantities import ActionCost, PartCost, span
from ohmfield.spec import spec


@spec
class RoundCell(Cell):
    """Ohmic read; 5 pJ and 100 ns a write."""

    kind: ClassVar[str] = "round"

    def read(self, process: Process, mean_uS: Any, array: Array) -> ActionCost:
        energy = np.asarray(array.read_voltage_V) ** 2 * mean_uS * array.read_ns * 1e-3
        return ActionCost(span(1.0, 0.5, 2.0) * energy, span(1.0) * array.read_ns)

    def sense(self, process: Process) -> ActionCost:
        return ActionCost(span(0.0))

    def sense_part(self, process: Process) -> PartCost:
        return PartCost(span(0.0))

    def write(self, process: Process) -> ActionCost:
        return ActionCost(span(5.0), span(100.0))

    def part(self, process: Process) -> PartCost:
        return PartCost(span(0.1), span(1e-3))


@spec
class RoundAdc(Adc):
    """2 pJ and 10 ns a conversion, 800 um2 a converter."""

    kind: ClassVar[str] = "round"

    def conversion(self, process: Process) -> ActionCost:
        return ActionCost(span(2.0), span(10.0))

    def part(self, process: Process) -> PartCost:
        return PartCost(span(800.0), span(0.01))


HOST = Roofline(name="host", source="test", peak_GFLOPs=1, bandwidth_GBps=1, idle_W=0.1, busy_W=1, launch_us=1)


def chip(*, array: Array | None = None, columns_per_adc: int = 8, num_arrays: int = 64, **parts: Any) -> Chip:
    """A chip with one crossbar unit, whose digital side is wide enough never to be the slowest stage."""
    unit = Crossbar(
        cell=RoundCell(),
        array=array or Array(rows=256, columns=2048, rows_active=128, sample_and_hold=True),
        dac=Dac(),
        adc=RoundAdc(columns_per_adc=columns_per_adc),
        num_arrays=num_arrays,
        max_copies=8,
    )
    made = Chip(
        name="round",
        source="test",
        process=Process(node_nm=28, supply_V=0.9, clock_GHz=1.0),
        units={"crossbar": unit},
        requantiser=Requantiser(lanes=4096),
        activation=ActivationUnit(lanes=4096),
        gather=GatherUnit(),
        table_memory=Sram(kilobytes=64, banks=16),
        buffer=Sram(kilobytes=64, word_bits=4096, banks=16),
        host=HOST,
    )
    return replace(made, **parts)


def layers(*sizes: tuple[int, int]) -> Shapes:
    """Linear layers of (inputs, outputs)."""
    return Shapes(tuple(Operator(f"layer{i}#0", "linear", inputs=m, outputs=n) for i, (m, n) in enumerate(sizes)))


def one_layer(items: float = 1000.0) -> Workload:
    """The 256 x 256 layer of the limit case."""
    return Workload(layers((256, 256)), items=items)
