"""No silent knobs: a field that costs only, or is a label, changes no code; one that moves the picture changes some."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Any

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


def moved(chip: Chip, name: str, points: int = len(SHOWN)) -> bool:
    return not torch.equal(picture(chip, name, points), plain(name, points))


@cache
def allowed(name: str, path: str) -> list[Any]:
    """Other values of that field that its record allows."""
    value = next(v for where, v, _ in walk(CHIPS[name]) if where == path)
    made = []
    for candidate in others(path, value):
        with suppress(ValueError):
            changed(CHIPS[name], path.split("."), candidate)
            made.append(candidate)
    return made


def shows(name: str, path: str) -> bool:
    return effect(CHIPS[name], path) in ("both", "environment")


@cache
def quiet(name: str) -> frozenset[tuple[str, int]]:
    """(path, index of a value) of all fields that are not to move the picture, where all together do not.

    The first values of all fields are given at once, then the second ones: as many pictures as a field has values. What
    a chip allows alone but not beside the others, or what moves the picture, is left to be tried alone.
    """
    silent = [path for owner, path in knobs() if owner == name and not shows(name, path)]
    found: set[tuple[str, int]] = set()
    for index in range(max(len(allowed(name, path)) for path in silent)):
        chip, given = CHIPS[name], set()
        for path in silent:
            if index < len(allowed(name, path)):
                with suppress(ValueError):
                    chip = changed(chip, path.split("."), allowed(name, path)[index])
                    given.add((path, index))
        if not moved(chip, name):
            found |= given
    return frozenset(found)


@pytest.mark.parametrize(("name", "path"), list(knobs()), ids=lambda text: str(text))
def test_a_knob_changes_the_picture_if_and_only_if_it_is_declared_to(name: str, path: str) -> None:
    values = allowed(name, path)
    points = 4 if "wires." in path else len(SHOWN)  # some of these are circuits solved one by one
    if shows(name, path):
        chips = (changed(CHIPS[name], path.split("."), value) for value in values)
        assert any(moved(chip, name, points) for chip in chips) == bool(values)
        return
    for index, value in enumerate(values):
        if (path, index) not in quiet(name):
            assert not moved(changed(CHIPS[name], path.split("."), value), name, points)


@pytest.mark.parametrize("kind", ["spatial", "hardwired"])
def test_digital_kinds_make_the_same_exact_product(kind: str) -> None:
    assert torch.equal(plain(kind, len(SHOWN)), plain("dcim-28nm", len(SHOWN)))
