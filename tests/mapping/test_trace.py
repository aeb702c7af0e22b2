from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ohmfield._kernels import hash_lookup
from ohmfield.chip.files import load_chip
from ohmfield.fields import presets
from ohmfield.fields.encodings.hash_grid import HashGrid
from ohmfield.fields.field import Field
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import TRACERS, Call, trace
from ohmfield.mapping.workload import Operator
from ohmfield.simulate.convert import convert, convert_unchanged
from ohmfield.simulate.formats import choose_formats
from ohmfield.spec import InputError


class Mixed(nn.Module):
    """Two calls of one layer, two operations nobody declares, and a view."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.last = nn.Linear(4, 2)

    def forward(self, x):
        x = torch.cumsum(self.layer(x), dim=1)
        x = self.layer(x.reshape(-1, 2, 2).transpose(1, 2).reshape(-1, 4))
        return self.last(torch.erfinv(x))


def hash_field() -> tuple[Field, HashGrid]:
    field = presets.build("hash", num_levels=4, log2_table=8, width=16, depth=1)
    assert isinstance(field.encoding, HashGrid)
    return field, field.encoding


def test_a_hash_field_declares_its_work_per_item():
    field, grid = hash_field()
    shapes = trace(field, torch.rand(10, 2))
    ids = [operator.id for operator in shapes.operators]
    assert ids == [
        "encoding.address#0",
        "encoding.table#0",
        "encoding.interpolate#0",
        "decoder.layers.0#0",
        "decoder.activations.0#0",
        "decoder.layers.1#0",
    ]
    assert shapes["encoding.table#0"].reads == 4 * 4
    assert shapes["encoding.table#0"].rows == grid.table.num_embeddings
    assert shapes["decoder.layers.0#0"].macs == 8 * 16
    assert shapes["decoder.activations.0#0"].function == "relu"


def test_shapes_do_not_depend_on_the_batch_nor_on_how_the_grid_runs():
    field, grid = hash_field()
    coords = torch.rand(32, 2)
    fused = trace(field, coords)
    assert trace(field, coords[:1]) == fused
    grid.table.register_forward_hook(lambda *_: None)  # forces the composed forward
    assert trace(field, coords) == fused

    class ChipTable(nn.Embedding):  # what a conversion would put there
        pass

    grid.table = ChipTable(int(grid.levels.offsets[-1]), 2)
    assert trace(field, coords) == fused


@pytest.mark.parametrize("name", ["hash", "siren", "gaussian"])
def test_a_converted_model_has_the_operators_of_the_model(name):
    field, coords, chip = presets.build(name, width=8), torch.rand(64, 2), load_chip("rram-40nm")
    shapes = trace(field, coords)
    placement = place(shapes, chip)
    converted = convert(field, chip, placement, choose_formats(field, chip, placement, coords))
    assert trace(converted, coords) == shapes
    assert trace(convert_unchanged(field), coords) == shapes


def test_tracing_keeps_the_fused_forward_and_leaves_no_hook(monkeypatch):
    field, _ = hash_field()
    ran = []
    fused = hash_lookup.hash_lookup
    monkeypatch.setattr(hash_lookup, "hash_lookup", lambda *given: ran.append(1) or fused(*given))
    trace(field, torch.rand(4, 2))
    assert ran
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in field.modules())


@pytest.mark.parametrize("name", ["siren", "quadinr", "gauss", "wire", "finer", "fourier", "gaussian"])
def test_no_preset_leaves_work_to_the_host_unseen(name):
    shapes = trace(presets.build(name, width=8), torch.rand(5, 2))
    assert not [operator for operator in shapes.operators if operator.kind == "host"]
    assert ("coordinates#0" in {operator.id for operator in shapes.operators}) == (name not in ("gaussian",))


def test_undeclared_operations_become_one_host_row_and_views_none():
    shapes = trace(Mixed(), torch.rand(6, 4))
    host = shapes["(model)#0"]
    assert host.kind == "host"
    assert host.function.split(", ") == ["cumsum", "clone", "erfinv"]
    assert host.flops == 8  # four sums, four inverses; the copy counts its bytes alone
    assert host.bytes == 3 * 2 * 4 * 4
    assert [o.id for o in shapes.operators if o.kind == "linear"] == ["layer#0", "layer#1", "last#0"]


def test_a_subclass_that_computes_more_is_not_taken_for_its_parent():
    class Scaled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) * 2

    shapes = trace(nn.Sequential(Scaled(3, 2)), torch.rand(6, 3))
    more, product = shapes.operators
    assert (product.id, product.kind, product.macs) == ("0.weight#0", "linear", 6)
    assert (more.id, more.kind, more.function, more.flops) == ("0#0", "host", "mul", 2)


def test_own_modules_are_declared_by_a_function(monkeypatch):
    class Power(nn.Module):
        def forward(self, x):
            return x**3

    def power(module: Power, call: Call) -> list[Operator]:
        return [Operator(call.id(), "activation", outputs=round(call.values), function="cube")]

    monkeypatch.setitem(TRACERS, Power, power)
    shapes = trace(nn.Sequential(nn.Linear(3, 2), Power()), torch.rand(6, 3))
    assert shapes["1#0"] == Operator("1#0", "activation", outputs=2, function="cube")


def test_an_empty_example_is_refused():
    with pytest.raises(InputError, match="has no items"):
        trace(nn.Linear(2, 2), torch.zeros(0, 2))
