"""Reading and scaling photographs: exact averages, straight alpha, a cache that no damage makes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ohmfield.signals.posed import pictures
from ohmfield.signals.posed.pictures import cache_folder, header, read_picture, scaled
from ohmfield.spec import InputError


def drawn(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def average(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Averages of premultiplied colours over areas, written plainly: a fine grid on which all edges lie."""
    rows, columns = pixels.shape[:2]
    values = pixels.astype(np.float64) / 255
    values[..., :3] *= values[..., 3:]
    fine = values.repeat(height, 0).repeat(width, 1)
    mean = fine.reshape(height, rows, width, columns, 4).mean((1, 3))
    mean[..., :3] /= np.maximum(mean[..., 3:], 1e-9)
    return 255 * mean


@given(
    sizes=st.tuples(st.integers(2, 12), st.integers(2, 12)),
    shares=st.tuples(st.floats(0.1, 1), st.floats(0.1, 1)),
    seed=st.integers(0, 99),
)
def test_scaling_averages_over_areas(sizes: tuple[int, int], shares: tuple[float, float], seed: int) -> None:
    height, width = (max(1, int(size * share)) for size, share in zip(sizes, shares, strict=True))
    pixels = drawn(*sizes, seed)
    made, wanted = scaled(pixels, width, height), average(pixels, width, height)
    assert np.abs(made - wanted).max() <= 0.5 + 1e-3


def test_transparent_colours_do_not_bleed() -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, ::2] = [200, 100, 50, 255]
    pixels[:, 1::2] = [0, 255, 0, 0]
    np.testing.assert_array_equal(np.unique(scaled(pixels, 4, 4).reshape(-1, 4), axis=0), [[200, 100, 50, 128]])


@pytest.mark.parametrize(
    ("mode", "colour", "wanted"),
    [
        ("RGB", (1, 2, 3), [1, 2, 3, 255]),
        ("RGBA", (1, 2, 3, 4), [1, 2, 3, 4]),
        ("L", 7, [7, 7, 7, 255]),
        ("LA", (7, 9), [7, 7, 7, 9]),
        ("1", 1, [255, 255, 255, 255]),
        ("I;16", 65535, [255, 255, 255, 255]),
        ("I;16", 32768, [128, 128, 128, 255]),
        ("P", 0, [0, 0, 0, 255]),
    ],
)
def test_every_mode_is_colour_and_alpha(tmp_path: Path, mode: str, colour: object, wanted: list[int]) -> None:
    path = tmp_path / "a.png"
    Image.new(mode, (3, 2), colour).save(path)  # type: ignore[arg-type]
    assert read_picture(path, None, (3, 2), (3, 2)).tolist() == [[wanted] * 3] * 2
    head = header(path)
    assert (head.width, head.height, head.alpha) == (3, 2, mode in ("RGBA", "LA"))


def test_rotation_tags_are_not_applied(tmp_path: Path) -> None:
    picture = Image.new("RGB", (4, 2))
    tags = picture.getexif()
    tags[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=tags)
    assert read_picture(tmp_path / "a.jpg", None, (4, 2), (4, 2)).shape == (2, 4, 4)


def test_more_pixels_than_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[read_picture.__module__], "MAX_PIXELS", 11)
    with pytest.raises(InputError, match="4 x 3 pixels, at most 11"):
        header(save(tmp_path / "a.png", drawn(3, 4)))


# ---- the cache -------------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("OHMFIELD_CACHE", str(folder))
    return folder / "pictures"


def small(image: Path, mask: Path | None = None, size: tuple[int, int] = (4, 4)) -> np.ndarray:
    return read_picture(image, mask, (8, 8), size)


def test_what_is_kept_is_what_was_made(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    image = save(photos / "a.png", drawn(8, 8))
    first = small(image)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(sys.modules[read_picture.__module__], "_pixels", None)  # nothing is decoded again
    np.testing.assert_array_equal(small(image), first)
    assert [path.name for path in photos.iterdir()] == ["a.png"]  # the user's folder stays as it was


def test_another_photograph_mask_cut_or_size_is_another_entry(tmp_path: Path, cache: Path) -> None:
    image, mask = save(tmp_path / "a.png", drawn(8, 8)), save(tmp_path / "m.png", drawn(8, 8, 1))
    small(image)
    assert not np.array_equal(small(image, mask), small(image))
    small(image, size=(2, 2))
    read_picture(image, None, (8, 7), (4, 4))
    assert len(list(cache.iterdir())) == 4
    save(image, drawn(8, 8, 5))
    os.utime(image, ns=(1, 1))  # a clock too coarse to tell would be no excuse
    np.testing.assert_array_equal(small(image), scaled(drawn(8, 8, 5), 4, 4))


def test_the_full_size_is_not_kept(tmp_path: Path, cache: Path) -> None:
    read_picture(save(tmp_path / "a.png", drawn(8, 8)), None, (8, 8), (8, 8))
    assert not cache.exists()


@pytest.mark.parametrize("damage", [b"", b"no picture", None])
def test_a_damaged_entry_is_made_again(tmp_path: Path, cache: Path, damage: bytes | None) -> None:
    image = save(tmp_path / "a.png", drawn(8, 8))
    first = small(image)
    (entry,) = cache.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    np.testing.assert_array_equal(small(image), first)
    assert entry.read_bytes() == whole


def test_without_a_place_to_keep_them_pictures_are_still_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = save(tmp_path / "a.png", drawn(8, 8))
    first = small(image)
    (tmp_path / "file").write_text("in the way")
    for place in (str(tmp_path / "file"), ""):
        monkeypatch.setenv("OHMFIELD_CACHE", place)
        np.testing.assert_array_equal(small(image), first)


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OHMFIELD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/ohmfield")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/someone")
    assert cache_folder() == Path("/someone/.cache/ohmfield")


def test_the_cache_stays_small_and_clears_what_a_kill_left(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir(parents=True)
    left = cache / ".dead.part"
    left.write_bytes(b"x" * 5000)
    os.utime(left, ns=(1, 1))
    monkeypatch.setattr(sys.modules[read_picture.__module__], "MAX_CACHE_BYTES", 1000)
    for number in range(20):
        small(save(tmp_path / f"{number}.png", drawn(8, 8, number)))
    kept = list(cache.iterdir())
    assert left not in kept
    assert 1 <= len(kept) < 20
    assert sum(path.stat().st_size for path in kept) <= 1000


def test_a_killed_writer_leaves_no_half_entry(tmp_path: Path, cache: Path) -> None:
    image = save(tmp_path / "a.png", drawn(8, 8))
    code = (
        "import os, signal, sys; from pathlib import Path; from ohmfield.signals.posed.pictures import read_picture;"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
        f"read_picture(Path({str(image)!r}), None, (8, 8), (4, 4))"
    )
    source = str(Path(pictures.__file__).parents[3])
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": source}, check=False)
    assert done.returncode != 0
    assert not list(cache.glob("*.png"))
    np.testing.assert_array_equal(small(image), scaled(drawn(8, 8), 4, 4))
