"""From stored conductances to what the converters of a copy see: aged, compensated, in levels, banked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import Slices
from ohmfield.numerics import Noise
from ohmfield.simulate.averaging import over_conductance, target_uS
from ohmfield.simulate.conversion import Causes, level_uS, pedestal_levels
from ohmfield.simulate.lower import Stored
from ohmfield.simulate.plan import LayerPlan
from ohmfield.simulate.programmed import Programmed, StoredLayer
from ohmfield.simulate.readout import over_connected, with_jitter
from ohmfield.simulate.sums import reference_slices
from ohmfield.simulate.wires import Circuits, effective_uS
from ohmfield.simulate.writing import instance_noise


def read_copy(
    conductances_uS: Float[np.ndarray, "inputs slices sides outputs"],
    slices: Slices,
    unit: Crossbar,
    starts: Int[np.ndarray, " groups"],
    elapsed_s: float,
    causes: Causes,
    noise: Noise,
    dead: Bool[np.ndarray, "inputs slices sides outputs"] | None = None,
    factor: float | None = None,
) -> Stored:
    """One copy in levels above g_min, banks as they are converted; nominal levels where programming is left out.

    `noise` is the copy's own stream. Each cell draws its ageing there once, the same at every age; frozen read noise
    and telegraph states are drawn once for each age. Wires replace each cell by what it counts for in the current of
    its column, its read noise in proportion; shared charge divides each by the mean capacitor of its column, a floating
    column by its conductance.
    Stuck cells neither age nor switch; `dead` cells conduct nothing and make no noise at any age. `factor` is that of
    drift compensation; default: its own.
    """
    cell, level = unit.cell, level_uS(unit)
    stored, target = torch.from_numpy(conductances_uS), target_uS(slices, unit)
    off = torch.zeros((), dtype=torch.bool) if dead is None else torch.from_numpy(dead)
    stays = cell.stays(stored)
    aged = aged_uS(stored, target, unit, elapsed_s, noise, off)
    if factor is None:
        factor = compensation(stored, aged) if unit.compensate is not None else 1.0
    analog = factor if unit.compensate is not None and unit.compensate.where == "analog" else 1.0
    if unit.array.readout == "charge_share":
        aged = over_connected(aged, target, unit, starts, noise.at("capacitors"))
    held, gain = (aged, analog) if causes.programming else (target, 1.0)
    levels = slices.bank_levels(unit.array.subtract).astype(np.float64)
    if causes.programming:
        levels = _banks((held * gain - cell.g_min_uS) / level, unit, spread=False).double().numpy()
    std = torch.zeros_like(aged)
    if causes.reading:
        now = torch.where(stays, aged, cell.switch(aged, noise.at("telegraph"), elapsed_s)).masked_fill(off, 0.0)
        std = cell.read_std_uS(stored, aged, elapsed_s, unit.array).masked_fill(off, 0.0)
        if cell.noise_correlation == "frozen":
            now = (now + std * noise.at("frozen", elapsed_s).normal(tuple(std.shape)).to(std.dtype)).clamp_min(0.0)
            std = torch.zeros_like(std)
        if not torch.equal(now, aged):
            levels = levels + _banks((now - aged) * (analog / level), unit, spread=False).double().numpy()
            held = held + (now - aged)
    if unit.array.averages:
        levels, scale = _averaged(held, unit, starts)
        std = std * scale
    circuits = None
    if causes.wires and unit.array.wires is not None:
        held = held.double().clamp_min(0.0)
        if unit.array.wires.depends_on_input:
            circuits = Circuits(held.numpy(), unit, starts, level / gain)
        else:
            seen = torch.from_numpy(effective_uS(held.numpy(), unit, starts))
            levels = _banks((seen * gain - cell.g_min_uS) / level, unit, spread=False).numpy()
            std = std * torch.where(held > 0.0, seen / held, torch.ones_like(held))
    read_std = _banks(std * (analog / level), unit, spread=True).numpy() if bool((std > 0.0).any()) else None
    if causes.reading:
        read_std = with_jitter(read_std, levels + pedestal_levels(unit), unit)
    after = factor / analog if causes.programming else 1.0
    return Stored(levels, read_std, scale=after, gain=analog, circuits=circuits)


def aged_uS(
    stored_uS: Float[Tensor, "inputs slices sides outputs"],
    target_uS: Float[Tensor, "inputs slices sides outputs"],
    unit: Crossbar,
    elapsed_s: float,
    noise: Noise,
    off: Bool[Tensor, "..."],
) -> Float[Tensor, "inputs slices sides outputs"]:
    """Conductances at an age. `noise` is the copy's own stream; cells that are `off` conduct nothing."""
    aged = unit.cell.age(stored_uS, target_uS, elapsed_s, noise.at("age"))
    return torch.where(unit.cell.stays(stored_uS), stored_uS, aged).masked_fill(off, 0.0)


def nominal_levels(
    slices: Slices, unit: Crossbar, starts: Int[np.ndarray, " groups"]
) -> Float[np.ndarray, "inputs banks outputs"]:
    """What the converters see of ideal cells."""
    if unit.array.averages:
        return _averaged(target_uS(slices, unit), unit, starts)[0]
    return slices.bank_levels(unit.array.subtract).astype(np.float64)


def _averaged(
    held_uS: Float[Tensor, "inputs slices sides outputs"], unit: Crossbar, starts: Int[np.ndarray, " groups"]
) -> tuple[Float[np.ndarray, "inputs banks outputs"], Float[Tensor, "inputs slices sides outputs"]]:
    """Banks of a floating column in levels of a full one, g_min included, and what each cell is multiplied by."""
    scale = over_conductance(held_uS, unit, starts)
    return _banks(held_uS.double() * scale / level_uS(unit), unit, spread=False).numpy(), scale


def compensation(stored_uS: Tensor, aged_uS: Tensor) -> float:
    """The factor of global drift compensation: all conductance of a copy at the first read over that now.

    >>> compensation(torch.full((4,), 10.0), torch.full((4,), 8.0))
    1.25
    """
    now = float(aged_uS.sum())
    return float(stored_uS.sum()) / now if now > 0.0 else 1.0


def reference_copies(
    layer: StoredLayer,
    plan: LayerPlan,
    unit: Crossbar,
    elapsed_s: float,
    causes: Causes,
    noise: Noise,
    factors: Sequence[float],
) -> list[Stored]:
    """The reference columns of each copy as banks, a column per block; empty where a counter sums the inputs.

    They follow drift by the factor of the weights beside them, of which `factors` has one per copy.
    """
    if layer.reference_uS is None:
        return []
    inputs, _, _, blocks = layer.reference_uS.shape[1:]
    slices = reference_slices(unit, inputs, blocks)
    return [
        read_copy(
            values, slices, unit, plan.starts, elapsed_s, causes, noise.at("reference", copy), dead, factors[copy]
        )
        for copy, values in enumerate(layer.reference_uS)
        for _, dead in [dead_cells(layer, plan, unit, copy)]
    ]


def banked_copy(
    programmed: Programmed, plan: LayerPlan, unit: Crossbar, slices: Slices, causes: Causes, copy: int = 0
) -> Stored:
    """One copy of a layer of an instance as its converters see it, at the instance's age."""
    return stored_copy(
        programmed.layers[plan.path], plan, unit, slices, causes, programmed.seed, programmed.elapsed_s, copy
    )


def stored_copy(
    layer: StoredLayer,
    plan: LayerPlan,
    unit: Crossbar,
    slices: Slices,
    causes: Causes,
    seed: int,
    elapsed_s: float,
    copy: int,
) -> Stored:
    """One copy of `layer` as its converters see it."""
    assert layer.conductances_uS is not None
    noise, (dead, _) = copy_noise(seed, plan.path, copy), dead_cells(layer, plan, unit, copy)
    return read_copy(layer.conductances_uS[copy], slices, unit, plan.starts, elapsed_s, causes, noise, dead)


def dead_cells(
    layer: StoredLayer, plan: LayerPlan, unit: Crossbar, copy: int
) -> tuple[
    Bool[np.ndarray, "inputs slices sides outputs"] | None, Bool[np.ndarray, "inputs references 1 blocks"] | None
]:
    """The cells of one copy and of its reference columns that lie on dead lines; None where no line can be dead."""
    if layer.lines is None:
        return None, None
    return layer.lines.dead_cells(unit, plan.weight_bits, copy)


def copy_noise(seed: int, path: str, copy: int) -> Noise:
    """The stream that ageing and frozen noise of one copy of a layer are drawn from."""
    return instance_noise(seed, path, "age").at(copy)


def _banks(values: Tensor, unit: Crossbar, *, spread: bool) -> Tensor:
    """[inputs, slices, sides, outputs] as [inputs, banks, outputs]; pairs subtract, their spreads add in squares."""
    if unit.pairs:
        first, second = values[:, :, 0], values[:, :, 1]
        return (first.square() + second.square()).sqrt() if spread else first - second
    return values.flatten(1, 2)
