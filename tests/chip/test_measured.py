"""Measurements with known answers come back as leaves, with the error on rows that were held out; bad files say why."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ohmfield.chip.cells import RramCell
from ohmfield.chip.chip import Chip
from ohmfield.chip.converters import SarAdc
from ohmfield.chip.files import chip_text, load_chip
from ohmfield.chip.measured import calibrate, fit_adc, fit_cells
from ohmfield.chip.units import Crossbar
from ohmfield.cost.evaluate import evaluate
from ohmfield.mapping.place import place
from ohmfield.mapping.workload import Operator, Shapes, Workload
from ohmfield.spec import InputError, build, read_yaml
from small_chip import crossbar, small_chip

UNIT = crossbar(RramCell(g_min_uS=4.0, g_max_uS=60.0))
Write = Callable[[str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "given.csv"
        path.write_text(text)
        return path

    return write


def cells_csv(error_of: Callable[[np.ndarray], np.ndarray], read: float, num: int = 600, reads: int = 8) -> str:
    rng = np.random.default_rng(3)
    target = rng.choice([10.0, 25.0, 40.0, 60.0], num)
    stored = target + error_of(target) * rng.normal(size=num)
    seen = stored[:, None] * (1.0 + read * rng.normal(size=(num, reads)))
    rows = [f"{cell},{target[cell]},{max(value, 0.0)}" for cell in range(num) for value in seen[cell]]
    return "\n".join(["cell,target_uS,measured_uS", *rows])


@pytest.mark.parametrize(("base", "fraction"), [("range", 0.03), ("target", 0.05)])
def test_cells_give_back_what_drew_them(base: str, fraction: float, written: Write) -> None:
    def error_of(target: np.ndarray) -> np.ndarray:
        return fraction * (np.full_like(target, 56.0) if base == "range" else target)

    found = {one.path: one for one in fit_cells(UNIT, written(cells_csv(error_of, 0.01)))}
    assert found["fraction_of"].value == base
    assert found["program_fraction"].value == pytest.approx(fraction, rel=0.1)
    assert found["read_fraction"].value == pytest.approx(0.01, rel=0.05)
    assert found["program_fraction"].error.startswith("held out: ")
    off = float(found["program_fraction"].error.split("%")[0].removeprefix("held out: ")) / 100.0
    assert 0.0 < abs(off) < 0.1


def sweep_csv(bits: int, inl: Callable[[np.ndarray], np.ndarray], noise: float, rows: int = 6000) -> str:
    rng = np.random.default_rng(4)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    given = np.linspace(low - 2.0, high + 2.0, rows)
    codes = np.clip(np.floor(given + inl(given) + noise * rng.normal(size=rows) + 0.5), low, high)
    return "\n".join(["input_lsb,code", *(f"{v},{int(c)}" for v, c in zip(given, codes, strict=True))])


def test_a_sweep_gives_back_the_curve_and_the_noise(written: Write) -> None:
    def bow(lsb: np.ndarray) -> np.ndarray:
        return 1.5 * (1.0 - (lsb / 64.0) ** 2)

    noise = 0.4
    found = {one.path: one for one in fit_adc(SarAdc(bits=7), written(sweep_csv(7, bow, noise)))}
    nodes = np.linspace(-64, 63, len(found["inl"].value))
    middle = slice(1, -1)  # the ends are clipped by the codes
    assert np.abs(np.array(found["inl"].value) - bow(nodes))[middle].max() < 0.12
    assert found["enob"].value == pytest.approx(7 - 0.5 * np.log2(1 + 12 * noise**2), abs=0.1)
    left, before = (float(text) for text in re.findall(r"\d\.\d+", found["inl"].error)[:2])
    assert left == pytest.approx(np.sqrt(1 / 12 + noise**2), rel=0.1)
    assert before > 1.3 * left


def test_a_chip_file_carries_what_was_measured(written: Write, tmp_path: Path) -> None:
    chip = load_chip("rram-40nm")
    made, _ = calibrate(chip, conductances=written(cells_csv(lambda target: 0.03 * np.full_like(target, 56.0), 0.01)))
    unit = made.units["crossbar"]
    assert isinstance(unit, Crossbar)
    assert isinstance(unit.cell, RramCell)
    assert unit.cell.program_fraction == pytest.approx(0.03, rel=0.1)
    assert made.measured[0].startswith("units.crossbar.cell.program_fraction = 0.0")
    assert "held out" in made.measured[0]
    path = tmp_path / "mine.yaml"
    path.write_text(chip_text(made))
    assert build(Chip, read_yaml(path)) == made
    shapes = Shapes((Operator("layer#0", "linear", inputs=8, outputs=4),))
    bill = evaluate(made, Workload(shapes, items=1.0), place(shapes, made))
    assert any(line.startswith("measured: units.crossbar.cell") for line in bill.warnings)


def test_a_measured_converter_gives_the_codes_of_the_sweep(written: Write) -> None:
    """Better than the same converter without its curve, on inputs that were not in the sweep."""

    def bow(lsb: np.ndarray) -> np.ndarray:
        return 2.0 * np.sin(lsb / 20.0)

    made, _ = calibrate(small_chip(crossbar(adc={"bits": 7})), adc=written(sweep_csv(7, bow, 0.0)))
    adc = made.units["unit"].adc  # type: ignore[attr-defined]
    other = np.linspace(-55.3, 55.7, 501)
    true = np.floor(other + bow(other) + 0.5)
    assert np.mean(adc.code(other, True) != true) < 0.15
    assert np.mean(SarAdc(bits=7).code(other, True) != true) > 0.5


def test_a_table_of_numbers_replaces_leaves(written: Write) -> None:
    table = "path,value\nhost.busy_W,0.125\nunits.unit.adc.columns_per_adc,16\n"
    made, found = calibrate(small_chip(), power=written(table))
    assert made.host.busy_W == 0.125
    assert [one.value for one in found] == [0.125, 16]
    assert made.units["unit"].adc.columns_per_adc == 16  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cell,target\n1,2\n", "no column target_uS, measured_uS"),
        ("cell,target_uS,measured_uS\n1,10,x\n", "line 2: measured_uS is 'x', not a number"),
        ("cell,target_uS,measured_uS\n1,10,nan\n", "line 2: measured_uS is 'nan', not a number"),
        ("cell,target_uS,measured_uS\n1,10,9\n1,20,19\n", "cell 1 has two targets"),
        ("cell,target_uS,measured_uS\n1,10,-9\n", "below zero"),
        ("cell,target_uS,measured_uS\n1,10,9\n", "1 cells; at least 20"),
        ("", "no column"),
    ],
)
def test_bad_cells_are_refused_with_file_and_line(text: str, said: str, written: Write) -> None:
    with pytest.raises(InputError, match=r"given\.csv") as caught:
        calibrate(small_chip(UNIT), conductances=written(text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_bad_input_is_refused(written: Write, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing was measured"):
        calibrate(small_chip())
    with pytest.raises(InputError, match="no such file"):
        calibrate(small_chip(UNIT), conductances=tmp_path / "none.csv")
    with pytest.raises(InputError, match="no crossbar of this chip; crossbars: unit"):
        calibrate(small_chip(UNIT), unit="other", adc=written("input_lsb,code\n"))
    with pytest.raises(InputError, match="kind ideal"):
        calibrate(small_chip(), conductances=written("cell,target_uS,measured_uS\n"))
    with pytest.raises(InputError, match="whole numbers from 0 to 255"):
        calibrate(small_chip(UNIT), adc=written("input_lsb,code\n1,300\n"))
    with pytest.raises(InputError, match="136 are needed"):
        calibrate(small_chip(UNIT), adc=written("input_lsb,code\n1,1\n"))
    with pytest.raises(InputError, match=r"no number of this chip; did you mean host\.busy_W"):
        calibrate(small_chip(UNIT), power=written("path,value\nbusy_W,1\n"))
    with pytest.raises(InputError, match=r"host\.busy_W"):
        calibrate(small_chip(UNIT), power=written("path,value\nhost.busy_W,-1\n"))


def test_read_noise_is_counted_once(written: Write) -> None:
    """Cells written without error, read four times: what their means are off by is read noise alone."""

    def error_of(target: np.ndarray) -> np.ndarray:
        return np.full_like(target, 0.5)

    found = {one.path: one for one in fit_cells(UNIT, written(cells_csv(error_of, 0.08, num=2000, reads=4)))}
    assert found["program_fraction"].value * 56.0 == pytest.approx(0.5, rel=0.5)
    once = {one.path: one for one in fit_cells(UNIT, written(cells_csv(error_of, 0.08, reads=1)))}
    assert once["program_fraction"].value * 56.0 > 1.5
    assert "an upper bound, 600 cells were read once" in once["program_fraction"].error


def test_sweeps_and_tables_that_say_nothing_are_refused(written: Write) -> None:
    sweep = [f"{v / 16},{{}}" for v in range(2000)]
    for text, said in (
        ("\n".join(sweep).format(*[3] * 2000), "1 different codes"),
        ("\n".join(sweep).format(*[1 + v // 64 for v in range(2000)]), "0.25 codes per LSB"),
    ):
        with pytest.raises(InputError, match=said):
            fit_adc(SarAdc(bits=7), written("input_lsb,code\n" + text))
    shifted = "\n".join(sweep).format(*[min(127, v // 16 + 5) for v in range(2000)])
    assert "a constant offset of +4.5" in fit_adc(SarAdc(bits=7), written("input_lsb,code\n" + shifted))[0].error
    with pytest.raises(InputError, match=r"line 3: host\.busy_W was given in line 2"):
        calibrate(small_chip(), power=written("path,value\nhost.busy_W,1\nhost.busy_W,2\n"))
    zeros = "\n".join(f"{cell},0,0" for cell in range(40) for _ in range(2))
    with pytest.raises(InputError, match=r"given\.csv: measured_uS is 0"):
        calibrate(small_chip(UNIT), conductances=written("cell,target_uS,measured_uS\n" + zeros))
