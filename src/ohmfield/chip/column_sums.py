"""Column sums read on the chip: what an input grid with a zero point adds to every output, errors of cells included."""

from __future__ import annotations

import numpy as np

from ohmfield.quantities import uniform
from ohmfield.spec import knob, spec


@spec
class ColumnSums:
    """Every row is driven with the code of zero, and what comes out is taken off all outputs of that copy from then on.

    It passes the converters like any input: rounded, clipped, with read noise; the mean of so many reads is rounded to
    one count of the accumulator. The offset ages, so it is measured again; every bill has its share of the reads.
    """

    reads: int = knob("both", 16, ge=1, le=4096, doc="reads averaged, a power of two: their mean is a shift")
    inferences_between: float = knob("cost", 1e4, gt=0, doc="inferences between two measurements")

    def __post_init__(self) -> None:
        if uniform(np.log2(self.reads) % 1.0 != 0.0):
            raise ValueError(f"reads {self.reads}: the mean of a power of two of reads is a shift; use 1, 2, 4, ...")
