"""SONOS charge-trap flash in NOR arrays, subthreshold: spread, drift and read noise as measured over five days."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from ohmfield.chip.anchors import Spanned
from ohmfield.chip.array import Array
from ohmfield.chip.cells.base import AgeingCell
from ohmfield.chip.cells.fits import between, polynomial
from ohmfield.chip.lines import LINE_FF
from ohmfield.chip.process import Process
from ohmfield.numerics import Noise
from ohmfield.quantities import PJ_PER_FJ, ActionCost, PartCost, span
from ohmfield.spec import InputError, knob, spec

DAY_S = 86400.0
NA_PER_US = 100.0  # the source's currents, up to 1600 nA, read at 0.1 V
LARGEST_US = 16.0
# By day: spread A (1 - exp(-I / B)), A and B in nA; and shift of the mean in nA, a polynomial of the current in nA.
SPREAD_NA = (
    (19.88665, 176.3115),
    (25.59102, 186.85544),
    (28.72753, 193.56834),
    (31.04318, 198.90332),
    (33.76214, 204.77023),
    (34.57909, 207.34309),
)
# fmt: off
SHIFT_NA = (
    (0.0,),
    (6.83650e-01, 6.51250e-03, -4.03163e-04, 3.37944e-06, -1.87435e-08, 5.88902e-11, -1.07685e-13, 1.17751e-16,
     -7.60016e-20, 2.67255e-23, -3.94954e-27),
    (6.60925e-01, 8.60627e-03, -1.72936e-04, 7.44096e-07, -5.94866e-09, 2.36734e-11, -4.83740e-14, 5.56072e-17,
     -3.65397e-20, 1.28405e-23, -1.87450e-27),
    (1.15821e00, 1.96116e-02, -4.70807e-04, 3.67510e-06, -2.08786e-08, 6.59752e-11, -1.19499e-13, 1.28435e-16,
     -8.11574e-20, 2.78802e-23, -4.02057e-27),
    (8.72216e-01, 1.70926e-02, -2.23370e-04, 1.57526e-06, -1.32779e-08, 5.08256e-11, -1.01251e-13, 1.14633e-16,
     -7.46124e-20, 2.60559e-23, -3.78724e-27),
    (1.15294e00, 1.03149e-02, -6.05199e-05, 1.76086e-08, -6.46690e-09, 3.39044e-11, -7.53872e-14, 8.98185e-17,
     -6.00346e-20, 2.12615e-23, -3.11099e-27),
)
# fmt: on
READ_NA = (12.58037, 215.36557)
DAYS = tuple(float(day) for day in range(len(SPREAD_NA)))
CELL_F2 = Spanned("SONOS cell area", span(33.0, 20.0, 60.0), "two-transistor cell, 33 F2")
WRITE_V = Spanned("SONOS write voltage", span(10.0, 7.0, 12.0), "10 V tunnelling pulse")
WRITE_NS = Spanned("SONOS write time", span(1e6, 1e5, 1e7), "1 ms pulse, verify included")
PULSES = 10.0


def saturating(current_nA: Tensor, largest_nA: float, scale_nA: float) -> Tensor:
    """`A (1 - exp(-I / B))`."""
    return largest_nA * (1.0 - (-current_nA / scale_nA).exp())


@spec
class SonosCell(AgeingCell):
    """40 nm SONOS, two transistors, 0 to 1600 nA, here a conductance at 0.1 V.

    Source: Agrawal, IEDM 2022, Figs 10 and 11 on 128 K devices, coefficients as in CrossSim; linear between days, five
    days at most.
    """

    kind: ClassVar[str] = "sonos"
    assumptions: ClassVar[tuple[str, ...]] = (
        f"write by {PULSES:g} pulses: {WRITE_V.source} of {WRITE_NS.source}",
        CELL_F2.source,
        "the cell's current in proportion to its read voltage",
    )
    max_bits: ClassVar[int] = 8
    g_max_uS: float = knob("both", LARGEST_US, gt=0, le=LARGEST_US, doc="highest level; sets signal and read energy")

    def program_std_uS(self, target_uS: Tensor) -> Tensor:
        """Standard deviation of the stored conductance around its target, before it is clamped at zero."""
        return saturating(target_uS * NA_PER_US, *SPREAD_NA[0]) / NA_PER_US

    def program(self, target_uS: Tensor, noise: Noise) -> Tensor:
        drawn = noise.normal(tuple(target_uS.shape)).to(target_uS.dtype)
        return (target_uS + self.program_std_uS(target_uS) * drawn).clamp_min(0.0)

    def age(self, stored_uS: Tensor, target_uS: Tensor, elapsed_s: float, noise: Noise) -> Tensor:
        if elapsed_s == 0.0:
            return stored_uS
        days = self.ageing_s(elapsed_s) / DAY_S
        if days > DAYS[-1]:
            raise InputError(
                f"elapsed_s {elapsed_s:g}: SONOS cells were measured for {DAYS[-1]:g} days "
                f"({DAYS[-1] * DAY_S:g} s at 300 K); take an earlier time"
            )
        target = target_uS.double() * NA_PER_US
        shift = between(days, DAYS, [polynomial(target, fit) for fit in SHIFT_NA])
        largest, scale = between(days, DAYS, [torch.tensor(pair, dtype=torch.float64) for pair in SPREAD_NA]).tolist()
        now = saturating((target + shift).clamp_min(0.0), largest, scale)
        first = saturating(target, *SPREAD_NA[0])
        drawn = noise.normal(tuple(stored_uS.shape)).double()
        moved = shift + (now.square() - first.square()).clamp_min(0.0).sqrt() * drawn
        return (stored_uS + (moved / NA_PER_US).to(stored_uS.dtype)).clamp_min(0.0)

    def read_std_uS(self, stored_uS: Tensor, aged_uS: Tensor, elapsed_s: float, array: Array) -> Tensor:
        return saturating(aged_uS * NA_PER_US, *READ_NA) / NA_PER_US

    def write(self, process: Process) -> ActionCost:
        """C V^2 of the gate's share of its line per pulse: tunnelling draws next to no current."""
        pulse_pJ = LINE_FF.value() * WRITE_V.value() ** 2 * PJ_PER_FJ
        return ActionCost(pulse_pJ * PULSES, WRITE_NS.value() * PULSES)

    def part(self, process: Process) -> PartCost:
        return process.squares(CELL_F2.value())
