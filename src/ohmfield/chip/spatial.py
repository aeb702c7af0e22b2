"""Planes of multipliers: a unit that keeps weights, and one beside a row of wider processors for attention."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ohmfield.chip import library
from ohmfield.chip.process import Process
from ohmfield.chip.unit import DigitalUnit, accumulator, control_block
from ohmfield.quantities import ActionCost, Number, PartCost, Span, ceil_div, span
from ohmfield.spec import knob, spec


@spec
class Spatial(DigitalUnit):
    """A plane of processors that keep their weights: inputs pass along rows, sums down columns. Exact integer products.

    A processor multiplies whole words; narrower operands are extended with their sign and save nothing.
    """

    kind: ClassVar[str] = "spatial"
    num_arrays: int = knob("cost", 1, ge=1, le=10**7, doc="planes on the chip")
    rows: int = knob("cost", 64, ge=1, le=8192, doc="processors down a column: weights added at once")
    columns: int = knob("cost", 64, ge=1, le=8192, doc="processors along a row: weights side by side")
    banks: int = knob("cost", 1, ge=1, le=1024, doc="weights that a processor keeps, one of them used at a time")
    word_bits: int = knob("cost", 8, ge=2, le=64, doc="width of an operand; wider weights take several columns")
    mac_pJ: float | None = knob("cost", None, gt=0, doc="one product with its addition, where known; none: of gates")

    @property
    def digit_bits(self) -> Number:
        return self.word_bits

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the bill rests on."""
        known = () if self.mac_pJ is None else (f"a product with its addition is given, {self.mac_pJ:g} pJ",)
        return ("weights stay in the processors, sums pass down: another dataflow moves other words", *known)

    def columns_per_weight(self, weight_bits: Number) -> Number:
        return ceil_div(weight_bits, self.word_bits)

    def _sum_bits(self) -> Number:
        return 2 * self.word_bits + np.ceil(np.log2(np.maximum(self.rows, 2)))

    def _mac(self) -> library.Block:
        return library.multiplier(self.word_bits, self.word_bits) + library.adder(self._sum_bits())

    def drive(self, process: Process) -> ActionCost:
        """One input word that passes through a register of every processor of its row."""
        return ActionCost(process.gates_pJ(library.register(self.word_bits).energy_fJ * self.columns))

    def add(self, process: Process, weight_bits: Number) -> ActionCost:
        """A product and its sum in its register, for each column of the weight; latency is one clock.

        A word of zero is gated: it neither multiplies nor adds.
        """
        mac_pJ = process.gates_pJ(self._mac().energy_fJ) if self.mac_pJ is None else span(1.0) * self.mac_pJ
        each_pJ = mac_pJ + process.gates_pJ(library.register(self._sum_bits()).energy_fJ)
        return ActionCost(each_pJ * self.columns_per_weight(weight_bits), self.step_ns(process, weight_bits))

    def step_ns(self, process: Process, weight_bits: Number) -> Span:
        """One clock: a processor is a stage of a pipeline, whose filling is not counted."""
        return process.cycle_ns * span(1.0)

    def control(self, process: Process) -> ActionCost:
        """One cycle of one plane."""
        return ActionCost(process.gates_pJ(control_block(self.rows, self.word_bits).energy_fJ))

    def write(self, process: Process) -> ActionCost:
        """One word into the register of a processor; rows are written one after the other."""
        return library.register(self.word_bits).action(process)

    def parts(self, process: Process, weight_bits: Number, input_bits: Number) -> dict[str, PartCost]:
        processors, outputs = self.rows * self.columns, self.weights_per_row(weight_bits)
        kept = library.register(self.word_bits).times(self.banks) + library.mux(self.word_bits, self.banks)
        mac = self._mac() + library.register(self._sum_bits() + self.word_bits)
        sums = accumulator(self.accumulator_bits(weight_bits, input_bits))
        return {
            "cells": kept.part(process).times(processors),
            "adder_tree": mac.part(process).times(processors),
            "shift_add": sums.part(process).times(outputs),
            "control": control_block(self.rows * self.banks, self.word_bits).part(process),
        }


@spec
class SpatialArray:
    """`rows` x `columns` processors that multiply and add, and `lanes` beside them that also divide; both at once.

    Energies are of one operation on one word. A word of the registers is read for every operation of the plane.
    """

    name: str = knob("label", doc="what it is")
    source: str = knob("label", doc="where the figures come from")
    assumed: tuple[str, ...] = knob("label", (), doc="what no source gives, one line each")
    rows: int = knob("cost", 256, ge=1, le=65536, doc="processors of the plane, down: queries side by side")
    columns: int = knob("cost", 256, ge=1, le=65536, doc="processors of the plane, across: keys of one block")
    lanes: int = knob("cost", 256, ge=1, le=65536, doc="processors of the row beside it")
    clock_GHz: float = knob("cost", gt=0, le=5, doc="operations per second of one processor, 1e9")
    word_bits: int = knob("cost", 16, ge=1, le=64, doc="width of a value")
    buffer_MiB: float = knob("cost", gt=0, doc="memory that both share")
    buffer_row_bits: int = knob("cost", 4096, ge=1, doc="bits of one access of that memory")
    bandwidth_GBps: float = knob("cost", gt=0, doc="bandwidth to the memory outside")
    mac_pJ: float = knob("cost", gt=0, doc="one multiplication with its addition")
    add_pJ: float = knob("cost", gt=0, doc="one addition")
    max_pJ: float = knob("cost", gt=0, doc="the larger of two")
    divide_pJ: float = knob("cost", gt=0, doc="one division")
    exp_pJ: float = knob("cost", gt=0, doc="one exponential in a unit of its own; a polynomial pays for its steps")
    register_pJ: float = knob("cost", ge=0, doc="one word read from a processor's registers")
    buffer_read_pJ: float = knob("cost", gt=0, doc="one row read from the buffer")
    buffer_write_pJ: float = knob("cost", gt=0, doc="one row written to the buffer")
    dram_pJ_per_bit: float = knob("cost", gt=0, doc="one bit moved from or to the memory outside")


FUSEMAX = SpatialArray(
    name="FuseMax, 256 x 256",
    source="arXiv 2406.10491 (MICRO 2024) and its artifact: 45 nm tables, 940 MHz, 16 MiB buffer, 400 GiB/s",
    assumed=(
        "one register read for every operation of the plane",
        "keys and values pass once for as many queries as the buffer holds with their sums",
    ),
    clock_GHz=0.94,
    buffer_MiB=16.0,
    bandwidth_GBps=400 * 2**30 / 1e9,
    mac_pJ=17.16,
    add_pJ=8.34,
    max_pJ=0.028,
    divide_pJ=36.25,
    exp_pJ=94.65,
    register_pJ=0.65,
    buffer_read_pJ=485.0,
    buffer_write_pJ=451.0,
    dram_pJ_per_bit=249.6 / 64,
)
