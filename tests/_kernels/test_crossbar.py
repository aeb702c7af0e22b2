"""The fused analog product gives the codes of the plain loops, whatever the layer, the converter and the noise."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowered import lowered, numbers
from ohmfield._kernels.crossbar import Drive, LoweredArray, conversions, reference
from ohmfield._kernels.crossbar_fast import fast, packed_of, refused
from ohmfield._kernels.crossbar_vectors import LOOKUP
from ohmfield.numerics import Noise


def assert_same(array: LoweredArray, inputs: np.ndarray, first: int = 0) -> None:
    noise = Noise(3).at("read")
    want, want_counts = reference(array, inputs, noise, first)
    have, counts = fast(array, inputs, noise, first)
    np.testing.assert_array_equal(have, want)
    assert counts == want_counts


@settings(max_examples=60)
@given(
    inputs=st.integers(1, 90),
    outputs=st.integers(1, 40),
    banks=st.integers(1, 5),
    largest=st.sampled_from([1, 3, 15]),
    rows=st.integers(1, 70),
    planes=st.integers(1, 9),
    adc_bits=st.integers(1, 9),
    step=st.sampled_from([0.5, 1.0, 2.0, 3.0, 4.0, 7.3, 16.0]),
    grid=st.sampled_from([1, 32, 64]),
    staircase=st.booleans(),
    drive=st.sampled_from(["unsigned", "twos_complement"]),
    seed=st.integers(0, 99),
)
def test_fast_gives_the_codes_of_the_reference(seed: int, **shape) -> None:
    array = lowered(seed=seed, **shape)
    assert not refused(array)
    assert_same(array, numbers(array, 7, seed))


@settings(max_examples=40)
@given(
    outputs=st.integers(1, 40),
    noise=st.sampled_from([0.0, 0.5, 40.0]),
    read=st.sampled_from(["none", "even", "cell"]),
    pedestal=st.sampled_from([0.0, 0.5, 1.3]),
    grid=st.sampled_from([1, 64]),
    dac_bits=st.sampled_from([1, 2, 4]),
    largest=st.sampled_from([3, 100]),
    seed=st.integers(0, 99),
)
def test_fast_draws_the_noise_of_the_reference(dac_bits: int, seed: int, **shape) -> None:
    drive = "twos_complement" if dac_bits == 1 else "unsigned"
    array = lowered(seed=seed, dac_bits=dac_bits, planes=8 // dac_bits, drive=drive, adc_bits=8, **shape)
    assert not refused(array)
    assert_same(array, numbers(array, 6, seed), first=seed)


@settings(max_examples=60)
@given(
    drive=st.sampled_from(["unsigned", "twos_complement", "sign_magnitude", "sign_magnitude_two_pass"]),
    dac_bits=st.sampled_from([1, 2, 3]),
    noise=st.sampled_from([0.0, 20.0]),
    read=st.sampled_from(["none", "even", "cell"]),
    skip_zero_planes=st.booleans(),
    rows_per_read=st.sampled_from([0, 0, 3, 7]),
    mismatch=st.booleans(),
    scaled=st.booleans(),
    staircase=st.booleans(),
    accumulator_bits=st.sampled_from([None, 9, 14]),
    overflow=st.sampled_from(["saturate", "wrap"]),
    pedestal=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 99),
)
def test_fast_drives_reads_and_accumulates_as_the_reference(drive: Drive, dac_bits: int, seed: int, **fields) -> None:
    signed_digit = drive == "sign_magnitude" or (drive == "twos_complement" and dac_bits > 1)
    fields["pedestal"] = 0.0 if signed_digit else fields["pedestal"]
    array = lowered(seed=seed, dac_bits=dac_bits, drive=drive, planes=4, grid=8, adc_bits=7, **fields)
    assert_same(array, numbers(array, 6, seed), first=seed)


@pytest.mark.parametrize(
    "fields",
    [
        {"drive": "sign_magnitude"},
        {"drive": "sign_magnitude_two_pass", "dac_bits": 2, "planes": 4},
        {"dac_bits": 8, "planes": 1, "drive": "unsigned"},
        {"dac_bits": 4, "planes": 2, "read": "cell", "noise": 3.0},
        {"skip_zero_planes": True, "noise": 2.0},
        {"rows_per_read": 3},
        {"mismatch": True, "scaled": True},
        {"accumulator_bits": 12},
    ],
)
def test_the_kernel_takes_every_drive_and_converter(fields: dict[str, Any]) -> None:
    assert not refused(lowered(**fields))


def test_chunks_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    array = lowered(inputs=70, outputs=33, noise=3.0, read="cell", grid=32)
    inputs = numbers(array, 700)
    noise = Noise(5).at("read")
    monkeypatch.setenv("OHMFIELD_THREADS", "2")
    whole, _ = fast(array, inputs, noise)
    monkeypatch.setenv("OHMFIELD_THREADS", "1")
    alone, _ = fast(array, inputs, noise)
    parts = [fast(array, inputs[at : at + 123], noise, first=at)[0] for at in range(0, 700, 123)]
    np.testing.assert_array_equal(whole, alone)
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_lossless_conversion_is_the_integer_product() -> None:
    array = lowered(adc_bits=9, step=1.0)
    inputs = numbers(array, 20)
    weights = np.einsum("kbn,b->kn", array.levels.astype(np.int64), array.bank_weights)
    np.testing.assert_array_equal(fast(array, inputs)[0], inputs @ weights)


def test_a_power_of_two_staircase_takes_the_shift_path_and_a_custom_curve_its_table() -> None:
    assert packed_of(lowered(step=4.0)).shift.tolist() == [2] * 4
    assert packed_of(lowered(step=7.3)).shift.tolist() == [-1] * 4
    assert (packed_of(lowered(step=7.3)).scale > 0).all()
    assert (packed_of(lowered(staircase=False)).scale == 0).all()


def test_a_wrong_step_hint_cannot_change_codes() -> None:
    array = lowered(step=4.0)
    lying = dataclasses.replace(array, step=np.full(4, 8.0))
    inputs = numbers(array, 9)
    np.testing.assert_array_equal(fast(lying, inputs)[0], reference(array, inputs)[0])


def test_what_the_kernel_does_not_do_runs_in_torch() -> None:
    kept = lowered(read="cell", correlation="vector")
    assert "cells keep" in refused(kept)
    assert_same(kept, numbers(kept, 5))
    wide = lowered(largest=3, grid=2**15)
    assert "16 bits" in refused(wide)
    assert_same(wide, numbers(wide, 5))


@pytest.mark.parametrize(("rows", "largest", "sums"), [(128, 3, 8), (256, 3, 8), (256, 21, 16), (128, 100, 16)])
def test_sums_of_bytes_are_centred_and_split_where_they_overflow(rows: int, largest: int, sums: int) -> None:
    array = lowered(inputs=300, rows=rows, outputs=9, largest=largest, adc_bits=8)
    flat = dataclasses.replace(array, levels=np.abs(array.levels))  # sums of one sign only
    for case in (array, flat):
        assert_same(case, numbers(case, 70))
    if LOOKUP[8]:
        assert packed_of(array).bits == packed_of(flat).bits == sums
        assert packed_of(flat).levels.centre.any() == (sums == 8)


def test_counts_are_those_of_the_inputs() -> None:
    array = lowered(inputs=20, rows=20, outputs=3, planes=4, drive="unsigned")
    inputs = np.zeros((2, 20), dtype=np.int64)
    inputs[0, :3] = 5  # planes 0 and 2 drive three rows each
    _, counts = fast(array, inputs)
    assert counts["driven"] == 6.0
    assert counts["zero_planes"] == 2 + 4
    assert counts["conversions"] == 2 * 4 * 4 * 3 == sum(code.size for _, _, code, _ in conversions(array, inputs))


def test_read_noise_has_the_declared_variance() -> None:
    array = lowered(
        inputs=64, rows=64, outputs=64, banks=1, planes=1, drive="unsigned", grid=64, read="even", adc_bits=14
    )
    array = dataclasses.replace(
        array,
        levels=np.zeros_like(array.levels),
        read_variance=100.0,
        codes=np.arange(array.codes.shape[1], dtype=np.int32)[None] + array.first,
        step=np.ones(1),
    )
    for ones in (0, 16, 64):
        inputs = np.zeros((2000, 64), dtype=np.int64)
        inputs[:, :ones] = 1
        out, _ = fast(array, inputs, Noise(0).at("read"))
        assert out.var() == pytest.approx(100.0 * ones, rel=0.02, abs=1e-9)


@pytest.mark.parametrize("planes", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "fields",
    [
        {"adc_bits": 8},
        {"adc_bits": 8, "largest": 100},  # sums of 16 bits
        {"noise": 3.0, "read": "cell", "grid": 32},
        {"skip_zero_planes": True, "pedestal": 0.5},
        {"drive": "sign_magnitude_two_pass"},
        {"rows_per_read": 3},
    ],
)
def test_few_planes_of_many_vectors_fill_the_registers(planes: int, fields: dict[str, Any]) -> None:
    array = lowered(inputs=90, outputs=9, planes=planes, **{"drive": "unsigned", **fields})
    assert not refused(array)
    assert packed_of(array).spread == (1 if "rows_per_read" in fields else {1: 4, 2: 2}.get(array.num_planes, 1))
    assert_same(array, numbers(array, 300), first=5)
