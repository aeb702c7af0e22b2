"""One workload on a chip or a processor: placed and billed, with what a page or a table needs beside the bill."""

from __future__ import annotations

from dataclasses import dataclass

from ohmfield.chip.baseline import Roofline
from ohmfield.chip.chip import Chip
from ohmfield.cost.baseline import baseline_bill
from ohmfield.cost.bill import Bill
from ohmfield.cost.evaluate import evaluate
from ohmfield.mapping.place import place
from ohmfield.mapping.workload import Placement, Workload
from ohmfield.spec import InputError


@dataclass(frozen=True, eq=False)
class Priced:
    """A bill and what it is of. A processor has no placement: it runs all operators."""

    chip: Chip | Roofline
    workload: Workload
    bill: Bill
    placement: Placement | None = None

    @property
    def name(self) -> str:
        """Name of the chip or processor."""
        return self.chip.name

    @property
    def waves(self) -> int:
        """Turns in which weights are written in every inference; 1: they stay where they are."""
        return self.placement.waves if self.placement else 1


def price(
    chip: Chip | Roofline, workload: Workload, *, weight_bits: int = 8, input_bits: int = 8, allow_waves: bool = False
) -> Priced:
    """`workload` on a chip or, as one fused kernel, on a processor.

    `InputError` names the chip and says what it lacks where it cannot hold the weights and waves are not allowed.
    """
    if isinstance(chip, Roofline):
        return Priced(chip, workload, baseline_bill(chip, workload))
    try:
        placement = place(workload.shapes, chip, weight_bits, input_bits, allow_waves=allow_waves)
        return Priced(chip, workload, evaluate(chip, workload, placement), placement)
    except InputError as error:
        raise InputError(str(error), chip.name) from error
