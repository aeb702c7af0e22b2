"""Choosing the gain of each layer's converters on calibration inputs, and the histogram of the codes they give."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from ohmfield._kernels.crossbar import LoweredArray, conversions, digits, of_bank
from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar
from ohmfield.compress.quantise import PERCENTILE, Rule
from ohmfield.mapping.slice import slice_weights
from ohmfield.numerics import spread
from ohmfield.simulate.columns import bank_steps, with_columns
from ohmfield.simulate.conversion import Causes, output_step, signed_conversion
from ohmfield.simulate.convert import chip_layers
from ohmfield.simulate.layers import ChipLinear
from ohmfield.simulate.lower import Stored
from ohmfield.simulate.lower import lower as lower_array
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.reading import banked_copy, nominal_levels
from ohmfield.simulate.run import predict
from ohmfield.spec import InputError

EVERYTHING = 0.999  # share of clipped conversions that leaves nothing of a layer
VECTORS = 256  # calibration vectors per layer: a hundred thousand conversions and more


@dataclass(frozen=True, eq=False)
class CodeHistogram:
    """Codes that a layer's converters gave, over all banks; `clipped_fraction` of them at the ends of the range."""

    codes: Int[np.ndarray, " codes"]
    counts: Int[np.ndarray, " codes"]
    step_levels: float
    clipped_fraction: float
    bank: str


Granularity = Literal["chip", "layer", "slice"]


def choose_gains(
    module: nn.Module,
    chip: Chip,
    coords: Shaped[Tensor, "num *dims"],
    *,
    rule: Rule = "mse",
    granularity: Granularity = "layer",
    programmed: Programmed | None = None,
) -> dict[str, tuple[float, ...]]:
    """The gain of each bank of each crossbar layer of the converted `module`, from what `adc` offers.

    `max`: the largest gain that clips nothing on these inputs; `percentile`: that clips at most 0.05 % of the
    conversions; `mse`: the least squared error of the layer's output (`slice`: of the bank's; `chip`: of all layers of
    a unit, each over its mean square) against the sums before conversion. It sees the design, that is ideal cells; with
    `programmed` it sees that instance (its first copy) at its age, before any digital correction.
    `InputError` names a layer whose conversions all leave every range.
    """
    tried: dict[str, _Tried] = {}
    for path, codes in layer_inputs(module, coords).items():
        layer = chip_layers(module)[path]
        unit = chip.units[layer.plan.unit]
        if isinstance(unit, Crossbar):
            tried[path] = _try_gains(layer, unit, codes, programmed)
            if tried[path].clipped.min() >= EVERYTHING:
                raise InputError(
                    f"all conversions leave the range at gain {min(unit.adc.choices()):g}: "
                    "declare a larger adc.step_levels, more adc.bits or fewer array.rows_active",
                    path,
                )
    gains: dict[str, tuple[float, ...]] = {}
    for path, layer in chip_layers(module).items():
        if path in tried:
            name, mine = layer.plan.unit, tried[path]
            choices, banks = chip.units[name].adc.choices(), mine.clipped.shape[1]  # type: ignore[attr-defined]
            if granularity == "slice":
                chosen = [_pick(rule, mine.of_bank[:, bank], mine.clipped[:, bank]) for bank in range(banks)]
            else:
                shared = [
                    each
                    for other, each in tried.items()
                    if other == path or (granularity == "chip" and chip_layers(module)[other].plan.unit == name)
                ]
                errors = sum(each.of_layer for each in shared)
                clipped = np.max([each.clipped.max(axis=1) for each in shared], axis=0)
                chosen = [_pick(rule, np.asarray(errors), clipped)] * banks
            gains[path] = tuple(choices[index] for index in chosen)
    return gains


def layer_inputs(
    module: nn.Module, coords: Shaped[Tensor, "num *dims"], most: int = VECTORS
) -> dict[str, Int[np.ndarray, "vectors inputs"]]:
    """Input codes that each converted linear layer sees at `coords`; at most `most`, evenly spread."""
    seen: dict[str, list[np.ndarray]] = {}

    def keep(layer: nn.Module, args: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, ChipLinear)
        seen.setdefault(layer.path, []).append(layer.input_codes(args[0], most).numpy())

    handles = [layer.register_forward_pre_hook(keep) for layer in chip_layers(module).values()]
    try:
        predict(module, coords)
    finally:
        for handle in handles:
            handle.remove()
    return {path: _spread(np.concatenate(parts), most) for path, parts in seen.items()}


def _spread(codes: Int[np.ndarray, "vectors inputs"], most: int) -> Int[np.ndarray, "some inputs"]:
    """`most` of them, evenly spread."""
    return codes[spread(len(codes), most)]


def histograms(
    module: nn.Module, chip: Chip, programmed: Programmed, coords: Shaped[Tensor, "num *dims"]
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


@dataclass(frozen=True, eq=False)
class _Tried:
    """What each gain on offer would do to one layer."""

    of_bank: Float[np.ndarray, "choices banks"]  # mean square error of what a bank adds to the output, in levels^2
    of_layer: Float[np.ndarray, " choices"]  # of the output, over its mean square
    clipped: Float[np.ndarray, "choices banks"]  # share of conversions


def _try_gains(
    layer: ChipLinear, unit: Crossbar, inputs: Int[np.ndarray, "vectors inputs"], programmed: Programmed | None
) -> _Tried:
    banks = unit.array.conversions_per_weight(layer.plan.weight_bits)
    of_bank, of_layer, clipped = [], [], []
    choices = unit.adc.choices()
    for gain in choices:
        driving = layer.plan.driving((gain,) * banks)
        array = _lowered(layer, unit, driving.gains, programmed)
        if len(choices) == 1:  # nothing to compare: what clips is all that is asked
            share = _clipped(array, inputs, bank_steps(unit, driving))
            return _Tried(np.zeros((1, len(share))), np.zeros(1), share[None])
        errors, exact, share = _errors(array, inputs, bank_steps(unit, driving))
        step = output_step(unit, driving, Causes())
        of_bank.append(np.mean(errors**2, axis=(1, 2)) * step**2)
        of_layer.append(np.mean(errors.sum(axis=0) ** 2) / max(float(np.mean(exact**2)), 1.0))
        clipped.append(share)
    return _Tried(np.array(of_bank), np.array(of_layer), np.array(clipped))


def _pick(rule: Rule, errors: Float[np.ndarray, " choices"], clipped: Float[np.ndarray, " choices"]) -> int:
    """Index of the gain that `rule` takes, of gains in ascending order."""
    if rule == "mse":
        return int(errors.argmin())
    inside = np.flatnonzero(clipped <= (0.0 if rule == "max" else 1.0 - PERCENTILE))
    return int(inside[-1]) if len(inside) else int(clipped.argmin())


def _lowered(
    layer: ChipLinear, unit: Crossbar, gains: tuple[float, ...], programmed: Programmed | None
) -> LoweredArray:
    codes = layer.weight_codes().numpy() if programmed is None else programmed.layers[layer.path].codes
    slices = slice_weights(codes, unit.array, layer.plan.weight_bits, layer.path, layer.plan.starts)
    stored = Stored(nominal_levels(slices, unit, layer.plan.starts), None)
    if programmed is not None:
        stored = banked_copy(programmed, layer.plan, unit, slices, Causes(reading=False))
        held = replace(programmed.layers[layer.path], registers=None)
        stored = with_columns(stored, held, layer.plan, unit, programmed.seed, 0)
    return lower_array(stored, slices, unit, layer.plan.driving(gains), Causes(reading=False))


def _errors(
    array: LoweredArray, inputs: Int[np.ndarray, "vectors inputs"], steps: Float[np.ndarray, " banks"]
) -> tuple[
    Float[np.ndarray, "banks vectors outputs"], Float[np.ndarray, "vectors outputs"], Float[np.ndarray, " banks"]
]:
    """What the conversions of each bank add to the error of the output, the output without, the share that clips."""
    errors = np.zeros((array.num_banks, len(inputs), array.num_outputs))
    exact, clipped = np.zeros(errors.shape[1:]), np.zeros(array.num_banks)
    for (group, bank, plane), _, code, made in conversions(array, inputs):
        weight = of_bank(array.bank_weights, group, bank) * array.plane_weights[plane]
        errors[bank] += weight * np.where(made[:, None], code, 0)
    for bank, step in enumerate(steps):
        values = conversion_values(array, inputs, bank) / (array.grid * step)  # [groups, planes, vectors, outputs]
        clipped[bank] = _outside(array, bank, values)
        for group, planes in enumerate(np.einsum("gpvo,p->gvo", values, array.plane_weights.astype(np.float64))):
            sums = of_bank(array.bank_weights, group, bank) * planes
            errors[bank] -= sums
            exact += sums
    return errors, exact, clipped


def _clipped(
    array: LoweredArray, inputs: Int[np.ndarray, "vectors inputs"], steps: Float[np.ndarray, " banks"]
) -> Float[np.ndarray, " banks"]:
    """The share of each bank's conversions that clips."""
    return np.array(
        [
            _outside(array, bank, conversion_values(array, inputs, bank) / (array.grid * step))
            for bank, step in enumerate(steps)
        ]
    )


def _outside(array: LoweredArray, bank: int, values: Float[np.ndarray, "groups planes vectors outputs"]) -> float:
    """The share of `values`, in steps, that the codes of `bank` do not reach; half rounds up."""
    if array.rows_per_read:  # which takes no more rows than the range holds
        return 0.0
    return float(np.mean((values >= array.codes[bank].max() + 0.5) | (values < array.codes[bank].min() - 0.5)))


def _histogram(
    layer: ChipLinear, unit: Crossbar, programmed: Programmed, inputs: Int[np.ndarray, "vectors inputs"]
) -> CodeHistogram:
    gains = programmed.layers[layer.path].gains
    array = _lowered(layer, unit, gains, programmed)
    least, most = unit.adc.limits(signed_conversion(unit, layer.plan.signed_input))
    counts = np.zeros(most - least + 1, dtype=np.int64)
    for _, _, codes, made in conversions(array, inputs):
        counts += np.bincount((codes[made] - least).ravel(), minlength=len(counts))
    clipped = counts[-1] + (counts[0] if least < 0 else 0)
    if array.rows_per_read:  # as many rows as the range holds, and no more
        clipped = 0
    used = np.flatnonzero(counts) if counts.any() else np.array([-least])
    low, high = int(used[0]), int(used[-1])
    step = float(bank_steps(unit, layer.plan.driving(gains)).min())
    return CodeHistogram(
        codes=np.arange(low, high + 1) + least,
        counts=counts[low : high + 1],
        step_levels=step,
        clipped_fraction=float(clipped / max(1, counts.sum())),
        bank=f"{array.num_banks} banks, gains {', '.join(f'{gain:g}' for gain in sorted(set(gains)))}",
    )
