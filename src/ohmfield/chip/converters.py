"""`ADCS`: the converters that files may name; add a class of your own to use it there."""

from __future__ import annotations

from typing import ClassVar

from ohmfield.chip.adc import Adc
from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, PartCost, span
from ohmfield.spec import spec


@spec
class SarAdc(Adc):
    """Successive approximation, shared by neighbouring columns."""

    kind: ClassVar[str] = "sar"

    def conversion(self, process: Process) -> ActionCost:
        return ActionCost(span(0.0))

    def part(self, process: Process) -> PartCost:
        return PartCost(span(0.0))


ADCS: dict[str, type[Adc]] = {adc.kind: adc for adc in (SarAdc,)}
