"""`sweep`: the bill of every design in a grid of knobs, and the front of them."""

from __future__ import annotations

import csv
import importlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from ohmfield import pareto
from ohmfield.chip.chip import Chip
from ohmfield.chip.designs import checked, columns
from ohmfield.cost.bill import NS_PER_MS, PJ_PER_MJ, UM2_PER_MM2
from ohmfield.cost.evaluate import Totals, totals
from ohmfield.cost.ledger import COMPONENTS
from ohmfield.files import write_atomic
from ohmfield.mapping.place import OneByOne, place
from ohmfield.mapping.workload import Workload
from ohmfield.quantities import MID, Groups, Mixed, Span, added
from ohmfield.spec import InputError

CHUNK = 131_072  # designs that are priced together
DENSE = 16_384  # the same where each is for itself: their columns stay in a core's cache
LEAST_ALIKE = 8  # designs that a group has on average, if it is worth being one
SAMPLE = 256  # values that tell whether a knob has few
FEW = 16  # so many are compared with one by one, which takes less time than a search
NUMERICS = ("weight_bits", "input_bits")  # knobs of the network, not of the chip
MOST_DESIGNS = 20_000_000
OBJECTIVES = ("energy_mJ", "latency_ms", "interval_ms", "area_mm2", "leakage_mW")


@dataclass(frozen=True, eq=False)
class Table:
    """One row per design. np.ndarray that cannot be built or hold the model have NaN, and `why` says why."""

    chip: str
    inference: str
    knobs: Mapping[str, np.ndarray]  # by path, one value per design
    energy_pJ: Float[np.ndarray, "num components"]  # mid estimates, in the order of `components`
    energy_mJ: Float[np.ndarray, "3 num"]
    latency_ms: Float[np.ndarray, "3 num"]
    interval_ms: Float[np.ndarray, "3 num"]
    area_mm2: Float[np.ndarray, "3 num"]
    leakage_mW: Float[np.ndarray, "3 num"]
    reason: Int[np.ndarray, " num"]  # 0: feasible, else its place in `reasons` from 1
    reasons: tuple[str, ...]
    components: tuple[str, ...] = COMPONENTS

    def __len__(self) -> int:
        return len(self.reason)

    @property
    def feasible(self) -> Bool[np.ndarray, " num"]:
        """Which designs can be built and hold the model."""
        return self.reason == 0

    def why(self, index: int) -> str:
        """What keeps a design from being built; empty where nothing does."""
        return self.reasons[self.reason[index] - 1] if self.reason[index] else ""

    def objective(self, name: str) -> Float[np.ndarray, " num"]:
        """Mid values of one objective."""
        if name not in OBJECTIVES:
            raise InputError(f"objective {name!r} is not known; known: {', '.join(OBJECTIVES)}")
        return getattr(self, name)[MID]

    def front(self, objectives: Sequence[str] = ("energy_mJ", "latency_ms", "area_mm2")) -> Int[np.ndarray, " n"]:
        """Numbers of the feasible designs that no other one beats in all objectives, the first one rising."""
        built = np.flatnonzero(self.feasible)
        points = np.stack([self.objective(name)[built] for name in objectives], axis=1)
        kept = built[pareto.front(points)] if len(built) else built
        return kept[np.argsort(self.objective(objectives[0])[kept], kind="stable")]

    def rows(self, designs: Sequence[int] | np.ndarray | None = None) -> list[dict[str, Any]]:
        """Rows as plain data, all of them or those asked for."""
        chosen = range(len(self)) if designs is None else [int(design) for design in designs]
        columns = self.data()
        return [{name: _one(values[design : design + 1]) for name, values in columns.items()} for design in chosen]

    def data(self) -> dict[str, np.ndarray]:
        """All columns by name: knobs, then figures with their range, then the energy of each component in use."""
        made: dict[str, np.ndarray] = dict(self.knobs)
        for name in OBJECTIVES:
            low, mid, high = getattr(self, name)
            made |= {name: mid, f"{name}_low": low, f"{name}_high": high}
        for place_, component in enumerate(self.components):
            if np.nansum(self.energy_pJ[:, place_]) > 0.0:
                made[f"{component}_pJ"] = self.energy_pJ[:, place_]
        made["why"] = np.array(["", *self.reasons])[self.reason]
        return made

    def write(self, path: str | Path) -> Path:
        """The table as `.csv` or `.parquet` (which needs pyarrow), by the ending of `path`."""
        path = Path(path)
        if path.suffix not in (".csv", ".parquet"):
            raise InputError(f"{path}: a table is written as .csv or .parquet")
        data = self.data()
        if path.suffix == ".parquet":
            try:
                arrow, parquet = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
            except ImportError:
                raise InputError(
                    f"{path}: Parquet needs pyarrow: pip install 'ohmfield[parquet]', or write .csv"
                ) from None
            buffer = arrow.BufferOutputStream()
            parquet.write_table(arrow.table(data), buffer)
            write_atomic(path, buffer.getvalue().to_pybytes())
            return path
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(data)
        writer.writerows(zip(*(values.tolist() for values in data.values()), strict=True))
        write_atomic(path, text.getvalue().encode())
        return path


def sweep(
    chip: Chip,
    workload: Workload,
    knobs: Mapping[str, Sequence[Any] | np.ndarray],
    *,
    combine: Literal["grid", "rows"] = "grid",
    copies: Literal["fit"] | int = "fit",
    weight_bits: int = 8,
    input_bits: int = 8,
    allow_waves: bool = False,
) -> Table:
    """The bill of `workload` on every design that `knobs` (dotted path -> values) make of `chip`.

    `grid` takes every combination, `rows` one value of each list per design. Paths are those of a chip file, and
    `weight_bits` and `input_bits` of the network. Numbers are priced thousands at a time, with the very functions that
    price one chip; other values (kinds, encodings, booleans) one after the other. np.ndarray that contradict themselves
    or do not hold the model are not feasible; with `allow_waves` the latter are written in turns, priced one by one.
    """
    lists = {name: list(values) if not isinstance(values, np.ndarray) else values for name, values in knobs.items()}
    taken = {
        name: np.asarray(values) if name in NUMERICS or not len(values) else checked(chip, name, values)
        for name, values in lists.items()
    }
    num, made = _designs(taken, combine)
    out = _Out(num)
    run = _Run(chip, workload, copies, allow_waves, {"weight_bits": weight_bits, "input_bits": input_bits}, out)
    for designs in _chunks(made):
        where = _run_of(designs)
        run.price({name: values[where] for name, values in made.items()}, designs)
    return out.table(chip.name, workload.inference, made)


def _designs(knobs: Mapping[str, np.ndarray], combine: str) -> tuple[int, dict[str, np.ndarray]]:
    """How many designs there are, and the values of each knob, one per design."""
    sizes = {name: len(values) for name, values in knobs.items()}
    if not sizes or min(sizes.values()) == 0:
        raise InputError(f"knobs {sizes}: give at least one knob, and at least one value of each")
    if combine == "rows":
        if len(set(sizes.values())) > 1:
            raise InputError(f"knobs of {sizes} values: as rows, every knob has one value per design")
        return next(iter(sizes.values())), dict(knobs)
    num = math.prod(sizes.values())
    if num > MOST_DESIGNS:
        raise InputError(f"{num:,} designs: at most {MOST_DESIGNS:,} in one sweep; split the widest knob")
    made, slower = {}, 1
    for name, values in knobs.items():  # the last knob varies fastest
        made[name] = np.tile(np.repeat(values, num // (slower * len(values))), slower)
        slower *= len(values)
    return num, made


def _chunks(knobs: Mapping[str, np.ndarray]) -> Iterator[np.ndarray]:
    """Numbers of the designs to price together: those alike in what many leaves depend on, up to `CHUNK` of them.

    A knob that has one value in a chunk is priced once there. Node, supply and the sizes of memories and digital units
    go into most prices, what lies under `units` into few. Values that are not numbers are alike in every chunk.
    """
    ranks = {
        name: np.unique(np.array([repr(value) for value in values]), return_inverse=True)[1]
        if _is_other(values)
        else values
        for name, values in knobs.items()
        if _is_other(values) or not (name.startswith("units.") or name in NUMERICS)
    }
    num = len(next(iter(knobs.values())))
    order = np.lexsort([ranks[name] for name in ranks]) if ranks else np.arange(num)
    edges, walls = (
        np.append(1 + np.flatnonzero(np.any([np.diff(ranks[name][order]) != 0 for name in names], axis=0)), num)
        if names
        else np.array([num])
        for names in (list(ranks), [name for name in ranks if _is_other(knobs[name])])
    )
    first = 0
    while first < num:
        end = int(edges[np.searchsorted(edges, first, side="right")])
        if end - first < DENSE // 8:  # too few alike: mixed with others
            end = int(min(first + CHUNK, walls[np.searchsorted(walls, first, side="right")]))
        end = min(end, first + CHUNK)
        yield order[first:end]
        first = end


def _run_of(designs: np.ndarray) -> slice | np.ndarray:
    """Numbers that follow one another as a slice, which copies nothing; else as they are."""
    return slice(int(designs[0]), int(designs[-1]) + 1) if (np.diff(designs) == 1).all() else designs


def _is_other(values: np.ndarray) -> bool:
    return values.dtype.kind not in "iuf"


class _Out:
    """The figures of all designs while they are filled in."""

    def __init__(self, num: int) -> None:
        self.num = num
        self.figures: dict[str, Any] = {name: np.empty((3, num)) for name in OBJECTIVES}
        self.components = np.zeros((len(COMPONENTS), num))
        self.reason = np.zeros(num, dtype=np.int32)
        self.reasons: dict[str, int] = {}

    def refuse(self, designs: np.ndarray, why: str) -> None:
        for figure in (*self.figures.values(), self.components):
            figure[:, designs] = np.nan
        self.reason[designs] = self.reasons.setdefault(why, len(self.reasons) + 1)

    def take(self, designs: np.ndarray, sums: Totals, groups: Groups | None) -> None:
        def spread(values: Span) -> np.ndarray:
            return values if groups is None else groups.spread(values)

        where = _run_of(designs)
        for component, energy_pJ in sums.energy_pJ.items():
            self.components[COMPONENTS.index(component), where] = spread(energy_pJ[MID])
        for name, values in (
            ("energy_mJ", added(sums.energy_pJ.values()) / PJ_PER_MJ),
            ("latency_ms", sums.fill_ns / NS_PER_MS),
            ("interval_ms", sums.interval_ns / NS_PER_MS),
            ("area_mm2", sums.area_um2 / UM2_PER_MM2),
            ("leakage_mW", sums.leakage_uW / 1e3),
        ):
            self.figures[name][:, where] = spread(values)

    def table(self, chip: str, inference: str, knobs: Mapping[str, np.ndarray]) -> Table:
        return Table(
            chip=chip,
            inference=inference,
            knobs=knobs,
            energy_pJ=self.components.T,
            **self.figures,
            reason=self.reason,
            reasons=tuple(self.reasons),
        )


@dataclass(frozen=True)
class _Run:
    """One workload through many designs; those that part are split and priced further."""

    chip: Chip
    workload: Workload
    copies: Literal["fit"] | int
    allow_waves: bool
    numerics: dict[str, Any]
    out: _Out = field(repr=False)

    def price(self, values: Mapping[str, np.ndarray], designs: np.ndarray) -> None:
        """Fills in `designs`, whose knobs have `values`."""
        held, groups = _held(values)
        if groups is None and len(designs) > DENSE:
            for first in range(0, len(designs), DENSE):
                part = slice(first, first + DENSE)
                self.price({name: value[part] for name, value in values.items()}, designs[part])
            return
        try:
            sums = self._totals(held)
        except Mixed as mixed:
            mask = mixed.mask if groups is None else groups.spread(mixed.mask)
            for part in (mask, ~mask):
                self.price({name: value[part] for name, value in values.items()}, designs[part])
        except OneByOne:
            for place_ in range(len(designs)):
                one = {name: value[place_ : place_ + 1] for name, value in values.items()}
                self.price(one, designs[place_ : place_ + 1])
        except InputError as error:  # all of these designs have the same fault
            self.out.refuse(designs, str(error))
        else:
            self.out.take(designs, sums, groups)

    def _totals(self, held: dict[str, Any]) -> Totals:
        bits: dict[str, Any] = self.numerics | {name: held.pop(name) for name in NUMERICS if name in held}
        made = columns(self.chip, held)
        shapes = self.workload.shapes
        placement = place(
            shapes, made, bits["weight_bits"], bits["input_bits"], copies=self.copies, allow_waves=self.allow_waves
        )
        return totals(made, self.workload, placement)


def _held(values: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], Groups | None]:
    """Knobs of designs as `columns` takes them, and the groups of designs alike; none where each is for itself.

    What all have alike is one value, an int where the field has one. Of the others, those with fewest values make the
    groups, as many as leave some designs in each, and are held once per group; the rest are held once per design.
    """
    held: dict[str, Any] = {}
    varying: dict[str, np.ndarray] = {}
    for name, value in values.items():
        if _is_other(value) or (value == value[0]).all():
            held[name] = _one(value)
        else:
            varying[name] = value
    known = {name: _ranks(value) for name, value in varying.items()}
    few, num, ranks = list[str](), 1, None
    num_designs = len(next(iter(values.values())))
    for name in sorted(varying, key=lambda name: known[name][0]):
        num_values, rank = known[name]
        if num * num_values * LEAST_ALIKE > num_designs:
            break
        few, num, ranks = [*few, name], num * num_values, rank if ranks is None else ranks * num_values + rank
    if ranks is None:
        return held | {name: value.astype(np.float64) for name, value in varying.items()}, None
    one_of = np.full(num, -1)
    one_of[ranks] = np.arange(num_designs)  # some design of each group, where there is one
    if (one_of < 0).any():
        ranks, one_of = (np.cumsum(one_of >= 0) - 1)[ranks], one_of[one_of >= 0]
    groups = Groups(ranks, len(one_of))
    for name, value in varying.items():
        wide = value.astype(np.float64)
        held[name] = wide[one_of] if name in few else groups.each(wide)
    return held, groups


def _ranks(values: np.ndarray) -> tuple[int, np.ndarray]:
    """How many values there are, and the rank of each; of more than a few as many as there are numbers."""
    table = np.unique(values[:: max(1, len(values) // SAMPLE)])
    if len(table) > SAMPLE // 2 and len(values) > SAMPLE:
        return len(values), np.arange(len(values))
    if len(table) <= FEW:
        steps = np.zeros(len(values), dtype=np.uint8)
        for value in table[1:]:
            steps += (values >= value).view(np.uint8)
        ranks = steps.astype(np.intp)
    else:
        ranks = np.minimum(np.searchsorted(table, values), len(table) - 1)
    if (table.take(ranks) != values).any():  # the sample has not met all
        table, ranks = np.unique(values, return_inverse=True)
    return len(table), ranks


def _one(values: np.ndarray) -> Any:
    """The first value, as Python has it."""
    first = values[0]
    return first.item() if isinstance(first, np.generic) else first
