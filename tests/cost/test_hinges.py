"""What a total hangs on, against closed forms."""

from __future__ import annotations

import importlib
import pkgutil
from collections import defaultdict

import numpy as np
import pytest

import ohmfield.chip
from ohmfield.chip.anchors import Anchored, Spanned, seen_through
from ohmfield.chip.files import load_baseline, load_chip
from ohmfield.chip.memory.sram import Sram
from ohmfield.cost.evaluate import evaluate
from ohmfield.cost.hinges import DRIVEN, FIGURES, Hinge, hinges
from ohmfield.mapping.place import place
from ohmfield.mapping.workload import Operator, Shapes, Stated, Workload
from ohmfield.quantities import HIGH, LOW, MID, Span, span
from ohmfield.spec import InputError

SHAPES = Shapes(
    (
        Operator("first#0", "linear", inputs=64, outputs=32),
        Operator("act#0", "activation", outputs=32, function="relu"),
        Operator("last#0", "linear", inputs=32, outputs=10),
    )
)
LOAD = Workload(SHAPES, 1000.0)
CHIPS = ("rram-40nm", "dcim-28nm")


def found(chip: str, figure: str = "energy", load: Workload = LOAD) -> dict[str, Hinge]:
    made = load_chip(chip)
    return {hinge.name: hinge for hinge in hinges(made, load, place(load.shapes, made), figure)}


def named() -> dict[str, list[Anchored | Spanned]]:
    """Every constant of the chip column by its name."""
    known: dict[int, Anchored | Spanned] = {}
    for info in pkgutil.walk_packages(ohmfield.chip.__path__, "ohmfield.chip."):
        for value in vars(importlib.import_module(info.name)).values():
            if isinstance(value, Anchored | Spanned):
                known[id(value)] = value
    names = defaultdict(list)
    for value in known.values():
        names[value.name].append(value)
    return names


def test_every_constant_has_a_name_of_its_own() -> None:
    names = named()
    assert len(names) > 50
    assert {name for name, values in names.items() if len(values) > 1} == set()


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("figure", FIGURES)
def test_each_hinge_is_the_bill_with_that_constant_moved_alone(chip: str, figure: str) -> None:
    made = load_chip(chip)
    placement = place(SHAPES, made)

    def total(moved: str = "", end: int = MID) -> float:
        def view(name: str, value: Span) -> Span:
            return span(float(value[end if name == moved else MID, 0]))

        with seen_through(view):
            bill = evaluate(made, LOAD, placement)
        values = {"energy": bill.energy_pJ, "latency": bill.fill_ns, "area": bill.area_um2}[figure]
        return float(values[MID].sum())

    widest = [hinge for hinge in hinges(made, LOAD, placement, figure) if hinge.name != DRIVEN][:6]
    assert widest
    for hinge in widest:
        assert hinge.low == pytest.approx(total(hinge.name, LOW) / total(), rel=1e-9)
        assert hinge.high == pytest.approx(total(hinge.name, HIGH) / total(), rel=1e-9)


def test_sorted_by_width_and_around_the_middle() -> None:
    every = list(found("rram-40nm").values())
    widths = [hinge.width for hinge in every]
    assert widths == sorted(widths, reverse=True)
    for hinge in every:
        assert min(hinge.low, hinge.high) <= 1.0 + 1e-12 <= max(hinge.low, hinge.high) + 2e-12, hinge


def test_a_constant_moves_what_uses_it_and_nothing_else() -> None:
    """SRAM energy of a buffer scales the buffer's row of the bill by its span; no other energy moves."""
    made = load_chip("dcim-28nm")
    assert isinstance(made.buffer, Sram)
    placement = place(SHAPES, made)
    factor = 1.5

    def view(name: str, value: Span) -> Span:
        return value * factor if name == "SRAM energy over CACTI" else value

    before = evaluate(made, LOAD, placement)
    with seen_through(view):
        after = evaluate(made, LOAD, placement)
    ratio = {name: after.by_component()[name][1] / mid for name, (_, mid, _) in before.by_component().items()}
    using = {name for name, value in ratio.items() if value != pytest.approx(1.0, rel=1e-12)}
    assert using == {"buffer"}
    assert ratio["buffer"] == pytest.approx(factor, rel=1e-12)


def test_the_share_of_leakage_in_closed_form() -> None:
    """Leakage per area moves leakage alone: the total moves by what is leaked times the span less one."""
    made = load_chip("dcim-28nm")
    bill = evaluate(made, LOAD, place(SHAPES, made))
    with seen_through(lambda name, value: value * 0.0 if name == "leakage per area" else value):
        rest = evaluate(made, LOAD, place(SHAPES, made))
    share = 1.0 - rest.energy_mJ[1] / bill.energy_mJ[1]
    hinge = found("dcim-28nm")["leakage per area"]
    assert hinge.low == pytest.approx(1.0 - share * (1.0 - 60.0 / 177.0), rel=1e-9)
    assert hinge.high == pytest.approx(1.0 + share * (1770.0 / 177.0 - 1.0), rel=1e-9)


def test_driven_digits_are_a_hinge_until_they_are_counted_or_stated() -> None:
    assert found("rram-40nm")[DRIVEN].low < 1.0 < found("rram-40nm")[DRIVEN].high
    linear = [operator for operator in SHAPES.operators if operator.kind == "linear"]
    said = tuple(Stated("driven", operator.inputs * 2.0, operator=operator.id) for operator in linear)
    assert DRIVEN not in found("rram-40nm", load=Workload(SHAPES, 1000.0, stated=said))


def test_a_view_ends_with_its_block() -> None:
    made = load_chip("rram-40nm")
    placement = place(SHAPES, made)
    before = evaluate(made, LOAD, placement).energy_pJ
    hinges(made, LOAD, placement)
    with pytest.raises(ZeroDivisionError), seen_through(lambda name, value: value / (1 // 0)):
        evaluate(made, LOAD, placement)
    np.testing.assert_array_equal(evaluate(made, LOAD, placement).energy_pJ, before)


def test_a_processor_hangs_on_its_load() -> None:
    (hinge,) = hinges(load_baseline("h100"), LOAD)
    assert hinge.name == "load of processors"
    assert hinges(load_baseline("h100"), LOAD, figure="area") == ()


def test_unknown_figures_are_refused() -> None:
    made = load_chip("rram-40nm")
    with pytest.raises(InputError, match="'price' is not known; known: energy, latency, area"):
        hinges(made, LOAD, place(SHAPES, made), "price")
