"""From measurements of a chip to its description: cells, a converter's transfer curve, a table of numbers.

Every other row is fitted, the rest is held out: what the fit says of rows it has not seen is its error.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ohmfield.chip.adc import Adc
from ohmfield.chip.cells.resistive import ResistiveCell
from ohmfield.chip.chip import Chip
from ohmfield.chip.units import Crossbar
from ohmfield.spec import InputError, build, to_plain, walk

LEAST_CELLS = 20  # written cells, fitted and held out together
NODES = 17  # of a fitted transfer curve; fewer for converters with fewer codes
ROWS_PER_NODE = 4
FAR = 1.25  # codes per LSB of a sweep, up or down, beyond which its inputs are in another unit


@dataclass(frozen=True)
class Finding:
    """A leaf that was measured, its new value, and how far off it is on rows that were held out."""

    path: str
    value: Any
    error: str

    def line(self, file: Path) -> str:
        """One line for the chip file and every report."""
        shown = f"{self.value:.4g}" if isinstance(self.value, float) else str(self.value)
        if isinstance(self.value, tuple):
            shown = f"{len(self.value)} points up to {max(map(abs, self.value)):.2g} LSB"
        return f"{self.path} = {shown} from {file.name}" + (f"; {self.error}" if self.error else "")


def calibrate(
    chip: Chip,
    *,
    unit: str = "",
    conductances: Path | None = None,
    adc: Path | None = None,
    power: Path | None = None,
) -> tuple[Chip, tuple[Finding, ...]]:
    """`chip` with measured leaves, each listed under `measured`, and what was found.

    `conductances`: columns `cell,target_uS,measured_uS`, a row per read; cells read several times give read noise.
    `adc`: columns `input_lsb,code`, a sweep of one converter. `power`: columns `path,value`, numbers of the chip by
    dotted path. `unit` is the crossbar meant, the first by default. `InputError` names the file and line of a fault.
    """
    files = [file for file in (conductances, adc, power) if file is not None]
    if not files:
        raise InputError("nothing was measured: give at least one of --conductances, --adc, --power")
    findings: list[tuple[Finding, Path]] = []
    if conductances is not None or adc is not None:
        name, held = _crossbar(chip, unit)
        here = f"units.{name}."
        if conductances is not None:
            found = fit_cells(held, conductances)
            findings += [(replace(one, path=f"{here}cell.{one.path}"), conductances) for one in found]
        if adc is not None:
            findings += [(replace(one, path=f"{here}adc.{one.path}"), adc) for one in fit_adc(held.adc, adc)]
    if power is not None:
        findings += [(one, power) for one in _overrides(chip, power)]
    plain = to_plain(chip)
    for finding, _ in findings:
        *folders, last = finding.path.split(".")
        place = plain
        for folder in folders:
            place = place[folder]
        place[last] = list(finding.value) if isinstance(finding.value, tuple) else finding.value
    plain["measured"] = [*chip.measured, *(finding.line(file) for finding, file in findings)]
    try:
        made = build(Chip, plain)
    except InputError as error:
        whose = [str(file) for finding, file in findings if finding.path == error.path] or [str(f) for f in files]
        raise InputError(str(error), ", ".join(whose)) from None
    return made, tuple(finding for finding, _ in findings)


def fit_cells(unit: Crossbar, file: Path) -> list[Finding]:
    """Programming error and read noise of cells, from their conductances after writing.

    The error of a cell is the mean of its reads less its target; it is taken as a fraction of the range or of the
    target, whichever makes the fitted half likelier. Read noise is the spread of a cell's reads over their mean.
    """
    if not isinstance(unit.cell, ResistiveCell):
        raise InputError(f"{file}: cells of kind {unit.cell.kind} have no fraction to fit; use rram")
    if unit.cell.verify is not None:
        raise InputError(
            f"{file}: cell.verify describes single writes; set it to none, measured errors are those that remain"
        )
    cells: dict[str, list[float]] = {}
    targets: dict[str, float] = {}
    for line, row in _rows(file, ("cell", "target_uS", "measured_uS")):
        target, measured = (_number(file, line, key, row[key]) for key in ("target_uS", "measured_uS"))
        if target < 0.0 or measured < 0.0:
            raise InputError(f"{file}, line {line}: a conductance below zero ({target:g}, {measured:g} uS)")
        if targets.setdefault(row["cell"], target) != target:
            raise InputError(
                f"{file}, line {line}: cell {row['cell']} has two targets, {targets[row['cell']]:g} and {target:g}"
            )
        cells.setdefault(row["cell"], []).append(measured)
    if len(cells) < LEAST_CELLS:
        raise InputError(f"{file}: {len(cells)} cells; at least {LEAST_CELLS} are needed, half of them are held out")
    target = np.array([targets[cell] for cell in cells])
    mean = np.array([np.mean(reads) for reads in cells.values()])
    error, fitted = mean - target, np.arange(len(cells)) % 2 == 0
    span_uS = unit.cell.g_max_uS - unit.cell.g_min_uS
    bases = {"range": np.full(len(cells), span_uS)} | ({"target": target} if (target > 0.0).all() else {})
    # The mean of n reads still holds 1/n of their variance: that is read noise, and is drawn as such.
    several = [np.array(reads) for reads in cells.values() if len(reads) > 1]
    squares = sum(float(np.mean(reads)) ** 2 for reads in several)
    pooled = sum(float(np.var(reads, ddof=1)) for reads in several) / squares if squares > 0.0 else 0.0
    count = np.array([len(reads) for reads in cells.values()])
    reads_uS2 = np.where(count > 1, pooled * mean**2 / count, 0.0)
    scores = {name: _fraction(error[fitted], base[fitted], reads_uS2[fitted]) for name, base in bases.items()}
    name = max(scores, key=lambda one: scores[one][1])
    fraction, seen = scores[name][0], _fraction(error[~fitted], bases[name][~fitted], reads_uS2[~fitted])[0]
    once = sum(len(reads) == 1 for reads in cells.values())
    bound = f"; an upper bound, {once} cells were read once" if once else ""
    shift = float(error.mean()) / span_uS
    found = [
        Finding(
            "program_fraction",
            fraction,
            f"held out: {_off(fraction, seen)}, mean shift {shift:+.2%} of the range{bound}",
        ),
        Finding("fraction_of", name, ""),
    ]
    repeated = [(np.var(reads, ddof=1), np.mean(reads) ** 2) for reads in cells.values() if len(reads) > 1]
    if len(repeated) >= LEAST_CELLS:
        spread = np.array(repeated)
        if not (spread[::2, 1].any() and spread[1::2, 1].any()):
            raise InputError(f"{file}: measured_uS is 0 throughout; read noise is a fraction of the reads")
        read, held_out = (float(np.sqrt(half[:, 0].sum() / half[:, 1].sum())) for half in (spread[::2], spread[1::2]))
        found.append(Finding("read_fraction", read, f"held out: {_off(read, held_out)}"))
    return found


def fit_adc(adc: Adc, file: Path) -> list[Finding]:
    """Deviation and effective bits of a converter, from codes at known inputs in LSB.

    The deviation is the piecewise linear curve nearest to `code - input`; what is left beyond rounding is noise, as
    effective bits.
    """
    given = [
        (_number(file, line, "input_lsb", row["input_lsb"]), _number(file, line, "code", row["code"]))
        for line, row in _rows(file, ("input_lsb", "code"))
    ]
    sweep = np.array(given, dtype=np.float64).reshape(-1, 2)
    signed = bool((sweep < 0.0).any())
    low, high = adc.limits(signed)
    if not ((sweep[:, 1] >= low) & (sweep[:, 1] <= high) & (sweep[:, 1] % 1.0 == 0.0)).all():
        raise InputError(f"{file}: codes of a {adc.bits}-bit converter are whole numbers from {low} to {high}")
    inside = sweep[(sweep[:, 1] > low) & (sweep[:, 1] < high)]  # the outermost codes are given however far out
    nodes = min(NODES, 2**adc.bits)
    if len(inside) < 2 * ROWS_PER_NODE * nodes:
        raise InputError(
            f"{file}: {len(inside)} rows within the range; {2 * ROWS_PER_NODE * nodes} are needed for {nodes} points"
        )
    codes = len(np.unique(inside[:, 1]))
    slope = float(np.polyfit(inside[:, 0], inside[:, 1], 1)[0]) if codes > 1 and np.ptp(inside[:, 0]) > 0.0 else 0.0
    if not 1.0 / FAR < slope < FAR:
        raise InputError(
            f"{file}: {codes} different codes, {slope:.3g} codes per LSB; between {1.0 / FAR:g} and {FAR:g} are "
            "allowed: give input_lsb in LSB of this converter"
        )
    inside = inside[np.argsort(inside[:, 0], kind="stable")]
    fitted, held = inside[::2], inside[1::2]
    grid = np.linspace(low, high, nodes)
    hats = _hats(fitted[:, 0], grid)
    # A touch of smoothness settles points that the sweep did not reach.
    bend = 1e-3 * np.diff(np.eye(nodes), n=2, axis=0) if nodes > 2 else np.zeros((0, nodes))
    right = np.concatenate([fitted[:, 1] - fitted[:, 0], np.zeros(len(bend))])
    curve = np.linalg.lstsq(np.concatenate([hats, bend]), right, rcond=None)[0]
    left = held[:, 1] - held[:, 0] - _hats(held[:, 0], grid) @ curve
    rms, before = float(np.sqrt(np.mean(left**2))), float(np.std(held[:, 1] - held[:, 0]))
    noise = max(0.0, float(np.mean((fitted[:, 1] - fitted[:, 0] - hats @ curve) ** 2)) - 1.0 / 12.0)
    enob = adc.bits - 0.5 * math.log2(1.0 + 12.0 * noise) if noise > 0.0 else float(adc.bits)
    shift = float(np.mean(fitted[:, 1] - fitted[:, 0]))
    error = f"held out: {rms:.3f} LSB rms are left of {before:.3f}, rounding alone leaves 0.289"
    error += f"; a constant offset of {shift:+.3f} LSB is part of it"
    return [
        Finding("inl", tuple(round(float(point), 6) for point in curve), error),
        Finding("enob", round(max(enob, 0.1), 4), ""),
    ]


def _hats(where: Float[np.ndarray, " rows"], grid: Float[np.ndarray, " nodes"]) -> Float[np.ndarray, "rows nodes"]:
    """What each node of a piecewise linear curve counts for at `where`."""
    return np.stack([np.interp(where, grid, unit) for unit in np.eye(len(grid))], axis=1)


def _fraction(error: np.ndarray, base: np.ndarray, reads_uS2: np.ndarray) -> tuple[float, float]:
    """Sd as a fraction of `base` beyond the variance of the reads, and the logarithm of its likelihood."""
    fraction = math.sqrt(max(0.0, float(np.mean((error**2 - reads_uS2) / base**2))))
    variance = np.maximum((fraction * base) ** 2 + reads_uS2, 1e-30)
    return fraction, float(-0.5 * (np.log(variance) + error**2 / variance).sum())


def _off(fitted: float, seen: float) -> str:
    return (
        f"{fitted / seen - 1.0:+.1%} of the spread of rows not fitted" if seen > 0.0 else "no spread in rows not fitted"
    )


def _overrides(chip: Chip, file: Path) -> list[Finding]:
    """Numbers by dotted path."""
    known = {
        path: value for path, value, _ in walk(chip) if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    found: list[Finding] = []
    lines: dict[str, int] = {}
    for line, row in _rows(file, ("path", "value")):
        path = row["path"]
        if lines.setdefault(path, line) != line:
            raise InputError(f"{file}, line {line}: {path} was given in line {lines[path]}; keep one of them")
        if path not in known:
            near = ", ".join(sorted(name for name in known if name.split(".")[-1] == path.split(".")[-1])[:3])
            raise InputError(
                f"{file}, line {line}: {path!r} is no number of this chip" + (f"; did you mean {near}?" if near else "")
            )
        value = _number(file, line, "value", row["value"])
        found.append(Finding(path, int(value) if isinstance(known[path], int) and value % 1.0 == 0.0 else value, ""))
    return found


def _crossbar(chip: Chip, name: str) -> tuple[str, Crossbar]:
    """The crossbar meant, by name or the first."""
    crossbars = {key: unit for key, unit in chip.units.items() if isinstance(unit, Crossbar)}
    if (name and name not in crossbars) or not crossbars:
        raise InputError(f"unit {name!r} is no crossbar of this chip; crossbars: {', '.join(crossbars) or 'none'}")
    name = name or next(iter(crossbars))
    return name, crossbars[name]


def _rows(file: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """(line, row) of a CSV file that has these columns."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as text:
            reader = csv.DictReader(text)
            missing = [column for column in columns if column not in (reader.fieldnames or [])]
            if missing:
                raise InputError(
                    f"{file}: no column {', '.join(missing)}; the first line must name {', '.join(columns)}"
                )
            return [(reader.line_num, {key: (row[key] or "").strip() for key in columns}) for row in reader]
    except FileNotFoundError:
        raise InputError(f"{file}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: cannot be read as CSV ({error})") from None


def _number(file: Path, line: int, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{file}, line {line}: {column} is {text!r}, not a number")
    return value
