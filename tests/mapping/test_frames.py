"""Frames of radiance fields: the work of rays, steps, samples and pixels, from rates that are stated."""

from __future__ import annotations

import pytest
import torch

from ohmfield.chip.files import load_chip
from ohmfield.cost.evaluate import evaluate
from ohmfield.fields.radiance import Radiance
from ohmfield.mapping.frames import PIXEL_BYTES, RAY, SAMPLE, STEP, radiance_frame
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import trace
from ohmfield.mapping.workload import Stated, Workload
from ohmfield.spec import InputError


def test_a_frame_is_its_network_once_a_sample_and_its_rays_once_each() -> None:
    load = radiance_frame(30, 20, samples_per_ray=6.0, steps_per_ray=24.0, why="a guess")
    assert (load.items, load.inference) == (3600.0, "frame")
    assert load.macs == 3600 * (32 * 64 + 64 * 16 + 32 * 64 + 64 * 64 + 64 * 3)
    flops = {name: load.items * load.shapes[f"{name}#0"].flops for name in ("rays", "steps", "composite")}
    assert flops == pytest.approx({"rays": 600 * RAY[0], "steps": 600 * 24 * STEP[0], "composite": 3600 * SAMPLE[0]})
    moved = load.items * load.shapes["composite#0"].bytes
    assert moved == pytest.approx(3600 * SAMPLE[1] + 600 * PIXEL_BYTES)
    assert load.stated == (Stated("samples per ray", 6.0, "a guess"), Stated("steps per ray", 24.0, "a guess"))
    assert str(load.stated[0]) == "samples per ray = 6 (a guess)"


def test_a_frame_of_a_model_of_ones_own_is_its_trace() -> None:
    model = Radiance(num_levels=4, log2_table=8, width=16)
    wanted = trace(model, torch.rand(8, 6)).operators
    load = radiance_frame(4, 4, samples_per_ray=2.0, steps_per_ray=2.0, model=model)
    assert load.shapes.operators[2:-1] == wanted
    assert model.density.layers[0].weight.device.type == "cpu"  # what is given is left as it was


def test_a_frame_can_be_billed() -> None:
    load, chip = radiance_frame(8, 8, samples_per_ray=4.0, steps_per_ray=8.0), load_chip("hybrid-40nm")
    once, twice = (
        evaluate(chip, Workload(load.shapes, items, "frame"), place(load.shapes, chip))
        for items in (load.items, 2 * load.items)
    )
    assert twice.energy_pJ.sum() > once.energy_pJ.sum() > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width = 0 is not allowed"),
        ({"height": True}, "height = True is not allowed"),
        ({"samples_per_ray": 0.0}, "samples_per_ray = 0.0"),
        ({"samples_per_ray": 9.0}, "at least as many steps"),
        ({"steps_per_ray": float("inf")}, "steps_per_ray = inf"),
    ],
)
def test_impossible_frames_are_refused(arguments: dict[str, object], message: str) -> None:
    given = {"width": 4, "height": 4, "samples_per_ray": 4.0, "steps_per_ray": 8.0} | arguments
    with pytest.raises(InputError, match=message):
        radiance_frame(**given)  # type: ignore[arg-type]
