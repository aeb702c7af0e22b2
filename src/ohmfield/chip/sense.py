"""Sense amplifiers: one bit per column, for cells that are read as memory and for reads of a single row."""

from __future__ import annotations

import numpy as np

from ohmfield.chip.anchors import Anchored, Spanned, analog_area, analog_energy
from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, PartCost, within
from ohmfield.spec import knob, spec

SENSE_FJ = Anchored(
    "sense amplifier energy",
    (
        analog_energy(1.6, 28, 0.9, "MNSIM: 1.6 fJ at 28 nm"),
        analog_energy(41.7, 65, 1.1, "TIMELY design: charging comparator, 65 nm, 41.7 fJ"),
    ),
)
SENSE_UM2 = Anchored(
    "sense amplifier area",
    (
        analog_area(1.0, 28, "MNSIM: 1 um2 at 28 nm"),
        analog_area(40.0, 65, "TIMELY design: charging comparator, 65 nm"),
    ),
)
# MNSIM runs it at 1 GS/s and has it active for a ninth of that.
SENSE_NS = Spanned("time of a sense amplifier", within(0.3, 3.0), "MNSIM: 15 uW for 0.11 ns of a period of 1 ns, 28 nm")


@spec
class SenseAmplifier:
    """Latched amplifiers under the columns of an array: each decides one bit."""

    columns_per_amplifier: int = knob("cost", 1, ge=1, le=1024, doc="columns that share one amplifier in turn")

    def read(self, process: Process) -> ActionCost:
        """One bit decided."""
        return ActionCost(process.analog_pJ(SENSE_FJ.value()), process.delay_ns(SENSE_NS.value()))

    def part(self, process: Process, columns: int) -> PartCost:
        """The amplifiers of an array of that many columns."""
        amplifiers = np.ceil(np.asanyarray(columns) / self.columns_per_amplifier)
        return process.powered(process.analog_um2(SENSE_UM2.value())).times(amplifiers)
