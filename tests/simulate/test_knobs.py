"""No silent knobs: a field that costs only, or is a label, changes no code; one that moves the picture changes some."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from knob_walk import CHIPS, ZERO_POINTS, changed, effect, knobs, others
from ohmfield.chip.chip import Chip
from ohmfield.fields.decoders import Sine
from ohmfield.fields.field import Field
from ohmfield.fields.presets import build
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import trace
from ohmfield.simulate.calibrate import choose_gains
from ohmfield.simulate.convert import convert
from ohmfield.simulate.formats import choose_formats
from ohmfield.simulate.run import install, predict, program
from ohmfield.spec import walk

AGE_S = 1e5  # what drifts has drifted
SHOWN = torch.rand(48, 2, generator=torch.Generator().manual_seed(1))
CALIBRATION = torch.rand(64, 2, generator=torch.Generator().manual_seed(2))


@cache
def field() -> Field:
    """A hash grid and a decoder with sines, two row groups wide; weights as they are drawn, the table enlarged."""
    made = build("hash", num_levels=4, log2_table=6, width=100, depth=2, resolutions=(4, 16)).eval()
    with torch.no_grad():
        made.encoding.table.weight.mul_(1e4)  # type: ignore[union-attr]
    for index in range(len(made.decoder.activations)):
        made.decoder.activations[index] = Sine(3.0)
    return made


def picture(chip: Chip, name: str, points: int = len(SHOWN)) -> Tensor:
    """What the chip makes of the field, calibrated, written and read."""
    model = field()
    placement = place(trace(model, CALIBRATION), chip)
    zero = "calibrated" if name in ZERO_POINTS else "none"
    module = convert(model, chip, placement, choose_formats(model, chip, placement, CALIBRATION, input_zero=zero))
    gains = choose_gains(module, chip, CALIBRATION)
    install(module, chip, program(module, chip, gains=gains, elapsed_s=AGE_S))
    return predict(module, SHOWN[:points])


@cache
def plain(name: str, points: int) -> Tensor:
    return picture(CHIPS[name], name, points)


@pytest.mark.parametrize(("name", "path"), list(knobs()), ids=lambda text: str(text))
def test_a_knob_changes_the_picture_if_and_only_if_it_is_declared_to(name: str, path: str) -> None:
    chip = CHIPS[name]
    declared = effect(chip, path) in ("both", "environment")
    value = next(v for where, v, _ in walk(chip) if where == path)
    tried = moved = False
    points = 4 if "wires." in path else len(SHOWN)  # some of these are circuits solved one by one
    for candidate in others(path, value):
        try:
            other = changed(chip, path.split("."), candidate)
        except ValueError:
            continue  # this record does not allow it
        tried = True
        moved = not torch.equal(picture(other, name, points), plain(name, points))
        if moved:
            break
    assert moved == (tried and declared)


@pytest.mark.parametrize("kind", ["spatial", "hardwired"])
def test_digital_kinds_make_the_same_exact_product(kind: str) -> None:
    assert torch.equal(plain(kind, len(SHOWN)), plain("dcim-28nm", len(SHOWN)))
