"""Which product runs a layer: one exact product where nothing is lost, else through its converters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar, DigitalCim, Unit
from ohmfield.mapping.slice import slice_weights
from ohmfield.mapping.tile import geometry
from ohmfield.simulate.adders import ApproximateProduct
from ohmfield.simulate.averaging import column_factors
from ohmfield.simulate.columns import with_columns, with_reference_columns
from ohmfield.simulate.conversion import Causes, conversion_std, drive_of, output_step, rows_per_read
from ohmfield.simulate.lower import Stored, loses_nothing, lower
from ohmfield.simulate.plan import LayerPlan
from ohmfield.simulate.products import CrossbarProduct, ExactProduct, InputOrder, Product
from ohmfield.simulate.programmed import StoredLayer
from ohmfield.simulate.reading import nominal_levels, reference_copies, stored_copy
from ohmfield.simulate.sums import reference_is_exact, sum_correction
from ohmfield.simulate.writing import instance_noise


def product_of(
    layer: StoredLayer, plan: LayerPlan, chip: Chip, causes: Causes, seed: int, elapsed_s: float = 0.0
) -> Product:
    """The product that runs `layer`: exact where nothing is lost and nothing drawn, else through the converters."""
    unit = chip.units[plan.unit]
    if isinstance(unit, DigitalCim) and unit.approximate is not None and causes.rounding:
        return _approximate(layer.codes, plan, unit, exact_product(layer.codes, plan, chip).order)
    if not isinstance(unit, Crossbar) or layer.conductances_uS is None:
        return exact_product(layer.codes, plan, chip)
    slices = slice_weights(layer.codes, unit.array, plan.weight_bits, plan.path, plan.starts)
    driving = plan.driving(layer.gains)
    nominal = nominal_levels(slices, unit, plan.starts)
    stored = [Stored(nominal, None)]
    if causes.programming or causes.reading or (causes.wires and unit.array.wires is not None):
        stored = [
            stored_copy(layer, plan, unit, slices, causes, seed, elapsed_s, copy)
            for copy in range(len(layer.conductances_uS))
        ]
        stored = [with_columns(copy, layer, plan, unit, seed, number) for number, copy in enumerate(stored)]
    untouched = all(copy.circuits is None and np.array_equal(copy.levels, nominal) for copy in stored)
    quiet = not causes.reading or (conversion_std(unit, 1.0) == 0.0 and all(copy.read_std is None for copy in stored))
    # Compensation after the conversion scales every code of the layer: one factor, the mean of its copies.
    scale = sum(copy.scale for copy in stored) / len(stored)
    age, factors = instance_noise(seed, plan.path, "age"), [copy.gain * scale for copy in stored] * plan.copies
    references = reference_copies(layer, plan, unit, elapsed_s, causes, age, factors)
    references = [with_reference_columns(copy, plan, unit, seed, number) for number, copy in enumerate(references)]
    untouched = untouched and all(np.array_equal(copy.levels, np.round(copy.levels)) for copy in references)
    untouched = untouched and all(copy.read_std is None for copy in references)
    untouched = untouched and (not references or causes.lossless or reference_is_exact(unit, driving))
    if untouched and quiet and (causes.lossless or loses_nothing(unit, driving, slices, causes)):
        return exact_product(layer.codes, plan, chip)
    arrays = [lower(copy, slices, unit, driving, causes) for copy in stored]
    step = output_step(unit, driving, causes) * scale
    if unit.array.averages:
        step = column_factors(slices, unit, driving, causes)[1]
    circuits = [copy.circuits for copy in stored if copy.circuits is not None]
    blocks = np.arange(len(layer.codes)) // geometry(unit, plan.weight_bits, plan.path).weights_per_row
    sums = sum_correction(slices, unit, driving, causes, plan.weight_zero, blocks, references)
    product = CrossbarProduct(arrays, step, instance_noise(seed, plan.path, "read"), sums, circuits)
    if plan.input_zero and unit.measured_column_sums is not None:
        product.offsets = measured_offsets(product, layer.codes, plan, unit.measured_column_sums.reads)
    return product


def measures_sums(unit: Unit) -> bool:
    """Whether the chip reads what a zero point of the inputs adds; else it trusts the nominal sums of the weights."""
    return isinstance(unit, Crossbar) and unit.measured_column_sums is not None


def measured_offsets(
    product: CrossbarProduct, codes: Int[np.ndarray, "outputs inputs"], plan: LayerPlan, reads: int
) -> tuple[Int[np.ndarray, " outputs"], ...]:
    """What all rows at the zero point of the inputs add to the outputs of each copy, less what `codes` should.

    The mean of so many reads, in counts of the output. Read at the zero point itself: of a sum read with all rows at
    one, the rounding would be multiplied by it.
    """
    rows = np.full((reads, codes.shape[1]), plan.input_zero, dtype=np.int32)
    nominal = np.floor(plan.static_offset(codes) / product.step + 0.5).astype(np.int64)
    offsets = []
    for copy in range(len(product.copies)):
        read, _ = product.of_copy(copy, product.noise.at("column sums", copy)).run(rows, 0)
        offsets.append(np.floor(read.mean(axis=0) + 0.5).astype(np.int64) - nominal)
    return tuple(offsets)


def _approximate(
    codes: Int[np.ndarray, "outputs inputs"], plan: LayerPlan, unit: DigitalCim, order: InputOrder
) -> ApproximateProduct:
    assert unit.approximate is not None
    planes = int(unit.digits(plan.input_bits))
    driving = replace(order, dac_bits=unit.input_bits_per_cycle, num_planes=planes)
    return ApproximateProduct(codes, unit.approximate, driving, order)


def exact_product(codes: Int[np.ndarray, "outputs inputs"], plan: LayerPlan, chip: Chip) -> ExactProduct:
    """The exact product with the counts of the unit that `plan` names."""
    unit = chip.units[plan.unit]
    largest = 2 ** (plan.input_bits - 1) if plan.signed_input else 2**plan.input_bits - 1
    if isinstance(unit, Crossbar):
        held = geometry(unit, plan.weight_bits, plan.path)
        references = unit.reference_columns * -(-len(codes) // held.weights_per_row)
        order = InputOrder(
            starts=plan.starts,
            dac_bits=unit.dac.bits,
            num_planes=unit.dac.num_planes(plan.input_bits, plan.signed_input),
            drive=drive_of(unit, plan.signed_input),
            skip_zero_planes=unit.dac.skip == "zero_planes",
            rows_per_read=rows_per_read(unit, plan.signed_input),
            columns=unit.array.conversions_per_weight(plan.weight_bits) * len(codes) + references,
        )
    else:
        drive = "twos_complement" if plan.signed_input else "unsigned"
        order = InputOrder(starts=plan.starts, dac_bits=1, num_planes=plan.input_bits, drive=drive)
    return ExactProduct(codes, largest, order, plan.weight_zero)
