"""Fabricated macros: what their papers report, and what the cost leaves say without any constant from the same chip.

Every macro is described with the records a chip file uses and a count of actions per array operation. Counts that no
paper gives are in `assumed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ohmfield.chip.adc import Adc
from ohmfield.chip.anchors import without
from ohmfield.chip.array import Array
from ohmfield.chip.cells.rram import RramCell
from ohmfield.chip.cells.sram import SramCell
from ohmfield.chip.converters import FlashAdc, RampAdc, SarAdc
from ohmfield.chip.dac import Dac
from ohmfield.chip.process import Process
from ohmfield.chip.units import Crossbar, DigitalCim
from ohmfield.quantities import ActionCost, Span

FJ_PER_PJ = 1e3


@dataclass(frozen=True)
class Macro:
    """A macro, its reported figures, and the actions of one array operation."""

    chip: str  # the name anchors carry
    title: str
    source: str
    process: Process
    unit: Crossbar | DigitalCim
    weight_bits: int
    input_bits: int
    macs: float
    actions: Mapping[str, float]
    reported_fJ_per_MAC: float
    reported_um2: float | None = None
    energy_blocks_fJ: Mapping[str, float] = field(default_factory=dict)  # as reported, per MAC
    area_blocks_um2: Mapping[str, float] = field(default_factory=dict)
    blocks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # reported block -> our components
    part_scale: Mapping[str, float] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()


def energy_fJ_per_MAC(macro: Macro, left_out: tuple[str, ...] | None = None) -> dict[str, Span]:
    """Energy per MAC by component, with anchors of the macro's own chip dropped (or of `left_out`)."""
    with without(*((macro.chip,) if left_out is None else left_out)):
        costs = _unit_costs(macro)
        return {
            name: cost.energy_pJ * macro.actions.get(name, 0.0) / macro.macs * FJ_PER_PJ for name, cost in costs.items()
        }


def _unit_costs(macro: Macro) -> dict[str, ActionCost]:
    unit, process = macro.unit, macro.process
    common = {
        "drivers": unit.drive(process),
        "control": unit.control(process),
        "shift_add": unit.shift_add(process, unit.accumulator_bits(macro.weight_bits, macro.input_bits)),
    }
    if isinstance(unit, DigitalCim):
        return {**common, "adder_tree": unit.add(process, macro.weight_bits)}
    mean_uS = unit.cell.mean_uS(0.25 if unit.cell.kind == "rram" else 0.5)
    return {
        **common,
        "cells": unit.cell.read(process, mean_uS, unit.array),
        "adc": unit.convert(process),
        "sense": unit.cell.sense(process),
    }


def area_um2(macro: Macro) -> dict[str, Span]:
    """Area by component, with anchors of the macro's own chip dropped."""
    with without(macro.chip):
        parts = macro.unit.parts(macro.process, macro.weight_bits, macro.input_bits)
        return {name: part.area_um2 * macro.part_scale.get(name, 1.0) for name, part in parts.items()}


def _sram_macro(rows: int, columns: int, rows_active: int, supply_V: float, dac_bits: int, adc: Adc) -> Crossbar:
    """A crossbar of one-bit SRAM cells that swing by the supply."""
    array = Array(
        rows=rows, columns=columns, rows_active=rows_active, cell_bits=1, encoding="offset", read_voltage_V=supply_V
    )
    return Crossbar(num_arrays=1, cell=SramCell(), array=array, dac=Dac(bits=dac_bits, signed="none"), adc=adc)


JIA = Macro(
    chip="Jia",
    title="Jia, 65 nm charge SRAM, 1 b x 1 b, 0.85 V",
    source="JSSC 2020, Table I and Fig 11; 400 TOPS/W counts ADC and array only",
    process=Process(node_nm=65, supply_V=0.85, clock_GHz=0.04),
    unit=_sram_macro(2304, 256, 2304, 0.85, 1, SarAdc(bits=8, columns_per_adc=1)),
    weight_bits=1,
    input_bits=1,
    macs=2304 * 256,
    actions={"cells": 2304 * 256, "drivers": 2304, "adc": 256},
    reported_fJ_per_MAC=(1790 + 9700) / 2304,
    reported_um2=4.296e6,
    energy_blocks_fJ={"ADC": 1790 / 2304, "array": 9700 / 2304},
    area_blocks_um2={"ADC": 0.497e6, "array": 2.91e6, "datapath and sparsity controller": 0.889e6},
    blocks={
        "ADC": ("adc",),
        "array": ("cells", "drivers"),
        "datapath and sparsity controller": ("shift_add", "control"),
    },
)
WANG = Macro(
    chip="Wang",
    title="Wang, 22 nm C-2C SRAM, 8 b x 8 b, 1.0 V",
    source="VLSI 2022 / JSSC 2023, Fig 22; 16.38 TOPS/W",
    process=Process(node_nm=22, supply_V=1.0, clock_GHz=0.218),
    unit=_sram_macro(512, 128, 64, 1.0, 8, SarAdc(bits=8, columns_per_adc=8)),
    weight_bits=8,
    input_bits=8,
    macs=64 * 16,
    actions={"cells": 64 * 128, "drivers": 64, "adc": 16, "control": 1},
    reported_fJ_per_MAC=2e3 / 16.38,
    reported_um2=0.124e6,
    energy_blocks_fJ={"ADC": 41.52, "DAC": 26.87, "MAC array": 48.85, "misc": 4.89},
    area_blocks_um2={"ADC": 16120, "DAC": 37200, "MAC array": 57040, "misc": 13640},
    blocks={"ADC": ("adc",), "DAC": ("drivers",), "MAC array": ("cells",), "misc": ("control", "shift_add")},
    part_scale={"drivers": 1 / 8},
    assumed=("eight rows share one DAC: 64 drivers",),
)
SINANGIL = Macro(
    chip="Sinangil",
    title="Sinangil, 7 nm SRAM, 4 b x 4 b, 0.8 V typical",
    source="JSSC 2021, Fig 13 and section IV; 351 TOPS/W",
    process=Process(node_nm=7, supply_V=0.8, clock_GHz=0.182),
    unit=_sram_macro(64, 64, 64, 0.8, 1, FlashAdc(bits=4, columns_per_adc=4)),
    weight_bits=4,
    input_bits=4,
    macs=64 * 16,
    actions={"cells": 64 * 64, "drivers": 64 * 7.5, "adc": 16, "control": 1},
    reported_fJ_per_MAC=2e3 / 351,
    reported_um2=1596 + 800 + 160,
    area_blocks_um2={"ADC and input counters": 1596, "SRAM macro and capacitors": 960},
    blocks={
        "ADC and input counters": ("adc", "control", "shift_add"),
        "SRAM macro and capacitors": ("cells", "drivers"),
    },
    assumed=("an input is a train of 7.5 pulses on average", "each cell discharges its line once per operation"),
)
NEURRAM = Macro(
    chip="NeuRRAM",
    title="NeuRRAM, 130 nm RRAM, 4 b in, 6 b out",
    source="Nature 2022, extended data Figs 11 and 12; 15.95 TOPS/W",
    process=Process(node_nm=130, supply_V=1.3, clock_GHz=0.1),
    unit=Crossbar(
        num_arrays=1,
        cell=RramCell(g_min_uS=1.0, g_max_uS=40.0),
        array=Array(rows=256, columns=256, rows_active=256, cell_bits=3, encoding="offset", read_voltage_V=0.5),
        dac=Dac(bits=1),
        adc=RampAdc(bits=5, columns_per_adc=1),
    ),
    weight_bits=4,
    input_bits=4,
    macs=128 * 256,
    actions={"cells": 256 * 256 * 3.5, "drivers": 256 * 3.5, "adc": 256, "sense": 256 * 6, "control": 3},
    reported_fJ_per_MAC=2e3 / 15.95,
    reported_um2=1.161e6,
    energy_blocks_fJ={
        "word lines": 2 * 21.76,
        "neurons and control": 2 * 29.11,
        "input pulses": 2 * 11.51,
    },
    area_blocks_um2={"neurons": 325120, "drivers": 243840, "RRAM array": 139337},
    blocks={
        "word lines": ("drivers",),
        "neurons and control": ("adc", "sense", "control"),
        "input pulses": ("cells",),
        "neurons": ("adc", "shift_add"),
        "drivers": ("drivers",),
        "RRAM array": ("cells",),
    },
    part_scale={"drivers": 3.0},
    assumed=(
        "supply 1.3 V, the node's nominal; read 0.5 V for 10 ns, mean conductance a quarter of 40 uS",
        "three bit planes sampled 1, 2 and 4 times, half of the rows driven",
        "sign and five magnitude bits: 32 steps of a ramp; drivers on 3 x 256 lines",
    ),
)
COLONNADE = Macro(
    chip="Colonnade",
    title="Colonnade, 65 nm digital bit-serial SRAM, 8 b x 8 b, 0.8 V",
    source="JSSC 2021, Figs 16 and 17; 1.71 TOPS/W",
    process=Process(node_nm=65, supply_V=0.8, clock_GHz=0.1),
    unit=DigitalCim(num_arrays=1, rows=128, columns=128, banks=1),
    weight_bits=8,
    input_bits=8,
    macs=128 * 8,
    actions={"adder_tree": 64 * 8 * 8, "drivers": 64 * 8, "shift_add": 8 * 8, "control": 8},
    reported_fJ_per_MAC=1169.65,
    reported_um2=0.2272e6,
    area_blocks_um2={"bit cells": 190621, "drivers": 4090, "control, registers, decoder": 32490},
    blocks={
        "bit cells": ("cells", "adder_tree"),
        "drivers": ("drivers",),
        "control, registers, decoder": ("control", "shift_add"),
    },
    assumed=("half of the input digits driven", "15 columns per 8-bit weight, so eight outputs"),
)
DIMC_2022 = Macro(
    chip="ISSCC 2022 11.7",
    title="28 nm digital SRAM with dynamic logic, 8 b x 8 b",
    source="ISSCC 2022 11.7 as tabulated by ZigZag-IMC; 22 TOPS/W",
    process=Process(node_nm=28, supply_V=0.9, clock_GHz=0.333),
    unit=DigitalCim(num_arrays=1, rows=32, columns=32, banks=16),
    weight_bits=8,
    input_bits=8,
    macs=32 * 4,
    actions={"adder_tree": 16 * 8 * 4, "drivers": 16 * 8, "shift_add": 8 * 4, "control": 8},
    reported_fJ_per_MAC=2e3 / 22,
    reported_um2=0.03e6,
    assumed=("16 stored rows per computing row", "supply 0.9 V", "half of the input digits driven"),
)
DIMC_2023 = Macro(
    chip="ISSCC 2023 7.2",
    title="28 nm digital SRAM, two bits a cycle, 8 b x 8 b",
    source="ISSCC 2023 7.2 as tabulated by ZigZag-IMC; 19.5 TOPS/W",
    process=Process(node_nm=28, supply_V=0.9, clock_GHz=0.182),
    unit=DigitalCim(num_arrays=1, rows=64, columns=128, banks=8, input_bits_per_cycle=2),
    weight_bits=8,
    input_bits=8,
    macs=64 * 16,
    actions={"adder_tree": 48 * 4 * 16, "drivers": 48 * 4, "shift_add": 4 * 16, "control": 4},
    reported_fJ_per_MAC=2e3 / 19.5,
    reported_um2=0.1462e6,
    assumed=(
        "128 columns are weight bits (128 weights of 8 bits would not fit the area)",
        "supply 0.9 V",
        "three quarters of the two-bit digits driven",
    ),
)
PAPISTAS = Macro(
    chip="Papistas",
    title="Papistas, 22 nm analog SRAM, 7 b in, 2 b weights, 0.8 V",
    source="CICC 2021 as tabulated by ZigZag-IMC; 1050 TOPS/W",
    process=Process(node_nm=22, supply_V=0.8, clock_GHz=0.0225),
    unit=_sram_macro(1024, 1024, 1024, 0.8, 7, SarAdc(bits=6, columns_per_adc=2)),
    weight_bits=2,
    input_bits=7,
    macs=1024 * 512,
    actions={"cells": 1024 * 1024, "drivers": 1024, "adc": 512, "control": 1},
    reported_fJ_per_MAC=2e3 / 1050,
    reported_um2=1.9425e6,
)

MACROS = (JIA, WANG, SINANGIL, NEURRAM, COLONNADE, DIMC_2022, DIMC_2023, PAPISTAS)
