"""One way to open a folder of posed photographs, whatever its format."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ohmfield.signals.cameras import Cameras
from ohmfield.signals.posed.colmap import model_files, read_colmap
from ohmfield.signals.posed.found import Found, Shot
from ohmfield.signals.posed.llff import read_llff
from ohmfield.signals.posed.pictures import Header, header, read_picture
from ohmfield.signals.posed.place import place, recentred
from ohmfield.signals.posed.transforms import read_blender, read_transforms
from ohmfield.signals.views import Views
from ohmfield.spec import InputError

TEST_EVERY = 8  # of LLFF, instant-ngp and mip-NeRF 360: views 0, 8, 16, ... test
MAX_CUT = 0.05  # share of a picture's side that may be cut off where sizes differ, as COLMAP's undistortion leaves them
MAX_STRETCH = 0.01  # by which a picture's proportions may differ from those its lens was written for
BORDER_STEPS = 8  # per side, of the border pixels whose rays must lead back to them
LENS_STEPS = 64  # from the axis to the border
LENS_PIXELS = 0.05  # allowed between a border pixel and where its ray leads back to


@dataclass(frozen=True)
class Format:
    """What tells a format (a file or a set of files), and its reader."""

    told_by: str
    is_here: Callable[[Path], bool]
    read: Callable[[Path, str | None], Found]


FORMATS = {
    "blender": Format(
        "transforms_train.json",
        lambda folder: (folder / "transforms_train.json").is_file(),
        lambda folder, _: read_blender(folder),
    ),
    "transforms": Format(
        "transforms.json",
        lambda folder: (folder / "transforms.json").is_file(),
        lambda folder, _: read_transforms(folder),
    ),
    "llff": Format("poses_bounds.npy", lambda folder: (folder / "poses_bounds.npy").is_file(), read_llff),
    "colmap": Format(
        "sparse/0/cameras.bin and images.bin (or .txt)", lambda folder: model_files(folder) is not None, read_colmap
    ),
}


def posed(
    folder: str | os.PathLike[str],
    *,
    side: int | None = None,
    downscale: float | None = None,
    images: str | None = None,
    layout: str | None = None,
    test_every: int = TEST_EVERY,
) -> Views:
    """The photographs of a folder, with poses; pictures are read when they are asked for.

    The format is told by its files, in the order of `FORMATS`, or named by `layout`. `side` is the longer side of the
    pictures in pixels, `downscale` a factor; both average over areas. `images` names the folder of the photographs
    where COLMAP and LLFF have several. Formats without splits of their own test views 0, `test_every`, ... (0: none).
    `Views.skipped` says what was left out. Raises `InputError` for what is no scene.
    """
    folder = Path(folder)
    found = _recognised(folder, layout).read(folder, images)
    if not found.shots:
        first = found.skipped[0] if found.skipped else f"{folder}: names no photograph"
        raise InputError(f"{first}; none of the {len(found.skipped)} photographs is left, check the paths")
    headers = [header(shot.image) for shot in found.shots]
    cut, notes = _common_size(found.shots, headers)
    size = _size(cut, side, downscale, folder)
    found = replace(found, shots=[_fitted(*pair, cut) for pair in zip(found.shots, headers, strict=True)])
    if found.recentre:
        moved = recentred(np.stack([shot.pose for shot in found.shots]))
        found = replace(found, shots=[replace(s, pose=p) for s, p in zip(found.shots, moved, strict=True)])
    cameras = _cameras(found.shots, cut).resized(*size)
    has_alpha = any(head.alpha or shot.mask for head, shot in zip(headers, found.shots, strict=True))
    where = place(found, has_alpha)
    shots = found.shots
    views = Views(
        cameras=cameras,
        read=lambda view: read_picture(shots[view].image, shots[view].mask, cut, size),
        splits=_splits(shots, test_every, folder),
        centre=where.centre,
        half=where.half,
        name=folder.resolve().name,
        has_alpha=has_alpha,
        unbounded=where.unbounded,
        near=where.near,
        points=None if found.points is None else torch.from_numpy(found.points).float(),
        point_colours=None if found.colours is None else torch.from_numpy(found.colours),
        source=str(folder.resolve()),
        skipped=(*found.skipped, *notes),
    )
    _show_something(views)
    return views


def _recognised(folder: Path, layout: str | None) -> Format:
    if layout is not None and layout not in FORMATS:
        raise InputError(f"layout {layout!r} is not known; known layouts: {', '.join(FORMATS)}")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of photographs; give the folder that holds them and their poses")
    if layout is not None:
        return FORMATS[layout]
    for known in FORMATS.values():
        if known.is_here(folder):
            return known
    looked = "; ".join(f"{name}: {known.told_by}" for name, known in FORMATS.items())
    raise InputError(f"{folder}: no poses found; one of these is needed ({looked})")


def _common_size(shots: list[Shot], headers: list[Header]) -> tuple[tuple[int, int], tuple[str, ...]]:
    """The size all pictures have, or can be cut to at their right and lower edges, and a word about what is cut."""
    widths, heights = [head.width for head in headers], [head.height for head in headers]
    width, height = min(widths), min(heights)
    if width < (1 - MAX_CUT) * max(widths) or height < (1 - MAX_CUT) * max(heights):
        other = next(n for n, head in enumerate(headers) if head != headers[0])
        sizes = [f"{shots[n].image.name} has {headers[n].width} x {headers[n].height}" for n in (0, other)]
        raise InputError(
            f"{shots[0].image.parent}: pictures of mixed sizes ({', '.join(sizes)} pixels); sizes may differ by "
            f"{MAX_CUT:.0%}, scale them to one size or remove those of the other"
        )
    if width == max(widths) and height == max(heights):
        return (width, height), ()
    return (width, height), (
        f"rows and columns beyond {width} x {height} pixels: pictures have up to {max(widths)} x {max(heights)}",
    )


def _size(size: tuple[int, int], side: int | None, downscale: float | None, folder: Path) -> tuple[int, int]:
    """Width and height wanted."""
    longest = max(size)
    if side is not None and downscale is not None:
        raise InputError(f"side {side} and downscale {downscale}: give one of them")
    if side is not None:
        if not 2 <= side <= longest:
            raise InputError(f"{folder}: side {side} is not allowed; use 2 to {longest}, its longer side")
        downscale = longest / side
    if downscale is None:
        return size
    if not 1 <= downscale <= min(size) / 2:
        raise InputError(f"{folder}: downscale {downscale:g} is not allowed; use 1 to {min(size) / 2:g}")
    width, height = (max(2, round(pixels / downscale)) for pixels in size)
    return width, height


def _fitted(shot: Shot, head: Header, cut: tuple[int, int]) -> Shot:
    """The shot with its lens for the picture as it is stored, then cut."""
    lens, stored = shot.lens, (head.width, head.height)
    x, y = stored[0] / lens.size[0], stored[1] / lens.size[1]
    # Whole pixels were lost when a picture was made smaller: up to one of its own is no other proportion.
    if abs(x / y - 1) > MAX_STRETCH + 1 / min(stored):
        raise InputError(
            f"{shot.image}: {stored[0]} x {stored[1]} pixels, its lens is written for {lens.size[0]} x {lens.size[1]}; "
            "cut, turned or stretched pictures need a lens of their own"
        )
    focal, centre = (lens.focal[0] * x, lens.focal[1] * y), (lens.centre[0] * x, lens.centre[1] * y)
    return replace(shot, lens=replace(lens, size=cut, focal=focal, centre=centre))


def _cameras(shots: list[Shot], size: tuple[int, int]) -> Cameras:
    lenses = [shot.lens for shot in shots]
    kinds = {lens.fisheye for lens in lenses}
    if len(kinds) > 1:
        raise InputError(f"{shots[0].image.parent}: fisheye and other lenses are mixed; open them one after the other")
    bends = None
    if any(lens.bends for lens in lenses):
        bends = torch.tensor([lens.bends or (0.0,) * 5 for lens in lenses])
    cameras = Cameras(
        torch.from_numpy(np.stack([shot.pose for shot in shots])).float(),
        torch.tensor([lens.focal for lens in lenses]),
        torch.tensor([lens.centre for lens in lenses]),
        *size,
        bends,
        kinds.pop(),
    )
    if bends is not None:
        seen = set()
        for number, (shot, lens) in enumerate(zip(shots, lenses, strict=True)):
            if lens not in seen:
                _check_lens(cameras, number, shot)
                seen.add(lens)
    return cameras


def _check_lens(cameras: Cameras, view: int, shot: Shot) -> None:
    """Every pixel must come from one direction: rays spread from the axis to the border, and lead back."""
    steps = torch.linspace(0.0, 1.0, BORDER_STEPS)
    around = torch.cat([torch.stack([steps, torch.full_like(steps, edge)], -1) for edge in (0.0, 1.0)])
    around = torch.cat([around, around.flip(-1)]) * torch.tensor([cameras.width - 1.0, cameras.height - 1.0])
    axis = cameras.centres[view] - 0.5
    path = axis + torch.linspace(0.0, 1.0, LENS_STEPS)[:, None, None] * (around - axis)  # [steps, border, 2]
    x, y = path.flatten(0, 1).unbind(-1)
    one = cameras[view : view + 1]
    local = Cameras(torch.eye(4)[None, :3], one.focals, one.centres, one.width, one.height, one.lenses, one.fisheye)
    directions = local.rays(torch.zeros(len(x), dtype=torch.long), x, y)[1]
    back = local.project(0, directions)[0]
    angle = torch.atan2(directions[:, :2].norm(dim=-1), -directions[:, 2]).reshape(LENS_STEPS, -1)
    error = (back - torch.stack([x, y], -1) - 0.5).abs().max()
    if not (error < LENS_PIXELS and (angle.diff(dim=0) > 0).all()):
        raise InputError(
            f"{shot.image}: its lens {[round(value, 6) for value in shot.lens.bends]} folds within the picture; "
            "calibrate again with fewer coefficients, or undistort first"
        )


def _splits(shots: list[Shot], test_every: int, folder: Path) -> dict[str, tuple[int, ...]]:
    """Numbers of the views of each split: the format's own, else every so many test; without test views val tests."""
    if test_every < 0 or test_every == 1:
        raise InputError(f"test_every {test_every} is not allowed; use 2 or more, or 0 for no test views")
    splits: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for number, shot in enumerate(shots):
        splits[shot.split or "train"].append(number)
    if not splits["test"]:
        splits["test"] = list(splits["val"])
    if not splits["test"] and test_every:
        splits["test"] = splits["train"][::test_every]
        splits["train"] = [number for number in splits["train"] if number not in set(splits["test"])]
    if not splits["train"]:
        raise InputError(
            f"{folder}: {len(shots)} photograph{'s' if len(shots) > 1 else ''}, none of them to learn from; "
            "a scene needs two or more"
        )
    return {name: tuple(numbers) for name, numbers in splits.items()}


def _show_something(views: Views) -> None:
    """`InputError` when every picture is transparent everywhere; usually the first one is not."""
    if views.has_alpha and not any(bool(views.picture(view)[..., 3].any()) for view in range(len(views))):
        raise InputError(f"{views.name}: all {len(views)} pictures are transparent everywhere; check alpha or masks")
