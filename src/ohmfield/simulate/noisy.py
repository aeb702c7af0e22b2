"""Training for a noisy chip: a float model whose analog layers draw the error that their conversions would leave.

What a conversion gets wrong does not depend on the weights' scale, so in a layer's output it grows with the largest
weight of the output and the largest input. Both stand in the forward with their gradient: training spreads a layer's
work over many weights of like size instead of a few large ones, which is what an array of noisy cells needs.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import slice_weights
from ohmfield.numerics import Noise
from ohmfield.simulate.conversion import converter_std, hardware_step, level_uS, pedestal_levels, signed_conversion
from ohmfield.simulate.convert import chip_layers
from ohmfield.simulate.layers import ChipLinear
from ohmfield.simulate.run import predict
from ohmfield.tally import Tally

SAMPLES = 1 << 16
TYPICAL_SUM_LEVELS = 6.0  # spread of the sums that are tried; the error of a plain staircase does not depend on it


class NoisyLinear(nn.Module):
    """A linear layer plus normal noise of `spread` products of one weight code and one input code."""

    def __init__(self, inner: nn.Linear, spread: float, weight_codes: int, input_bits: int, noise: Noise) -> None:
        super().__init__()
        self.inner, self.spread, self.weight_codes, self.input_bits = inner, spread, weight_codes, input_bits
        self.generator = torch.Generator().manual_seed(noise.key % 2**63)

    def forward(self, x: Float[Tensor, "*items inputs"]) -> Float[Tensor, "*items outputs"]:
        """The layer's output, noisy while training."""
        clean = self.inner(x)
        if not self.training:
            return clean
        codes = 2**self.input_bits - 1 if float(x.detach().min()) >= 0.0 else 2 ** (self.input_bits - 1) - 1
        largest = x.abs().amax().clamp_min(1e-30)
        size = float(largest.detach())
        of_inputs = largest * (power_of_two_above(size / codes) / size)
        of_weights = self.inner.weight.abs().amax(1) / self.weight_codes
        drawn = torch.randn(clean.shape, generator=self.generator)
        return clean + drawn * (self.spread * of_inputs) * of_weights


def power_of_two_above(value: float) -> float:
    """The scale that an input grid takes for codes of size `value`; such grids have powers of two.

    >>> power_of_two_above(0.3)
    0.5
    """
    return 2.0 ** math.ceil(math.log2(value))


def with_noise(model: nn.Module, module: nn.Module, chip: Chip, coords: Float[Tensor, "num *dims"]) -> nn.Module:
    """A copy of the float `model` whose layers on crossbars are `NoisyLinear`.

    `module` is the converted model: how densely its rows are driven is counted at `coords`.
    """
    tally = Tally()
    with tally.listen():
        predict(module, coords)
    made = copy.deepcopy(model)
    for path, layer in chip_layers(module).items():
        unit = chip.units[layer.plan.unit]
        if isinstance(unit, Crossbar):
            counts = tally[f"{path}#0"]
            planes = unit.dac.num_planes(layer.plan.input_bits, layer.plan.signed_input)
            driven = counts["driven"] / (counts["vectors"] * planes * (len(layer.plan.starts) - 1))
            spread = output_spread(layer, unit, driven)
            inner = made.get_submodule(path)
            assert isinstance(inner, nn.Linear)
            noise = Noise(0).at("noise-aware", path)
            largest = max(1, 2 ** (layer.plan.weight_bits - 1) - 1)
            made.set_submodule(path, NoisyLinear(inner, spread, largest, layer.plan.input_bits, noise))
    return made


def without_noise(model: nn.Module) -> nn.Module:
    """`model` with every `NoisyLinear` back to the layer in it."""
    for path, layer in list(model.named_modules()):
        if isinstance(layer, NoisyLinear):
            model.set_submodule(path, layer.inner)
    return model.eval()


def output_spread(layer: ChipLinear, unit: Crossbar, driven: float) -> float:
    """Standard deviation of a layer's integer output, in products of one weight code and one input code.

    Conversions of all row groups, planes and slices err on their own: their variances add with the squares of what
    each conversion weighs.
    """
    plan = layer.plan
    slices = slice_weights(np.ones((1, 1), dtype=np.int64), unit.array, plan.weight_bits)
    banks = slices.bank_weights(unit.array.subtract).astype(np.float64)
    planes = np.array(unit.dac.plane_weights(plan.input_bits, plan.signed_input), dtype=np.float64)
    weights = float((banks**2).sum() * (planes**2).sum()) * (len(plan.starts) - 1)
    return math.sqrt(weights * conversion_variance(unit, plan.signed_input, driven))


def conversion_variance(unit: Crossbar, signed_input: bool, driven: float) -> float:
    """Mean square error of one conversion in levels^2: cells, converter noise and rounding, tried on drawn sums.

    `driven` is the mean sum of the digits that drive a row group. A conversion with steps of one level rounds small
    errors away, so this is far from the sum of the parts.
    """
    noise = Noise(0).at("conversion")
    level = level_uS(unit)
    half = torch.full((SAMPLES,), 0.5 * (unit.cell.g_min_uS + unit.cell.g_max_uS))
    written = unit.cell.program(half, noise.at("program"))
    reading = unit.cell.read_std_uS(written, written, 0.0, unit.array)
    cells = ((written - half).square().mean() + reading.square().mean()) / level**2
    sides = 2 if unit.pairs else 1
    base = hardware_step(unit, signed_input)
    spread = math.sqrt(driven * sides * float(cells) + converter_std(unit, base) ** 2)
    step = base / max(unit.adc.gains)
    sums = torch.round(TYPICAL_SUM_LEVELS * noise.at("sums").normal((SAMPLES,)))
    signed = signed_conversion(unit, signed_input)
    if not signed:
        sums = sums.abs() + pedestal_levels(unit) * driven
    noisy = sums + spread * noise.at("errors").normal((SAMPLES,))
    codes = unit.adc.code(noisy.double().numpy() / step, signed)
    return float(np.mean((codes * step - sums.double().numpy()) ** 2))
