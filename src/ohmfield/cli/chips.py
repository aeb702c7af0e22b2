"""`ohmfield chips`: list, show, check, and start a file of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ohmfield.chip.chip import Chip
from ohmfield.chip.files import chip_text, list_chips, load_chip, new_from, save_chip
from ohmfield.chip.measured import calibrate
from ohmfield.cli import commands, console
from ohmfield.spec import InputError, to_plain


def run(command: Any) -> dict[str, Any]:
    """Run one of the `chips` commands; returns what `--json` prints."""
    if isinstance(command, commands.ChipsShow):
        return _show(load_chip(command.chip), command.json)
    if isinstance(command, commands.ChipsCheck):
        return _check(command.file, command.json)
    if isinstance(command, commands.ChipsNew):
        return _new(command.source, command.out, command.json)
    if isinstance(command, commands.ChipsCalibrate):
        return _calibrate(command)
    return _list(command.json)


def _list(quiet: bool) -> dict[str, Any]:
    chips = {name: load_chip(name) for name in list_chips()}
    facts = {name: _facts(chip) for name, chip in chips.items()}
    if not quiet:
        rows = [[name, f"{f['node_nm']:g} nm", ", ".join(f["units"]), f["title"]] for name, f in facts.items()]
        console.show(console.table("", ("chip", "node", "units", ""), rows, words=True))
    return {"chips": facts}


def _facts(chip: Chip) -> dict[str, Any]:
    units = [f"{name} ({unit.kind}, {unit.num_arrays} arrays)" for name, unit in chip.units.items()]
    return {"title": chip.title, "node_nm": chip.process.node_nm, "units": units, "assumed": list(chip.assumed)}


def _show(chip: Chip, quiet: bool) -> dict[str, Any]:
    if not quiet:
        console.show(chip_text(chip))
    return to_plain(chip)


def _check(file: Path, quiet: bool) -> dict[str, Any]:
    chip = load_chip(file)
    if not quiet:
        lines = [f"{file}: valid, {chip.name}: {chip.title}"]
        lines += [f"  assumed: {line}" for line in chip.assumed]
        console.show("\n".join(lines))
    return {"file": str(file), "valid": True, "name": chip.name, **_facts(chip)}


def _new(source: str, out: Path, quiet: bool) -> dict[str, Any]:
    new_from(source, out)
    if not quiet:
        console.show(f"wrote {out}; change it, then `ohmfield chips check {out}`")
    return {"file": str(out), "from": source}


def _calibrate(command: commands.ChipsCalibrate) -> dict[str, Any]:
    if command.out.exists():
        raise InputError(f"{command.out}: exists already; give a new name or remove it")
    given = {"conductances": command.conductances, "adc": command.adc, "power": command.power}
    made, findings = calibrate(load_chip(command.chip), unit=command.unit, **given)
    made = replace(made, name=command.out.stem)
    save_chip(made, command.out)
    if not command.json:
        lines = [f"wrote {command.out}", *(f"  measured: {line}" for line in made.measured)]
        console.show("\n".join(lines))
    return {
        "file": str(command.out),
        "from": command.chip,
        "measured": {one.path: {"value": to_plain(one.value), "held_out": one.error} for one in findings},
    }
