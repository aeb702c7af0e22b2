"""What every memory on the chip answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, Number, PartCost
from ohmfield.spec import knob, spec


@spec
class Memory(ABC):
    """One buffer, or several equal banks of it. An access moves `word_bits`; what refreshes is part of the leakage."""

    kind: ClassVar[str]
    kilobytes: float = knob("cost", 64.0, gt=0, le=1e6, doc="capacity of one bank")
    word_bits: int = knob("cost", 64, ge=1, le=4096, doc="bits of one access")
    banks: int = knob("cost", 1, ge=1, le=65536, doc="banks that can be accessed at once")

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What no source gives of its costs; every bill repeats it."""
        return ()

    @property
    def capacity_bits(self) -> Number:
        """Bits of all banks."""
        return np.asanyarray(self.kilobytes) * 8192.0 * self.banks

    def accesses(self, bits: Number) -> Number:
        """Accesses that move `bits`."""
        return np.ceil(np.asanyarray(bits) / self.word_bits)

    @abstractmethod
    def read(self, process: Process) -> ActionCost:
        """One read of `word_bits`; latency is the access time."""

    @abstractmethod
    def write(self, process: Process) -> ActionCost:
        """One write of `word_bits`."""

    @abstractmethod
    def part(self, process: Process) -> PartCost:
        """All banks; refresh counts as leakage."""
