"""Which cells of a scene's box hold anything: carved from silhouettes, then learnt from the field itself."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ohmfield.fields.radiance import Radiance
from ohmfield.numerics import Noise
from ohmfield.signals.views import Views
from ohmfield.spec import InputError

THRESHOLD = 1e-2  # of density x step, below which a cell counts as empty; nerfacc's
DECAY = 0.95  # of what a cell once held, at each look
LOOKED_AT = 2**16  # cells per look: half of them anywhere, half of them where anything is


class Occupancy:
    """What training knows of each cell: the largest opacity met lately, and whether it can hold anything at all."""

    def __init__(self, field: Radiance) -> None:
        self.values = torch.zeros(field.cells**3)
        self.possible = _unpacked(field)  # of a field that was never fitted: all of them

    def carve(self, field: Radiance, views: Views, chosen: tuple[int, ...]) -> None:
        """Leaves out cells that some view shows as fully transparent.

        Cautious by the size of a cell in that view, so that an object whose silhouettes are right keeps all its cells.
        """
        cells, side = field.cells, 2.0 * float(field.half_side)
        radius = 0.5 * math.sqrt(3.0) * side / cells
        cameras = views.cameras
        for view in chosen:
            live = self.possible.nonzero()[:, 0]
            points = (_corners(live, cells) + 0.5) / cells
            points = (points - 0.5) * side + field.centre
            pose, (focal_x, focal_y), (axis_x, axis_y) = (
                cameras.poses[view],
                cameras.focals[view],
                cameras.centres[view],
            )
            local = (points - pose[:, 3]) @ pose[:, :3]
            ahead = -local[:, 2]
            sure = ahead > 2.0 * radius  # others lie around the camera
            if not bool(sure.any()):
                continue
            live, local, ahead = live[sure], local[sure], ahead[sure]
            x, y = axis_x + focal_x * local[:, 0] / ahead, axis_y - focal_y * local[:, 1] / ahead
            reach = math.ceil(float(max(focal_x, focal_y)) * radius / float(ahead.min())) + 2
            alpha = views.picture(view)[..., 3].float()
            near = torch.nn.functional.max_pool2d(alpha[None, None], 2 * reach + 1, 1, reach)[0, 0]
            inside = (x >= 0) & (x < cameras.width) & (y >= 0) & (y < cameras.height)
            shown = near[y.long().clamp(0, cameras.height - 1), x.long().clamp(0, cameras.width - 1)] > 0
            self.possible[live] = shown | ~inside
        if not bool(self.possible.any()):
            raise InputError(f"{views.name}: no place in the box is opaque in all views; check poses, masks and box")
        self._write(field, self.possible)

    def look(self, field: Radiance, noise: Noise, step: float) -> None:
        """Asks the density of some cells, at a random place in each, and says anew which are occupied."""
        possible = self.possible.nonzero()[:, 0]
        some = possible
        if len(possible) > LOOKED_AT:
            full = _unpacked(field).nonzero()[:, 0]
            half = (LOOKED_AT // 2,)
            some = possible[noise.at("anywhere").integers(len(possible), half)]
            if len(full):
                some = torch.cat([some, full[noise.at("occupied").integers(len(full), half)]])
        places = (_corners(some, field.cells) + noise.at("places").uniform((len(some), 3))) / field.cells
        opacity = field.density_at(places.contiguous()) * step
        # The same cell may be drawn twice: the larger stays, whatever the order.
        self.values[some] *= DECAY
        self.values.scatter_reduce_(0, some, opacity, "amax")
        mean = float(self.values[possible].mean())
        self._write(field, (self.values > min(mean, THRESHOLD)) & self.possible)

    def state(self) -> dict[str, Tensor]:
        """What going on later needs."""
        return {"values": self.values, "possible": self.possible}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Goes back to a `state`."""
        self.values, self.possible = state["values"].clone(), state["possible"].clone()

    def _write(self, field: Radiance, full: Tensor) -> None:
        field.occupied.copy_(torch.from_numpy(np.packbits(full.numpy(), bitorder="little")))


def _unpacked(field: Radiance) -> Tensor:
    return torch.from_numpy(np.unpackbits(field.occupied.numpy(), bitorder="little").astype(np.bool_))


def _corners(cells: Tensor, side: int) -> Tensor:
    return torch.stack([cells // side**2, cells // side % side, cells % side], -1).float()
