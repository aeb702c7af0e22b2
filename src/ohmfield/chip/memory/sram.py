"""On-chip SRAM."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ohmfield.chip import scaling
from ohmfield.chip.anchors import Spanned
from ohmfield.chip.memory import cacti
from ohmfield.chip.memory.base import Memory
from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, PartCost, span, within
from ohmfield.spec import spec

# CACTI against CACTI of other versions and published macros differ by about this much.
_SPREAD = Spanned("SRAM energy over CACTI", within(1.0, 1.5))
_TIME_SPREAD = Spanned("SRAM time over CACTI", within(1.0, 1.5))
_AREA_SPREAD = Spanned("SRAM area over CACTI", within(1.0, 1.25))
# Low-power transistors; a high-performance process leaks an order more.
_LEAKAGE_SPREAD = Spanned("SRAM leakage over CACTI", span(1.0, 1 / 3, 10.0))
_UM2_PER_MM2 = 1e6


@spec
class Sram(Memory):
    """SRAM, at the costs of CACTI: by size, width and node."""

    kind: ClassVar[str] = "sram"

    def read(self, process: Process) -> ActionCost:
        return self._access(process, cacti.READ_PJ_PER_BYTE, cacti.READ_BY_WORD)

    def write(self, process: Process) -> ActionCost:
        return self._access(process, cacti.WRITE_PJ_PER_BYTE, cacti.WRITE_BY_WORD)

    def _access(self, process: Process, table: cacti.Table, words: cacti.Table) -> ActionCost:
        node = process.node_nm
        word_pJ = cacti.by_node(table, self.kilobytes, node, cacti.energy_beyond(node)) * cacti.TABLE_WORD_BITS / 8.0
        energy_pJ = word_pJ * cacti.by_word(words, self.kilobytes, self.word_bits)
        access_ns = cacti.by_node(cacti.ACCESS_NS, self.kilobytes, node, cacti.delay_beyond(node))
        over_nominal = np.asanyarray(process.supply_V) / scaling.nominal_V(node)
        latency_ns = access_ns * over_nominal**-scaling.DELAY_SUPPLY_EXPONENT
        return ActionCost(_SPREAD.value() * energy_pJ * over_nominal**2, _TIME_SPREAD.value() * latency_ns)

    def part(self, process: Process) -> PartCost:
        node = process.node_nm
        area_mm2 = cacti.by_node(cacti.AREA_MM2, self.kilobytes, node, cacti.area_beyond(node))
        area_mm2 = area_mm2 * cacti.by_word(cacti.AREA_BY_WORD, self.kilobytes, self.word_bits)
        leakage_uW = cacti.by_node(cacti.LEAKAGE_UW, self.kilobytes, node, cacti.leakage_beyond(node))
        leakage_uW = leakage_uW * np.asanyarray(process.supply_V) / scaling.nominal_V(node) * process.leakage
        bank = PartCost(_AREA_SPREAD.value() * area_mm2 * _UM2_PER_MM2, _LEAKAGE_SPREAD.value() * leakage_uW)
        return bank.times(self.banks)
