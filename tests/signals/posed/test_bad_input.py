"""What is no scene is refused in one line that names the file, the value and the next step."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import posed_files as files
from ohmfield.signals.posed import posed, still_life
from ohmfield.signals.views import Views
from ohmfield.spec import InputError

SIDE, NUM = 16, 10
MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0]).tolist()


@pytest.fixture(scope="module")
def views() -> Views:
    return still_life(SIDE, NUM)


def refused(folder: Path, *words: str, **how: Any) -> None:
    with pytest.raises(InputError) as caught:
        posed(folder, **how)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"transform_matrix": [[math.nan] * 4] * 4}, ["images/002.png", "NaN", "remove this photograph"]),
        ({"transform_matrix": [[math.inf] * 4] * 4}, ["images/002.png", "infinity"]),
        ({"transform_matrix": [[1, 0, 0, 1e300], [0, 1, 0, 0], [0, 0, 1, 0]]}, ["1e+300 from the origin", "offset"]),
        ({"fl_x": 1e8, "w": 4e6, "h": 4e6}, ["4000000 x 4000000 pixels"]),
        ({"transform_matrix": MIRROR}, ["images/002.png", "left-handed", "flip"]),
        ({"transform_matrix": (2 * np.eye(4)[:3]).tolist()}, ["off orthonormal", "scale"]),
        ({"transform_matrix": np.eye(4)[:, ::-1].T.tolist()}, ["images/002.png"]),
        ({"transform_matrix": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [3, 4, 5, 1]]}, ["transposed"]),
        ({"transform_matrix": [[1, 2], [3, 4]]}, ["shape [2, 2]", "4 rows of 4"]),
        ({"transform_matrix": [[1, 2], [3]]}, ["no matrix of numbers"]),
        ({"transform_matrix": "up"}, ["no matrix of numbers"]),
        ({"transform_matrix": None}, ["transforms.json: images/002.png"]),
        ({"transform_matrix": {"a": 1}}, ["no matrix of numbers"]),
        ({"transform_matrix": [[10**400] * 4] * 4}, ["no matrix of numbers"]),
        ({"file_path": "../../etc/passwd"}, ["'../../etc/passwd' leaves the folder"]),
        ({"file_path": "images/../../x.png"}, ["leaves the folder"]),
        ({"file_path": "/etc/passwd"}, ["leaves the folder"]),
        ({"file_path": "..\\x.png"}, ["leaves the folder"]),
        ({"file_path": "C:\\x.png"}, ["leaves the folder"]),
        ({"file_path": "."}, ["leaves the folder"]),
        ({"file_path": 7}, ["'7' is no file name"]),
        ({"file_path": None}, ["is no file name"]),
        ({"file_path": "a\0b"}, ["is no file name"]),
        ({"mask_path": "../mask.png"}, ["mask_path", "leaves the folder"]),
        ({"fl_x": 0}, ["focal length 0", "at least 0.01 pixels"]),
        ({"fl_x": -3.5}, ["focal length -3.5"]),
        ({"fl_y": math.nan}, ["fl_y", "give a number"]),
        ({"fl_x": "long"}, ["fl_x 'long'", "give a number"]),
        ({"fl_x": True}, ["fl_x 'True'"]),
        ({"fl_x": 10**400}, ["fl_x"]),
        ({"fl_x": None, "fl_y": None}, ["neither fl_x nor camera_angle_x"]),
        ({"fl_x": None, "fl_y": None, "camera_angle_x": 4.0}, ["camera_angle_x 4", "between 0 and pi"]),
        ({"fl_x": None, "fl_y": None, "camera_angle_x": 0}, ["camera_angle_x 0"]),
        ({"w": 0}, ["0 x 16 pixels"]),
        ({"w": 32}, ["images/002.png", "its lens is written for 32 x 16"]),
        ({"k1": -3.0}, ["images/002.png", "folds within the picture", "undistort"]),
        ({"k4": 0.1}, ["k4 belongs to a fisheye"]),
        ({"is_fisheye": True}, ["fisheye and other lenses are mixed"]),
        ({"is_fisheye": True, "k1": -9.0}, ["fisheye and other lenses are mixed"]),
        ({"camera_model": "EQUIRECTANGULAR"}, ["EQUIRECTANGULAR is not read", "OPENCV_FISHEYE"]),
    ],
)
def test_frames(tmp_path: Path, views: Views, change: dict, words: list[str]) -> None:
    frames = files.frames_of(views)
    frames[2] |= change
    files.write_ngp(views, tmp_path, frames=frames)
    refused(tmp_path, *words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frames": {}}, ["no list of frames"]),
        ({"frames": []}, ["names no photograph"]),
        ({"frames": [3]}, ["frame 0 is no object"]),
        ({"aabb_scale": -1}, ["aabb_scale -1", "above 0"]),
        ({"aabb_scale": "big"}, ["aabb_scale 'big'"]),
        ({"aabb_scale": 1, "scale": 0}, ["scale 0"]),
        ({"aabb_scale": 1, "offset": [1]}, ["offset [1]", "three numbers"]),
        ({"aabb_scale": 1, "offset": [1, "x", 2]}, ["offset 'x'"]),
        ({"train_filenames": "images/000.png"}, ["train_filenames is no list"]),
        ({"train_filenames": [{}]}, ["train_filenames is no list"]),
        ({"train_filenames": ["other.png"]}, ["none of the lists", "none of the 10 photographs"]),
        ({"test_filenames": [f"images/{n:03d}.png" for n in range(NUM)]}, ["none of them to learn from"]),
        ({"is_fisheye": True, "k1": -9.0}, ["folds within the picture"]),
    ],
)
def test_files(tmp_path: Path, views: Views, change: dict, words: list[str]) -> None:
    files.write_ngp(views, tmp_path, **change)
    refused(tmp_path, *words)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "[" * 100_000, '{"frames": [' + "9" * 5000 + "]}", b"\xff\xfe{\xd8"]
)
def test_text_that_is_no_scene(tmp_path: Path, text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "transforms.json").write_bytes(data)
    refused(tmp_path, "transforms.json")


def test_folders_that_are_none(tmp_path: Path, views: Views) -> None:
    refused(tmp_path / "lost", "no such folder")
    refused(tmp_path, "no poses found", "transforms_train.json", "poses_bounds.npy", "cameras.bin")
    refused(tmp_path, "layout 'x'", "known layouts: blender, transforms, llff, colmap", layout="x")
    refused(tmp_path, "no COLMAP model", layout="colmap")
    refused(tmp_path, "transforms.json", "cannot be read", layout="transforms")
    refused(tmp_path, "names no photograph", layout="blender")
    refused(tmp_path, "poses_bounds.npy", "cannot be read", layout="llff")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"side": 17}, ["side 17", "2 to 16"]),
        ({"side": 1}, ["side 1"]),
        ({"downscale": 0.5}, ["downscale 0.5", "1 to 8"]),
        ({"downscale": math.nan}, ["downscale nan"]),
        ({"side": 8, "downscale": 2.0}, ["give one of them"]),
        ({"test_every": 1}, ["test_every 1", "2 or more"]),
        ({"test_every": -8}, ["test_every -8"]),
    ],
)
def test_arguments(tmp_path: Path, views: Views, how: dict, words: list[str]) -> None:
    files.write_ngp(views, tmp_path)
    refused(tmp_path, *words, **how)


def test_missing_pictures(tmp_path: Path, views: Views) -> None:
    files.write_ngp(views, tmp_path)
    for path in (tmp_path / "images").iterdir():
        path.unlink()
    refused(tmp_path, "images/000.png: no such picture", "none of the 10 photographs is left")


def test_one_picture(tmp_path: Path, views: Views) -> None:
    files.write_ngp(views, tmp_path, frames=files.frames_of(views)[:1])
    refused(tmp_path, "1 photograph,", "two or more")
    assert len(posed(tmp_path, test_every=0)) == 1


def test_pictures_of_mixed_sizes(tmp_path: Path, views: Views) -> None:
    files.write_ngp(views, tmp_path, w=None, h=None)
    Image.new("RGB", (8, 16)).save(tmp_path / "images" / "004.png")
    refused(tmp_path, "mixed sizes", "000.png has 16 x 16", "004.png has 8 x 16")


def test_pictures_that_show_nothing(tmp_path: Path, views: Views) -> None:
    files.write_ngp(views, tmp_path)
    for name in files.names_of(views)[1:]:
        Image.new("RGBA", (SIDE, SIDE)).save(tmp_path / "images" / name)
    assert len(posed(tmp_path)) == NUM  # one shows something
    Image.new("RGBA", (SIDE, SIDE)).save(tmp_path / "images" / "000.png")
    refused(tmp_path, "all 10 pictures are transparent")


def damage(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize("change", [lambda data: data[:40], lambda data: b"", lambda data: b"GIF89a" + data[6:]])
def test_pictures_that_are_damaged(tmp_path: Path, views: Views, change: Callable[[bytes], bytes]) -> None:
    files.write_ngp(views, tmp_path)
    damage(change)(tmp_path / "images" / "001.png")
    with pytest.raises(InputError, match=r"001\.png: cannot be read as an image") as caught:
        posed(tmp_path).picture(1)
    assert "\n" not in str(caught.value)


def test_a_picture_that_ends_early_is_refused_when_it_is_read(tmp_path: Path, views: Views) -> None:
    files.write_ngp(views, tmp_path)
    damage(lambda data: data[: len(data) // 2])(tmp_path / "images" / "001.png")
    made = posed(tmp_path)
    made.picture(0)
    with pytest.raises(InputError, match=r"001\.png: cannot be read as an image"):
        made.picture(1)


def test_a_picture_that_vanishes_or_shrinks(tmp_path: Path, views: Views) -> None:
    files.write_ngp(views, tmp_path)
    made = posed(tmp_path)
    (tmp_path / "images" / "001.png").unlink()
    with pytest.raises(InputError, match="no such file"):
        made.picture(1)
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "002.png")
    with pytest.raises(InputError, match="has changed"):
        made.picture(2)


def test_a_mask_of_another_size(tmp_path: Path, views: Views) -> None:
    files.write_llff(views, tmp_path)
    (tmp_path / "masks").mkdir()
    Image.new("1", (SIDE, 2 * SIDE)).save(tmp_path / "masks" / "000.png")
    refused(tmp_path, "masks/000.png: 16 x 32 pixels", "000.png has 16 x 16", "same size")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[:-1], ["9 poses", "10 photographs"]),
        (lambda rows: rows[:, :16], ["(10, 16)", "[photographs, 17]"]),
        (lambda rows: rows[0], ["(17,)"]),
        (lambda rows: rows.astype(np.int64), ["int64"]),
        (lambda rows: np.array([{"a": 1}]), ["poses_bounds.npy"]),
        (lambda rows: np.where(np.arange(17) == 15, -1.0, rows), ["row 0 (000.png)", "0 < near < far"]),
        (lambda rows: np.where(np.arange(17) == 16, np.nan, rows), ["row 0", "not finite"]),
        (lambda rows: np.where(np.arange(17) == 14, 0.0, rows), ["focal length 0"]),
        (lambda rows: np.where(np.arange(17) == 4, 0.0, rows), ["16 x 0 pixels"]),
        (lambda rows: np.where(np.arange(17) % 5 == 0, -rows, rows), ["left-handed"]),
    ],
)
def test_llff(tmp_path: Path, views: Views, change: Callable[[np.ndarray], np.ndarray], words: list[str]) -> None:
    files.write_llff(views, tmp_path)
    path = tmp_path / "poses_bounds.npy"
    np.save(path, change(np.load(path)), allow_pickle=True)
    refused(tmp_path, *words)


@pytest.mark.parametrize("length", [0, 5, 11, 60, 127, 200, 1000])
def test_llff_cut_short(tmp_path: Path, views: Views, length: int) -> None:
    files.write_llff(views, tmp_path)
    damage(lambda data: data[:length])(tmp_path / "poses_bounds.npy")
    refused(tmp_path, "poses_bounds.npy")


def test_llff_that_announces_more_than_it_has(tmp_path: Path, views: Views) -> None:
    files.write_llff(views, tmp_path)
    damage(lambda data: data.replace(b"(10, 17)", b"(99, 17)"))(tmp_path / "poses_bounds.npy")
    refused(tmp_path, "announces")


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "text"])
@pytest.mark.parametrize(
    ("model", "words"),
    [
        ((6, "FULL_OPENCV", [20.0, 20.0, 8.0, 8.0, *[0.0] * 8]), ["FULL_OPENCV is not read", "image_undistorter"]),
        ((7, "FOV", [20.0, 20.0, 8.0, 8.0, 0.1]), ["FOV is not read"]),
        ((0, "SIMPLE_PINHOLE", [0.0, 8.0, 8.0]), ["focal length 0"]),
        ((0, "SIMPLE_PINHOLE", [math.nan, 8.0, 8.0]), ["not finite"]),
        ((2, "SIMPLE_RADIAL", [20.0, 8.0, 8.0, -9.0]), ["folds within the picture"]),
    ],
)
def test_colmap_cameras(tmp_path: Path, views: Views, binary: bool, model: Any, words: list[str]) -> None:
    files.write_colmap(views, tmp_path, binary, model)
    refused(tmp_path, *words)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("005.png", "../../005.png", ["leaves the folder"]),
        (" 7 005.png", " 8 005.png", ["camera 8 is not in cameras.txt"]),
        (" 7 005.png", "", ["words, expected IMAGE_ID"]),
        ("1.5 2.5 -1 3.0 4.0 17", "1.5 2.5", ["2 values"]),
        ("1.5 2.5 -1 3.0 4.0 17", "a b c", ["expected numbers"]),
        (" 7 005.png", " x 005.png", ["'x' is no whole number"]),
    ],
)
def test_colmap_text(tmp_path: Path, views: Views, old: str, new: str, words: list[str]) -> None:
    files.write_colmap(views, tmp_path, binary=False)
    path = tmp_path / "sparse" / "0" / "images.txt"
    path.write_text(path.read_text().replace(old, new))
    refused(tmp_path, "images.txt", *words)


@pytest.mark.parametrize("turn", ["0 0 0 0", "nan 0 0 1"])
def test_colmap_quaternions(tmp_path: Path, views: Views, turn: str) -> None:
    files.write_colmap(views, tmp_path, binary=False)
    path = tmp_path / "sparse" / "0" / "images.txt"
    lines = path.read_text().splitlines()
    lines[1] = " ".join([lines[1].split()[0], turn, *lines[1].split()[5:]])
    path.write_text("\n".join(lines))
    refused(tmp_path, "000.png", "no rotation")


def test_colmap_without_photographs(tmp_path: Path, views: Views) -> None:
    files.write_colmap(views, tmp_path, binary=True)
    (tmp_path / "images").rename(tmp_path / "photos")
    refused(tmp_path, "no folder images")
    refused(tmp_path, "no such folder of photographs", images="pictures")
    refused(tmp_path, "leaves the folder", images="../photos")
    assert len(posed(tmp_path, images="photos")) == NUM


@given(
    key=st.sampled_from(
        ["transform_matrix", "file_path", "mask_path", "fl_x", "cx", "w", "k1", "p2", "camera_angle_x"]
    ),
    value=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    everywhere=st.booleans(),
)
def test_any_value_is_read_or_refused(tmp_path: Path, views: Views, key: str, value: Any, everywhere: bool) -> None:
    frames = files.frames_of(views)
    frames[2] |= {} if everywhere else {key: value}
    more = {key: value, "is_fisheye": True} if everywhere else {}
    files.write_ngp(views, tmp_path, frames=frames, **more)
    try:
        made = posed(tmp_path)
    except InputError as error:
        told = str(error)
    else:
        told = ""
        assert torch.isfinite(made.cameras.all_rays(2)[1]).all()
    assert "\n" not in told


@given(
    name=st.sampled_from(["cameras.bin", "images.bin", "points3D.bin"]),
    at=st.floats(0, 1),
    piece=st.binary(max_size=9),
)
def test_a_changed_model_is_read_or_refused(tmp_path: Path, views: Views, name: str, at: float, piece: bytes) -> None:
    folder = tmp_path / "scene"
    if not folder.exists():
        files.write_colmap(views, folder, binary=True)
    path = folder / "sparse" / "0" / name
    whole = path.read_bytes()
    begin = int(at * len(whole))
    path.write_bytes(whole[:begin] + piece + whole[begin + len(piece) :])
    try:
        made = posed(folder)
    except InputError as error:
        told = str(error)
    else:
        told = ""
        assert torch.isfinite(made.cameras.poses).all()
        assert made.half > 0
    path.write_bytes(whole)
    assert "\n" not in told


def test_a_message_stays_one_line_whatever_the_file_says(tmp_path: Path, views: Views) -> None:
    frames = files.frames_of(views)
    frames[0]["file_path"] = "a\nb" * 900
    (tmp_path / "transforms.json").write_text(json.dumps({"frames": frames}))
    refused(tmp_path)
