"""`deploy` of networks: one line, scored on what calibration has not seen, or refused with the layer's name."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
import sys
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ohmfield.chip.cells import RramCell
from ohmfield.chip.units import DigitalCim
from ohmfield.deploy import Recipe, deploy
from ohmfield.mapping.fold import fold_batch_norms
from ohmfield.networks import resnet
from ohmfield.signals.examples import Examples
from ohmfield.simulate.convert import chip_layers
from ohmfield.simulate.given import given
from ohmfield.simulate.run import predict
from ohmfield.simulate.training import ChipTrained
from ohmfield.spec import InputError
from small_chip import crossbar, small_chip

ANALOG = crossbar(
    RramCell(program_fraction=0.02, read_fraction=0.005, g_min_uS=5.0),
    adc={"bits": 8, "gains": (1.0, 2.0, 4.0), "enob": 7.5, "step_levels": 1.0},
)


def norms_that_do_something(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(4)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.copy_(0.1 * torch.randn(len(module.running_mean), generator=generator))
            module.running_var.copy_(0.5 + torch.rand(len(module.running_var), generator=generator))
    return model.eval()


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(1)
    return norms_that_do_something(resnet(depth=8, width=4))


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(2))


def test_a_batch_is_scored_against_the_float_model(network: nn.Module, images: Tensor) -> None:
    made = deploy(network, small_chip(ANALOG), images)
    assert made.given.metric == "snr_dB"
    assert torch.equal(made.given.inputs, images[3:])
    assert torch.equal(made.given.calibration, images[:3])
    assert math.isinf(made.float_quality["snr_dB"])
    assert 5.0 < made.quality["snr_dB"] < dict(made.waterfall)["quantised"]
    wanted = network(images[3:])
    assert made.quality["max_error"] == pytest.approx(float((made.picture - wanted.detach()).abs().max()))
    assert "the first 3 inputs, which are not scored" in " ".join(made.notes)
    assert made.workload.items == 1.0
    assert made.bill.macs == pytest.approx(sum(o.macs for o in made.workload.shapes.operators))
    assert made.instances([0]) == [made.quality["snr_dB"]]


def test_an_exact_chip_with_many_bits_is_close_to_the_float_model(network: nn.Module, images: Tensor) -> None:
    made = deploy(network, small_chip(DigitalCim()), images, Recipe(weight_bits=12, input_bits=12))
    assert made.quality["snr_dB"] > 45.0
    assert made.quality["snr_dB"] > deploy(network, small_chip(DigitalCim()), images).quality["snr_dB"] + 6.0


def test_examples_and_labels_are_scored_by_accuracy(network: nn.Module, images: Tensor) -> None:
    labels = network(images).argmax(1)
    examples = Examples(images, labels, tuple("abcdefghij"), 4, "random")
    made = deploy(network, small_chip(DigitalCim()), examples)
    assert made.given.metric == "accuracy"
    assert torch.equal(made.given.inputs, images[4:])
    assert made.float_quality["accuracy"] == 1.0
    assert made.quality["accuracy"] >= 0.75
    pair = deploy(network, small_chip(DigitalCim()), (images, labels), calibrate=images[:2])
    assert len(pair.given.inputs) == 12
    assert "given as calibrate" in " ".join(pair.notes)
    target = deploy(network, small_chip(DigitalCim()), (images, network(images).detach()))
    assert target.quality["snr_dB"] > 20.0


def test_batch_norms_fold_to_the_same_function(network: nn.Module, images: Tensor) -> None:
    folded, notes = fold_batch_norms(network, images[:2])
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert (folded(images) - network(images)).abs().max() <= 1e-5 * network(images).abs().max()
    assert notes == ["9 batch norms are folded into the weights before them"]


class Read(nn.Module):
    """A batch norm that cannot be folded: somebody else reads what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.first = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        made = self.conv(self.first(x))
        return self.norm(made) + made


def test_a_norm_whose_input_is_read_elsewhere_stays(images: Tensor) -> None:
    model = norms_that_do_something(Read())
    folded, notes = fold_batch_norms(model, images)
    assert torch.equal(folded(images), model(images))
    assert notes == ["batch norms that do not directly follow a layer of weights stay: norm, first"]
    made = deploy(model, small_chip(DigitalCim()), images)
    assert {"norm#0", "first#0"} <= {site.operator for site in made.placement.sites.values() if site.unit == "host"}


class Branch(nn.Module):
    """Which layer runs depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.high(x) if bool((x > 0.9).all()) else self.low(x)


class Skip(nn.Module):
    """Whether a layer runs depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x) if bool((x > 0.0).all()) else x)


class Several(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer(x), x


def test_bad_input_is_named() -> None:
    torch.manual_seed(0)
    x, chip = torch.rand(8, 4), small_chip(DigitalCim())
    broken = nn.Sequential(nn.Linear(4, 2))
    with torch.no_grad():
        broken.get_parameter("0.bias")[1] = math.inf
    with pytest.raises(InputError, match=r"0\.bias: holds NaN or infinity"):
        deploy(broken, chip, x)
    with pytest.raises(InputError, match=r"inputs hold NaN or infinity"):
        deploy(nn.Linear(4, 2), chip, x / 0.0)
    with pytest.raises(InputError, match=r"high#0: ran on the scored inputs but not in the trace"):
        deploy(Branch(), chip, torch.cat([x[:2], torch.ones(6, 4)]))
    with pytest.raises(InputError, match=r"first#0: ran in the trace only"):
        deploy(Skip(), chip, torch.cat([x[:2], x[2:] - 2.0]))
    with pytest.raises(InputError, match=r"returns a tuple"):
        deploy(Several(), chip, x)
    with pytest.raises(InputError, match=r"returns a tensor of shape \(12,\) for 6 inputs"):
        deploy(nn.Sequential(nn.Linear(4, 2), nn.Flatten(0, -1)), chip, x)
    with pytest.raises(InputError, match=r"give two or more, or calibrate="):
        deploy(nn.Linear(4, 2), chip, x[:1])
    with pytest.raises(InputError, match=r"8 inputs and 3 targets"):
        deploy(nn.Linear(4, 2), chip, (x, x[:3]))
    with pytest.raises(InputError, match=r"0: its inputs are all zero"):
        deploy(nn.Sequential(nn.Linear(4, 2)), chip, x * 0.0)
    with pytest.raises(InputError, match=r"tune_steps needs"):
        deploy(nn.Linear(4, 2), chip, x, Recipe(tune_steps=2))


def test_models_that_cannot_be_copied_are_refused_with_the_next_step() -> None:
    x, chip = torch.rand(8, 4), small_chip(DigitalCim())
    traced = torch.jit.trace(nn.Sequential(nn.Linear(4, 2)), x)
    assert isinstance(traced, nn.Module)
    with pytest.raises(InputError, match=r"model: is compiled by torch.jit; give the module"):
        deploy(traced, chip, x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        normed = nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 2)))
    with pytest.raises(InputError, match=r"0: has the old weight_norm; use"):
        deploy(normed, chip, x)


def test_statistics_of_a_batch_norm_are_checked_by_their_name() -> None:
    model = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
    model.get_buffer("1.running_var")[1] = math.nan
    with pytest.raises(InputError, match=r"1\.running_var: holds NaN"):
        deploy(model, small_chip(DigitalCim()), torch.rand(8, 4))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_other_floats_are_computed_as_float32(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).to(kind), torch.rand(16, 4).to(kind)
    made = deploy(model, small_chip(DigitalCim()), x)
    assert any("computed as float32" in note for note in made.notes)
    plain = deploy(copy.deepcopy(model).float(), small_chip(DigitalCim()), x.float())
    assert torch.equal(made.picture, plain.picture)
    assert model.get_parameter("0.weight").dtype == kind
    examples = Examples(x, torch.zeros(16, dtype=torch.long), ("a", "b"), 8, "batch")
    assert deploy(model, small_chip(DigitalCim()), examples).picture.dtype == torch.float32


class Parent(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def test_a_layer_of_two_parents_is_one_layer_that_runs_twice() -> None:
    torch.manual_seed(0)
    x, layer = torch.rand(16, 4), nn.Linear(4, 4)
    for model in (nn.Sequential(Parent(layer), Parent(layer)), nn.Sequential(layer, layer)):
        made = deploy(model, small_chip(DigitalCim()), x)
        assert len(made.programmed.layers) == 1
        assert [o.kind for o in made.workload.shapes.operators] == ["linear", "linear"]
        assert made.quality["snr_dB"] > 30.0


class Computed(nn.Module):
    """Weights that a forward computes, in the model itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, 2.0 * self.layer.weight)


@pytest.mark.parametrize("model", [Computed(), nn.Linear(4, 2)])
def test_noise_aware_tuning_takes_what_is_at_the_root(model: nn.Module) -> None:
    torch.manual_seed(0)
    x = torch.rand(32, 4)
    examples = Examples(x, x[:, :2].argmax(1), ("a", "b"), 24, "largest")
    recipe = Recipe(tune_steps=2, tune_batch=16, noise_aware=True, learn_ranges=True)
    made = deploy(model, small_chip(ANALOG), examples, recipe)
    assert [cause for cause, _ in made.waterfall][:2] == ["float", "tuned"]


def test_ranges_that_training_learnt_are_those_of_the_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 2)), torch.rand(32, 4)
    examples = Examples(x, x[:, :2].argmax(1), ("a", "b"), 24, "largest")
    monkeypatch.setattr("ohmfield.deploy.learnt_ranges", lambda _: {"0": (2.0**-3, 2.0)} if trained(_) else {})
    recipe = Recipe(tune_steps=2, tune_batch=16, noise_aware=True, learn_ranges=True)
    made = deploy(model, small_chip(ANALOG), examples, recipe)
    assert float(chip_layers(made.module)["0"].form.input.scale) == 2.0**-3
    assert set(made.programmed.layers["0"].gains) == {2.0}


def trained(model: nn.Module) -> bool:
    return any(isinstance(module, ChipTrained) for module in model.modules())


def test_a_module_that_is_one_layer_runs() -> None:
    torch.manual_seed(0)
    x = torch.rand(8, 4)
    made = deploy(nn.Linear(4, 2), small_chip(DigitalCim()), x)
    assert torch.equal(predict(made.module, x[2:]), made.picture)
    assert made.workload.tally["(model)#0"]["vectors"] == 6
    assert made.quality["snr_dB"] < made.float_quality["snr_dB"]


def test_a_model_larger_than_the_chip_is_refused_where_waves_are_not_allowed(
    network: nn.Module, images: Tensor
) -> None:
    chip = small_chip(dataclasses.replace(ANALOG, num_arrays=2))
    with pytest.raises(InputError, match=r"conv1: the model needs 10 arrays of unit, 1 of them"):
        deploy(network, chip, images, Recipe(allow_waves=False))
    assert deploy(network, chip, images).placement.waves > 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"data": [[0.0] * 8] * 4}, "data is a list"),
        ({"data": None}, "data is a NoneType"),
        ({"data": (torch.rand(8, 8),) * 3}, "data is 3 entries"),
        ({"data": (torch.rand(8, 8), [0] * 8)}, "labels or targets are a list"),
        ({"data": (torch.rand(8, 8), torch.full((8, 4), math.nan))}, "targets hold NaN"),
        ({"data": torch.rand(8, 7)}, r"inputs of shape \(6, 7\), float32: RuntimeError: mat1 and mat2"),
        ({"data": torch.rand(8)}, r"inputs of shape \(6,\)"),
        ({"chip": 3}, "chip is a int"),
        ({"model": lambda x: x}, "model: is a function"),
        ({"calibrate": torch.rand(4, 7)}, r"calibrate has shape \(4, 7\), the inputs \(8, 8\)"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(
    changed: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As users call it: without the type checker of the tests, which would speak first."""
    monkeypatch.setattr(sys.modules["ohmfield.deploy"], "given", inspect.unwrap(given))
    arguments = {"model": nn.Linear(8, 4), "chip": small_chip(DigitalCim()), "data": torch.rand(8, 8)} | changed
    with pytest.raises(InputError, match=said):
        inspect.unwrap(deploy)(**arguments)
