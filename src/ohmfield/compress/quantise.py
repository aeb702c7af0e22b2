"""Choosing an integer grid for given values: by largest magnitude, by percentile, or by least squared error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ohmfield.numerics import Grid, SignGrid
from ohmfield.spec import InputError

Rule = Literal["max", "percentile", "mse"]
PERCENTILE = 0.9995  # of magnitudes, for the rule of that name
CLIP_FACTORS = 64  # ranges that the rule `mse` tries, from FLOOR_FACTOR of the largest magnitude up to it
FLOOR_FACTOR = 0.2
SAMPLE = 2**16  # values per channel that a rule looks at, evenly spaced: all of fewer, never twice as many
KEPT = 2**21  # values of one call of a module that `observe` keeps
TINY = 1e-12  # scale of a channel that holds only zeros


def fit_grid(
    values: Float[Tensor, "*shape"],
    bits: int,
    *,
    rule: Rule = "mse",
    signed: bool = True,
    symmetric: bool = False,
    affine: bool = False,
    per_channel: bool = False,
    power_of_two: bool = False,
) -> Grid:
    """The grid of `bits` bits that `rule` chooses for `values`.

    `per_channel` takes the first axis as channels: the scale then has shape [channels, 1, ...]. `symmetric` leaves out
    the most negative code; `affine` spends the codes on [min, max] with a zero point (`signed` says of which kind the
    codes are); `power_of_two` rounds scales up to powers of two (`mse` picks the best of them; of an affine
    range it cuts either end). Zero always has a code.

    >>> fit_grid(torch.tensor([-3.0, 3.5]), 3, rule="max", power_of_two=True).scale
    tensor(2.)
    """
    if rule not in get_args(Rule):
        raise InputError(f"calibration rule {rule!r} is not known; known rules: {', '.join(get_args(Rule))}")
    rows = values.detach().double().reshape(values.shape[0] if per_channel else 1, -1)
    if rows.shape[1] == 0 or not bool(torch.isfinite(rows).all()):
        raise InputError("calibration values are empty or not finite; check the model and its inputs")
    rows = rows[:, :: max(1, rows.shape[1] // SAMPLE)] if rule != "max" else rows
    shape = [-1, *([1] * (values.dim() - 1))] if per_channel else []
    low, high = (rows.amin(1).clamp(max=0.0), rows.amax(1).clamp(min=0.0))
    if rule == "percentile":
        limit = rows.abs().quantile(PERCENTILE, dim=1)
        low, high = torch.maximum(low, -limit), torch.minimum(high, limit)
    plain = Grid(bits=bits, signed=signed, scale=1.0, symmetric=symmetric)
    factors = torch.linspace(FLOOR_FACTOR, 1.0, CLIP_FACTORS, dtype=torch.double) if rule == "mse" else torch.ones(1)
    if power_of_two and rule == "mse":
        factors = 2.0 ** torch.arange(-4.0, 1.0, dtype=torch.double)
    below = above = factors[:, None]
    if affine and power_of_two:  # a long tail on one side is cut alone
        below, above = factors.repeat_interleave(len(factors))[:, None], factors.repeat(len(factors))[:, None]
    scale, zero = _scales(low[None] * below, high[None] * above, plain, affine)
    if power_of_two:
        scale = 2.0 ** torch.ceil(torch.log2(scale))
        zero = zero_point(low[None] * below, scale, plain) if affine else zero
    best = _least_error(rows, scale, zero, plain)
    chosen = torch.arange(rows.shape[0])
    scale, zero = scale[best, chosen].float().reshape(shape), zero[best, chosen].float().reshape(shape)
    return Grid(bits=bits, signed=signed, scale=scale, zero=zero if affine else 0, symmetric=symmetric)


def fit_two_levels(weights: Float[Tensor, "outputs inputs"], *, centred: bool, power_of_two: bool = False) -> Grid:
    """The two levels per output that are nearest to `weights` in least squares.

    `centred`: -alpha and alpha (codes -1 and 1), alpha the mean magnitude (XNOR-Net, arXiv 1603.05279). Else mu - alpha
    and mu + alpha (codes 0 and 1, a zero point), mu the mean and alpha the mean distance from it (BWMA, arXiv
    2508.21524). `power_of_two` rounds scales up to powers of two.

    >>> fit_two_levels(torch.tensor([[-1.0, 3.0, 3.0, -1.0]]), centred=False).fake(torch.tensor([[-1.0, 2.0]]))
    tensor([[-1.,  3.]])
    """
    rows = weights.detach().double()
    mean = torch.zeros_like(rows[:, :1]) if centred else rows.mean(1, keepdim=True)
    alpha = (rows - mean).abs().mean(1, keepdim=True).clamp_min(TINY)
    if power_of_two:
        alpha = 2.0 ** torch.ceil(torch.log2(alpha))
    if centred:
        return SignGrid(scale=alpha.float())
    return Grid(bits=1, signed=False, scale=(2.0 * alpha).float(), zero=(0.5 - mean / (2.0 * alpha)).float())


def _scales(low: Tensor, high: Tensor, grid: Grid, affine: bool) -> tuple[Tensor, Tensor]:
    """Scale and zero, both [factors, channels], that just hold [low, high]."""
    if affine:
        scale = ((high - low) / (grid.high - grid.low)).clamp_min(TINY)
        return scale, zero_point(low, scale, grid)
    reach = high / grid.high
    if grid.signed:
        reach = torch.maximum(reach, -low / -grid.low)
    return reach.clamp_min(TINY), torch.zeros_like(reach)


def zero_point(low: Tensor, scale: Tensor, grid: Grid) -> Tensor:
    """The code of zero where the lowest code of `grid` stands for `low`, rounded half up."""
    return torch.floor(grid.low - low / scale + 0.5).clamp(grid.low, grid.high)


def _least_error(rows: Tensor, scale: Tensor, zero: Tensor, plain: Grid) -> Tensor:
    """Index of the scale with the least squared error, per channel; one candidate at a time to stay small."""
    if len(scale) == 1:
        return torch.zeros(rows.shape[0], dtype=torch.long)
    errors = []
    for index in range(len(scale)):
        grid = Grid(
            bits=plain.bits,
            signed=plain.signed,
            scale=scale[index, :, None],
            zero=zero[index, :, None],
            symmetric=plain.symmetric,
        )
        errors.append((grid.values(grid.codes(rows)) - rows).square().mean(1))
    return torch.stack(errors).argmin(0)


@dataclass
class Observed:
    """Inputs and outputs that modules saw, by module path."""

    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)

    def add(self, path: str, given: Tensor, made: Tensor) -> None:
        """Keep one call's input and output."""
        for store, value in ((self.inputs, given), (self.outputs, made)):
            value = _kept(value.detach())
            if path in store and store[path].shape[1:] != value.shape[1:]:
                store[path], value = store[path].flatten(), value.flatten()
            store[path] = torch.cat([store[path], value]) if path in store else value


def _kept(value: Tensor) -> Tensor:
    """A copy (what comes next may work in place); of very many values a part, evenly spread, and the extremes."""
    if value.numel() <= KEPT:
        return value.clone()
    flat = value.flatten()
    return torch.cat([flat[:: -(-flat.numel() // KEPT)], flat.amin()[None], flat.amax()[None]])


@contextmanager
def observe(modules: Mapping[str, nn.Module]) -> Iterator[Observed]:
    """While open, what goes in and out of `modules` is collected (concatenated over calls)."""
    seen = Observed()

    def hook(path: str):
        def keep(_: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
            seen.add(path, args[0], out)

        return keep

    handles = [module.register_forward_hook(hook(path)) for path, module in modules.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
