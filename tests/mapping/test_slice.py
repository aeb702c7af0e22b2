from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmfield.chip.array import ENCODINGS, Array
from ohmfield.mapping.slice import slice_weights, unslice, weight_range
from ohmfield.spec import InputError


@given(
    bits=st.integers(2, 10),
    cell_bits=st.integers(1, 4),
    encoding=st.sampled_from(list(ENCODINGS)),
    shape=st.tuples(st.integers(1, 7), st.integers(1, 9)),
    seed=st.integers(0, 99),
)
def test_every_code_comes_back_and_every_digit_fits_its_cell(bits, cell_bits, encoding, shape, seed):
    if only := ENCODINGS[encoding].weight_bits:
        bits, cell_bits = only, 1
    array = Array(cell_bits=cell_bits, encoding=encoding)
    low, high = weight_range(array, bits)
    codes = np.random.default_rng(seed).integers(low, high + 1, shape)
    if encoding == "xnor":
        codes = np.where(codes < 0, -1, 1)
    starts = np.array([0, (shape[1] + 1) // 2, shape[1]]) if shape[1] > 1 else np.array([0, 1])
    slices = slice_weights(codes, array, bits, starts=starts)
    assert np.array_equal(unslice(slices), codes)
    assert slices.digits.min() >= 0
    assert slices.digits.max() < 2**cell_bits
    assert slices.digits.shape == (shape[1], array.num_slices(bits), len(slices.signs), shape[0])


@given(
    subtract=st.sampled_from(["analog", "digital"]),
    encoding=st.sampled_from(["differential", "offset", "twos_complement", "column_flip"]),
    seed=st.integers(0, 99),
)
def test_banks_and_the_sum_of_the_inputs_add_up_to_the_product(subtract, encoding, seed):
    array = Array(cell_bits=2, encoding=encoding, subtract=subtract)
    rng = np.random.default_rng(seed)
    codes, inputs, starts = rng.integers(-127, 128, (15, 17)), rng.integers(-128, 128, 17), np.array([0, 8, 17])
    slices = slice_weights(codes, array, 8, starts=starts)
    weights, levels = slices.bank_weights(subtract), slices.bank_levels(subtract)
    assert levels.shape[1] == array.conversions_per_weight(8)
    total = np.zeros(15, dtype=np.int64)
    for group, rows in enumerate((slice(0, 8), slice(8, 17))):
        of_group = weights[group] if weights.ndim == 3 else weights[:, None]
        total += (of_group * np.einsum("i,ibo->bo", inputs[rows], levels[rows])).sum(axis=0)
        total -= slices.sum_weights()[group % len(slices.sum_weights())] * inputs[rows].sum()
    assert np.array_equal(total, codes @ inputs)


def test_flipped_columns_are_never_more_than_half_full():
    codes = np.random.default_rng(0).integers(-128, 128, (60, 33)) | 64
    starts = np.array([0, 16, 33])
    slices = slice_weights(codes, Array(encoding="column_flip"), 8, starts=starts)
    sums = np.add.reduceat(slices.digits[:, :, 0], starts[:-1], axis=0)
    assert (2 * sums <= 3 * np.diff(starts)[:, None, None]).all()
    assert slices.flipped is not None
    assert slices.flipped.any()
    assert not slices.flipped.all()


@pytest.mark.parametrize(
    ("encoding", "bits", "code", "message"),
    [
        ("ternary", 8, 1, "layer: ternary weights have 2 bits, not 8: set weight_bits 2"),
        ("ternary", 2, -2, r"layer: weight \[0, 0\] has code -2; 2-bit ternary weights hold -1 .. 1"),
        ("xnor", 2, 1, "layer: xnor weights have 1 bit, not 2"),
        ("xnor", 1, 0, r"layer: weight \[0, 0\] has code 0; 1-bit xnor weights hold -1 and 1"),
        ("two_level", 1, -1, "hold 0 .. 1: fit the weights to these codes"),
        ("differential", 1, 0, "layer: differential weights need 2 bits or more"),
    ],
)
def test_widths_and_codes_that_an_encoding_does_not_have_name_the_layer(encoding, bits, code, message):
    array = Array(encoding=encoding, cell_bits=1)
    with pytest.raises(InputError, match=message):
        slice_weights(np.array([[code]]), array, bits, "layer")


def test_one_bit_encodings_want_one_bit_cells():
    for name, encoding in ENCODINGS.items():
        if encoding.weight_bits:
            with pytest.raises(ValueError, match="cells of one bit"):
                Array(encoding=name, cell_bits=2)


def test_twos_complement_gives_the_sign_a_column_of_its_own():
    slices = slice_weights(np.array([[-128, 127, -1]]), Array(encoding="twos_complement"), 8)
    assert slices.weights.tolist() == [1, 4, 16, 64, -128]
    assert slices.digits[:, :, 0, 0].tolist() == [[0, 0, 0, 0, 1], [3, 3, 3, 1, 0], [3, 3, 3, 1, 1]]


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
