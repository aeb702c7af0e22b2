"""Rates of a workload: what was counted, what somebody stated, what is a default."""

from __future__ import annotations

from ohmfield.mapping.workload import Operator, Shapes, Stated, Workload
from ohmfield.tally import Tally

SHAPES = Shapes(
    (
        Operator("layer#0", "linear", inputs=4, outputs=3, vectors=2.0),
        Operator("layer#1", "linear", inputs=4, outputs=3),
        Operator("experts#0", "linear", inputs=4, outputs=5, groups=8, vectors=0.25),
        Operator("words#0", "table", outputs=4, rows=10, reads=1.0),
        Operator("cache#0", "cache", outputs=4, rows=10, reads=9.0, writes=1.0),
    )
)


def test_a_count_goes_before_a_statement_and_that_before_a_default() -> None:
    tally = Tally()
    tally.add("layer#0", driven=60.0)
    names = ("layer#0", "layer#1", "experts#0")
    stated = (
        Stated("driven", 7.0, "a guess", operator="layer#0"),
        Stated("driven", 8.0, operator="layer#1"),
        Stated("driven", 9.0),  # of the whole workload: of no operator
    )
    load = Workload(SHAPES, 10.0, "token", tally=tally, tally_items=20.0, stated=stated)
    found = [(load.rate(name, "driven", 1.0), load.origin(name, "driven")) for name in names]
    assert found == [(3.0, "measured"), (8.0, "stated"), (1.0, "default")]
    assert load.origin("layer#1", "conversions") == "default"
    assert [load.measured(name, "driven") for name in ("layer#0", "layer#1")] == [True, False]
    nothing_ran = Workload(SHAPES, 10.0, tally=tally, stated=stated)
    assert (nothing_ran.rate("layer#0", "driven", 1.0), nothing_ran.origin("layer#0", "driven")) == (7.0, "stated")


def test_work_and_weights_of_shapes() -> None:
    assert SHAPES.macs == 2 * 12 + 12 + 0.25 * 8 * 20
    assert SHAPES.weights == 12 + 8 * 20 + 40  # a module called twice is stored once; a cache stores no weights
    assert Workload(SHAPES, 10.0).macs == 10 * SHAPES.macs
