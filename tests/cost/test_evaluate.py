from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cost.leaves import HOST, chip, layers, one_layer
from ohmfield.chip.cells.rram import RramCell
from ohmfield.chip.files import list_baselines, list_chips, load_baseline, load_chip
from ohmfield.chip.units import Crossbar
from ohmfield.cost.actions import fused_bytes, processor_work
from ohmfield.cost.baseline import baseline_bill
from ohmfield.cost.bill import Bill
from ohmfield.cost.evaluate import IDLE, evaluate
from ohmfield.cost.price import price
from ohmfield.fields import presets
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import trace
from ohmfield.mapping.workload import Operator, Placement, Shapes, Stated, Workload
from ohmfield.spec import InputError
from ohmfield.tally import Tally

MID = 1


def bill_of(description, workload: Workload) -> Bill:
    return evaluate(description, workload, place(workload.shapes, description))


def field_workload(name: str, **arguments) -> Workload:
    return Workload(trace(presets.build(name, **arguments), torch.rand(16, 2)), items=64 * 64)


@pytest.mark.parametrize("name", list_chips())
@pytest.mark.parametrize("field", ["hash", "siren", "gaussian"])
def test_every_operator_of_a_field_is_billed_and_everything_adds_up(name, field):
    workload = field_workload(field)
    bill = bill_of(load_chip(name), workload)
    assert bill.operators == (*(operator.id for operator in workload.shapes.operators), IDLE)
    by_operator, by_component = bill.by_operator(), bill.by_component()
    assert all(low > 0.0 for low, _, _ in by_operator.values())
    assert sum(mid for _, mid, _ in by_operator.values()) == pytest.approx(bill.energy_mJ[MID])
    assert sum(mid for _, mid, _ in by_component.values()) == pytest.approx(bill.energy_mJ[MID])
    assert sum(row.energy_pJ for row in bill.rows()) == pytest.approx(bill.energy_mJ[MID] * 1e9)
    assert sum(row.share for row in bill.rows()) == pytest.approx(1.0)
    assert (bill.latency_ns[MID, 0, :-1] > 0).all()
    for low, mid, high in (bill.energy_mJ, bill.latency_ms, bill.frames_per_s, bill.area_mm2):
        assert 0 < low <= mid <= high
    assert (bill.interval_ns <= bill.fill_ns).all()
    assert bill.latency_ns[MID].max() <= bill.interval_ns[MID, 0] * (1 + 1e-12)


def test_an_operation_nobody_knows_stands_on_the_host():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 8)

        def forward(self, x):
            return torch.cumsum(self.layer(x), dim=1)

    workload = Workload(trace(Odd(), torch.rand(4, 2)), items=100)
    description = chip()
    bill = bill_of(description, workload)
    host = bill.by_operator()["(model)#0"]
    expected = description.host.cost(100 * 8, 100 * 2 * 8 * 4, launches=1).energy_pJ[:, 0] * 1e-9
    assert host == pytest.approx(tuple(expected))
    assert bill.boundary.startswith("system")
    assert any("on the host (host): (model)#0" in line for line in bill.warnings)


def test_measured_rates_replace_defaults_and_their_warnings():
    workload = one_layer(items=10)
    (operator,) = workload.shapes.operators
    assumed = bill_of(chip(), workload)
    tally = Tally()
    tally.add(operator.id, vectors=5, driven=5 * 256 * 8 * 0.25)  # a quarter of the bits set, over five vectors
    measured = bill_of(chip(), replace(workload, tally=tally, tally_items=5))
    cells = assumed.components.index("cells")
    assert measured.energy_pJ[..., cells] == pytest.approx(assumed.energy_pJ[..., cells] / 2)
    assert (assumed.activity, measured.activity) == (0.5, 0.25)
    assert any("assumed rate" in line and operator.id in line for line in assumed.warnings)
    (left,) = (line for line in measured.warnings if "assumed rate" in line)
    assert "mean conductance: 0.25 of the range" in left
    assert operator.id in left


def test_a_counted_mean_conductance_replaces_the_default_and_its_warning():
    (unit,) = chip().units.values()
    assert isinstance(unit, Crossbar)
    workload = one_layer(items=10)
    (operator,) = workload.shapes.operators
    assumed = bill_of(chip(), workload)
    tally = Tally()
    tally.add(operator.id, driven=5 * 256 * 4, crossed=8e4, filled=1e4)
    counted = bill_of(chip(), replace(workload, tally=tally, tally_items=5))
    cells = assumed.components.index("cells")
    ratio = unit.cell.mean_uS(1 / 8) / unit.cell.mean_uS(1 / 4)
    assert counted.energy_pJ[..., cells] == pytest.approx(assumed.energy_pJ[..., cells] * ratio)
    assert np.array_equal(counted.latency_ns, assumed.latency_ns)  # a read lasts as long as it was designed to
    assert not any("assumed rate" in line for line in counted.warnings)
    said = Stated("fill", 1 / 8, "a guess", operator.id)
    stated = bill_of(chip(), replace(workload, stated=(said,)))
    assert stated.energy_pJ[..., cells] == pytest.approx(counted.energy_pJ[..., cells])


def test_efficiency_counts_two_operations_a_mac_and_says_its_terms():
    bill = bill_of(chip(), one_layer(items=10))
    efficiency = bill.tops_per_W
    joules = bill.energy_mJ[MID] * 1e-3
    assert efficiency.tops_per_W[MID] == pytest.approx(2 * 256 * 256 * 10 / joules * 1e-12)
    assert efficiency.tops_per_W[0] <= efficiency.tops_per_W[1] <= efficiency.tops_per_W[2]
    assert efficiency.utilisation == 1.0
    assert efficiency.activity == 0.5
    assert efficiency.precision == "8-bit weights, 8-bit inputs"
    assert efficiency.boundary.startswith("chip")


def test_a_module_called_twice_takes_its_arrays_in_turn():
    once = Workload(layers((256, 256)), items=100)
    calls = tuple(Operator(f"layer#{i}", "linear", inputs=256, outputs=256) for i in range(2))
    twice = Workload(Shapes(calls), items=100)
    description = chip(num_arrays=1)
    single, double = bill_of(description, once), bill_of(description, twice)
    assert double.interval_ns[MID, 0] == pytest.approx(2 * single.interval_ns[MID, 0])
    programming = single.components.index("programming")
    assert double.energy_pJ[..., programming].sum() == pytest.approx(single.energy_pJ[..., programming].sum())


def test_a_placement_of_other_shapes_is_refused():
    workload = one_layer()
    with pytest.raises(InputError, match="layer0#0: has no site"):
        evaluate(chip(), workload, Placement({}))


def test_more_frames_than_the_chip_makes_are_refused():
    bill = bill_of(chip(), one_layer())
    with pytest.raises(InputError, match=r"frames/s is not within 0 \.\. "):
        bill.power_at(2 * bill.frames_per_s[MID])


@pytest.mark.parametrize("name", list_baselines())
def test_a_processor_gets_the_same_bill(name):
    workload, roofline = field_workload("hash", log2_table=10), load_baseline(name)
    bill = baseline_bill(roofline, workload)
    # A fused kernel with its table in the cache is bound by arithmetic here.
    flops = [processor_work(operator)[0] * workload.items for operator in workload.shapes.operators]
    time_ns = sum(flops) / (roofline.peak_GFLOPs * roofline.utilisation) + roofline.launch_us * 1e3
    assert bill.latency_ms[MID] == pytest.approx(time_ns * 1e-6, rel=1e-2)  # coordinates and results move as well
    busy = roofline.cost(sum(flops), 0, launches=1).energy_pJ[MID, 0]
    assert bill.energy_mJ[MID] == pytest.approx(float(busy) * 1e-9, rel=1e-2)
    assert bill.power_at(0.0)[MID] == pytest.approx(roofline.idle_W)
    assert all(low > 0.0 for low, _, _ in bill.by_operator().values())
    assert 0 < bill.utilisation < 1


def test_rows_of_a_table_beyond_the_cache_are_fetched():
    small, large = (Operator("t#0", "table", outputs=2, rows=rows, reads=64.0) for rows in (2**15, 2**20))
    assert fused_bytes(small) == 0.0
    assert fused_bytes(large) == 64 * 32


def test_every_kind_of_operator_is_work_for_a_processor():
    workload = field_workload("hash", log2_table=10)
    encode = [
        Operator("e#0", "encode", inputs=2, outputs=4, function=name) for name in ("affine", "fourier", "gaussian")
    ]
    for operator in (*workload.shapes.operators, *encode):
        flops, moved = processor_work(operator)
        assert flops > 0, operator
        assert moved > 0, operator
    assert processor_work(Operator("l#0", "linear", inputs=3, outputs=5))[0] == 2 * 3 * 5


def test_a_bill_prints_its_figures_and_terms():
    bill = bill_of(chip(), one_layer())
    lines = str(bill).splitlines()
    assert 5 <= len(lines) <= 8
    for values in (bill.energy_mJ, bill.latency_ms, bill.frames_per_s, bill.area_mm2):
        assert any(all(f"{value:.3g}" in line for value in values) for line in lines)
    assert bill.boundary in lines[-1]
    assert "area      not known" in str(baseline_bill(load_baseline(list_baselines()[0]), one_layer()))


def test_what_no_source_gives_of_a_cell_is_said():
    bill = bill_of(load_chip("rram-40nm"), field_workload("hash"))
    for line in RramCell.assumptions:
        assert any(warning.startswith("assumed: cells of") and line in warning for warning in bill.warnings)


def test_the_host_of_the_tests_has_a_plain_price():
    cost = HOST.cost(1e3, 0.0)
    assert np.all(cost.latency_ns == 1e4)  # a tenth of 1 GFLOP/s


def test_items_of_an_inference_share_the_writes_of_its_waves():
    """A batch passes each wave whole: weights are fetched and written once, values wait in the buffer or outside."""
    shapes, chip = layers((1024, 1024), (1024, 1024)), load_chip("dcim-28nm")
    bills = [price(chip, Workload(shapes, items=items), allow_waves=True).bill for items in (1.0, 64.0)]
    one, many = (bill.by_component() for bill in bills)
    assert many["programming"] == pytest.approx(one["programming"])
    assert many["adder_tree"] == pytest.approx([64 * value for value in one["adder_tree"]])
    assert one["host"][MID] <= many["host"][MID] < 2 * one["host"][MID]  # weights once; values that outgrow the buffer
    assert bills[1].energy_mJ[MID] < 8 * bills[0].energy_mJ[MID]
    assert bills[1].latency_ms[MID] < 8 * bills[0].latency_ms[MID]
