"""Models on the meta device and exported programs: the operators of the same model with weights."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ohmfield.fields import presets
from ohmfield.mapping.trace import trace
from ohmfield.mapping.workload import Operator, Shapes
from ohmfield.networks import ResNet18, resnet, vit
from ohmfield.spec import InputError


class Everything(nn.Module):
    """A module called twice, a tied matrix, functions of parameters, products of activations, a position per token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 8)
        self.up = nn.ConvTranspose1d(8, 8, 3, stride=2)
        self.grouped = nn.Conv1d(8, 8, 3, groups=4, padding="same")
        self.act = nn.GELU()
        self.norm = nn.LayerNorm(8)
        self.twice = nn.Linear(8, 8)
        self.recurrent = nn.LSTM(8, 8, batch_first=True)
        self.head = nn.Linear(8, 50, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.grouped(self.up(self.embed(tokens).mT)).mT
        x = self.twice(self.act(self.twice(self.norm(x))))
        heads = x.unflatten(-1, (4, 2)).transpose(1, 2)
        x = F.scaled_dot_product_attention(heads, heads[:, :2], heads[:, 2:], enable_gqa=True, is_causal=True)
        x = F.relu(x.transpose(1, 2).flatten(2)) + torch.arange(x.shape[-2], device=x.device)[:, None]
        x = torch.einsum("btc,bsc->bts", x, x) @ self.recurrent(x)[0] @ self.twice.weight.T
        return self.head(x)


MODELS = {
    "resnet": (lambda: resnet(8, width=4), torch.rand(2, 3, 8, 8)),
    "vit": (lambda: vit(dim=16, depth=2, heads=2, hidden=24), torch.rand(2, 3, 32, 32)),
    "everything": (Everything, torch.randint(0, 50, (3, 5))),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_on_the_meta_device_has_its_operators(name: str) -> None:
    make, example = MODELS[name]
    with torch.device("meta"):
        bare = make().eval()
    assert all(parameter.is_meta for parameter in bare.parameters())
    assert trace(bare, example.to("meta")) == trace(make().eval(), example)


@pytest.mark.parametrize("name", ["hash", "gaussian", "wire", "fourier"])
def test_a_field_on_the_meta_device_has_its_operators(name: str) -> None:
    field = presets.build(name, width=8)
    wanted = trace(field, torch.rand(4, 2))
    assert trace(field.to("meta"), torch.empty(4, 2, device="meta")) == wanted


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("name", MODELS)
def test_an_exported_program_has_the_operators_of_its_module(name: str, device: str) -> None:
    make, example = MODELS[name]
    model, example = make().eval().to(device), example.to(device)
    wanted = trace(model, example)
    assert len({operator.kind for operator in wanted.operators}) > 2
    assert trace(torch.export.export(model, (example,))) == wanted


def on_arrays(shapes: Shapes) -> list[Operator]:
    return [operator for operator in shapes.operators if operator.kind in ("linear", "product", "activation")]


def test_encoder_layers_keep_their_matrices_and_products_when_exported() -> None:
    model, x = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(), torch.rand(2, 5, 8)
    wanted = trace(model, x)
    assert on_arrays(trace(torch.export.export(model, (x,)))) == on_arrays(wanted)
    ids = [operator.id for operator in on_arrays(wanted)]
    assert ids[:3] == ["self_attn.in_proj_weight#0", "self_attn.scores#0", "self_attn.values#0"]


def test_a_decomposed_program_keeps_its_layers_of_weights() -> None:
    model, x = resnet(8, width=4).eval(), torch.rand(2, 3, 8, 8)
    assert on_arrays(trace(torch.export.export(model, (x,)).run_decompositions())) == on_arrays(trace(model, x))


def test_a_part_without_gradients_and_a_batch_that_may_vary_are_walked() -> None:
    class Quiet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                x = torch.sin(x)
            return self.layer(x)

    model, x = Quiet(), torch.rand(6, 4)
    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("items")},))
    assert trace(program) == trace(model, x)


def test_a_program_that_chooses_by_data_is_refused() -> None:
    class Chooses(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x * 2, (x,))

    with pytest.raises(InputError, match="chooses by data"):
        trace(torch.export.export(Chooses(), (torch.rand(2, 3),)))


def test_a_program_without_items_is_refused() -> None:
    class Scalar(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1

    with pytest.raises(InputError, match="holds no items"):
        trace(torch.export.export(Scalar(), (torch.tensor(1.0),)))


def test_arguments_by_name_reach_the_model() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x: Tensor, *, mask: Tensor) -> Tensor:
            return self.layer(x) * mask

    shapes = trace(Masked(), torch.rand(4, 3), mask=torch.rand(4, 3))
    assert {operator.id for operator in shapes.operators} == {"layer#0", "(model)#0"}


def test_shared_keys_and_values_are_written_once() -> None:
    class Shared(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            keys = x[:, :2, :5]
            return F.scaled_dot_product_attention(x, keys, keys, enable_gqa=True)

    shapes = trace(Shared(), torch.rand(3, 8, 7, 4))
    scores, values = (operator for operator in shapes.operators if operator.kind == "product")
    assert (scores.groups, scores.vectors, scores.inputs, scores.outputs) == (2, 4 * 7, 4, 5)
    assert (values.groups, values.vectors, values.inputs, values.outputs) == (2, 4 * 7, 5, 4)


def test_resnet_18_has_the_parameters_and_the_macs_of_the_paper() -> None:
    # 11.7 M parameters; He et al. 2016, table 1: 1.8e9 multiply-adds.
    with torch.device("meta"):
        model, image = ResNet18().eval(), torch.empty(1, 3, 224, 224)
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_689_512
    shapes = trace(model, image)
    assert sum(operator.macs for operator in shapes.operators) == 1_814_073_344
    assert trace(copy.deepcopy(model), image) == shapes
