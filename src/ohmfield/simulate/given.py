"""What a deployment is given: inputs to run, how their outputs are scored, and other inputs to calibrate on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ohmfield.mapping.workload import Shapes
from ohmfield.numerics import Noise
from ohmfield.signals.examples import Examples
from ohmfield.signals.points import Points
from ohmfield.signals.views import Views
from ohmfield.simulate.run import predict
from ohmfield.spec import InputError, told

Data = Points | Examples | Views | Tensor | tuple[Tensor, Tensor]
HELD_OUT = 4  # one input in so many is kept from scoring where nothing else was given to calibrate on
CALIBRATION_INPUTS = 256  # of a batch; a field's coordinates are cheap, its recipe says how many


@dataclass(frozen=True)
class Given:
    """Inputs [items, ...] that are run, and what their outputs are held against."""

    inputs: Shaped[Tensor, "items *dims"]
    score: Callable[[Float[Tensor, "items *outputs"]], dict[str, float]] = field(repr=False)
    metric: str  # the score that stands for all: in a waterfall, for other instances
    calibration: Shaped[Tensor, "others *dims"] = field(repr=False)
    items: float  # of one inference
    inference: str
    note: str  # what calibration saw
    alone: Callable[[Float[Tensor, "items *outputs"]], float] | None = field(default=None, repr=False)  # `metric` only
    around: Callable[[Shapes], Shapes] = field(
        default=lambda shapes: shapes, repr=False
    )  # what is done beside the model
    pictures: Callable[[Float[Tensor, "items *outputs"]], list[Tensor]] | None = field(default=None, repr=False)

    def headline(self, outputs: Float[Tensor, "items *outputs"]) -> float:
        """The score called `metric`."""
        return self.score(outputs)[self.metric] if self.alone is None else self.alone(outputs)


def given(data: Data, model: nn.Module, points: int = 4096, calibrate: Tensor | None = None) -> Given:
    """`data` as a deployment uses it.

    `Points` are scored against the signal, `Examples` and (inputs, labels) by accuracy and by how often the class is
    that of the float `model` (`agreement`), (inputs, targets) and bare
    inputs by what is lost against the targets or the float `model`: SNR in dB and the largest error. Calibration takes
    `calibrate`, or `points` coordinates between a signal's, or the training part of `Examples`, or the first quarter of
    the inputs, which is then not scored. `InputError` where nothing is left to score or to calibrate on.
    """
    if calibrate is not None:
        _check_calibrate(calibrate, data)
    if isinstance(data, Points):
        chosen = Noise(0).at("calibration").uniform((points, data.dim)) if calibrate is None else calibrate
        what = f"{points} coordinates between those that are scored" if calibrate is None else _theirs(calibrate)
        return Given(data.coords, data.score, "psnr_dB", chosen, float(len(data)), "frame", what, data.psnr_dB)
    if isinstance(data, Examples):
        return _of_examples(data, model, calibrate)
    inputs, targets = _parts(data)
    _checked(inputs)
    if targets is not None:
        _check_targets(targets, len(inputs))
    if targets is not None and not targets.is_floating_point():
        held = _held(len(inputs)) if calibrate is None else 0
        classes = tuple(str(label) for label in range(int(targets.max()) + 1))
        return _of_examples(Examples(inputs, targets.long(), classes, held, "inputs"), model, calibrate)
    held = _held(len(inputs)) if calibrate is None else 0
    chosen, scored = (inputs[:held] if calibrate is None else calibrate), inputs[held:]
    wanted = float_outputs(model, scored) if targets is None else targets[held:]
    what = f"the first {held} inputs, which are not scored" if calibrate is None else _theirs(calibrate)
    return Given(scored, lambda made: fidelity(made, wanted), "snr_dB", _few(chosen), 1.0, "input", what)


def fidelity(made: Float[Tensor, "*shape"], wanted: Float[Tensor, "*shape"]) -> dict[str, float]:
    """`snr_dB`, signal over error, infinite where they agree, and `max_error`.

    >>> fidelity(torch.tensor([9.0]), torch.tensor([10.0]))
    {'snr_dB': 20.0, 'max_error': 1.0}
    """
    if made.shape != wanted.shape:
        shapes = f"outputs of shape {tuple(made.shape)} cannot be held against targets of {tuple(wanted.shape)}"
        raise InputError(f"{shapes}; give targets of the same shape, or class labels as integers")
    error = made.double() - wanted.double()
    signal, lost = float(wanted.double().square().sum()), float(error.square().sum())
    snr_dB = math.inf if lost == 0.0 else -math.inf if signal == 0.0 else 10.0 * math.log10(signal / lost)
    return {"snr_dB": snr_dB, "max_error": float(error.abs().max())}


def float_outputs(model: nn.Module, inputs: Shaped[Tensor, "items *dims"]) -> Float[Tensor, "items *outputs"]:
    """What the float `model` makes of `inputs`; `InputError` with the model's own error where it does not run."""
    try:
        return predict(model, inputs)
    except InputError:
        raise
    except Exception as error:  # whatever code that is not ours raises
        shape, dtype = tuple(inputs.shape), str(inputs.dtype).removeprefix("torch.")
        raise InputError(f"the model does not run on inputs of shape {shape}, {dtype}: {told(error)}") from error


def _parts(data: object) -> tuple[Tensor, Tensor | None]:
    """Inputs and, of a pair, labels or targets."""
    pair = (data, None) if isinstance(data, Tensor) else data
    if not isinstance(pair, tuple) or len(pair) != 2:
        what = f"{len(pair)} entries" if isinstance(pair, tuple) else f"a {type(data).__name__}"
        raise InputError(f"data is {what}; give a tensor, (inputs, labels or targets), a signal or `Examples`")
    inputs, targets = pair
    for name, part in (("inputs", inputs), ("labels or targets", targets)):
        if not isinstance(part, Tensor) and part is not None:
            raise InputError(f"{name} are a {type(part).__name__}; give torch.as_tensor of them")
    if inputs is None:
        raise InputError("inputs are None; give a tensor")
    return inputs, targets


def _check_calibrate(calibrate: object, data: object) -> None:
    if not isinstance(calibrate, Tensor):
        raise InputError(f"calibrate is a {type(calibrate).__name__}; give a tensor of inputs")
    inputs = data.coords if isinstance(data, Points) else data.inputs if isinstance(data, Examples) else _parts(data)[0]
    if calibrate.shape[1:] != inputs.shape[1:]:
        shapes = f"calibrate has shape {tuple(calibrate.shape)}, the inputs {tuple(inputs.shape)}"
        raise InputError(f"{shapes}; only the first axis may differ")


def _check_targets(targets: Tensor, items: int) -> None:
    if targets.dim() == 0 or len(targets) != items:
        count = len(targets) if targets.dim() else "one number as"
        raise InputError(f"{items} inputs and {count} targets; give one for each input")
    if targets.is_complex():
        raise InputError("targets are complex; give labels as integers or targets as floats")
    if targets.is_floating_point():
        if not bool(torch.isfinite(targets).all()):
            raise InputError("targets hold NaN or infinity; remove those")
        return
    if targets.dim() != 1:
        raise InputError(f"labels have shape {tuple(targets.shape)}; give one integer for each input, ({items},)")
    if int(targets.min()) < 0:
        raise InputError(f"label {int(targets.min())} is not allowed; labels count the model's outputs from 0")


def _of_examples(data: Examples, model: nn.Module, calibrate: Tensor | None) -> Given:
    if calibrate is None and data.num_train == 0:
        data = Examples(data.inputs, data.labels, data.classes, _held(len(data)), data.name, data.source)
    scored = data.test if data.num_train else data
    chosen = data.train.inputs if calibrate is None else calibrate
    few = _few(chosen)
    what = f"{len(few)} examples that are not scored" if calibrate is None else _theirs(calibrate)
    wanted = float_outputs(model, _checked(scored.inputs))

    def score(made: Tensor) -> dict[str, float]:
        scores = scored.score(made)  # which refuses outputs that are not one number for each class
        return {**scores, "agreement": float((made.argmax(1) == wanted.argmax(1)).double().mean())}

    return Given(scored.inputs, score, "accuracy", few, 1.0, "input", what)


def _held(count: int) -> int:
    if count < 2:
        raise InputError("one input cannot be both calibrated on and scored; give two or more, or calibrate=")
    return max(1, count // HELD_OUT)


def _few(inputs: Tensor) -> Tensor:
    return _checked(inputs[:: max(1, len(inputs) // CALIBRATION_INPUTS)][:CALIBRATION_INPUTS])


def _theirs(calibrate: Tensor) -> str:
    return f"the {len(calibrate)} inputs given as calibrate"


def _checked(inputs: Tensor) -> Tensor:
    if inputs.layout != torch.strided or inputs.is_complex():
        what = "complex" if inputs.is_complex() else "sparse"
        raise InputError(f"inputs are {what}; give a dense tensor of real numbers")
    if inputs.dim() < 1 or len(inputs) == 0:
        raise InputError(f"inputs of shape {tuple(inputs.shape)} hold nothing; the first axis counts the inputs")
    if inputs.is_floating_point() and not bool(torch.isfinite(inputs).all()):
        raise InputError("inputs hold NaN or infinity; remove those")
    return inputs
