"""Compute units that hold weights: analog crossbars, and the visible dict of all kinds."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ohmfield.chip import library, readout
from ohmfield.chip.adc import Adc
from ohmfield.chip.anchors import once
from ohmfield.chip.array import Array
from ohmfield.chip.cells import CELLS
from ohmfield.chip.cells.base import Cell
from ohmfield.chip.column_sums import ColumnSums
from ohmfield.chip.compensation import TRIM_SHARE, Compensation
from ohmfield.chip.converters import ADCS
from ohmfield.chip.dac import Dac
from ohmfield.chip.digital_cim import DigitalCim
from ohmfield.chip.hardwired import Hardwired
from ohmfield.chip.lines import AMPLIFIER_FJ, AMPLIFIER_UM2, LINE_FF, SAMPLER_UM2
from ohmfield.chip.process import Process
from ohmfield.chip.scaling import REFERENCE_V
from ohmfield.chip.spatial import Spatial
from ohmfield.chip.unit import DigitalUnit, Unit, accumulator, control_block
from ohmfield.quantities import ActionCost, Number, PartCost, span, uniform
from ohmfield.spec import family, knob, spec


def _remapping(array: Array) -> library.Block:
    """The line that each spare stands in for: a register and a comparator of its address."""
    bits = array.spare_rows * np.ceil(np.log2(array.rows)) + array.spare_columns * np.ceil(np.log2(array.columns))
    return library.register(bits) + library.comparator(bits)


@spec
class Crossbar(Unit):
    """Analog arrays: cells, drivers and converters."""

    kind: ClassVar[str] = "crossbar"
    cell: family(Cell, CELLS)
    array: Array
    dac: Dac
    adc: family(Adc, ADCS)
    compensate: Compensation | None = knob("both", None, doc="global drift compensation; default: none")
    measured_column_sums: ColumnSums | None = knob(
        "both", None, doc="what zero points of inputs add is read on the instance; default: nominal sums of the weights"
    )

    def __post_init__(self) -> None:
        if uniform(self.array.cell_bits > self.cell.max_bits):
            raise ValueError(
                f"array.cell_bits {self.array.cell_bits}: a {self.cell.kind} cell holds at most {self.cell.max_bits}"
            )
        if self.dac.skip == "zero_bits" and self.array.encoding == "column_flip":
            raise ValueError("dac.skip zero_bits: flipped columns are half full over whole row groups only; use offset")
        if self.dac.skip == "zero_bits" and uniform(np.asanyarray(self.rows_per_read()) < 1):
            raise ValueError(
                f"dac.skip zero_bits: {self.adc.bits} bits of the converter cannot hold one row of "
                f"{self.array.cell_bits}-bit cells; use more adc.bits or fewer cell_bits"
            )
        readout.check(self)
        wires = self.array.wires
        if wires and wires.input_on == "gate" and (uniform(self.dac.bits > 1) or self.dac.bipolar):
            raise ValueError(
                "wires.input_on gate: a gate is on or off; use one dac.bits, signed other than sign_magnitude"
            )
        if wires and wires.idle_rows != "grounded" and self.dac.skip == "zero_bits":
            raise ValueError(
                f"wires.idle_rows {wires.idle_rows}: dac.skip zero_bits has no fixed row groups; use grounded"
            )

    @property
    def rewritable(self) -> bool:
        return self.cell.rewritable

    @property
    def default_fill(self) -> Number:
        """Mean cell level over the top level when weights are unknown: one side of a pair stands at the lowest."""
        return 0.25 if self.array.written.sides == 2 and self.array.encoding != "xnor" else 0.5

    @property
    def pairs(self) -> bool:
        """Whether a conversion reads a pair of columns, subtracted before it: its codes are signed."""
        return self.array.converts_pairs

    @property
    def reference_columns(self) -> int:
        """Columns of each array that sum the inputs: ones where weights need them, g_min under a pedestal."""
        if self.array.sum_x == "digital" or self.array.written.sides == 2:
            return 0
        return int(self.array.written.needs_sum) + int(uniform(self.cell.g_min_uS > 0.0))

    def largest_sum(self) -> Number:
        """Largest sum of cell levels times digits that one conversion can meet.

        Columns that are not subtracted first also carry the pedestal of `g_min` under every level.
        """
        array, cell = self.array, self.cell
        levels = (
            array.rows_active * (2.0 ** np.asanyarray(array.cell_bits) - 1) * (2.0 ** np.asanyarray(self.dac.bits) - 1)
        )
        pedestal = 0.0 if self.pairs else cell.g_min_uS / (cell.g_max_uS - np.asanyarray(cell.g_min_uS))
        return levels * (array.fullest + pedestal)

    def signed_codes(self, signed_input: bool) -> bool:
        """Whether conversions are signed: pairs subtracted before them, or digits that are signed themselves."""
        return self.pairs or self.dac.signed_digits(signed_input)

    def rows_per_read(self, signed_input: bool = True) -> Number:
        """Most rows of one read when only driven rows are read: what the codes cover, and at most the rows active.

        `floor((2^bits - 1) / (2^c - 1))` for one column of c-bit cells without a pedestal, steps of one level and bits
        driven one at a time.
        """
        codes = 2.0 ** (np.asanyarray(self.adc.bits) - int(self.signed_codes(signed_input))) - 1.0
        step = 1.0 if self.adc.step_levels is None else self.adc.step_levels
        each = self.largest_sum() / self.array.rows_active
        return np.minimum(self.array.rows_active, np.floor(codes * step / each + 1e-9))

    def read_rows(self) -> Number:
        """Rows among which one read chooses those it drives: the rows active, or all when zero bits are skipped."""
        return self.array.rows if self.dac.skip == "zero_bits" else self.array.rows_active

    def front_gain(self) -> Number:
        """Amplification in front of a converter whose declared range is narrower than the largest sum; else 1."""
        if self.adc.step_levels is None or self.dac.skip == "zero_bits":
            return 1.0
        signed = self.signed_codes(signed_input=True)
        codes = 2.0 ** (np.asanyarray(self.adc.bits) - int(signed))  # of a signed conversion half lie above zero
        return np.maximum(1.0, self.largest_sum() / (self.adc.step_levels * codes))

    def trim_factor(self) -> float:
        """What a range that follows the drift costs of a converter."""
        return 1.0 + TRIM_SHARE * (self.compensate is not None and self.compensate.where == "analog")

    def conversions_per_read(self) -> Number:
        """Conversions of one converter after one read: its columns, or their pairs when subtracted in analog."""
        return np.ceil(np.asanyarray(self.adc.columns_per_adc) / (2 if self.pairs else 1))

    @property
    def fraction_bits(self) -> Number:
        """Places that the multiplier behind the converters adds to a code: of a correction, or a column's factor."""
        return self.adc.fraction_bits + self.array.column_factor_bits

    def accumulator_bits(self, weight_bits: Number, input_bits: Number) -> Number:
        """As declared, else too wide to overflow over one array: operands, log2 of its rows, places of a correction."""
        if self.array.accumulator_bits is not None:
            return self.array.accumulator_bits
        return weight_bits + input_bits + np.ceil(np.log2(self.array.rows)) + self.fraction_bits

    def shift_add(self, process: Process, accumulator_bits: Number) -> ActionCost:
        """One code added to its accumulator; one that saturates also chooses between its sum and its end."""
        array = self.array
        if array.accumulator_bits is None:
            return super().shift_add(process, accumulator_bits)
        block = accumulator(array.accumulator_bits)
        if array.overflow == "saturate":
            block = block + library.mux(array.accumulator_bits)
        return block.action(process)

    def drive(self, process: Process) -> ActionCost:
        wires = self.array.wires
        if wires is None:
            sides = self._driven_sides()  # of a row, over its share of the columns
            drive = self.dac.drive(process, self.array.built_columns / sides, pulses=self.array.readout == "time")
            return ActionCost(drive.energy_pJ * sides, drive.latency_ns)
        load = wires.row_load(process, self.cell.part(process).area_um2)
        return self.dac.drive(process, self.array.built_columns * load) + wires.drive(process)

    def _driven_sides(self) -> int:
        """Drivers of one input: two where the sides of a pair lie in one column and are driven to opposite voltages."""
        return 2 if self.pairs and self.array.averages else 1

    def _sense(self, process: Process) -> tuple[ActionCost, PartCost]:
        """The column amplifier, per conversion and per converter: none where a column floats."""
        if self.array.averages:
            return ActionCost(span(0.0)), PartCost(span(0.0))
        return self.cell.sense(process), self.cell.sense_part(process)

    def read(self, process: Process) -> ActionCost:
        """One driven cell of mean conductance, for as long as a column takes to settle."""
        mean_uS = self.cell.mean_uS(self.default_fill)
        return self.cell.read(process, mean_uS, self.array).times(readout.settling(process, self, mean_uS))

    def turn(self, process: Process, weight_bits: Number) -> ActionCost:
        """Time of one read: settling, then the conversions of one converter; or both at once."""
        converting_ns = once(self.convert, process).latency_ns * self.conversions_per_read()
        driven_ns = once(self.read, process).latency_ns * readout.pulses(self.array, self.dac)
        overlapped_ns = np.maximum(driven_ns, converting_ns)
        return ActionCost(span(0.0), np.where(self.array.sample_and_hold, overlapped_ns, driven_ns + converting_ns))

    def convert(self, process: Process) -> ActionCost:
        """One conversion with its column: line, amplifier, declared gain, converter."""
        wires = self.array.wires
        line_fF = LINE_FF.value() * self.array.built_rows * self._driven_sides()
        if wires is not None:
            line_fF = line_fF * wires.column_load(process, self.cell.part(process).area_um2)
        swing = (np.asanyarray(self.array.read_voltage_V) / process.supply_V) ** 2
        line_pJ = process.analog_pJ(line_fF * REFERENCE_V**2) * swing
        gain_pJ = process.analog_pJ(AMPLIFIER_FJ.value()) * (self.front_gain() - 1.0)
        conversion = self.adc.conversion(process)
        trimmed = ActionCost(conversion.energy_pJ * self.trim_factor(), conversion.latency_ns)
        connect_pJ = readout.connect_pJ(process, self.array, 2 if self.pairs else 1)
        converted = trimmed + self._sense(process)[0] + ActionCost(line_pJ + gain_pJ + connect_pJ)
        return converted if wires is None else converted + wires.sense(process, self.array.read_ns)

    def control(self, process: Process) -> ActionCost:
        """One read of one array: input registers and row decoder, and the rows it drives selected."""
        array = self.array
        block = control_block(array.rows_active, self.dac.bits) + self.dac.selection(self.read_rows())
        timing_pJ, select_pJ = readout.timing_pJ(process, array, self.dac), readout.select_pJ(process, array)
        read = ActionCost(process.gates_pJ(block.energy_fJ) + timing_pJ + select_pJ)
        return (
            read if array.wires is None else read + array.wires.select(process, array.rows_active, array.built_columns)
        )

    def correct(self, process: Process) -> ActionCost:
        """One code corrected digitally."""
        post = self.adc.post_calibration
        block = readout.undo(self) if post is None else post.correction(self.adc.bits)
        return ActionCost(process.gates_pJ(block.energy_fJ))

    def detect(self, process: Process) -> ActionCost:
        """One plane of one group of rows looked at for what can be skipped."""
        return ActionCost(process.gates_pJ(self.dac.detector(self.read_rows()).energy_fJ))

    def current_share(self, mean_uS: Number, driven_share: Number) -> Number:
        """Power of a read over that of driven cells between V and 0 V; `driven_share` of the rows read are driven.

        Less where lines have resistance or float.
        """
        array = self.array
        if array.wires is None:
            return readout.dissipated(self, driven_share)
        return array.wires.current_share(mean_uS, self.read_rows() * driven_share, array.rows, array.columns)

    def parts(self, process: Process, weight_bits: Number, input_bits: Number) -> dict[str, PartCost]:
        array, adc = self.array, self.adc
        cell, driver = self.cell.part(process), self.dac.part(process, pulses=array.readout == "time")
        if array.wires is not None:
            cell = process.powered(array.wires.spread_um2(process, cell.area_um2))
            driver = driver + array.wires.driver_part(process)
        driver = driver.times(self._driven_sides()) + process.powered(readout.select_um2(process, array))
        backwards = np.asanyarray(array.transposed, dtype=np.float64)  # as many drivers as columns, converters for rows
        driven = array.built_rows + array.built_columns * backwards
        sensed = array.built_columns + array.built_rows * backwards
        converters = np.ceil(np.asanyarray(array.built_columns) / adc.columns_per_adc)
        converters = converters + np.ceil(np.asanyarray(array.built_rows) / adc.columns_per_adc) * backwards
        gain_um2 = process.analog_um2(AMPLIFIER_UM2.value()) * (self.front_gain() - 1.0)
        sampler_um2 = process.analog_um2(SAMPLER_UM2.value()) * np.asanyarray(array.sample_and_hold, dtype=np.float64)
        trimmed = adc.part(process).times(self.trim_factor())
        converter = trimmed + self._sense(process)[1] + process.powered(gain_um2)
        width = self.accumulator_bits(weight_bits, input_bits)
        control = control_block(driven, self.dac.bits) + _remapping(array)
        control += self.dac.detector(self.read_rows()) + readout.timer(array, self.dac)
        registers = (
            library.register(width)
            .part(process)
            .times(np.floor(array.columns / array.columns_per_weight(weight_bits)) + array.rows * backwards)
        )
        if self.measured_column_sums is not None:  # the offset of every output of each array
            outputs = np.floor(array.columns / array.columns_per_weight(weight_bits))
            registers += library.register(width).part(process).times(outputs)
        if adc.post_calibration is not None:
            own = adc.post_calibration.registers(adc.bits).part(process).times(array.columns / (2 if self.pairs else 1))
            registers += own + adc.post_calibration.correction(adc.bits).part(process).times(converters)
        registers += readout.factors(self).part(process) + readout.undo(self).part(process).times(converters)
        return {
            "cells": cell.times(array.built_rows * array.built_columns),
            "drivers": driver.times(driven),
            "adc": converter.times(converters) + process.powered(sampler_um2).times(sensed),
            "shift_add": library.adder(width).part(process).times(converters) + registers,
            "control": control.part(process),
        }


UNITS: dict[str, type[Unit]] = {
    "crossbar": Crossbar,
    "digital_cim": DigitalCim,
    "spatial": Spatial,
    "hardwired": Hardwired,
}

__all__ = ["UNITS", "Crossbar", "DigitalCim", "DigitalUnit", "Hardwired", "Spatial", "Unit"]
