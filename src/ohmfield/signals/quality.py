"""How close two signals are: one function per measure."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ohmfield.spec import InputError

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
SSIM_K1, SSIM_K2 = 0.01, 0.03


def psnr(prediction: Float[Tensor, "*shape"], target: Float[Tensor, "*shape"], peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB over all values; infinite when they are equal.

    >>> round(psnr(torch.zeros(4, 3), torch.full((4, 3), 0.1)), 2)
    20.0
    """
    error = float((prediction.double() - target.double()).square().mean())
    return 10.0 * math.log10(peak**2 / error) if error > 0.0 else math.inf


def ssim(
    prediction: Float[Tensor, "height width channels"],
    target: Float[Tensor, "height width channels"],
    peak: float = 1.0,
) -> float:
    """Mean structural similarity over channels and over the positions where the whole window lies inside.

    Gaussian window of 11x11, sigma 1.5, K1 = 0.01, K2 = 0.03. Raises `InputError` for images under 11x11.
    Source: Wang et al., IEEE Trans. Image Process. 13(4), 2004.

    >>> ssim(torch.ones(16, 16, 1), torch.ones(16, 16, 1))
    1.0
    """
    if min(prediction.shape[:2]) < SSIM_WINDOW:
        raise InputError(f"SSIM needs {SSIM_WINDOW}x{SSIM_WINDOW} pixels or more, got {tuple(prediction.shape[:2])}")
    x, y = (image.double().permute(2, 0, 1)[:, None] for image in (prediction, target))
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = _blur(x * x) - mean_x**2
    variance_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (SSIM_K1 * peak) ** 2, (SSIM_K2 * peak) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return float((luminance * structure).mean())


def _blur(images: Tensor) -> Tensor:
    """[C, 1, H, W] under the window, valid positions only; separable."""
    offsets = torch.arange(SSIM_WINDOW, dtype=images.dtype) - SSIM_WINDOW // 2
    window = torch.exp(-0.5 * (offsets / SSIM_SIGMA) ** 2)
    window = window / window.sum()
    rows = torch.nn.functional.conv2d(images, window.view(1, 1, -1, 1))
    return torch.nn.functional.conv2d(rows, window.view(1, 1, 1, -1))


def iou(prediction: Bool[Tensor, "*shape"], target: Bool[Tensor, "*shape"]) -> float:
    """Intersection over union of two sets of cells; 1 when both are empty.

    >>> iou(torch.tensor([True, True, False]), torch.tensor([True, False, False]))
    0.5
    """
    union = int((prediction | target).sum())
    return int((prediction & target).sum()) / union if union else 1.0


def top_k(logits: Float[Tensor, "items classes"], labels: Int[Tensor, " items"], k: int = 1) -> float:
    """Share of items whose label is among the `k` largest logits; a NaN is never among them.

    >>> top_k(torch.tensor([[1.0, 3.0, 2.0], [5.0, 0.0, 1.0]]), torch.tensor([2, 0]))
    0.5
    """
    ranked = logits.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf)
    own = ranked.gather(1, labels[:, None])
    # A tie is broken against the item: equal logits everywhere say nothing.
    ahead = (ranked >= own).sum(1) - 1
    return float((ahead < k).double().mean())
