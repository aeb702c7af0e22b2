"""Looking inside: what the converters of a column see, the codes they give, and how much every layer clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ohmfield._kernels.crossbar import LoweredArray, before_conversion, converted
from ohmfield.chip.units import Crossbar
from ohmfield.numerics import Noise
from ohmfield.simulate.calibrate import layer_inputs
from ohmfield.simulate.conversion import signed_conversion
from ohmfield.simulate.convert import chip_layers
from ohmfield.simulate.layers import ChipLinear
from ohmfield.simulate.products import CrossbarProduct
from ohmfield.spec import InputError


@dataclass(frozen=True, eq=False)
class Column:
    """Every conversion of one output of a layer: what it saw, in cell levels, and its code."""

    values: Float[
        np.ndarray, "groups banks planes vectors"
    ]  # before the converter and its own gain and offset, read noise included
    codes: Int[np.ndarray, "groups banks planes vectors"]
    driven: Int[np.ndarray, "groups banks planes vectors"]  # sum of the digits driven
    step_levels: Float[np.ndarray, " banks"]
    range_codes: tuple[int, int]  # lowest and highest code of the converter
    used_codes: tuple[int, int]  # lowest and highest code given
    clipped: Bool[np.ndarray, "groups banks planes vectors"]  # values beyond the last step of the nominal range
    made: Bool[np.ndarray, "groups banks planes vectors"]  # where not, a plane of zeros was skipped: value and code 0

    @property
    def clip_fraction(self) -> float:
        """Share of the conversions made whose value lay outside the range."""
        return _share(self.clipped, self.made)


@dataclass(frozen=True)
class Clipping:
    """How one layer uses its converters."""

    conversions: int
    clip_fraction: float
    used_codes: tuple[int, int]
    range_codes: tuple[int, int]
    step_levels: tuple[float, ...]  # per bank


def column(
    module: nn.Module, path: str, output: int, coords: Float[Tensor, "num dim"], *, first: int = 0, copy: int = 0
) -> Column:
    """All conversions of one output of the layer at `path`, for up to 256 of the inputs `coords` of the model.

    `module` is a converted model with an instance installed (`Deployment.module`); reads are those of vectors numbered
    from `first` on one copy. `InputError` where that layer does not go through converters.
    """
    product = product_at(module, path)
    array = product.copies[copy]
    if not 0 <= output < array.num_outputs:
        raise InputError(f"output {output} is not one of 0 .. {array.num_outputs - 1}", path)
    inputs = layer_inputs(module, coords)[path]
    columns, noise = slice(output, output + 1), noise_of(product, copy)
    sums, codes, driven, made = conversions_of(product, inputs, noise, first=first, copy=copy, columns=columns)
    values, codes = sums[..., 0] / array.grid, codes[..., 0]
    low, high = range_of(chip_layers(module)[path])
    step = steps_of(array)
    in_steps = values / step[:, None, None]
    return Column(
        values=values,
        codes=codes,
        driven=driven,
        step_levels=step,
        range_codes=(low, high),
        used_codes=_used(codes, made),
        clipped=((in_steps >= high + 0.5) | (in_steps < low - 0.5)) & made,
        made=made,
    )


def clipping(module: nn.Module, coords: Float[Tensor, "num dim"]) -> Mapping[str, Clipping]:
    """For each layer that goes through converters: conversions made at `coords` and the share of them that clipped."""
    made: dict[str, Clipping] = {}
    for path, inputs in layer_inputs(module, coords).items():
        product = chip_layers(module)[path].product
        if not isinstance(product, CrossbarProduct):
            continue
        array = product.copies[0]
        sums, codes, _, counted = conversions_of(product, inputs, noise_of(product))
        low, high = range_of(chip_layers(module)[path])
        in_steps = sums / array.grid / steps_of(array)[:, None, None, None]
        clipped = (in_steps >= high + 0.5) | (in_steps < low - 0.5)
        made[path] = Clipping(
            conversions=int(counted.sum()) * array.num_outputs,
            clip_fraction=_share(clipped, counted),
            used_codes=_used(codes, counted),
            range_codes=(low, high),
            step_levels=tuple(float(step) for step in steps_of(array)),
        )
    return made


def conversions_of(
    product: CrossbarProduct,
    inputs: Int[np.ndarray, "vectors inputs"],
    noise: Noise | None,
    *,
    first: int = 0,
    copy: int = 0,
    columns: slice = slice(None),
) -> tuple[
    Int[np.ndarray, "groups banks planes vectors outputs"],
    Int[np.ndarray, "groups banks planes vectors outputs"],
    Int[np.ndarray, "groups banks planes vectors"],
    Bool[np.ndarray, "groups banks planes vectors"],
]:
    """(sums in 1 / grid level, codes, digits driven, made) of every conversion that one copy makes of `inputs`.

    Where planes of zeros are skipped, sums and codes of what is not made are zero.
    `InputError` where zero bits are skipped: there a group and plane have no fixed number of conversions.
    """
    array = product.copies[copy]
    if array.rows_per_read:
        raise InputError("dac.skip zero_bits reads a group as often as its inputs need; no table holds its conversions")
    currents = product.circuits[copy].values(array) if product.circuits else None
    shape = (array.num_groups, array.num_banks, array.num_planes, len(inputs))
    wide = len(range(*columns.indices(array.num_outputs)))
    sums, codes = (np.zeros((*shape, wide), dtype=np.int64) for _ in range(2))
    driven, made = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=bool)
    for place, digits, value, converts in before_conversion(array, inputs.astype(np.int64), noise, first, currents):
        sums[place] = np.where(converts[:, None], value, 0)[:, columns]
        codes[place] = np.where(converts[:, None], converted(array, *place[:2], value), 0)[:, columns]
        driven[place], made[place] = digits, converts
    return sums, codes, driven, made


def _share(
    clipped: Bool[np.ndarray, "groups banks planes vectors *outputs"],
    made: Bool[np.ndarray, "groups banks planes vectors"],
) -> float:
    """Share of what was made, 0 where nothing was."""
    return float(clipped[made].mean()) if made.any() else 0.0


def _used(
    codes: Int[np.ndarray, "groups banks planes vectors *outputs"],
    made: Bool[np.ndarray, "groups banks planes vectors"],
) -> tuple[int, int]:
    """Lowest and highest code made."""
    given = codes[made] if made.any() else np.zeros(1, dtype=np.int64)
    return int(given.min()), int(given.max())


def range_of(layer: ChipLinear) -> tuple[int, int]:
    """Lowest and highest code that the converters of a layer have."""
    unit = layer.chip.units[layer.plan.unit]
    assert isinstance(unit, Crossbar)
    return unit.adc.limits(signed_conversion(unit, layer.plan.signed_input))


def noise_of(product: CrossbarProduct, copy: int = 0) -> Noise:
    """The stream that the reads of one copy draw from."""
    return product.noise if len(product.copies) == 1 else product.noise.at("copy", copy)


def steps_of(array: LoweredArray) -> Float[np.ndarray, " banks"]:
    """Cell levels per code of each bank."""
    assert array.step is not None  # `lower` always says
    return array.step / array.grid


def product_at(module: nn.Module, path: str) -> CrossbarProduct:
    """The product of the layer at `path`; `InputError` where it does not go through converters."""
    layer = chip_layers(module).get(path)
    if not isinstance(layer, ChipLinear):
        raise InputError(f"is not a layer on the chip; those are {', '.join(chip_layers(module)) or 'none'}", path)
    if not isinstance(layer.product, CrossbarProduct):
        raise InputError("goes through no converter here: its product is exact", path)
    return layer.product
