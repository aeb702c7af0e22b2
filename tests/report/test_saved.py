"""A fingerprint changes with whatever a deployment follows from; a run folder keeps its signal bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ohmfield.chip.files import load_chip
from ohmfield.deploy import Recipe
from ohmfield.fields import Field, siren
from ohmfield.report.saved import baselines, fingerprint, load_signal, save_signal
from ohmfield.signals import Points, shapes
from ohmfield.spec import InputError


def small() -> Field:
    return siren(width=8, depth=1)


def nudged() -> Field:
    field = small()
    with torch.no_grad():
        next(field.parameters()).view(-1)[0].add_(1e-6)
    return field


def test_fingerprint_follows_every_input() -> None:
    chip, recipe, signal = load_chip("dcim-28nm"), Recipe(), shapes(16)
    calls: dict[str, Callable[[], str]] = {
        "same": lambda: fingerprint(small(), chip, recipe, 0, signal),
        "field": lambda: fingerprint(nudged(), chip, recipe, 0, signal),
        "chip": lambda: fingerprint(small(), replace(chip, inferences_per_write=7.0), recipe, 0, signal),
        "recipe": lambda: fingerprint(small(), chip, replace(recipe, tune_steps=1), 0, signal),
        "seed": lambda: fingerprint(small(), chip, recipe, 1, signal),
        "signal": lambda: fingerprint(small(), chip, recipe, 0, shapes(17)),
    }
    keys = {name: call() for name, call in calls.items()}
    assert len(set(keys.values())) == len(calls)
    assert keys["same"] == calls["same"]()


def test_signal_comes_back_bit_for_bit(tmp_path: Path) -> None:
    signal = shapes(16)
    save_signal(signal, tmp_path)
    back = load_signal(tmp_path, {"signal": signal.describe()})
    assert torch.equal(back.values, signal.values)
    assert torch.equal(back.coords, signal.coords)
    assert (back.shape, back.name, back.bits) == (signal.shape, signal.name, signal.bits)


def test_only_images_are_kept(tmp_path: Path) -> None:
    line = Points(torch.rand(8, 1), torch.rand(8, 1), (8,), "line")
    with pytest.raises(InputError, match="1 dimensions; a run folder keeps images"):
        save_signal(line, tmp_path)


def test_baselines_scale_with_the_picture() -> None:
    field = small()
    near, far = baselines(field, shapes(64)), baselines(field, shapes(128))
    for one, four in zip(near, far, strict=True):
        assert one.energy_mJ[0] <= one.energy_mJ[1] <= one.energy_mJ[2]
        assert one.energy_mJ[1] < four.energy_mJ[1] <= 4.0 * one.energy_mJ[1] * (1 + 1e-9)
