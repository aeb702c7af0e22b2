"""Choosing the gain of each layer's converters on calibration inputs, and the histogram of the codes they give."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, nn

from ohmfield._kernels.crossbar import LoweredArray, digits
from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar
from ohmfield.compress.quantise import PERCENTILE, Rule
from ohmfield.mapping.slice import slice_weights
from ohmfield.simulate.conversion import Causes, output_step, signed_conversion
from ohmfield.simulate.convert import chip_layers
from ohmfield.simulate.layers import ChipLinear
from ohmfield.simulate.lower import Stored
from ohmfield.simulate.lower import lower as lower_array
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.reading import banked_copy
from ohmfield.simulate.run import predict

VECTORS = 256  # calibration vectors per layer: a hundred thousand conversions and more


@dataclass(frozen=True, eq=False)
class CodeHistogram:
    """Codes that a layer's converters gave, over all banks; `clipped_fraction` of them at the ends of the range."""

    codes: Int[np.ndarray, " codes"]
    counts: Int[np.ndarray, " codes"]
    step_levels: float
    clipped_fraction: float
    bank: str


def choose_gains(
    module: nn.Module,
    chip: Chip,
    coords: Float[Tensor, "num *dims"],
    *,
    rule: Rule = "mse",
    granularity: Literal["layer", "slice"] = "layer",
    programmed: Programmed | None = None,
) -> dict[str, tuple[float, ...]]:
    """The gain of each bank of each crossbar layer of the converted `module`, from `adc.gains`.

    `max`: the largest gain that clips nothing on these inputs; `percentile`: that clips at most 0.05 % of the
    conversions; `mse`: the least squared error of the layer's output (`slice`: of the bank's) against the sums before
    conversion. It sees the design, that is ideal cells; with `programmed` it sees that instance (its first copy).
    """
    gains: dict[str, tuple[float, ...]] = {}
    for path, codes in layer_inputs(module, coords).items():
        layer = chip_layers(module)[path]
        unit = chip.units[layer.plan.unit]
        if isinstance(unit, Crossbar):
            gains[path] = _layer_gains(layer, unit, codes, rule, granularity, programmed)
    return gains


def layer_inputs(module: nn.Module, coords: Float[Tensor, "num *dims"]) -> dict[str, Int[np.ndarray, "vectors inputs"]]:
    """Input codes that each converted linear layer sees at `coords`; at most `VECTORS`, evenly spread."""
    seen: dict[str, list[np.ndarray]] = {}

    def keep(layer: nn.Module, args: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, ChipLinear)
        seen.setdefault(layer.path, []).append(layer.input_codes(args[0], VECTORS).numpy())

    handles = [layer.register_forward_pre_hook(keep) for layer in chip_layers(module).values()]
    try:
        predict(module, coords)
    finally:
        for handle in handles:
            handle.remove()
    return {path: _spread(np.concatenate(parts)) for path, parts in seen.items()}


def _spread(codes: Int[np.ndarray, "vectors inputs"]) -> Int[np.ndarray, "some inputs"]:
    """`VECTORS` of them, evenly spread."""
    return codes[:: max(1, len(codes) // VECTORS)][:VECTORS]


def histograms(
    module: nn.Module, chip: Chip, programmed: Programmed, coords: Float[Tensor, "num *dims"]
) -> dict[str, CodeHistogram]:
    """A code histogram per operator id, of the first copy of this instance, read noise left out."""
    made: dict[str, CodeHistogram] = {}
    for path, codes in layer_inputs(module, coords).items():
        layer = chip_layers(module)[path]
        unit = chip.units[layer.plan.unit]
        if isinstance(unit, Crossbar):
            made[f"{path}#0"] = _histogram(layer, unit, programmed, codes)
    return made


def conversion_values(
    array: LoweredArray, inputs: Int[np.ndarray, "vectors inputs"], bank: int
) -> Int[np.ndarray, "groups planes vectors outputs"]:
    """What the converters of one bank see, in 1 / grid level, without noise."""
    planes = digits(array, inputs).astype(np.float64).reshape(-1, array.num_inputs)  # sums below 2^53 are exact
    shape = (array.num_planes, len(inputs), array.num_outputs)
    groups = []
    for low, high in itertools.pairwise(array.starts.tolist()):
        digit = planes[:, low:high]
        value = (digit @ array.levels[low:high, bank].astype(np.float64)).astype(np.int64)
        if array.pedestal is not None:
            value += array.pedestal[digit.sum(axis=1).astype(np.int64)][:, None]
        groups.append(value.reshape(shape))
    return np.stack(groups)


def _layer_gains(
    layer: ChipLinear,
    unit: Crossbar,
    inputs: Int[np.ndarray, "vectors inputs"],
    rule: Rule,
    granularity: str,
    programmed: Programmed | None,
) -> tuple[float, ...]:
    banks = unit.array.conversions_per_weight(layer.plan.weight_bits)
    choices = sorted(unit.adc.gains)
    scores = np.empty((len(choices), banks))
    totals = np.empty(len(choices))
    for index, gain in enumerate(choices):
        array = _lowered(layer, unit, (gain,) * banks, programmed)
        errors, clipped = _errors(array, inputs, array.grid * output_step(unit, layer.plan.driving((gain,)), Causes()))
        if rule == "mse":
            scores[index] = [float(np.mean(error**2)) for error in errors]
            totals[index] = float(np.mean(sum(w * e for w, e in zip(array.bank_weights, errors, strict=True)) ** 2))
        else:  # the largest gain that clips little enough
            allowed = 0.0 if rule == "max" else 1.0 - PERCENTILE
            scores[index] = np.where(np.array(clipped) <= allowed, -index, 1.0 + np.array(clipped))
            totals[index] = -index if max(clipped) <= allowed else 1.0 + max(clipped)
    if granularity == "slice":
        return tuple(choices[index] for index in scores.argmin(axis=0))
    return (choices[int(totals.argmin())],) * banks


def _lowered(
    layer: ChipLinear, unit: Crossbar, gains: tuple[float, ...], programmed: Programmed | None
) -> LoweredArray:
    codes = layer.weight_codes().numpy() if programmed is None else programmed.layers[layer.path].codes
    slices = slice_weights(codes, unit.array, layer.plan.weight_bits, layer.path)
    stored = Stored(slices.bank_levels(unit.array.subtract).astype(np.float64), None)
    if programmed is not None:
        stored = banked_copy(programmed, layer.plan, unit, slices, Causes(reading=False))
    return lower_array(stored, slices, unit, layer.plan.driving(gains), Causes(reading=False))


def _errors(
    array: LoweredArray, inputs: Int[np.ndarray, "vectors inputs"], step: float
) -> tuple[list[np.ndarray], list[float]]:
    """Per bank: error of its sum over planes and groups in units of the step, and the share of clipped conversions."""
    errors, clipped = [], []
    for bank in range(array.num_banks):
        values = conversion_values(array, inputs, bank)
        codes = array.codes[bank][np.clip(values - array.first, 0, array.codes.shape[1] - 1)]
        clipped.append(float(np.mean((values / step > codes.max() + 0.5) | (values / step < codes.min() - 0.5))))
        difference = codes - values / step
        errors.append(np.einsum("gpvo,p->vo", difference, array.plane_weights.astype(np.float64)))
    return errors, clipped


def _histogram(
    layer: ChipLinear, unit: Crossbar, programmed: Programmed, inputs: Int[np.ndarray, "vectors inputs"]
) -> CodeHistogram:
    gains = programmed.layers[layer.path].gains
    array = _lowered(layer, unit, gains, programmed)
    least, most = unit.adc.limits(signed_conversion(unit, layer.plan.signed_input))
    counts = np.zeros(most - least + 1, dtype=np.int64)
    for bank in range(array.num_banks):
        values = conversion_values(array, inputs, bank) - array.first
        codes = array.codes[bank][np.clip(values, 0, array.codes.shape[1] - 1)].ravel()
        counts += np.bincount(codes - least, minlength=len(counts))
    clipped = counts[-1] + (counts[0] if least < 0 else 0)
    used = np.flatnonzero(counts)
    low, high = int(used[0]), int(used[-1])
    step = output_step(unit, layer.plan.driving(gains), Causes())
    return CodeHistogram(
        codes=np.arange(low, high + 1) + least,
        counts=counts[low : high + 1],
        step_levels=step,
        clipped_fraction=float(clipped / counts.sum()),
        bank=f"{array.num_banks} banks, gains {', '.join(f'{gain:g}' for gain in sorted(set(gains)))}",
    )
