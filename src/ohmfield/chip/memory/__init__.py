"""Memories: `MEMORIES` is what files may name on the chip, `STANDARDS` what DRAM beside it is made to."""

from ohmfield.chip.memory.base import Memory
from ohmfield.chip.memory.dram import STANDARDS, Dram
from ohmfield.chip.memory.edram import Edram, GainCell
from ohmfield.chip.memory.sram import Sram

__all__ = ["MEMORIES", "STANDARDS", "Dram", "Edram", "GainCell", "Memory", "Sram"]

MEMORIES: dict[str, type[Memory]] = {memory.kind: memory for memory in (Sram, Edram, GainCell)}
