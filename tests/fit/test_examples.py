"""The training loop on labelled examples: it learns, keeps batch norms, resumes to the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from ohmfield.fit.loop import fit
from ohmfield.fit.options import FitOptions
from ohmfield.fit.runs import load_run
from ohmfield.networks import resnet
from ohmfield.signals.synthetic import gratings
from ohmfield.spec import InputError

OPTIONS = FitOptions(steps=60, batch=64, learning_rate=1e-2, epsilon=1e-8)


def _network() -> nn.Module:
    torch.manual_seed(3)
    return resnet(8, width=4, num_classes=4, channels=1)


def test_a_small_network_learns_from_the_training_part_alone() -> None:
    data = gratings()
    before = fit(_network(), data, FitOptions(steps=1, learning_rate=1e-9), progress=False).score["accuracy"]
    result = fit(_network(), data, OPTIONS, progress=False)
    assert before < 0.5
    assert result.score["accuracy"] > 0.9
    assert result.history[-1]["loss"] < 0.3 * result.history[0]["loss"]
    assert "psnr_dB" not in result.history[0]
    swapped = gratings()
    swapped.labels[data.num_train :] = 0  # of no consequence to what is learnt
    again = fit(_network(), swapped, OPTIONS, progress=False)
    for one, two in zip(result.field.parameters(), again.field.parameters(), strict=True):
        assert torch.equal(one, two)


def test_the_score_is_taken_in_eval_mode_and_the_mode_comes_back() -> None:
    result = fit(_network(), gratings(), OPTIONS, progress=False)
    assert result.field.training
    data = gratings().test
    with torch.no_grad():
        assert data.score(result.field.eval()(data.inputs)) == result.score


def test_an_interrupted_run_ends_with_the_same_bits_and_statistics(tmp_path: Path) -> None:
    def interrupt(step: int, _: nn.Module) -> None:
        if step == 25:
            raise KeyboardInterrupt

    whole = fit(_network(), gratings(), OPTIONS, run=tmp_path / "whole", progress=False)
    with pytest.raises(KeyboardInterrupt):
        fit(_network(), gratings(), OPTIONS, run=tmp_path / "cut", progress=False, callback=interrupt)
    resumed = fit(_network(), gratings(), OPTIONS, run=tmp_path / "cut", progress=False)
    assert resumed.resumed_from == 25
    for name, value in whole.field.state_dict().items():
        assert torch.equal(resumed.field.state_dict()[name], value), name
    loaded, info = load_run(tmp_path / "cut", nn.Module)
    assert info["score"] == whole.score
    assert torch.equal(loaded.state_dict()["bn1.running_mean"], whole.field.state_dict()["bn1.running_mean"])
    with pytest.raises(InputError, match="holds a ResNet; here a Field is needed"):
        load_run(tmp_path / "cut")


def test_models_that_do_not_fit_the_examples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="num_classes=4"):
        fit(resnet(8, width=4, num_classes=3, channels=1), gratings(), OPTIONS, progress=False)
    with pytest.raises(InputError, match="does not take inputs of 'gratings-8'"):
        fit(resnet(8, width=4, num_classes=4, channels=3), gratings(), OPTIONS, progress=False)
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    with pytest.raises(InputError, match="without a `config`"):
        fit(plain, gratings(), OPTIONS, run=tmp_path / "run", progress=False)
    assert fit(plain, gratings(), OPTIONS, progress=False).score["accuracy"] > 0.25
