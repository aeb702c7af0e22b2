from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmfield.chip.array import Array
from ohmfield.chip.baseline import Roofline
from ohmfield.chip.cells import IdealCell
from ohmfield.chip.chip import Chip, Rule
from ohmfield.chip.converters import SarAdc
from ohmfield.chip.dac import Dac
from ohmfield.chip.digital import ActivationUnit, GatherUnit, Requantiser
from ohmfield.chip.memory import Dram, Sram
from ohmfield.chip.process import Process
from ohmfield.chip.units import Crossbar, DigitalCim
from ohmfield.mapping.place import place
from ohmfield.mapping.workload import Operator, Shapes
from ohmfield.spec import InputError

HOST = Roofline(name="host", source="test", peak_GFLOPs=100, bandwidth_GBps=10, idle_W=1, busy_W=5)


def chip(num_arrays: int = 16, max_copies: int = 1, **parts) -> Chip:
    array = Array(rows=64, columns=64, rows_active=32)
    analog = Crossbar(
        cell=IdealCell(), array=array, dac=Dac(), adc=SarAdc(), num_arrays=num_arrays, max_copies=max_copies
    )
    fields: dict[str, Any] = {"units": {"analog": analog, "digital": DigitalCim()}} | parts
    return Chip(
        name="test",
        source="test",
        process=Process(node_nm=40, supply_V=1.0, clock_GHz=0.5),
        requantiser=Requantiser(),
        activation=ActivationUnit(),
        buffer=Sram(),
        host=HOST,
        **fields,
    )


def field_shapes() -> Shapes:
    return Shapes(
        (
            Operator("encoding.address#0", "address", inputs=2, outputs=64, function="hash"),
            Operator("encoding.table#0", "table", outputs=2, rows=4096, reads=16),
            Operator("encoding.interpolate#0", "interpolate", inputs=8, outputs=8),
            Operator("decoder.layers.0#0", "linear", inputs=8, outputs=8),
            Operator("decoder.activations.0#0", "activation", outputs=8, function="sine"),
            Operator("decoder.layers.1#0", "linear", inputs=8, outputs=8),
            Operator("decoder.activations.1#0", "activation", outputs=8, function="erfinv"),
            Operator("decoder.layers.2#0", "linear", inputs=8, outputs=3),
            Operator("decoder#0/cumsum", "host", flops=3, bytes=24),
        )
    )


GRID = {"gather": GatherUnit(), "table_memory": Sram(kilobytes=64)}


@given(
    num_arrays=st.integers(1, 20),
    grid=st.booleans(),
    dram=st.booleans(),
    kilobytes=st.sampled_from([1.0, 64.0]),
)
def test_every_operator_gets_one_site(num_arrays, grid, dram, kilobytes):
    parts = {"gather": GatherUnit(), "table_memory": Sram(kilobytes=kilobytes)} if grid else {}
    placement = place(field_shapes(), chip(num_arrays, dram=Dram() if dram else None, **parts))
    assert list(placement.sites) == [operator.id for operator in field_shapes().operators]
    home = placement.sites["encoding.table#0"].unit
    assert home == ("host" if not grid else "table_memory" if kilobytes == 64 else "dram" if dram else "host")
    assert placement.sites["encoding.address#0"].unit == ("gather" if grid else "host")
    assert placement.sites["decoder.activations.0#0"].unit == "activation"
    assert placement.sites["decoder.activations.1#0"].unit == "host"
    assert placement.sites["decoder#0/cumsum"].unit == "host"


def test_rules_send_layers_to_units():
    rules = (Rule(match="last", unit="digital"), Rule(match="*.1", unit="digital"))
    sites = place(field_shapes(), chip(place=rules, **GRID)).sites
    units = [sites[f"decoder.layers.{i}#0"].unit for i in range(3)]
    assert units == ["analog", "digital", "digital"]


def test_spare_arrays_hold_copies_of_the_slowest_layers():
    layers = (
        Operator("a#0", "linear", inputs=64, outputs=8, vectors=1),  # two groups
        Operator("b#0", "linear", inputs=32, outputs=8, vectors=1),  # one group
    )
    sites = place(Shapes(layers), chip(num_arrays=5, max_copies=8)).sites
    assert (sites["a#0"].copies, sites["b#0"].copies) == (3, 2)
    assert place(Shapes(layers), chip(num_arrays=5, max_copies=2)).sites["a#0"].copies == 2
    assert place(Shapes(layers), chip(num_arrays=5)).sites["a#0"].copies == 1


def test_what_does_not_fit_is_written_in_waves():
    layers = tuple(Operator(f"layer{i}#0", "linear", inputs=128, outputs=8) for i in range(3))  # two arrays each
    assert place(Shapes(layers), chip(num_arrays=6)).waves == 1
    placement = place(Shapes(layers), chip(num_arrays=3, max_copies=4))
    assert placement.waves == 2
    assert [(s.wave, s.wave_span, s.copies) for s in placement.sites.values()] == [(0, 1, 1), (0, 2, 1), (1, 1, 1)]


def test_a_module_called_twice_is_stored_once():
    calls = (
        Operator("layer#0", "linear", inputs=64, outputs=8),
        Operator("layer#1", "linear", inputs=64, outputs=8),
    )
    placement = place(Shapes(calls), chip(num_arrays=1))
    assert placement.waves == 1
    assert replace(placement.sites["layer#0"], operator="layer#1") == placement.sites["layer#1"]


def test_impossible_requests_name_what_is_wrong():
    shapes = Shapes((Operator("net.wide#0", "linear", inputs=64, outputs=64),))
    with pytest.raises(InputError, match=r"units.analog: 4 copies need 32 arrays .*net.wide.*, there are 16"):
        place(shapes, chip(max_copies=8), copies=4)
    with pytest.raises(InputError, match=r"units.analog: copies 9 is not within 1 .. max_copies 8"):
        place(shapes, chip(max_copies=8), copies=9)
    tiny = chip(units={"analog": DigitalCim(columns=4)})
    with pytest.raises(InputError, match=r"net.wide: one 8-bit weight takes 8 columns, an array has 4"):
        place(shapes, tiny)
