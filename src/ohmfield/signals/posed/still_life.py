"""A posed scene without a file: shapes in closed form, photographed from a hemisphere, rendered when a view is read."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import UInt8

from ohmfield.signals.cameras import Cameras
from ohmfield.signals.posed.analytic import FAR, Ball, Box, Ring, Shape, turned
from ohmfield.signals.views import Views
from ohmfield.spec import InputError

HALF = 1.1  # of the box; every shape lies within
DISTANCE = 3.4
ANGLE_X = 0.69  # field of view, close to that of NeRF's synthetic scenes
LOWEST, HIGHEST = 0.12, 0.97  # sines of the cameras' elevation
GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))
TEST_EVERY = 6  # 100 of 120 train
FINE = 3  # subpixels per side where a pixel holds an edge
MAX_SIDE = 4096

LIGHT = np.array([0.48, -0.36, 0.80])  # of length 1
AMBIENT, DIFFUSE, SPECULAR, SHININESS = 0.35, 0.65, 0.45, 30.0
SOFTNESS = 2.5  # of the checker's edges: nothing finer than what 100 pixels show

SHAPES = (
    Box(
        centre=(0.0, 0.0, -0.46),
        halves=(0.78, 0.78, 0.08),
        colours=((0.86, 0.82, 0.74), (0.30, 0.34, 0.40)),
        squares=3.0,
    ),
    Box(
        centre=(0.38, 0.42, -0.08),
        halves=(0.26, 0.26, 0.30),
        turn=0.5,
        colours=((0.16, 0.42, 0.72), (0.75, 0.86, 0.92)),
        squares=4.0,
    ),
    Ball(centre=(-0.36, -0.30, 0.02), radius=0.40, colours=((0.90, 0.62, 0.16), (0.55, 0.20, 0.10)), squares=4.0),
    Ball(centre=(0.38, 0.42, 0.40), radius=0.18, colours=((0.92, 0.90, 0.88), (0.92, 0.90, 0.88))),
    Ring(
        centre=(0.32, -0.42, -0.06),
        radius=0.24,
        thickness=0.10,
        tilt=0.6,
        colours=((0.20, 0.60, 0.34), (0.82, 0.90, 0.42)),
        squares=5.0,
    ),
)


def still_life(side: int = 200, num_views: int = 120) -> Views:
    """A slab with a ball, a cube, a ring and a pearl: checkered, lit from one side, shiny, and nothing around them.

    Cameras stand on a spiral over the upper hemisphere; every sixth view tests. Views are rendered when they are read,
    60 ms of a processor each at 200 x 200 pixels.
    """
    if not 8 <= side <= MAX_SIDE:
        raise InputError(f"still life: side {side} is not allowed; use 8 to {MAX_SIDE}")
    if not 2 <= num_views <= 100_000:
        raise InputError(f"still life: {num_views} views are not allowed; use 2 to 100000")
    focal = 0.5 * side / math.tan(0.5 * ANGLE_X)
    cameras = Cameras(
        torch.from_numpy(_poses(num_views)).float(),
        torch.full((num_views, 2), focal),
        torch.full((num_views, 2), side / 2),
        side,
        side,
    )
    test = tuple(range(min(TEST_EVERY, num_views) - 1, num_views, TEST_EVERY))
    train = tuple(number for number in range(num_views) if number not in set(test))
    return Views(
        cameras=cameras,
        read=lambda view: _photograph(cameras, view),
        splits={"train": train, "val": (), "test": test},
        centre=(0.0, 0.0, 0.0),
        half=HALF,
        name=f"still-life-{side}",
        has_alpha=True,
        source="ohmfield",
    )


def _poses(num_views: int) -> np.ndarray:
    """[num, 3, 4]: cameras on a golden spiral that look at the origin, z up."""
    number = np.arange(num_views)
    sine = LOWEST + (HIGHEST - LOWEST) * (number + 0.5) / num_views
    cosine, turn = np.sqrt(1.0 - sine * sine), GOLDEN_ANGLE * number
    back = np.stack([cosine * np.cos(turn), cosine * np.sin(turn), sine], -1)
    right = np.stack([-np.sin(turn), np.cos(turn), np.zeros(num_views)], -1)
    return np.stack([right, np.cross(back, right), back, DISTANCE * back], -1)


def _photograph(cameras: Cameras, view: int) -> UInt8[np.ndarray, "height width 4"]:
    """One ray per pixel, and `FINE` x `FINE` where neighbours show other shapes."""
    side = cameras.width
    y, x = (index.ravel() for index in np.mgrid[:side, :side])
    values, shape = _seen(cameras, view, x, y)
    edge = _edges(shape.reshape(side, side)).ravel()
    offset = (np.arange(FINE) + 0.5) / FINE - 0.5
    down, across = (shift.ravel() for shift in np.meshgrid(offset, offset, indexing="ij"))
    fine, _ = _seen(cameras, view, (x[edge, None] + across).ravel(), (y[edge, None] + down).ravel())
    values[edge] = fine.reshape(-1, FINE * FINE, 4).mean(1)
    alpha = values[:, 3:]
    straight = np.concatenate([values[:, :3] / np.maximum(alpha, 1e-6), alpha], -1)
    return np.floor(straight * 255.0 + 0.5).clip(0, 255).astype(np.uint8).reshape(side, side, 4)


def _edges(shape: np.ndarray) -> np.ndarray:
    """Pixels with another shape beside, above or below them."""
    edge = np.zeros(shape.shape, bool)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differs = shape[one] != shape[other]
        edge[one] |= differs
        edge[other] |= differs
    return edge


def _seen(cameras: Cameras, view: int, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Premultiplied colour and alpha [num, 4] along rays, and the number of the shape each meets (-1: none)."""
    rays = cameras.rays(torch.full((len(x),), view), torch.from_numpy(x).float(), torch.from_numpy(y).float())
    origin, along = (values.double().numpy() for values in rays)
    nearest, met = np.full(len(x), FAR), np.full(len(x), -1)
    for number, shape in enumerate(SHAPES):
        distance = shape.distance(origin, along)
        met[distance < nearest] = number
        nearest = np.minimum(nearest, distance)
    values = np.zeros((len(x), 4))
    for number, shape in enumerate(SHAPES):
        here = np.flatnonzero(met == number)
        values[here, :3] = _shade(shape, origin[here] + nearest[here, None] * along[here], along[here])
        values[here, 3] = 1.0
    return values, met


def _shade(shape: Shape, at: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Colours [num, 3]: paint under ambient and diffuse light, and a highlight that moves with the camera."""
    normal = shape.normal(at)
    # Turned off the axes, or a face along an axis would cut the checker where it has no contrast.
    wave = np.sin(np.pi * shape.squares * turned(turned(at, 0, 0.4), 1, 0.3)).sum(-1)
    mix = 0.5 + 0.5 * np.tanh(SOFTNESS * wave)[:, None]
    paint = np.array(shape.colours[0]) * mix + np.array(shape.colours[1]) * (1.0 - mix)
    facing = np.maximum(normal @ LIGHT, 0.0)[:, None]
    halfway = LIGHT - along
    halfway /= np.linalg.norm(halfway, axis=-1, keepdims=True)
    shine = np.maximum(np.einsum("ij,ij->i", normal, halfway), 0.0)[:, None] ** SHININESS * (facing > 0.0)
    return np.minimum(paint * (AMBIENT + DIFFUSE * facing) + SPECULAR * shine, 1.0)
