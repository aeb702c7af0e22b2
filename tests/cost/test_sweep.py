"""Many designs at once: the figures of each are those of its own bill."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cost.test_knobs import EVERYTHING
from knob_walk import CHIPS, knobs, others
from ohmfield.chip.designs import columns, with_values
from ohmfield.chip.files import load_chip
from ohmfield.cost.evaluate import evaluate
from ohmfield.cost.sweep import sweep
from ohmfield.mapping.place import place
from ohmfield.mapping.workload import Operator, Shapes, Workload
from ohmfield.spec import InputError, walk

NETWORK = Workload(
    Shapes(
        (
            Operator("first#0", "linear", inputs=27, outputs=64, vectors=100, values=300),
            Operator("relu#0", "activation", outputs=6400, function="relu"),
            Operator("depth#0", "linear", inputs=9, outputs=1, vectors=100, groups=64, values=6400),
            Operator("wide#0", "linear", inputs=640, outputs=300, vectors=25),
            Operator("scores#0", "product", inputs=64, outputs=50, vectors=50, groups=2),
            Operator("last#0", "linear", inputs=300, outputs=10),
        )
    ),
    items=7,
    inference="image",
)


def numbers() -> list[tuple[str, str, list[float]]]:
    """(chip, path, values that its own validation accepts) of every numeric knob of every kind of part."""
    made = []
    for name, path in knobs():
        value = next(v for where, v, _ in walk(CHIPS[name]) if where == path)
        tried = [v for v in (value, *others(path, value)) if isinstance(v, int | float) and not isinstance(v, bool)]
        allowed = []
        for other in tried:
            try:
                with_values(CHIPS[name], {path: other})
            except ValueError:
                continue
            allowed.append(other)
        if len(allowed) > 1:
            made.append((name, path, allowed))
    return made


@pytest.mark.parametrize(("name", "path", "values"), numbers(), ids=lambda value: str(value))
def test_a_design_of_many_costs_what_it_costs_alone(name, path, values):
    workload = replace(NETWORK, shapes=Shapes(EVERYTHING.shapes.operators + NETWORK.shapes.operators[1:-1]))
    table = sweep(CHIPS[name], workload, {path: values}, allow_waves=True)
    for design, value in enumerate(values):
        chip = with_values(CHIPS[name], {path: value})
        bill = evaluate(chip, workload, place(workload.shapes, chip))
        assert table.feasible[design], table.why(design)
        np.testing.assert_allclose(table.energy_pJ[design], bill.energy_pJ[1, 0].sum(0), rtol=1e-12)
        np.testing.assert_allclose(table.energy_mJ[:, design], bill.energy_mJ, rtol=1e-12)
        np.testing.assert_allclose(table.latency_ms[:, design], bill.latency_ms, rtol=1e-12)
        np.testing.assert_allclose(table.interval_ms[:, design], bill.interval_ns[:, 0] / 1e6, rtol=1e-12)
        np.testing.assert_allclose(table.area_mm2[:, design], bill.area_mm2, rtol=1e-12)
        np.testing.assert_allclose(table.leakage_mW[:, design], bill.leakage_uW[:, 0] / 1e3, rtol=1e-12)


def test_a_grid_of_knobs_copies_and_bits_is_each_design_alone():
    chip = CHIPS["rram-40nm"]
    grid = {
        "units.crossbar.array.rows_active": [32, 64, 128],
        "units.crossbar.array.subtract": ["analog", "digital"],
        "units.crossbar.num_arrays": [12, 700],
        "units.crossbar.max_copies": [1, 8],
        "weight_bits": [4, 8],
        "input_bits": [4, 7],
    }
    table = sweep(chip, NETWORK, grid)
    assert len(table) == 3 * 2**5
    fits = 0
    for row in table.rows():
        bits: dict[str, Any] = {name: int(row[name]) for name in ("weight_bits", "input_bits")}
        made = with_values(chip, {path: row[path] for path in grid if path.startswith("units")})
        if row["why"]:
            assert np.isnan(row["energy_mJ"])
            with pytest.raises(InputError, match="arrays"):
                place(NETWORK.shapes, made, bits["weight_bits"], bits["input_bits"], allow_waves=False)
            continue
        placed = place(NETWORK.shapes, made, bits["weight_bits"], bits["input_bits"], allow_waves=False)
        fits += 1
        bill = evaluate(made, NETWORK, placed)
        assert row["energy_mJ"] == pytest.approx(bill.energy_mJ[1], rel=1e-12)
        assert row["interval_ms"] == pytest.approx(float(bill.interval_ns[1, 0]) / 1e6, rel=1e-12)
        assert row["adc_pJ"] == pytest.approx(bill.by_component()["adc"][1] * 1e9, rel=1e-12)
    assert fits == int(table.feasible.sum())
    assert 0 < fits < len(table)


def test_what_contradicts_itself_is_not_feasible_and_says_why():
    chip = load_chip("rram-40nm")
    table = sweep(chip, NETWORK, {"units.crossbar.array.rows": [32, 256], "units.crossbar.array.cell_bits": [2, 6]})
    assert table.feasible.tolist() == [False, False, True, False]
    assert "rows_active 64" in table.why(0)
    assert "at most 4" in table.why(3)


@pytest.mark.parametrize(
    ("knobs_", "said"),
    [
        ({"units.crossbar.adc.bitz": [7]}, "units.crossbar.adc.bitz: is not a field"),
        ({"units.wrong.adc.bits": [7]}, "there is no 'wrong'"),
        ({"units.crossbar.adc.bits": [0, 7]}, "units.crossbar.adc.bits: 0 is not allowed: >= 1"),
        ({"units.crossbar.adc.bits": [7.5]}, "7.5 is not a whole number"),
        ({"units.crossbar.adc.bits": [float("nan")]}, "nan is not a number"),
        ({"units.crossbar.adc.bits": []}, "at least one value"),
        ({}, "at least one knob"),
        (
            {"units.crossbar.adc.bits": range(1, 15), "buffer.kilobytes": np.linspace(1, 2, 2_000_000)},
            "28,000,000 designs",
        ),
    ],
)
def test_knobs_that_are_not_there_or_out_of_range_are_refused(knobs_, said):
    with pytest.raises(InputError, match=said):
        sweep(load_chip("rram-40nm"), NETWORK, knobs_)


def test_the_front_beats_everything_else_and_the_table_writes_itself(tmp_path):
    chip = CHIPS["rram-40nm"]
    table = sweep(chip, NETWORK, {"units.crossbar.adc.columns_per_adc": [1, 2, 4, 8], "process.supply_V": [0.8, 1.0]})
    best = table.front()
    chosen = np.stack([table.objective(name) for name in ("energy_mJ", "latency_ms", "area_mm2")], axis=1)
    for design in range(len(table)):
        if design not in best:
            assert any((chosen[other] <= chosen[design]).all() for other in best)
    written = table.write(tmp_path / "table.csv")
    lines = written.read_text().splitlines()
    assert len(lines) == 1 + len(table)
    assert lines[0].startswith("units.crossbar.adc.columns_per_adc,process.supply_V,energy_mJ,energy_mJ_low")
    parquet = pytest.importorskip("pyarrow.parquet")
    held = parquet.read_table(table.write(tmp_path / "table.parquet"))
    np.testing.assert_array_equal(held.column("energy_mJ").to_numpy(), table.energy_mJ[1])
    with pytest.raises(InputError, match=r"written as \.csv or \.parquet"):
        table.write(tmp_path / "table.xlsx")
    with pytest.raises(InputError, match="objective 'beauty' is not known; known: energy_mJ"):
        table.objective("beauty")


def test_a_view_of_many_shares_what_does_not_vary():
    chip = load_chip("rram-40nm")
    made = columns(chip, {"units.crossbar.adc.bits": np.array([7, 8])})
    assert made.buffer is chip.buffer
    assert chip.units["crossbar"].adc.bits == 7  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "path", "values"), numbers(), ids=lambda value: str(value))
def test_a_knob_of_many_values_beside_one_of_few_costs_what_each_design_costs(name, path, values, monkeypatch):
    """The knob is one value per design, the other one is one per group; in grids of random order."""
    monkeypatch.setattr("ohmfield.cost.sweep.LEAST_ALIKE", 2)
    chip, beside = CHIPS[name], "process.supply_V" if path != "process.supply_V" else "process.clock_GHz"
    held = next(v for where, v, _ in walk(chip) if where == beside)
    many = np.random.default_rng(0).permutation(np.resize(np.array(values), 3 * len(values)))
    knobs_ = {beside: np.resize([held, 0.9 * held], len(many)), path: many}
    table = sweep(chip, NETWORK, knobs_, combine="rows", allow_waves=True)
    for design in range(len(many)):
        one = with_values(chip, {where: column[design].item() for where, column in knobs_.items()})
        bill = evaluate(one, NETWORK, place(NETWORK.shapes, one))
        np.testing.assert_allclose(table.energy_pJ[design], bill.energy_pJ[1, 0].sum(0), rtol=1e-12)
        np.testing.assert_allclose(table.energy_mJ[:, design], bill.energy_mJ, rtol=1e-12)
        np.testing.assert_allclose(table.latency_ms[:, design], bill.latency_ms, rtol=1e-12)
        np.testing.assert_allclose(table.area_mm2[:, design], bill.area_mm2, rtol=1e-12)
        np.testing.assert_allclose(table.leakage_mW[:, design], bill.leakage_uW[:, 0] / 1e3, rtol=1e-12)
