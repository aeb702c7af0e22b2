"""The transposed product: exact on ideal cells, the errors of the product forwards on real ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ohmfield._kernels.crossbar import reference
from ohmfield.chip.cells import IdealCell, RramCell
from ohmfield.chip.cells.base import Cell
from ohmfield.chip.units import Crossbar
from ohmfield.simulate.choose import product_of
from ohmfield.simulate.conversion import Causes
from ohmfield.simulate.products import CrossbarProduct
from ohmfield.simulate.programmed import StoredLayer
from ohmfield.simulate.spares import DEAD
from ohmfield.simulate.transposed_product import transposed_product
from ohmfield.simulate.writing import program_layer
from ohmfield.spec import InputError
from small_chip import crossbar, outputs_of, plan_for, random_codes, random_weights, small_chip

LOSSLESS = Causes(clipping=False, rounding=False)


def unit_with(cell: Cell | None = None, adc: Any = None, **array: Any) -> Crossbar:
    small = {"rows": 32, "columns": 96, "rows_active": 8, "transposed": True}
    return crossbar(cell, array=small | array, adc=adc, dac={"signed": "twos_complement"})


def both(
    weights: np.ndarray, unit: Crossbar, causes: Causes | None = None, **options: Any
) -> tuple[CrossbarProduct, StoredLayer]:
    """The transposed product of one drawn instance, and what it stores."""
    chip = small_chip(unit)
    plan = plan_for(weights, chip)
    stored = program_layer(weights, plan, chip, 0)
    return transposed_product(stored, plan, chip, causes or Causes(), 0, **options), stored


@pytest.mark.parametrize("encoding", ["differential", "offset", "twos_complement", "ternary", "xnor", "two_level"])
@pytest.mark.parametrize("g_min", [0.0, 25.0])
@pytest.mark.parametrize("bits", [None, 8])
def test_ideal_cells_and_lossless_conversions_give_the_transposed_product(encoding, g_min, bits):
    written = 1 if encoding in ("ternary", "xnor", "two_level") else 2
    adc = {"bits": bits, "step_levels": 1.0} if bits else None  # 8 of 3 levels and as many pedestals: 48 at most
    unit = unit_with(IdealCell(g_min_uS=g_min), adc, encoding=encoding, cell_bits=written)
    weights = random_weights(unit, 1, 40, 70)
    inputs = random_codes(2, -128, 127, 9, 40)
    product, _ = both(weights, unit, None if bits else LOSSLESS)
    assert np.array_equal(outputs_of(product, inputs), inputs @ weights)
    ones = random_codes(3, 0, 1, 9, 40)
    product, _ = both(weights, unit, LOSSLESS, signed_input=False, input_bits=2)
    assert np.array_equal(outputs_of(product, ones), ones @ weights)


def test_it_meets_the_cells_that_the_product_forwards_meets():
    unit = unit_with(RramCell(program_fraction=0.03, stuck_low_rate=0.01), subtract="digital", dead_row_rate=0.1)
    weights, chip = random_weights(unit, 1, 40, 70), small_chip(unit)
    plan = plan_for(weights, chip, signed_input=True)
    stored = program_layer(weights, plan, chip, 0)
    causes = Causes(reading=False)
    forwards = product_of(stored, plan, chip, causes, 0, 1e4)
    back = transposed_product(stored, plan, chip, causes, 0, 1e4)
    assert isinstance(forwards, CrossbarProduct)
    there, here = forwards.copies[0], back.copies[0]
    # Both grids are rounded along what is summed, so each level is within a grid point of the one stored.
    apart = here.levels / here.grid - there.levels.transpose(2, 1, 0) / there.grid
    assert np.abs(apart).max() <= 1.0 / here.grid + 1.0 / there.grid
    assert here.grid >= 16
    assert not np.array_equal(here.levels, np.round(here.levels / here.grid) * here.grid)
    assert stored.lines is not None
    gone = stored.lines.rows[0].T == DEAD  # [inputs, blocks of 12 outputs]
    assert gone.any()
    for row, block in np.argwhere(gone):
        assert not here.levels[12 * block : 12 * block + 12, :, row].any()
    inputs = random_codes(2, -128, 127, 9, 40)
    assert np.array_equal(back.run(inputs.astype(np.int32), 0)[0], reference(here, inputs)[0])


def test_columns_are_driven_by_array_and_row_group_and_every_slice_and_side_is_converted():
    unit = unit_with()  # 12 weights of 8 columns beside each other, driven 8 at a time
    product, _ = both(random_weights(unit, 1, 40, 70), unit)
    assert product.copies[0].starts.tolist() == [0, 8, 12, 20, 24, 32, 36, 40]
    _, counts = product.run(random_codes(2, -128, 127, 9, 40).astype(np.int32), 0)
    assert counts["conversions"] == 9 * 8 * 7 * 8 * 70  # vectors, planes, groups, slices and sides, rows


@pytest.mark.parametrize(
    ("unit", "named"),
    [
        (unit_with(transposed=False), "array.transposed"),
        (unit_with(encoding="column_flip"), "column_flip"),
        (unit_with(encoding="offset", sum_x="analog"), "sum_x"),
        (unit_with(wires={"row_ohm": 1.0}), "wires"),
        (unit_with(adc={"offset_lsb_std": 0.1}), "adc"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_there_or_not_modelled_is_refused(unit, named):
    with pytest.raises(InputError, match=named):
        both(random_weights(unit, 1, 8, 16), unit)


def test_weights_with_zero_points_of_their_own_are_refused():
    unit = unit_with(encoding="two_level", cell_bits=1)
    weights, chip = random_weights(unit, 1, 8, 16), small_chip(unit)
    plan = plan_for(weights, chip)
    stored = program_layer(weights, plan, chip, 0)
    inputs = random_codes(2, -128, 127, 9, 8)
    one = transposed_product(stored, replace(plan, weight_zero=0.5), chip, LOSSLESS, 0)
    assert np.array_equal(outputs_of(one, inputs), np.floor(inputs @ (weights - 0.5)))
    with pytest.raises(InputError, match="zero point per output"):
        transposed_product(stored, replace(plan, weight_zero=np.linspace(0.0, 1.0, 8)), chip, LOSSLESS, 0)
