"""`deploy`: a model, a chip, data - what that chip would make of it, and what it would cost."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ohmfield.chip.chip import Chip
from ohmfield.chip.files import load_chip
from ohmfield.chip.units import Crossbar
from ohmfield.cost.bill import Bill
from ohmfield.cost.evaluate import evaluate
from ohmfield.fields.encodings.fourier import GaussianEncoding
from ohmfield.fields.radiance import Radiance
from ohmfield.fit.loop import Callback, fit
from ohmfield.fit.options import FitOptions
from ohmfield.mapping.fold import fold_batch_norms
from ohmfield.mapping.place import place
from ohmfield.mapping.staying import Placed, placed, staying
from ohmfield.mapping.trace import trace
from ohmfield.mapping.workload import Placement, Workload
from ohmfield.numerics import Noise, spread
from ohmfield.signals.examples import Examples
from ohmfield.signals.points import Points
from ohmfield.signals.views import Views
from ohmfield.simulate.batch import Batch
from ohmfield.simulate.calibrate import VECTORS, CodeHistogram, choose_gains, histograms
from ohmfield.simulate.checks import as_float32, check_kind, check_tally, check_weights
from ohmfield.simulate.convert import chip_layers, convert
from ohmfield.simulate.formats import InputZero, choose_formats, chunk_of
from ohmfield.simulate.given import Data, Given, float_outputs, given
from ohmfield.simulate.given_views import given_views
from ohmfield.simulate.journal import Journal
from ohmfield.simulate.noisy import learnt_ranges, refresh, with_noise, without_noise
from ohmfield.simulate.products import CrossbarProduct
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.run import predict, program
from ohmfield.simulate.statistical import MomentMatchedProduct
from ohmfield.simulate.study import Study, study
from ohmfield.simulate.training import clip_weights
from ohmfield.simulate.waterfall import layer_losses, waterfall
from ohmfield.spec import InputError, knob, spec, to_plain

Progress = Callable[[str], None]
Ranges = Mapping[str, tuple[float, float]]
"""Scale of a layer's inputs and gain of its converters, by path."""
EXAMPLE_ITEMS = 64  # coordinates that a trace runs
MEASURED = 4  # times that noise-aware tuning measures what the chip does to the weights it has reached
CLIPPED_SHARE = 0.1  # of a layer's conversions, above which a range is said to clip too much
SEEN = {"design": "too", "instance": "this instance at its first read", "aged": "this instance at its age"}


@spec
class Recipe:
    """What happens between a trained model and a chip."""

    weight_bits: int = knob("both", 8, ge=1, le=12, doc="bits of a weight")
    input_bits: int = knob("both", 8, ge=2, le=12, doc="bits of an input of a linear layer")
    calibration: Literal["mse", "max", "percentile"] = knob("both", "mse", doc="rule for grids and converter ranges")
    calibration_points: int = knob("label", 4096, ge=64, le=2**20, doc="coordinates that calibration sees")
    granularity: Literal["chip", "layer", "slice"] = knob("both", "layer", doc="what shares one converter range")
    calibration_sees: Literal["design", "instance", "aged"] = knob(
        "both", "design", doc="what ranges are chosen on: ideal cells, this instance at its first read, or at elapsed_s"
    )
    tune_steps: int = knob("label", 0, ge=0, le=10**6, doc="fine-tuning steps, all parameters")
    tune_batch: int = knob("label", 8192, ge=16, le=2**20, doc="coordinates per step")
    tune_rate: float = knob("label", 1e-2, gt=0, le=1, doc="Adam's step size at the start; cosine to a hundredth")
    noise_aware: bool = knob("label", False, doc="tune with the errors of analog layers drawn anew in every step")
    learn_ranges: bool = knob("label", False, doc="noise-aware: train input ranges and converter gains as well")
    weight_clip: float | None = knob(
        "label", None, gt=0, le=100, doc="noise-aware: largest weight, in sd of its output"
    )
    allow_waves: bool = knob("cost", True, doc="weights that do not fit are written in turns; else they are refused")
    inferences_between: float = knob("cost", 1e4, gt=0, doc="inferences between two calibrations that see an age")
    elapsed_s: float = knob("environment", 0.0, ge=0, doc="age of the instance, counted from its first read")
    input_zero: InputZero = knob(
        "both", "none", doc="calibrated: inputs below zero may have a zero point, where that errs less than a sign"
    )
    arithmetic: Literal["exact", "moment_matched"] = knob("label", "exact", doc="every conversion, or its statistics")


@dataclass(frozen=True, eq=False)
class Deployment:
    """What one chip makes of one model: its outputs, their quality, where it was lost, and the bill.

    `picture` holds the outputs of the inputs that were scored, `given` those inputs and the score; of a signal of
    points it is the picture, of posed views `frames` are.
    """

    chip: Chip
    recipe: Recipe
    seed: int
    module: nn.Module
    programmed: Programmed
    placement: Placement
    workload: Workload
    bill: Bill
    picture: Float[Tensor, "num *outputs"]
    quality: dict[str, float]
    float_quality: dict[str, float]
    waterfall: tuple[tuple[str, float], ...]
    histograms: dict[str, CodeHistogram]
    given: Given = field(repr=False)
    notes: tuple[str, ...] = ()
    fitted_on: Tensor | None = field(default=None, repr=False)  # inputs of the fits of a moment-matched recipe

    @property
    def frames(self) -> list[Float[Tensor, "height width 3"]]:
        """Of posed views: those that were scored, as this chip renders them; none of other data."""
        return [] if self.given.pictures is None else self.given.pictures(self.picture)

    @property
    def placed(self) -> tuple[Placed, ...]:
        """Where every operator runs, and why what stays digital does."""
        return placed(self.workload.shapes, self.placement)

    def instances(self, seeds: Sequence[int]) -> list[float]:
        """The headline score on other chips of this design: same weights and converter ranges, newly drawn errors."""
        return self.study(seeds, (self.programmed.elapsed_s,)).scores[0].tolist()

    def study(
        self,
        seeds: Sequence[int],
        elapsed_s: Sequence[float] = (0.0,),
        *,
        journal: Path | None = None,
        progress: bool = False,
    ) -> Study:
        """The headline score on other chips of this design, each read at every age after being written once.

        Each score is the same bits alone and among others. With the file `journal` a study that was stopped goes on
        where it was; `progress` shows a bar.
        """
        gains = {path: layer.gains for path, layer in self.programmed.layers.items()}
        seen_s = self.programmed.elapsed_s if self.recipe.calibration_sees == "aged" else 0.0

        def write(seed: int) -> Programmed:
            return program(self.module, self.chip, seed=seed, gains=gains, corrected_s=seen_s)

        batch = Batch(self.module, self.chip, self.given.inputs, self.given.headline, self.fitted_on)
        kept = None if journal is None else Journal(journal, self.key)
        metric = self.given.metric
        return study(
            write, batch.score, metric=metric, seeds=seeds, elapsed_s=elapsed_s, journal=kept, progress=progress
        )

    @property
    def key(self) -> str:
        """A digest of all that the scores of other instances follow from: chip, recipe, weights, data, ranges."""
        digest = hashlib.blake2b(digest_size=16)
        for name, tensor in (*sorted(self.module.state_dict().items()), ("inputs", self.given.inputs)):
            digest.update(f"{name} {tuple(tensor.shape)}".encode() + tensor.contiguous().numpy().tobytes())
        gains = {path: layer.gains for path, layer in self.programmed.layers.items()}
        operators = [operator.id for operator in self.workload.shapes.operators]
        # A model's code is not in its weights, nor are labels: what they make is told by the scores, to five digits.
        scores = [f"{cause} {score:.5g}" for cause, score in self.waterfall]
        known = [to_plain(self.chip), to_plain(self.recipe), self.seed, gains, operators, self.given.metric, scores]
        digest.update(json.dumps(known, sort_keys=True, default=str).encode())
        return digest.hexdigest()

    def layer_losses(self, num: int = VECTORS) -> dict[str, dict[str, float]]:
        """Which layer loses how much to which cause, on `num` of the inputs, evenly spread: see `waterfall`."""
        inputs = self.given.inputs
        return layer_losses(self.module, self.chip, self.programmed, inputs[spread(len(inputs), num)])


def deploy(
    model: nn.Module,
    chip: Chip | str,
    data: Data,
    recipe: Recipe | None = None,
    *,
    calibrate: Tensor | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Deployment:
    """`model` on `chip`, run on `data`: calibrated, tuned if the recipe says so, written into one drawn instance.

    `model` takes one tensor whose first axis counts items and returns one. `chip` may be the name of a preset or of a
    file; `seed` is the chip instance. `data` is a signal, examples, a batch of inputs, or (inputs, labels or targets);
    `simulate.given.given` says how each is scored and what calibration sees: never what is scored.
    Raises `InputError` where the chip cannot hold the model.
    """
    recipe, say = recipe or Recipe(), progress or (lambda _: None)
    check_kind(model)
    if not isinstance(chip, (Chip, str)):
        raise InputError(f"chip is a {type(chip).__name__}; give a Chip, or the name of a preset or of a file")
    chip = load_chip(chip) if isinstance(chip, str) else chip
    model = copy.deepcopy(model).eval()
    data, calibrate, notes = as_float32(model, data, calibrate)
    say("trace and place")
    check_weights(model)
    what = _given(data, model, recipe, calibrate)
    float_scores = what.score(float_outputs(model, what.inputs))
    example = what.calibration[: min(EXAMPLE_ITEMS, chunk_of(what.calibration))]
    float_outputs(model, example)
    model, folded = fold_batch_norms(model, example)
    notes += folded
    shapes = what.around(trace(model, example))
    placement = place(shapes, chip, recipe.weight_bits, recipe.input_bits, allow_waves=recipe.allow_waves)
    floats = [("float", float_scores[what.metric])]
    notes += _draw_projections(model, chip, recipe, seed)
    say("calibrate")
    chosen, ranges = what.calibration, {}
    module = _converted(model, chip, placement, chosen, recipe)
    if recipe.tune_steps:
        say(f"tune, {recipe.tune_steps} steps")
        if not recipe.noise_aware:
            tune(module, data, recipe)
            predict(module, chosen[:1])  # weights that the model computes now follow from the tuned ones
        elif any(isinstance(chip.units[layer.plan.unit], Crossbar) for layer in chip_layers(module).values()):
            model, ranges = _tuned_for(model, chip, placement, chosen, data, recipe)
            floats.append(("tuned", what.headline(predict(model, what.inputs))))
            module = _converted(model, chip, placement, chosen, recipe, ranges)
        else:
            notes.append("noise-aware tuning left the model as it was: no layer of it is analog here")
    shifted = {layer.module_path for layer in chip_layers(module).values() if layer.plan.input_zero}
    placement = replace(placement, zero_points=frozenset(shifted))
    seen_s = recipe.elapsed_s if recipe.calibration_sees == "aged" else 0.0
    seen = None if recipe.calibration_sees == "design" else program(module, chip, seed=seed, elapsed_s=seen_s)
    gains = choose_gains(module, chip, chosen, rule=recipe.calibration, granularity=recipe.granularity, programmed=seen)
    gains |= {path: (ranges[path][1],) * len(known) for path, known in gains.items() if path in ranges}
    say("program one instance")
    programmed = program(module, chip, seed=seed, elapsed_s=recipe.elapsed_s, gains=gains, corrected_s=seen_s)
    say("run")
    fitted_on = chosen if recipe.arithmetic == "moment_matched" else None
    losses = waterfall(module, chip, programmed, what.inputs, what.headline, fitted_on, say)
    check_tally(shapes, placement, chip, losses.tally)
    ran = float(len(what.inputs))
    times = {"design": 0.0, "instance": 1.0 / chip.inferences_per_write, "aged": 1.0 / recipe.inferences_between}
    seen = VECTORS * times[recipe.calibration_sees]
    workload = Workload(shapes, what.items, what.inference, tally=losses.tally, tally_items=ran, range_vectors=seen)
    codes = histograms(module, chip, programmed, chosen)
    notes += [line for line in [staying(placed(shapes, placement))] if line]
    notes += _paths(module, chip, recipe, what) + _lines(programmed) + _clipped(codes)
    return Deployment(
        chip=chip,
        recipe=recipe,
        seed=seed,
        module=module,
        programmed=programmed,
        placement=placement,
        workload=workload,
        bill=evaluate(chip, workload, placement),
        picture=losses.picture,
        quality=what.score(losses.picture),
        float_quality=float_scores,
        waterfall=(*floats, *losses.scores),
        histograms=codes,
        given=what,
        notes=tuple(notes),
        fitted_on=fitted_on,
    )


def _given(data: Any, model: nn.Module, recipe: Recipe, calibrate: Tensor | None) -> Given:
    if not isinstance(data, Views):
        return given(data, model, recipe.calibration_points, calibrate)
    if not isinstance(model, Radiance):
        raise InputError(
            f"{data.name!r} holds posed views, which a {type(model).__name__} does not render; give a Radiance"
        )
    if calibrate is not None:
        raise InputError("calibrate is not taken with posed views: samples of training views are what calibration sees")
    return given_views(model, data, recipe.calibration_points)


def tune(module: nn.Module, data: Data, recipe: Recipe, callback: Callback[nn.Module] | None = None) -> nn.Module:
    """Trains every parameter of `module` in place on `data`, `tune_steps` long; comes back in `eval` mode."""
    if not isinstance(data, (Points, Examples, Views)):
        raise InputError("tune_steps needs a signal or `Examples` to learn from; a batch of inputs has no answers")
    options = FitOptions(
        steps=recipe.tune_steps, batch=recipe.tune_batch, learning_rate=recipe.tune_rate, epsilon=1e-8, seed=1
    )
    fit(module.train(), data, options, progress=False, callback=callback, scored=False)
    return module.eval()


def _tuned_for(
    model: nn.Module, chip: Chip, placement: Placement, chosen: Tensor, data: Data, recipe: Recipe
) -> tuple[nn.Module, Ranges]:
    """The float model trained with the errors of its chip, and the ranges it learnt (none unless asked for)."""

    def measured(now: nn.Module) -> nn.Module:
        module = _converted(now, chip, placement, chosen, recipe)
        gains = choose_gains(module, chip, chosen, rule=recipe.calibration)
        learn = recipe.learn_ranges
        return with_noise(now, module, chip, chosen, gains=gains, elapsed_s=recipe.elapsed_s, learn_ranges=learn)

    again = {recipe.tune_steps * part // MEASURED for part in range(1, MEASURED)}

    def after_step(step: int, trained: nn.Module) -> None:
        if recipe.weight_clip is not None:
            clip_weights(trained, recipe.weight_clip)
        if step in again:
            refresh(trained, measured(without_noise(copy.deepcopy(trained))))

    noisy = tune(measured(model), data, recipe, after_step)
    ranges = learnt_ranges(noisy) if recipe.learn_ranges else {}  # before the layers that hold them go
    return without_noise(noisy), ranges


def _converted(
    model: nn.Module,
    chip: Chip,
    placement: Placement,
    coords: Shaped[Tensor, "num *dims"],
    recipe: Recipe,
    ranges: Ranges | None = None,
) -> nn.Module:
    scales = {path: scale for path, (scale, _) in (ranges or {}).items()}
    formats = choose_formats(model, chip, placement, coords, recipe.calibration, scales, recipe.input_zero)
    return convert(model, chip, placement, formats)


def _draw_projections(model: nn.Module, chip: Chip, recipe: Recipe, seed: int) -> list[str]:
    """Replaces Gaussian projections by cells as they grew, if there are such cells and tuning that follows them."""
    notes = []
    for path, module in model.named_modules():
        if not isinstance(module, GaussianEncoding):
            continue
        noise = Noise(seed).at("instance", path, "projection")
        drawn = grown_projection(chip, module.projection, noise)
        if drawn is None:
            notes.append(
                f"{path}: no cell of this chip has a spread to draw a projection from; the trained one is kept"
            )
        elif recipe.tune_steps == 0:
            notes.append(f"{path}: the trained projection is kept; with tune_steps it is drawn from the chip's cells")
        else:
            module.projection.copy_(drawn)
            notes.append(f"{path}: projection drawn from pairs of cells of this instance, the decoder tuned to it")
    return notes


def grown_projection(chip: Chip, like: Float[Tensor, "dim num"], noise: Noise) -> Float[Tensor, "dim num"] | None:
    """A projection of the bandwidth of `like`, from differences of cell pairs written to mid range without verify.

    Source: the Gaussian encoder of arXiv 2404.09613. None where no crossbar's cells spread when written.
    """
    for unit in chip.units.values():
        if not isinstance(unit, Crossbar):
            continue
        first, second = unit.cell.grow((2, *like.shape), noise)
        difference = first - second
        spread = float(difference.std())
        if spread > 0.0:
            bandwidth = float(like.square().mean().sqrt())
            return difference * (bandwidth / spread)
    return None


def _lines(programmed: Programmed) -> list[str]:
    """What was done about dead lines and stuck cells, for each layer that has any."""
    told = {path: layer.lines.told() for path, layer in programmed.layers.items() if layer.lines is not None}
    return [f"{path}: {said}, over all copies and arrays" for path, said in told.items() if said]


def _clipped(codes: dict[str, CodeHistogram]) -> list[str]:
    """A warning for each layer whose range cuts off much of what calibration inputs make."""
    return [
        f"warning: {operator}: {each.clipped_fraction:.0%} of the conversions reach an end of their range "
        f"({each.step_levels:g} levels a code): declare a larger adc.step_levels or more adc.bits"
        for operator, each in codes.items()
        if each.clipped_fraction > CLIPPED_SHARE
    ]


def _paths(module: nn.Module, chip: Chip, recipe: Recipe, what: Given) -> list[str]:
    """Which way each layer's product was computed, and what was assumed."""
    notes = [
        f"grids by {recipe.calibration} on {what.note}, "
        f"converter ranges on {VECTORS} vectors of them; grids see the design, ranges {SEEN[recipe.calibration_sees]}"
    ]
    for path, layer in chip_layers(module).items():
        unit = chip.units[layer.plan.unit]
        if isinstance(layer.product, CrossbarProduct):
            copies = f", {layer.plan.copies} copies, vector i on copy i mod {layer.plan.copies}"
            grids = ", ".join(sorted({f"1/{array.grid}" for array in layer.product.copies}))
            notes.append(
                f"{path}: through the converters of {layer.plan.unit}, conductances on a grid of {grids} level"
                + (copies if layer.plan.copies > 1 else "")
                + (", every read a circuit of its own" if layer.product.circuits else "")
            )
        elif isinstance(layer.product, MomentMatchedProduct):
            notes.append(f"{path}: moment-matched, a product and a random number in place of every conversion")
        elif isinstance(unit, Crossbar):
            notes.append(f"{path}: conversions on {layer.plan.unit} lose nothing; computed as one exact product")
        else:
            notes.append(f"{path}: exact integers on {layer.plan.unit}")
    return notes
