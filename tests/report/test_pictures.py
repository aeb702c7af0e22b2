"""Error maps against closed forms; crops inside the picture and apart; pictures on the page pixel by pixel."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ohmfield.report import pictures


def test_error_is_the_rms_over_channels_in_levels() -> None:
    truth = np.zeros((2, 2, 3))
    picture = np.zeros((2, 2, 3))
    picture[0, 0] = (3 / 255, 0, 0)
    picture[1, 1] = (2 / 255, 2 / 255, 2 / 255)
    assert pictures.error_levels(picture, truth) == pytest.approx(np.array([[np.sqrt(3.0), 0], [0, 2]]))


def test_values_outside_the_range_count_as_clipped() -> None:
    truth = np.ones((1, 1, 1))
    assert pictures.error_levels(np.full((1, 1, 1), 7.0), truth) == 0.0


def test_limit_is_a_power_of_two_that_covers_the_map() -> None:
    assert pictures.error_limit([np.full((4, 4), 5.0), np.full((4, 4), 3.0)]) == 8.0
    assert pictures.error_limit([np.zeros((4, 4))]) == 1.0


def test_scale_is_logarithmic() -> None:
    assert pictures.error_shade(np.array([0.0, 1.0, 3.0, 15.0, 99.0]), 15.0) == pytest.approx([0, 0.25, 0.5, 1, 1])


def test_error_image_goes_from_black_to_the_brightest_colour() -> None:
    image = pictures.error_image(np.array([[0.0, 8.0, 99.0]]), 8.0).convert("RGB")
    assert [image.getpixel((x, 0)) for x in range(3)] == [pictures.colormap()[i] for i in (0, 255, 255)]


@given(st.integers(24, 90), st.integers(24, 90), st.integers(0, 99))
def test_crops_lie_inside_and_apart(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, error = rng.random((height, width, 3)), rng.random((height, width))
    seen = np.zeros((height, width), dtype=int)
    for crop in pictures.choose_crops(truth, error):
        assert crop.of(truth).shape == (crop.side, crop.side, 3)
        crop.of(seen)[...] += 1
    assert seen.max() <= 1


def test_the_first_crop_is_where_the_error_is() -> None:
    error = np.zeros((96, 96))
    error[60:70, 20:30] = 1.0
    crop = pictures.choose_crops(np.zeros((96, 96, 1)), error)[0]
    assert crop.reason == "largest error"
    assert crop.of(error).sum() > 50


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_pictures_on_the_page_are_exact(channels: int, mode: str) -> None:
    values = np.random.default_rng(0).random((9, 7, channels))
    image = pictures.to_image(values)
    assert image.mode == mode
    uri, exact = pictures.for_page(image, 5)
    back = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert exact
    assert np.array_equal(np.asarray(back).reshape(9, 7, channels), pictures.to_bytes(values))


def test_many_large_pictures_are_shown_smaller() -> None:
    uri, exact = pictures.for_page(Image.new("RGB", (2000, 1000)), 8)
    back = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert not exact
    assert back.width * back.height * 8 <= pictures.LOSSLESS_PIXELS * 1.01
    assert back.width == pytest.approx(2 * back.height, abs=2)
