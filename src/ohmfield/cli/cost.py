"""`ohmfield cost`: a short table of bills, and the page behind it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ohmfield.chip.baseline import Roofline
from ohmfield.chip.chip import Chip
from ohmfield.chip.files import THIS_MACHINE, list_baselines, list_chips, load_baseline
from ohmfield.cli import commands, console
from ohmfield.cli.loads import load
from ohmfield.cli.work import each_once, load_chips
from ohmfield.cost.price import Priced, price
from ohmfield.mapping.workload import Workload
from ohmfield.report.bill_data import Offer, most_of, offer, plain, within_silicon
from ohmfield.report.tables import finite, number
from ohmfield.spec import InputError, read_yaml

YAML = (".yaml", ".yml")


def run(command: commands.Cost) -> dict[str, Any]:
    """Price the model on each chip; returns what `--json` prints."""
    chips = offered(command.chip)
    _check(command)
    workload = load(command)
    bits = {"weight_bits": command.weight_bits, "input_bits": command.input_bits}
    priced = [price(chip, workload, **bits, allow_waves=command.allow_waves) for chip in chips]
    offers = [offer(one, command.fps, command.battery_Wh) for one in priced]
    numbers = finite(plain(command.model, workload, offers))
    if not command.json:
        _show(command, workload, offers)
    if command.out is not None:
        from ohmfield.report.bill_page import write_bill

        page = write_bill(command.model, workload, offers, command.out)
        numbers["page"] = str(page)
        if not command.json:
            console.show(f"page: {page}")
    return numbers


def offered(names: str) -> list[Chip | Roofline]:
    """The chips and processors of a comma-separated list of names and files."""
    return each_once(names, _one, "two")


def _one(name: str) -> Chip | Roofline:
    path = Path(name)
    if name in (*list_baselines(), THIS_MACHINE):
        return replace(load_baseline(name), name=name)  # shorter than what its makers call it
    if path.suffix in YAML and path.is_file() and "peak_GFLOPs" in read_yaml(path):
        return load_baseline(path)
    if name not in list_chips() and path.suffix not in YAML and not path.is_file():
        raise InputError(
            f"chip {name!r} is not known; chips: {', '.join(list_chips())}; processors: {', '.join(list_baselines())}; "
            "or give the path of a YAML file"
        )
    return load_chips(name)[0]


def _check(command: commands.Cost) -> None:
    for option, bits in (("weight-bits", command.weight_bits), ("input-bits", command.input_bits)):
        if not 1 <= bits <= 16:
            raise InputError(f"--{option} {bits} must lie between 1 and 16")
    if command.fps is not None and not 0.0 < command.fps < 1e12:
        raise InputError(f"--fps {command.fps:g} must be more than 0")
    if command.battery_Wh is not None and not 0.0 < command.battery_Wh < 1e9:
        raise InputError(f"--battery-Wh {command.battery_Wh:g} must be more than 0")


def _show(command: commands.Cost, workload: Workload, offers: list[Offer]) -> None:
    unit = workload.inference
    stated = "; ".join(str(rate) for rate in workload.stated if not rate.operator)
    facts = [f"{command.model}: one {unit}, {number(workload.macs / 1e9)} GMACs", f"stated: {stated}" if stated else ""]
    rate = f"at {command.fps:g} {unit}s/s" if command.fps is not None else "at full rate"
    facts.append(f"W{f' and hours on {command.battery_Wh:g} Wh' if command.battery_Wh is not None else ''} {rate}")
    columns = ["", f"mJ/{unit}", "low – high", "ms", "per s", "mm²", "W"]
    columns += ["h"] if command.battery_Wh is not None else []
    table = console.table("", columns, [_row(one, command.battery_Wh is not None) for one in offers])
    table.padding = (0, 1, 0, 0)
    for column in table.columns:
        column.no_wrap = True
    console.show("; ".join(filter(None, facts)), table)
    for one in offers:
        warnings = len(one.priced.bill.warnings)
        said = f"; {warnings} warning{'' if warnings == 1 else 's'}" if warnings else ""
        console.show(f"{one.name}: {most_of(one.priced)}{_waves(one.priced)}{said}")
    if silicon := within_silicon(offers):
        console.show(silicon)


def _row(one: Offer, battery: bool) -> list[str]:
    bill = one.priced.bill
    low, mid, high = bill.energy_mJ
    area = number(bill.area_mm2[1]) if bill.area_um2.any() else "–"
    row = [one.name, number(mid), f"{number(low)} – {number(high)}", number(one.latency_ms[1])]
    row += [number(bill.frames_per_s[1]), area, number(one.power_W[1]) if one.power_W else "too slow"]
    return row + ([number(one.battery_h[1]) if one.battery_h else "–"] if battery else [])


def _waves(priced: Priced) -> str:
    return f"; weights written in {priced.waves} waves" if priced.waves > 1 else ""
