"""What `ohmfield cost` prices: a run, a model in a file, a network by name or by its `config.json`."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from ohmfield.cli import models
from ohmfield.cli.commands import Cost
from ohmfield.fields.field import Field
from ohmfield.fit.runs import load_run, read_info
from ohmfield.mapping.fold import fold_batch_norms
from ohmfield.mapping.frames import radiance_frame
from ohmfield.mapping.tokens import decode, prefill, query
from ohmfield.mapping.trace import trace
from ohmfield.mapping.workload import Stated, Workload
from ohmfield.networks.cnn import ResNet18
from ohmfield.networks.configs import from_config
from ohmfield.networks.transformers import Clip, Transformer, clip, list_transformers, transformer
from ohmfield.report.saved import load_signal
from ohmfield.spec import InputError

RESNET, NERF = "resnet-18", "nerf"
CONTEXT = 2048  # tokens a language model looks back where nothing else is asked
STATED = "rates of the command line"
LANGUAGE = ("decode", "prefill", "query")


def named_loads() -> tuple[str, ...]:
    """Networks that are priced by name."""
    return (RESNET, *list_transformers(), NERF)


def load(command: Cost) -> Workload:
    """The workload of `command.model`; `InputError` for a model that is not known, or an option that is not its own."""
    name = command.model
    plain = name.lower()
    if models.named(name):
        _only(command, "inputs", "input_shape")
        return _of_file(name, command.inputs, command.input_shape)
    if plain == NERF:
        _only(command, "size", "samples_per_ray", "steps_per_ray")
        return _radiance(command)
    if plain == RESNET:
        _only(command, "input_shape")
        return _resnet(command.input_shape)
    if plain.split("/")[0] in list_transformers():
        _only(command, *LANGUAGE)
        return _transformer(clip(plain) if plain == "clip-vit-b-32" else transformer(plain), command)
    if name.endswith(".json"):
        _only(command, *LANGUAGE)
        return _transformer(from_config(name), command)
    if Path(name).is_dir():
        _only(command)
        return _of_run(Path(name))
    raise InputError(
        f"model {name!r} is not known; known: {', '.join(named_loads())}; or give a run folder, file.py:function or a "
        "config.json"
    )


def _only(command: Cost, *own: str) -> None:
    """Refuse an option that says nothing about this model: it would be ignored."""
    for option in ("inputs", "input_shape", *LANGUAGE, "size", "samples_per_ray", "steps_per_ray"):
        default = Cost.__dataclass_fields__[option].default
        if option not in own and getattr(command, option) != default:
            raise InputError(f"--{option.replace('_', '-')} says nothing about {command.model}; leave it out")


def _of_run(folder: Path) -> Workload:
    """One frame of a fitted field, or one input of a fitted network."""
    model, info = load_run(folder, nn.Module)
    if isinstance(model, Field):
        signal = load_signal(folder, read_info(folder))
        return Workload(trace(model, signal.coords[:1]), float(len(signal)), "frame")
    shape = info.get("signal", {}).get("shape")
    if not isinstance(shape, list) or not shape:
        raise InputError(f"{folder}: does not say how large its inputs are; give file.py:function and --input-shape")
    return _traced(model, torch.zeros(1, *map(int, shape)))


def _of_file(source: str, inputs: Path | None, shape: str | None) -> Workload:
    """The model a function builds: run on the first of `inputs`, or without any data on a shape."""
    if (inputs is None) == (shape is None):
        raise InputError(f"{source}: say what goes in, with --inputs batch.pt or with --input-shape 1x3x224x224")
    if inputs is not None:
        batch = models.load_batch(inputs)
        first = batch[0] if isinstance(batch, tuple) else batch
        return _traced(models.load_model(source), first[:1])
    example = torch.empty(_shape(shape or ""), device="meta")
    try:
        with torch.device("meta"):  # no weight is allocated
            model = models.load_model(source)
    except InputError:  # what draws its own numbers or reads a file does so on the processor
        model = models.load_model(source)
    return _traced(model.to("meta"), example)


def _traced(model: nn.Module, example: Tensor) -> Workload:
    """The work of one input of `example`, batch norms folded as `deploy` folds them."""
    try:
        folded, _ = fold_batch_norms(model.eval(), example)
        return Workload(trace(folded, example), 1.0, "image" if example.ndim == 4 else "input")
    except InputError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"the model cannot run on inputs of shape {tuple(example.shape)} ({first})") from error


def _resnet(shape: str | None) -> Workload:
    with torch.device("meta"):
        return _traced(ResNet18(), torch.empty(_shape(shape or "1x3x224x224")))


def _radiance(command: Cost) -> Workload:
    height_width = re.fullmatch(r"(\d+)x(\d+)", command.size)
    if not height_width:
        raise InputError(f"--size {command.size!r}: write width x height, such as 800x800")
    width, height = map(int, height_width.groups())
    samples, steps = command.samples_per_ray, command.steps_per_ray
    return radiance_frame(width, height, samples_per_ray=samples, steps_per_ray=steps, why=STATED)


def _transformer(model: Transformer | Clip, command: Cost) -> Workload:
    asked = [name for name in LANGUAGE if getattr(command, name) is not None]
    if len(asked) > 1:
        raise InputError(f"--{asked[0]} and --{asked[1]}: ask for one of them")
    if command.query is not None:
        _one_stack(model, "query")
        prompt, answer = _pair(command.query)
        made, stated = query(model, prompt, answer), (Stated("prompt", prompt), Stated("answer", answer))  # type: ignore[arg-type]
    elif command.prefill is not None or isinstance(model, Clip) or not model.generates:
        if command.decode is not None:
            raise InputError(f"--decode: {command.model} does not say word after word; leave it out")
        tokens = command.prefill or 0
        made, stated = prefill(model, tokens), (Stated("prompt", tokens),) if tokens else ()
    else:
        context = CONTEXT if command.decode is None else command.decode
        made, stated = decode(model, context), (Stated("context", context),)
    return Workload(**{**vars(made), "stated": (*made.stated, *stated)})


def _one_stack(model: Transformer | Clip, option: str) -> None:
    if isinstance(model, Clip):
        raise InputError(f"--{option}: two towers do not say word after word; leave it out")


def _pair(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+),(\d+)", text)
    if not found:
        raise InputError(f"--query {text!r}: write tokens of the prompt and of the answer, such as 512,128")
    return int(found[1]), int(found[2])


def _shape(text: str) -> tuple[int, ...]:
    """`1x3x224x224` as sizes, the first of which counts inputs."""
    sizes = tuple(int(size) for size in text.split("x")) if re.fullmatch(r"\d+(x\d+)+", text) else ()
    if not sizes or min(sizes) < 1 or max(sizes) > 2**24:
        raise InputError(f"--input-shape {text!r}: write sizes from 1 on, such as 1x3x224x224")
    return sizes
