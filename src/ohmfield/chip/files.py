"""Chips as YAML files: presets in the package, files of the user, a schema for editors."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from ohmfield.chip.baseline import Roofline
from ohmfield.chip.chip import Chip
from ohmfield.chip.this_machine import measure, this_machine_path
from ohmfield.files import write_atomic
from ohmfield.spec import InputError, build, read_yaml, to_plain

THIS_MACHINE = "this-machine"
PRESETS = Path(__file__).parent / "presets"


def list_chips() -> tuple[str, ...]:
    """Names of the chips that come with the package."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.yaml")))


def list_baselines() -> tuple[str, ...]:
    """Names of the processors to compare with; this machine among them once it was measured."""
    packaged = sorted(path.stem for path in (PRESETS / "baselines").glob("*.yaml"))
    return (*packaged, THIS_MACHINE) if this_machine_path().is_file() else tuple(packaged)


def load_chip(name_or_path: str | Path) -> Chip:
    """A chip by preset name or file; `InputError` with `file: dotted.path` of the first fault.

    `adc.inl` may name a text file beside the chip's: one deviation in LSB after another, by commas, spaces or lines.
    """
    path = _find(name_or_path, PRESETS, list_chips(), "chip")
    data = read_yaml(path)
    units = data.get("units")
    for unit in units.values() if isinstance(units, dict) else ():
        adc = unit.get("adc") if isinstance(unit, dict) else None
        if isinstance(adc, dict) and isinstance(adc.get("inl"), str):
            adc["inl"] = _numbers(path.parent / adc["inl"])
    return build(Chip, data, where=str(path))


def _numbers(path: Path) -> list[float]:
    try:
        return [float(number) for number in path.read_text(encoding="utf-8").replace(",", " ").split()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is not a table of numbers ({error})", "adc.inl") from None


def load_baseline(name_or_path: str | Path) -> Roofline:
    """A processor by name or file; `this-machine` is what `ohmfield doctor --measure` found."""
    if str(name_or_path) == THIS_MACHINE:
        path = this_machine_path()
        if not path.is_file():
            raise InputError(f"{THIS_MACHINE} was not measured yet; run: ohmfield doctor --measure")
        return build(Roofline, read_yaml(path), where=str(path))
    path = _find(name_or_path, PRESETS / "baselines", list_baselines(), "baseline")
    return build(Roofline, read_yaml(path), where=str(path))


def _find(name_or_path: str | Path, folder: Path, known: tuple[str, ...], what: str) -> Path:
    name = str(name_or_path)
    if name in known:
        return folder / f"{name}.yaml"
    path = Path(name_or_path)
    if isinstance(name_or_path, Path) or path.suffix in {".yaml", ".yml"} or os.sep in name or path.is_file():
        return path
    raise InputError(f"{what} {name!r} is not known; known: {', '.join(known)}; or give the path of a YAML file")


def chip_text(chip: Chip) -> str:
    """The chip as YAML, every knob written out."""
    return yaml.safe_dump(to_plain(chip), sort_keys=False, allow_unicode=True, width=110)


def save_chip(chip: Chip, path: Path) -> None:
    """Write `chip` to `path`, whole or not at all."""
    write_atomic(path, chip_text(chip).encode())


def measure_this_machine() -> Roofline:
    """Measure this machine and keep the result as the baseline `this-machine`, in the user's configuration folder."""
    measured = measure()
    write_atomic(this_machine_path(), yaml.safe_dump(to_plain(measured), sort_keys=False).encode())
    return measured


def new_from(name: str, path: Path) -> None:
    """A copy of a preset, comments included, for the user to edit; `InputError` if `path` exists."""
    if path.exists():
        raise InputError(f"{path}: exists already; give a new name or remove it")
    source = _find(name, PRESETS, list_chips(), "chip")
    load_chip(source)
    header = f"# Made from {name}. Check it with: ohmfield chips check {path.name}\n"
    write_atomic(path, header.encode() + source.read_bytes())
