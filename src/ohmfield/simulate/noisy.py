"""From a converted model to one that trains for its chip: what each analog layer gets wrong, tried on the chip itself.

Errors of weights come from writing every code many times; errors of sums from the kernel, on calibration inputs, beside
the exact product. So every cell, converter and encoding that can be simulated can be trained for.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise
from typing import TypeGuard

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.calls import ROOT
from ohmfield.mapping.slice import slice_weights
from ohmfield.numerics import Noise
from ohmfield.simulate.averaging import in_levels, nominal_shares
from ohmfield.simulate.calibrate import layer_inputs
from ohmfield.simulate.choose import measures_sums, product_of
from ohmfield.simulate.conversion import IDEAL, Causes, hardware_step, signed_conversion
from ohmfield.simulate.convert import chip_layers
from ohmfield.simulate.layers import ChipLinear
from ohmfield.simulate.plan import LayerPlan
from ohmfield.simulate.reading import copy_noise, read_copy
from ohmfield.simulate.training import ChipTrained, Errors
from ohmfield.simulate.writing import program_layer

ROOM = 4.0  # how many times larger than any seen sums may grow
TRAINED = ("differential", "offset", "twos_complement", "ternary")  # encodings of codes around zero
TRIES = 512  # cells written per weight code
TRIAL_SEED = -1  # no instance that is deployed has it
NOISE_ONLY = Causes(clipping=False, rounding=False, programming=False, reading=True)


def with_noise(
    model: nn.Module,
    module: nn.Module,
    chip: Chip,
    coords: Shaped[Tensor, "num *dims"],
    *,
    gains: dict[str, tuple[float, ...]] | None = None,
    elapsed_s: float = 0.0,
    learn_ranges: bool = False,
) -> nn.Module:
    """A copy of the float `model` whose linear layers and convolutions on crossbars are `ChipTrained`.

    Weights of two levels, columns that may be flipped and weights that functions are called with are left as they are.

    `module` is the converted model: its formats are where ranges start, and its kernels tell the errors at `coords`.
    Cells have the age `elapsed_s`; `gains` are the calibrated ones of the converters, else the lowest.
    """
    made = copy.deepcopy(model)
    modules = {path or ROOT: child for path, child in made.named_modules()}
    seen = layer_inputs(module, coords)
    tables: dict[tuple[str, int], tuple[Tensor, Tensor]] = {}
    for path, layer in chip_layers(module).items():
        unit, inner = chip.units[layer.plan.unit], modules.get(layer.module_path)
        if (
            inner is None
            or not isinstance(unit, Crossbar)
            or unit.array.encoding not in TRAINED
            or not _trainable(inner)
        ):
            continue
        kind = (layer.plan.unit, layer.plan.weight_bits)
        if kind not in tables:
            tables[kind] = weight_errors(layer.plan, chip, elapsed_s)
        errors = layer_errors(layer, chip, seen[path], tables[kind], elapsed_s)
        if gains and path in gains:
            errors = replace(errors, gain=max(gains[path]))
        made = _swapped(made, inner, ChipTrained(inner, errors, Noise(0).at("noise-aware", path), learn_ranges))
    return made


def _swapped(model: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """`model` with `new` wherever `old` is: at its root, or below one parent or several."""
    if model is old:
        return new
    for path, module in list(model.named_modules(remove_duplicate=False)):
        if module is old:
            model.set_submodule(path, new)
    return model


def refresh(noisy: nn.Module, fresh: nn.Module) -> None:
    """Takes the errors that `fresh` (from `with_noise`) measured into `noisy`, in place; what it learnt stays."""
    for path, layer in noisy.named_modules():
        if isinstance(layer, ChipTrained):
            measured = fresh.get_submodule(path)
            assert isinstance(measured, ChipTrained)
            layer.errors = measured.errors


def without_noise(model: nn.Module) -> nn.Module:
    """`model` with every `ChipTrained` back to the layer in it."""
    for layer in list(model.modules()):
        if isinstance(layer, ChipTrained):
            model = _swapped(model, layer, layer.inner)
    return model.eval()


def learnt_ranges(model: nn.Module) -> dict[str, tuple[float, float]]:
    """Per path the scale of the inputs' grid and the converter's gain of each `ChipTrained`, as the chip has them."""
    return {
        path or ROOT: (float(layer.input_scale().detach()), layer.gain())
        for path, layer in model.named_modules()
        if isinstance(layer, ChipTrained)
    }


def _trainable(inner: nn.Module) -> TypeGuard[nn.Linear | nn.Conv2d]:
    """Whether a `ChipTrained` knows how to run it."""
    if type(inner) is nn.Linear:
        return True
    return type(inner) is nn.Conv2d and inner.groups == 1 and inner.padding_mode == "zeros"


def weight_errors(
    plan: LayerPlan, chip: Chip, elapsed_s: float = 0.0
) -> tuple[Float[Tensor, " codes"], Float[Tensor, " codes"]]:
    """Mean and standard deviation of what every weight code reads as, less the code, `elapsed_s` after the first read.

    Codes from the most negative to the most positive of pairs, `-most .. most`; each is written `TRIES` times.
    """
    unit = chip.units[plan.unit]
    assert isinstance(unit, Crossbar)
    most = 2 ** (plan.weight_bits - 1) - 1
    codes = np.repeat(np.arange(-most, most + 1, dtype=np.int64)[:, None], TRIES, axis=1)
    trial = replace(plan, path=f"{plan.path}:training", starts=np.array([0, TRIES]), copies=1)
    written = program_layer(codes, trial, _without_dead_lines(chip, plan.unit), TRIAL_SEED).conductances_uS
    assert written is not None
    error = _read_errors(codes, written[0], trial, chip, elapsed_s)
    return torch.from_numpy(error.mean(0)).float(), torch.from_numpy(error.std(0)).float()


def _without_dead_lines(chip: Chip, name: str) -> Chip:
    """`chip` with lines that all work: a dead line is no error of a weight; what is measured on the layer has them."""
    unit = chip.units[name]
    assert isinstance(unit, Crossbar)
    array = replace(unit.array, dead_row_rate=0.0, dead_column_rate=0.0)
    return replace(chip, units={**chip.units, name: replace(unit, array=array)})


def layer_errors(
    layer: ChipLinear,
    chip: Chip,
    inputs: Int[np.ndarray, "vectors inputs"],
    weight: tuple[Tensor, Tensor],
    elapsed_s: float = 0.0,
) -> Errors:
    """What the chip does to one layer, its conversions tried on `inputs` at every gain that the converter offers.

    Errors of cells and converters do not add: a conversion in steps of one level rounds either away, but not both. So
    for sums of many conversions the whole error of an instance is measured. The part of it that follows the errors of
    its weights is drawn with the weights, the rest with the sums.
    """
    plan, unit = layer.plan, chip.units[layer.plan.unit]
    assert isinstance(unit, Crossbar)
    codes = layer.weight_codes().numpy()
    slices = slice_weights(codes, unit.array, plan.weight_bits, plan.path)
    banks = np.abs(slices.bank_weights(unit.array.subtract).astype(np.float64))
    planes = np.abs(np.array(unit.dac.plane_weights(plan.input_bits, plan.signed_input), dtype=np.float64))
    together = float(banks.sum() * planes.sum())
    single = len(banks) * len(planes) == 1
    signed = signed_conversion(unit, plan.signed_input)
    least, most = unit.adc.limits(signed)
    base, gains = hardware_step(unit, plan.signed_input), unit.adc.choices()
    if unit.array.averages:  # a step of the mean column
        base *= float(nominal_shares(slices, unit, plan.starts).mean())
    steps = torch.tensor([base / gain for gain in gains])
    causes = NOISE_ONLY if single else Causes()
    errors = [conversion_errors(layer, chip, inputs, gain, causes, elapsed_s) for gain in gains]
    sums = np.array([float(np.mean(error**2)) for error in errors])
    kept = 1.0  # of the error that weights would leave if nothing were rounded away
    if not single:
        away = inputs - plan.input_zero if measures_sums(unit) else inputs
        follows = away.astype(np.float64) @ instance_errors(layer, chip, elapsed_s)
        power = float(np.mean(follows**2))
        kept = float(np.clip(np.mean(errors[int(sums.argmin())] * follows) / max(power, 1e-30), 0.0, 1.0))
        sums = np.maximum(sums - kept**2 * power, 0.0)
    starts = tuple(int(start) for start in plan.starts)
    largest = max(float(np.abs(inputs[:, low:high] @ codes[:, low:high].T).max()) for low, high in pairwise(starts))
    if not single and ROOM * largest < together * float(steps.min()) * most:
        starts = (starts[0], starts[-1])  # no converter comes near its ends: the groups' noise is that of their sum
    reach = (-most if not signed else least, most)  # an unsigned conversion is made up for on the digital side
    grid, zero = layer.form.input, plan.input_zero
    return Errors(
        weight_mean=weight[0] * kept,
        weight_spread=weight[1] * kept,
        starts=starts,
        input_low=grid.low - zero,
        input_high=grid.high - zero,
        input_scale=float(grid.scale),
        gains=gains,
        sd=torch.from_numpy(sums / (len(starts) - 1)).sqrt().float(),
        step=steps if single else torch.zeros(len(gains)),
        low=steps * reach[0] * together,
        high=steps * reach[1] * together,
        gain=gains[0],
        input_zero=zero,
        measured=measures_sums(unit),
    )


def conversion_errors(
    layer: ChipLinear,
    chip: Chip,
    inputs: Int[np.ndarray, "vectors inputs"],
    gain: float,
    causes: Causes,
    elapsed_s: float,
) -> Float[np.ndarray, "vectors outputs"]:
    """The layer's integer outputs on one instance less the exact product, in products of two codes."""
    plan, unit = layer.plan, chip.units[layer.plan.unit]
    assert isinstance(unit, Crossbar)
    banks = unit.array.conversions_per_weight(plan.weight_bits)
    codes = layer.weight_codes().numpy()
    written = program_layer(codes, replace(plan, copies=1), chip, TRIAL_SEED, (gain,) * banks)
    read = product_of(written, plan, chip, causes, TRIAL_SEED, elapsed_s)
    exact = product_of(written, plan, chip, IDEAL, TRIAL_SEED)
    return (read.run(inputs, 0)[0] * read.step - exact.run(inputs, 0)[0] * exact.step).astype(np.float64)


def instance_errors(layer: ChipLinear, chip: Chip, elapsed_s: float) -> Float[np.ndarray, "inputs outputs"]:
    """What the weights of that instance read as, less their codes."""
    codes, plan = layer.weight_codes().numpy(), replace(layer.plan, copies=1)
    written = program_layer(codes, plan, chip, TRIAL_SEED).conductances_uS
    assert written is not None
    return _read_errors(codes, written[0], plan, chip, elapsed_s)


def _read_errors(
    codes: Int[np.ndarray, "outputs inputs"],
    conductances_uS: Float[np.ndarray, "inputs slices sides outputs"],
    plan: LayerPlan,
    chip: Chip,
    elapsed_s: float,
) -> Float[np.ndarray, "inputs outputs"]:
    """Digits put together again, as they read at that age, less the codes that were written."""
    unit = chip.units[plan.unit]
    assert isinstance(unit, Crossbar)
    slices = slice_weights(codes, unit.array, plan.weight_bits)
    causes = Causes(reading=False, wires=False)  # wires are in what is measured on the layer itself
    noise = copy_noise(TRIAL_SEED, plan.path, 0)
    stored = read_copy(conductances_uS, slices, unit, plan.starts, elapsed_s, causes, noise)
    weights = slices.bank_weights(unit.array.subtract).astype(np.float64)
    # What is made good behind the conversions is made good here.
    levels = stored.levels * stored.scale
    if unit.array.averages:
        levels = in_levels(levels, slices, unit, plan.starts)
    return np.einsum("ibo,b->io", levels - slices.bank_levels(unit.array.subtract), weights)
