"""The pilot that radiance fields are measured against: instant-ngp in plain torch, published settings, nothing tuned.

    export MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=4000000000  # else half the time goes to fresh pages
    python benchmarks/radiance_pilot.py [--scene ../shared/data/posed/chair_blender] [--side 200] [--seconds 1200]

Frozen before any of the package's own rendering was written; it imports none of it but the layout of the hash grid and
spherical harmonics. One torch thread; the budget is processor seconds, so 1200 of them stand for ten minutes of two
cores with nothing lost between them. Settings: Mueller et al., SIGGRAPH 2022, section 5.4, and the occupancy grid and
ray marching of nerfacc's instant-ngp example (box of 3 units, 128^3 cells, 1024 steps along its diagonal, 2^18 samples
a step, smooth L1, weight decay 1e-6, background drawn at random).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from common import show, write
from ohmfield._kernels import hash_lookup
from ohmfield.fields.encodings.hash_grid import HashGrid
from ohmfield.fields.radiance import harmonics
from ohmfield.numerics import Noise

BOX = 1.5  # half the side of the box, in units of the cameras
CELLS = 128
STEP = 2 * BOX * math.sqrt(3) / 1024
THRESHOLD = 1e-2  # of density x step, below which a cell counts as empty
DECAY = 0.95
WARM_STEPS, EVERY = 256, 16  # all cells are looked at before, then a quarter of them at random and occupied ones
LEVELS, TABLE = 16, 19
RAYS = 1024  # of the first step; afterwards as many as fill the samples
RATE, WEIGHT_DECAY = 1e-2, 1e-6
STEPS = 20_000  # of the published schedule: the rate falls to a third at a half, three quarters and nine tenths
CHUNK = 2**14  # points looked up at once where no gradient is kept
FOREGROUND = 0.5  # alpha above which a pixel is foreground


def load(scene: Path, split: str, side: int) -> tuple[Tensor, Tensor, float]:
    """Images [N, side, side, 4] with straight alpha premultiplied, poses [N, 3, 4], focal length in pixels."""
    info = json.loads((scene / f"transforms_{split}.json").read_text())
    images, poses = [], []
    for frame in info["frames"]:
        pixels = np.asarray(Image.open(scene / (frame["file_path"] + ".png"))).astype(np.float32) / 255
        pixels[..., :3] *= pixels[..., 3:]
        factor = pixels.shape[0] // side
        images.append(pixels.reshape(side, factor, side, factor, 4).mean((1, 3)))
        poses.append(np.array(frame["transform_matrix"], np.float32)[:3])
    focal = 0.5 * side / math.tan(0.5 * info["camera_angle_x"])
    return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(poses)), focal


def rays(poses: Tensor, x: Tensor, y: Tensor, side: int, focal: float) -> tuple[Tensor, Tensor]:
    """Origins and unit directions through pixel centres."""
    local = torch.stack([(x + 0.5 - side / 2) / focal, -(y + 0.5 - side / 2) / focal, -torch.ones_like(x)], -1)
    directions = (poses[:, :, :3] @ local[:, :, None])[..., 0]
    return poses[:, :, 3], directions / directions.norm(dim=-1, keepdim=True)


class Model(nn.Module):
    """Hash grid, density decoder of one hidden layer, colour decoder of two."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = True  # or the kernel of the same values, to score views outside the budget
        self.grid = HashGrid(3, LEVELS, 2, TABLE, 16, 2048 * BOX)
        self.grid.reset(Noise(0))
        torch.manual_seed(0)
        self.density = nn.Sequential(nn.Linear(32, 64, bias=False), nn.ReLU(), nn.Linear(64, 16, bias=False))
        self.colour = nn.Sequential(
            *(nn.Linear(32, 64, bias=False), nn.ReLU(), nn.Linear(64, 64, bias=False), nn.ReLU()),
            nn.Linear(64, 3, bias=False),
        )

    def geometry(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        unit = (positions + BOX) / (2 * BOX)
        lookup = hash_lookup.reference if self.plain else look_up
        made = self.density(lookup(unit, self.grid.table.weight, self.grid.levels))
        return truncated_exp(made[:, 0] - 1.0), made

    def forward(self, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        density, made = self.geometry(positions)
        return density, self.colour(torch.cat([harmonics(directions), made], -1)).sigmoid()


def look_up(unit: Tensor, table: Tensor, levels: hash_lookup.Levels) -> Tensor:
    return hash_lookup.hash_lookup(unit, table, levels)[0]


class _TruncatedExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    def backward(ctx, *grads: Tensor) -> Tensor:
        return grads[0] * ctx.saved_tensors[0].clamp(max=15.0).exp()


def truncated_exp(x: Tensor) -> Tensor:
    made = _TruncatedExp.apply(x)
    assert isinstance(made, Tensor)
    return made


class Occupancy:
    """Where anything is."""

    def __init__(self) -> None:
        self.values = torch.zeros(CELLS**3)
        self.full = torch.ones(CELLS**3, dtype=torch.bool)

    @torch.no_grad()
    def update(self, model: Model, step: int) -> None:
        if step < WARM_STEPS:
            cells = torch.arange(CELLS**3)
        else:
            some = torch.randint(CELLS**3, (CELLS**3 // 4,))
            full = self.full.nonzero()[:, 0]
            cells = torch.cat([some, full[torch.randint(len(full), (min(len(full), CELLS**3 // 4),))]])
        for part in cells.split(CHUNK):
            corner = torch.stack([part // CELLS**2, part // CELLS % CELLS, part % CELLS], -1)
            positions = (corner + torch.rand(len(part), 3)) * (2 * BOX / CELLS) - BOX
            found = model.geometry(positions)[0] * STEP
            self.values[part] = torch.maximum(DECAY * self.values[part], found)
        self.full = self.values > min(float(self.values.mean()), THRESHOLD)

    def __getitem__(self, positions: Tensor) -> Tensor:
        cell = ((positions + BOX) * (CELLS / (2 * BOX))).long().clamp(0, CELLS - 1)
        return self.full[cell[..., 0] * CELLS**2 + cell[..., 1] * CELLS + cell[..., 2]]


@torch.no_grad()
def march(origins: Tensor, directions: Tensor, occupancy: Occupancy, jitter: bool) -> tuple[Tensor, Tensor]:
    """Number of the ray and distance of each sample in an occupied cell, in order."""
    inverse = 1.0 / directions
    ends = torch.stack([(-BOX - origins) * inverse, (BOX - origins) * inverse])
    near, far = ends.amin(0).amax(-1).clamp(min=0.0), ends.amax(0).amin(-1)
    start = near + STEP * (torch.rand(len(near)) if jitter else 0.5)
    most = int(((far - near).clamp(min=0.0) / STEP).max().ceil())
    distances = start[:, None] + STEP * torch.arange(most)
    inside = distances < far[:, None]
    ray, place = inside.nonzero(as_tuple=True)
    distance = distances[ray, place]
    kept = occupancy[origins[ray] + directions[ray] * distance[:, None]]
    return ray[kept], distance[kept]


def composite(num: int, ray: Tensor, density: Tensor, colour: Tensor) -> tuple[Tensor, Tensor]:
    """Colour [num, 3] and opacity [num] of rays; samples lie in order."""
    depth = density * STEP
    before = torch.cumsum(depth, 0) - depth
    first = torch.ones(len(ray), dtype=torch.bool)
    first[1:] = ray[1:] != ray[:-1]
    start = torch.zeros(num).index_put((ray[first],), before[first])
    weight = torch.exp(-(before - start[ray])) * (1.0 - torch.exp(-depth))
    opacity = torch.zeros(num).index_add(0, ray, weight)
    return torch.zeros(num, 3).index_add(0, ray, weight[:, None] * colour), opacity


@torch.no_grad()
def render(model: Model, occupancy: Occupancy, pose: Tensor, side: int, focal: float) -> tuple[Tensor, int]:
    """One view on white, and its samples."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    origins, directions = rays(pose.expand(side * side, 3, 4), x.flatten(), y.flatten(), side, focal)
    rows, samples = [], 0
    for origin, direction in zip(origins.split(8192), directions.split(8192), strict=True):
        ray, distance = march(origin, direction, occupancy, jitter=False)
        samples += len(ray)
        found = [
            model(origin[r] + direction[r] * t[:, None], direction[r])
            for r, t in zip(ray.split(CHUNK), distance.split(CHUNK), strict=True)
        ]
        density, colour = (torch.cat(parts) for parts in zip(*found, strict=True))
        made, opacity = composite(len(origin), ray, density, colour)
        rows.append(made + (1.0 - opacity)[:, None])
    return torch.cat(rows).reshape(side, side, 3).clamp(0.0, 1.0), samples


def scores(made: Tensor, image: Tensor) -> dict[str, float]:
    """PSNR on white, of all pixels and of those that show the object."""
    wanted = image[..., :3] + (1.0 - image[..., 3:])
    error = (made - wanted).square().mean(-1)
    shown = image[..., 3] > FOREGROUND
    return {
        "psnr_dB": -10.0 * math.log10(float(error.mean())),
        "foreground_psnr_dB": -10.0 * math.log10(float(error[shown].mean())),
    }


def train(scene: Path, side: int, budget_s: float, target: int) -> tuple[Model, Occupancy, dict[str, float]]:
    images, poses, focal = load(scene, "train", side)
    torch.manual_seed(0)
    model, occupancy = Model(), Occupancy()
    adam = torch.optim.Adam(model.parameters(), RATE, (0.9, 0.99), 1e-15, weight_decay=WEIGHT_DECAY)
    drops = torch.optim.lr_scheduler.MultiStepLR(adam, [STEPS // 2, STEPS * 3 // 4, STEPS * 9 // 10], 0.33)
    warm = torch.optim.lr_scheduler.LinearLR(adam, 0.01, total_iters=100)
    started, number, step, rays_seen, samples_seen = time.process_time(), RAYS, 0, 0, 0
    while time.process_time() - started < budget_s and step < STEPS:
        if step % EVERY == 0:
            occupancy.update(model, step)
        view, x, y = (torch.randint(most, (number,)) for most in (len(images), side, side))
        origins, directions = rays(poses[view], x, y, side, focal)
        ray, distance = march(origins, directions, occupancy, jitter=True)
        if len(ray) == 0:
            continue
        density, colour = model(origins[ray] + directions[ray] * distance[:, None], directions[ray])
        made, opacity = composite(number, ray, density, colour)
        behind = torch.rand(3)
        pixels = images[view, y, x]
        wanted = pixels[:, :3] + (1.0 - pixels[:, 3:]) * behind
        loss = nn.functional.smooth_l1_loss(made + (1.0 - opacity)[:, None] * behind, wanted)
        adam.zero_grad()
        loss.backward()
        adam.step()
        warm.step()
        drops.step()
        step, rays_seen, samples_seen = step + 1, rays_seen + number, samples_seen + len(ray)
        number = max(1, int(number * target / len(ray)))
        if step % 10 == 0:
            print(
                f"{time.process_time() - started:6.0f} s  step {step}  {number} rays  loss {float(loss.detach()):.5f}",
                flush=True,
            )
    seconds = time.process_time() - started
    figures = {"steps": step, "processor_s": seconds, "rays_per_s": rays_seen / seconds}
    return model, occupancy, figures | {"samples_per_s": samples_seen / seconds, "rays": rays_seen}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path, default=Path("../shared/data/posed/chair_blender"))
    parser.add_argument("--side", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--samples", type=int, default=2**18, help="a step is given as many rays as need that many")
    parser.add_argument("--pictures", type=Path, help="folder for rendered views")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model, occupancy, figures = train(given.scene, given.side, given.seconds, given.samples)
    images, poses, focal = load(given.scene, "test", given.side)
    started = time.process_time()
    _, plain_samples = render(model, occupancy, poses[0], given.side, focal)
    figures["rendered_samples_per_s"] = plain_samples / (time.process_time() - started)
    samples, each, model.plain = 0, [], False
    for index, (image, pose) in enumerate(zip(images, poses, strict=True)):
        made, count = render(model, occupancy, pose, given.side, focal)
        samples += count
        each.append(scores(made, image))
        if given.pictures:
            given.pictures.mkdir(parents=True, exist_ok=True)
            Image.fromarray((made.numpy() * 255 + 0.5).astype(np.uint8)).save(given.pictures / f"{index:03}.png")
    figures |= {name: float(np.mean([one[name] for one in each])) for name in each[0]}
    figures |= {
        "samples_per_rendered_ray": samples / (len(images) * given.side**2),
        "occupied_share": float(occupancy.full.float().mean()),
    }
    name = "radiance_pilot" if given.samples == 2**18 else f"radiance_pilot_{given.samples}"
    show(
        f"{given.scene.name} at {given.side} px", ("figure", "value"), [[key, value] for key, value in figures.items()]
    )
    write(name, {"side": given.side, "views": len(images), "samples_per_step": given.samples, **figures})


if __name__ == "__main__":
    main()
