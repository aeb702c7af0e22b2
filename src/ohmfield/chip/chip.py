"""The whole chip: one description that simulation, bill and search read, to and from YAML."""

from __future__ import annotations

from fnmatch import fnmatch

from ohmfield.chip.baseline import Roofline
from ohmfield.chip.composition import ManyChips, Stacked
from ohmfield.chip.digital import ActivationUnit, GatherUnit, Requantiser
from ohmfield.chip.gating import PowerDomain
from ohmfield.chip.links import LINKS
from ohmfield.chip.links.base import Link
from ohmfield.chip.memory import MEMORIES, Dram, Memory
from ohmfield.chip.process import Process
from ohmfield.chip.units import UNITS, Unit
from ohmfield.quantities import Number
from ohmfield.spec import family, knob, spec

# Components of a bill that a power domain can hold.
GATED = (
    "cells", "drivers", "adc", "shift_add", "adder_tree", "control", "requantiser", "activation", "gather",
    "table_memory", "buffer", "link",
)  # fmt: skip


@spec
class Rule:
    """Operators whose module path matches `match` (shell pattern, or `first` / `last` linear layer) run on `unit`."""

    match: str = knob("both", doc="shell pattern on the module path, or first / last")
    unit: str = knob("both", doc="a name under units")


@spec
class Chip:
    """A chip. `units` hold weights; `place` says which layer runs where, first match wins, default the first unit."""

    name: str = knob("label", doc="short name")
    title: str = knob("label", "", doc="one line for people")
    source: str = knob("label", doc="where the numbers come from")
    assumed: tuple[str, ...] = knob("label", (), doc="what no source gives, one line each; printed on every report")
    measured: tuple[str, ...] = knob("label", (), doc="leaves that were measured, one line each; printed with bills")
    process: Process
    units: dict[str, family(Unit, UNITS)]
    place: tuple[Rule, ...] = ()
    requantiser: Requantiser
    activation: ActivationUnit
    gather: GatherUnit | None = None
    table_memory: family(Memory, MEMORIES, default="sram") | None = None
    buffer: family(Memory, MEMORIES, default="sram")
    dram: Dram | None = None
    network: family(Link, LINKS) | None = knob("cost", None, doc="between buffer and units; none: not counted")
    stacked: Stacked | None = knob("cost", None, doc="memories on a tier of their own; default: beside the units")
    many: ManyChips | None = knob("cost", None, doc="chips in a row that share a network; default: one")
    gating: tuple[PowerDomain, ...] = knob("cost", (), doc="what is switched off between inferences; default: nothing")
    host: Roofline
    inferences_per_write: float = knob("cost", 1e6, gt=0, doc="inferences over which one programming is spread")

    def __post_init__(self) -> None:
        unknown = {name for domain in self.gating for name in domain.components} - {*GATED}
        if unknown:
            raise ValueError(f"gating: {', '.join(sorted(unknown))} cannot be switched off; known: {', '.join(GATED)}")
        if not self.units:
            raise ValueError("units is empty; a chip needs at least one unit that holds weights")
        for rule in self.place:
            if rule.unit not in self.units:
                raise ValueError(f"place: unit {rule.unit!r} is not one of {', '.join(self.units)}")

    @property
    def num_chips(self) -> Number:
        """Chips of this description, side by side."""
        return 1 if self.many is None else self.many.count

    def unit_for(self, path: str, position: str = "") -> str:
        """Name of the unit for a linear layer at `path`; `position` is `first`, `last` or empty."""
        for rule in self.place:
            if rule.match == position or fnmatch(path, rule.match):
                return rule.unit
        return next(iter(self.units))
