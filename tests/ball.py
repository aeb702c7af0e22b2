"""Posed views of a ball whose colour is its normal: the smallest scene with a shape."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ohmfield.signals.cameras import Cameras
from ohmfield.signals.views import Views

RADIUS = 0.5  # in a box of half side 1


def around(num: int, side: int, distance: float = 4.0) -> Cameras:
    """Cameras on a spiral around the origin, looking at it."""
    poses = []
    for index in range(num):
        height = 0.9 * (2.0 * (index + 0.5) / num - 1.0)
        turn = index * math.pi * (3.0 - math.sqrt(5.0))
        flat = math.sqrt(1.0 - height**2)
        back = torch.tensor([flat * math.cos(turn), flat * math.sin(turn), height])
        right = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([0.0, 0.0, 1.0]), back), dim=0)
        poses.append(torch.stack([right, torch.linalg.cross(back, right), back, distance * back], 1))
    return Cameras(torch.stack(poses), torch.full((num, 2), 1.0 * side), torch.full((num, 2), side / 2), side, side)


def ball_views(num: int, side: int) -> Views:
    """`num` views, every fourth of them to test."""
    cameras = around(num, side)

    def read(view: int) -> np.ndarray:
        origins, directions = cameras.all_rays(view)
        along = -(origins * directions).sum(-1)
        missed = (origins + along[:, None] * directions).square().sum(-1)
        hit = missed < RADIUS**2
        distance = along - (RADIUS**2 - missed).clamp(min=0.0).sqrt()
        normal = (origins + distance[:, None] * directions) / RADIUS
        colour = torch.where(hit[:, None], 0.5 + 0.4 * normal, torch.zeros(3))
        values = torch.cat([colour, hit[:, None].float()], -1).reshape(side, side, 4)
        return (values * 255 + 0.5).to(torch.uint8).numpy()

    test = tuple(range(0, num, 4))
    splits = {"train": tuple(view for view in range(num) if view not in test), "test": test}
    return Views(cameras, read, splits, (0.0, 0.0, 0.0), 1.0, "ball", True)


def write_photographs(folder: Path, num: int, side: int) -> None:
    """`ball_views` as NeRF's blender files."""
    folder.mkdir(parents=True, exist_ok=True)
    views = ball_views(num, side)
    angle = 2.0 * math.atan(0.5 * side / float(views.cameras.focals[0, 0]))
    for split in ("train", "test"):
        frames = []
        for view in views.split(split):
            Image.fromarray(views.picture(view).numpy()).save(folder / f"{view}.png")
            pose = [*views.cameras.poses[view].tolist(), [0.0, 0.0, 0.0, 1.0]]
            frames.append({"file_path": f"./{view}", "transform_matrix": pose})
        (folder / f"transforms_{split}.json").write_text(json.dumps({"camera_angle_x": angle, "frames": frames}))
