"""The hash grid as a module: layout, dense levels, children that are never bypassed, foreign configs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ohmfield.fields.encodings.hash_grid import HashGrid, Interpolate, from_tcnn, tcnn_arguments
from ohmfield.numerics import Noise
from ohmfield.spec import InputError
from ohmfield.tally import Tally


def _grid(*arguments: float) -> HashGrid:
    grid = HashGrid(*arguments)  # type: ignore[arg-type]
    with torch.no_grad():
        grid.table.weight.copy_(Noise(1).normal(tuple(grid.table.weight.shape)))
    return grid


def test_levels_follow_tiny_cuda_nn() -> None:
    grid = HashGrid(2, 4, 2, 19, 16, 128)  # growth of exactly 2
    assert grid.levels.scales.tolist() == [15.0, 31.0, 63.0, 127.0]
    assert grid.levels.sides.tolist() == [17, 33, 65, 129]
    assert [int(n) for n in grid.levels.offsets] == [0, 296, 296 + 1096, 296 + 1096 + 4232, 296 + 1096 + 4232 + 16648]
    hashed = HashGrid(2, 2, 2, 8, 16, 32)
    assert hashed.levels.sides.tolist() == [0, 0]  # 17^2 > 256
    assert int(hashed.levels.offsets[-1]) == 512


def test_dense_level_is_a_dense_grid() -> None:
    """Bilinear interpolation of a plain image at x * scale + 0.5, written without the table."""
    grid = _grid(2, 1, 3, 12, 8, 8)
    side = int(grid.levels.sides[0])
    image = grid.table.weight.detach()[: side * side].reshape(side, side, 3)  # [y, x]
    coords = Noise(2).uniform((200, 2))
    at = coords * float(grid.levels.scales[0]) + 0.5
    cell, f = at.floor().long(), at - at.floor()
    x, y = cell[:, 0], cell[:, 1]
    fx, fy = f[:, :1], f[:, 1:]
    top = image[y, x] * (1 - fx) + image[y, x + 1] * fx
    bottom = image[y + 1, x] * (1 - fx) + image[y + 1, x + 1] * fx
    assert torch.allclose(grid(coords), top * (1 - fy) + bottom * fy, atol=1e-5)


def test_a_linear_image_is_reproduced_exactly() -> None:
    grid = _grid(2, 1, 1, 12, 8, 8)
    side = int(grid.levels.sides[0])
    steps = torch.arange(side, dtype=torch.float32)
    with torch.no_grad():
        plane = (2.0 * steps[None, :] + 3.0 * steps[:, None]).reshape(-1, 1)
        grid.table.weight[: side * side] = plane
    coords = Noise(2).uniform((100, 2))
    at = coords * 7.0 + 0.5
    assert torch.allclose(grid(coords), (2 * at[:, :1] + 3 * at[:, 1:]), atol=1e-4)


class _Doubled(nn.Embedding):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return 2.0 * super().forward(input)


class _Negated(Interpolate):
    def forward(self, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return -super().forward(rows, weights)


def test_children_are_never_bypassed() -> None:
    grid = _grid(2, 4, 2, 8, 4, 32)
    coords = Noise(2).uniform((50, 2))
    plain = grid(coords)
    rows, weights = grid.address(coords)
    assert torch.allclose(plain, grid.interpolate(grid.table(rows), weights), atol=1e-6)
    seen = []
    handle = grid.table.register_forward_hook(lambda module, args, output: seen.append(output.shape))
    assert torch.allclose(grid(coords), plain, atol=1e-6)
    assert seen == [(50, 4, 4, 2)]
    handle.remove()
    num_rows, num_features = grid.table.weight.shape
    table = _Doubled(num_rows, num_features)
    table.weight = grid.table.weight
    grid.table = table
    assert torch.allclose(grid(coords), 2 * plain, atol=1e-6)
    grid.interpolate = _Negated()
    assert torch.allclose(grid(coords), -2 * plain, atol=1e-6)


@pytest.mark.parametrize("fused", [True, False])
def test_reads_are_counted_on_both_paths(fused: bool) -> None:
    grid = _grid(2, 4, 2, 8, 4, 32)
    if not fused:
        grid.interpolate = _Negated()
    tally = Tally()
    with tally.listen():
        grid(Noise(2).uniform((50, 2)))
    assert tally[grid.operator] == {"table_reads": 50 * 4 * 4}


def test_one_dimension_and_double_precision_take_the_plain_path() -> None:
    assert _grid(1, 3, 2, 8, 4, 16)(torch.rand(5, 1)).shape == (5, 6)
    grid = _grid(2, 3, 2, 8, 4, 16)
    single = grid(Noise(0).uniform((5, 2)))
    assert torch.allclose(grid.double()(Noise(0).uniform((5, 2)).double()).float(), single, atol=1e-5)


def test_tiny_cuda_nn_configs() -> None:
    config = {
        "otype": "HashGrid",
        "n_levels": 8,
        "n_features_per_level": 4,
        "log2_hashmap_size": 12,
        "base_resolution": 16,
        "per_level_scale": 1.5,
    }
    grid = from_tcnn(config, 2)
    growth = [(b + 1) / (a + 1) for a, b in zip(grid.levels.scales, grid.levels.scales[1:], strict=False)]
    assert growth == pytest.approx([1.5] * 7, rel=1e-5)
    assert grid.num_features == 32
    assert tcnn_arguments({"otype": "Grid"})["finest_resolution"] == 16 * 2.0**15
    dense = from_tcnn({"otype": "Grid", "type": "Dense", "n_levels": 3}, 2)
    assert dense.levels.sides.tolist() == [17, 33, 65]


@pytest.mark.parametrize(
    "bad",
    [
        {"otype": "Frequency"},
        {"otype": "Grid", "type": "Tiled"},
        {"otype": "HashGrid", "n_levles": 8},
        {"otype": "HashGrid", "n_levels": 8.5},
        {"otype": "HashGrid", "n_levels": True},
        {"otype": "HashGrid", "per_level_scale": math.nan},
        {"otype": "HashGrid", "interpolation": "Smoothstep"},
        {"otype": "HashGrid", "log2_hashmap_size": 60},
        {"otype": "DenseGrid", "n_levels": 10},
    ],
)
def test_bad_configs_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(InputError):
        from_tcnn(bad, 2)
