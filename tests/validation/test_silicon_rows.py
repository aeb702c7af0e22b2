"""The rows stand as they were frozen, and the baseline never sees the chip it prices."""

from __future__ import annotations

import dataclasses
import math

import pytest

from validation import silicon_rows
from validation.silicon_rows import LATER, PATH, ROWS, SILICON, by_chip, chip_ratios, digest, naive

FROZEN = {
    PATH: "ab065dfbb6046241b939e7dcddea6a0d94326d32691eb99174435cfcbf602611",
    LATER: "ee5f2e4005c455b1362c8ccddd778a9d5960b799a6aca4239d7e9a3329596480",
}


def test_rows_are_those_that_were_frozen() -> None:
    assert {path: digest(path) for path in FROZEN} == FROZEN


def test_every_row_has_what_eligible_means() -> None:
    for row in SILICON:
        facts = (row.node_nm, row.supply_V, row.rows, row.columns, row.weight_bits, row.input_bits, row.adc_bits)
        assert all(math.isfinite(fact) for fact in facts), row.row
        assert math.isfinite(row.energy_fJ_per_MAC) or math.isfinite(row.area_um2), row.row
        assert all((row.source, row.held_up, row.boundary, row.assumed)), row.row
    assert len({row.row for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("quantity", ["energy_fJ_per_MAC", "area_um2"])
def test_the_baseline_leaves_out_its_chip(quantity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = by_chip(SILICON, quantity)["Wang"][0]
    before = naive(row, quantity)
    other = tuple(
        dataclasses.replace(r, **{quantity: getattr(r, quantity) * 100}) if r.chip == "Wang" else r for r in SILICON
    )
    monkeypatch.setattr(silicon_rows, "SILICON", other)
    assert naive(row, quantity) == pytest.approx(before)


def test_a_chip_counts_once() -> None:
    ratios = chip_ratios(SILICON, "energy_fJ_per_MAC", lambda row: 2.0 * row.energy_fJ_per_MAC)
    assert all(ratio == pytest.approx(2.0) for ratio in ratios.values())
    assert len(ratios) == len(by_chip(SILICON, "energy_fJ_per_MAC"))
