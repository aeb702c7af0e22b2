"""What the rows that are driven meet: how many cells, and how conductive these are, counted digit by digit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ohmfield._kernels.crossbar_inputs import add_digits
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import slice_weights
from ohmfield.simulate.averaging import target_uS
from ohmfield.simulate.conversion import drive_of
from ohmfield.simulate.plan import LayerPlan
from ohmfield.simulate.programmed import Programmed, StoredLayer
from ohmfield.simulate.reading import aged_uS, copy_noise, dead_cells
from ohmfield.simulate.sums import reference_slices
from ohmfield.simulate.writing import instance_noise


@dataclass(frozen=True, eq=False)
class DrivenCells:
    """One layer of an instance, at its age, for counting; what is drawn or summed is so at the first count."""

    stored: StoredLayer
    plan: LayerPlan
    unit: Crossbar
    seed: int
    elapsed_s: float

    def count(self, codes: Int[np.ndarray, "vectors inputs"], first: int) -> dict[str, float]:
        """`crossed`: digits driven, each times the cells on its row, both sides of pairs and reference columns too.

        `filled`: the same, each cell by its conductance: 0 at g_min, 1 at g_max. Vector i meets copy i % copies, as in
        the product; `first` is the number of the first.
        """
        digits = self.digits(codes, first)
        return {
            "crossed": float(digits.sum() * self._cells_per_row),
            "filled": float((digits * self.row_fill).sum()),
        }

    def digits(self, codes: Int[np.ndarray, "vectors inputs"], first: int) -> Int[np.ndarray, "copies inputs"]:
        """Sum of the digits that drive each row of each copy, without sign."""
        dac, drive = self.unit.dac, drive_of(self.unit, self.plan.signed_input)
        planes = int(dac.num_planes(self.plan.input_bits, self.plan.signed_input))
        if drive.startswith("sign_magnitude"):
            codes = np.abs(codes)
            planes = planes // 2 if drive == "sign_magnitude_two_pass" else planes
        totals = np.zeros(self.row_fill.shape, dtype=np.int64)
        bipolar = drive == "twos_complement" and dac.bits > 1
        add_digits(codes, dac.bits, planes, bipolar, first, totals)
        return totals

    @cached_property
    def row_fill(self) -> Float[np.ndarray, "copies inputs"]:
        """Sum of `(G - g_min) / (g_max - g_min)` over the cells on each row."""
        cell, found = self.unit.cell, []
        for copy in range(self._copies):
            total_uS = sum(cells.double().sum(dim=(1, 2, 3)).numpy() for cells in self._aged(copy))
            found.append((total_uS - cell.g_min_uS * self._cells_per_row) / (cell.g_max_uS - cell.g_min_uS))
        return np.stack(found)

    @property
    def _held(self) -> list[Float[np.ndarray, "copies inputs slices sides columns"]]:
        kinds = (self.stored.conductances_uS, self.stored.reference_uS)
        return [conductances for conductances in kinds if conductances is not None]

    @property
    def _copies(self) -> int:
        return len(self._held[0])

    @property
    def _cells_per_row(self) -> int:
        return sum(int(np.prod(conductances.shape[2:])) for conductances in self._held)

    def _aged(self, copy: int) -> list[Tensor]:
        """Conductances of the weights of one copy, and of its reference columns where it has them."""
        layer, plan, unit = self.stored, self.plan, self.unit
        slices = [slice_weights(layer.codes, unit.array, plan.weight_bits, plan.path, plan.starts)]
        streams = [copy_noise(self.seed, plan.path, copy)]
        if layer.reference_uS is not None:
            slices.append(reference_slices(unit, layer.reference_uS.shape[1], layer.reference_uS.shape[-1]))
            streams.append(instance_noise(self.seed, plan.path, "age").at("reference", copy))
        made = []
        for held, parts, noise, dead in zip(
            self._held, slices, streams, dead_cells(layer, plan, unit, copy), strict=False
        ):
            off = torch.zeros((), dtype=torch.bool) if dead is None else torch.from_numpy(dead)
            target = target_uS(parts, unit)
            made.append(aged_uS(torch.from_numpy(held[copy]), target, unit, self.elapsed_s, noise, off))
        return made


def driven_cells(programmed: Programmed, plan: LayerPlan, unit: object) -> DrivenCells | None:
    """Those of one layer; None on a digital unit."""
    stored = programmed.layers[plan.path]
    if not isinstance(unit, Crossbar) or stored.conductances_uS is None:
        return None
    return DrivenCells(stored, plan, unit, programmed.seed, programmed.elapsed_s)
