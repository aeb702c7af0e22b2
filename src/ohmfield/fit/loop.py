"""One training loop, resumable to the bit."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from ohmfield._kernels.threads import one_torch_thread
from ohmfield.fields.field import Field, predict
from ohmfield.fields.radiance import Radiance
from ohmfield.fit.lessons import Signal, lesson_of
from ohmfield.fit.options import FitOptions, suggested_options
from ohmfield.fit.progress import Progress
from ohmfield.fit.runs import (
    FORMAT,
    RESUME_FILE,
    load_state,
    provenance,
    read_info,
    read_json,
    read_tensors,
    save_run,
    write_json,
    write_tensors,
)
from ohmfield.render.score import score_views
from ohmfield.signals.examples import Examples
from ohmfield.signals.points import Points
from ohmfield.signals.views import Views
from ohmfield.spec import InputError, to_plain

CHECKPOINT_S = 10.0
"""Seconds between two writes of `resume.safetensors`: what a killed run loses at most."""

HISTORY_POINTS = 200
"""Entries of `history.json`."""

EXAMPLES_AT_ONCE = 256
"""Examples per forward when a network is scored: no tensor grows past some tens of megabytes."""

Model = TypeVar("Model", bound=nn.Module)
Callback = Callable[[int, Model], None]


@dataclass(frozen=True)
class FitResult(Generic[Model]):
    """A trained model and how it got there."""

    field: Model
    score: dict[str, float]
    """of all points: `psnr_dB`, `ssim`; of a shape: `iou`, `chamfer`; of the test examples: `accuracy`"""
    history: list[dict[str, float]]
    """`step`, `loss` (and `psnr_dB` of points) of the batches since the last entry, `elapsed_s`"""
    elapsed_s: float
    """time spent in training steps, earlier parts of a resumed run included"""
    samples_per_s: float
    resumed_from: int
    """the step this call started at"""


def fit(
    field: Model,
    signal: Signal,
    options: FitOptions | None = None,
    run: str | os.PathLike[str] | None = None,
    progress: bool = True,
    callback: Callback[Model] | None = None,
    scored: bool = True,
) -> FitResult[Model]:
    """Trains `field` in place on `signal` and returns it with its score.

    Adam with a cosine schedule on shuffled items; the loss is what `lesson_of` says for the kind of signal.
    Which items a step takes depends on the seed and the step alone. With a `run` folder the same call after a kill goes
    on where it stopped and ends with the same bits; a finished run is read back. `callback(step, field)` runs after
    each step; without `scored` nobody asks for the score. Raises `InputError` when the model does not fit the signal,
    the folder holds another run, or it cannot be written.
    """
    options = options or suggested_options(field)
    _check(field, signal)
    folder = Path(run) if run is not None else None
    info = {
        "seed": options.seed,
        "signal": signal.describe(),
        "options": to_plain(options),
        "field": getattr(field, "config", {}),
    }
    if folder is not None and not info["field"]:
        raise InputError(
            f"{folder}: a {type(field).__name__} without a `config` cannot be built again from a folder; "
            "fit a field or network of the package, or leave the run folder out"
        )
    training = _Training(field, signal, options)
    if folder is not None:
        finished = _open_folder(folder, info, training)
        if finished is not None:
            return finished
    started_at = training.step
    try:
        _train(training, folder, progress, callback)
    finally:
        if folder is not None and training.whole:  # also on ctrl-c or a failing callback
            training.save(folder)
    score = _score(field, signal) if scored else {}
    rate = training.items / max(training.elapsed_s, 1e-9)
    if folder is not None:
        figures = {"finished": True, "score": score, "elapsed_s": training.elapsed_s, "samples_per_s": rate}
        save_run(folder, field, {**provenance(), **info, **figures}, training.history)
    return FitResult(field, score, training.history, training.elapsed_s, rate, started_at)


def _check(model: nn.Module, signal: Signal) -> None:
    """Raises `InputError` where `model` has not the inputs or outputs that `signal` asks for."""
    if isinstance(signal, Views):
        if not isinstance(model, Radiance):
            name = (
                f"field {model.config['preset']}" if isinstance(model, Field) and model.config else type(model).__name__
            )
            raise InputError(
                f"{name} maps coordinates, {signal.name!r} holds posed views; fit a radiance field: instant-ngp"
            )
        return
    if not isinstance(signal, Examples):
        if isinstance(model, Field) and (signal.dim != model.dim or signal.channels != model.channels):
            raise InputError(
                f"field maps {model.dim} coordinates to {model.channels} values, signal {signal.name!r} has "
                f"{signal.dim} and {signal.channels}; build the field with dim={signal.dim}, channels={signal.channels}"
            )
        return
    try:
        made = tuple(_in_eval(model, signal.inputs[:1]).shape)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{type(model).__name__} does not take inputs of {signal.name!r}: {reason}") from None
    if made != (1, len(signal.classes)):
        raise InputError(
            f"{type(model).__name__} gives {made} for one example of {signal.name!r}; "
            f"build it with num_classes={len(signal.classes)}"
        )


def _score(model: nn.Module, signal: Signal) -> dict[str, float]:
    """Of all points, of the whole shape, or of the test examples (of the others where there are none)."""
    if isinstance(signal, Points):
        return signal.score(predict(model, signal.coords))
    if isinstance(signal, Views):
        assert isinstance(model, Radiance)
        return score_views(model, signal)
    if not isinstance(signal, Examples):
        return signal.score(lambda coords: predict(model, coords))
    part = signal.test if signal.num_train < len(signal) else signal
    return part.score(_in_eval(model, part.inputs))


def _in_eval(model: nn.Module, inputs: Tensor) -> Tensor:
    """What `model` makes of `inputs` in `eval` mode; its mode is restored."""
    training = model.training
    try:
        return predict(model.eval(), inputs, EXAMPLES_AT_ONCE)
    finally:
        model.train(training)


class _Training(Generic[Model]):
    """What changes while a field is trained: parameters, moments, step, history."""

    def __init__(self, field: Model, signal: Signal, options: FitOptions) -> None:
        self.field = field
        self.options = options
        self.named = {name: value for name, value in field.named_parameters() if value.requires_grad}
        self.parameters = list(self.named.values())
        self.adam = torch.optim.Adam(
            self.parameters, lr=options.learning_rate, betas=(0.9, 0.99), eps=options.epsilon, fused=True
        )
        self.lesson = lesson_of(field, self.parameters, signal, options)
        self.items = 0  # points, examples or rays so far
        self.step = 0
        self.whole = True  # parameters, moments and `step` belong together
        self.elapsed_s = 0.0
        self.history: list[dict[str, float]] = []

    def learning_rate(self) -> float:
        """Cosine from the full rate to its `final_rate` part."""
        fraction = 0.5 * (1.0 + math.cos(math.pi * self.step / self.options.steps))
        return self.options.learning_rate * (self.options.final_rate + (1.0 - self.options.final_rate) * fraction)

    def update(self) -> float:
        """One step; its loss."""
        loss, gradients = self.lesson.gradients(self.step)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self.adam.param_groups[0]["lr"] = self.learning_rate()
        self.whole = False
        self.adam.step()
        self.step += 1
        self.items += self.lesson.per_step
        self.lesson.advance(self.step)
        self.whole = True
        return loss

    def buffers(self) -> dict[str, Tensor]:
        """What the model keeps beside the trained parameters: statistics of batch norms, fixed projections."""
        return {name: value for name, value in self.field.state_dict().items() if name not in self.named}

    def save(self, folder: Path) -> None:
        """Writes `resume.safetensors` and the history."""
        tensors: dict[str, Tensor] = {"step": torch.tensor(self.step), "elapsed_s": torch.tensor(self.elapsed_s)}
        tensors["items"] = torch.tensor(self.items)
        tensors |= {f"lesson.{name}": value for name, value in self.lesson.state().items()}
        tensors |= {f"buffer.{name}": value for name, value in self.buffers().items()}
        for name, parameter in self.named.items():
            state = self.adam.state.get(parameter, {})
            tensors[f"parameter.{name}"] = parameter
            for moment in ("exp_avg", "exp_avg_sq"):
                tensors[f"{moment}.{name}"] = state.get(moment, torch.zeros_like(parameter))
        write_json(folder / "history.json", self.history)
        write_tensors(folder / RESUME_FILE, tensors)

    def load(self, folder: Path) -> None:
        """Goes back to what `save` wrote."""
        path = folder / RESUME_FILE
        tensors = read_tensors(path)
        kept = self.buffers()
        lesson = self.lesson.state()
        wanted = {"step", "elapsed_s", "items"} | {f"buffer.{name}" for name in kept}
        wanted |= {f"lesson.{name}" for name in lesson}
        wanted |= {f"{kind}.{name}" for kind in ("parameter", "exp_avg", "exp_avg_sq") for name in self.named}
        if set(tensors) != wanted:
            raise InputError(f"{path}: does not belong to this field; fit into a new folder")
        self.step = int(tensors["step"])
        self.elapsed_s, self.items = float(tensors["elapsed_s"]), int(tensors["items"])
        self.lesson.restore({name: tensors[f"lesson.{name}"] for name in lesson})
        state = {name: tensors[f"parameter.{name}"] for name in self.named}
        load_state(self.field, {**state, **{name: tensors[f"buffer.{name}"] for name in kept}}, path)
        for name, parameter in self.named.items():
            self.adam.state[parameter] = {
                "step": torch.tensor(float(self.step)),
                "exp_avg": tensors[f"exp_avg.{name}"],
                "exp_avg_sq": tensors[f"exp_avg_sq.{name}"],
            }
        history = read_json(folder / "history.json")
        self.history = [entry for entry in history if entry["step"] <= self.step]


def _open_folder(folder: Path, info: Mapping[str, Any], training: _Training[Model]) -> FitResult[Model] | None:
    """Prepares the run folder: the result of a finished run, or None with `training` where it left off."""
    if not (folder / "run.json").exists():
        write_json(folder / "run.json", {"format": FORMAT, **provenance(), **info, "finished": False})
        return None
    known = read_info(folder)
    for key in ("field", "options", "signal"):
        _same(folder, key, known.get(key), info[key])
    if known.get("finished"):
        path = folder / "model.safetensors"
        load_state(training.field, read_tensors(path), path)
        history = read_json(folder / "history.json")
        figures = known["score"], history, known["elapsed_s"], known["samples_per_s"]
        return FitResult(training.field, *figures, resumed_from=training.options.steps)
    if (folder / RESUME_FILE).exists():
        training.load(folder)
    return None


def _same(folder: Path, what: str, known: Any, given: Any) -> None:
    given = json.loads(json.dumps(given))  # tuples become lists, as in the file
    known, given = (value if isinstance(value, dict) else {} for value in (known, given))
    for key in sorted(set(known) | set(given)):
        if key not in ("source", "name") and known.get(key) != given.get(key):
            raise InputError(
                f"{folder}: holds a run with {what} {key} = {known.get(key)!r}, asked for {given.get(key)!r}; "
                "use the same settings to go on, or another folder"
            )


def _train(training: _Training[Model], folder: Path | None, progress: bool, callback: Callback[Model] | None) -> None:
    options = training.options
    every = max(1, options.steps // HISTORY_POINTS)
    before = torch.get_num_threads()
    with Progress(options.steps, enabled=progress) as bar, one_torch_thread():
        if training.lesson.plain:
            training.lesson.gradients(training.step)  # compiles the kernels, outside the clock
        else:
            torch.set_num_threads(before)
        losses: list[float] = []
        started = time.perf_counter() - training.elapsed_s
        saved = time.perf_counter()
        before_now = training.items
        begin = time.perf_counter()
        while training.step < options.steps:
            losses.append(training.update())
            training.elapsed_s = time.perf_counter() - started
            if training.step % every == 0 or training.step == options.steps:
                loss = sum(losses) / len(losses)
                losses.clear()
                shown = training.lesson.progress(loss)
                training.history.append({"step": training.step, **shown, "elapsed_s": training.elapsed_s})
                rate = (training.items - before_now) / (time.perf_counter() - begin)
                bar.update(training.step, shown, rate)
            if callback is not None:
                callback(training.step, training.field)
            if folder is not None and time.perf_counter() - saved > CHECKPOINT_S:
                training.save(folder)
                saved = time.perf_counter()
