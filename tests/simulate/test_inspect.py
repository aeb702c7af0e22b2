"""What a column sees and gives, and golden files that a script without this package computes again."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ohmfield.chip.cells import IdealCell, RramCell
from ohmfield.chip.units import Crossbar, DigitalCim
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import trace
from ohmfield.simulate.convert import chip_layers, convert
from ohmfield.simulate.formats import choose_formats
from ohmfield.simulate.golden import golden_vectors, save_golden
from ohmfield.simulate.inspect import clipping, column
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.run import install, program
from ohmfield.simulate.waterfall import layer_losses
from ohmfield.spec import InputError
from small_chip import crossbar, small_chip

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "recompute.py"
COORDS = torch.rand(40, 6, generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0


def installed(unit: Any) -> tuple[nn.Module, Programmed]:
    """Two layers, signed inputs into the first, on one instance of a chip with that unit."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 5)).eval()
    chip = small_chip(unit)
    placement = place(trace(model, COORDS), chip)
    module = convert(model, chip, placement, choose_formats(model, chip, placement, COORDS))
    programmed = program(module, chip)
    return install(module, chip, programmed), programmed


NARROW = {"bits": 4, "step_levels": 1.0, "enob": 3.8}
NOISY = RramCell(g_min_uS=5.0, program_fraction=0.03, read_fraction=0.05)


def test_a_column_shows_values_codes_and_what_clips() -> None:
    module, _ = installed(crossbar(NOISY, array={"rows_active": 16, "rows": 32}, adc=NARROW))
    seen = column(module, "2", 3, COORDS)
    assert seen.codes.shape == (3, 4, 8, 40)
    assert seen.range_codes == (-8, 7)
    step = seen.step_levels[:, None, None]
    assert np.array_equal(seen.codes, np.clip(np.floor(seen.values / step + 0.5), -8, 7))
    assert 0.0 < seen.clip_fraction < 0.5
    assert np.array_equal(seen.clipped, (seen.values >= 7.5) | (seen.values < -8.5))
    table = clipping(module, COORDS)
    all_columns = [column(module, "2", output, COORDS) for output in range(5)]
    assert table["2"].clip_fraction == pytest.approx(np.mean([one.clip_fraction for one in all_columns]))
    assert table["2"].conversions == sum(one.codes.size for one in all_columns)


def test_the_column_is_what_the_layer_adds_up() -> None:
    module, _ = installed(crossbar(NOISY, array={"rows_active": 16, "rows": 32}, adc=NARROW))
    layer = chip_layers(module)["2"]
    product = layer.product
    assert product is not None
    hidden = module[1](module[0](COORDS))  # type: ignore[index]
    out, _ = product.run(layer.input_codes(hidden).numpy(), 0)
    seen = column(module, "2", 3, COORDS)
    planes, banks = 2 ** np.arange(8), 4 ** np.arange(4)
    assert np.array_equal(np.einsum("gbpv,b,p->v", seen.codes, banks, planes), out[:, 3])


def test_what_goes_through_no_converter_says_so() -> None:
    module, _ = installed(DigitalCim())
    with pytest.raises(InputError, match="no converter"):
        column(module, "2", 0, COORDS)
    assert clipping(module, COORDS) == {}
    analog, _ = installed(crossbar(NOISY))
    with pytest.raises(InputError, match=r"0 \.\. 4"):
        column(analog, "2", 5, COORDS)
    with pytest.raises(InputError, match="those are 0, 2"):
        column(analog, "1", 0, COORDS)


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recompute", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


UNITS: dict[str, Crossbar] = {
    "pairs": crossbar(NOISY, array={"rows_active": 16, "rows": 32}, adc=NARROW),
    "sides apart": crossbar(NOISY, array={"rows_active": 16, "subtract": "digital"}, adc={"bits": 7}),
    "offset": crossbar(NOISY, array={"rows_active": 16, "encoding": "offset"}, adc={"bits": 7}),
    "digits of two bits": crossbar(NOISY, dac_bits=2, adc={"bits": 8}),
    "converters that differ": crossbar(
        NOISY,
        array={"rows_active": 16},
        adc={"bits": 7, "offset_lsb_std": 1.5, "gain_std": 0.05, "inl": (0.0, 1.5, 0.0)},
    ),
    "planes of zeros skipped": crossbar(
        NOISY,
        array={"rows_active": 4, "encoding": "offset"},
        dac={"skip": "zero_planes"},
        adc={"bits": 7, "offset_lsb_std": 1.5},
    ),
    "sums that wrap": crossbar(NOISY, array={"accumulator_bits": 12, "overflow": "wrap"}, adc={"bits": 7}),
    "sums that saturate": crossbar(NOISY, array={"accumulator_bits": 12}, adc={"bits": 7}),
    "ideal cells": crossbar(IdealCell(), array={"rows_active": 16}, adc={"bits": 4, "step_levels": 2.0}),
}


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize("path", ["0", "2"])
def test_golden_files_can_be_computed_again_without_this_package(name: str, path: str, tmp_path: Path) -> None:
    module, programmed = installed(UNITS[name])
    arrays, facts = golden_vectors(module, programmed, path, COORDS, vectors=9)
    save_golden(arrays, facts, tmp_path / "golden.safetensors")
    reader = script()
    read, said = reader.read(tmp_path / "golden.safetensors")
    assert said == facts
    assert len(np.unique(read["codes"])) > 4
    assert all(np.array_equal(read[key], arrays[key]) for key in arrays)
    for key, made in zip(("sums", "codes", "outputs"), reader.recompute(read, said), strict=True):
        assert np.array_equal(made, read[key]), key


def test_golden_outputs_are_the_layer_s_without_read_noise(tmp_path: Path) -> None:
    quiet = crossbar(RramCell(g_min_uS=5.0, program_fraction=0.03, read_fraction=0.0), adc={"bits": 6})
    module, programmed = installed(quiet)
    arrays, facts = golden_vectors(module, programmed, "2", COORDS, vectors=9)
    product = chip_layers(module)["2"].product
    assert product is not None
    assert np.array_equal(product.run(arrays["inputs"].astype(np.int32), 0)[0], arrays["outputs"])
    save_golden(arrays, facts, tmp_path / "golden.safetensors")
    said = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path / "golden.safetensors")], capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines() == [
        f"{key}: 0 of {arrays[key].size} differ" for key in ("sums", "codes", "outputs")
    ]


def test_skipped_planes_are_no_conversions() -> None:
    """What is counted is what the product counts, and a code of zero rows says nothing of the range in use."""
    unit = crossbar(
        NOISY,
        array={"rows_active": 4, "encoding": "offset"},
        dac={"skip": "zero_planes"},
        adc={"bits": 7, "offset_lsb_std": 1.5},
    )
    module, programmed = installed(unit)
    product = chip_layers(module)["2"].product
    assert product is not None
    hidden = module[1](module[0](COORDS))  # type: ignore[index]
    codes = chip_layers(module)["2"].input_codes(hidden).numpy()
    _, counts = product.run(codes, 0)
    assert clipping(module, COORDS)["2"].conversions == counts["conversions"]
    seen = column(module, "2", 3, COORDS)
    assert 0 < np.count_nonzero(~seen.made) < seen.made.size
    assert not seen.codes[~seen.made].any()
    assert seen.used_codes[0] == seen.codes[seen.made].min()
    arrays, facts = golden_vectors(module, programmed, "2", COORDS, vectors=9)
    assert facts["skip_zero_planes"]
    assert 0 < arrays["made"].sum() < arrays["made"].size


def test_each_layer_has_its_own_losses() -> None:
    """A layer with coarse steps loses most; the other alone is what the model is with that layer ideal."""
    unit = crossbar(NOISY, array={"rows_active": 16, "rows": 32}, adc=NARROW)
    module, programmed = installed(unit)
    chip = small_chip(unit)
    before = module(COORDS)
    table = layer_losses(module, chip, programmed, COORDS)
    assert list(table) == ["0", "2"]
    assert list(table["2"]) == ["clipping", "rounding", "programming", "reading"]
    assert torch.equal(module(COORDS), before)  # the instance is still installed
    layers = chip_layers(module)
    with_all = layers["2"].product
    clean = install(module, chip, None)(COORDS)
    layers["2"].product = with_all
    alone = float((module(COORDS) - clean).double().square().mean())
    spread = float(clean.double().var(correction=0))
    assert table["2"]["reading"] == pytest.approx(10 * np.log10(spread / alone))
    assert table["2"]["programming"] != table["2"]["rounding"]


def test_exact_layers_lose_nothing_and_digital_ones_are_not_listed() -> None:
    unit = crossbar(IdealCell(), adc={"bits": 12, "step_levels": 1.0})
    module, programmed = installed(unit)
    table = layer_losses(module, small_chip(unit), programmed, COORDS)
    assert all(np.isinf(loss) for causes in table.values() for loss in causes.values())
    digital, programmed = installed(DigitalCim())
    assert layer_losses(digital, small_chip(DigitalCim()), programmed, COORDS) == {}
