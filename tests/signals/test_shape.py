"""Solids: files, samples, scores and extraction, on meshes with known answers and on real ones."""

from __future__ import annotations

import importlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ohmfield._kernels import triangles
from ohmfield.fields import presets
from ohmfield.fit.loop import fit
from ohmfield.fit.options import FitOptions
from ohmfield.signals.mesh import checked, isosurface, mesh, open_edges, watertight
from ohmfield.signals.shape import chamfer, inside_grid, shape, signed_distance
from ohmfield.spec import InputError
from solids import box, hemisphere, sphere

shapes = importlib.import_module("ohmfield.signals.shape")  # the package's `shape` is the function


def ball(radius: float = 0.45):
    def sdf(coords: Tensor) -> Tensor:
        return (coords - 0.5).norm(dim=1, keepdim=True) - radius

    return sdf


def test_samples_lie_where_they_should_and_know_their_distance() -> None:
    signal = shape(sphere(4), 2**13)
    from_middle = (signal.coords - 0.5).norm(dim=1, keepdim=True)
    assert signal.values[: 2**13 * 5 // 8].abs().max() < 6 * 0.004
    assert (from_middle - 0.45 - signal.values).abs().max() < 2e-3  # as far as the sphere's facets are from it
    assert signal.coords.min() >= 0.0
    assert signal.coords.max() <= 1.0
    again, other = shape(sphere(4), 2**13), shape(sphere(4), 2**13, seed=1)
    assert torch.equal(again.coords, signal.coords)
    assert again.describe() == signal.describe()
    assert other.describe()["digest"] != signal.describe()["digest"]


def test_the_lid_is_taken_away_again() -> None:
    open_one = hemisphere()
    moved = checked(0.5 + 0.4 * open_one.vertices, open_one.faces, "moved")
    assert len(moved.lid) == len(open_edges(moved.faces)) > 0
    assert not len(sphere().lid)
    grid = inside_grid(moved, 12)
    at = np.stack(np.meshgrid(*[(np.arange(12) + 0.5) / 12] * 3, indexing="ij"), -1).reshape(-1, 3)
    _, winding = triangles.reference(at, moved.triangles)
    clear = np.abs(winding - 0.5) > 0.05
    assert np.array_equal(grid.numpy().reshape(-1)[clear], winding[clear] > 0.5)
    assert grid.sum() > 50


def test_the_exact_distance_scores_one_and_a_shifted_one_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "SCORED_RESOLUTION", 48)
    monkeypatch.setattr(shapes, "CHAMFER_POINTS", 2000)
    signal = shape(sphere(4), 64)
    exact = signal.score(lambda coords: torch.from_numpy(signed_distance(signal.mesh, coords.double().numpy())).float())
    assert exact["iou"] == 1.0
    assert exact["watertight"] == 1.0
    assert exact["chamfer"] < 1e-3
    smaller = signal.score(ball(0.40))
    assert smaller["iou"] == pytest.approx((0.40 / 0.45) ** 3, abs=0.02)
    assert smaller["chamfer"] == pytest.approx(0.05, abs=2e-3)
    nothing = signal.score(lambda coords: torch.ones(len(coords), 1))
    assert (nothing["iou"], nothing["watertight"]) == (0.0, 0.0)


def test_extraction_is_closed_outward_and_in_the_place_of_the_mesh() -> None:
    given = sphere(3)
    moved = checked(given.vertices * 7.0 + np.array([1.0, 2.0, 3.0]), given.faces, "moved")
    made = shape(moved, 64).extract(ball(), 40)
    assert watertight(made.faces)
    assert made.vertices.mean(0) == pytest.approx([1.0, 2.0, 3.0], abs=0.02)
    radius = np.linalg.norm(made.vertices - [1.0, 2.0, 3.0], axis=1)
    assert radius == pytest.approx(np.full(len(radius), 7.0), abs=0.05)
    a, b, c = made.triangles.transpose(1, 0, 2)
    assert (a * np.cross(b, c)).sum() / 6 == pytest.approx(4 / 3 * np.pi * 343, rel=0.02)  # outward: volume above 0
    assert chamfer(made, moved, 500) < 0.1


def test_what_reaches_the_cube_is_cut_off_and_closed() -> None:
    values = np.full((6, 6, 6), -0.1)
    made = isosurface(values, "full")
    assert watertight(made.faces)
    assert np.abs(made.vertices - 0.5).max() < 0.6


def test_one_triangle_missing_is_not_watertight() -> None:
    assert watertight(box().faces)
    assert not watertight(box().faces[1:])
    assert not watertight(np.concatenate([box().faces, box().faces]))


@pytest.mark.parametrize("ending", ["ply", "obj"])
def test_what_is_written_is_read(tmp_path: Path, ending: str) -> None:
    given = sphere(2)
    given.save(tmp_path / f"a.{ending}")
    read = mesh(tmp_path / f"a.{ending}")
    assert read.triangles == pytest.approx(given.triangles, abs=1e-6)
    with pytest.raises(InputError, match=r"\.ply or \.obj"):
        given.save(tmp_path / "a.off")


def test_obj_with_polygons_textures_and_counting_back(tmp_path: Path) -> None:
    text = "# a box\nv 0 0 0 0.5\nv 1 0 0\nvt 0 0\nv 1 1 0\nv 0 1 0\nf 1/1 2/1/1 3//1 4\nf -4 -2 -1\n"
    (tmp_path / "a.obj").write_text(text)
    read = mesh(tmp_path / "a.obj")
    assert read.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 2, 3]]


def test_ply_as_text_and_with_lists_of_differing_lengths(tmp_path: Path) -> None:
    head = "ply\nformat {} 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty double z\n"
    head += "element face 2\nproperty uchar colour\nproperty list uchar int vertex_index\nend_header\n"
    corners = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
    text = head.format("ascii") + "\n".join(f"{x} {y} {z}" for x, y, z in corners) + "\n9 4 0 1 2 3\n9 3 0 1 2\n"
    (tmp_path / "a.ply").write_text(text)
    body = b"".join(struct.pack(">ffd", *c) for c in corners)
    body += struct.pack(">BB4i", 9, 4, 0, 1, 2, 3) + struct.pack(">BB3i", 9, 3, 0, 1, 2)
    (tmp_path / "b.ply").write_bytes(head.format("binary_big_endian").encode() + body)
    for name in ("a.ply", "b.ply"):
        assert mesh(tmp_path / name).faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]]


def test_stl_joins_equal_corners(tmp_path: Path) -> None:
    given = box()
    rows = b"".join(struct.pack("<12fH", 0, 0, 0, *corners.reshape(-1), 0) for corners in given.triangles)
    (tmp_path / "a.stl").write_bytes(b" " * 80 + struct.pack("<I", 12) + rows)
    lines = ["solid box"] + [f"vertex {x} {y} {z}" for x, y, z in given.triangles.reshape(-1, 3)]
    (tmp_path / "b.stl").write_text("\n".join(lines))
    for name in ("a.stl", "b.stl"):
        read = mesh(tmp_path / name)
        assert (len(read.vertices), len(read.faces)) == (8, 12)
        assert watertight(read.faces)


def test_triangles_without_area_are_skipped_and_counted() -> None:
    faces = np.concatenate([box().faces, [[0, 0, 1], [2, 2, 2]]])
    made = checked(box().vertices, faces, "box")
    assert (made.num_skipped, len(made.faces)) == (2, 12)


BAD = {
    "empty.obj": b"",
    "points.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\n",
    "words.obj": b"v 0 zero 0\n",
    "short.obj": b"v 0 0\nf 1 1 1\n",
    "nan.obj": b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
    "flat.obj": b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n",
    "beyond.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n",
    "zeroth.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n",
    "picture.ply": b"\x89PNG\r\n",
    "huge.ply": b"ply\nformat ascii 1.0\nelement vertex 99999999999\nproperty float x\nend_header\n",
    "cut.ply": b"ply\nformat binary_little_endian 1.0\nelement vertex 5\nproperty float x\nproperty float y\n"
    b"property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n\0\0",
    "noaxis.ply": b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nelement face 1\n"
    b"property list uchar int vertex_indices\nend_header\n0\n3 0 0 0\n",
    "lying.stl": b" " * 80 + struct.pack("<I", 2**31) + b"abc",
    "tiny.stl": b"x",
    "a.txt": b"hello",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BAD[name])
    with pytest.raises(InputError) as caught:
        mesh(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_settings() -> None:
    for samples in (0, 12, 2**40):
        with pytest.raises(InputError, match=str(samples)):
            shape(box(), samples)
    with pytest.raises(InputError, match="no such file"):
        shape("absent.obj")
    signal = shape(box(), 64)
    with pytest.raises(InputError, match="resolution: 1"):
        signal.extract(ball(), 1)
    with pytest.raises(InputError, match="negative nowhere"):
        signal.extract(lambda coords: torch.ones(len(coords), 1), 8)
    with pytest.raises(InputError, match="NaN"):
        signal.extract(lambda coords: torch.full((len(coords), 1), torch.nan), 8)
    with pytest.raises(InputError, match="dim=3, channels=1"):
        fit(presets.build("hash"), signal, FitOptions(steps=1), progress=False)


def test_a_small_field_learns_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "SCORED_RESOLUTION", 32)
    monkeypatch.setattr(shapes, "CHAMFER_POINTS", 1000)
    signal = shape(box(), 2**13)
    field = presets.build(
        "hash", dim=3, channels=1, num_levels=4, log2_table=12, resolutions=(4, 32), width=16, depth=1
    )
    result = fit(field, signal, FitOptions(steps=400, batch=2**11), progress=False)
    assert result.score["iou"] > 0.95
    assert result.score["watertight"] == 1.0
    assert result.history[-1]["loss"] < 0.2 * result.history[0]["loss"]


def test_real_meshes(real_data: Path) -> None:
    for name, num_faces, is_open in (("spot", 5856, False), ("bunny", 4968, True)):
        read = mesh(real_data / "meshes" / f"{name}.obj")
        assert len(read.faces) == num_faces
        assert bool(len(read.lid)) == is_open
        signal = shape(read, 2**10)
        grid = inside_grid(signal.mesh, 24)
        at = (torch.stack(torch.meshgrid(*[torch.arange(24)] * 3, indexing="ij"), -1).reshape(-1, 3) + 0.5) / 24
        signs = torch.from_numpy(signed_distance(signal.mesh, at.double().numpy())) < 0
        assert (grid.reshape(-1) != signs).float().mean() < 2e-3
