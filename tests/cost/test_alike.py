"""Operators that are alike are billed once: every figure is the one of each billed for itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ohmfield.chip.files import load_chip
from ohmfield.cost.alike import alike
from ohmfield.cost.evaluate import evaluate, totals
from ohmfield.mapping.place import place
from ohmfield.mapping.workload import Operator, Shapes, Stated, Workload


def _layer(number: int) -> list[Operator]:
    return [
        Operator(f"layer{number}#0", "linear", inputs=96, outputs=96, vectors=4),
        Operator(f"act{number}#0", "activation", outputs=384, function="relu"),
        Operator(f"scores{number}#0", "product", inputs=96, outputs=50, vectors=4),
        Operator(f"norm{number}#0", "host", outputs=384, flops=1000.0, bytes=800.0),
    ]


LOAD = Workload(Shapes((*_layer(0), *_layer(1), *_layer(2), *_layer(3))), items=7.0)
STATED = replace(LOAD, stated=(Stated("driven", 100.0, operator="layer1#0"),))
# A module called again: its calls share a stage and its weights.
TWICE = replace(LOAD, shapes=Shapes((*LOAD.shapes.operators, replace(LOAD.shapes.operators[0], id="layer0#1"))))


def _each_for_itself(chip, workload, placement):
    return [(operator,) for operator in workload.shapes.operators]


@pytest.mark.parametrize("chip", ["rram-40nm", "dcim-28nm"])
@pytest.mark.parametrize("load", [LOAD, STATED, TWICE], ids=["plain", "stated", "twice"])
@pytest.mark.parametrize("copies", [1, "fit"])
def test_a_bill_is_the_one_of_operators_billed_apart(chip, load, copies, monkeypatch):
    made = load_chip(chip)
    placement = place(load.shapes, made, copies=copies)
    together, sums = evaluate(made, load, placement), totals(made, load, placement)
    monkeypatch.setattr("ohmfield.cost.evaluate.alike", _each_for_itself)
    apart = evaluate(made, load, placement)
    for name in ("energy_pJ", "latency_ns", "first_ns", "fill_ns", "interval_ns", "area_um2", "leakage_uW"):
        np.testing.assert_allclose(getattr(together, name), getattr(apart, name), rtol=1e-13, err_msg=name)
    assert together.stage_ns.keys() == apart.stage_ns.keys()
    for stage, time_ns in apart.stage_ns.items():
        np.testing.assert_allclose(together.stage_ns[stage], time_ns, rtol=1e-13)
    assert together.warnings == apart.warnings
    assert (together.utilisation, together.activity) == pytest.approx((apart.utilisation, apart.activity), rel=1e-13)
    np.testing.assert_allclose(sum(sums.energy_pJ.values()), apart.energy_pJ.sum(axis=(2, 3)), rtol=1e-13)
    np.testing.assert_allclose(sums.fill_ns, apart.fill_ns, rtol=1e-13)


def _groups(load, chip="rram-40nm"):
    made = load_chip(chip)
    groups = alike(made, load, place(load.shapes, made, copies=1))
    return [[operator.path for operator in operators] for operators in groups]


def test_what_differs_in_a_rate_a_call_or_its_place_is_told_apart():
    assert _groups(LOAD)[0] == ["layer0", "layer1", "layer2"]  # the last layer writes its results too
    assert _groups(LOAD)[1] == ["act0", "act1", "act2", "act3"]
    assert _groups(STATED)[0] == ["layer0", "layer2"]
    assert _groups(TWICE)[:2] == [["layer0"], ["act0", "act1", "act2", "act3"]]
