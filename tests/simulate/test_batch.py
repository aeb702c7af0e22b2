"""A batch of instances: the bits of each alone, what is common computed once, nothing of one seen by another."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from ohmfield.chip.cells import RramCell
from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar, DigitalCim
from ohmfield.deploy import Deployment, Recipe, deploy
from ohmfield.fields.presets import build
from ohmfield.signals.synthetic import zone_plate
from ohmfield.simulate import batch as module
from ohmfield.simulate.batch import Batch, Common
from ohmfield.simulate.run import install, predict, program
from ohmfield.simulate.statistical import match_moments
from small_chip import crossbar, small_chip

SEEDS = (4, 5, 6)


def noisy() -> Chip:
    return small_chip(
        crossbar(
            RramCell(program_fraction=0.03, read_fraction=0.02, g_min_uS=5.0),
            copies=2,
            adc={"bits": 7, "gains": (1.0, 2.0, 4.0), "enob": 6.5, "step_levels": 1.0},
        )
    )


class Awkward(nn.Module):
    """What is common is written to in place, seen again later, and handed on as a view."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.same = nn.ReLU(inplace=True), nn.Identity()
        self.first, self.twice, self.last = nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3)
        self.again = self.twice

    def forward(self, x: Tensor) -> Tensor:
        y = self.twice(x - 0.1)
        z = self.same(y)
        z.add_(x)
        z = self.before(z - 0.2)
        z.mul_(1.5)
        return self.last(self.again(self.first(z) + y - z))


def alone(made: Deployment, seeds: Sequence[int]) -> list[float]:
    """The score of each instance, installed in the deployment's own module and run by itself."""
    gains = {path: layer.gains for path, layer in made.programmed.layers.items()}
    scores = []
    for seed in seeds:
        install(made.module, made.chip, program(made.module, made.chip, seed=seed, gains=gains))
        if made.fitted_on is not None:
            match_moments(made.module, made.fitted_on)
        scores.append(made.given.headline(predict(made.module, made.given.inputs)))
    return scores


def deployed(what: str) -> Deployment:
    torch.manual_seed(0)
    if what == "awkward":
        return deploy(Awkward().eval(), noisy(), torch.rand(40, 6))
    if what == "convolutions":
        layers = (nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten())
        return deploy(nn.Sequential(*layers, nn.Linear(288, 5)).eval(), noisy(), torch.rand(16, 3, 8, 8))
    signal = zone_plate(24)
    field = build("hash", channels=signal.channels, num_levels=4, log2_table=8, width=16, resolutions=(4, 24))
    arithmetic = "moment_matched" if what == "moments" else "exact"
    return deploy(field.eval(), noisy(), signal, Recipe(calibration_points=128, arithmetic=arithmetic))


@pytest.mark.parametrize("what", ["awkward", "convolutions", "field", "moments"])
def test_each_score_is_the_bits_of_the_instance_alone(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = deployed(what)
    monkeypatch.setattr("ohmfield.simulate.formats.CHUNK", 7)  # several chunks, so that a second instance meets them
    wanted = alone(made, SEEDS)
    assert len(set(wanted)) == len(SEEDS)
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("OHMFIELD_THREADS", threads)
        assert made.study(SEEDS).scores[0].tolist() == wanted
    monkeypatch.setattr(Common.__init__, "__defaults__", (0,))
    assert made.study(SEEDS).scores[0].tolist() == wanted  # no room: everything is computed again


def test_what_is_common_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = deployed("field")
    monkeypatch.setenv("OHMFIELD_THREADS", "1")
    asked: list[int] = []
    encoding = made.module.get_submodule("encoding")
    address = type(encoding).forward

    def counted(grid: nn.Module, coords: Tensor) -> Tensor:
        asked.append(len(coords))
        return address(grid, coords)

    monkeypatch.setattr(type(encoding), "forward", counted)
    made.study(SEEDS)
    assert sum(asked) == len(made.given.inputs)


def test_room_is_never_exceeded() -> None:
    made = deployed("field")
    features = 4 * 8 * len(made.given.inputs)  # float32 of 4 levels
    kept = Batch(made.module, made.chip, made.given.inputs, made.given.headline)
    kept.scored = Common(most_bytes=features // 2)
    kept.score(made.programmed)
    assert 0 <= kept.scored.num_bytes <= features // 2


def test_a_replica_shares_weights_and_leaves_the_model_alone() -> None:
    made = deployed("convolutions")
    before = {name: layer.product for name, layer in module.chip_layers(made.module).items()}
    replica = module.replica_of(made.module)
    for mine, theirs in zip(replica.parameters(), made.module.parameters(), strict=True):
        assert mine is theirs
    made.study([1])
    assert {name: layer.product for name, layer in module.chip_layers(made.module).items()} == before
    assert torch.equal(predict(made.module, made.given.inputs), made.picture)


def test_layers_on_digital_units_are_common() -> None:
    chip = noisy()
    both = dataclasses.replace(chip, units={**chip.units, "digital": DigitalCim()})
    torch.manual_seed(0)
    made = deploy(nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3)).eval(), both, torch.rand(24, 6))
    kinds = [type(both.units[layer.plan.unit]) for layer in module.chip_layers(made.module).values()]
    scores = made.study(SEEDS).scores[0].tolist()
    assert scores == alone(made, SEEDS)
    assert (len(set(scores)) > 1) == (Crossbar in kinds)
