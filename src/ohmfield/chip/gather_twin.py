"""Bit-true twin of the gather unit's interpolator: integer weights per axis, exact products, one rounding."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ohmfield.chip.digital import GatherUnit
from ohmfield.chip.fixed import Word


def quantise_coordinates(coords: Float[Tensor, "num dim"], unit: GatherUnit) -> Float[Tensor, "num dim"]:
    """`coords` in [0, 1] as the unit receives them: `coordinate_bits` fraction bits, half up, 1 kept."""
    scale = 2.0**unit.coordinate_bits
    return torch.floor(coords.clamp(0.0, 1.0).double() * scale + 0.5).div(scale).to(coords.dtype)


def axis_weights(weights: Float[Tensor, "num levels corners"], unit: GatherUnit) -> Int[Tensor, "num levels dim"]:
    """Integer fraction along each axis, 0 .. 2^weight_bits, from the corner weights (corner c has bit d set on axis d).

    The weights of the corners with a bit set add up to the fraction along that axis.
    """
    dim = weights.shape[-1].bit_length() - 1
    upper = [weights.unflatten(-1, _axes(dim, axis))[..., 1, :].sum((-1, -2)) for axis in range(dim)]
    return torch.floor(torch.stack(upper, -1).double() * 2.0**unit.weight_bits + 0.5).long()


def interpolate(
    rows: Int[Tensor, "num levels corners features"],
    fractions: Int[Tensor, "num levels dim"],
    row_fractions: Int[Tensor, " levels"],
    unit: GatherUnit,
    word: Word,
) -> Int[Tensor, "num levels features"]:
    """Codes of `word` of the weighted sum of table codes `rows` with `row_fractions` fraction bits per level.

    Corner weights are products of `f` and `2^weight_bits - f` over the axes, exact; the sum is rounded half up once.
    """
    dim = fractions.shape[-1]
    one = 1 << unit.weight_bits
    weights = torch.ones_like(fractions[..., :1])
    for axis in range(dim):  # the highest axis ends up outermost: corner c has bit d set on axis d
        upper = fractions[..., axis : axis + 1]
        weights = torch.cat([weights * (one - upper), weights * upper], dim=-1)
    total_bits = unit.table_bits + dim * unit.weight_bits
    kind = torch.float32 if total_bits <= 24 else torch.float64 if total_bits <= 53 else torch.long  # all exact
    total = (rows.to(kind) * weights.to(kind)[..., None]).sum(-2).long()
    shift = (row_fractions + dim * unit.weight_bits - word.fraction)[:, None]
    half = torch.where(shift > 0, 1 << (shift - 1).clamp_min(0), 0)
    return word.saturate(((total + half) >> shift.clamp_min(0)) << (-shift).clamp_min(0))


def _axes(dim: int, axis: int) -> tuple[int, int, int]:
    """Corner index as (higher axes, this axis, lower axes)."""
    return 2 ** (dim - 1 - axis), 2, 2**axis
