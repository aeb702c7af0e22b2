"""What every link answers, and what wires cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from ohmfield.chip.anchors import Spanned
from ohmfield.chip.process import Process
from ohmfield.quantities import PJ_PER_FJ, ActionCost, Number, PartCost, Span, span, within
from ohmfield.spec import spec

WIRE_FF_PER_UM = Spanned("capacitance of a bus wire", within(0.2, 1.5), "hwcomponents-library: 0.2 fF/um for any node")
# Of random bits half differ from the one before, and half of those charge the line.
CHARGED_SHARE = 0.25


@spec
class Link(ABC):
    """Moves bits one way. `transfer` says what all of them draw, and the time from the first in to the last out."""

    kind: ClassVar[str]

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What no source gives of its costs; every bill repeats it."""
        return ()

    @abstractmethod
    def transfer(self, process: Process, bits: Number) -> ActionCost:
        """Moving that many bits from end to end, one message."""

    @abstractmethod
    def part(self, process: Process) -> PartCost:
        """The whole link; of one between chips, its port on this one."""


def swing_pJ(capacitance_fF: Span | Number, process: Process) -> Span:
    """Energy of one random bit over a line of that capacitance, at full swing."""
    return span(1.0) * capacitance_fF * np.asanyarray(process.supply_V) ** 2 * CHARGED_SHARE * PJ_PER_FJ


def beats_ns(process: Process, bits: Number, width_bits: Number) -> Span:
    """Time of that many bits in words of a width, one word per clock."""
    return process.cycle_ns * np.ceil(np.asanyarray(bits) / width_bits) * span(1.0)
