"""Lines and column amplifiers: what an analog array needs around its cells and converters."""

from __future__ import annotations

import numpy as np

from ohmfield.chip.anchors import ZIGZAG_ANALOG, Anchored, analog_area, analog_energy, given, seen
from ohmfield.chip.process import Process
from ohmfield.quantities import PJ_PER_FJ, ActionCost, Number, span

# Capacitance of a row or column line per cell, in fF: at 0.9 V an energy anchor over 0.9^2 is a capacitance.
LINE_FF = Anchored(
    "line capacitance per cell",
    (
        analog_energy(2.1, 130, 0.9, "NeuRRAM, Nature 2022: 1.5 fF gate + 0.6 fF coupling, 130 nm", ("NeuRRAM",)),
        given(0.35, "ZigZag-IMC: word and bit line 0.35 fF per SRAM cell, 28 nm", ZIGZAG_ANALOG),
        analog_energy(1.0, 45, 0.9, "MNSIM default: 1 fF per cell (45 nm taken)"),
    ),
)
DRIVER_FF = Anchored(
    "row driver capacitance",
    (
        analog_energy(48.0, 130, 0.9, "NeuRRAM, Nature 2022: word line driver 48 fF, 130 nm", ("NeuRRAM",)),
        analog_energy(417.0 / 0.81 - 128.0, 32, 0.9, "ISAAC design: 0.417 pJ per activation of a 128-cell row, 32 nm"),
        given(2 / 3 * 128 * 0.35, "chain of fan-out 4 (logical effort): 2/3 of its load, 128 cells of 0.35 fF, 28 nm"),
    ),
)
DRIVER_UM2 = Anchored(
    "row driver area, one bit",
    (
        analog_area(243840 / 768, 130, "NeuRRAM, Nature 2022 Fig 11f: drivers of 3 x 256 lines", ("NeuRRAM",)),
        analog_area(1150.0, 130, "MNSIM default: 1150 um2 per row, from a 130 nm analog chip", ("Liu",)),
        analog_area(4090 / 128, 65, "Colonnade, JSSC 2021 Fig 17: drivers of 128 rows", ("Colonnade",)),
        analog_area(0.166, 32, "ISAAC design: 1-bit driver, an inverter"),
    ),
)
# A digit of more than one bit needs a converter: energy in fF V^2 and area per bit.
DAC_FF = Anchored(
    "DAC capacitance per bit",
    (
        given(50.0, "ZigZag-IMC: 50 fF per bit", ZIGZAG_ANALOG),
        analog_energy(26.87 * 16 / 8, 22, 0.9, "Wang, Fig 22a: 26.87 fJ x 16 outputs, 8 b at 1.0 V", ("Wang",)),
        analog_energy(291 / 8 / 0.81, 40, 0.9, "Chen VLSI 2018: 8 b capacitive, 40 nm, 0.291 pJ", ("Chen",)),
        analog_energy(37.5 / 8 / 1.21, 65, 0.9, "TIMELY design: 8 b digital-to-time, 65 nm, 37.5 fJ"),
    ),
)
DAC_UM2 = Anchored(
    "DAC area per bit",
    (
        analog_area(37200 / 64 / 8, 22, "Wang, Fig 22b: 37200 um2, 64 converters of 8 b", ("Wang",)),
        analog_area(438 / 8, 40, "Chen VLSI 2018: 8 b, 40 nm", ("Chen",)),
        analog_area(240 / 8, 65, "TIMELY design: 8 b, 65 nm"),
    ),
)
# Amplifier that holds a column at a voltage while its current is read, per conversion.
AMPLIFIER_FJ = Anchored(
    "column amplifier energy",
    (
        analog_energy(
            10.62 * 2 * 128 - 3 * 300.0,
            130,
            1.8,
            "NeuRRAM, Nature 2022 Fig 12b: neuron of 128 MACs at a 1-bit input less three comparisons, 1.8 V",
            ("NeuRRAM",),
        ),
        analog_energy(65.0, 22, 0.85, "NeuroSim 1.4: column current term, 10 kohm, 8 b, 22 nm"),
        analog_energy(36.8, 65, 1.1, "TIMELY design: current adder, 65 nm"),
    ),
)
AMPLIFIER_UM2 = Anchored(
    "column amplifier area",
    (
        analog_area(350.0, 130, "NeuRRAM, Nature 2022: integrator", ("NeuRRAM",)),
        analog_area(40.0, 65, "TIMELY design: current adder, 65 nm"),
    ),
)
SAMPLER_UM2 = Anchored(
    "sampler area per column",
    (
        analog_area(45.0, 130, "NeuRRAM, Nature 2022: sampler, smaller of two", ("NeuRRAM",)),
        analog_area(5.0, 65, "TIMELY design: sub-buffer, 65 nm"),
    ),
)
# Charge one unit capacitor of an SRAM cell takes from the supply, in fF.
CAPACITOR_FF = Anchored(
    "unit capacitor of an SRAM cell",
    (
        analog_energy(9700 / 2304 / 0.85**2, 65, 0.9, "Jia JSSC 2020: array 9.7 pJ per 2304 cells, 0.85 V", ("Jia",)),
        analog_energy(
            48.85 / 8 / 3, 22, 0.9, "Wang Fig 22a: 48.85 fJ per 8 bits of a C-2C ladder, 3 C each, 1.0 V", ("Wang",)
        ),
        analog_energy(1.25, 22, 0.9, "NeuroSim capacitor density 2.3 fF/um2 at 22 nm over four 6T cells"),
    ),
)


def held_column(process: Process, mean_uS: Number, rows: Number, read_V: Number, held_ns: Number) -> ActionCost:
    """A column held at its voltage for `held_ns` while its current is copied into the converter, from the supply.

    The branch carries the current of all `rows` at their mean conductance, whatever is driven (class A): `V_dd I t`,
    twice, once for the amplifier that holds the column and once for the copy. Between half of that and twice as much.
    """
    current_uA = mean_uS * np.asanyarray(read_V) * rows
    branches = seen("currents of a held column", span(2.0, 1.0, 4.0))
    energy_pJ = branches * np.asanyarray(process.supply_V) * current_uA * held_ns * PJ_PER_FJ
    return ActionCost(energy_pJ)
