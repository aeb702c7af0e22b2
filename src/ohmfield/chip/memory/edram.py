"""Embedded DRAM: one published macro of each kind, brought to a size, width and process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ohmfield.chip import scaling
from ohmfield.chip.anchors import seen
from ohmfield.chip.library import TABLE_DEPTH_EXPONENT
from ohmfield.chip.memory.base import Memory
from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, PartCost, Span, span, within
from ohmfield.spec import spec

# CACTI, 22 nm SRAM: 0.85 to 2.4 ns from 32 KB to 1 MB. Taken for eDRAM (assumed).
_ACCESS_EXPONENT = 0.3


@dataclass(frozen=True)
class _Macro:
    """What was published of one macro, per access and for the whole."""

    kilobytes: float
    word_bits: float
    node_nm: float
    supply_V: float
    read_pJ: Span
    write_pJ: Span
    access_ns: Span
    area_um2: Span
    leakage_uW: Span
    refresh_uW: Span


@spec
class _Published(Memory):
    """Energy ~ width x depth^0.78 (CACTI), area, leakage and refresh ~ bits; node and supply as for gates."""

    macro: ClassVar[_Macro]

    @property
    def assumptions(self) -> tuple[str, ...]:
        return ("scales with node and supply as gates do", "one macro, scaled to size and width as CACTI's SRAM is")

    def read(self, process: Process) -> ActionCost:
        return self._access(process, seen(f"{self.kind} energy of a read", self.macro.read_pJ))

    def write(self, process: Process) -> ActionCost:
        return self._access(process, seen(f"{self.kind} energy of a write", self.macro.write_pJ))

    def _access(self, process: Process, published_pJ: Span) -> ActionCost:
        macro = self.macro
        wider = np.asanyarray(self.word_bits) / macro.word_bits
        larger = np.asanyarray(self.kilobytes) / macro.kilobytes
        reference_fJ = published_pJ * 1e3 / scaling.digital_energy(macro.node_nm, macro.supply_V)
        energy_pJ = process.gates_pJ(reference_fJ * wider * (larger / wider) ** float(TABLE_DEPTH_EXPONENT[1, 0]))
        reference_ns = seen(f"{self.kind} access time", macro.access_ns) / scaling.delay(macro.node_nm, macro.supply_V)
        return ActionCost(energy_pJ, process.delay_ns(reference_ns * larger**_ACCESS_EXPONENT))

    def part(self, process: Process) -> PartCost:
        macro = self.macro
        larger = np.asanyarray(self.kilobytes) / macro.kilobytes
        macro_um2 = seen(f"{self.kind} area", macro.area_um2)
        leaks_uW = seen(f"{self.kind} leakage", macro.leakage_uW)
        refresh_uW = seen(f"{self.kind} refresh", macro.refresh_uW)
        area_um2 = process.gates_um2(macro_um2 / scaling.digital_area(macro.node_nm) * larger)
        over = np.asanyarray(process.supply_V) / macro.supply_V
        # Leaks as its area shrinks; a refresh is an access, so ~ its energy.
        shrunk = scaling.digital_area(process.node_nm) / scaling.digital_area(macro.node_nm)
        leakage_uW = leaks_uW * larger * shrunk * over * process.leakage
        cheaper = scaling.digital_energy(process.node_nm, process.supply_V)
        cheaper = cheaper / scaling.digital_energy(macro.node_nm, macro.supply_V)
        return PartCost(area_um2, leakage_uW + refresh_uW * larger * cheaper).times(self.banks)


@spec
class Edram(_Published):
    """A capacitor per bit, as ISAAC has it: 64 KB at 32 nm, 20.45 pJ per access of 256 bits, 0.083 mm2."""

    kind: ClassVar[str] = "edram"
    # ISAAC, ISCA 2016, an architecture: energy from its power and traffic, by the authors of hwcomponents-library.
    # Access time, leakage (as CACTI's SRAM of that size) and refresh (64 KB once in 40 us; 20 to 400 us) are assumed.
    macro: ClassVar[_Macro] = _Macro(
        kilobytes=64.0,
        word_bits=256.0,
        node_nm=32.0,
        supply_V=0.9,
        read_pJ=within(20.45, 1.5),
        write_pJ=within(20.45, 1.5),
        access_ns=span(2.0, 1.0, 10.0),
        area_um2=within(83000.0, 1.25),
        leakage_uW=span(2.9, 1.0, 29.0),
        refresh_uW=span(1050.0, 105.0, 2100.0),
    )

    @property
    def assumptions(self) -> tuple[str, ...]:
        return (*super().assumptions, "access time, leakage and refresh (every 40 us) of embedded DRAM")


@spec
class GainCell(_Published):
    """Three transistors per bit in a logic process: 1 Mbit at 16 nm, with the measured leakage and refresh."""

    kind: ClassVar[str] = "gain-cell"
    # Giterman et al., IEEE Solid-State Circuits Lett. 3, 2020: 2.58 and 2.46 uW per MHz read and written, 105 uW leak
    # and 276 uW refresh, 0.1316 mm2. hwcomponents-library takes uW per MHz as pJ per bit of a 1024-bit word (mid and
    # high); read as pJ per access of a 32-bit word it is a 32nd of that (low), near what SRAM of that size draws.
    macro: ClassVar[_Macro] = _Macro(
        kilobytes=128.0,
        word_bits=1024.0,
        node_nm=16.0,
        supply_V=0.6,
        read_pJ=span(2642.0, 2642.0 / 32, 2642.0 * 1.25),
        write_pJ=span(2519.0, 2519.0 / 32, 2519.0 * 1.25),
        access_ns=within(1e3 / 300.0, 1.5),
        area_um2=within(131570.0, 1.25),
        leakage_uW=within(105.0, 1.25),
        refresh_uW=within(276.0, 1.25),
    )

    @property
    def assumptions(self) -> tuple[str, ...]:
        return (*super().assumptions, "pJ per bit of a gain cell is the dearer of two readings of its source")
