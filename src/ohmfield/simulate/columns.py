"""Converters that differ: mismatch drawn for each one of an instance, and the digital correction fitted to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from ohmfield._kernels.crossbar import LoweredArray, conversions
from ohmfield.chip.chip import Chip
from ohmfield.chip.correction import FIT_VECTORS
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import slice_weights
from ohmfield.mapping.tile import geometry
from ohmfield.numerics import Noise
from ohmfield.simulate.conversion import Causes, Driving, hardware_step
from ohmfield.simulate.lower import Columns, Stored, bank_octaves, lower, plain_scale
from ohmfield.simulate.plan import LayerPlan
from ohmfield.simulate.programmed import Programmed, StoredLayer
from ohmfield.simulate.reading import banked_copy
from ohmfield.simulate.writing import instance_noise

LEAST_CODES = 16  # fewer conversions inside the range tell nothing of a scale


def with_columns(stored: Stored, layer: StoredLayer, plan: LayerPlan, unit: Crossbar, seed: int, copy: int) -> Stored:
    """`stored` with the converters of that copy: their mismatch, and the correction in its registers."""
    columns = mismatch(unit, plan, layer.codes.shape[0], seed, copy)
    if layer.registers is not None:
        blocks = _blocks(unit, plan)
        scale, shift = layer.registers[copy].astype(np.int64)
        columns = replace(columns, scale=scale[blocks], shift=shift[blocks])
    return replace(stored, columns=columns)


def mismatch(unit: Crossbar, plan: LayerPlan, outputs: int, seed: int, copy: int) -> Columns:
    """Gain and offset of each converter, normal; columns that share a converter share both, arrays share none.

    Slices and sides of a weight lie side by side, outputs after one another, `columns_per_adc` columns at a converter.
    """
    held = geometry(unit, plan.weight_bits, plan.path)
    banks = unit.array.conversions_per_weight(plan.weight_bits)
    output, bank = np.arange(outputs), np.arange(banks)
    beside, place = np.divmod(output, held.weights_per_row)
    column = place * held.columns_per_weight + bank[:, None] * (held.columns_per_weight // banks)
    return _drawn(unit, plan, column, beside, seed, copy)


def with_reference_columns(stored: Stored, plan: LayerPlan, unit: Crossbar, seed: int, copy: int) -> Stored:
    """`stored` reference columns, the last ones of each array, with the converters that they share there."""
    kinds, beside = stored.levels.shape[1], np.arange(stored.levels.shape[2])
    column = unit.array.columns - kinds + np.arange(kinds)
    return replace(stored, columns=_drawn(unit, plan, column[:, None] + 0 * beside, beside, seed, copy))


def _drawn(
    unit: Crossbar,
    plan: LayerPlan,
    column: Int[np.ndarray, "banks outputs"],
    beside: Int[np.ndarray, " outputs"],
    seed: int,
    copy: int,
) -> Columns:
    """Converters of a copy at physical columns of the arrays side by side; packs on one array read it through them."""
    adc = unit.adc
    if not adc.mismatched:
        return Columns()
    converter = column // adc.columns_per_adc
    blocks = _blocks(unit, plan)
    arrays = (int(blocks.max()) + 1, int(beside.max()) + 1)
    noise = instance_noise(seed, plan.converters or plan.path, "converter").at(plan.wave, copy)
    shape = (*arrays, -(-unit.array.columns // adc.columns_per_adc))
    gain = 1.0 + adc.gain_std * noise.at("gain").normal(shape).double().numpy()
    offset = adc.offset_lsb_std * noise.at("offset").normal(shape).double().numpy()
    return Columns(gain[blocks][:, beside, converter], offset[blocks][:, beside, converter])


def corrected(programmed: Programmed, plans: Mapping[str, LayerPlan], chip: Chip, elapsed_s: float) -> Programmed:
    """`programmed` with the registers of its converters fitted on known inputs at the age `elapsed_s`.

    Least squares of what ideal cells and converters give on the codes of this instance, per physical column; codes at
    the ends of the range are left out, read noise is averaged out.
    """
    layers = dict(programmed.layers)
    for path, plan in plans.items():
        unit = chip.units[plan.unit]
        if isinstance(unit, Crossbar) and unit.adc.post_calibration is not None:
            copies = [_registers(programmed.aged(elapsed_s), plan, unit, copy) for copy in range(plan.copies)]
            layers[path] = replace(layers[path], registers=np.stack(copies))
    return replace(programmed, layers=layers)


def known_inputs(plan: LayerPlan, inputs: int) -> Int[np.ndarray, "vectors inputs"]:
    """Input codes of every size at densities from 0 to 1; the same for every instance."""
    noise = Noise(0).at("known inputs", plan.path)
    density = np.linspace(0.0, 1.0, FIT_VECTORS)[:, None]
    shape = (FIT_VECTORS, inputs)
    largest = 2 ** (plan.input_bits - 1) - 1 if plan.signed_input else 2**plan.input_bits - 1
    size = noise.at("size").integers(largest + 1, shape).numpy()
    sign = 1 - 2 * noise.at("sign").integers(2, shape).numpy() if plan.signed_input else 1
    return size * sign * (noise.at("driven").uniform(shape).numpy() < density)


def _blocks(unit: Crossbar, plan: LayerPlan) -> Int[np.ndarray, " groups"]:
    """The array, of those one above the other, that each row group lies in; one entry if all lie in one."""
    blocks = plan.starts[:-1] // unit.array.rows
    return blocks if int(blocks.max(initial=0)) else blocks[:1]


def _registers(
    programmed: Programmed, plan: LayerPlan, unit: Crossbar, copy: int
) -> Int[np.ndarray, "two blocks banks outputs"]:
    layer = programmed.layers[plan.path]
    slices = slice_weights(layer.codes, unit.array, plan.weight_bits, plan.path, plan.starts)
    driving, causes = plan.driving(layer.gains), Causes(reading=False)
    stored = banked_copy(programmed, plan, unit, slices, causes, copy)
    columns = mismatch(unit, plan, layer.codes.shape[0], programmed.seed, copy)
    real = lower(replace(stored, columns=columns), slices, unit, driving, causes)
    nominal = slices.bank_levels(unit.array.subtract)
    inputs = known_inputs(plan, len(nominal))
    blocks = _blocks(unit, plan)
    steps = bank_steps(unit, driving)
    sums = np.zeros((5, int(blocks.max()) + 1, len(steps), layer.codes.shape[0]))
    both = zip(conversions(real, inputs), conversions(_ideal(real, nominal), inputs), strict=True)
    for ((group, bank, _), driven, code, made), (_, _, level, _) in both:
        inside = (code > real.codes[bank].min()) & (code < real.codes[bank].max()) & made[:, None]
        if real.pedestal_code is not None:
            code = code - real.pedestal_code[bank][driven][:, None]
        wanted = level / (steps.min() * 2.0 ** bank_octaves(steps)[bank])
        parts = np.stack([np.ones_like(wanted), code, wanted, code * code, code * wanted])
        sums[:, blocks[group] if len(blocks) > 1 else 0, bank] += (parts * inside).sum(axis=1)
    return _fitted(sums, unit, plain_scale(unit, steps))


def _fitted(sums: np.ndarray, unit: Crossbar, plain: Int[np.ndarray, " banks"]) -> np.ndarray:
    """Registers from the sums of 1, x, y, x^2, xy over conversions inside the range."""
    post = unit.adc.post_calibration
    assert post is not None
    one = 2.0**post.fraction_bits
    count = np.maximum(sums[0], 1.0)
    mean_x, mean_y = sums[1] / count, sums[2] / count
    variance = sums[3] / count - mean_x**2
    scale = np.broadcast_to(plain[:, None].astype(np.float64), mean_x.shape)
    if post.fit == "scale_shift":
        known = (sums[0] >= LEAST_CODES) & (variance > 0.1)
        slope = (sums[4] / count - mean_x * mean_y) / np.where(known, variance, 1.0)
        scale = np.where(known, np.clip(np.floor(slope * one + 0.5), 0, 2 * one - 1), scale)
    largest = 2.0 ** (unit.adc.bits - 1) * one
    shift = np.floor((mean_y - scale / one * mean_x) * one + 0.5)
    shift = np.where(sums[0] >= LEAST_CODES, np.clip(shift, -largest, largest - 1), 0.0)
    return np.stack([scale, shift]).astype(np.int32)


def bank_steps(unit: Crossbar, driving: Driving) -> np.ndarray:
    """Cell levels per code of each bank."""
    return hardware_step(unit, driving.signed_input) / np.array(driving.gains)


def _ideal(array: LoweredArray, nominal: Int[np.ndarray, "inputs banks outputs"]) -> LoweredArray:
    """The same reads of ideal cells, the sum itself as code."""
    longest = int(np.abs(nominal).sum(axis=0).max(initial=0)) * (2**array.dac_bits - 1)
    return replace(
        array,
        levels=nominal.astype(np.int32),
        grid=1,
        first=-longest,
        codes=np.tile(np.arange(-longest, longest + 1, dtype=np.int32), (array.num_banks, 1)),
        step=None,
        pedestal=None,
        pedestal_code=None,
        column_gain=None,
        column_offset=None,
        column_shift=None,
        noise_variance=None,
        read_variance=0.0,
    )
