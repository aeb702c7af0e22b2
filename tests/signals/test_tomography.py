"""Projections against closed forms, scikit-image and loops; scans, volumes and what is wrong with their files."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.transform import iradon, radon
from torch import Tensor, nn

from ohmfield.fields import presets
from ohmfield.fit.loop import fit
from ohmfield.fit.options import FitOptions
from ohmfield.numerics import Noise
from ohmfield.signals.points import from_image
from ohmfield.signals.tomography import Rays, Sinogram, absorbed, axis_of, cone, measured, parallel, scan
from ohmfield.signals.volume import slice_of, volume
from ohmfield.spec import InputError

ANGLES = np.linspace(0.0, np.pi, 7, endpoint=False)


def signal_of(rays: Rays, num_samples: int = 400, values: Tensor | None = None) -> Sinogram:
    values = torch.zeros(len(rays.starts), 1) if values is None else values
    return Sinogram(rays, values, (len(values),), num_samples, "rays")


def disc(middle: tuple[float, ...], radius: float):
    return lambda coords: ((coords - torch.tensor(middle)).norm(dim=1, keepdim=True) < radius).float()


def chords(rays: Rays, middle: tuple[float, ...], radius: float) -> Tensor:
    """Length inside a disc or ball of the line through each ray."""
    along = torch.nn.functional.normalize(rays.ends - rays.starts, dim=1)
    to = torch.tensor(middle) - rays.starts
    away = (to.square().sum(1) - (to * along).sum(1) ** 2).clamp(min=0.0)
    seen = (rays.ends - rays.starts).norm(dim=1) > 0.0
    return 2.0 * (radius**2 - away).clamp(min=0.0).sqrt() * seen


@pytest.mark.parametrize(
    "rays",
    [
        parallel(ANGLES, 30, 1 / 30),
        cone(ANGLES, (30,), 0.1, 1.5, 3.0),
        cone(ANGLES, (6, 30), 0.1, 1.5, 3.0),
    ],
    ids=["parallel", "fan", "cone"],
)
def test_line_integrals_of_a_disc_and_a_ball(rays: Rays) -> None:
    middle = (0.6, 0.45, 0.5)[: rays.starts.shape[1]]
    signal = signal_of(rays)
    made = signal.observe(disc(middle, 0.2), rays.both)[:, 0]
    assert made.numpy() == pytest.approx(chords(rays, middle, 0.2).numpy(), abs=0.01)
    assert made.max() > 0.35


def test_a_ray_of_a_constant_field_is_as_long_as_its_way_through() -> None:
    rays = parallel(np.array([0.0, np.pi / 4]), 3, 0.6)
    made = signal_of(rays).observe(lambda coords: torch.ones(len(coords), 1), rays.both)[:, 0]
    missed = 2.0 * (np.sqrt(0.5) - 0.6)
    assert made.tolist() == pytest.approx([0.0, 1.0, 0.0, missed, np.sqrt(2.0), missed], abs=1e-5)


def test_angle_zero_looks_down_the_columns_as_radon_does() -> None:
    picture = np.zeros((33, 33))
    picture[5:12, 14:17] = 1.0  # away from the middle both ways: a wrong sign would show
    picture[20:24, 20:26] = 0.5
    degrees = np.array([0.0, 30.0, 90.0, 135.0])
    projected = radon(picture, degrees, circle=True)
    signal = scan(
        from_image(torch.from_numpy(picture).float()[..., None], "bars", 32), projected.T, np.deg2rad(degrees)
    )

    def field(coords: Tensor) -> Tensor:  # bilinear between pixels, like `radon`
        at = (coords * 2.0 - 1.0)[None, None]
        image = torch.from_numpy(picture).float()[None, None]
        return nn.functional.grid_sample(image, at, align_corners=False).reshape(-1, 1)

    made = signal.observe(field, signal.rays.both)[:, :1]
    assert (made - signal.values).abs().max() < 0.03 * signal.values.max()
    assert signal.score(field)["projection_psnr_dB"] > 40.0
    assert signal.score(field)["psnr_dB"] > 100.0


def test_the_gradient_is_the_back_projection() -> None:
    grid = torch.rand(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def field(coords: Tensor) -> Tensor:  # the nearest pixel
        at = (coords * 8).long().clamp(max=7)
        return grid[at[:, 1], at[:, 0], None]

    rays = parallel(ANGLES, 10, 0.1)
    signal = signal_of(rays, 50)
    projected = signal.observe(field, rays.both.double())[:, 0]
    weights = torch.linspace(-1, 1, len(projected), dtype=torch.float64)
    (back,) = torch.autograd.grad(projected @ weights, grid)
    matrix = np.zeros((len(projected), 8, 8))  # by loops: how much of each ray lies in each pixel
    for row, (start, end) in enumerate(zip(rays.starts.double().numpy(), rays.ends.double().numpy(), strict=True)):
        for sample in range(50):
            x, y = np.minimum((start + (end - start) * (sample + 0.5) / 50) * 8, 7).astype(int)
            matrix[row, y, x] += np.linalg.norm(end - start) / 50
    assert projected.detach().numpy() == pytest.approx((matrix * grid.detach().numpy()).sum((1, 2)), abs=1e-9)
    assert back.numpy() == pytest.approx((matrix * weights.numpy()[:, None, None]).sum(0), abs=1e-9)


def test_gradients_through_the_loss_are_those_of_finite_differences() -> None:
    rays = parallel(ANGLES[:2], 3, 0.3)
    signal = signal_of(rays, 6)
    slope = torch.tensor([0.3, -0.7], dtype=torch.float64, requires_grad=True)

    def observed(slope: Tensor) -> Tensor:
        return signal.observe(lambda coords: torch.sin(coords @ slope)[:, None], rays.both.double()).square()

    assert torch.autograd.gradcheck(observed, (slope,))


def test_the_axis_is_found_wherever_it_is() -> None:
    angles = np.linspace(0.0, np.pi, 40, endpoint=False)
    for centre in (20.0, 23.7):
        rays = parallel(angles, 48, 1 / 48, centre)
        made = signal_of(rays).observe(disc((0.6, 0.45), 0.2), rays.both)[:, 0].reshape(40, 48).double().numpy()
        assert axis_of(made, angles) == pytest.approx(centre, abs=0.05)
    with pytest.raises(InputError, match="centre"):
        axis_of(np.zeros((4, 4)), np.arange(4.0))


def test_dark_and_white_fields() -> None:
    white, dark = np.full((2, 3), 101.0), np.array([[0.0, 1.0, 2.0]] * 2)
    transmission = np.array([[1.0, 0.5, 0.1]])
    counts = dark[:1] + (white - dark)[:1] * transmission
    assert absorbed(counts, dark, white) == pytest.approx(-np.log(transmission))
    assert np.isfinite(absorbed(counts - 200.0, dark, white)).all()
    with pytest.raises(InputError, match="3 cells"):
        absorbed(counts, white, white)


def test_a_field_learns_a_disc_from_few_views() -> None:
    size = 32
    blank = from_image(torch.zeros(size, size, 1), "disc", 32)
    truth = from_image(disc((0.6, 0.45), 0.2)(blank.coords).reshape(size, size, 1), "disc", 32)
    degrees = np.arange(12) * 15.0
    projected = radon(truth.as_image()[..., 0].double().numpy(), degrees, circle=True)
    projected = projected + 0.01 * projected.max() * Noise(0).normal(projected.shape).double().numpy()
    signal = scan(truth, projected.T, np.deg2rad(degrees), smoothness=1e-5)
    field = presets.build("hash", channels=1, num_levels=5, log2_table=10, resolutions=(4, 32), width=16, depth=1)
    result = fit(field, signal, FitOptions(steps=600, batch=96), progress=False)
    filtered = torch.from_numpy(iradon(projected, degrees, circle=True)).float().reshape(-1, 1)
    assert result.score["psnr_dB"] > truth.psnr_dB(filtered) + 2.0
    with pytest.raises(InputError, match="dim=2, channels=1"):
        fit(presets.build("hash"), signal, FitOptions(steps=1), progress=False)


def test_npz_and_slices(tmp_path: Path) -> None:
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    np.savez(tmp_path / "a.npz", voxels=voxels, spacing=np.ones(3))
    read = volume(tmp_path / "a.npz")
    assert np.array_equal(read, voxels)
    plane = slice_of(read, 1, 2)
    assert plane.shape == (2, 4)
    assert plane.values[0].item() == pytest.approx(8 / 23)
    for axis, index in ((3, 0), (-1, 0), (0, 2), (2, 4)):
        with pytest.raises(InputError, match="is not allowed"):
            slice_of(read, axis, index)
    with pytest.raises(InputError, match="'b'; it holds voxels"):
        volume(tmp_path / "a.npz", "b")


def test_hdf5_scan_and_what_may_be_wrong_with_it(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    angles = np.linspace(0.0, 180.0, 20, endpoint=False)
    rays = parallel(np.deg2rad(angles), 24, 1 / 24, 11.2)
    made = signal_of(rays).observe(disc((0.5, 0.45), 0.2), rays.both)[:, 0].reshape(20, 1, 24).numpy()

    def write(name: str, **changes: np.ndarray) -> Path:
        arrays = {
            "data": 10.0 + 1000.0 * np.exp(-made),
            "data_dark": np.full((3, 1, 24), 10.0),
            "data_white": np.full((3, 1, 24), 1010.0),
            "theta": angles,
        } | changes
        with h5py.File(tmp_path / name, "w") as file:
            for key, values in arrays.items():
                file[f"exchange/{key}"] = values
        return tmp_path / name

    signal = measured(write("good.h5"))
    assert signal.shape == (20, 24)
    assert signal.values.reshape(20, 1, 24).numpy() == pytest.approx(made, abs=1e-5)
    assert (signal.rays.starts - rays.starts).abs().max() < 5e-3
    bad = {
        "turned.h5": {"data": made.T.copy()},
        "short.h5": {"theta": angles[:5]},
        "dark.h5": {"data_white": np.full((3, 1, 24), 10.0)},
    }
    for name, changes in bad.items():
        with pytest.raises(InputError):
            measured(write(name, **changes))
    (tmp_path / "cut.h5").write_bytes((tmp_path / "good.h5").read_bytes()[:900])
    for read in (measured, volume):
        with pytest.raises(InputError, match=r"cut\.h5"):
            read(tmp_path / "cut.h5")
    with pytest.raises(InputError, match="row 1"):
        measured(tmp_path / "good.h5", row=1)


def test_nifti_whole_and_cut(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    voxels = Noise(0).integers(200, (6, 7, 8)).numpy().astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii.gz")
    assert np.array_equal(volume(tmp_path / "a.nii.gz"), voxels)
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "a.nii.gz").read_bytes()[:200])
    (tmp_path / "text.nii").write_text("hello")
    for name in ("cut.nii.gz", "text.nii"):
        with pytest.raises(InputError, match=name):
            volume(tmp_path / name)


def test_an_extra_that_is_missing_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("h5py", "nibabel"):
        monkeypatch.setitem(sys.modules, name, None)
    for name, extra in (("a.h5", "hdf5"), ("a.nii", "nifti")):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(InputError, match=rf"ohmfield\[{extra}\]"):
            volume(tmp_path / name)


def test_bad_volumes_are_one_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "flat.npz", a=np.zeros((4, 4)))
    np.savez(tmp_path / "two.npz", a=np.zeros((2, 2, 2)), b=np.zeros((2, 2, 2)))
    np.savez(tmp_path / "nan.npz", a=np.full((2, 2, 2), np.nan))
    np.savez(tmp_path / "object.npz", a=np.array([[[None]]], dtype=object))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "flat.npz").read_bytes()[:60])
    (tmp_path / "a.jpg").write_bytes(b"")
    for name in ("flat.npz", "two.npz", "nan.npz", "object.npz", "cut.npz", "a.jpg", "absent.npz"):
        with pytest.raises(InputError) as caught:
            volume(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="less than to the detector"):
        cone(ANGLES, (3,), 0.1, 3.0, 1.5)


def test_the_measured_tooth(real_data: Path) -> None:
    pytest.importorskip("h5py")
    signal = measured(real_data / "ct" / "tooth.h5")
    assert signal.shape == (181, 640)
    angles = np.arange(181) * np.pi / 181
    axis = axis_of(signal.values.reshape(181, 640).double().numpy(), angles)
    assert axis == pytest.approx(296.0, abs=1.0)  # tomopy's tutorial finds 296 for this scan
