"""`ohmfield fit FOLDER` and `ohmfield render`: posed photographs, the field learnt from them, and its pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ohmfield.chip.chip import Chip
from ohmfield.cli import commands, console
from ohmfield.deploy import Recipe, deploy
from ohmfield.fields.presets import build
from ohmfield.fields.radiance import Radiance
from ohmfield.fit.loop import fit
from ohmfield.fit.options import suggested_options
from ohmfield.fit.runs import load_run, read_json, write_json
from ohmfield.render.march import render
from ohmfield.render.options import RenderOptions
from ohmfield.render.score import score_views
from ohmfield.signals.cameras import Cameras
from ohmfield.signals.posed import posed
from ohmfield.signals.views import Views
from ohmfield.spec import InputError

VIEWS_FILE = "views.json"
FIELD = "instant-ngp"
TURN_FRAMES, TURN_MS = 36, 80
MOST_VIEWS = 100_000


def fit_views(command: commands.Fit) -> dict[str, Any]:
    """A radiance field of the photographs in a folder."""
    views = posed(command.signal, side=command.size)
    field = build(command.field or FIELD, seed=command.seed)
    options = suggested_options(
        field, steps=command.steps, batch=command.batch, learning_rate=command.learning_rate, seed=command.seed
    )
    status = console.progress()
    for line in views.skipped:
        status.print(f"left out: {line}")
    result = fit(field, views, options, run=command.out)
    write_json(command.out / VIEWS_FILE, {"folder": str(Path(command.signal).resolve()), "side": command.size})
    numbers = {
        "run": str(command.out),
        "signal": views.describe(),
        "field": field.config,
        "parameters": field.num_parameters(),
        **result.score,
        "elapsed_s": result.elapsed_s,
        "rays_per_s": result.samples_per_s,
        "resumed_from": result.resumed_from,
    }
    if not command.json:
        size = f"{len(views)} views of {views.cameras.width} × {views.cameras.height}"
        columns = ("photographs", "parameters", *_headings(result.score), "training s", "rays/s")
        figures = (f"{value:.2f}" for value in result.score.values())
        rate = f"{result.samples_per_s:,.0f}"
        row = [f"{views.name}, {size}", f"{field.num_parameters():,}", *figures, f"{result.elapsed_s:.0f}", rate]
        console.show(console.table("", columns, [row]))
        console.show(f"run folder: {command.out}; next: ohmfield render {command.out} --out pictures --chip rram-40nm")
    return numbers


def open_run(folder: Path) -> tuple[Radiance, Views]:
    """The field of a run and the photographs it was fitted to; `InputError` where those have gone or changed."""
    field, info = load_run(folder, Radiance)
    path = folder / VIEWS_FILE
    known = read_json(path) if path.exists() else None
    if not isinstance(known, dict) or not isinstance(known.get("folder"), str):
        raise InputError(f"{path}: does not say where the photographs are; fit again with `ohmfield fit FOLDER`")
    views = posed(known["folder"], side=known.get("side"))
    if views.describe()["digest"] != info.get("signal", {}).get("digest"):
        raise InputError(f"{known['folder']}: holds other photographs than {folder} was fitted to; fit again")
    return field, views


def render_run(command: commands.Render, chips: list[Chip]) -> dict[str, Any]:
    """Test views and a turntable as pictures, of the float field and of each chip, with the bill of a frame."""
    if not 1 <= command.views <= MOST_VIEWS:
        raise InputError(f"--views {command.views} must lie between 1 and {MOST_VIEWS}")
    field, views = open_run(command.run)
    command.out.mkdir(parents=True, exist_ok=True)
    name = "test" if views.splits.get("test") else "train"
    chosen = views.split(name)[: command.views]
    status, options = console.progress(), RenderOptions(background=views.background)
    with status.status("float field"):
        frames = [render(field, views.cameras[view], options) for view in chosen]
        for view, frame in zip(chosen, frames, strict=True):
            _write(command.out / f"{name}-{view:04}.png", torch.cat([frame.colour, views.colour(view)], 1))
        scores = score_views(field, views, chosen)
        _turntable(field, views, command.out / "turntable.webp")
    per_ray = sum(frame.samples_per_ray for frame in frames) / len(frames)
    made: dict[str, Any] = {"float": {**scores, "samples_per_ray": per_ray}}
    rows = [["float", *(f"{value:.2f}" for value in scores.values()), "–", "–"]]
    for chip in chips:
        with status.status(chip.name) as line:
            deployment = deploy(
                field, chip, views, Recipe(), progress=lambda said, name=chip.name: line.update(f"{name}: {said}")
            )
        for number, frame in enumerate(deployment.frames):
            _write(command.out / f"{chip.name}-{number}.png", frame)
        bill, quality = deployment.bill, deployment.quality
        fps = 1e3 / bill.latency_ms[1]
        made[chip.name] = {**quality, "energy_mJ": list(bill.energy_mJ), "latency_ms": list(bill.latency_ms)}
        figures = (f"{quality[key]:.2f}" for key in scores)
        rows.append([chip.name, *figures, f"{bill.energy_mJ[1]:.3g}", f"{fps:.3g}"])
        for note in deployment.notes:
            status.print(f"{chip.name}: {note}")
    if not command.json:
        console.show(console.table("", ("", *_headings(scores), "mJ a frame", "FPS"), rows))
        size = f"{views.cameras.width} × {views.cameras.height}"
        console.show(f"frames of {size}, {per_ray:.1f} samples a ray; pictures: {command.out}")
    return {"out": str(command.out), "views": list(chosen), **made}


def _headings(scores: dict[str, float]) -> list[str]:
    known = {"psnr_dB": "PSNR dB", "foreground_psnr_dB": "of the object dB", "ssim": "SSIM"}
    return [known[name] for name in scores]


def _write(path: Path, picture: Tensor) -> None:
    Image.fromarray(_bytes(picture)).save(path)


def _bytes(picture: Tensor) -> np.ndarray:
    return (picture.clamp(0.0, 1.0) * 255 + 0.5).to(torch.uint8).numpy()


def _turntable(field: Radiance, views: Views, path: Path) -> None:
    """The first camera, led once around the middle of the box; the axis is the mean of what cameras call up."""
    camera, centre = views.cameras[0], torch.tensor(views.centre)
    up = torch.nn.functional.normalize(views.cameras.poses[:, :, 1].mean(0), dim=0)
    pictures = []
    for number in range(TURN_FRAMES):
        turn = _around(up, 2.0 * math.pi * number / TURN_FRAMES)
        pose = camera.poses[0]
        moved = torch.cat([turn @ pose[:, :3], (turn @ (pose[:, 3] - centre) + centre)[:, None]], 1)[None]
        one = Cameras(moved, camera.focals, camera.centres, camera.width, camera.height)
        pictures.append(Image.fromarray(_bytes(render(field, one, RenderOptions(background=views.background)).colour)))
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=TURN_MS, loop=0)


def _around(axis: Tensor, angle: float) -> Tensor:
    """The rotation by `angle` about a unit `axis`. Source: Rodrigues' formula."""
    x, y, z = axis.tolist()
    cross = torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return torch.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * cross @ cross
