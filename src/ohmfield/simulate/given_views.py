"""What a deployed radiance field is given: the samples of a few photographs that nobody learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ohmfield._kernels.composite import composite
from ohmfield._kernels.march import Samples
from ohmfield.fields.radiance import Radiance
from ohmfield.mapping.frames import in_frame
from ohmfield.numerics import spread
from ohmfield.render.march import inputs, seen
from ohmfield.render.options import RenderOptions
from ohmfield.signals.views import Views
from ohmfield.simulate.given import Given

SHOWN = 2  # views that are run on a chip: each takes some hundred thousand products of every layer
CALIBRATED = 4  # training views that calibration samples come from


@dataclass(frozen=True, eq=False)
class Reached:
    """The samples of one view that light reaches in the float field: what every chip is asked."""

    view: int
    samples: Samples

    def over(self, values: Float[Tensor, "num 4"], background: float) -> Float[Tensor, "num_rays 3"]:
        """The picture, row after row, that colours and densities of the samples make."""
        colour, opacity, _ = composite(self.samples, values[:, 3].contiguous(), values[:, :3].contiguous())
        return colour + (1.0 - opacity)[:, None] * background


def reached(field: Radiance, views: Views, view: int, options: RenderOptions) -> Reached:
    """What `field` is asked for one view."""
    origins, directions = views.cameras.all_rays(view)
    return Reached(view, seen(field, origins, directions, torch.full((len(origins),), 0.5), options))


def given_views(field: Radiance, views: Views, points: int, shown: Sequence[int] | None = None) -> Given:
    """Samples of `SHOWN` test views, scored as pictures against the photographs; `points` of others to calibrate on.

    Which samples those are is decided by the float field, the same for every chip: where rays end and what is empty
    was learnt with it. An item is one sample, an inference one frame.
    """
    options = RenderOptions(background=views.background)
    name = "test" if views.splits.get("test") else "train"
    numbers = views.split(name)
    picked = shown or [numbers[place] for place in spread(len(numbers), SHOWN)]
    asked = [reached(field, views, view, options) for view in picked]
    train = views.split("train")
    others = [inputs(reached(field, views, train[k], options).samples) for k in spread(len(train), CALIBRATED)]
    pool = torch.cat(others)
    calibration = pool[torch.from_numpy(spread(len(pool), points))]
    edges = np.cumsum([0, *(len(one.samples) for one in asked)])
    shape = views.cameras.height, views.cameras.width, 3

    def pictures(values: Tensor) -> list[Tensor]:
        parts = [values[first:last] for first, last in pairwise(edges)]
        return [one.over(part, options.background).reshape(shape) for one, part in zip(asked, parts, strict=True)]

    def score(values: Tensor) -> dict[str, float]:
        each = [
            views.score(one.view, made, options.background) for one, made in zip(asked, pictures(values), strict=True)
        ]
        return {key: sum(one[key] for one in each) / len(each) for key in each[0]}

    samples, rays = float(edges[-1]) / len(asked), shape[0] * shape[1]
    steps = sum(one.samples.num_steps for one in asked) / len(asked)
    return Given(
        torch.cat([inputs(one.samples) for one in asked]),
        score,
        "psnr_dB",
        calibration,
        samples,
        "frame",
        f"{len(calibration)} samples of {len(others)} training views",
        around=lambda shapes: in_frame(shapes, samples / rays, steps / rays),
        pictures=pictures,
    )
