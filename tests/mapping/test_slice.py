from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmfield.chip.array import Array
from ohmfield.mapping.slice import slice_weights, unslice, weight_range
from ohmfield.spec import InputError


@given(
    bits=st.integers(2, 10),
    cell_bits=st.integers(1, 4),
    encoding=st.sampled_from(["differential", "offset"]),
    shape=st.tuples(st.integers(1, 7), st.integers(1, 9)),
    seed=st.integers(0, 99),
)
def test_every_code_comes_back_and_every_digit_fits_its_cell(bits, cell_bits, encoding, shape, seed):
    array = Array(cell_bits=cell_bits, encoding=encoding)
    low, high = weight_range(array, bits)
    codes = np.random.default_rng(seed).integers(low, high + 1, shape)
    slices = slice_weights(codes, array, bits)
    assert np.array_equal(unslice(slices), codes)
    assert slices.digits.min() >= 0
    assert slices.digits.max() < 2**cell_bits
    assert slices.digits.shape == (shape[1], array.num_slices(bits), len(slices.signs), shape[0])


@given(subtract=st.sampled_from(["analog", "digital"]), encoding=st.sampled_from(["differential", "offset"]))
def test_banks_add_up_to_the_weights(subtract, encoding):
    array = Array(cell_bits=2, encoding=encoding, subtract=subtract)
    codes = np.arange(-127, 128).reshape(15, 17)
    slices = slice_weights(codes, array, 8)
    weights, levels = slices.bank_weights(subtract), slices.bank_levels(subtract)
    assert len(weights) == array.conversions_per_weight(8)
    assert np.array_equal(np.einsum("b,ibo->oi", weights, levels) - slices.offset, codes)


def test_pairs_refuse_the_code_without_a_counterpart_and_name_it():
    codes = np.zeros((2, 3), dtype=np.int64)
    codes[1, 2] = -128
    with pytest.raises(InputError, match=r"decoder.layers.0: weight \[1, 2\] has code -128; .* -127 .. 127"):
        slice_weights(codes, Array(), 8, "decoder.layers.0")
    assert unslice(slice_weights(codes, Array(encoding="offset"), 8))[1, 2] == -128


def test_one_side_of_a_pair_is_always_empty():
    digits = slice_weights(np.array([[5, -5, 0]]), Array(cell_bits=1), 4).digits
    assert not (digits[:, :, 0] * digits[:, :, 1]).any()
    assert digits[1, :, 1, 0].tolist() == [1, 0, 1]
