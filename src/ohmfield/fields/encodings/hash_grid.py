"""Multiresolution hash grid: one table for all levels, interpolated between the corners of a cell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ohmfield import tally
from ohmfield._kernels import hash_lookup
from ohmfield.numerics import Noise
from ohmfield.spec import InputError

MAX_DIM = 4
MAX_ROWS = 2**27
"""Largest table: 4 GB at 8 features."""


class Interpolate(nn.Module):
    """The weighted sum over the corners of a cell, levels side by side."""

    def forward(
        self,
        rows: Float[Tensor, "num_points levels corners features"],
        weights: Float[Tensor, "num_points levels corners"],
    ) -> Float[Tensor, "num_points levels_features"]:
        """Features [N, L * F] from rows [N, L, 2^D, F] and weights [N, L, 2^D]."""
        return hash_lookup.interpolate(rows, weights)


def has_hooks(module: nn.Module) -> bool:
    """Whether somebody watches or changes what goes through `module`, which a fused kernel would pass by."""
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )


class HashGrid(nn.Module):
    """Coords [N, dim] in [0, 1] -> [N, num_levels * features_per_level] from a trainable `table`.

    Level l has `scale_l = base_resolution * b^l - 1` cells per unit length, b so that the last level reaches
    `finest_resolution`; points are sampled at `x * scale_l + 0.5`. A level whose (ceil(scale_l) + 2)^dim corners fit
    2^log2_table rows is stored densely, others are hashed. Both children may be exchanged: the fused kernel runs only
    while `table` and `interpolate` are exactly the plain types, without hooks.
    Source: Mueller et al., SIGGRAPH 2022, with the conventions of tiny-cuda-nn.
    """

    signed = False

    def __init__(
        self,
        dim: int,
        num_levels: int,
        features_per_level: int,
        log2_table: int,
        base_resolution: int,
        finest_resolution: float,
    ) -> None:
        super().__init__()
        _check("dim", dim, 1, MAX_DIM)
        _check("num_levels", num_levels, 1, 64)
        _check("features_per_level", features_per_level, 1, 8)
        _check("log2_table", log2_table, 3, 24)
        _check("base_resolution", base_resolution, 2, 2**16)
        _check("finest_resolution", finest_resolution, base_resolution, 2**20)
        self.dim = dim
        self.num_features = num_levels * features_per_level
        self.operator = "hash_grid"  # the id that lookups are counted under; `convert` sets it to the module's path
        self.levels = _levels(dim, num_levels, log2_table, base_resolution, finest_resolution)
        num_rows = int(self.levels.offsets[-1])
        if num_rows * features_per_level > MAX_ROWS * 8:
            raise InputError(f"hash grid of {num_rows} rows, at most {MAX_ROWS} are held; lower log2_table")
        self.table = nn.Embedding(num_rows, features_per_level, _weight=torch.zeros(num_rows, features_per_level))
        self.interpolate = Interpolate()

    def reset(self, noise: Noise) -> None:
        """Fills the table from U(-1e-4, 1e-4)."""
        with torch.no_grad():
            self.table.weight.copy_((2.0 * noise.uniform(tuple(self.table.weight.shape)) - 1.0) * 1e-4)

    def address(
        self, coords: Float[Tensor, "num_points dim"]
    ) -> tuple[Int[Tensor, "num_points levels corners"], Float[Tensor, "num_points levels corners"]]:
        """Rows of the table and their weights, both [N, num_levels, 2^dim]."""
        return hash_lookup.address(coords, self.levels)

    def forward(self, coords: Float[Tensor, "num_points dim"]) -> Float[Tensor, "num_points features"]:
        """Features of `coords`; counts `table_reads` under `operator`."""
        if self._can_fuse(coords):
            features, counts = hash_lookup.hash_lookup(coords, self.table.weight, self.levels)
        else:
            rows, weights = self.address(coords)
            features = self.interpolate(self.table(rows), weights)
            counts = {"table_reads": rows.numel()}
        tally.count(self.operator, **counts)
        return features

    def _can_fuse(self, coords: Tensor) -> bool:
        table, blend = self.table, self.interpolate
        if not (type(table) is nn.Embedding and type(blend) is Interpolate and self.dim >= 2):
            return False
        if coords.device.type != "cpu" or not coords.dtype == table.weight.dtype == torch.float32:
            return False
        return not (has_hooks(table) or has_hooks(blend))


def tcnn_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `HashGrid` (all but `dim`) that a tiny-cuda-nn encoding describes.

    `otype` is HashGrid, DenseGrid, or Grid with `type` Hash or Dense; missing keys take tiny-cuda-nn's defaults.
    Raises `InputError` for anything that would change the grid and is not built here.

    >>> tcnn_arguments({"otype": "HashGrid", "n_levels": 2, "base_resolution": 8})["finest_resolution"]
    16.0
    """
    fields = dict(config)
    otype = fields.pop("otype", "Grid")
    kinds = {"HashGrid": "Hash", "DenseGrid": "Dense", "Grid": "Hash"}
    if otype not in kinds:
        raise InputError(f"otype: {otype!r} is not a grid; use {', '.join(kinds)}")
    kind = fields.pop("type", kinds[otype])
    if kind not in ("Hash", "Dense"):
        raise InputError(f"type: {kind!r} is not built here; use Hash or Dense")
    blend = fields.pop("interpolation", "Linear")
    if blend != "Linear":
        raise InputError(f"interpolation: {blend!r} is not built here; use Linear")
    num_levels = _number(fields, "n_levels", 16)
    base = _number(fields, "base_resolution", 16)
    log2_table = _number(fields, "log2_hashmap_size", 19)
    growth = fields.pop("per_level_scale", 2.0)
    if isinstance(growth, bool) or not isinstance(growth, (int, float)) or not 1.0 <= growth <= 8.0:
        raise InputError(f"per_level_scale: {growth!r} is not allowed; use a number from 1 to 8")
    arguments = {
        "num_levels": num_levels,
        "features_per_level": _number(fields, "n_features_per_level", 2),
        "log2_table": 24 if kind == "Dense" else log2_table,
        "base_resolution": base,
        "finest_resolution": base * float(growth) ** (num_levels - 1),
    }
    if fields:
        raise InputError(f"{', '.join(map(repr, fields))}: not a known key of a tiny-cuda-nn grid; check the spelling")
    return arguments


def from_tcnn(config: Mapping[str, Any], dim: int) -> HashGrid:
    """The `HashGrid` that a tiny-cuda-nn encoding describes; see `tcnn_arguments`."""
    grid = HashGrid(dim, **tcnn_arguments(config))
    if config.get("type", config.get("otype")) in ("Dense", "DenseGrid") and not grid.levels.sides.all():
        raise InputError("a dense grid of this resolution needs more than 2^24 rows; lower the resolution or use Hash")
    return grid


def _levels(dim: int, num_levels: int, log2_table: int, base: int, finest: float) -> hash_lookup.Levels:
    growth = math.exp(math.log(finest / base) / (num_levels - 1)) if num_levels > 1 else 1.0
    scales, sides, masks, offsets = [], [], [], [0]
    for level in range(num_levels):
        # float32 first: a rounding error must not add a row of cells to a level of whole size.
        scale = np.float32(base * growth**level - 1.0)
        side = math.ceil(float(scale)) + 2  # corners 0 .. resolution, resolution = ceil(scale) + 1
        dense = side**dim <= 2**log2_table
        rows = (
            -(-(side**dim) // 8) * 8 if dense else 2**log2_table
        )  # levels start at multiples of 8, as in tiny-cuda-nn
        scales.append(scale)
        sides.append(side if dense else 0)
        masks.append(2**32 - 1 if dense else 2**log2_table - 1)
        offsets.append(offsets[-1] + rows)
    return hash_lookup.Levels(
        np.array(scales, np.float32),
        np.array(sides, np.uint32),
        np.array(offsets, np.int64),
        np.array(masks, np.uint32),
    )


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(f"{name}: {value} is not allowed; use {low} to {high}")


def _number(fields: dict[str, Any], key: str, default: int) -> int:
    value = fields.pop(key, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{key}: {value!r} is not a whole number")
    return value
