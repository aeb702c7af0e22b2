"""The training loop: it learns, it resumes to the same bits after kill -9, it refuses other people's folders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ohmfield.fields import presets
from ohmfield.fields.field import Field
from ohmfield.fit import loop
from ohmfield.fit.lessons import ItemLesson
from ohmfield.fit.loop import fit
from ohmfield.fit.options import FitOptions, suggested_options
from ohmfield.fit.runs import load_run
from ohmfield.signals.synthetic import shapes, zone_plate
from ohmfield.spec import InputError

SMALL = {"num_levels": 6, "log2_table": 10, "resolutions": (4, 32), "width": 16}
OPTIONS = FitOptions(steps=300, batch=256, seed=4)


def _field() -> Field:
    return presets.instant_ngp(**SMALL)


def test_a_small_image_is_learnt() -> None:
    result = fit(_field(), shapes(32), OPTIONS, progress=False)
    assert result.score["psnr_dB"] > 30.0
    assert result.score["ssim"] > 0.9
    assert result.history[-1]["step"] == 300
    assert result.history[-1]["loss"] < 0.05 * result.history[0]["loss"]


def test_bits_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OHMFIELD_THREADS", threads)
        fields.append(fit(_field(), shapes(80), FitOptions(steps=5, batch=5000), progress=False).field)
    for one, two in zip(fields[0].parameters(), fields[1].parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_whole_signal_batch_is_gradient_descent_on_all_points() -> None:
    seeds = [fit(_field(), shapes(16), FitOptions(steps=5, batch=256, seed=s), progress=False) for s in (0, 1)]
    assert seeds[0].score == seeds[1].score  # nothing left to draw
    other = [fit(_field(), shapes(16), FitOptions(steps=5, batch=255, seed=s), progress=False) for s in (0, 1)]
    assert other[0].score != other[1].score


def test_modules_with_state_of_their_own_are_called_in_order_by_one_thread() -> None:
    class Counting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sizes: list[int] = []

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.sizes.append(len(x))
            return x

    field = _field()
    counting = Counting()
    field.decoder.activations[0] = counting
    fit(field, shapes(16), FitOptions(steps=3, batch=100), progress=False)
    assert counting.sizes == [100, 100, 100, 256]


def test_an_epoch_meets_each_point_once_and_the_next_in_another_order() -> None:
    signal = shapes(16)
    lesson = ItemLesson(_field(), [], signal, FitOptions(steps=100, batch=64))
    epochs = [torch.cat([lesson.batch(step)[0] for step in range(first, first + 4)]) for first in (0, 4)]
    assert not torch.equal(*epochs)
    for epoch in epochs:
        assert torch.equal(epoch.unique(dim=0), signal.coords.unique(dim=0))
    assert torch.equal(lesson.batch(2)[0], epochs[0][128:192])  # whatever came before


def test_callback_sees_each_step() -> None:
    seen: list[int] = []
    fit(_field(), shapes(16), FitOptions(steps=4, batch=64), progress=False, callback=lambda step, _: seen.append(step))
    assert seen == [1, 2, 3, 4]


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(step: int, _: Field) -> None:
        if step == 120:
            raise Stop

    whole = fit(_field(), shapes(32), OPTIONS, tmp_path / "whole", progress=False)
    with pytest.raises(Stop):
        fit(_field(), shapes(32), OPTIONS, tmp_path / "parts", progress=False, callback=stop)
    with pytest.raises(InputError, match="not finished"):
        load_run(tmp_path / "parts")
    rest = fit(_field(), shapes(32), OPTIONS, tmp_path / "parts", progress=False)
    assert rest.resumed_from == 120
    model = "model.safetensors"
    assert (tmp_path / "parts" / model).read_bytes() == (tmp_path / "whole" / model).read_bytes()
    assert [entry["loss"] for entry in rest.history] == [entry["loss"] for entry in whole.history]
    assert rest.elapsed_s > 0


def test_an_interrupt_inside_an_update_stores_no_torn_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adam_step, calls = torch.optim.Adam.step, []

    def interrupted(adam: torch.optim.Adam) -> None:
        adam_step(adam)
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt  # the parameters have moved, the step was not counted

    options = FitOptions(steps=20, batch=64)
    fit(_field(), shapes(16), options, tmp_path / "whole", progress=False)
    monkeypatch.setattr(loop, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(torch.optim.Adam, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(_field(), shapes(16), options, tmp_path / "parts", progress=False)
    monkeypatch.undo()
    rest = fit(_field(), shapes(16), options, tmp_path / "parts", progress=False)
    assert rest.resumed_from == 6
    model = "model.safetensors"
    assert (tmp_path / "parts" / model).read_bytes() == (tmp_path / "whole" / model).read_bytes()


def test_a_finished_run_returns_at_once(tmp_run: Path) -> None:
    first = fit(_field(), shapes(16), FitOptions(steps=5, batch=64), tmp_run, progress=False)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_run.iterdir()}
    fresh = _field()
    again = fit(fresh, shapes(16), FitOptions(steps=5, batch=64), tmp_run, progress=False)
    assert again.score == first.score
    assert again.resumed_from == 5
    assert {path: path.stat().st_mtime_ns for path in tmp_run.iterdir()} == stamps
    for one, two in zip(first.field.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(one, two)


def test_other_settings_in_the_same_folder_are_refused(tmp_run: Path) -> None:
    options = FitOptions(steps=3, batch=64)
    fit(_field(), shapes(16), options, tmp_run, progress=False)
    with pytest.raises(InputError, match="options steps = 3, asked for 4"):
        fit(_field(), shapes(16), FitOptions(steps=4, batch=64), tmp_run, progress=False)
    with pytest.raises(InputError, match="signal"):
        fit(_field(), shapes(17), options, tmp_run, progress=False)
    with pytest.raises(InputError, match="field width = 16, asked for 8"):
        fit(presets.instant_ngp(**{**SMALL, "width": 8}), shapes(16), options, tmp_run, progress=False)


def test_field_and_signal_must_fit() -> None:
    with pytest.raises(InputError, match="channels=1"):
        fit(_field(), zone_plate(16), FitOptions(steps=1), progress=False)


def test_options_are_checked_and_suggested() -> None:
    with pytest.raises(InputError, match="learning_rate"):
        suggested_options(_field(), learning_rate=-1.0)
    with pytest.raises(InputError, match="rate"):
        suggested_options(_field(), rate=1.0)
    assert suggested_options(_field(), steps=None, batch=7).batch == 7
    assert suggested_options(presets.siren(width=8)).learning_rate < suggested_options(_field()).learning_rate
