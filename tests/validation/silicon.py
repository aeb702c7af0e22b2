"""From a published row to the records of a chip file, and what the cost leaves say without any constant of that chip.

A chip has one function that builds every row of it: the circuit, and how often each action runs in one array
operation. It sees the row's inputs, never its figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ohmfield.chip.adc import Adc
from ohmfield.chip.anchors import without
from ohmfield.chip.array import Array
from ohmfield.chip.cells.pcm import PcmCell
from ohmfield.chip.cells.rram import RramCell
from ohmfield.chip.cells.sram import SramCell
from ohmfield.chip.converters import COMPARE_FJ, FlashAdc, RampAdc, SarAdc
from ohmfield.chip.dac import Dac
from ohmfield.chip.lines import AMPLIFIER_FJ, held_column
from ohmfield.chip.process import Process
from ohmfield.chip.units import Crossbar, DigitalCim
from ohmfield.quantities import ActionCost, Span
from validation.silicon_rows import Row

FJ_PER_PJ = 1e3
DEFAULT_CLOCK_MHZ = 200.0  # moves no energy and no area
CAPACITOR = SramCell()
DISCHARGE = SramCell(multiply="discharge", mismatch=0.1)


@dataclass(frozen=True)
class Design:
    """One array operation of a row: `macs` products, and how often each component acts."""

    process: Process
    unit: Crossbar | DigitalCim
    weight_bits: int
    input_bits: int
    macs: float
    actions: Mapping[str, float]
    mean_uS: float = 0.0
    arrays: float = 1.0
    part_scale: Mapping[str, float] = field(default_factory=dict)
    held_ns: float = 0.0


def energy_parts(row: Row, left_out: tuple[str, ...] | None = None) -> dict[str, Span]:
    """fJ per MAC by component, with anchors of the row's own chip dropped (or of `left_out`)."""
    with without(*(own_names(row.chip) if left_out is None else left_out)):
        design = design_of(row)
        costs = _unit_costs(design)
        return {name: costs[name].energy_pJ * count / design.macs * FJ_PER_PJ for name, count in design.actions.items()}


def area_parts(row: Row, left_out: tuple[str, ...] | None = None) -> dict[str, Span]:
    """um2 by component, likewise."""
    with without(*(own_names(row.chip) if left_out is None else left_out)):
        design = design_of(row)
        parts = design.unit.parts(design.process, design.weight_bits, design.input_bits)
        return {name: part.area_um2 * design.arrays * design.part_scale.get(name, 1.0) for name, part in parts.items()}


def own_names(chip: str) -> tuple[str, ...]:
    """Names under which anchors may carry a chip: cores of one family count as one."""
    return (chip, chip.split()[0]) if chip.startswith("HERMES") else (chip,)


def _unit_costs(design: Design) -> dict[str, ActionCost]:
    unit, process = design.unit, design.process
    width = unit.accumulator_bits(design.weight_bits, design.input_bits)
    common = {
        "drivers": unit.drive(process),
        "control": unit.control(process),
        "shift_add": unit.shift_add(process, width),
    }
    if isinstance(unit, DigitalCim):
        return {**common, "adder_tree": unit.add(process, design.weight_bits)}
    return {
        **common,
        "cells": unit.cell.read(process, design.mean_uS, unit.array),
        "adc": unit.convert(process),
        "compare": ActionCost(process.analog_pJ(COMPARE_FJ.value())),
        "integrate": ActionCost(process.analog_pJ(AMPLIFIER_FJ.value())),
        "held": held_column(process, design.mean_uS, unit.array.rows_active, unit.array.read_voltage_V, design.held_ns),
    }


def design_of(row: Row) -> Design:
    """The row as records."""
    return BUILDERS[row.chip](row)


def _or(value: float, default: float) -> float:
    return default if math.isnan(value) else value


def _process(row: Row) -> Process:
    clock = _or(row.clock_MHz, DEFAULT_CLOCK_MHZ) / 1e3
    return Process(node_nm=row.node_nm, supply_V=row.supply_V, clock_GHz=clock)


def _sram(row: Row, rows_active: int, dac_bits: int, adc: Adc, cell: SramCell = CAPACITOR, **more: float) -> Crossbar:
    """A crossbar of one-bit SRAM cells that swing by the supply, or by another `read_voltage_V`."""
    array = Array(
        rows=int(row.rows),
        columns=int(row.columns),
        rows_active=rows_active,
        cell_bits=1,
        encoding="offset",
        read_voltage_V=more.get("read_voltage_V", row.supply_V),
    )
    return Crossbar(num_arrays=1, cell=cell, array=array, dac=Dac(bits=dac_bits, signed="none"), adc=adc)


def _half(cell: SramCell) -> float:
    return float(cell.mean_uS(0.5))


def _jia(row: Row) -> Design:
    unit = _sram(row, 2304, 1, SarAdc(bits=8, columns_per_adc=1))
    actions = {"cells": 2304.0 * 256, "drivers": 2304.0 / 2, "adc": 256.0}
    return Design(_process(row), unit, 1, 1, 2304 * 256, actions, _half(unit.cell))


def _wang(row: Row) -> Design:
    unit = _sram(row, 64, 8, SarAdc(bits=8, columns_per_adc=8))
    ladder = 3.0  # unit capacitors of a bit of a C-2C ladder
    actions = {"cells": 64.0 * 128 * ladder, "drivers": 64.0, "adc": 16.0, "shift_add": 16.0, "control": 1.0}
    return Design(_process(row), unit, 8, 8, 64 * 16, actions, _half(unit.cell), part_scale={"drivers": 1 / 8})


def _sinangil(row: Row) -> Design:
    unit = _sram(row, 64, 1, FlashAdc(bits=4, columns_per_adc=4), DISCHARGE)
    pulses = 15.0 * row.input_activity
    actions = {"cells": 64.0 * 64, "drivers": 64 * pulses, "adc": 16.0, "control": 1.0}
    fill = row.input_activity * row.weight_activity / 0.25 * 0.5
    return Design(_process(row), unit, 4, 4, 64 * 16, actions, float(unit.cell.mean_uS(fill)))


def phases(bits: int) -> tuple[int, ...]:
    """Input bits of each read phase of NeuRRAM: all at once up to 3, else two halves."""
    return (bits,) if bits <= 3 else (-(-bits // 2), bits // 2)


def _neurram(row: Row) -> Design:
    """Word lines and inputs are pulsed once per magnitude bit; its sample is integrated 2^k times (AccelForge).

    The neuron finds one bit of its output per comparison.
    """
    cell = RramCell(g_min_uS=1.0, g_max_uS=40.0)
    array = Array(rows=256, columns=256, rows_active=256, cell_bits=3, encoding="offset", read_voltage_V=0.5)
    unit = Crossbar(num_arrays=1, cell=cell, array=array, dac=Dac(bits=1), adc=RampAdc(bits=5, columns_per_adc=1))
    planes = max(1, int(row.input_bits) - 1)
    integrated = sum(2.0**bits - 1.0 for bits in phases(planes))
    actions = {
        "cells": 256 * 256 * planes / 2,
        "drivers": 256.0 * planes,
        "compare": 256 * row.adc_bits,
        "integrate": 256 * integrated,
        "control": float(planes),
    }
    mean_uS = float(cell.mean_uS(0.25))
    return Design(_process(row), unit, 4, int(row.input_bits), 128 * 256, actions, mean_uS, 1.0, {"drivers": 3.0})


def _hermes(row: Row) -> Design:
    cell = PcmCell(model="hermes-2", g_max_uS=20.7)
    array = Array(rows=256, columns=512, rows_active=256, cell_bits=8, read_voltage_V=0.2, read_ns=1.0, readout="time")
    unit = Crossbar(num_arrays=1, cell=cell, array=array, dac=Dac(bits=8), adc=RampAdc(bits=8, columns_per_adc=2))
    reads = 4.0 if "four" in row.row else 1.0
    actions = {"held": 256 * reads, "drivers": 256 * 128 * reads, "adc": 256 * reads, "control": reads}
    return Design(_process(row), unit, 8, 8, 256 * 256, actions, float(cell.mean_uS(0.25)), held_ns=128.0)


def _papistas(row: Row) -> Design:
    unit = _sram(row, 1024, 7, SarAdc(bits=6, columns_per_adc=2), DISCHARGE)
    actions = {"cells": 1024.0 * 1024, "drivers": 1024.0, "adc": 512.0, "control": 1.0}
    return Design(_process(row), unit, 2, 7, 1024 * 512, actions, float(unit.cell.mean_uS(1.0)))


def _aimc28(row: Row) -> Design:
    unit = _sram(row, 16, 2, SarAdc(bits=5, columns_per_adc=1), DISCHARGE)
    cycles = 4.0
    actions = {
        "cells": 16 * 96 * cycles,
        "drivers": 16 * cycles,
        "adc": 16 * 12 * cycles,
        "shift_add": 16 * 12 * cycles,
        "control": cycles,
    }
    return Design(_process(row), unit, 8, 8, 16 * 12, actions, float(unit.cell.mean_uS(1.0)), 4.0, {"drivers": 1 / 32})


def _delta_sigma(row: Row) -> Design:
    unit = _sram(row, 64, 1, SarAdc(bits=3, columns_per_adc=1))
    fill = row.input_activity * row.weight_activity
    actions = {
        "cells": 64.0 * 256 * 8,
        "drivers": 8 * 8 * row.input_activity,
        "adc": 256.0 * 8,
        "shift_add": 256.0 * 8,
        "control": 8.0,
    }
    return Design(_process(row), unit, 8, 8, 8 * 256, actions, float(unit.cell.mean_uS(fill)), 8.0)


def _imagine(row: Row) -> Design:
    bits = int(row.input_bits)
    unit = _sram(row, 1152, 1, SarAdc(bits=bits, columns_per_adc=bits), read_voltage_V=0.3)
    outputs = 256.0 / bits
    actions = {"cells": 1152.0 * 256 * bits, "drivers": 1152.0 * bits / 2, "adc": outputs, "control": float(bits)}
    return Design(_process(row), unit, bits, bits, 1152 * outputs, actions, _half(unit.cell))


def _digital(row: Row, unit: DigitalCim, outputs: float, arrays: float = 1.0) -> Design:
    """Bit-serial trees: a digit counts if any of its bits is set."""
    cycles, digit = float(unit.digits(row.input_bits)), unit.input_bits_per_cycle
    driven = unit.rows * (1.0 - (1.0 - _or(row.input_activity, 0.5)) ** digit) * cycles
    actions = {"adder_tree": driven * outputs, "drivers": driven, "shift_add": cycles * outputs, "control": cycles}
    return Design(
        _process(row), unit, int(row.weight_bits), int(row.input_bits), unit.rows * outputs, actions, arrays=arrays
    )


def _colonnade(row: Row) -> Design:
    unit = DigitalCim(num_arrays=1, rows=128, columns=128, banks=1, chain_rows=8)
    return _digital(row, unit, float(unit.weights_per_row(row.weight_bits)))


def _isscc22_15(row: Row) -> Design:
    return _digital(
        row,
        DigitalCim(num_arrays=1, rows=32, columns=48, banks=1, input_bits_per_cycle=2, booth=True),
        6,
        row.banks,
    )


def _isscc22_11(row: Row) -> Design:
    return _digital(row, DigitalCim(num_arrays=1, rows=32, columns=8, banks=64), 1, row.banks)


def _isscc23_7(row: Row) -> Design:
    """Eight stored weights share a multiplier: trees for all of them, as first read, would not fit the area."""
    return _digital(row, DigitalCim(num_arrays=1, rows=64, columns=128, banks=8, input_bits_per_cycle=2), 16)


def _isscc23_16(row: Row) -> Design:
    return _digital(row, DigitalCim(num_arrays=1, rows=128, columns=128, banks=1), 16, row.banks)


def _tsmc22(row: Row) -> Design:
    return _digital(row, DigitalCim(num_arrays=1, rows=256, columns=256, banks=1), 64)


def _tsmc5(row: Row) -> Design:
    return _digital(row, DigitalCim(num_arrays=1, rows=64, columns=256, banks=1), 64)


def _p8t(row: Row) -> Design:
    """Two flash steps of two bits are six comparators."""
    unit = _sram(row, 16, 4, FlashAdc(bits=2, columns_per_adc=1), DISCHARGE)
    actions = {"cells": 16.0 * 64, "drivers": 16.0, "adc": 2 * 64.0, "shift_add": 64.0, "control": 1.0}
    return Design(_process(row), unit, 8, 4, 16 * 8, actions, float(unit.cell.mean_uS(0.25)))


BUILDERS: dict[str, Callable[[Row], Design]] = {
    "Colonnade": _colonnade,
    "Jia": _jia,
    "Sinangil": _sinangil,
    "Wang": _wang,
    "NeuRRAM": _neurram,
    "HERMES core": _hermes,
    "HERMES 64-core": _hermes,
    "Papistas": _papistas,
    "JSSC 2023 9896828": _aimc28,
    "ISSCC 2023 7.8": _delta_sigma,
    "ISSCC 2022 15.5": _isscc22_15,
    "ISSCC 2022 11.7": _isscc22_11,
    "ISSCC 2023 7.2": _isscc23_7,
    "ISSCC 2023 16.3": _isscc23_16,
    "IMAGINE": _imagine,
    "P-8T": _p8t,
    "DCIM 16 kb": _isscc23_16,
    "TSMC 22nm DCIM 4b": _tsmc22,
    "TSMC 5nm DCIM 4b": _tsmc5,
}
