"""Where counts times costs are added up: energy by operator and component, time by operator and shared resource."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ohmfield.quantities import ActionCost, Span, span

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
    "dram",
    "host",
    "programming",
    "leakage",
)


class Ledger:
    """Energy and time of one inference, as they are entered. All spans are `[3, designs]`."""

    def __init__(self, items: float) -> None:
        self.items = items
        self.wave = 0  # entries that follow belong to this turn
        self.energy_pJ: dict[tuple[str, str], Span] = {}
        self.busy_ns: dict[str, Span] = {}
        self.stage_ns: dict[tuple[int, str], Span] = {}
        self.fill_ns = span(0.0)
        self.load_ns = span(0.0)

    def spend(self, operator: str, component: str, cost: ActionCost, uses: float | np.ndarray = 1.0) -> None:
        """Enter the energy of `uses` actions."""
        key = (operator, component)
        self.energy_pJ[key] = self.energy_pJ.get(key, span(0.0)) + cost.energy_pJ * uses

    def occupy(self, operator: str, stage: str, time_ns: Span, first_ns: Span) -> None:
        """Enter that `operator` keeps a stage (shared by name) for `time_ns`, and the first item for `first_ns`."""
        self.busy_ns[operator] = np.maximum(self.busy_ns.get(operator, span(0.0)), time_ns)
        key = (self.wave, stage)
        self.stage_ns[key] = self.stage_ns.get(key, span(0.0)) + time_ns
        self.fill_ns = self.fill_ns + first_ns

    def slowest_ns(self) -> Span:
        """Time between two inferences if all stages work at once: the busiest stage of each wave, waves in turn."""
        waves = {wave for wave, _ in self.stage_ns}
        slowest = span(0.0)
        for wave in waves:
            stages = [time for (turn, _), time in self.stage_ns.items() if turn == wave]
            slowest = slowest + np.maximum.reduce(np.broadcast_arrays(*stages))
        return slowest

    def latency_ns(self) -> Span:
        """First item in to last item out: the first through every stage, the others at the pace of the slowest."""
        return self.fill_ns + self.slowest_ns() * max(0.0, 1.0 - 1.0 / self.items) + self.load_ns

    def interval_ns(self) -> Span:
        """Time between two inferences: inferences overlap, unless weights are written in between."""
        return self.latency_ns() if np.any(self.load_ns > 0.0) else self.slowest_ns()

    def energy(self, operators: Sequence[str], components: Sequence[str]) -> np.ndarray:
        """Entered energy as `[3, designs, operators, components]` pJ."""
        designs = max((cost.shape[1] for cost in self.energy_pJ.values()), default=1)
        table = np.zeros((3, designs, len(operators), len(components)))
        for (operator, component), cost in self.energy_pJ.items():
            table[:, :, operators.index(operator), components.index(component)] += cost
        return table

    def latency(self, operators: Sequence[str]) -> np.ndarray:
        """Time that each operator keeps its slowest stage, `[3, designs, operators]` ns."""
        times = [self.busy_ns.get(operator, span(0.0)) for operator in operators]
        return np.stack(np.broadcast_arrays(*times), axis=-1)
