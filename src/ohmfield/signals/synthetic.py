"""Tiny signals for tests and examples, no file needed."""

from __future__ import annotations

import torch

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
