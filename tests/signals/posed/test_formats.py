"""Every format gives back the cameras, pictures and splits that were written."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import posed_files as files
from ohmfield.signals.posed import FORMATS, posed, still_life
from ohmfield.signals.views import Views

NUM, SIDE = 10, 16
EVERY_EIGHTH = {"train": (1, 2, 3, 4, 5, 6, 7, 9), "val": (), "test": (0, 8)}


@pytest.fixture(scope="module")
def views() -> Views:
    return still_life(SIDE, NUM)


def check_cameras(made: Views, wanted: Views, order: list[int] | None = None) -> None:
    order = list(range(len(wanted))) if order is None else order
    for view, other in enumerate(order):
        for one, two in zip(made.cameras.all_rays(view), wanted.cameras.all_rays(other), strict=True):
            torch.testing.assert_close(one, two, atol=2e-5, rtol=1e-5)
        assert torch.equal(made.picture(view), wanted.picture(other))


def test_blender(tmp_path: Path, views: Views) -> None:
    files.write_blender(views, tmp_path)
    made = posed(tmp_path)
    order = [*views.splits["train"], *views.splits["test"]]
    check_cameras(made, views, order)
    assert [order[n] for n in made.split("test")] == list(views.splits["test"])
    assert (made.centre, made.half, made.has_alpha, made.unbounded) == ((0.0, 0.0, 0.0), 1.5, True, False)
    assert made.name == tmp_path.name


def test_blender_without_test_file_tests_on_val(tmp_path: Path, views: Views) -> None:
    files.write_blender(views, tmp_path)
    (tmp_path / "transforms_test.json").rename(tmp_path / "transforms_val.json")
    made = posed(tmp_path)
    assert made.split("test") == made.split("val") == (9,)


def test_instant_ngp(tmp_path: Path, views: Views) -> None:
    frames = files.frames_of(views)
    lost = {"file_path": "images/lost.png", "transform_matrix": frames[0]["transform_matrix"]}
    files.write_ngp(views, tmp_path, aabb_scale=4, frames=[*frames[5:], lost, *frames[:5]])
    made = posed(tmp_path)
    check_cameras(made, views)  # by name, whatever the order of the file
    assert made.splits == EVERY_EIGHTH
    assert made.half == pytest.approx(4 * 0.5 / 0.33)
    assert made.centre == (0.0, 0.0, 0.0)
    assert len(made.skipped) == 1
    assert "images/lost.png: no such picture" in made.skipped[0]
    assert posed(tmp_path, test_every=5).splits["test"] == (0, 5)
    assert posed(tmp_path, test_every=0).splits["test"] == ()


def test_instant_ngp_has_its_own_cube(tmp_path: Path, views: Views) -> None:
    files.write_ngp(views, tmp_path, aabb_scale=2, scale=0.5, offset=[0.5, 0.0, 1.0])
    made = posed(tmp_path)
    assert made.half == 2.0
    assert made.centre == (0.0, 1.0, -1.0)  # 0.5 = scale * centre + offset


def test_frames_have_intrinsics_of_their_own(tmp_path: Path, views: Views) -> None:
    frames = files.frames_of(views)
    frames[3] |= {"fl_x": 99.0, "cy": 3.0, "k1": 0.05, "p2": 0.01}
    files.write_ngp(views, tmp_path, frames=frames, k2=0.002)
    cameras = posed(tmp_path).cameras
    assert cameras.lenses is not None
    assert cameras.focals[3].tolist() == [99.0, float(cameras.focals[0, 1])]
    assert cameras.centres[3].tolist() == [8.0, 3.0]
    torch.testing.assert_close(cameras.lenses[3], torch.tensor([0.05, 0.002, 0.0, 0.01, 0.0]))
    torch.testing.assert_close(cameras.lenses[0], torch.tensor([0.0, 0.002, 0.0, 0.0, 0.0]))


def test_an_angle_stands_for_a_focal_length(tmp_path: Path, views: Views) -> None:
    files.write_ngp(views, tmp_path, fl_x=None, fl_y=None, cx=None, cy=None, w=None, h=None, camera_angle_x=math.pi / 2)
    cameras = posed(tmp_path).cameras
    assert cameras.focals[0].tolist() == pytest.approx([SIDE / 2] * 2)
    assert cameras.centres[0].tolist() == [SIDE / 2] * 2


@pytest.mark.parametrize("how", [{"is_fisheye": True}, {"camera_model": "OPENCV_FISHEYE"}])
def test_fisheyes_are_told(tmp_path: Path, views: Views, how: dict) -> None:
    files.write_ngp(views, tmp_path, k1=0.01, k2=0.02, k3=0.003, k4=0.0004, p1=0.5, **how)
    cameras = posed(tmp_path).cameras
    assert cameras.fisheye
    assert cameras.lenses is not None
    assert cameras.lenses[0].tolist() == pytest.approx([0.01, 0.02, 0.003, 0.0004, 0.0])


def test_nerfstudio(tmp_path: Path, views: Views) -> None:
    frames = files.frames_of(views)
    (tmp_path / "masks").mkdir()
    half = np.zeros((SIDE, SIDE), np.uint8)
    half[:, SIDE // 2 :] = 255
    Image.fromarray(half).convert("1").save(tmp_path / "masks" / "one.png")
    frames[1]["mask_path"] = "masks/one.png"
    frames[2]["mask_path"] = "masks/lost.png"
    paths = [frame["file_path"] for frame in frames]
    files.write_ngp(
        views,
        tmp_path,
        frames=frames,
        camera_model="OPENCV",
        applied_transform=[[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, -1.0, 0.0, 0.0]],
        train_filenames=paths[:5],
        val_filenames=paths[5:8],
        test_filenames=paths[5:7],
    )
    made = posed(tmp_path)
    # Frame 2 has lost its mask, and frames 8 and 9 stand in no list.
    assert made.splits == {"train": (0, 1, 2, 3), "val": (6,), "test": (4, 5)}
    assert len(made.skipped) == 3
    masked, whole = made.picture(1), views.picture(1)
    assert torch.equal(masked[..., :3], whole[..., :3])
    assert torch.equal(masked[..., 3], torch.from_numpy(half))
    torch.testing.assert_close(made.cameras.poses[2], views.cameras.poses[3], atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "text"])
def test_colmap(tmp_path: Path, views: Views, binary: bool) -> None:
    files.write_colmap(views, tmp_path, binary)
    made = posed(tmp_path)
    check_cameras(made, views)
    assert made.splits == EVERY_EIGHTH
    assert made.points is not None
    assert made.point_colours is not None
    assert made.points.shape == (20, 3)
    assert made.points.abs().max() <= 0.5
    assert made.point_colours[19].tolist() == [1, 2, 19]
    (tmp_path / "images" / "004.png").unlink()
    fewer = posed(tmp_path)
    assert len(fewer) == NUM - 1
    assert "004.png: no such picture" in fewer.skipped[0]


def test_text_and_binary_are_one_model(tmp_path: Path, views: Views) -> None:
    for name, binary in (("a", True), ("b", False)):
        files.write_colmap(views, tmp_path / name, binary)
    one, other = posed(tmp_path / "a"), posed(tmp_path / "b")
    assert torch.equal(one.cameras.poses, other.cameras.poses)
    assert one.points is not None
    assert other.points is not None
    assert torch.equal(one.points, other.points)
    assert (one.centre, one.half) == (other.centre, other.half)


@pytest.mark.parametrize(
    ("number", "name", "parameters", "focal", "lens"),
    [
        (0, "SIMPLE_PINHOLE", [20.0, 8.0, 7.0], [20.0, 20.0], None),
        (2, "SIMPLE_RADIAL", [20.0, 8.0, 7.0, 0.1], [20.0, 20.0], [0.1, 0, 0, 0, 0]),
        (3, "RADIAL", [20.0, 8.0, 7.0, 0.1, 0.02], [20.0, 20.0], [0.1, 0.02, 0, 0, 0]),
        (4, "OPENCV", [20.0, 21.0, 8.0, 7.0, 0.1, 0.02, 0.003, 0.004], [20.0, 21.0], [0.1, 0.02, 0.003, 0.004, 0]),
        (5, "OPENCV_FISHEYE", [20.0, 21.0, 8.0, 7.0, 0.1, 0.02, 0.003, 0.004], [20, 21], [0.1, 0.02, 0.003, 0.004, 0]),
        (8, "SIMPLE_RADIAL_FISHEYE", [20.0, 8.0, 7.0, 0.1], [20.0, 20.0], [0.1, 0, 0, 0, 0]),
        (9, "RADIAL_FISHEYE", [20.0, 8.0, 7.0, 0.1, 0.02], [20.0, 20.0], [0.1, 0.02, 0, 0, 0]),
    ],
)
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "text"])
def test_colmap_camera_models(
    tmp_path: Path,
    views: Views,
    binary: bool,
    number: int,
    name: str,
    parameters: list[float],
    focal: list[float],
    lens: list[float] | None,
) -> None:
    files.write_colmap(views, tmp_path, binary, (number, name, parameters))
    cameras = posed(tmp_path).cameras
    assert cameras.focals[0].tolist() == focal
    assert cameras.centres[0].tolist() == [8.0, 7.0]
    assert cameras.fisheye == ("FISHEYE" in name)
    assert (cameras.lenses is None) == (lens is None)
    if cameras.lenses is not None:
        assert cameras.lenses[0].tolist() == pytest.approx(lens)


def test_llff_around_an_object(tmp_path: Path, views: Views) -> None:
    files.write_llff(views, tmp_path)
    made = posed(tmp_path)
    check_cameras(made, views)
    assert made.splits == EVERY_EIGHTH
    assert np.abs(made.centre).max() < 1e-4  # all of them look at the origin
    assert made.half == pytest.approx(3.4 * math.tan(0.345), rel=1e-4)  # what they see of the plane through it


def test_llff_masks_are_alpha(tmp_path: Path, views: Views) -> None:
    files.write_llff(views, tmp_path)
    (tmp_path / "masks").mkdir()
    for name in files.names_of(views):
        Image.open(tmp_path / "images" / name).getchannel("A").save(tmp_path / "masks" / f"{name}.png")
        Image.open(tmp_path / "images" / name).convert("RGB").save(tmp_path / "images" / name)
    made = posed(tmp_path)
    assert made.has_alpha
    assert not made.unbounded
    for view in range(NUM):
        assert torch.equal(made.picture(view)[..., 3], views.picture(view)[..., 3])


def test_scaled_photographs_keep_the_lens_of_the_large_ones(tmp_path: Path, views: Views) -> None:
    files.write_llff(still_life(4 * SIDE, NUM), tmp_path)
    files.write_pictures(views, tmp_path / "images_4", files.names_of(views))
    check_cameras(posed(tmp_path, images="images_4"), views)
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    check_cameras(posed(tmp_path), views)


def test_the_first_format_is_taken_unless_one_is_named(tmp_path: Path, views: Views) -> None:
    files.write_llff(views, tmp_path)
    files.write_colmap(views, tmp_path, binary=True)
    assert list(FORMATS) == ["blender", "transforms", "llff", "colmap"]
    assert posed(tmp_path).points is None
    assert posed(tmp_path, layout="colmap").points is not None


def test_sides_and_factors(tmp_path: Path, views: Views) -> None:
    files.write_ngp(views, tmp_path)
    half, same = posed(tmp_path, side=8), posed(tmp_path, downscale=2)
    assert torch.equal(half.picture(0), same.picture(0))
    torch.testing.assert_close(half.cameras.focals, views.cameras.focals / 2)
    alpha = views.picture(0)[..., 3].double().reshape(8, 2, 8, 2).mean((1, 3))
    assert (half.picture(0)[..., 3].double() - alpha).abs().max() <= 0.5 + 1e-4
    assert (half.cameras.width, half.cameras.height) == (8, 8)


def test_pictures_a_few_rows_larger_are_cut(tmp_path: Path) -> None:
    views = still_life(40, NUM)
    files.write_ngp(views, tmp_path, frames=[{**f, "h": None, "w": None} for f in files.frames_of(views)])
    smaller = Image.open(tmp_path / "images" / "003.png").crop((0, 0, 40, 39))
    smaller.save(tmp_path / "images" / "003.png")
    made = posed(tmp_path)
    assert (made.cameras.width, made.cameras.height) == (40, 39)
    assert torch.equal(made.picture(5), views.picture(5)[:39])
    assert "beyond 40 x 39 pixels" in made.skipped[0]
    torch.testing.assert_close(made.cameras.all_rays(5)[1], views.cameras.all_rays(5)[1][: 39 * 40])
