"""Images: depth, channels and bad files."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ohmfield.signals.image import PHOTOS, image, open_signal, photo
from ohmfield.signals.png16 import CHANNELS, SIGNATURE, read_png16
from ohmfield.spec import InputError


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _filtered(rows: np.ndarray, stride: int, filters: list[int]) -> bytes:
    """PNG filters written from the specification, byte by byte."""
    out = bytearray()
    for y, kind in enumerate(filters):
        out.append(kind)
        for i in range(rows.shape[1]):
            left = int(rows[y, i - stride]) if i >= stride else 0
            up = int(rows[y - 1, i]) if y else 0
            corner = int(rows[y - 1, i - stride]) if y and i >= stride else 0
            guess = left + up - corner
            pa, pb, pc = abs(guess - left), abs(guess - up), abs(guess - corner)
            paeth = left if pa <= pb and pa <= pc else up if pb <= pc else corner
            out.append((int(rows[y, i]) - (0, left, up, (left + up) // 2, paeth)[kind]) % 256)
    return bytes(out)


def write_png16(path: Path, pixels: np.ndarray, filters: list[int]) -> None:
    height, width, samples = pixels.shape
    colour = {count: kind for kind, count in CHANNELS.items()}[samples]
    rows = pixels.astype(">u2").view(np.uint8).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    data = zlib.compress(_filtered(rows, 2 * samples, filters))
    path.write_bytes(SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b""))


@given(
    samples=st.sampled_from([1, 2, 3, 4]),
    filters=st.lists(st.integers(0, 4), min_size=1, max_size=5),
    width=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_png_of_16_bits_and_any_filter(
    tmp_path_factory, samples: int, filters: list[int], width: int, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 65536, (len(filters), width, samples), dtype=np.uint16)
    path = tmp_path_factory.getbasetemp() / "deep.png"
    write_png16(path, pixels, filters)
    assert np.array_equal(read_png16(path, 100), pixels)


def test_16_bits_survive_where_pillow_gives_8(tmp_path: Path) -> None:
    pixels = np.array([[[1, 2, 3], [257, 65535, 0]], [[4, 5, 6], [7, 8, 9]]], np.uint16)
    write_png16(tmp_path / "deep.png", pixels, [0, 1])
    tifffile.imwrite(tmp_path / "deep.tif", pixels)
    for name in ("deep.png", "deep.tif"):
        signal = image(tmp_path / name)
        assert signal.bits == 16
        assert torch.equal(signal.values, torch.from_numpy(pixels.reshape(-1, 3) / 65535).float())
    Image.fromarray(np.array([[0, 70], [300, 65535]], np.uint16)).save(tmp_path / "grey.png")
    assert (image(tmp_path / "grey.png").values * 65535).round().flatten().tolist() == [0, 70, 300, 65535]


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("L", 1), ("LA", 4), ("RGB", 3), ("RGBA", 4), ("P", 3)])
def test_channels_by_mode(tmp_path: Path, mode: str, channels: int) -> None:
    Image.new("RGB", (4, 3), (255, 255, 255)).convert(mode).save(tmp_path / "a.png")
    signal = image(tmp_path / "a.png")
    assert (signal.shape, signal.channels) == ((3, 4), channels)
    assert bool((signal.values == 1).all())


def test_cmyk_and_palette_with_transparency(tmp_path: Path) -> None:
    Image.new("CMYK", (4, 3)).save(tmp_path / "a.jpg")
    assert image(tmp_path / "a.jpg").channels == 3
    Image.new("P", (4, 3)).save(tmp_path / "b.png", transparency=0)
    assert image(tmp_path / "b.png").channels == 4


def test_coordinates_are_pixel_centres_x_first() -> None:
    signal = image(np.zeros((2, 4), np.uint8))
    assert signal.coords.tolist()[:2] == [[0.125, 0.25], [0.375, 0.25]]
    assert signal.coords.tolist()[-1] == [0.875, 0.75]


def test_size_averages_areas_of_the_centre_square() -> None:
    pixels = np.zeros((4, 8), np.float32)
    pixels[:2, 2:4] = 1.0  # top left quarter of the centre square
    assert image(pixels, size=2).values.flatten().tolist() == [1.0, 0.0, 0.0, 0.0]
    ramp = image(np.linspace(0, 1, 25, dtype=np.float32).reshape(5, 5), size=3)
    assert ramp.values.mean() == pytest.approx(0.5)  # the mean survives, also when sizes do not divide


def test_bad_files_are_one_line(tmp_path: Path) -> None:
    good = tmp_path / "good.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)).save(good)
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:700])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    Image.new("L", (1, 1)).save(tmp_path / "one.png")
    write_png16(tmp_path / "deep.png", np.zeros((30, 30, 3), np.uint16), [4] * 30)
    deep = (tmp_path / "deep.png").read_bytes()
    (tmp_path / "cut16.png").write_bytes(deep[:-20])
    (tmp_path / "flip16.png").write_bytes(deep[:60] + bytes([deep[60] ^ 1]) + deep[61:])
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((30, 30), np.uint16))
    (tmp_path / "cut.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:300])
    for name in ("cut.png", "text.png", "empty.jpg", "one.png", "cut16.png", "flip16.png", "cut.tif", "absent.png"):
        with pytest.raises(InputError) as caught:
            image(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert name.split(".")[0] in str(caught.value)


def test_png_that_claims_too_much_is_refused_before_it_is_inflated(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 16, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IEND", b""))
    with pytest.raises(InputError, match="pixels"):
        image(path)


@pytest.mark.parametrize(
    "bad", [np.zeros((3, 3, 5), np.uint8), np.full((3, 3), 1.5), np.zeros((3, 3), np.int32), np.zeros(9)]
)
def test_bad_arrays(bad: np.ndarray) -> None:
    with pytest.raises(InputError):
        image(bad)


@pytest.mark.parametrize("size", [0, 1, 513])
def test_size_is_bounded(size: int) -> None:
    with pytest.raises(InputError, match=str(size)):
        photo("astronaut", size)


def test_photographs_ship_with_a_dependency() -> None:
    sizes = {name: photo(name).shape for name in PHOTOS}
    assert sizes == {"astronaut": (512, 512), "coffee": (400, 600), "cat": (300, 451)}
    with pytest.raises(InputError, match="astronaut, coffee, cat"):
        photo("lena")


def test_a_source_is_a_photo_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cat = photo("cat", 16)
    for source in ("cat", "photo:cat"):
        assert torch.equal(open_signal(source, 16).values, cat.values)
    monkeypatch.chdir(tmp_path)
    Image.new("L", (4, 4)).save("cat", format="png")
    assert open_signal("cat").shape == (4, 4)  # a file of that name goes first
