"""Where counts meet costs: how often each action ran, by operator, and how long each shared stage was kept.

Only counts are added up while a bill is entered; they meet their costs once, at the end. So many designs cost a few
additions for each operator, and one design keeps its full breakdown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ohmfield.quantities import ActionCost, Number, Span, largest, span

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
EVERY = "(all)"  # the one row of a bill that is not kept by operator


@dataclass
class _Uses:
    """How often one action was used, by operator. `cost` is held, so that its identity stays its own."""

    cost: ActionCost
    by_operator: dict[str, Number] = field(default_factory=dict)


class _Times(dict[Any, dict[int, Number]]):
    """How often each time was taken, by whatever tells the takers apart. `spans` holds the times by identity."""

    def __init__(self, spans: dict[int, Span]) -> None:
        super().__init__()
        self.spans = spans

    def add(self, key: object, time: int, uses: Number) -> None:
        known = self.setdefault(key, {})
        known[time] = known[time] + uses if time in known else uses

    def sums_ns(self) -> dict[Any, Span]:
        """Time of all uses by key. Those of one design are added in one go."""
        flat = [(place, time, uses) for place, known in enumerate(self.values()) for time, uses in known.items()]
        if (
            flat
            and all(self.spans[time].size == 3 for _, time, _ in flat)
            and not any(isinstance(uses, np.ndarray) and uses.ndim for _, _, uses in flat)
        ):
            places, times, uses = zip(*flat, strict=True)
            taken = np.concatenate([self.spans[time] for time in times], axis=1) * np.array(uses, dtype=float)
            sums = [np.bincount(places, weights=row, minlength=len(self)) for row in taken]
            return dict(zip(self, np.array(sums).T[..., None], strict=True))
        return {
            key: sum((self.spans[time] * uses for time, uses in known.items()), span(0.0))
            for key, known in self.items()
        }


class Ledger:
    """Energy and time of one inference, as they are entered. All spans are `[3, designs]`.

    `by_operator=False` keeps sums over operators alone: what a sweep over many designs asks for.
    """

    def __init__(self, items: float, *, by_operator: bool = True) -> None:
        self.items, self.by_operator = items, by_operator
        self.wave = 0  # entries that follow belong to this turn
        self.spent: dict[tuple[str, int], _Uses] = {}
        spans: dict[int, Span] = {}
        self.stages, self.busy, self.first = _Times(spans), _Times(spans), _Times(spans)
        self.load_ns = span(0.0)

    def spend(self, operator: str, component: str, cost: ActionCost, uses: Number = 1.0) -> None:
        """Enter the energy of `uses` actions. Pass the same `cost` object for the same action."""
        key = (component, id(cost))
        if key not in self.spent:
            self.spent[key] = _Uses(cost)
        name = operator if self.by_operator else EVERY
        known = self.spent[key].by_operator
        known[name] = known[name] + uses if name in known else uses

    def occupy(self, operator: str, stage: str, time_ns: Span, uses: Number, first: Number) -> None:
        """Enter that `operator` keeps a stage, shared by name, `uses` times for `time_ns`, its first item `first`.

        Pass the same `time_ns` object for the same time.
        """
        time = id(time_ns)
        self.stages.spans[time] = time_ns
        self.stages.add((self.wave, stage), time, uses)
        self.first.add(operator if self.by_operator else EVERY, time, first)
        if self.by_operator:
            self.busy.add((operator, stage), time, uses)

    def slowest_ns(self) -> Span:
        """Time between two inferences if all stages work at once: the busiest stage of each wave, waves in turn."""
        waves: dict[int, _Times] = {}
        alike: dict[tuple[int, int], Number] = {}  # stages of one unit differ in counts alone
        for (wave, stage), known in self.stages.items():
            if len(known) == 1:
                ((time, uses),) = known.items()
                alike[wave, time] = largest(alike[wave, time], uses) if (wave, time) in alike else uses
            else:
                waves.setdefault(wave, _Times(self.stages.spans))[stage] = known
        for (wave, time), uses in alike.items():
            waves.setdefault(wave, _Times(self.stages.spans))[time] = {time: uses}
        slowest = span(0.0)
        for stages in waves.values():
            slowest = slowest + np.maximum.reduce(np.broadcast_arrays(*stages.sums_ns().values()))
        return slowest

    def latency_ns(self, slowest_ns: Span) -> Span:
        """First item in to last item out: the first through every stage, the others at the pace of the slowest."""
        fill_ns = sum(self.first.sums_ns().values(), span(0.0))
        return fill_ns + slowest_ns * max(0.0, 1.0 - 1.0 / self.items) + self.load_ns

    def energy(self, operators: Sequence[str], components: Sequence[str]) -> np.ndarray:
        """Entered energy as `[3, designs, operators, components]` pJ."""
        rows = {name: index for index, name in enumerate(operators)}
        places, costs, uses = list[int](), list[Span](), list[Number]()
        for (component, _), entry in self.spent.items():
            column = components.index(component)
            for operator, times in entry.by_operator.items():
                places.append(rows[operator] * len(components) + column)
                costs.append(entry.cost.energy_pJ)
                uses.append(times)
        size = len(operators) * len(components)
        if all(cost.shape == (3, 1) for cost in costs) and not any(np.size(times) > 1 for times in uses):
            spent = np.concatenate([span(0.0), *costs], axis=1) * np.array([0.0, *map(float, uses)])
            table = [np.bincount([0, *places], weights=row, minlength=size) for row in spent]
            return np.array(table).reshape(3, 1, len(operators), len(components))
        designs = max(max(cost.shape[1], np.size(times)) for cost, times in zip(costs, uses, strict=True))
        table = np.zeros((size, 3, designs))
        for place, cost, times in zip(places, costs, uses, strict=True):
            table[place] += cost * times
        return np.moveaxis(table, 0, 2).reshape(3, designs, len(operators), len(components))

    def stage_ns(self) -> dict[tuple[str, str], Span]:
        """Time that each operator keeps each stage; nothing where operators are not kept apart."""
        return self.busy.sums_ns()

    def first_ns(self, operators: Sequence[str]) -> np.ndarray:
        """Time of the first item through the stages of each operator, `[3, designs, operators]` ns."""
        times = self.first.sums_ns()
        return np.stack(np.broadcast_arrays(*(times.get(name, span(0.0)) for name in operators)), axis=-1)


def slowest_of(stage_ns: Mapping[tuple[str, str], Span], operators: Sequence[str]) -> np.ndarray:
    """Time that each operator keeps its slowest stage, `[3, designs, operators]` ns."""
    slowest = dict.fromkeys(operators, span(0.0))
    for (operator, _), time_ns in stage_ns.items():
        slowest[operator] = np.maximum(slowest[operator], time_ns)
    return np.stack(np.broadcast_arrays(*slowest.values()), axis=-1)
