"""The contract of posed photographs: cameras, their pictures, which of them train, and where the scene lies."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ohmfield.signals.cameras import Cameras
from ohmfield.signals.quality import SSIM_WINDOW, ssim
from ohmfield.spec import InputError

FOREGROUND = 127  # alpha above which a pixel shows the object


@dataclass(frozen=True, eq=False)
class Views:
    """Photographs with poses.

    The scene's box is the cube of half side `half` around `centre`, in the units of the poses: fields see it as
    [0, 1]^3. `unbounded` scenes go on outside of it. Pictures are read when they are asked for.
    """

    cameras: Cameras
    read: Callable[[int], UInt8[np.ndarray, "height width 4"]] = field(repr=False)  # straight alpha, 255 opaque
    splits: Mapping[str, tuple[int, ...]]  # numbers of the views in "train", "val", "test"
    centre: tuple[float, float, float]
    half: float
    name: str
    has_alpha: bool
    unbounded: bool = False
    near: float = 0.0  # nothing is seen closer to a camera than this, in units of the poses
    points: Float[Tensor, "num_points 3"] | None = field(default=None, repr=False)  # what the photographs agree on
    point_colours: UInt8[Tensor, "num_points 3"] | None = field(default=None, repr=False)
    source: str = ""
    skipped: tuple[str, ...] = ()  # what the folder names and was left out, and why
    known: dict[int, Tensor] = field(default_factory=dict, repr=False)  # pictures that were read

    def __len__(self) -> int:
        return len(self.cameras)

    @property
    def background(self) -> float:
        """Grey behind what is transparent: white where pictures have alpha, else nothing is to be seen through."""
        return 1.0 if self.has_alpha else 0.0

    def split(self, name: str) -> tuple[int, ...]:
        """Numbers of the views in a split; `InputError` where it has none."""
        if not self.splits.get(name):
            held = ", ".join(f"{key} ({len(views)})" for key, views in self.splits.items() if views)
            raise InputError(f"{self.name}: has no {name} views; it has {held}")
        return self.splits[name]

    def picture(self, view: int) -> UInt8[Tensor, "height width 4"]:
        """Red, green, blue and alpha of a view, alpha straight."""
        if view not in self.known:
            self.known[view] = torch.from_numpy(np.ascontiguousarray(self.read(view)))
        return self.known[view]

    def colour(self, view: int, background: float = 1.0) -> Float[Tensor, "height width 3"]:
        """A view in [0, 1], over a grey background where it is transparent."""
        values = self.picture(view).float() / 255.0
        alpha = values[..., 3:]
        return values[..., :3] * alpha + (1.0 - alpha) * background

    def score(self, view: int, made: Float[Tensor, "height width 3"], background: float = 1.0) -> dict[str, float]:
        """`psnr_dB` and `ssim` of a picture of that view, and `foreground_psnr_dB` where it shows the object."""
        wanted, made = self.colour(view, background), made.detach().clamp(0.0, 1.0)
        error = (wanted - made).double().square().mean(-1)
        scores = {"psnr_dB": _dB(error)}
        if self.has_alpha:
            scores["foreground_psnr_dB"] = _dB(error[self.picture(view)[..., 3] > FOREGROUND])
        if min(error.shape) >= SSIM_WINDOW:
            scores["ssim"] = ssim(made, wanted)
        return scores

    def describe(self) -> dict[str, object]:
        """Plain data that identifies the views: sizes, splits, and a digest of cameras and pictures."""
        digest, cameras = hashlib.blake2b(digest_size=16), self.cameras
        for values in (cameras.poses, cameras.focals, cameras.centres, cameras.lenses):
            if values is not None:
                digest.update(values.cpu().numpy().tobytes())
        for view in range(len(self)):
            digest.update(self.picture(view).numpy().tobytes())
        return {
            "name": self.name,
            "shape": [len(self), self.cameras.height, self.cameras.width],
            "splits": {name: list(views) for name, views in self.splits.items()},
            "centre": list(self.centre),
            "half": self.half,
            "unbounded": self.unbounded,
            "near": self.near,
            "source": self.source,
            "digest": digest.hexdigest(),
        }


def _dB(error: Tensor) -> float:
    mean = float(error.mean()) if error.numel() else 0.0
    return -10.0 * math.log10(mean) if mean > 0.0 else math.inf
