"""Radiance fields of posed photographs: quality over time, rendered rays, and each kernel beside plain torch.

    python benchmarks/radiance.py [--scene ../shared/data/posed/chair_blender] [--side 200] [--steps 4000]
    python benchmarks/radiance.py --kernels

The pilot (`radiance_pilot.py`) is the same network with published settings in plain torch. Seconds are processor
seconds of all threads; half of them is what two cores take with nothing lost between them.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common import in_turns, show, write
from ohmfield._kernels import composite, hash_lookup, march, radiance
from ohmfield._kernels.threads import num_threads
from ohmfield.fields import presets
from ohmfield.fit.loop import fit
from ohmfield.fit.options import suggested_options
from ohmfield.numerics import Noise
from ohmfield.render.march import render
from ohmfield.render.score import score_views
from ohmfield.signals.posed import posed, still_life
from ohmfield.signals.views import Views

RAYS = 4096  # of the comparison with plain torch


def scene(views: Views, steps: int | None, table: int) -> dict[str, Any]:
    """One field, fitted with its own settings; the clock starts when the kernels are compiled."""
    warm = presets.radiance(log2_table=table)
    fit(warm, views, suggested_options(warm, steps=1), progress=False, scored=False)
    field = presets.radiance(log2_table=table)
    options = suggested_options(field, steps=steps)
    started, wall = time.process_time(), time.perf_counter()
    result = fit(field, views, options, progress=False, scored=False)
    trained_s, wall_s = time.process_time() - started, time.perf_counter() - wall
    chosen = views.split("test")
    started = time.process_time()
    frames = [render(field, views.cameras[view]) for view in chosen]
    rendered_s = time.process_time() - started
    rays = len(chosen) * views.cameras.width * views.cameras.height
    return {
        "views": len(chosen),
        "steps": options.steps,
        "samples_per_step": options.batch,
        "log2_table": table,
        "parameters": field.num_parameters(),
        **score_views(field, views, chosen),
        "processor_s": trained_s,
        "wall_s": wall_s,
        "threads": num_threads(),
        "trained_rays_per_s": result.samples_per_s,
        "rendered_rays_per_processor_s": rays / rendered_s,
        "samples_per_ray": sum(frame.samples_per_ray for frame in frames) / len(frames),
    }


def kernels() -> dict[str, Any]:
    """Processor seconds of each kernel against the plain torch it is checked against, forward and backward."""
    torch.set_num_threads(1)
    noise = Noise(0)
    field = presets.radiance(log2_table=17)
    views = still_life(side=200, num_views=4)
    field.set_box(views.centre, views.half)
    origins, directions = (part[:: 40_000 // RAYS][:RAYS].contiguous() for part in views.cameras.all_rays(0))
    origins = field.to_box(origins).contiguous()
    jitter, full = noise.at("jitter").uniform((RAYS,)), noise.at("cells").uniform((128,) * 3) < 0.05
    bits = np.packbits(full.flatten().numpy(), bitorder="little")
    steps = march.Steps(math.sqrt(3.0) / 1024)
    given = (origins.numpy(), directions.numpy(), jitter.numpy(), bits, 128, steps)
    samples = march.march(*given)
    positions, along = torch.from_numpy(samples.positions), torch.from_numpy(samples.directions)
    density = (20.0 * noise.at("density").uniform((len(samples),))).requires_grad_()
    colour = noise.at("colour").uniform((len(samples), 3)).requires_grad_()
    features = noise.at("features").normal((len(samples), 32)).requires_grad_()
    weights, table, levels = field.weights(), field.encoding.table.weight, field.encoding.levels

    def both(run: Any, *leaves: torch.Tensor) -> Any:
        def forward_and_back() -> None:
            made = run()
            made = made if isinstance(made, tuple) else (made,)
            torch.autograd.grad(sum(part.sum() for part in made), leaves)  # type: ignore[arg-type]

        return forward_and_back

    def decoded() -> tuple[torch.Tensor, torch.Tensor]:
        geometry = field.density(features)
        return geometry[:, 0].exp(), field.colour(torch.cat([field.harmonics(along), geometry], -1)).sigmoid()

    pairs = {
        "march": (
            lambda: march.march(*given),
            lambda: march.reference(origins, directions, jitter, full, steps, 0.0, False),
        ),
        "composite": (
            both(lambda: composite.composite(samples, density, colour), density, colour),
            both(lambda: composite.reference(samples, density, colour), density, colour),
        ),
        "hash grid": (
            both(lambda: hash_lookup.hash_lookup(positions, table, levels)[0], table),
            both(lambda: hash_lookup.reference(positions, table, levels), table),
        ),
        "decoders": (both(lambda: radiance.decode(features, along, weights), features), both(decoded, features)),
    }
    made: dict[str, Any] = {"rays": RAYS, "samples": len(samples)}
    for name, (fast, plain) in pairs.items():
        taken = in_turns({"ours": fast, "torch": plain}, repeats=3, cpu=True)
        made[name] = {"us_per_ray": 1e6 * taken["ours"] / RAYS, "ratio_vs_torch": taken["torch"] / taken["ours"]}
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path, help="folder of posed photographs; the package's still life without one")
    parser.add_argument("--side", type=int, default=200, help="pixels of the longer side")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--table", type=int, default=17, help="log2 of the rows of a level")
    parser.add_argument("--kernels", action="store_true", help="only the kernels")
    given = parser.parse_args()
    if given.kernels:
        figures = kernels()
        rows = [[name, *each.values()] for name, each in figures.items() if isinstance(each, dict)]
        show("Kernels beside plain torch", ("kernel", "us a ray", "times torch"), rows)
        write("radiance_kernels", figures, rates=True)
        return
    views = posed(given.scene, side=given.side) if given.scene else still_life(side=given.side)
    figures = scene(views, given.steps, given.table)
    show(f"{views.name} at {given.side} px", ("figure", "value"), [[name, value] for name, value in figures.items()])
    write(f"radiance_{views.name}_{given.side}", {"scene": views.name, "side": given.side, **figures}, rates=True)


if __name__ == "__main__":
    main()
