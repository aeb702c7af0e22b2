"""The page of a bill: whole by itself, its numbers those of the bill, its charts true to them."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from ohmfield.chip.files import load_baseline, load_chip
from ohmfield.chip.memory.dram import Dram
from ohmfield.cost.peaks import peaks, points
from ohmfield.cost.price import price
from ohmfield.mapping.place import HOST, place
from ohmfield.mapping.tokens import prefill
from ohmfield.networks.transformers import transformer
from ohmfield.quantities import MID
from ohmfield.report.bill_data import Offer, offer, shortened
from ohmfield.report.bill_figures import WRITING, busy, grouped
from ohmfield.report.bill_page import write_bill
from ohmfield.report.summary import slug
from ohmfield.report.tables import number

LOAD = prefill(transformer("vit-b-16", layers=3))


@pytest.fixture(scope="module")
def offers() -> list[Offer]:
    chips = (load_chip("rram-40nm"), load_chip("dcim-28nm"), load_baseline("h100"))
    return [offer(price(chip, LOAD, allow_waves=True), battery_Wh=5.0) for chip in chips]


@pytest.fixture(scope="module")
def page(offers: list[Offer], tmp_path_factory: pytest.TempPathFactory) -> str:
    out: Path = tmp_path_factory.mktemp("bill")
    return write_bill("vit", LOAD, offers, out).read_text(encoding="utf-8")


def test_it_needs_nothing_else(page: str) -> None:
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", page)
    assert "url(http" not in page
    assert "@import" not in page


def test_tags_close_and_ids_are_unique(page: str) -> None:
    class Checker(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open_: list[str] = []
            self.ids: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.ids += [value or "" for name, value in attrs if name == "id"]
            if tag not in ("meta", "br", "img"):
                self.open_.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open_.pop() == tag

    checker = Checker()
    checker.feed(page)
    assert checker.open_ == []
    assert len(checker.ids) == len(set(checker.ids))


def test_every_chip_has_its_numbers_and_charts(page: str, offers: list[Offer]) -> None:
    for one in offers:
        start = page.index(f'<section id="{slug(one.name)}">')
        section = page[start : page.index("</section>", start)]
        charts = 2 if one.priced.placement is None else 5
        assert section.count("<figure>") == charts
        assert f"{number(one.priced.bill.energy_mJ[1])}<small>" in page
    assert page.count("waves</span>") == 2


def test_what_it_stands_on(page: str) -> None:
    card = page[page.index('<section id="card">') :]
    for said in (
        "no rate was measured",
        "assumed rate: half of the largest digit sum is driven",
        "on the host",
        "more",
    ):
        assert said in card


def test_alike_layers_fold_and_nothing_is_lost(offers: list[Offer]) -> None:
    costs = offers[0].costs
    for most in (4, 24, 10_000):
        cut = shortened(costs, most)
        assert len(cut.operators) <= max(most + 1, 0) or cut is costs
        np.testing.assert_allclose(cut.energy_pJ.sum(axis=1), costs.energy_pJ.sum(axis=1))
    assert "layers.*.mlp.up ×3" in shortened(costs, 24).operators


def test_the_timeline_lies_within_the_latency(offers: list[Offer]) -> None:
    bill = offers[0].priced.bill
    rows = busy(bill)
    whole = float(bill.fill_ns[MID, 0])
    for intervals in rows.values():
        for (begin, end), (after, _) in zip(intervals, [*intervals[1:], (np.inf, 0.0)], strict=True):
            assert 0.0 <= begin < end < after
            assert end <= whole * (1 + 1e-9)
    assert rows[WRITING][-1][1] == whole
    assert list(rows)[-1] == WRITING


def test_operators_lie_below_their_roofs(offers: list[Offer]) -> None:
    for one in offers[:2]:
        priced = one.priced
        chip, placement = priced.chip, priced.placement
        assert placement is not None
        roofs = {peak.name: peak for peak in peaks(chip, placement) if peak.gops}  # type: ignore[arg-type]
        found = points(priced.bill, LOAD, placement)
        assert found
        for point in found:
            assert point.gops <= roofs[point.unit].gops * (1 + 1e-9), point
        groups = grouped(found)
        assert sum(group.count for group in groups) == len(found)
        assert sum(group.busy_ns for group in groups) == pytest.approx(sum(point.busy_ns for point in found))
        host = next(peak for peak in peaks(chip, placement) if peak.name == HOST)  # type: ignore[arg-type]
        for point in (point for point in found if point.unit == HOST):
            assert point.gops <= host.GBps * point.ops_per_byte * (1 + 1e-9)


def test_the_roof_of_dram_is_that_of_its_standard() -> None:
    chip = replace(load_chip("dcim-28nm"), dram=Dram(standard="lpddr5", channels=2))
    placement = place(LOAD.shapes, chip)
    roof = next(peak for peak in peaks(chip, placement) if peak.name == "dram")
    assert roof.GBps == pytest.approx(2 * 51.2)
