"""Cameras: where they stand, how they look, and the ray through every pixel.

A pose is camera-to-world with OpenGL axes: x to the right, y up, looking down -z. Pixel (x, y) counts from the upper
left corner, its centre lies at (x + 0.5, y + 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int, Real
from torch import Tensor

NEWTON_STEPS = 8  # of the inverse of a lens; four give float32 at the corners of a phone's picture
OPENCV_AXES = (1.0, -1.0, -1.0)  # x to the right, y down, z ahead: how lenses and COLMAP see our axes


@dataclass(frozen=True, eq=False)
class Cameras:
    """Cameras of one picture size.

    `lenses` are k1 k2 p1 p2 k3 of the radial-tangential model (OpenCV's), or k1 k2 k3 k4 0 where `fisheye`.
    """

    poses: Float[Tensor, "num 3 4"]
    focals: Float[Tensor, "num 2"]  # x and y, in pixels
    centres: Float[Tensor, "num 2"]  # of the axis, x and y in pixels
    width: int
    height: int
    lenses: Float[Tensor, "num 5"] | None = None
    fisheye: bool = False

    def __len__(self) -> int:
        return len(self.poses)

    def __getitem__(self, chosen: int | slice | list[int] | Tensor) -> Cameras:
        """Some of them; a whole number gives one, still a `Cameras`."""
        some = [chosen] if isinstance(chosen, int) else chosen
        lenses = None if self.lenses is None else self.lenses[some]
        return replace(
            self, poses=self.poses[some], focals=self.focals[some], centres=self.centres[some], lenses=lenses
        )

    def resized(self, width: int, height: int) -> Cameras:
        """The same cameras with pictures of another size.

        >>> Cameras(torch.zeros(1, 3, 4), torch.ones(1, 2), torch.ones(1, 2), 4, 4).resized(2, 2).focals
        tensor([[0.5000, 0.5000]])
        """
        factor = torch.tensor([width / self.width, height / self.height])
        return replace(self, focals=self.focals * factor, centres=self.centres * factor, width=width, height=height)

    def rays(
        self, view: Int[Tensor, " num_rays"], x: Real[Tensor, " num_rays"], y: Real[Tensor, " num_rays"]
    ) -> tuple[Float[Tensor, "num_rays 3"], Float[Tensor, "num_rays 3"]]:
        """Origins and unit directions of the rays through the centres of pixels, or through places between them."""
        plane = (torch.stack([x, y], -1) + 0.5 - self.centres[view]) / self.focals[view]
        if self.fisheye and self.lenses is not None:
            ahead = fisheye_directions(plane, self.lenses[view])
        else:
            plane = plane if self.lenses is None else straight(plane, self.lenses[view])
            ahead = torch.cat([plane, torch.ones_like(plane[:, :1])], -1)
        poses = self.poses[view]
        directions = (poses[:, :, :3] @ (ahead * ahead.new_tensor(OPENCV_AXES))[:, :, None])[..., 0]
        return poses[:, :, 3], torch.nn.functional.normalize(directions, dim=-1)

    def all_rays(self, view: int) -> tuple[Float[Tensor, "num_rays 3"], Float[Tensor, "num_rays 3"]]:
        """`rays` of one whole picture, row after row."""
        y, x = torch.meshgrid(torch.arange(self.height), torch.arange(self.width), indexing="ij")
        return self.rays(torch.full((self.width * self.height,), view), x.flatten(), y.flatten())

    def project(
        self, view: int, points: Float[Tensor, "num_points 3"]
    ) -> tuple[Float[Tensor, "num_points 2"], Float[Tensor, " num_points"]]:
        """Where points of the scene fall in a picture (x and y in pixels, possibly outside), and how far ahead.

        The second value is the distance along the axis; what lies behind the camera has a negative one, and without a
        fisheye lens no place.

        >>> one = Cameras(torch.eye(4)[None, :3], torch.full((1, 2), 10.0), torch.full((1, 2), 2.0), 4, 4)
        >>> one.project(0, torch.tensor([[0.2, 0.0, -2.0]]))
        (tensor([[3., 2.]]), tensor([2.]))
        """
        pose = self.poses[view].to(points)
        ahead = (points - pose[:, 3]) @ pose[:, :3] * points.new_tensor(OPENCV_AXES)
        depth = ahead[:, 2]
        if self.fisheye and self.lenses is not None:
            plane = bend_fisheye(ahead, self.lenses[view].to(points).expand(len(points), 5))
        else:
            plane = ahead[:, :2] / depth[:, None]
            plane = plane if self.lenses is None else bend(plane, self.lenses[view].to(points).expand(len(points), 5))
        return plane * self.focals[view].to(points) + self.centres[view].to(points), depth


def bend(plane: Float[Tensor, "num 2"], lens: Float[Tensor, "num 5"]) -> Float[Tensor, "num 2"]:
    """Where a radial-tangential lens puts points of the plane at distance 1. Source: OpenCV's camera model.

    >>> bend(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.1, 0.0, 0.0, 0.0, 0.0]]))
    tensor([[1.1000, 0.0000]])
    """
    k1, k2, p1, p2, k3 = lens.unbind(-1)
    x, y = plane.unbind(-1)
    r2 = x * x + y * y
    radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
    bent_x = x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x)
    bent_y = y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y
    return torch.stack([bent_x, bent_y], -1)


def straight(bent: Float[Tensor, "num 2"], lens: Float[Tensor, "num 5"]) -> Float[Tensor, "num 2"]:
    """The inverse of `bend`, by Newton's method in double precision from the bent point."""
    wanted, lens = bent.double(), lens.double()
    k1, k2, p1, p2, k3 = lens.unbind(-1)
    plane = wanted.clone()
    for _ in range(NEWTON_STEPS):
        x, y = plane.unbind(-1)
        r2 = x * x + y * y
        radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
        slope = 2.0 * (k1 + r2 * (2.0 * k2 + 3.0 * r2 * k3))
        xx = radial + x * x * slope + 2.0 * p1 * y + 6.0 * p2 * x
        xy = x * y * slope + 2.0 * p1 * x + 2.0 * p2 * y
        yy = radial + y * y * slope + 6.0 * p1 * y + 2.0 * p2 * x
        error_x, error_y = (bend(plane, lens) - wanted).unbind(-1)
        determinant = xx * yy - xy * xy
        plane = (
            plane - torch.stack([yy * error_x - xy * error_y, xx * error_y - xy * error_x], -1) / determinant[:, None]
        )
    return plane.to(bent.dtype)


def bend_fisheye(ahead: Float[Tensor, "num 3"], lens: Float[Tensor, "num 5"]) -> Float[Tensor, "num 2"]:
    """Where an equidistant fisheye lens puts points; axes of `fisheye_directions`."""
    across = ahead[:, :2].norm(dim=-1)
    bent = _fisheye_radius(torch.atan2(across, ahead[:, 2]), lens)[0]
    return ahead[:, :2] * (bent / across.clamp(min=1e-12))[:, None]


def fisheye_directions(bent: Float[Tensor, "num 2"], lens: Float[Tensor, "num 5"]) -> Float[Tensor, "num 3"]:
    """Unit directions (x to the right, y down, z ahead) that an equidistant fisheye lens puts at `bent`.

    Angles beyond 90 degrees from the axis are seen too. Source: OpenCV's fisheye model.
    """
    wanted, lens = bent.double(), lens.double()
    radius = wanted.norm(dim=-1)
    angle = radius.clone()
    for _ in range(NEWTON_STEPS):
        made, slope = _fisheye_radius(angle, lens)
        angle = angle - (made - radius) / slope
    across = wanted * (angle.sin() / radius.clamp(min=1e-12))[:, None]
    return torch.cat([across, angle.cos()[:, None]], -1).to(bent.dtype)


def _fisheye_radius(
    angle: Float[Tensor, " num"], lens: Float[Tensor, "num 5"]
) -> tuple[Float[Tensor, " num"], Float[Tensor, " num"]]:
    """Distance from the axis at which a lens shows an angle, and its slope."""
    k1, k2, k3, k4, _ = lens.unbind(-1)
    square = angle * angle
    made = angle * (1.0 + square * (k1 + square * (k2 + square * (k3 + square * k4))))
    slope = 1.0 + square * (3.0 * k1 + square * (5.0 * k2 + square * (7.0 * k3 + square * 9.0 * k4)))
    return made, slope
