"""Planes of multipliers and weights as wires: closed forms of their bills, what grows with what, what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ohmfield.chip import library
from ohmfield.chip.process import Process
from ohmfield.chip.units import DigitalUnit, Hardwired, Spatial
from ohmfield.cost.bill import Bill
from ohmfield.cost.evaluate import evaluate
from ohmfield.mapping.place import place, product_unit
from ohmfield.mapping.workload import Operator, Shapes, Workload
from ohmfield.quantities import MID
from ohmfield.spec import InputError
from small_chip import small_chip

PROCESS = Process(node_nm=40, supply_V=1.0, clock_GHz=0.2)
PLANE = Spatial(rows=32, columns=16, banks=2, word_bits=8, mac_pJ=3.0)
WIRES = Hardwired(rows=32, columns=16, banks=2, num_arrays=4)


def billed(unit: DigitalUnit, layer: Operator, items: float = 10.0, weight_bits: int = 8, **options: bool) -> Bill:
    chip, shapes = small_chip(unit), Shapes((layer,))
    return evaluate(chip, Workload(shapes, items=items), place(shapes, chip, weight_bits, 8, **options))


def layer(inputs: int = 32, outputs: int = 16) -> Operator:
    return Operator("layer#0", "linear", inputs=inputs, outputs=outputs)


def area(unit: DigitalUnit, component: str, weight_bits: int = 8) -> float:
    return float(unit.parts(PROCESS, weight_bits, 8)[component].area_um2[MID, 0])


def test_a_plane_takes_a_clock_a_vector_and_pays_for_products_and_sums() -> None:
    bill = billed(PLANE, layer())
    driven = 1.0 - 0.5**8  # words that are not zero, half of all bits set
    sums_pJ = float(PROCESS.gates_pJ(library.register(2 * 8 + 5).energy_fJ)[MID, 0])
    spent = bill.by_component()["adder_tree"][MID] * 1e9
    assert spent == pytest.approx(10 * driven * 32 * 16 * (3.0 + sums_pJ))
    assert float(bill.stage_ns["layer#0", "unit:layer"][MID, 0]) == pytest.approx(10 / 0.2)
    twice = billed(PLANE, layer(inputs=64))  # two banks, one after the other
    assert float(twice.stage_ns["layer#0", "unit:layer"][MID, 0]) == pytest.approx(2 * 10 / 0.2)


def test_wider_weights_take_two_columns_and_wider_inputs_two_cycles() -> None:
    assert [PLANE.columns_per_weight(bits) for bits in (4, 8, 9, 16)] == [1, 1, 2, 2]
    assert [float(PLANE.digits(bits)) for bits in (4, 8, 9, 16)] == [1, 1, 2, 2]
    wide = billed(PLANE, layer(outputs=8), weight_bits=16)
    assert wide.by_component()["adder_tree"][MID] == billed(PLANE, layer()).by_component()["adder_tree"][MID]


def test_products_of_gates_cost_more_with_wider_words() -> None:
    gates = replace(PLANE, mac_pJ=None)
    narrow, wide = (float(replace(gates, word_bits=bits).add(PROCESS, 8).energy_pJ[MID, 0]) for bits in (8, 16))
    assert 2.0 < wide / narrow < 4.0  # a product by bits squared, sums by bits
    assert area(replace(gates, word_bits=16), "adder_tree") > 3.0 * area(gates, "adder_tree")


def test_weights_of_a_plane_too_small_are_loaded_in_every_inference() -> None:
    small, large = (replace(PLANE, num_arrays=number) for number in (1, 2))
    big = layer(outputs=32)
    waved, resident = billed(small, big), billed(large, big)
    assert waved.latency_ms[MID] > resident.latency_ms[MID]
    words = 2 * 32 * 16  # both halves of the outputs take turns on the one plane
    write_pJ = float(PLANE.write(PROCESS).energy_pJ[MID, 0])
    assert waved.by_component()["programming"][MID] * 1e9 == pytest.approx(words * write_pJ)


def test_wires_are_never_written_and_share_adders_in_turn() -> None:
    bill = billed(WIRES, layer(inputs=64), weight_bits=4)
    assert "programming" not in bill.by_component()
    assert float(bill.stage_ns["layer#0", "unit:layer"][MID, 0]) >= 10 * 8 * 2 / 0.2  # bits, and turns
    more = replace(WIRES, banks=4)
    assert area(more, "cells") == pytest.approx(2 * area(WIRES, "cells"))
    assert area(more, "adder_tree") == area(WIRES, "adder_tree")


def test_counters_of_an_output_are_one_for_each_value() -> None:
    """A full adder for every input; fifteen values times counts of nine bits: 32 + 15 x 9 adders."""
    adders = 32 + 15 * (4 + 5)
    assert area(WIRES, "adder_tree", 4) == pytest.approx(
        16 * adders * float(library.adder(1).part(PROCESS).area_um2[MID, 0])
    )
    assert area(WIRES, "cells", 4) == area(WIRES, "cells", 8)  # a wire carries any value


def test_a_model_in_metal_runs_in_no_waves_and_multiplies_no_activations() -> None:
    with pytest.raises(InputError, match=r"units\.unit.*cannot be written again in waves: raise num_arrays"):
        billed(WIRES, layer(outputs=4 * 16 + 1))
    assert product_unit(small_chip(WIRES)) is None
    assert product_unit(small_chip(PLANE)) == "unit"
