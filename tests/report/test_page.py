"""The page stands alone, is well formed, holds every section, and says what `metrics.json` says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ohmfield.report.summary import ReportData
from ohmfield.report.write import write_report
from report.fake import fake_model_report, fake_report

SECTIONS = ("pictures", "errors", "numbers", "energy", "loss", "codes", "area", "card")
VOID = {"img", "meta", "br", "input", "link", "hr"}


class Reader(HTMLParser):
    """Elements with their attributes and the text inside `data`; fails on a tag that closes another."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.data: list[tuple[dict[str, str], str]] = []
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "data":
            self.data.append((self.elements[-1][1], data))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[ReportData, Path]:
    data = fake_report()
    return data, write_report(data, tmp_path_factory.mktemp("report")).parent


@pytest.fixture(scope="module")
def reader(written: tuple[ReportData, Path]) -> Reader:
    return Reader((written[1] / "report.html").read_text())


def test_every_section_is_there_and_linked(reader: Reader) -> None:
    ids = [attributes.get("id") for tag, attributes in reader.elements if tag == "section"]
    assert tuple(ids) == SECTIONS
    links = {attributes["href"] for tag, attributes in reader.elements if tag == "a"}
    assert {f"#{name}" for name in SECTIONS} <= links


@pytest.mark.parametrize("metric", ["accuracy", "snr_dB"])
def test_a_model_has_a_page_of_its_own(tmp_path: Path, metric: str) -> None:
    data = fake_model_report(metric)
    page = write_report(data, tmp_path)
    reader, text = Reader(page.read_text()), page.read_text()
    ids = [attributes["id"] for tag, attributes in reader.elements if tag == "section"]
    assert ids == ["numbers", "instances", "energy", "loss", "layers", "placed", "codes", "area", "card"]
    assert not [tag for tag, _ in reader.elements if tag == "img"]
    assert "exponents &amp; a division" in text
    assert not re.search(r"per frame|a frame|frames/s|one frame|frame time", text)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    for attributes, shown in reader.data:
        known: Any = metrics
        for key in attributes["data-metric"].split("/"):
            known = known[key]
        if known is None:  # infinite
            assert shown == "∞"
        else:
            assert float(re.sub(r"\s", "", shown).replace("−", "-")) == pytest.approx(known, rel=6e-3, abs=5e-5)
    chip = metrics["chips"]["rram-40nm"]
    assert ("lost" in chip) == (metric == "accuracy")
    assert chip["instances"]["scores"] == list(data.summaries[0].instances.scores)  # type: ignore[union-attr]
    names = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert {"rram-40nm-instances", "dcim-28nm-instances", "rram-40nm-by-layer"} <= names
    assert "dcim-28nm-by-layer" not in names


def test_what_was_not_measured_has_no_section(tmp_path: Path) -> None:
    text = write_report(fake_model_report(instances=False), tmp_path).read_text()
    assert 'id="instances"' not in text
    Reader(text)


def test_page_needs_no_other_file(written: tuple[ReportData, Path], reader: Reader) -> None:
    text = (written[1] / "report.html").read_text()
    assert not re.search(r"@import|url\((?!#)", text)
    for tag, attributes in reader.elements:
        assert tag not in ("link", "iframe", "object")
        assert "src" not in attributes or attributes["src"].startswith("data:image/"), tag
        assert tag == "a" or all(not value.startswith("http") for value in attributes.values()), attributes
    scripts = [attributes for tag, attributes in reader.elements if tag == "script"]
    assert scripts == [{}]


def test_ids_are_unique_and_pictures_are_described(reader: Reader) -> None:
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = {attributes["href"] for tag, attributes in reader.elements if tag == "use"}
    assert used <= {f"#{name}" for name in ids}
    for tag, attributes in reader.elements:
        if tag == "img" and "src" in attributes:
            assert attributes["alt"]
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-label"]


def test_page_says_what_metrics_say(written: tuple[ReportData, Path], reader: Reader) -> None:
    metrics = json.loads((written[1] / "metrics.json").read_text())
    assert len(reader.data) > 60
    for attributes, text in reader.data:
        known: Any = metrics
        for key in attributes["data-metric"].split("/"):
            known = known[key]
        assert float(attributes["value"]) == known, attributes
        shown = float(re.sub(r"\s", "", text).replace("−", "-"))
        assert shown == pytest.approx(known, rel=6e-3, abs=5e-5), attributes


def test_metrics_hold_every_chip_with_ranges(written: tuple[ReportData, Path]) -> None:
    data, out = written
    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics["chips"]) == {summary.name for summary in data.summaries}
    for summary in data.summaries:
        chip = metrics["chips"][summary.name]
        assert chip["energy_mJ"]["low"] < chip["energy_mJ"]["mid"] < chip["energy_mJ"]["high"]
        spent = [c["mid"] for row in chip["energy_pJ"].values() for c in row.values()]
        assert sum(spent) == pytest.approx(1e9 * chip["energy_mJ"]["mid"])
        assert chip["seed"] == summary.seed


def test_assumptions_warnings_and_notes_are_on_the_page(written: tuple[ReportData, Path]) -> None:
    data, out = written
    text = (out / "report.html").read_text()
    for summary in data.summaries:
        for line in (*summary.chip["assumed"], *summary.costs.warnings, *summary.notes, summary.command):
            assert line in text


def test_the_same_data_give_the_same_bytes(tmp_path: Path) -> None:
    one, other = (write_report(fake_report(num_chips=1), tmp_path / name) for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_figures_are_written_and_nothing_is_left_beside(written: tuple[ReportData, Path]) -> None:
    names = {path.name for path in (written[1] / "figures").iterdir()}
    assert {"photograph.png", "field.png", "rram-40nm.png", "rram-40nm-error.png", "energy.png"} <= names
    assert not [name for name in names if name.startswith(".")]


def test_text_from_a_chip_file_stays_text(tmp_path: Path) -> None:
    data = fake_report(num_chips=1)
    evil = "<script>alert(1)</script>"
    (summary,) = data.summaries
    chip = {**summary.chip, "title": evil, "source": evil, "assumed": [evil]}
    summary = replace(summary, name=f"a{evil}", chip=chip, notes=(evil,), command=evil)
    page = write_report(replace(data, summaries=(summary,)), tmp_path).read_text()
    assert "<script>alert" not in page
    Reader(page)


def test_a_perfect_picture_has_no_json_infinity(tmp_path: Path) -> None:
    data = fake_report(num_chips=1)
    perfect = {"psnr_dB": float("inf"), "ssim": 1.0}
    write_report(replace(data, float_quality=perfect, float_picture=data.truth), tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text())["field"]["psnr_dB"] is None


def test_a_grey_picture_without_chips_is_shown(tmp_path: Path) -> None:
    data = fake_report(num_chips=0)
    assert data.truth is not None
    data = replace(data, truth=data.truth[..., :1], float_picture=data.truth[..., :1])
    Reader(write_report(data, tmp_path).read_text())


@pytest.mark.slow
def test_the_page_of_the_demo_is_small(tmp_path: Path) -> None:
    assert write_report(fake_report(real=True), tmp_path).stat().st_size < 8e6
