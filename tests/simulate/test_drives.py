"""How inputs are driven and what is not read: the same products, counted read by read, and billed as counted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ohmfield._kernels.crossbar import reference
from ohmfield.chip.cells import IdealCell, RramCell
from ohmfield.chip.units import Crossbar
from ohmfield.cost.evaluate import evaluate
from ohmfield.mapping.place import place
from ohmfield.mapping.slice import slice_weights
from ohmfield.mapping.workload import Operator, Shapes, Workload
from ohmfield.simulate.conversion import Causes
from ohmfield.simulate.convert import convert
from ohmfield.simulate.formats import choose_formats
from ohmfield.simulate.lower import Stored, lower
from ohmfield.simulate.products import CrossbarProduct, ExactProduct
from ohmfield.spec import InputError
from ohmfield.tally import Tally
from small_chip import crossbar, made, outputs_of, plan_for, random_codes, small_chip

RANGES = Causes(programming=False, reading=False)
DRIVES = ["twos_complement", "sign_magnitude", "sign_magnitude_two_pass"]


def through_converters(weights: np.ndarray, unit: Crossbar, inputs: np.ndarray, **plan: Any) -> tuple[np.ndarray, Any]:
    """Ideal cells through the converters, even where nothing is lost, by the plain loops; output and counts."""
    layer = plan_for(weights, small_chip(unit), **plan)
    slices = slice_weights(weights.astype(np.int64), unit.array, layer.weight_bits)
    nominal = slices.bank_levels(unit.array.subtract).astype(np.float64)
    array = lower(Stored(nominal, None), slices, unit, layer.driving((1.0,) * nominal.shape[1]), RANGES)
    out, counts = reference(array, inputs)
    return out - slices.offset * inputs.sum(axis=1, keepdims=True), counts


def ones_of(inputs: np.ndarray, planes: int) -> np.ndarray:
    """Driven rows of each plane and vector of bit-serial unsigned inputs."""
    return np.stack([((inputs >> plane) & 1).sum(axis=1) for plane in range(planes)])


@pytest.mark.parametrize("signed", DRIVES)
@pytest.mark.parametrize("dac_bits", [1, 2, 4])
def test_every_drive_gives_the_product(signed: str, dac_bits: int) -> None:
    weights, inputs = random_codes(1, -127, 127, 6, 150), random_codes(2, -127, 127, 30, 150)
    unit = crossbar(dac={"bits": dac_bits, "signed": signed}, adc={"bits": 14, "step_levels": 1.0})
    out, counts = through_converters(weights, unit, inputs, signed_input=True)
    assert np.array_equal(out, inputs @ weights.T)
    planes = {"twos_complement": 8, "sign_magnitude": 7, "sign_magnitude_two_pass": 7}[signed]
    passes = 2 if signed.endswith("two_pass") else 1
    reads = passes * math.ceil(planes / dac_bits) * 2  # two row groups
    assert counts["conversions"] == 30 * reads * 6 * 4


@pytest.mark.parametrize("encoding", ["differential", "offset"])
def test_two_passes_need_no_bipolar_driver_and_keep_a_pedestal(encoding: str) -> None:
    weights, inputs = random_codes(3, -127, 127, 6, 100), random_codes(4, -127, 127, 30, 100)
    cell = IdealCell(g_max_uS=70.0, g_min_uS=10.0)
    array = {"encoding": encoding, "subtract": "digital"}
    unit = crossbar(cell, array=array, dac={"signed": "sign_magnitude_two_pass"}, adc={"bits": 12, "step_levels": 1.0})
    assert not unit.dac.bipolar
    assert np.array_equal(through_converters(weights, unit, inputs, signed_input=True)[0], inputs @ weights.T)
    bipolar = crossbar(cell, array=array, dac={"signed": "sign_magnitude"}, adc={"bits": 12})
    with pytest.raises(InputError, match="drives pedestals of g_min below zero: use array"):
        made(weights, bipolar, signed_input=True)


@pytest.mark.parametrize(("cell_bits", "adc_bits", "rows"), [(1, 3, 7), (1, 4, 15), (2, 4, 5), (2, 2, 1), (4, 4, 1)])
def test_limit_case_11_bit_sparse_reads_are_exact(cell_bits: int, adc_bits: int, rows: int) -> None:
    """The read of one column: floor((2^bits - 1) / (2^c - 1)) rows; sum over planes and blocks of ceil(ones / rows)."""
    weights, inputs = random_codes(5, -128, 127, 5, 300), random_codes(6, 0, 255, 12, 300)
    inputs[3] = 0
    array = {"encoding": "offset", "cell_bits": cell_bits, "rows": 128, "rows_active": 128}
    unit = crossbar(array=array, dac={"skip": "zero_bits"}, adc={"bits": adc_bits})
    assert unit.rows_per_read(signed_input=False) == rows
    out, counts = through_converters(weights, unit, inputs)
    assert np.array_equal(out, inputs @ weights.T)
    blocks = [slice(0, 128), slice(128, 256), slice(256, 300)]
    reads = sum(int(np.ceil(ones_of(inputs[:, block], 8) / rows).sum()) for block in blocks)
    assert counts["conversions"] == reads * 5 * math.ceil(8 / cell_bits)


def test_limit_case_11_one_row_too_many_clips() -> None:
    weights, inputs = np.full((1, 64), 127), np.full((1, 64), 255)
    array = {"encoding": "offset", "cell_bits": 1}
    enough = crossbar(array=array, dac={"skip": "zero_bits"}, adc={"bits": 3})
    assert through_converters(weights, enough, inputs)[0][0, 0] == 64 * 127 * 255
    dense = crossbar(array={**array, "rows_active": 8}, adc={"bits": 3, "step_levels": 1.0})
    assert through_converters(weights, dense, inputs)[0][0, 0] < 64 * 127 * 255


def test_bit_sparse_reads_of_pairs_and_pedestals_take_fewer_rows() -> None:
    pairs = crossbar(array={"cell_bits": 1}, dac={"skip": "zero_bits"}, adc={"bits": 4})
    assert pairs.rows_per_read() == 7  # half of the codes lie below zero
    halved = IdealCell(g_max_uS=70.0, g_min_uS=35.0)  # the pedestal doubles what a row can add
    unit = crossbar(halved, array={"encoding": "offset", "cell_bits": 1}, dac={"skip": "zero_bits"}, adc={"bits": 4})
    assert unit.rows_per_read() == 7
    weights, inputs = random_codes(7, -128, 127, 4, 90), random_codes(8, 0, 255, 9, 90)
    assert np.array_equal(through_converters(weights, unit, inputs)[0], inputs @ weights.T)
    with pytest.raises(ValueError, match="cannot hold one row of 4-bit cells; use more"):
        crossbar(array={"encoding": "offset", "cell_bits": 4}, dac={"skip": "zero_bits"}, adc={"bits": 3})


def test_published_shares_of_reads() -> None:
    """RAP note, K = 768 at 4 bits (15 rows): 416 dense reads, 208 at half the bits; softmax-like inputs about 16."""
    unit = crossbar(
        array={"encoding": "offset", "cell_bits": 1, "rows": 768, "rows_active": 768, "columns": 512},
        dac={"skip": "zero_bits"},
        adc={"bits": 4},
    )
    weights = random_codes(9, -128, 127, 1, 768)

    def reads(inputs: np.ndarray) -> float:
        product, _ = made(weights, unit)
        return product.run(inputs.astype(np.int32), 0)[1]["conversions"] / (8 * len(inputs))  # 8 banks, one output

    assert reads(np.full((1, 768), 255)) == 8 * math.ceil(768 / 15) == 416
    assert reads(random_codes(10, 0, 255, 40, 768)) == pytest.approx(208, rel=0.03)
    sparse = random_codes(11, 0, 255, 40, 768) * (random_codes(12, 0, 19, 40, 768) == 0)  # bit density 0.025
    assert 8 <= reads(sparse) <= 20


def test_a_plane_of_zeros_is_not_converted() -> None:
    """An all-zero plane costs no conversion and draws no noise; with noise, it used to."""
    weights = random_codes(13, -127, 127, 8, 60)
    inputs = np.zeros((200, 60), dtype=np.int64)
    inputs[:, 0] = 16  # one plane of eight
    adc = {"bits": 9, "enob": 7.0, "step_levels": 1.0}
    spread = {}
    for skip in ("none", "zero_planes"):
        product, _ = made(weights, crossbar(adc=adc, dac={"skip": skip}))
        out, counts = product.run(inputs.astype(np.int32), 0)
        spread[skip] = float((out - inputs @ weights.T).std())
        assert counts["zero_planes"] == 200 * 7
        assert counts["conversions"] == 200 * 8 * 4 * (1 if skip == "zero_planes" else 8)
    planes = sum(4**k for k in range(8))
    assert spread["none"] / spread["zero_planes"] == pytest.approx(math.sqrt(planes / 4**4), rel=0.05)
    product, _ = made(weights, crossbar(adc=adc, dac={"skip": "zero_planes"}))
    assert not outputs_of(product, np.zeros((5, 60), dtype=np.int64)).any()


def test_small_reads_pass_noise_better_than_whole_groups() -> None:
    """RAP: with noise of half a step, few rows at equal bits lose less than all rows on."""
    weights, inputs = random_codes(14, -127, 127, 16, 128), random_codes(15, 0, 255, 100, 128)
    cell = RramCell(g_min_uS=0.0, program_fraction=0.0, read_fraction=0.05)
    array = {"encoding": "offset", "cell_bits": 1}
    errors = {}
    for skip in ("none", "zero_bits"):
        product, _ = made(weights, crossbar(cell, array=array, dac={"skip": skip}, adc={"bits": 4}))
        errors[skip] = float((outputs_of(product, inputs) - inputs @ weights.T).std())
    assert errors["zero_bits"] < errors["none"] / 3


def test_drives_that_refuse_name_the_layer() -> None:
    model = nn.Sequential(nn.Linear(2, 8))
    shapes = Shapes((Operator("0#0", "linear", inputs=2, outputs=8),))
    coords = torch.rand(256, 2) * 2 - 1
    unipolar = small_chip(crossbar(dac={"signed": "none"}))
    placed = place(shapes, unipolar)
    with pytest.raises(InputError, match="0: inputs are signed and dac"):
        convert(model, unipolar, placed, choose_formats(model, unipolar, placed, coords))
    chip = small_chip(crossbar(dac={"signed": "sign_magnitude"}))
    formats = choose_formats(model, chip, place(shapes, chip), coords)
    convert(model, chip, place(shapes, chip), formats)
    with pytest.raises(InputError, match="no code for -2\\^7: use a symmetric input grid"):
        convert(model, chip, place(shapes, chip), choose_formats(model, small_chip(), placed, coords))


def bill_of(dac: dict[str, Any], inputs: np.ndarray | None, adc_bits: int = 8) -> Any:
    """A 100 -> 20 layer, 50 vectors, billed with what its inputs counted, or without counts."""
    chip = small_chip(crossbar(array={"cell_bits": 1}, dac=dac, adc={"bits": adc_bits}))
    shapes = Shapes((Operator("layer#0", "linear", inputs=100, outputs=20),))
    tally = Tally()
    if inputs is not None:
        product, _ = made(random_codes(16, -127, 127, 20, 100), chip.units["unit"], signed_input=True)  # type: ignore[arg-type]
        tally.add("layer#0", **product.run(inputs.astype(np.int32), 0)[1])
    workload = Workload(shapes, 50.0, tally=tally, tally_items=0.0 if inputs is None else 50.0)
    return evaluate(chip, workload, place(shapes, chip))


def spent(bill: Any, component: str) -> float:
    return float(bill.energy_pJ[1, 0, 0, bill.components.index(component)])


def test_two_passes_double_conversions_and_time() -> None:
    inputs = random_codes(17, -127, 127, 50, 100)
    once, twice = (bill_of({"signed": drive}, inputs) for drive in ("sign_magnitude", "sign_magnitude_two_pass"))
    assert spent(twice, "adc") == pytest.approx(2 * spent(once, "adc"))
    assert float(twice.latency_ns[1, 0, 0]) == pytest.approx(2 * float(once.latency_ns[1, 0, 0]))
    drivers = [float(bill.area_um2[1, 0, bill.components.index("drivers")]) for bill in (once, twice)]
    assert drivers[0] == pytest.approx(2 * drivers[1])  # a bipolar driver


def test_conversions_come_from_the_tally_and_are_called_assumed_without_one() -> None:
    inputs = np.zeros((50, 100), dtype=np.int64)
    inputs[:, :3] = 1
    dense, planes, bits = (bill_of({"skip": skip}, inputs) for skip in ("none", "zero_planes", "zero_bits"))
    assert spent(planes, "adc") == pytest.approx(spent(dense, "adc") / 8)
    assert spent(bits, "adc") == pytest.approx(spent(dense, "adc") / 8)
    assert spent(planes, "control") != spent(dense, "control")
    assert not any("rows are driven in a plane" in line or "no plane is zero" in line for line in bits.warnings)
    unmeasured = bill_of({"skip": "zero_bits"}, None, adc_bits=4)
    assert any("half of the rows are driven in a plane, 7 in a read (layer#0)" in line for line in unmeasured.warnings)
    assert any("no plane is zero (layer#0)" in line for line in bill_of({"skip": "zero_planes"}, None).warnings)


def test_exact_products_count_what_is_skipped() -> None:
    unit = crossbar(array={"cell_bits": 1}, dac={"skip": "zero_bits"}, adc={"bits": 4})
    weights, inputs = random_codes(18, -127, 127, 5, 90), random_codes(19, 0, 255, 20, 90)
    product, _ = made(weights, unit)
    assert isinstance(product, ExactProduct)
    out, counts = product.run(inputs.astype(np.int32), 0)
    through, counted = through_converters(weights, unit, inputs)
    assert np.array_equal(out, through)
    assert counts == counted


def test_a_loss_keeps_the_kernel() -> None:
    product, _ = made(random_codes(18, -127, 127, 5, 90), crossbar(adc={"bits": 4}))
    assert isinstance(product, CrossbarProduct)
