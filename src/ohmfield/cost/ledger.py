"""Where counts meet costs: how often each action ran, by operator, and how long each shared stage was kept.

Only counts are added up while a bill is entered; they meet their costs once, at the end. So many designs cost a few
additions for each operator, and one design keeps its full breakdown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any

import numpy as np

from ohmfield.mapping.workload import path_of
from ohmfield.quantities import ZERO, ActionCost, Number, Span, added, largest, side_by_side

# Components in the order they are shown; a unit may name others, which follow.
COMPONENTS = (
    "cells",
    "drivers",
    "adc",
    "shift_add",
    "adder_tree",
    "control",
    "requantiser",
    "activation",
    "gather",
    "table_memory",
    "buffer",
    "link",
    "dram",
    "host",
    "programming",
    "leakage",
)


@dataclass
class _Uses:
    """How often one action was used, by row. `cost` is held, so that its identity stays its own."""

    cost: ActionCost
    by_row: dict[int, Number] = field(default_factory=dict)


class _Times(dict[Any, dict[int, Number]]):
    """How often each time was taken, by whatever tells the takers apart. `spans` holds the times by identity."""

    def __init__(self, spans: dict[int, Span], *, of_one: bool) -> None:
        super().__init__()
        self.spans, self.of_one = spans, of_one

    def add(self, key: object, time: int, uses: Number) -> None:
        known = self.get(key)
        if known is None:
            self[key] = {time: uses}
        else:
            known[time] = known[time] + uses if time in known else uses

    def sums_ns(self) -> dict[Any, Span]:
        """Time of all uses by key. Those of one design are added in one go."""
        flat = [(place, time, uses) for place, known in enumerate(self.values()) for time, uses in known.items()]
        if self.of_one and flat:
            places, times, uses = zip(*flat, strict=True)
            taken = _of_one([self.spans[time] for time in times], uses)
            if taken is not None:
                sums = [np.bincount(places, weights=row, minlength=len(self)) for row in taken]
                return dict(zip(self, np.array(sums).T[..., None], strict=True))
        return {key: added(self.spans[time] * uses for time, uses in known.items()) for key, known in self.items()}


class Ledger:
    """Energy and time of one inference, as they are entered. All spans are `[3, designs]`.

    Operators that are alike are entered once, as one row. `by_operator=False` keeps sums over operators alone: what a
    sweep over many designs asks for.
    """

    def __init__(self, items: float, *, by_operator: bool = True) -> None:
        self.items, self.by_operator = items, by_operator
        self.rows: dict[tuple[str, ...], int] = {}  # place of each row, by its operators
        self.row, self.alike = 0, 1  # the row of entries that follow, and how many operators it stands for
        self.wave = 0  # entries that follow belong to this turn
        self.spent: dict[tuple[str, int], _Uses] = {}
        spans: dict[int, Span] = {}
        self.stages, self.busy, self.first = (_Times(spans, of_one=by_operator) for _ in range(3))
        self.own = set[str]()
        self.load_ns = ZERO

    def enter(self, *operators: str) -> None:
        """Entries that follow are those of each of `operators`."""
        self.alike = len(operators)
        if self.by_operator:
            self.row = self.rows.setdefault(operators, len(self.rows))

    def spend(self, component: str, cost: ActionCost, uses: Number = 1.0) -> None:
        """Enter the energy of `uses` actions. Pass the same `cost` object for the same action."""
        key = (component, id(cost))
        entry = self.spent.get(key)
        if entry is None:
            entry = self.spent[key] = _Uses(cost)
        if self.alike > 1 and not self.by_operator:
            uses = uses * self.alike
        known = entry.by_row
        known[self.row] = known[self.row] + uses if self.row in known else uses

    def occupy(self, stage: str, time_ns: Span, uses: Number, first: Number, *, own: bool = False) -> None:
        """Enter that an operator keeps a stage, shared by name, `uses` times for `time_ns`, its first item `first`.

        Pass the same `time_ns` object for the same time. A stage that is an operator's `own` ends in its path; those
        of operators alike are kept side by side.
        """
        time, alike = id(time_ns), self.alike
        self.stages.spans[time] = time_ns
        self.stages.add((self.wave, stage), time, uses if own or alike == 1 else uses * alike)
        if self.by_operator:
            self.first.add(self.row, time, first)
            self.busy.add((self.row, stage), time, uses)
            if own:
                self.own.add(stage)
        else:
            self.first.add(0, time, first if alike == 1 else first * alike)

    # ---- sums over operators ---------------------------------------------------------------------------------------

    def slowest_ns(self) -> Span:
        """Time between two inferences if all stages work at once: the busiest stage of each wave, waves in turn."""
        waves: dict[int, _Times] = {}
        alike: dict[tuple[int, int], Number] = {}  # stages of one unit differ in counts alone
        for (wave, stage), known in self.stages.items():
            if len(known) == 1:
                ((time, uses),) = known.items()
                alike[wave, time] = largest(alike[wave, time], uses) if (wave, time) in alike else uses
            else:
                waves.setdefault(wave, _Times(self.stages.spans, of_one=self.by_operator))[stage] = known
        for (wave, time), uses in alike.items():
            waves.setdefault(wave, _Times(self.stages.spans, of_one=self.by_operator))[time] = {time: uses}
        return added(reduce(np.maximum, stages.sums_ns().values()) for stages in waves.values())

    def latency_ns(self, slowest_ns: Span) -> Span:
        """First item in to last item out: the first through every stage, the others at the pace of the slowest."""
        alike = [len(operators) for operators in self.rows] or [1]
        fill_ns = added(time_ns * alike[row] for row, time_ns in self.first_sums_ns.items())
        return fill_ns + slowest_ns * max(0.0, 1.0 - 1.0 / self.items) + self.load_ns

    def by_component(self) -> dict[str, Span]:
        """Entered energy of each component that spends any, pJ; of a ledger that is not kept by operator."""
        spent: dict[str, Span] = {}
        for (component, _), entry in self.spent.items():
            energy_pJ = entry.cost.energy_pJ * entry.by_row[0]
            spent[component] = spent[component] + energy_pJ if component in spent else energy_pJ
        return spent

    # ---- of each operator ------------------------------------------------------------------------------------------

    def energy(self, operators: Sequence[str], components: Sequence[str]) -> np.ndarray:
        """Entered energy as `[3, designs, operators, components]` pJ."""
        columns = {name: index for index, name in enumerate(components)}
        places, costs, uses = list[int](), list[Span](), list[Number]()
        for (component, _), entry in self.spent.items():
            for row, times in entry.by_row.items():
                places.append(columns[component] * len(self.rows) + row)
                costs.append(entry.cost.energy_pJ)
                uses.append(times)
        size = len(self.rows) * len(components)
        spent = _of_one(costs, uses)
        if spent is not None:
            table = np.array([np.bincount(places, weights=each, minlength=size) for each in spent])[:, None]
        else:
            each = np.broadcast_arrays(*(cost * times for cost, times in zip(costs, uses, strict=True)))
            table = np.zeros((3, each[0].shape[1], size))
            for place, energy_pJ in zip(places, each, strict=True):
                table[..., place] += energy_pJ
        table = table.reshape(3, -1, len(components), len(self.rows))
        return np.moveaxis(table @ self._holders(operators), 3, 2)

    @cached_property
    def busy_sums_ns(self) -> dict[tuple[int, str], Span]:
        """Time that a row keeps a stage; to be asked when all is entered."""
        return self.busy.sums_ns()

    @cached_property
    def first_sums_ns(self) -> dict[int, Span]:
        """Time of the first item through the stages of a row; to be asked when all is entered."""
        return self.first.sums_ns()

    def stage_ns(self) -> dict[tuple[str, str], Span]:
        """Time that each operator keeps each stage."""
        made: dict[tuple[str, str], Span] = {}
        rows = list(self.rows)
        for (row, stage), time_ns in self.busy_sums_ns.items():
            unit = stage.removesuffix(path_of(rows[row][0])) if stage in self.own else ""
            for name in rows[row]:
                made[name, unit + path_of(name) if unit else stage] = time_ns
        return made

    def kept_ns(self, operators: Sequence[str]) -> np.ndarray:
        """Time that each operator keeps its slowest stage, `[3, designs, operators]` ns."""
        slowest: dict[int, Span] = {}
        for (row, _), time_ns in self.busy_sums_ns.items():
            slowest[row] = np.maximum(slowest[row], time_ns) if row in slowest else time_ns
        return self._times_of_each(slowest, operators)

    def first_ns(self, operators: Sequence[str]) -> np.ndarray:
        """Time of the first item through the stages of each operator, `[3, designs, operators]` ns."""
        return self._times_of_each(self.first_sums_ns, operators)

    def _times_of_each(self, times: Mapping[int, Span], operators: Sequence[str]) -> np.ndarray:
        each = [times.get(row, ZERO) for row in range(len(self.rows))]
        return side_by_side(each) @ self._holders(operators)

    def _holders(self, operators: Sequence[str]) -> np.ndarray:
        """1 where an operator is in a row, `[rows, operators]`: a product with it has the sums of each operator."""
        place = {name: index for index, name in enumerate(operators)}
        made = np.zeros((len(self.rows), len(operators)))
        for names, row in self.rows.items():
            made[row, [place[name] for name in names]] = 1.0
        return made


def _of_one(spans: Sequence[Span], uses: Sequence[Number]) -> np.ndarray | None:
    """`[3, entries]` of each span times its uses, where they are of one design; else none."""
    try:
        counts = np.array(uses, dtype=np.float64)
    except ValueError:  # some are arrays of designs
        return None
    times = np.concatenate(spans, axis=1)
    return times * counts if times.shape[1] == len(uses) and counts.ndim == 1 else None
