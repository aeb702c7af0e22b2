"""Networks, tiers, many chips, power domains, caches and experts: what each adds to a bill."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cost.leaves import chip, layers, one_layer
from ohmfield.chip.array import Array
from ohmfield.chip.chip import Chip
from ohmfield.chip.composition import ManyChips, Stacked
from ohmfield.chip.gating import PowerDomain
from ohmfield.chip.links import Bus, ChipLink, HybridBond, Mesh
from ohmfield.chip.memory import Dram
from ohmfield.chip.units import DigitalCim
from ohmfield.cost.bill import Bill
from ohmfield.cost.evaluate import evaluate
from ohmfield.cost.programming import line_test
from ohmfield.cost.sweep import sweep
from ohmfield.mapping.place import place
from ohmfield.mapping.workload import Operator, Shapes, Stated, Workload
from ohmfield.spec import InputError

MID = 1


def bill_of(made: Chip, workload: Workload, **options) -> Bill:
    return evaluate(made, workload, place(workload.shapes, made, copies=1, **options))


def spent(bill: Bill, component: str) -> float:
    return float(bill.energy_pJ[MID, 0, :, bill.components.index(component)].sum())


def test_a_network_moves_inputs_and_outputs_of_every_vector():
    made, workload = chip(network=Bus(width_bits=256, length_mm=1.0)), one_layer(items=10)
    bits = 256 * 8 + 256 * made.requantiser.word_bits
    assert made.network is not None
    each = float(made.network.transfer(made.process, 1).energy_pJ[MID, 0])
    assert spent(bill_of(made, workload), "link") == pytest.approx(10 * bits * each)


def test_four_chips_hold_what_one_cannot_and_pay_for_each_crossing():
    """Eight layers of an array each on two arrays a chip: inputs cross three times."""
    workload = Workload(layers(*[(256, 256)] * 8), items=10)
    link = ChipLink()
    one, four = chip(num_arrays=2), chip(num_arrays=2, many=ManyChips(count=4, link=link))
    turned, resident = bill_of(one, workload), bill_of(four, workload)
    assert any("waves" in line for line in turned.warnings)
    assert not any("waves" in line for line in resident.warnings)
    assert resident.area_mm2[MID] == pytest.approx(4 * (turned.area_mm2[MID] + _area(link, four)), rel=1e-9)
    message = float(link.transfer(four.process, 256 * 8).energy_pJ[MID, 0])
    assert spent(resident, "link") == pytest.approx(10 * 3 * message)
    assert resident.boundary.startswith("chips and the links between them")
    with pytest.raises(InputError, match="allow waves"):
        bill_of(chip(num_arrays=2, many=ManyChips(count=3, link=link)), workload, allow_waves=False)


def _area(link: ChipLink, made: Chip) -> float:
    return float(link.part(made.process).area_um2[MID, 0]) * 1e-6


def test_words_of_a_memory_on_another_tier_cross_between_tiers():
    workload = one_layer(items=10)
    plain = chip()
    above = chip(stacked=Stacked(components=("buffer",), link=HybridBond()))
    words = spent(bill_of(plain, workload), "buffer")
    assert spent(bill_of(above, workload), "buffer") == pytest.approx(words)
    assert spent(bill_of(above, workload), "link") > 0.0
    with pytest.raises(ValueError, match="cannot lie on a tier of their own"):
        Stacked(components=("adc",), link=HybridBond())


def test_a_power_domain_saves_between_frames_and_never_costs():
    workload = one_layer(items=10)
    always = bill_of(chip(), workload)
    gated = bill_of(chip(gating=(PowerDomain(components=("buffer", "adc")),)), workload)
    assert gated.area_mm2[MID] > always.area_mm2[MID]  # its switches
    assert float(gated.standby_uW[MID, 0]) < float(always.leakage_uW[MID, 0])
    assert gated.power_at(0.0)[MID] < always.power_at(0.0)[MID]
    top = gated.frames_per_s[MID]
    for rate in (0.0, 0.1 * top, 0.999 * top):
        asleep = gated.dynamic_mJ[MID] * 1e-3 * rate + float(gated.leakage_uW[MID, 0]) * 1e-6
        assert gated.power_at(rate)[MID] <= asleep * (1 + 1e-12)
    assert float(gated.wake_ns[MID, 0]) > 0.0
    with pytest.raises(ValueError, match="cannot be switched off"):
        chip(gating=(PowerDomain(components=("dram",)),))


def test_from_standby_an_inference_waits_for_the_chip_to_wake():
    workload, slow = one_layer(items=10), 1e6
    gated = bill_of(chip(gating=(PowerDomain(components=("buffer", "adc"), wake_ns=slow),)), workload)
    alone, wake_ms = gated.latency_ms[MID], float(gated.wake_ns[MID, 0]) * 1e-6
    assert wake_ms >= 1.0
    assert gated.latency_at(1e-3)[MID] == pytest.approx(alone + wake_ms)
    # No time to sleep and wake: on all along, and no wait.
    often = 0.999e9 / float(gated.interval_ns[MID, 0] + gated.wake_ns[MID, 0])
    assert gated.latency_at(min(1.1 * often, gated.frames_per_s[MID])) == gated.latency_ms
    always = gated.dynamic_mJ[MID] * 1e-3 * 1.1 * often + float(gated.leakage_uW[MID, 0]) * 1e-6
    assert gated.power_at(1.1 * often)[MID] == pytest.approx(always)
    plain = bill_of(chip(), workload)
    assert plain.latency_at(1e-3) == plain.latency_ms
    with pytest.raises(InputError, match="what this chip reaches"):
        gated.latency_at(2 * gated.frames_per_s[MID])


def test_dram_idles_as_leakage_of_the_bill():
    without, beside = bill_of(chip(), one_layer()), bill_of(chip(dram=Dram(idle_mW=7.0)), one_layer())
    assert float(beside.leakage_uW[MID, 0] - without.leakage_uW[MID, 0]) == pytest.approx(7000.0)
    assert beside.area_mm2 == pytest.approx(without.area_mm2)


def test_a_cache_of_tokens_is_read_and_written_in_dram():
    cache = Operator("attention.cache#0", "cache", outputs=512, rows=100, reads=99.0, writes=1.0, bytes=4e5)
    workload = Workload(Shapes((*layers((256, 256)).operators, cache)), items=1.0, inference="token")
    made = chip(dram=Dram())
    bill = bill_of(made, workload)
    assert made.dram is not None
    moved = sum(float(made.dram.transfer(rows * 512 * 8).energy_pJ[MID, 0]) for rows in (99, 1))
    row = bill.operators.index("attention.cache#0")
    assert bill.energy_pJ[MID, 0, row, bill.components.index("dram")] == pytest.approx(moved)
    assert place(workload.shapes, chip()).sites["attention.cache#0"].unit == "host"


def test_a_product_whose_operand_is_cached_quantises_what_is_new():
    def bill(writes: float) -> Bill:
        product = Operator("scores#0", "product", inputs=64, outputs=100, vectors=1.0, writes=writes)
        made = chip(units={"digital": DigitalCim(num_arrays=64)})
        return bill_of(made, Workload(Shapes((product,)), items=1.0))

    new, every = bill(64.0), bill(0.0)
    assert spent(new, "requantiser") < spent(every, "requantiser")
    assert spent(new, "programming") == pytest.approx(spent(every, "programming"))  # arrays hold all of it


def test_experts_that_nothing_meets_are_not_loaded():
    """Two of sixteen experts see the one item: an eighth of what is written in turns."""
    expert = Operator("experts#0", "linear", inputs=256, outputs=256, vectors=1 / 8, groups=16, values=256.0)
    every = replace(expert, vectors=1.0)
    bills = [bill_of(chip(num_arrays=2), Workload(Shapes((op,)), items=1.0)) for op in (expert, every)]
    assert spent(bills[0], "programming") == pytest.approx(spent(bills[1], "programming") / 8)
    assert spent(bills[0], "host") == pytest.approx(spent(bills[1], "host") / 8)


def test_the_test_for_bad_lines_reads_every_row_by_itself():
    spares = Array(rows=256, columns=2048, rows_active=128, spare_rows=2, spare_columns=1)
    made, workload = chip(array=spares), one_layer(items=1)
    plain = chip(array=replace(spares, spare_rows=0, spare_columns=0))
    unit = made.units["crossbar"]
    test = float(line_test(unit, made.process).energy_pJ[MID, 0])  # type: ignore[arg-type]
    more = spent(bill_of(made, workload), "programming") - spent(bill_of(plain, workload), "programming")
    assert more == pytest.approx(test / made.inferences_per_write)
    conversions = 258 * 2049 / 2
    assert test > conversions * 2.0  # 2 pJ a conversion


def test_what_is_stated_is_said_and_the_host_can_be_forbidden():
    workload = replace(one_layer(), stated=(Stated("samples per ray", 8.0, "as in a paper"),))
    assert "stated: samples per ray = 8 (as in a paper)" in bill_of(chip(), workload).warnings
    odd = Workload(Shapes((Operator("odd#0", "host", function="sort", flops=1.0, bytes=1.0),)), items=1.0)
    with pytest.raises(InputError, match="odd#0: no unit of round serves sort, and the host is forbidden"):
        bill_of(chip(), odd, allow_host=False)


def test_a_mesh_is_shared_out_over_designs():
    made = chip(network=Mesh(hops=2.0), many=ManyChips(count=2, link=ChipLink()))
    workload = Workload(layers((256, 256), (256, 512)), items=3)
    table = sweep(made, workload, {"network.hops": [1.0, 4.0], "many.count": [1, 2, 3]})
    assert np.all(np.diff(table.energy_mJ[1].reshape(2, 3), axis=0) > 0.0)
