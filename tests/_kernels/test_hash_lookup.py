"""The fused hash lookup against plain torch, and against itself on other numbers of threads."""

from __future__ import annotations

import pytest
import torch

from ohmfield._kernels.hash_lookup import address, hash_lookup, reference
from ohmfield.fields.encodings.hash_grid import HashGrid
from ohmfield.numerics import Noise

GRIDS = {
    "2d": (2, 6, 2, 8, 4, 64),
    "2d, dense": (2, 3, 4, 12, 4, 16),
    "3d": (3, 4, 2, 9, 4, 40),
    "4d": (4, 2, 1, 10, 3, 8),
}


def _case(name: str, num_points: int = 1000) -> tuple[HashGrid, torch.Tensor, torch.Tensor]:
    grid = HashGrid(*GRIDS[name])
    noise = Noise(3)
    with torch.no_grad():
        grid.table.weight.copy_(noise.at("table").normal(tuple(grid.table.weight.shape)))
    coords = noise.at("coords").uniform((num_points, grid.dim))
    gradient = noise.at("grad").normal((num_points, grid.num_features))
    return grid, coords, gradient


@pytest.mark.parametrize("name", GRIDS)
def test_fast_equals_reference_in_values_and_gradients(name: str) -> None:
    grid, coords, gradient = _case(name)
    results = []
    for call in (lambda x, t: reference(x, t, grid.levels), lambda x, t: hash_lookup(x, t, grid.levels)[0]):
        x, table = coords.clone().requires_grad_(), grid.table.weight.detach().clone().requires_grad_()
        features = call(x, table)
        results.append((features.detach(), *torch.autograd.grad(features, (x, table), gradient)))
    for plain, fast in zip(*results, strict=True):
        assert torch.allclose(fast, plain, rtol=1e-5, atol=1e-5 * float(plain.abs().max()))


@pytest.mark.parametrize("name", GRIDS)
def test_bits_do_not_depend_on_the_number_of_threads(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    grid, coords, gradient = _case(name, 9001)
    results = []
    for threads in ("1", "2", "3", "7"):
        monkeypatch.setenv("OHMFIELD_THREADS", threads)
        features, counts = hash_lookup(coords, grid.table.weight, grid.levels)
        results.append((features.detach(), *torch.autograd.grad(features, grid.table.weight, gradient)))
        assert counts == {"table_reads": 9001 * grid.levels.count * 2**grid.dim}
    for features, table_gradient in results[1:]:
        assert torch.equal(features, results[0][0])
        assert torch.equal(table_gradient, results[0][1])


def test_one_query_reads_and_updates_two_to_the_dim_rows_of_each_level() -> None:
    for name in GRIDS:
        grid, _, _ = _case(name, 1)
        coords = torch.full((1, grid.dim), 0.31)
        features, _ = hash_lookup(coords, grid.table.weight, grid.levels)
        (gradient,) = torch.autograd.grad(features.sum(), grid.table.weight)
        for first, last in zip(grid.levels.offsets[:-1], grid.levels.offsets[1:], strict=True):
            assert int((gradient[first:last, 0] != 0).sum()) == 2**grid.dim


def test_coordinates_outside_and_nan_stay_inside_the_table() -> None:
    grid, _, _ = _case("2d")
    wild = torch.tensor([[-1.0, 0.5], [2.0, 0.5], [float("nan"), 0.5], [float("inf"), 0.5]])
    tame = torch.tensor([[0.0, 0.5], [1.0, 0.5], [0.0, 0.5], [1.0, 0.5]])
    expected = reference(tame, grid.table.weight, grid.levels)
    assert torch.equal(reference(wild, grid.table.weight, grid.levels), expected)
    assert torch.allclose(hash_lookup(wild, grid.table.weight, grid.levels)[0], expected, atol=1e-6)


def test_rows_of_a_level_lie_in_its_part_of_the_table() -> None:
    for name in GRIDS:
        grid, coords, _ = _case(name)
        coords[:2] = torch.tensor([[0.0], [1.0]])
        rows, weights = address(coords, grid.levels)
        offsets = torch.from_numpy(grid.levels.offsets)
        assert bool((rows >= offsets[:-1, None]).all())
        assert bool((rows < offsets[1:, None]).all())
        assert torch.allclose(weights.sum(-1), torch.ones(()), atol=1e-5)
