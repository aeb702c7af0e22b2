"""Tiny signals for tests and examples, no file needed."""

from __future__ import annotations

import torch

from ohmfield.numerics import Noise
from ohmfield.signals.examples import Examples
from ohmfield.signals.points import Points, from_image


def shapes(size: int = 32) -> Points:
    """An RGB test image [size, size]: a smooth ramp in red, a checkerboard in green, a disc in blue."""
    at = (torch.arange(size, dtype=torch.float32) + 0.5) / size
    y, x = torch.meshgrid(at, at, indexing="ij")
    checker = ((x * 4).floor() + (y * 4).floor()) % 2
    disc = ((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.1).float()
    return from_image(torch.stack([0.5 * (x + y), checker, disc], dim=-1), f"shapes-{size}", bits=32)


def zone_plate(size: int = 64) -> Points:
    """A grey zone plate [size, size]: frequency grows with the radius, up to half the sampling rate at the edge."""
    at = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    rings = torch.cos(torch.pi * (x**2 + y**2) / size)
    return from_image((0.5 + 0.5 * rings)[..., None], f"zone-plate-{size}", bits=32)


def gratings(num_train: int = 256, num_test: int = 128, size: int = 8, num_classes: int = 4, seed: int = 0) -> Examples:
    """Labelled grey images [N, 1, size, size]: waves whose direction is the class, with phase and noise drawn."""
    noise, count = Noise(seed).at("gratings"), num_train + num_test
    labels = torch.arange(count) % num_classes
    angle = (torch.pi / num_classes) * labels.float()
    phase = 2.0 * torch.pi * noise.at("phase").uniform((count, 1))[:, 0]
    at = torch.arange(size, dtype=torch.float32)
    y, x = torch.meshgrid(at, at, indexing="ij")
    along = angle.cos()[:, None, None] * x + angle.sin()[:, None, None] * y
    waves = torch.sin(1.5 * along + phase[:, None, None])
    grain = noise.at("grain").normal((count, size * size)).reshape(count, size, size)
    images = (0.5 + 0.3 * waves + 0.1 * grain).clamp(0.0, 1.0)
    classes = tuple(f"{round(180 * index / num_classes)} degrees" for index in range(num_classes))
    return Examples(images[:, None].contiguous(), labels, classes, num_train, f"gratings-{size}")
