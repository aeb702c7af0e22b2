"""Filamentary RRAM: spread when programmed, white read noise, stuck cells."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from ohmfield.chip.anchors import Anchored, given
from ohmfield.chip.array import Array
from ohmfield.chip.cells.base import Cell
from ohmfield.chip.process import Process
from ohmfield.numerics import Noise
from ohmfield.quantities import PJ_PER_FJ, ActionCost, Number, PartCost, Sourced, span
from ohmfield.spec import knob, spec

NM_PER_UM = 1e3
CELL_F2 = Anchored(
    "1T1R cell in squares of the node",
    (
        given(139337 / 65536 / 0.13**2, "NeuRRAM, Nature 2022 Fig 11f: 139337 um2 for 256 x 256, 130 nm", ("NeuRRAM",)),
        given(48.0, "NeuroSim 1.4 default 1T1R, 4 F x 12 F"),
    ),
)
# No source at hand gives the write of one cell; 2 V pulses of 100 ns are the usual order.
WRITE_V = Sourced(span(2.0, 1.5, 2.5), "2 V SET/RESET pulse")
WRITE_NS = Sourced(span(100.0, 30.0, 300.0), "100 ns pulse, verify included")
VERIFY_FRACTION, LEAST_FRACTION = 0.02, 1e-4
READ_FRACTION = 0.002  # read noise at which a read costs V^2 G t


@spec
class RramCell(Cell):
    """1T1R cell. Programming error is normal with a named base; conductance never falls below zero."""

    kind: ClassVar[str] = "rram"
    assumptions: ClassVar[tuple[str, ...]] = (
        f"write by a {WRITE_V.source} of {WRITE_NS.source}",
        f"write pulses inverse to the error, {VERIFY_FRACTION:g} of the range at the stated number",
        f"read energy inverse to the square of the read noise, V^2 G t at {READ_FRACTION:g}",
    )
    max_bits: ClassVar[int] = 4
    program_fraction: float = knob("both", 0.02, ge=0, le=1, doc="sd of the programming error as a fraction")
    fraction_of: Literal["range", "target", "g_max"] = knob("both", "range", doc="what that fraction is taken of")
    read_fraction: float = knob(
        "both", READ_FRACTION, ge=0, le=1, doc="sd of one read, of the stored conductance; less costs read energy"
    )
    verify_loops: float = knob("cost", 4.0, ge=1, doc="mean write pulses for an error of 2 % of the range")

    def program_std_uS(self, target_uS: Tensor) -> Tensor:
        """Standard deviation of the stored conductance around its target."""
        base = {
            "range": torch.full_like(target_uS, self.g_max_uS - self.g_min_uS),
            "target": target_uS,
            "g_max": torch.full_like(target_uS, self.g_max_uS),
        }[self.fraction_of]
        return self.program_fraction * base

    def program(self, target_uS: Tensor, noise: Noise) -> Tensor:
        # Clamping at zero lifts zero cells by 0.4 sigma on average; pairs cancel it, offset mapping does not.
        stored = target_uS + self.program_std_uS(target_uS) * noise.normal(tuple(target_uS.shape)).to(target_uS.dtype)
        return stored.clamp_min(0.0)

    def read_std_uS(self, stored_uS: Tensor, aged_uS: Tensor, elapsed_s: float, array: Array) -> Tensor:
        return self.read_fraction * aged_uS

    def pulses(self) -> Number:
        """Mean write pulses of a cell: `verify_loops` at 2 % of the range, inversely with the error (assumed)."""
        span_uS = self.g_max_uS - np.asarray(self.g_min_uS)
        of_range = {"range": 1.0, "target": 0.5 * (self.g_max_uS + self.g_min_uS) / span_uS}
        base = of_range.get(self.fraction_of, self.g_max_uS / span_uS)
        return self.verify_loops * VERIFY_FRACTION / np.maximum(self.program_fraction * base, LEAST_FRACTION)

    def effort(self) -> Number:
        """Energy of one read over V^2 G t: `(0.002 / read_fraction)^2`.

        White noise averages with what is integrated, so half the noise takes four times the energy. The law and its
        reference are assumed. Below 1e-4, a noise of 0 included, a read costs as at 1e-4.
        """
        return (READ_FRACTION / np.maximum(self.read_fraction, LEAST_FRACTION)) ** 2

    def read(self, process: Process, mean_uS: Number, array: Array) -> ActionCost:
        """Ohmic, V^2 G t, times the effort of its noise. Limit case: half the voltage, a quarter of the energy."""
        energy_fJ = np.asarray(array.read_voltage_V) ** 2 * mean_uS * array.read_ns * self.effort()
        return ActionCost(span(1.0) * energy_fJ * PJ_PER_FJ, span(1.0) * array.read_ns)

    def write(self, process: Process) -> ActionCost:
        """V^2 G t per pulse at half of g_max, times the mean number of pulses."""
        pulse_pJ = WRITE_V.value**2 * 0.5 * self.g_max_uS * WRITE_NS.value * PJ_PER_FJ
        return ActionCost(pulse_pJ * self.pulses(), WRITE_NS.value * self.pulses())

    def part(self, process: Process) -> PartCost:
        """One transistor and one resistor, in squares of the node name; the array itself leaks with its transistor."""
        return process.powered(CELL_F2.value() * (np.asarray(process.node_nm) / NM_PER_UM) ** 2)
