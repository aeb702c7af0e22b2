"""On-chip SRAM, off-chip DRAM."""

from __future__ import annotations

from ohmfield.spec import knob, spec


@spec
class Sram:
    """One SRAM buffer, or several equal banks of it."""

    kilobytes: float = knob("cost", 64.0, gt=0, le=1e6, doc="capacity of one bank")
    word_bits: int = knob("cost", 64, ge=1, le=4096, doc="bits of one access")
    banks: int = knob("cost", 1, ge=1, le=65536, doc="banks that can be accessed at once")


@spec
class Dram:
    """Off-chip memory."""

    pJ_per_bit: float = knob("cost", 8.0, gt=0, doc="energy of one bit moved")
    bandwidth_GBps: float = knob("cost", 25.6, gt=0, doc="sustained bandwidth")
