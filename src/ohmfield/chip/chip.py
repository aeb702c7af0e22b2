"""The whole chip: one description that simulation, bill and search read, to and from YAML."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Literal

from ohmfield.chip.baseline import Roofline
from ohmfield.chip.digital import ActivationUnit, GatherUnit, Requantiser
from ohmfield.chip.memory import Dram, Sram
from ohmfield.chip.process import Process
from ohmfield.chip.units import UNITS, Unit
from ohmfield.spec import family, knob, spec


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
    boundary: Literal["array", "macro", "chip", "system"] = knob(
        "label", "chip", doc="how much of the published chip its source's figures are of"
    )
    assumed: tuple[str, ...] = knob("label", (), doc="what no source gives, one line each; printed on every report")
    measured: tuple[str, ...] = knob("label", (), doc="leaves that were measured, one line each; printed with bills")
    process: Process
    units: dict[str, family(Unit, UNITS)]
    place: tuple[Rule, ...] = ()
    requantiser: Requantiser
    activation: ActivationUnit
    gather: GatherUnit | None = None
    table_memory: Sram | None = None
    buffer: Sram
    dram: Dram | None = None
    host: Roofline
    inferences_per_write: float = knob("cost", 1e6, gt=0, doc="inferences over which one programming is spread")

    def __post_init__(self) -> None:
        if not self.units:
            raise ValueError("units is empty; a chip needs at least one unit that holds weights")
        for rule in self.place:
            if rule.unit not in self.units:
                raise ValueError(f"place: unit {rule.unit!r} is not one of {', '.join(self.units)}")

    def unit_for(self, path: str, position: str = "") -> str:
        """Name of the unit for a linear layer at `path`; `position` is `first`, `last` or empty."""
        for rule in self.place:
            if rule.match == position or fnmatch(path, rule.match):
                return rule.unit
        return next(iter(self.units))
