"""Shapes that rays meet in closed form (ball, box) or by sphere tracing (ring), with their paint."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

FAR = 1e9  # where a ray meets nothing
MARCH_STEPS, MARCH_END = 400, 1e-6  # few rays take more than 30 steps: those that graze
Rays = Float[np.ndarray, "num 3"]
Colour = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Shape(ABC):
    """A closed surface, checkered in two colours with so many squares per unit."""

    centre: tuple[float, float, float]
    colours: tuple[Colour, Colour]
    squares: float = 1.0

    @abstractmethod
    def distance(self, origin: Rays, along: Rays) -> Float[np.ndarray, " num"]:
        """How far along unit directions the surface lies, seen from outside; `FAR` where a ray misses it."""

    @abstractmethod
    def normal(self, at: Rays) -> Rays:
        """Outward unit normals at points of the surface."""


@dataclass(frozen=True, kw_only=True)
class Ball(Shape):
    """All points at `radius` from the centre."""

    radius: float

    def distance(self, origin: Rays, along: Rays) -> Float[np.ndarray, " num"]:
        """The smaller root of a quadratic."""
        entry, _ = chord(origin - self.centre, along, self.radius)
        return np.where(entry > 0.0, entry, FAR)

    def normal(self, at: Rays) -> Rays:
        """Away from the centre."""
        return (at - self.centre) / self.radius


@dataclass(frozen=True, kw_only=True)
class Box(Shape):
    """A box of three half sides, turned about z."""

    halves: tuple[float, float, float]
    turn: float = 0.0

    def distance(self, origin: Rays, along: Rays) -> Float[np.ndarray, " num"]:
        """The last of three entries, if it comes before the first of three exits."""
        start, step = turned(origin - self.centre, 2, -self.turn), turned(along, 2, -self.turn)
        inverse = 1.0 / np.where(np.abs(step) < 1e-12, 1e-12, step)
        one, other = (-np.array(self.halves) - start) * inverse, (self.halves - start) * inverse
        # Column by column: numpy is slow over a last axis of three.
        entry = np.maximum.reduce(list(np.minimum(one, other).T))
        leave = np.minimum.reduce(list(np.maximum(one, other).T))
        return np.where((entry > 0.0) & (entry < leave), entry, FAR)

    def normal(self, at: Rays) -> Rays:
        """That of the face which the point is nearest to."""
        local = turned(at - self.centre, 2, -self.turn) / self.halves
        face = np.abs(local).argmax(-1)[:, None] == np.arange(3)
        return turned(np.where(face, np.sign(local), 0.0), 2, self.turn)


@dataclass(frozen=True, kw_only=True)
class Ring(Shape):
    """A torus about z, tilted about x."""

    radius: float
    thickness: float
    tilt: float = 0.0

    def distance(self, origin: Rays, along: Rays) -> Float[np.ndarray, " num"]:
        """Steps of the distance to the surface, from the ball around it on."""
        entry, leave = chord(origin - self.centre, along, self.radius + self.thickness)
        found, open_ = np.full(len(origin), FAR), np.flatnonzero((entry > 0.0) & (entry < FAR))
        start, step = (turned(v[open_], 0, -self.tilt) for v in (origin - self.centre, along))
        travelled, end = entry[open_], leave[open_]
        for _ in range(MARCH_STEPS):
            gap = self._gap(start + travelled[:, None] * step)
            found[open_[gap < MARCH_END]] = travelled[gap < MARCH_END]
            travelled = travelled + gap
            going = (gap >= MARCH_END) & (travelled < end)
            open_, start, step, travelled, end = (v[going] for v in (open_, start, step, travelled, end))
            if not len(open_):
                break
        return found

    def normal(self, at: Rays) -> Rays:
        """Away from the circle within the ring."""
        local = turned(at - self.centre, 0, -self.tilt)
        across = np.hypot(local[:, 0], local[:, 1])
        local[:, :2] *= (1.0 - self.radius / across)[:, None]
        return turned(local / np.linalg.norm(local, axis=-1, keepdims=True), 0, self.tilt)

    def _gap(self, local: Rays) -> Float[np.ndarray, " num"]:
        across = np.sqrt(local[:, 0] ** 2 + local[:, 1] ** 2) - self.radius
        return np.sqrt(across * across + local[:, 2] ** 2) - self.thickness


def chord(offset: Rays, along: Rays, radius: float) -> tuple[Float[np.ndarray, " num"], Float[np.ndarray, " num"]]:
    """Where rays enter and leave a ball around the origin; `FAR` where they miss it."""
    middle = -np.einsum("ij,ij->i", offset, along)
    square = middle * middle - np.einsum("ij,ij->i", offset, offset) + radius * radius
    half = np.sqrt(np.maximum(square, 0.0))
    return np.where(square > 0.0, middle - half, FAR), np.where(square > 0.0, middle + half, FAR)


def turned(points: Rays, axis: int, angle: float) -> Rays:
    """Points after a turn about one axis."""
    if angle == 0.0:
        return points
    one, other = (axis + 1) % 3, (axis + 2) % 3
    cosine, sine, made = math.cos(angle), math.sin(angle), points.copy()
    made[:, one] = cosine * points[:, one] - sine * points[:, other]
    made[:, other] = sine * points[:, one] + cosine * points[:, other]
    return made
