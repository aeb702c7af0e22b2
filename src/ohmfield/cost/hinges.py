"""What a bill hangs on: each constant at its low and its high end, all others in the middle."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from ohmfield.chip.anchors import seen_through
from ohmfield.chip.baseline import Roofline
from ohmfield.chip.chip import Chip
from ohmfield.cost.alike import alike
from ohmfield.cost.baseline import baseline_bill
from ohmfield.cost.evaluate import totals
from ohmfield.mapping.workload import Placement, Stated, Workload
from ohmfield.quantities import HIGH, LOW, MID, ZERO, Number, Span, added
from ohmfield.spec import InputError

FIGURES = ("energy", "latency", "area")
DRIVEN = "driven digits"


@dataclass(frozen=True)
class Hinge:
    """One constant: the total over the middle estimate with it alone at the low and at the high end of its span."""

    name: str
    low: float
    high: float

    @property
    def width(self) -> float:
        """From one end to the other."""
        return abs(self.high - self.low)


def hinges(
    chip: Chip | Roofline, workload: Workload, placement: Placement | None = None, figure: str = "energy"
) -> tuple[Hinge, ...]:
    """Every constant that moves the energy, latency or area of one inference, the widest first.

    However many constants there are, two bills tell: one to see which are read, and one of as many designs, in each of
    which another constant has its span and all others none. Beside them stands the share of digits that are driven,
    where no run has counted it: a quarter and three quarters of the largest sum, instead of half.
    """
    if figure not in FIGURES:
        raise InputError(f"figure {figure!r} is not known; known: {', '.join(FIGURES)}")
    read: dict[str, Span] = {}
    place: dict[str, int] = {}

    def note(name: str, value: Span) -> Span:
        read[name] = value
        return value

    def one_moved(name: str, value: Span) -> Span:
        made = np.repeat(np.repeat(value[MID : MID + 1], 3, axis=0), len(place), axis=1)
        made[:, place[name]] = value[:, 0]
        return made

    with seen_through(note):
        middle = float(_total(chip, workload, placement, figure)[MID, 0])
    if middle == 0.0 or not read:
        return ()
    place |= {name: column for column, name in enumerate(read)}
    with seen_through(one_moved):
        moved = _total(chip, workload, placement, figure) / middle
    found = [Hinge(name, float(moved[LOW, i]), float(moved[HIGH, i])) for name, i in place.items()]
    if isinstance(chip, Chip):
        assert placement is not None
        found.append(_driven(chip, workload, placement, figure, middle))
    return tuple(sorted((hinge for hinge in found if hinge.width > 1e-9), key=lambda hinge: -hinge.width))


def _driven(chip: Chip, workload: Workload, placement: Placement, figure: str, middle: float) -> Hinge:
    """The total with a quarter and with three quarters of the largest digit sums driven, where nobody counted them."""
    halves: dict[str, float] = {}
    fields = {one.name: getattr(workload, one.name) for one in dataclasses.fields(workload)}
    totals(chip, _Watched(**fields, halves=halves), placement)
    groups = [[each.id for each in operators] for operators in alike(chip, workload, placement)]
    ends = []
    for share in (0.5, 1.5):
        said = tuple(
            Stated("driven", share * halves[names[0]], operator=name)
            for names in groups
            if names[0] in halves
            for name in names
        )
        moved = dataclasses.replace(workload, stated=(*workload.stated, *said))
        ends.append(float(_total(chip, moved, placement, figure)[MID, 0]) / middle)
    return Hinge(DRIVEN, *ends)


@dataclass(frozen=True)
class _Watched(Workload):
    """A workload that notes which operators take the default of their driven digits."""

    halves: dict[str, float] = field(default_factory=dict)

    def rate(self, operator: str, name: str, default: Number) -> Number:
        if name == "driven" and self.origin(operator, name) == "default":
            self.halves[operator] = float(default)
        return super().rate(operator, name, default)


def _total(chip: Chip | Roofline, workload: Workload, placement: Placement | None, figure: str) -> Span:
    """`[3, designs]` of a figure."""
    if isinstance(chip, Roofline):
        bill = baseline_bill(chip, workload)
        return {"energy": bill.energy_pJ.sum(axis=(2, 3)), "latency": bill.fill_ns}.get(figure, ZERO)
    assert placement is not None, "a chip has a placement"
    sums = totals(chip, workload, placement)
    return {"energy": added(sums.energy_pJ.values()), "latency": sums.fill_ns, "area": sums.area_um2}[figure]
