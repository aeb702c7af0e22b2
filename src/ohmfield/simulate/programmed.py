"""`Programmed`: one drawn chip instance: conductances, converter gains, age. Saved and reused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import Tensor

from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar
from ohmfield.files import write_atomic
from ohmfield.mapping.slice import Slices, slice_weights
from ohmfield.numerics import Noise
from ohmfield.simulate.lower import (
    Causes,
    Driving,
    Stored,
    check_ranges,
    level_uS,
    loses_nothing,
    lower,
    output_step,
)
from ohmfield.simulate.products import CrossbarProduct, ExactProduct, InputOrder, Product
from ohmfield.spec import InputError

FORMAT = 1


@dataclass(frozen=True)
class LayerPlan:
    """How one linear layer runs: unit, widths, row groups, copies, and the wave it is written in."""

    path: str
    unit: str
    weight_bits: int
    input_bits: int
    signed_input: bool
    starts: Int[np.ndarray, " boundaries"]
    copies: int = 1
    wave: int = 0

    def driving(self, gains: tuple[float, ...]) -> Driving:
        """The part that a lowered array depends on."""
        return Driving(self.starts, self.input_bits, self.signed_input, gains)


@dataclass(frozen=True, eq=False)
class StoredLayer:
    """One layer as written: nominal codes, and per copy the conductances in uS at the first read."""

    codes: Int[np.ndarray, "outputs inputs"]
    conductances_uS: Float[np.ndarray, "copies inputs slices sides outputs"] | None  # None: a digital unit
    gains: tuple[float, ...] = ()  # converter gain per bank


@dataclass(frozen=True, eq=False)
class Programmed:
    """One chip instance: a seed, what it drew, and how long ago it was first read."""

    chip: str
    seed: int
    layers: Mapping[str, StoredLayer]
    elapsed_s: float = 0.0

    def aged(self, elapsed_s: float) -> Programmed:
        """The same instance `elapsed_s` after its first read."""
        return replace(self, elapsed_s=elapsed_s)

    def save(self, path: Path) -> None:
        """Writes one safetensors file (beside, then renamed); scalars travel in its metadata as JSON."""
        tensors: dict[str, np.ndarray] = {}
        for name, layer in self.layers.items():
            tensors[f"{name}:codes"] = layer.codes.astype(np.int32)
            if layer.conductances_uS is not None:
                tensors[f"{name}:conductances_uS"] = np.ascontiguousarray(layer.conductances_uS)
        facts = {
            "format": FORMAT,
            "chip": self.chip,
            "seed": self.seed,
            "elapsed_s": self.elapsed_s,
            "gains": {name: list(layer.gains) for name, layer in self.layers.items()},
        }
        write_atomic(path, save(tensors, metadata={"programmed": json.dumps(facts)}))

    @classmethod
    def load(cls, path: Path) -> Programmed:
        """An instance from `save`; `InputError` where the file is not one."""
        try:
            tensors = load_file(path)
            with path.open("rb") as file:
                size = int.from_bytes(file.read(8), "little")
                facts = json.loads(json.loads(file.read(size))["__metadata__"]["programmed"])
            if facts["format"] == FORMAT:
                layers = {name: _stored_layer(tensors, name, gains) for name, gains in facts["gains"].items()}
                return cls(str(facts["chip"]), int(facts["seed"]), layers, float(facts["elapsed_s"]))
        except (OSError, SafetensorError, LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{path}: is not a saved chip instance ({error})") from None
        raise InputError(f"{path}: instance format {facts['format']!r}, this version reads {FORMAT}; program it again")


def _stored_layer(tensors: Mapping[str, np.ndarray], name: str, gains: list[float]) -> StoredLayer:
    codes = tensors[f"{name}:codes"].astype(np.int64)
    return StoredLayer(codes, tensors.get(f"{name}:conductances_uS"), tuple(float(gain) for gain in gains))


def instance_noise(seed: int, path: str, kind: str) -> Noise:
    """`kind` is program, stuck or read."""
    return Noise(seed).at("instance", path, kind)


def program_layer(
    codes: Int[np.ndarray, "outputs inputs"], plan: LayerPlan, chip: Chip, seed: int, gains: tuple[float, ...] = ()
) -> StoredLayer:
    """Writes one layer: every copy and every wave draws errors of its own, stuck cells override what was written."""
    unit = chip.units[plan.unit]
    if not isinstance(unit, Crossbar):
        return StoredLayer(codes.astype(np.int64), None)
    slices = slice_weights(codes.astype(np.int64), unit.array, plan.weight_bits, plan.path)
    target = unit.cell.g_min_uS + torch.from_numpy(slices.digits).double() * level_uS(unit)
    copies = []
    for copy in range(plan.copies):
        key = (plan.wave, copy)
        written = unit.cell.program(target, instance_noise(seed, plan.path, "program").at(*key))
        copies.append(unit.cell.stick(written, instance_noise(seed, plan.path, "stuck").at(*key)))
    gains = gains or (min(unit.adc.gains),) * len(slices.bank_weights(unit.array.subtract))
    check_ranges(unit, plan.signed_input, gains)
    return StoredLayer(codes.astype(np.int64), torch.stack(copies).numpy(), gains)


def product_of(
    layer: StoredLayer, plan: LayerPlan, chip: Chip, causes: Causes, seed: int, elapsed_s: float = 0.0
) -> Product:
    """The product that runs `layer`: exact where nothing is lost and nothing drawn, else through the converters."""
    unit = chip.units[plan.unit]
    if not isinstance(unit, Crossbar) or layer.conductances_uS is None:
        return exact_product(layer.codes, plan, chip)
    slices = slice_weights(layer.codes, unit.array, plan.weight_bits, plan.path)
    driving = plan.driving(layer.gains)
    nominal = slices.bank_levels(unit.array.subtract).astype(np.float64)
    stored = [Stored(nominal, None)]
    if causes.programming or causes.reading:
        stored = [_stored(values, unit, elapsed_s, nominal, causes) for values in layer.conductances_uS]
    untouched = all(np.array_equal(copy.levels, nominal) for copy in stored)
    quiet = not causes.reading or (unit.adc.enob is None and all(copy.read_std is None for copy in stored))
    if untouched and quiet and (causes.lossless or loses_nothing(unit, driving, slices, causes)):
        return exact_product(layer.codes, plan, chip)
    arrays = [lower(copy, slices, unit, driving, causes) for copy in stored]
    step = output_step(unit, driving, causes)
    return CrossbarProduct(arrays, step, instance_noise(seed, plan.path, "read"), slices.offset)


def exact_product(codes: Int[np.ndarray, "outputs inputs"], plan: LayerPlan, chip: Chip) -> ExactProduct:
    """The exact product with the counts of the unit that `plan` names."""
    unit = chip.units[plan.unit]
    largest = 2 ** (plan.input_bits - 1) if plan.signed_input else 2**plan.input_bits - 1
    order = InputOrder(plan.starts, 1, plan.input_bits, plan.signed_input)
    if isinstance(unit, Crossbar):
        planes = unit.dac.num_planes(plan.input_bits)
        groups = len(plan.starts) - 1
        conversions = groups * planes * unit.array.conversions_per_weight(plan.weight_bits) * len(codes)
        order = InputOrder(plan.starts, unit.dac.bits, planes, plan.signed_input, conversions)
    return ExactProduct(codes, largest, order)


def _stored(
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
    return _stored(conductances_uS[copy], unit, programmed.elapsed_s, nominal, causes)


def _banks(values: Tensor, unit: Crossbar, *, spread: bool) -> Tensor:
    """[inputs, slices, sides, outputs] as [inputs, banks, outputs]; pairs subtract, their spreads add in squares."""
    if unit.array.encoding == "differential" and unit.array.subtract == "analog":
        first, second = values[:, :, 0], values[:, :, 1]
        return (first.square() + second.square()).sqrt() if spread else first - second
    return values.flatten(1, 2)
