"""Presets, files of the user, and everything that can be wrong with one."""

from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import yaml

from ohmfield.chip.adc import Adc
from ohmfield.chip.array import Array
from ohmfield.chip.baseline import Roofline
from ohmfield.chip.cells import CELLS
from ohmfield.chip.cells.base import Cell
from ohmfield.chip.chip import Chip
from ohmfield.chip.converters import ADCS
from ohmfield.chip.files import (
    chip_text,
    list_baselines,
    list_chips,
    load_baseline,
    load_chip,
    measure_this_machine,
    new_from,
    save_chip,
)
from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, Number, PartCost, span
from ohmfield.spec import InputError, knob, spec, to_plain

every_preset = pytest.mark.parametrize("name", ["rram-40nm", "dcim-28nm", "hybrid-40nm", "pcm-14nm"])


def edited(tmp_path: Path, **changes: object) -> Path:
    """The RRAM preset with values at dotted paths (`__` for a dot) changed."""
    data = to_plain(load_chip("rram-40nm"))
    for path, value in changes.items():
        *folders, last = path.split("__")
        inner = data
        for folder in folders:
            inner = inner[folder]
        inner[last] = value
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(data))
    return file


def fault(path: Path | str) -> str:
    with pytest.raises(InputError) as caught:
        load_chip(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_presets_are_listed() -> None:
    assert {"dcim-28nm", "hybrid-40nm", "pcm-14nm", "rram-40nm"} <= set(list_chips())


@every_preset
def test_presets_say_where_they_come_from_and_what_is_assumed(name: str) -> None:
    chip = load_chip(name)
    assert chip.name == name
    assert len(chip.source) > 40
    assert len(chip.assumed) >= 3
    assert chip.host.assumed


@every_preset
def test_presets_hold_a_hash_grid_of_480k_parameters(name: str) -> None:
    chip = load_chip(name)
    assert chip.gather is not None
    assert chip.table_memory is not None
    assert chip.table_memory.capacity_bits >= 480_000 * chip.gather.table_bits


@every_preset
def test_presets_come_back_the_same_from_a_file(name: str, tmp_path: Path) -> None:
    chip = load_chip(name)
    save_chip(chip, tmp_path / "sub" / "copy.yaml")
    assert load_chip(tmp_path / "sub" / "copy.yaml") == chip
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["copy.yaml"]  # nothing left beside it


def test_hybrid_places_first_and_last_in_digital() -> None:
    chip = load_chip("hybrid-40nm")
    assert chip.unit_for("decoder.layers.0", "first") == chip.unit_for("decoder.layers.3", "last") == "digital"
    assert chip.unit_for("decoder.layers.1") == "crossbar"


def test_hybrid_keeps_the_crossbars_of_the_rram_chip() -> None:
    assert load_chip("hybrid-40nm").units["crossbar"] == load_chip("rram-40nm").units["crossbar"]


def test_every_baseline_loads_and_marks_what_is_assumed() -> None:
    for name in ("jetson-agx-orin", "h100"):
        assert name in list_baselines()
        assert load_baseline(name).assumed


def test_new_keeps_the_comments_and_never_overwrites(tmp_path: Path) -> None:
    new_from("rram-40nm", tmp_path / "mine.yaml")
    assert "#" in (tmp_path / "mine.yaml").read_text()
    assert load_chip(tmp_path / "mine.yaml") == load_chip("rram-40nm")
    with pytest.raises(InputError, match="exists already"):
        new_from("rram-40nm", tmp_path / "mine.yaml")


def test_unknown_names_list_the_known() -> None:
    known = ", ".join(list_chips())
    assert fault("rram-41nm") == f"chip 'rram-41nm' is not known; known: {known}; or give the path of a YAML file"
    with pytest.raises(InputError, match=f"known: {', '.join(list_baselines())}"):
        load_baseline("h101")
    with pytest.raises(InputError, match=f"known: {known}"):
        new_from("nothing", Path("unused.yaml"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"units__crossbar__adc__bits": 0}, "adc.bits: 0 is not allowed: input should be greater than or equal to 1"),
        ({"process__supply_V": float("nan")}, "process.supply_V: nan is not allowed: input should be a finite number"),
        ({"process__node_nm": 200}, "process.node_nm: 200 is not allowed"),
        ({"process__volts": 1.0}, "process.volts: is not a known key; check the spelling"),
        ({"units__crossbar__array__cell_bits": 5}, "array.cell_bits 5: a rram cell holds at most 4"),
        ({"units__crossbar__array__rows_active": 512}, "rows_active 512 exceeds rows 256"),
        (
            {"units__crossbar__cell__kind": "magic"},
            "kind 'magic' is not known; known kinds: " + ", ".join(sorted(CELLS)),
        ),
        ({"units__crossbar__cell__g_min_uS": 70.0}, "g_min_uS 70.0 must lie below g_max_uS 60.0"),
        ({"units": {}}, "units is empty"),
        ({"place": [{"match": "first", "unit": "nowhere"}]}, "unit 'nowhere' is not one of crossbar"),
        ({"host": None}, "host"),
        ({"buffer__kilobytes": "many"}, "buffer.kilobytes: 'many' is not allowed"),
    ],
)
def test_faults_name_file_path_and_value(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    file = edited(tmp_path, **changes)
    said = fault(file)
    assert said.startswith(str(file))
    assert message in said


def test_a_malicious_tag_runs_nothing(tmp_path: Path) -> None:
    target = tmp_path / "ran"
    file = tmp_path / "evil.yaml"
    file.write_text(f"name: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [{target}]]\n")
    assert "not valid YAML data" in fault(file)
    assert not target.exists()


def test_a_few_lines_that_stand_for_a_billion_are_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    file = tmp_path / "bomb.yaml"
    file.write_text("\n".join([*lines, "process: {node_nm: *a8, supply_V: 1.0, clock_GHz: 1.0}"]))
    assert len(fault(file)) < 400


@pytest.mark.parametrize("kind", [[1], {"a": 1}, 7, None])
def test_a_kind_that_is_no_text(tmp_path: Path, kind: object) -> None:
    known = ", ".join(sorted(ADCS))
    assert f"is not known; known kinds: {known}" in fault(edited(tmp_path, units__crossbar__adc__kind=kind))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words\n", "a: [1\n", "a: 1\n\tb: 2\n"])
def test_files_that_are_no_chip(tmp_path: Path, text: str) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(text)
    assert fault(file).startswith(str(file))


def test_binary_and_missing_files(tmp_path: Path) -> None:
    file = tmp_path / "binary.yaml"
    file.write_bytes(b"\xff\xfe\x00\x01")
    assert "cannot be read" in fault(file)
    assert fault(tmp_path / "gone.yaml").endswith("no such file")
    assert "cannot be read" in fault(tmp_path)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    chip = load_chip("rram-40nm")
    save_chip(chip, file)
    before = file.read_text()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(InputError, match=r"mine\.yaml: cannot be written"):
            save_chip(replace(chip, title="other"), file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_this_machine_is_measured_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(InputError, match="ohmfield doctor --measure"):
        load_baseline("this-machine")
    monkeypatch.setattr(
        "ohmfield.chip.files.measure",
        lambda: Roofline(name="x", source="y", peak_GFLOPs=1.0, bandwidth_GBps=2.0, idle_W=1.0, busy_W=2.0),
    )
    measured = measure_this_machine()
    assert load_baseline("this-machine") == measured
    assert "this-machine" in list_baselines()


@spec
class FlatCell(Cell):
    """A cell of a user: a fixed energy per read."""

    kind: ClassVar[str] = "flat"
    read_fJ: float = knob("cost", 1.0, gt=0, doc="energy of one read")

    def read(self, process: Process, mean_uS: Number, array: Array) -> ActionCost:
        return ActionCost(span(self.read_fJ * 1e-3), span(array.read_ns))

    def write(self, process: Process) -> ActionCost:
        return ActionCost(span(1.0), span(10.0))

    def part(self, process: Process) -> PartCost:
        return PartCost(span(0.1))


@spec
class SquareAdc(Adc):
    """A converter of a user, whose codes saturate early."""

    kind: ClassVar[str] = "square"

    def conversion(self, process: Process) -> ActionCost:
        return ActionCost(span(0.5), span(3.0))

    def part(self, process: Process) -> PartCost:
        return PartCost(span(100.0))


@pytest.fixture
def user_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CELLS, "flat", FlatCell)
    monkeypatch.setitem(ADCS, "square", SquareAdc)


@pytest.mark.usefixtures("user_kinds")
def test_a_users_cell_and_adc_go_to_yaml_and_back(tmp_path: Path) -> None:
    chip = load_chip(
        edited(
            tmp_path,
            units__crossbar__cell={"kind": "flat", "read_fJ": 2.5},
            units__crossbar__adc={"kind": "square", "bits": 6},
        )
    )
    unit = chip.units["crossbar"]
    assert isinstance(unit.cell, FlatCell)
    save_chip(chip, tmp_path / "again.yaml")
    assert load_chip(tmp_path / "again.yaml") == chip
    convert = unit.convert(chip.process)
    assert np.all(convert.energy_pJ > 0.5)  # its own figure, and the column's line and amplifier
    assert float(convert.latency_ns[1, 0]) == 3.0


def test_chips_are_frozen() -> None:
    chip = load_chip("rram-40nm")
    with pytest.raises(AttributeError):
        chip.name = "other"  # type: ignore[misc]
    assert isinstance(chip, Chip)


def test_a_measured_transfer_may_stand_in_a_file_beside_the_chip(tmp_path: Path) -> None:
    text = chip_text(load_chip("rram-40nm"))
    assert "inl: []" in text
    (tmp_path / "chip.yaml").write_text(text.replace("inl: []", "inl: measured.csv"))
    (tmp_path / "measured.csv").write_text("0.0, 0.5\n-0.25\n0\n")
    unit = load_chip(tmp_path / "chip.yaml").units["crossbar"]
    assert unit.adc.inl == (0.0, 0.5, -0.25, 0.0)  # type: ignore[attr-defined]
    (tmp_path / "measured.csv").write_text("0.0, half")
    with pytest.raises(InputError, match="is not a table of numbers"):
        load_chip(tmp_path / "chip.yaml")
