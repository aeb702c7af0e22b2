from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmfield.chip.array import Array
from ohmfield.chip.cells import IdealCell
from ohmfield.chip.converters import SarAdc
from ohmfield.chip.dac import Dac
from ohmfield.chip.units import Crossbar, DigitalCim
from ohmfield.mapping.tile import tile
from ohmfield.mapping.workload import Operator
from ohmfield.spec import InputError


def crossbar(**array) -> Crossbar:
    return Crossbar(cell=IdealCell(), array=Array(**array), dac=Dac(), adc=SarAdc())


def linear(inputs: int, outputs: int) -> Operator:
    return Operator("decoder.layers.0#0", "linear", inputs=inputs, outputs=outputs)


@given(
    inputs=st.integers(1, 700),
    outputs=st.integers(1, 300),
    rows=st.integers(1, 300),
    active=st.integers(1, 300),
    columns=st.integers(16, 600),
    bits=st.integers(2, 8),
    digital=st.booleans(),
)
def test_every_weight_lands_exactly_once(inputs, outputs, rows, active, columns, bits, digital):
    active = min(active, rows)
    if digital:
        unit = DigitalCim(rows=rows, columns=columns, banks=3)
    else:
        unit = crossbar(rows=rows, columns=columns, rows_active=active)
    cut = tile(linear(inputs, outputs), unit, bits)
    held = cut.geometry
    landed = np.zeros((inputs, outputs), dtype=int)
    bounds = [*range(0, outputs, held.weights_per_row), outputs]
    per_block = np.zeros(cut.row_blocks, dtype=int)
    for first, last in pairwise(cut.starts):
        assert 0 < last - first <= held.rows_active
        assert first // held.rows == (last - 1) // held.rows, "a group lies in one array"
        per_block[first // held.rows] += 1
        for left, right in pairwise(bounds):
            assert (right - left) * held.columns_per_weight <= held.columns
            landed[first:last, left:right] += 1
    assert (landed == 1).all()
    assert per_block.max() == cut.groups
    assert per_block.sum() == cut.row_groups
    assert cut.arrays == cut.row_blocks * (len(bounds) - 1)
    assert 0 < cut.utilisation <= 1


def test_a_full_layer_fills_its_arrays():
    cut = tile(linear(256, 256), crossbar(rows=256, columns=512, rows_active=128, cell_bits=2), 8)
    assert (cut.row_blocks, cut.column_blocks, cut.groups) == (1, 4, 2)
    assert cut.utilisation == 1.0
    assert cut.starts.tolist() == [0, 128, 256]


def test_a_weight_wider_than_the_array_is_refused_with_the_layer():
    with pytest.raises(InputError, match=r"decoder.layers.0: one 8-bit weight takes 14 columns, an array has 8"):
        tile(linear(4, 4), crossbar(columns=8, cell_bits=1), 8)
