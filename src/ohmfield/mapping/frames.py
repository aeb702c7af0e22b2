"""A frame of a radiance field as a workload: rays, the samples that are left of each, and what they add up to."""

from __future__ import annotations

import math

import torch
from torch import nn

from ohmfield.fields.radiance import Radiance
from ohmfield.mapping.trace import trace
from ohmfield.mapping.workload import Operator, Shapes, Stated, Workload
from ohmfield.spec import InputError

# Operations and bytes counted from the formulas, one for each sum, product, root or exponential, as `trace` counts.
RAY = (42.0, 24.0)  # direction turned (15) and normalised (9), entry into a box (18); origin and direction written
STEP = (15.0, 1.0)  # next position (6), its cell (6) and bit (3) of the grid that says where anything is
SAMPLE = (
    11.0,
    20.0,
)  # opacity (3), weight and transmittance (2), three colours added (6); colour, density, length read
PIXEL_BYTES = 12.0


def radiance_frame(
    width: int,
    height: int,
    *,
    samples_per_ray: float,
    steps_per_ray: float,
    model: nn.Module | None = None,
    why: str = "",
) -> Workload:
    """One frame of `width` x `height` rays; an item is one sample.

    `samples_per_ray` are those that the network sees, after empty space is skipped and rays end early, on average over
    the frame; `steps_per_ray` are the places looked up to find them. Nobody measures them here: they stand in the
    workload as stated, with `why`. `model` maps samples [N, 6] to [N, 4]; without one it is
    instant-ngp's, on the meta device: its table is never allocated.

    >>> radiance_frame(800, 800, samples_per_ray=8.0, steps_per_ray=40.0).items
    5120000.0
    """
    for name, size in (("width", width), ("height", height)):
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= 2**16:
            raise InputError(f"{name} = {size!r} is not allowed; use a whole number from 1 to {2**16}")
    if not 0.0 < samples_per_ray <= steps_per_ray < math.inf:
        raise InputError(
            f"samples_per_ray = {samples_per_ray!r}, steps_per_ray = {steps_per_ray!r}: use more than 0 samples, and "
            "at least as many steps"
        )
    if model is None:
        with torch.device("meta"):
            model = Radiance().to("meta")
    device = next((parameter.device for parameter in model.parameters()), None)
    network = trace(model, torch.full((1, 6), 0.5, device=device))
    rates = {"samples per ray": samples_per_ray, "steps per ray": steps_per_ray}
    stated = tuple(Stated(name, rate, why) for name, rate in rates.items())
    return Workload(
        in_frame(network, samples_per_ray, steps_per_ray), width * height * samples_per_ray, "frame", stated=stated
    )


def in_frame(network: Shapes, samples_per_ray: float, steps_per_ray: float) -> Shapes:
    """A network that is asked for samples, with what a frame takes beside it: rays, steps and what samples add up to.

    An item is one sample.
    """
    return Shapes(
        (
            _host("rays", RAY, 1.0 / samples_per_ray),
            _host("steps", STEP, steps_per_ray / samples_per_ray),
            *network.operators,
            _host("composite", SAMPLE, 1.0, PIXEL_BYTES / samples_per_ray),
        )
    )


def _host(name: str, work: tuple[float, float], times: float, more_bytes: float = 0.0) -> Operator:
    """So many `times` an item, that work."""
    flops, moved = (times * amount for amount in work)
    return Operator(f"{name}#0", "host", function=name, flops=flops, bytes=moved + more_bytes)
