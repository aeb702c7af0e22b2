"""The contract of sampled signals: coordinates and the values there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ohmfield.signals.quality import SSIM_WINDOW, psnr, ssim


@dataclass(frozen=True)
class Points:
    """A signal as samples: `coords` [N, D] in [0, 1]^D and `values` [N, C], both float32, on a grid of `shape`.

    An image has shape (height, width), coords (x, y) at pixel centres ((i + 0.5) / width, (j + 0.5) / height), rows
    from the top. `peak` is the largest value the signal can take, `bits` the depth of its source (32 for float).
    `source` is the file or photo it came from, empty for an array.
    """

    coords: Float[Tensor, "num_points dim"]
    values: Float[Tensor, "num_points channels"]
    shape: tuple[int, ...]
    name: str
    peak: float = 1.0
    bits: int = 8
    source: str = ""

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return self.coords.shape[1]

    @property
    def channels(self) -> int:
        """Number of values at a point."""
        return self.values.shape[1]

    def __len__(self) -> int:
        return len(self.coords)

    def score(self, prediction: Float[Tensor, "num_points channels"]) -> dict[str, float]:
        """`psnr_dB`, and `ssim` of an image of 11x11 pixels or more; predictions are clipped to [0, peak] first."""
        clipped = prediction.detach().clamp(0.0, self.peak)
        scores = {"psnr_dB": self.psnr_dB(prediction)}
        if len(self.shape) == 2 and min(self.shape) >= SSIM_WINDOW:
            scores["ssim"] = ssim(self.as_image(clipped), self.as_image(self.values), self.peak)
        return scores

    def psnr_dB(self, prediction: Float[Tensor, "num_points channels"]) -> float:
        """The score of that name alone: of an image, a tenth of the time of all."""
        return psnr(prediction.detach().clamp(0.0, self.peak), self.values, self.peak)

    def as_image(self, values: Float[Tensor, "num_points channels"] | None = None) -> Float[Tensor, "*shape channels"]:
        """`values` (the signal's own by default) on the grid, [height, width, C], clipped to [0, peak]."""
        values = self.values if values is None else values
        return values.detach().clamp(0.0, self.peak).reshape(*self.shape, values.shape[1])

    def describe(self) -> dict[str, object]:
        """Plain data that identifies the signal: name, sizes and a digest of the values."""
        digest = hashlib.blake2b(self.values.contiguous().numpy().tobytes(), digest_size=16).hexdigest()
        return {
            "name": self.name,
            "shape": list(self.shape),
            "channels": self.channels,
            "peak": self.peak,
            "bits": self.bits,
            "source": self.source,
            "digest": digest,
        }


def from_image(values: Float[Tensor, "height width channels"], name: str, bits: int) -> Points:
    """The `Points` of an image with values in [0, 1].

    >>> from_image(torch.zeros(2, 4, 3), "black", 8).coords[1]
    tensor([0.3750, 0.2500])
    """
    height, width, channels = values.shape
    x = (torch.arange(width, dtype=torch.float32) + 0.5) / width
    y = (torch.arange(height, dtype=torch.float32) + 0.5) / height
    coords = torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=1)
    return Points(coords, values.reshape(-1, channels).contiguous(), (height, width), name, bits=bits)
