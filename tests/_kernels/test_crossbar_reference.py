"""What the plain loops must give: drives, bit-sparse reads, converters that differ, narrow accumulators, kept draws."""

import dataclasses

import numpy as np
import pytest

from ohmfield._kernels.crossbar import Drive, LoweredArray, conversions, reference
from ohmfield._kernels.crossbar_fast import fast
from ohmfield.numerics import Noise

REACH = 2000
BITS = 6


def plane_weights(drive: Drive, dac_bits: int) -> list[int]:
    planes = -(-BITS // dac_bits)
    weights = [2 ** (dac_bits * plane) for plane in range(planes)]
    if drive == "twos_complement" and dac_bits == 1:
        weights[-1] *= -1
    return weights + [-weight for weight in weights] if drive == "sign_magnitude_two_pass" else weights


def lossless(drive: Drive = "unsigned", dac_bits: int = 1, largest: int = 3, **changes) -> LoweredArray:
    """30 rows in groups of 12, two banks, steps of one level over every sum."""
    rng = np.random.default_rng(1)
    values = np.arange(-REACH, REACH + 1)
    fields = {
        "levels": rng.integers(-largest, largest + 1, size=(30, 2, 5)).astype(np.int32),
        "starts": np.array([0, 12, 24, 30]),
        "grid": 1,
        "bank_weights": np.array([1, 4]),
        "plane_weights": np.array(plane_weights(drive, dac_bits)),
        "dac_bits": dac_bits,
        "drive": drive,
        "first": -REACH,
        "codes": np.tile(values.astype(np.int32), (2, 1)),
    }
    return LoweredArray(**{**fields, **changes})


def inputs_of(array: LoweredArray, vectors: int = 9) -> np.ndarray:
    low, high = (0, 2**BITS) if array.drive == "unsigned" else (1 - 2 ** (BITS - 1), 2 ** (BITS - 1))
    return np.random.default_rng(2).integers(low, high, size=(vectors, array.num_inputs))


def product(array: LoweredArray, inputs: np.ndarray) -> np.ndarray:
    return inputs @ np.einsum("kbn,b->kn", array.levels.astype(np.int64), array.bank_weights)


@pytest.mark.parametrize("drive", ["unsigned", "twos_complement", "sign_magnitude", "sign_magnitude_two_pass"])
@pytest.mark.parametrize("dac_bits", [1, 2, 4, 6])
def test_every_drive_is_the_product_where_nothing_is_lost(drive: Drive, dac_bits: int) -> None:
    array = lossless(drive, dac_bits)
    inputs = inputs_of(array)
    out, counts = reference(array, inputs)
    np.testing.assert_array_equal(out, product(array, inputs))
    np.testing.assert_array_equal(fast(array, inputs)[0], out)
    if drive in ("sign_magnitude", "sign_magnitude_two_pass") and dac_bits == 1:
        assert counts["driven"] == np.bitwise_count(np.abs(inputs)).sum()


def test_a_bipolar_driver_rounds_toward_the_sign_of_the_input() -> None:
    """Steps of two levels round halves up, so x and -x differ; in two passes they only swap their sign."""
    values = np.arange(-REACH, REACH + 1)
    codes = np.tile(np.floor(values / 2 + 0.5).astype(np.int32), (2, 1))
    inputs = inputs_of(lossless("sign_magnitude"))
    once = lossless("sign_magnitude", codes=codes)
    twice = lossless("sign_magnitude_two_pass", codes=codes)
    assert not np.array_equal(reference(once, inputs)[0], -reference(once, -inputs)[0])
    np.testing.assert_array_equal(reference(twice, inputs)[0], -reference(twice, -inputs)[0])


def test_skipped_planes_add_nothing_draw_nothing_and_are_not_counted() -> None:
    array = lossless(noise_variance=np.full(2, 400.0))
    inputs = np.zeros((50, 30), dtype=np.int64)
    inputs[:, 3] = 0b100  # one group of three, one plane of six
    noise = Noise(0).at("read")
    every, all_counts = reference(array, inputs, noise)
    some, counts = reference(dataclasses.replace(array, skip_zero_planes=True), inputs, noise)
    assert all_counts["conversions"] == 50 * 3 * 6 * 2 * 5
    assert counts["conversions"] == 50 * 2 * 5
    assert all_counts["zero_planes"] == counts["zero_planes"] == 50 * 17
    error = some - product(array, inputs)
    assert error.std() == pytest.approx(20 * 4 * np.sqrt(1 + 16), rel=0.15)  # plane 2 of two banks
    assert (every - product(array, inputs)).std() > 10 * error.std()
    assert not reference(dataclasses.replace(array, skip_zero_planes=True), 0 * inputs, noise)[0].any()


@pytest.mark.parametrize(("cell_bits", "rows"), [(1, 7), (2, 2)])
def test_bit_sparse_reads_are_exact_up_to_what_a_range_holds(cell_bits: int, rows: int) -> None:
    """Limit case 11, with a 3-bit converter: floor(7 / (2^c - 1)) rows per read."""
    highest = 2**cell_bits - 1
    values = np.arange(-REACH, REACH + 1)
    codes = np.tile(np.clip(values, 0, 7).astype(np.int32), (2, 1))
    levels = np.full((30, 2, 5), highest, dtype=np.int32)
    array = lossless(levels=levels, codes=codes, rows_per_read=rows)
    inputs = inputs_of(array)
    inputs[0] = 0
    inputs[1] = 2**BITS - 1
    out, counts = reference(array, inputs)
    np.testing.assert_array_equal(out, product(array, inputs))
    over = dataclasses.replace(array, rows_per_read=rows + 1)
    assert not np.array_equal(reference(over, inputs)[0], out)
    ones = [np.bitwise_count(inputs[:, low:high] & (1 << plane)).sum(1) for plane in range(BITS)
            for low, high in ((0, 12), (12, 24), (24, 30))]  # fmt: skip
    reads = sum(int(np.ceil(count / rows).sum()) for count in ones)
    assert counts["conversions"] == reads * 2 * 5
    assert counts["conversions"] == sum(made.sum() * 5 for *_, made in conversions(array, inputs))
    assert reference(array, inputs[:1])[1]["conversions"] == 0


def test_each_read_of_a_sparse_plane_draws_its_own_noise() -> None:
    array = lossless(noise_variance=np.full(2, 4.0), rows_per_read=4, plane_weights=np.array([1]))
    inputs = np.ones((4000, 30), dtype=np.int64)
    error = reference(array, inputs, Noise(0).at("read"))[0] - product(array, inputs)
    assert error.var() == pytest.approx((4.0 + 1 / 12) * 17 * 8, rel=0.03)  # eight reads: 3 + 3 + 2


def test_a_converter_sees_its_own_gain_and_offset() -> None:
    gain = np.random.default_rng(3).uniform(0.9, 1.1, size=(2, 5)).astype(np.float32)
    offset = np.random.default_rng(4).uniform(-3.0, 3.0, size=(2, 5)).astype(np.float32)
    array = lossless(column_gain=gain, column_offset=offset, plane_weights=np.array([1]))
    inputs = inputs_of(array) & 1
    want = np.zeros((9, 5), dtype=np.int64)
    for low, high in ((0, 12), (12, 24), (24, 30)):
        for bank in range(2):
            value = (inputs[:, low:high] @ array.levels[low:high, bank]).astype(np.float32)
            want += 4**bank * np.floor(value * gain[bank] + offset[bank] + np.float32(0.5)).astype(np.int64)
    np.testing.assert_array_equal(reference(array, inputs)[0], want)


def test_a_digital_scale_per_column_multiplies_its_codes() -> None:
    scales = np.arange(1, 11).reshape(2, 5)
    array = lossless(bank_weights=scales)
    inputs = inputs_of(array)
    want = inputs @ np.einsum("kbn,bn->kn", array.levels.astype(np.int64), scales)
    np.testing.assert_array_equal(reference(array, inputs)[0], want)


def test_narrow_accumulators_saturate_on_the_way_and_wrap_at_the_end() -> None:
    levels = np.full((30, 2, 5), 3, dtype=np.int32)
    levels[12:] = -3
    array = lossless(levels=levels, plane_weights=np.array([1]))
    inputs = np.ones((1, 30), dtype=np.int64)  # 36 + 144, then -36 - 144, then -18 - 72: 180, 0, -90
    assert reference(array, inputs)[0][0, 0] == -90
    saturating = dataclasses.replace(array, accumulator_bits=8)  # 36, 127; 91, -53; -71, -128
    assert reference(saturating, inputs)[0][0, 0] == -128
    wrapping = dataclasses.replace(array, accumulator_bits=7, overflow="wrap")
    assert reference(wrapping, inputs)[0][0, 0] == 38  # -90 + 128
    wide = dataclasses.replace(array, accumulator_bits=9)
    assert reference(wide, inputs)[0][0, 0] == -90


@pytest.mark.parametrize("read", ["even", "cell"])
def test_a_draw_that_its_cell_keeps_does_not_average_out_over_planes(read: str) -> None:
    """With all six planes alike the output errs by 63 times one draw, not by the root of the sum of squares."""
    levels = np.zeros((30, 2, 40), dtype=np.int32)
    variance = 9.0 if read == "even" else np.full(levels.shape, 900, dtype=np.uint16)
    array = lossless(levels=levels, read_variance=variance, read_unit=0.01, bank_weights=np.array([1, 0]))
    kept = dataclasses.replace(array, correlation="vector")
    inputs = np.full((200, 30), 63)
    noise = Noise(0).at("read")
    assert reference(kept, inputs, noise)[0].std() == pytest.approx(63 * 3 * np.sqrt(30), rel=0.03)
    white = np.sqrt(np.sum(4.0 ** np.arange(6))) * 3 * np.sqrt(30)
    assert reference(array, inputs, noise)[0].std() == pytest.approx(white, rel=0.03)
    assert not reference(kept, 0 * inputs, noise)[0].any()
    halves = [reference(kept, inputs[at : at + 100], noise, at)[0] for at in (0, 100)]
    np.testing.assert_array_equal(np.concatenate(halves), reference(kept, inputs, noise)[0])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="pedestal under signed digits"):
        lossless("sign_magnitude", pedestal=np.arange(13))
    with pytest.raises(ValueError, match="accumulator_bits 1"):
        lossless(accumulator_bits=1)
    with pytest.raises(ValueError, match="rows_per_read -1"):
        lossless(rows_per_read=-1)
