"""PSNR and SSIM against closed forms and against scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ohmfield.numerics import Noise
from ohmfield.signals.image import image, photo
from ohmfield.signals.quality import psnr, ssim
from ohmfield.signals.synthetic import shapes, zone_plate
from ohmfield.spec import InputError


def test_psnr_of_a_constant_error() -> None:
    target = torch.full((5, 5, 3), 0.5)
    assert psnr(target + 0.01, target) == pytest.approx(40.0, abs=1e-4)
    assert psnr(target * 255 + 2.55, target * 255, peak=255) == pytest.approx(40.0, abs=1e-3)
    assert psnr(target, target) == math.inf


def test_both_agree_with_scikit_image() -> None:
    signal = photo("cat", 48)
    noisy = (signal.as_image() + 0.05 * Noise(0).normal((48, 48, 3))).clamp(0, 1)
    x, y = noisy.double().numpy(), signal.as_image().double().numpy()
    assert psnr(noisy, signal.as_image()) == pytest.approx(peak_signal_noise_ratio(y, x, data_range=1.0), abs=1e-9)
    theirs = structural_similarity(
        y, x, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0, channel_axis=-1
    )
    assert ssim(noisy, signal.as_image()) == pytest.approx(theirs, abs=1e-6)


def test_score_clips_and_leaves_out_what_it_cannot_measure() -> None:
    signal = image(np.ones((4, 4), np.float32))
    assert signal.score(signal.values + 5) == {"psnr_dB": math.inf}
    with pytest.raises(InputError, match="11x11"):
        ssim(signal.as_image(), signal.as_image())


def test_synthetic_signals_fill_the_range() -> None:
    for signal in (shapes(32), zone_plate(64)):
        assert 0.0 <= float(signal.values.min()) < 0.05
        assert 0.95 < float(signal.values.max()) <= 1.0
        assert torch.equal(signal.as_image().reshape(-1, signal.channels), signal.values)
