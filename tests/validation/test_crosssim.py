"""Every code of CrossSim's converters against ours, on the same conductances, ranges and rounding.

The stored codes are CrossSim 3.2.0's own (`peers/crosssim_vectors.py` makes them), in two roundings: with its ranges
moved by a millionth of a step, so that halves go up as ours do, and as shipped, where `rint` of a sum of thirds or
fifteenths of a current sends exact halves either way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest

from ohmfield._kernels.crossbar import LoweredArray, conversions, reference
from ohmfield._kernels.crossbar_fast import fast
from ohmfield.chip.cells import IdealCell
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.slice import Slices, slice_weights
from ohmfield.numerics import Noise
from ohmfield.simulate.conversion import Causes, level_uS, pedestal_levels
from ohmfield.simulate.lower import lower
from ohmfield.simulate.reading import read_copy
from small_chip import crossbar, plan_for, small_chip
from validation.peers.crosssim_vectors import Setup

FILE = Path(__file__).parent / "peers" / "crosssim.npz"
G_MAX_US = 100.0


@dataclass(frozen=True, eq=False)
class Vector:
    """One configuration as CrossSim ran it, and the same layer lowered by us from its conductances."""

    setup: Setup
    weights: np.ndarray  # [outputs, rows]
    inputs: np.ndarray  # [vectors, rows]
    conductances_uS: np.ndarray  # [rows, slices, sides, outputs]
    codes: np.ndarray  # [groups, banks, planes, vectors, outputs], halves up
    shipped: np.ndarray  # the same, as CrossSim rounds
    outputs: np.ndarray  # [vectors, outputs], halves up, in weight times input codes
    nudge: float
    unit: Crossbar
    slices: Slices
    array: LoweredArray


def load() -> Iterator[Vector]:
    known = {field.name for field in fields(Setup)}
    with np.load(FILE) as file:
        about = json.loads(file["about"].tobytes())
        assert about["crosssim"] == "3.2.0"
        for number, plain in enumerate(about["setups"]):
            assert set(plain) == known
            keys = ("weights", "inputs", "levels", "codes_up", "less_as_shipped", "outputs_up")
            yield vector(Setup(**plain), {key: file[f"{number}:{key}"] for key in keys}, about["nudge"])


def vector(setup: Setup, own: dict[str, np.ndarray], nudge: float) -> Vector:
    unit = crossbar(
        IdealCell(g_max_uS=G_MAX_US, g_min_uS=G_MAX_US / setup.on_off if setup.on_off else 0.0),
        array={
            "rows": setup.rows,
            "rows_active": setup.rows_active,
            "cell_bits": setup.cell_bits,
            "encoding": setup.encoding,
            "subtract": setup.subtract,
        },
        adc={"bits": setup.adc_bits, "step_levels": setup.step},
        dac={"bits": setup.dac_bits, "signed": "sign_magnitude"},
    )
    weights = own["weights"].astype(np.int64)
    widths = {"input_bits": setup.input_bits, "weight_bits": setup.weight_bits}
    plan = plan_for(weights, small_chip(unit), signed_input=setup.sign_magnitude, **widths)
    slices = slice_weights(weights, unit.array, setup.weight_bits)
    conductances_uS = unit.cell.g_min_uS + own["levels"].astype(np.float64) / setup.grid * level_uS(unit)
    stored = read_copy(conductances_uS, slices, unit, plan.starts, 0.0, Causes(), Noise(0))
    array = lower(stored, slices, unit, plan.driving((1.0,) * stored.levels.shape[1]), Causes())
    return Vector(
        setup,
        weights,
        own["inputs"].astype(np.int32),
        conductances_uS,
        own["codes_up"],
        own["codes_up"] - own["less_as_shipped"],
        own["outputs_up"],
        nudge,
        unit,
        slices,
        array,
    )


def our_codes(array: LoweredArray, one: Vector) -> np.ndarray:
    codes = np.full(one.codes.shape, np.iinfo(np.int64).max)
    for place, _, converted, made in conversions(array, one.inputs):
        assert made.all()
        codes[place] = converted
    return codes


def in_steps(one: Vector) -> np.ndarray:
    """What each converter sees, in steps, in double precision from the conductances: the shape of the codes."""
    setup, unit = one.setup, one.unit
    levels = one.conductances_uS / level_uS(unit)
    pairs = setup.encoding == "differential" and setup.subtract == "analog"
    banks = levels[:, :, 0] - levels[:, :, 1] if pairs else levels.reshape(len(levels), -1, levels.shape[-1])
    size, sign = np.abs(one.inputs), np.sign(one.inputs)
    out = []
    for first in range(0, setup.rows, setup.rows_active):
        rows = slice(first, first + setup.rows_active)
        digits = [
            sign * ((size >> (setup.dac_bits * plane)) & (2**setup.dac_bits - 1)) for plane in range(setup.planes)
        ]
        out.append([[digit[:, rows] @ banks[rows, bank] for digit in digits] for bank in range(banks.shape[1])])
    return np.array(out) / setup.step


VECTORS = {one.setup.name: one for one in load()}
on_a_grid = [name for name, one in VECTORS.items() if not one.setup.program_error]
by_name = pytest.mark.parametrize("name", on_a_grid)


@by_name
def test_conductances_are_our_slices_of_the_weights(name: str) -> None:
    one = VECTORS[name]
    digits = (one.conductances_uS - one.unit.cell.g_min_uS) / level_uS(one.unit)
    error = digits - one.slices.digits
    assert np.abs(error).max() < (1e-9 if one.setup.cell_error == 0.0 else 5 * one.setup.cell_error)
    assert one.array.grid % one.setup.grid == 0  # nothing is lost to our own grid


@by_name
def test_every_code_is_crosssims_with_halves_up(name: str) -> None:
    one = VECTORS[name]
    np.testing.assert_array_equal(our_codes(one.array, one), one.codes)


@by_name
def test_as_shipped_crosssim_differs_only_at_exact_halves(name: str) -> None:
    one = VECTORS[name]
    ours = our_codes(one.array, one)
    differ = ours != one.shipped
    halves = np.abs(in_steps(one) % 1.0 - 0.5) < 1e-9
    assert not (differ & ~halves).any()
    np.testing.assert_array_equal(ours[differ], one.shipped[differ] + 1)
    if one.setup.cell_bits == 1:  # currents are whole: no floating-point error, so halves go to even
        assert (one.shipped[halves] % 2 == 0).all()


@by_name
def test_outputs_are_crosssims(name: str) -> None:
    """Shift, add, and offset removal: from the same codes the same numbers, by `reference` and by `fast`."""
    one = VECTORS[name]
    array = replace(
        one.array, pedestal_code=None
    )  # ours is rounded to whole codes; CrossSim takes off the exact number
    out, counts = reference(array, one.inputs)
    quick, quick_counts = fast(array, one.inputs)
    np.testing.assert_array_equal(quick, out)
    assert quick_counts == counts
    assert counts["conversions"] == one.codes.size
    sums = one.inputs.sum(axis=1, keepdims=True)
    banks, planes = int(array.bank_weights.sum()), int(array.plane_weights.sum())
    pedestals = pedestal_levels(one.unit) * banks * sums
    moved = one.nudge * banks * planes * array.num_groups  # each of CrossSim's codes carries the nudge
    ours = (out - moved) * one.setup.step - one.slices.offset * sums - pedestals
    if one.setup.core == "OFFSET":  # it stores in 2^c - 1 of its 2^c levels but scales by the range of all of them
        ours = ours * (2**one.setup.cell_bits - 2) / (2**one.setup.cell_bits - 1)
    np.testing.assert_allclose(ours, one.outputs, rtol=0, atol=1e-9 * np.abs(one.outputs).max())


def test_conductances_off_the_grid_flip_only_codes_near_a_threshold() -> None:
    """CrossSim's own programming error: our grid moves a sum by at most half a grid point per row."""
    (one,) = [one for one in VECTORS.values() if one.setup.program_error]
    ours, seen = our_codes(one.array, one), in_steps(one)
    differ = ours != one.codes
    distance = np.abs((seen - 0.5) - np.round(seen - 0.5))  # to the next threshold, in steps
    grid_error = one.setup.rows_active * 0.5 / one.array.grid / one.setup.step
    assert (distance[differ] <= grid_error).all()
    assert np.abs(ours - one.codes).max() <= 1
    # sd of the moved sums is about sqrt(32 rows / 12) of a grid point; a threshold lies in every step
    assert differ.mean() < 2 * np.sqrt(one.setup.rows_active / 2 / 12) / one.array.grid / one.setup.step


def test_the_configurations_cover_what_they_claim() -> None:
    setups = [one.setup for one in VECTORS.values()]
    assert len(on_a_grid) >= 20
    assert {setup.core for setup in setups} == {"BITSLICED", "BALANCED", "OFFSET"}
    assert {(setup.encoding, setup.subtract) for setup in setups} >= {
        ("differential", "analog"),
        ("differential", "digital"),
        ("offset", "analog"),
    }
    assert {setup.cell_bits for setup in setups} == {1, 2, 4}
    assert {setup.dac_bits for setup in setups} == {1, 2, 4, 8}
    assert {setup.adc_bits for setup in setups} == {4, 5, 6, 7, 8}
    assert {setup.sign_magnitude for setup in setups} == {False, True}
    clipped, halves = [], 0
    for one in VECTORS.values():
        ends = [-(2 ** (one.setup.adc_bits - 1)) if one.setup.signed_codes else 0]
        ends.append(ends[0] + 2**one.setup.adc_bits - 1)
        beyond = (in_steps(one) < ends[0] - 0.5) | (in_steps(one) >= ends[1] + 0.5)
        clipped.append(bool(beyond.any()))
        halves += int((one.codes != one.shipped).sum())
        assert len(np.unique(one.codes)) >= 8
    assert min(clipped.count(True), clipped.count(False)) >= 4
    assert halves > 1000  # the two roundings are told apart
