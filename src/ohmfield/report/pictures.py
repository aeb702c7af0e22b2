"""Pictures for people: pixels as PNG, error maps on one scale, and the crops worth a closer look."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

Picture = Float[np.ndarray, "height width channels"]

ERROR_COLORMAP = "magma"  # even in lightness, also for the colour-blind and in print
LOSSLESS_PIXELS = 4_000_000  # pixels of all pictures of a page together, beyond which it shows smaller copies


@dataclass(frozen=True)
class Crop:
    """A square of pixels: its corner, its side, and why it was chosen."""

    top: int
    left: int
    side: int
    reason: str

    def of(self, picture: np.ndarray) -> np.ndarray:
        """The square cut out of a picture."""
        return picture[self.top : self.top + self.side, self.left : self.left + self.side]


def to_bytes(picture: Picture, peak: float = 1.0) -> UInt8[np.ndarray, "height width channels"]:
    """8-bit pixels of values in [0, peak]."""
    return np.floor(np.clip(picture / peak, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def to_image(picture: Picture, peak: float = 1.0) -> Image.Image:
    """A grey (1), RGB (3) or RGBA (4 channels) image; with 2 channels the first is shown."""
    pixels = to_bytes(picture, peak)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] < 3 else pixels[..., :4])


def error_levels(picture: Picture, truth: Picture, peak: float = 1.0) -> Float[np.ndarray, "height width"]:
    """Root mean square error of each pixel over its channels, in 8-bit levels (255 is the whole range)."""
    difference = (np.clip(picture, 0, peak) - truth) * (255.0 / peak)
    return np.sqrt(np.mean(np.square(difference), axis=2))


def error_limit(maps: Sequence[np.ndarray]) -> float:
    """Top of a shared error scale: the 99.5th percentile of the worst map, rounded up to 1, 2, 4 ... 255 levels."""
    worst = max((float(np.percentile(levels, 99.5)) for levels in maps), default=1.0)
    return float(min(255.0, 2.0 ** max(0, int(np.ceil(np.log2(max(worst, 1e-9)))))))


def error_shade(levels: np.ndarray, limit: float) -> np.ndarray:
    """Place of an error on the colour scale, 0 to 1: `log(1 + e) / log(1 + limit)`, so that one level shows as well."""
    return np.clip(np.log1p(levels) / np.log1p(limit), 0.0, 1.0)


def error_image(levels: Float[np.ndarray, "height width"], limit: float) -> Image.Image:
    """An error map in `ERROR_COLORMAP`; black is no error, the brightest colour is `limit` levels or more."""
    image = Image.fromarray(np.floor(error_shade(levels, limit) * 255.0 + 0.5).astype(np.uint8))
    image.putpalette([channel for color in colormap() for channel in color])
    return image


def colormap() -> list[tuple[int, int, int]]:
    """The 256 colours of an error map."""
    table = matplotlib.colormaps[ERROR_COLORMAP](np.arange(256), bytes=True)
    return [(int(r), int(g), int(b)) for r, g, b, _ in table]


def choose_crops(truth: Picture, worst: Float[np.ndarray, "height width"]) -> list[Crop]:
    """Up to three squares to look at closely: the finest detail, the largest error, and the smoothest area.

    `worst` is the error of the worst chip. Squares do not overlap; pictures under 32 pixels have none.
    """
    height, width = worst.shape
    side = min(96, max(16, min(height, width) // 6))
    if min(height, width) < 2 * side:
        return []
    grey = truth.mean(axis=2)
    detail = np.hypot(*np.gradient(grey))
    crops: list[Crop] = []
    taken = np.zeros((height, width), dtype=bool)
    for score, reason in ((worst, "largest error"), (detail, "finest detail"), (-detail, "smoothest area")):
        corner = _best_window(score, taken, side)
        if corner is None:
            break
        crops.append(Crop(*corner, side, reason))
        taken[corner[0] : corner[0] + side, corner[1] : corner[1] + side] = True
    return crops


def _best_window(score: np.ndarray, taken: np.ndarray, side: int) -> tuple[int, int] | None:
    """Corner of the window with the highest mean score among those, on a half-side raster, that touch nothing taken."""
    step = side // 2
    best, corner = -np.inf, None
    for top in range(0, score.shape[0] - side + 1, step):
        for left in range(0, score.shape[1] - side + 1, step):
            window = np.s_[top : top + side, left : left + side]
            mean = float(score[window].mean())
            if mean > best and not taken[window].any():
                best, corner = mean, (top, left)
    return corner


def png(image: Image.Image) -> bytes:
    """The image as an optimised PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def for_page(image: Image.Image, num_pictures: int) -> tuple[str, bool]:
    """A data URI for a page with that many pictures, and whether it shows every pixel exactly.

    Lossless while all pictures stay within `LOSSLESS_PIXELS`; beyond, a smaller WebP.
    """
    width, height = image.size
    if width * height * num_pictures <= LOSSLESS_PIXELS:
        return data_uri(png(image), "png"), True
    shrink = min(1.0, (LOSSLESS_PIXELS / (width * height * num_pictures)) ** 0.5)
    smaller = image.convert("RGBA" if image.mode == "RGBA" else "RGB")
    smaller = smaller.resize((max(1, round(width * shrink)), max(1, round(height * shrink))), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    smaller.save(buffer, "WEBP", quality=90, method=4)
    return data_uri(buffer.getvalue(), "webp"), False


def data_uri(data: bytes, kind: str) -> str:
    """`data:image/KIND;base64,...`."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
