"""Where counts meet costs: how often each action ran, by operator, and how long each shared stage was kept.

Only counts are added up while a bill is entered; they meet their costs once, at the end. So many designs cost a few
additions for each operator, and one design keeps its full breakdown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

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


@dataclass
class _Stage:
    """How often a stage was kept for a time, and for the first item. Spans are told apart by identity."""

    time_ns: dict[int, Span] = field(default_factory=dict)
    total: dict[int, Number] = field(default_factory=dict)

    def add(self, time_ns: Span, uses: Number) -> None:
        key = id(time_ns)
        self.time_ns[key] = time_ns
        self.total[key] = self.total.get(key, 0.0) + uses

    def sum_ns(self) -> Span:
        """Time of all uses."""
        return sum((self.time_ns[key] * uses for key, uses in self.total.items()), span(0.0))


class Ledger:
    """Energy and time of one inference, as they are entered. All spans are `[3, designs]`.

    `by_operator=False` keeps sums over operators alone: what a sweep over many designs asks for.
    """

    def __init__(self, items: float, *, by_operator: bool = True) -> None:
        self.items, self.by_operator = items, by_operator
        self.wave = 0  # entries that follow belong to this turn
        self.spent: dict[tuple[str, int], _Uses] = {}
        self.stages: dict[tuple[int, str], _Stage] = {}
        self.busy: dict[tuple[str, str], _Stage] = {}
        self.first: dict[str, _Stage] = {}
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
        self.stages.setdefault((self.wave, stage), _Stage()).add(time_ns, uses)
        self.first.setdefault(operator if self.by_operator else EVERY, _Stage()).add(time_ns, first)
        if self.by_operator:
            self.busy.setdefault((operator, stage), _Stage()).add(time_ns, uses)

    def slowest_ns(self) -> Span:
        """Time between two inferences if all stages work at once: the busiest stage of each wave, waves in turn."""
        slowest = span(0.0)
        waves: dict[int, list[_Stage]] = {}
        for (wave, _), stage in self.stages.items():
            waves.setdefault(wave, []).append(stage)
        for stages in waves.values():
            times = list[Span]()
            alike: dict[int, tuple[Span, Number]] = {}  # stages of one unit differ in counts alone
            for stage in stages:
                if len(stage.total) == 1:
                    ((key, uses),) = stage.total.items()
                    known = alike.get(key)
                    alike[key] = (stage.time_ns[key], uses if known is None else largest(known[1], uses))
                else:
                    times.append(stage.sum_ns())
            times += [time_ns * uses for time_ns, uses in alike.values()]
            slowest = slowest + np.maximum.reduce(np.broadcast_arrays(*times))
        return slowest

    def fill_ns(self) -> Span:
        """Time of the first item through every stage."""
        return sum((stage.sum_ns() for stage in self.first.values()), span(0.0))

    def latency_ns(self, slowest_ns: Span) -> Span:
        """First item in to last item out: the first through every stage, the others at the pace of the slowest."""
        return self.fill_ns() + slowest_ns * max(0.0, 1.0 - 1.0 / self.items) + self.load_ns

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

    def stage_times(self, operators: Sequence[str]) -> dict[tuple[str, str], Span]:
        """Time that each operator keeps each stage, ns; nothing where operators are not kept apart."""
        return {key: stage.sum_ns() for key, stage in self.busy.items() if key[0] in operators}

    def latency(self, operators: Sequence[str]) -> np.ndarray:
        """Time that each operator keeps its slowest stage, `[3, designs, operators]` ns."""
        slowest = dict.fromkeys(operators, span(0.0))
        for (operator, _), stage in self.busy.items():
            slowest[operator] = np.maximum(slowest[operator], stage.sum_ns())
        return np.stack(np.broadcast_arrays(*slowest.values()), axis=-1)

    def first_ns(self, operators: Sequence[str]) -> np.ndarray:
        """Time of the first item through the stages of each operator, `[3, designs, operators]` ns."""
        times = [self.first[name].sum_ns() if name in self.first else span(0.0) for name in operators]
        return np.stack(np.broadcast_arrays(*times), axis=-1)
