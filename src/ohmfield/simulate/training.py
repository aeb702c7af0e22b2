"""Layers that train for a chip: rounded inputs, weights drawn as cells hold them, converters on every row group.

Each is the float layer it was made from, with the errors of its chip in the forward while training and none in `eval`.
Gradients pass through every rounding, and reach the scales and ranges: what a conversion gets wrong does not depend on
how large weights are, so training learns to spread a layer's work over many weights of like size.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ohmfield._kernels.round_inputs import round_inputs
from ohmfield._kernels.training_noise import convert_sums, draw_weights
from ohmfield._kernels.training_reference import Range, along
from ohmfield.mapping.window import as_matrix, from_matrix
from ohmfield.numerics import Noise, round_half_up, straight_through


@dataclass(frozen=True, eq=False)
class Errors:
    """What a chip does to one layer, in products of one weight code and one input code.

    The error of a written weight is listed for each code from `-most` to `most`; that of one row group's converted sum
    for each gain that the converter offers. A `step` of 0 stands for sums of many conversions: what those round away is
    in `sd`, and `low` and `high` are what all of them together can reach.
    """

    weight_mean: Float[Tensor, " codes"]
    weight_spread: Float[Tensor, " codes"]
    starts: tuple[int, ...]  # rows where groups begin, and their end
    input_low: int
    input_high: int
    input_scale: float  # a power of two
    gains: tuple[float, ...]  # rising
    sd: Float[Tensor, " gains"]
    step: Float[Tensor, " gains"]
    low: Float[Tensor, " gains"]
    high: Float[Tensor, " gains"]
    gain: float  # the calibrated one
    input_zero: int = (
        0  # zero point of the inputs, which every row is driven with; `input_low` and `input_high` count from it
    )
    measured: bool = False  # what it adds is known with the errors of the weights


class ChipTrained(nn.Module):
    """A linear layer or convolution whose forward has the `errors` of its chip while training.

    `log_scale` and `log_gain` are powers of two: the scale of the inputs' grid and the converter's gain. Both are used
    rounded, to a power of two and to a gain that the converter has; with `learn_ranges` they are trained.
    """

    def __init__(self, inner: nn.Linear | nn.Conv2d, errors: Errors, noise: Noise, learn_ranges: bool) -> None:
        super().__init__()
        self.inner, self.errors, self.noise = inner, errors, noise
        self.draws = 0
        learnt = [torch.tensor(value).log2() for value in (errors.input_scale, errors.gain)]
        self.log_scale = nn.Parameter(learnt[0], requires_grad=learn_ranges)
        self.log_gain = nn.Parameter(learnt[1], requires_grad=learn_ranges and len(errors.gains) > 1)

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output; with errors drawn anew while training."""
        if not self.training:
            return self.inner(x)
        self.draws += 1
        noise, errors = self.noise.at(self.draws), self.errors
        fixed = self.input_scale() if self.log_scale.requires_grad else None
        # What lies half a step below the lowest code is still rounded to it.
        below = (errors.input_high + 1) / (0.5 - errors.input_low) if errors.input_zero else 1.0
        codes, in_scale = round_inputs(x, errors.input_low, errors.input_high, fixed, below)
        tables = errors.weight_mean, errors.weight_spread
        drawn, scale = draw_weights(as_matrix(self.inner.weight), *tables, noise.at("weights"))
        unit, limits = scale * in_scale, self.limits()
        groups, bias = list(itertools.pairwise(errors.starts)), self.inner.bias
        zero = in_scale * errors.input_zero
        if errors.input_zero:
            known = drawn if errors.measured else drawn - self._errors_of(drawn.detach(), scale.detach())
            bias = (0.0 if bias is None else bias) - zero * known.sum(1)
        total = None
        for number, (low, high) in enumerate(groups):
            last = bias if number == len(groups) - 1 else None
            sums = self._sums(codes, drawn, low, high)
            if errors.input_zero:
                sums = sums + along(zero * drawn[:, low:high].sum(1), sums)
            made = convert_sums(sums, unit, limits, noise.at("sums", number), last)
            total = made if total is None else total + made
        assert total is not None
        return total.reshape(*x.shape[:-1], -1) if isinstance(self.inner, nn.Linear) else total

    def _errors_of(self, drawn: Tensor, scale: Tensor) -> Float[Tensor, "outputs inputs"]:
        """What weights as they were drawn have beyond their codes."""
        codes = round_half_up(as_matrix(self.inner.weight.detach()) / scale[:, None])
        return drawn - codes * scale[:, None]

    def input_scale(self) -> Tensor:
        """Scale of the grid of inputs: the power of two at or above the trained one, with its gradient."""
        soft = torch.exp2(self.log_scale)
        # What rounding makes of an exact power of two must not move it to the next.
        return straight_through(soft, torch.exp2(torch.ceil(self.log_scale.detach() - 1e-4)))

    def gain(self) -> float:
        """The converter's gain nearest to the trained one."""
        return self.errors.gains[self._nearest()]

    def limits(self) -> Range:
        """The converter at its gain; slopes are those between the gains it has."""
        errors, at = self.errors, self._nearest()
        hard = [values[at] for values in (errors.sd, errors.step, errors.low, errors.high)]
        if not self.log_gain.requires_grad:
            return Range(*hard)
        soft = [_between(self.log_gain, errors.gains, v) for v in (errors.sd, errors.step, errors.low, errors.high)]
        return Range(*(straight_through(s, h) for s, h in zip(soft, hard, strict=True)))

    def _nearest(self) -> int:
        away = torch.tensor(self.errors.gains).log2() - self.log_gain.detach()
        return int(away.abs().argmin())

    def _sums(self, codes: Tensor, drawn: Tensor, low: int, high: int) -> Tensor:
        """Sums of one row group: [items, outputs] of a linear layer, [items, outputs, height, width] of images."""
        if isinstance(self.inner, nn.Linear):
            return nn.functional.linear(codes.flatten(0, -2)[:, low:high], drawn[:, low:high])
        conv = self.inner
        if (low, high) != (0, drawn.shape[1]):
            drawn = nn.functional.pad(drawn[:, low:high], (low, drawn.shape[1] - high))
        kernel = from_matrix(drawn, conv.weight)
        return nn.functional.conv2d(
            codes,
            kernel,
            None,
            conv.stride,
            conv.padding,
            conv.dilation,  # type: ignore[arg-type]
        )


def _between(log_gain: Tensor, gains: tuple[float, ...], values: Tensor) -> Tensor:
    """`values` per gain, interpolated on a line over the logarithm of the gain."""
    at = torch.tensor(gains).log2()
    upper = int(torch.searchsorted(at, log_gain.detach()).clamp(1, len(gains) - 1))
    share = (log_gain - at[upper - 1]) / (at[upper] - at[upper - 1])
    return values[upper - 1] + share * (values[upper] - values[upper - 1])


@torch.no_grad()
def clip_weights(model: nn.Module, spread: float) -> None:
    """Clips the weights of every `ChipTrained` to `spread` standard deviations of their output, in place.

    The largest weight of an output takes the largest code, so one outlier costs all others their resolution.
    """
    for layer in model.modules():
        if isinstance(layer, ChipTrained):
            rows = layer.inner.weight.flatten(1)
            limit = spread * rows.square().mean(1, keepdim=True).sqrt()
            layer.inner.weight.copy_(rows.clamp(-limit, limit).reshape(layer.inner.weight.shape))
