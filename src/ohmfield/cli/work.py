"""`ohmfield demo`, `fit`, `deploy` and `report`: the flow from a signal to a page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from ohmfield.chip.baseline import Roofline
from ohmfield.chip.chip import Chip
from ohmfield.chip.files import list_chips, load_chip
from ohmfield.cli import commands, console, models, scenes
from ohmfield.cli.doctor import compiled
from ohmfield.deploy import Recipe, deploy
from ohmfield.fields.field import Field
from ohmfield.fields.presets import build
from ohmfield.fit.loop import FitResult, fit
from ohmfield.fit.options import suggested_options
from ohmfield.fit.runs import load_run
from ohmfield.report.saved import collect, deployment_folder, fingerprint, load_signal, save_deployment, save_signal
from ohmfield.report.summarise import summarise
from ohmfield.report.summary import DeploymentSummary, load_summary
from ohmfield.report.tables import SCORES, metrics, whole, written
from ohmfield.report.write import write_report
from ohmfield.signals.image import open_signal
from ohmfield.signals.points import Points
from ohmfield.simulate.calibrate import VECTORS
from ohmfield.simulate.convert import chip_layers
from ohmfield.simulate.golden import golden_vectors, save_golden
from ohmfield.simulate.products import CrossbarProduct
from ohmfield.spec import InputError

MOST_INSTANCES = 10_000


def run(command: Any) -> dict[str, Any]:
    """Run one of the commands that make or read a run folder; returns what `--json` prints."""
    if isinstance(command, commands.Fit):
        return _fit(command)
    if isinstance(command, commands.Render):
        return scenes.render_run(command, load_chips(command.chip) if command.chip else [])
    if isinstance(command, commands.Deploy):
        return _deploy(command)
    if isinstance(command, commands.Report):
        return _report(command.run, command.out or command.run, command.json)
    if isinstance(command, commands.Golden):
        return _golden(command)
    return _demo(command)


def load_chips(names: str) -> list[Chip]:
    """The chips of a comma-separated list of names and files."""
    return each_once(names, _named, "two chips")


Loaded = TypeVar("Loaded", Chip, Chip | Roofline)


def each_once(names: str, load: Callable[[str], Loaded], two: str) -> list[Loaded]:
    """What `load` gives for each of the comma-separated names of `--chip`; `two` of one name are refused."""
    made = [load(name.strip()) for name in names.split(",") if name.strip()]
    if not made:
        raise InputError(f"--chip {names!r} names no chip; `ohmfield chips list` shows the known ones")
    known = [one.name for one in made]
    for name in known:
        if known.count(name) > 1:
            raise InputError(f"--chip {names!r}: {two} are called {name!r}; give one of them another `name`")
    return made


def _named(name: str) -> Chip:
    """A chip by name or file; a file that still carries the name of a preset is called after itself."""
    chip = load_chip(name)
    return replace(chip, name=Path(name).stem) if chip.name in list_chips() and name not in list_chips() else chip


def _fit(command: commands.Fit) -> dict[str, Any]:
    if Path(command.signal).is_dir():
        return scenes.fit_views(command)
    signal = open_signal(command.signal, command.size)
    field = build(command.field or "hash", dim=signal.dim, channels=signal.channels, seed=command.seed)
    options = suggested_options(
        field, steps=command.steps, batch=command.batch, learning_rate=command.learning_rate, seed=command.seed
    )
    result = fit(field, signal, options, run=command.out)
    save_signal(signal, command.out)
    numbers = _fit_numbers(result, signal, command.out)
    if not command.json:
        _show_fit(result, signal)
        console.show(f"run folder: {command.out}; next: ohmfield deploy {command.out} --chip rram-40nm")
    return numbers


def _fit_numbers(result: FitResult, signal: Points, out: Path) -> dict[str, Any]:
    return {
        "run": str(out),
        "signal": signal.describe(),
        "field": result.field.config,
        "parameters": result.field.num_parameters(),
        **result.score,
        "elapsed_s": result.elapsed_s,
        "samples_per_s": result.samples_per_s,
        "resumed_from": result.resumed_from,
    }


def _show_fit(result: FitResult, signal: Points) -> None:
    columns = ("signal", "field", "parameters", "PSNR dB", "SSIM", "training s")
    ssim = f"{result.score['ssim']:.4f}" if "ssim" in result.score else "–"
    row = [
        f"{signal.name} {' × '.join(map(str, reversed(signal.shape)))}",
        str(result.field.config["preset"]),
        whole(result.field.num_parameters()),
        f"{result.score['psnr_dB']:.2f}",
        ssim,
        f"{result.elapsed_s:.1f}",
    ]
    console.show(console.table("", columns, [row]))


def _deploy(command: commands.Deploy) -> dict[str, Any]:
    chips = load_chips(command.chip)
    recipe = Recipe(
        weight_bits=command.weight_bits,
        input_bits=command.input_bits,
        calibration=command.calibration,
        input_zero=command.input_zero,
        tune_steps=command.tune_steps,
        noise_aware=command.noise_aware,
    )
    if not 1 <= command.instances <= MOST_INSTANCES:
        raise InputError(f"--instances {command.instances} must lie between 1 and {MOST_INSTANCES}")
    if models.named(str(command.run)):
        folder = models.run(command, chips, recipe)
        return _report(folder, folder, command.json)
    if command.out is not None:
        raise InputError(
            f"--out {command.out} is for a model; the deployments of a run lie in its folder {command.run}"
        )
    deploy_run(command.run, chips, recipe, command.seed, command.instances)
    return _report(command.run, command.run, command.json)


def deploy_run(
    run_folder: Path, chips: list[Chip], recipe: Recipe, seed: int, instances: int = 1
) -> list[DeploymentSummary]:
    """Deploy the field of a run on each chip and save it there; what was saved from the same input is read back."""
    if (run_folder / scenes.VIEWS_FILE).exists():
        raise InputError(f"{run_folder}: holds a radiance field; `ohmfield render {run_folder} --out DIR --chip NAME`")
    field, info = load_run(run_folder)
    signal = load_signal(run_folder, info)
    status = console.progress()
    seeds = range(seed, seed + instances)
    return [_deploy_one(run_folder, field, signal, chip, recipe, seeds, status) for chip in chips]


def _deploy_one(
    run_folder: Path, field: Field, signal: Points, chip: Chip, recipe: Recipe, seeds: range, status: Console
) -> DeploymentSummary:
    """The first seed is the instance that is shown, all of them are scored."""
    seed = seeds[0]
    folder = deployment_folder(run_folder, chip.name)
    key = fingerprint(field, chip, recipe, seed, signal)
    saved = _saved(folder)
    drawn = saved.instances.seeds if saved is not None and saved.instances is not None else (seed,)
    if saved is not None and saved.key == key and len(drawn) >= len(seeds):
        status.print(f"{chip.name}: saved already, read back")
        return saved
    started = time.perf_counter()
    kernels = "" if "crossbar_product" in compiled() else " (compiling kernels, once)"
    with status.status(f"{chip.name}{kernels}") as line:

        def say(stage: str) -> None:
            line.update(f"{chip.name}: {stage}{kernels}")

        deployment = deploy(field, chip, signal, recipe, seed=seed, progress=say)
    summary = summarise(deployment, signal, key, study=models.study_of(deployment, seeds, folder))
    save_deployment(summary, deployment.programmed, folder)
    took = f"{time.perf_counter() - started:.1f} s{kernels}"
    status.print(f"{chip.name}: {summary.quality['psnr_dB']:.2f} dB, took {took}")
    return summary


def _saved(folder: Path) -> DeploymentSummary | None:
    """What is kept of an earlier deployment; none where it is damaged or of another version: it is made again."""
    try:
        return load_summary(folder)
    except InputError:
        return None


def _report(run_folder: Path, out: Path, quiet: bool) -> dict[str, Any]:
    data = collect(run_folder)
    page = write_report(data, out)
    if not quiet:
        told = written(data.float_quality[data.metric], SCORES[data.metric])
        console.show(f"float {data.kind}: {told}", console.deployments(data), *console.instances(data))
        console.show(f"report: {page}")
    return {**metrics(data), "report": str(page)}


def _demo(command: commands.Demo) -> dict[str, Any]:
    chips = load_chips(command.chip)
    signal = open_signal(command.photo)
    field = build("hash", dim=signal.dim, channels=signal.channels)
    run_folder = command.out / "run"
    status = console.progress()
    status.print(f"1 of 3  fitting a neural field to {signal.name}")
    result = fit(field, signal, suggested_options(field, steps=command.steps), run=run_folder)
    save_signal(signal, run_folder)
    status.print(f"        {result.score['psnr_dB']:.2f} dB in {result.elapsed_s:.1f} s of training")
    status.print(f"2 of 3  putting it on {', '.join(chip.name for chip in chips)}")
    recipe = Recipe(tune_steps=command.tune_steps, noise_aware=command.tune_steps > 0)
    deploy_run(run_folder, chips, recipe, seed=0)
    status.print("3 of 3  writing the report")
    return _report(run_folder, command.out, command.json)


def _golden(command: commands.Golden) -> dict[str, Any]:
    chips = load_chips(command.chip)
    if len(chips) != 1:
        raise InputError(f"--chip {command.chip!r} names {len(chips)} chips; golden vectors are those of one")
    if not 1 <= command.vectors <= VECTORS:
        raise InputError(f"--vectors {command.vectors} must lie between 1 and {VECTORS}")
    if models.named(str(command.run)):
        model, data = models.load(str(command.run), command.inputs)
    else:
        model, info = load_run(command.run)
        data = load_signal(command.run, info)
    deployment = deploy(model, chips[0], data, Recipe(), seed=command.seed)
    layers = chip_layers(deployment.module)
    read = [path for path, layer in layers.items() if isinstance(layer.product, CrossbarProduct)]
    if not command.layer and not read:
        raise InputError(f"no layer goes through converters on {chips[0].name}: there are no codes to write")
    path = command.layer or read[0]
    arrays, facts = golden_vectors(
        deployment.module, deployment.programmed, path, deployment.given.inputs, command.vectors
    )
    save_golden(arrays, facts, command.out)
    shapes = {name: list(value.shape) for name, value in arrays.items()}
    if not command.json:
        rows = [[name, " × ".join(map(str, shape))] for name, shape in shapes.items()]
        console.show(console.table("", ("array", "shape"), rows, words=True), f"wrote {command.out}")
    return {"file": str(command.out), **facts, "arrays": shapes}
