"""From stored conductances to what the converters of a copy see: aged, in levels, banked."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import Slices
from ohmfield.simulate.conversion import Causes, level_uS
from ohmfield.simulate.lower import Stored
from ohmfield.simulate.programmed import Programmed


def read_copy(
    conductances_uS: Float[np.ndarray, "inputs slices sides outputs"],
    unit: Crossbar,
    elapsed_s: float,
    nominal: Float[np.ndarray, "inputs banks outputs"],
    causes: Causes,
) -> Stored:
    """One copy in levels above g_min, banks as they are converted; nominal levels where programming is left out."""
    aged = unit.cell.age(torch.from_numpy(conductances_uS), elapsed_s)
    std = unit.cell.read_std_uS(aged) / level_uS(unit)
    read_std = _banks(std, unit, spread=True).numpy() if causes.reading and bool((std > 0.0).any()) else None
    if not causes.programming:
        return Stored(nominal, read_std)
    return Stored(_banks((aged - unit.cell.g_min_uS) / level_uS(unit), unit, spread=False).double().numpy(), read_std)


def banked_copy(
    programmed: Programmed, path: str, unit: Crossbar, slices: Slices, causes: Causes, copy: int = 0
) -> Stored:
    """One copy of a layer of an instance as its converters see it, at the instance's age."""
    conductances_uS = programmed.layers[path].conductances_uS
    assert conductances_uS is not None
    nominal = slices.bank_levels(unit.array.subtract).astype(np.float64)
    return read_copy(conductances_uS[copy], unit, programmed.elapsed_s, nominal, causes)


def _banks(values: Tensor, unit: Crossbar, *, spread: bool) -> Tensor:
    """[inputs, slices, sides, outputs] as [inputs, banks, outputs]; pairs subtract, their spreads add in squares."""
    if unit.array.encoding == "differential" and unit.array.subtract == "analog":
        first, second = values[:, :, 0], values[:, :, 1]
        return (first.square() + second.square()).sqrt() if spread else first - second
    return values.flatten(1, 2)
