"""Phase-change memory: spread when programmed, power-law drift with an exponent per cell, 1/f read noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ohmfield.chip.anchors import Anchored, Spanned, given
from ohmfield.chip.array import Array
from ohmfield.chip.cells.base import AgeingCell, Correlation
from ohmfield.chip.cells.fits import polynomial
from ohmfield.chip.process import Process
from ohmfield.numerics import Noise
from ohmfield.quantities import ActionCost, PartCost, span, uniform
from ohmfield.spec import knob, spec

CELL_F2 = Anchored(
    "PCM cell in squares of the node",
    (
        given(9.0, "NVSim sample cell after Lee, ISCA 2009: 9 F2, 90 nm"),
        given(48.0, "NeuroSim 1.4 default 1T1R, 4 F x 12 F"),
    ),
)
# Lee, ISCA 2009, as in NVSim's sample cell: RESET 300 uA for 40 ns, SET 150 uA for 150 ns; both at 1.6 V (assumed).
PULSE_PJ = Spanned("PCM pulse energy", span(19.2, 9.6, 36.0), "RESET 300 uA x 40 ns or SET 150 uA x 150 ns, 1.6 V")
PULSE_NS = Spanned("PCM pulse time", span(150.0, 40.0, 300.0), "SET pulse 150 ns, verify included")
PULSES = Spanned("PCM pulses", span(10.0, 5.0, 20.0), "10 pulses of iterative programming")
LEAST_RELATIVE = 1e-7  # conductance over the largest, below which a logarithm is taken there


@dataclass(frozen=True)
class Branches:
    """A fit over relative conductance g: `a ln g + b` within [low, high] below `until`, a polynomial from there on."""

    until: float
    logarithm: tuple[float, float]
    limits: tuple[float, float]
    polynomial: tuple[float, ...] = ()  # lowest power first

    def at(self, relative: Tensor) -> Tensor:
        """The fitted quantity."""
        scale, offset = self.logarithm
        below = (scale * relative.clamp_min(LEAST_RELATIVE).log() + offset).clamp(*self.limits)
        return torch.where(relative < self.until, below, polynomial(relative, self.polynomial))


@dataclass(frozen=True)
class Device:
    """One published characterisation; conductances relative to `largest_uS`, which nothing measured exceeds."""

    source: str
    largest_uS: float
    program_uS: tuple[float, ...]  # sd of programming, polynomial, lowest power first
    exponent: Branches
    exponent_std: Branches
    first_read_s: float
    read_s: float  # of the 1/f fit
    read: Branches | None = None  # Q of the 1/f noise; None: min(0.0088 g^-0.65, 0.2)
    devices: int = 1  # phase-change elements of one cell


_MUSHROOM_EXPONENT = Branches(math.inf, (-0.0155, 0.0244), (0.049, 0.1))
_MUSHROOM_STD = Branches(math.inf, (-0.0125, -0.0059), (0.008, 0.045))
_HERMES_EXPONENT = Branches(0.0945, (-0.0387, -0.0182), (0.072, 0.13), (0.0736, -0.0126, -0.0436))
DEVICES: dict[str, Device] = {
    "nandakumar": Device(
        "Nandakumar, ICECS 2019, 90 nm mushroom cells; coefficients as in aihwkit",
        largest_uS=25.0,
        program_uS=(0.26348, 1.9650, -1.1731),
        exponent=_MUSHROOM_EXPONENT,
        exponent_std=_MUSHROOM_STD,
        first_read_s=20.0,
        read_s=250e-9,
    ),
    "joshi": Device(
        "Joshi, Nature Communications 11, 2473 (2020), quadratic of Fig 3b as in CrossSim, 27 s after programming; "
        "drift and read noise of `nandakumar`, the same technology",
        largest_uS=25.0,
        program_uS=(0.28638599, 0.07585724 * 25.0, -0.00178767 * 25.0**2),
        exponent=_MUSHROOM_EXPONENT,
        exponent_std=_MUSHROOM_STD,
        first_read_s=27.36,
        read_s=250e-9,
    ),
    "hermes-1": Device(
        "HERMES project chip, 14 nm (Khaddam-Aljameh, JSSC 2022; Le Gallo, Nature Electronics 2023), one device per "
        "cell; coefficients as in aihwkit",
        largest_uS=10.35,
        program_uS=(0.15781817, 2.32443916, -2.16310839, 0.68841818),
        exponent=_HERMES_EXPONENT,
        exponent_std=Branches(0.3039, (-0.0120, -0.0023), (0.0124, 0.04), (0.0104, 0.0116, -0.0165)),
        first_read_s=200.0,
        read_s=512e-9,
        read=Branches(0.1591, (-0.0078, 0.0038), (0.0179, 0.04), (0.0088, 0.0768, -0.1352, 0.0664)),
    ),
    "hermes-2": Device(
        "HERMES project chip, 14 nm, two devices per cell (Vasilopoulos, TED 2023); coefficients as in aihwkit",
        largest_uS=20.7,
        program_uS=(0.16603222, 4.71806468, -8.48101252, 4.68961419),
        exponent=_HERMES_EXPONENT,
        exponent_std=Branches(0.3055, (-0.0117, -0.0057), (0.0091, 0.04), (0.0073, 0.0093, -0.0118)),
        first_read_s=300.0,
        read_s=512e-9,
        read=Branches(0.16, (-0.0117, -0.0069), (0.015, 0.04), (0.0123, 0.0211, -0.0280, 0.0069)),
        devices=2,
    ),
}
"""What `model` names. Each fit is of targets (programming, drift) or of what was stored (read noise), in uS."""


@spec
class PcmCell(AgeingCell):
    """Phase-change cell with published array statistics, programmed iteratively. Ages without end: `g (1 + t/t0)^-nu`.

    Errors above `model`'s largest conductance were never measured, so `g_max_uS` may not exceed it.
    """

    kind: ClassVar[str] = "pcm"
    assumptions: ClassVar[tuple[str, ...]] = (
        f"write by {PULSES.source}, each {PULSE_PJ.source}",
        "cell area between the selector-limited and the transistor-limited 1T1R cell",
    )
    g_max_uS: float = knob("both", 25.0, gt=0, doc="conductance of the highest level; sets signal and read energy")
    model: Literal["nandakumar", "joshi", "hermes-1", "hermes-2"] = knob(
        "both", "nandakumar", doc="which measured array; hermes-2 has two devices per cell, twice area and writes"
    )
    drift_exponent: float | None = knob(
        "environment", None, ge=0, le=1, doc="one exponent for every cell instead of the model's distribution"
    )
    correlation: Correlation = knob(
        "environment", "frozen", doc="how often 1/f noise is drawn: conversion, vector, or frozen over a run"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        largest = self._device.largest_uS
        if uniform(self.g_max_uS > largest):
            raise ValueError(f"g_max_uS {self.g_max_uS} exceeds {largest}, the largest measured for model {self.model}")

    @property
    def _device(self) -> Device:
        return DEVICES[self.model]

    @property
    def noise_correlation(self) -> Correlation:
        return self.correlation

    @property
    def first_read_s(self) -> float:
        """Time from programming to the first read: t0 of the drift."""
        return self._device.first_read_s

    def program_std_uS(self, target_uS: Tensor) -> Tensor:
        """Standard deviation of the stored conductance around its target, before it is clamped at zero."""
        return polynomial(target_uS / self._device.largest_uS, self._device.program_uS).clamp_min(0.0)

    def program(self, target_uS: Tensor, noise: Noise) -> Tensor:
        drawn = noise.normal(tuple(target_uS.shape)).to(target_uS.dtype)
        return (target_uS + self.program_std_uS(target_uS) * drawn).clamp_min(0.0)

    def exponents(self, target_uS: Tensor, noise: Noise) -> Tensor:
        """The drift exponent of each cell: normal around the fit at its target, its magnitude taken, as published."""
        if self.drift_exponent is not None:
            return torch.full_like(target_uS, self.drift_exponent)
        relative = target_uS / self._device.largest_uS
        drawn = noise.normal(tuple(target_uS.shape)).to(target_uS.dtype)
        return (self._device.exponent.at(relative) + self._device.exponent_std.at(relative) * drawn).abs()

    def age(self, stored_uS: Tensor, target_uS: Tensor, elapsed_s: float, noise: Noise) -> Tensor:
        if elapsed_s == 0.0:
            return stored_uS
        grown = 1.0 + self.ageing_s(elapsed_s) / self.first_read_s
        return stored_uS * grown ** -self.exponents(target_uS, noise)

    def read_std_uS(self, stored_uS: Tensor, aged_uS: Tensor, elapsed_s: float, array: Array) -> Tensor:
        """`g Q(stored) sqrt(ln((t + t_r) / (2 t_r)))`, t from the end of programming: 1/f noise gathered since then."""
        device = self._device
        relative = stored_uS.abs() / device.largest_uS
        if device.read is None:
            share = (0.0088 / (relative**0.65).clamp_min(1e-3)).clamp_max(0.2)
        else:
            share = device.read.at(relative)
        gathered = (self.first_read_s + elapsed_s + device.read_s) / (2.0 * device.read_s)
        return aged_uS.abs() * share * math.sqrt(math.log(gathered))

    def write(self, process: Process) -> ActionCost:
        """Pulses of iterative programming, the devices of a cell one after the other."""
        pulses = PULSES.value() * self._device.devices
        return ActionCost(PULSE_PJ.value() * pulses, PULSE_NS.value() * pulses)

    def part(self, process: Process) -> PartCost:
        """Every device with its selector, in squares of the node name."""
        return process.squares(CELL_F2.value() * self._device.devices)
