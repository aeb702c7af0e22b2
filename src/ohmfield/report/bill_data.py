"""The numbers of a bill's page and table: each offer at a rate, as plain data and as rows."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ohmfield.chip.anchors import AREA_WITHIN, ENERGY_WITHIN
from ohmfield.chip.chip import Chip
from ohmfield.cost.bill import Range
from ohmfield.cost.hinges import Hinge
from ohmfield.cost.price import Priced
from ohmfield.mapping.workload import Workload
from ohmfield.quantities import MID
from ohmfield.report.summarise import costs_of
from ohmfield.report.summary import Costs

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Offer:
    """One chip's bill with its power and latency at a rate, and how long a battery lasts.

    None where it does not reach the rate; `latency_ms` is then that of one inference after the other.
    """

    priced: Priced
    fps: float
    latency_ms: Range
    power_W: Range | None
    battery_h: Range | None

    @property
    def name(self) -> str:
        """Name of the chip or processor."""
        return self.priced.name

    @property
    def costs(self) -> Costs:
        """The bill as the figures of a report take it."""
        return costs_of(self.priced.bill)


def offer(priced: Priced, fps: float | None = None, battery_Wh: float | None = None) -> Offer:
    """`priced` at `fps` inferences per second, or at the rate it reaches."""
    bill = priced.bill
    top = bill.frames_per_s[1]
    rate = top if fps is None else fps
    if rate > top:
        return Offer(priced, rate, bill.latency_ms, None, None)
    hours = None if battery_Wh is None else bill.battery_hours(battery_Wh, rate)
    return Offer(priced, rate, bill.latency_at(rate), bill.power_at(rate), hours)


def most_of(priced: Priced) -> str:
    """Where most of the energy goes, in words."""
    bill = priced.bill
    total = bill.energy_mJ[1]
    if not total:
        return "spends nothing"
    component, (_, spent, _) = max(bill.by_component().items(), key=lambda item: item[1][1])
    column = bill.energy_pJ[MID, 0, :, bill.components.index(component)]
    most = int(np.argmax(column))
    share = float(column[most] / column.sum())
    where = "" if bill.operators[most] == "(idle)" else f", {share:.0%} of that in {bill.operators[most]}"
    return f"{spent / total:.0%} of the energy goes to {component.replace('_', ' ')}{where}"


def within_silicon(offers: Sequence[Offer]) -> str:
    """How far published macros lie from bills, beside what constants leave open; nothing where no chip is billed."""
    if not any(isinstance(one.priced.chip, Chip) for one in offers):
        return ""
    return (
        "low and high are of the constants; four of five published macros lay within "
        f"{ENERGY_WITHIN:g} times of our energy and {AREA_WITHIN:g} times of our area, either way"
    )


def plain(model: str, workload: Workload, offers: Sequence[Offer]) -> dict[str, Any]:
    """What stands in `bill.json` and behind `--json`."""
    return {
        "format": FORMAT,
        "model": model,
        "inference": workload.inference,
        "macs": workload.macs,
        "stated": {rate.name: rate.value for rate in workload.stated if not rate.operator},
        "silicon": {"energy_within": ENERGY_WITHIN, "area_within": AREA_WITHIN, "share": 0.8},
        "chips": {one.name: _chip(one) for one in offers},
    }


def _chip(one: Offer) -> dict[str, Any]:
    bill = one.priced.bill
    return {
        "energy_mJ": _range(bill.energy_mJ),
        "latency_ms": _range(one.latency_ms),
        "per_s": _range(bill.frames_per_s),
        "area_mm2": _range(bill.area_mm2) if bill.area_um2.any() else None,
        "fps": one.fps,
        "power_W": _range(one.power_W) if one.power_W else None,
        "battery_h": _range(one.battery_h) if one.battery_h else None,
        "components_mJ": {name: _range(values) for name, values in bill.by_component().items()},
        "waves": one.priced.waves,
        "precision": bill.precision,
        "boundary": bill.boundary,
        "warnings": list(bill.warnings),
    }


def _range(values: Range) -> dict[str, float]:
    return dict(zip(("low", "mid", "high"), values, strict=True))


def hinge_data(found: Sequence[Hinge]) -> list[dict[str, Any]]:
    """Hinges as plain data."""
    return [{"name": hinge.name, "low": hinge.low, "high": hinge.high} for hinge in found]


def rows(offers: Sequence[Offer]) -> str:
    """`bill.csv`: a row for each chip, operator and component that spends energy."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("chip", "operator", "unit", "component", "energy_pJ", "low_pJ", "high_pJ", "share"))
    for one in offers:
        sites = one.priced.placement.sites if one.priced.placement else {}
        for row in one.priced.bill.rows():
            unit = sites[row.operator].unit if row.operator in sites else ""
            figures = (row.energy_pJ, row.low_pJ, row.high_pJ, row.share)
            writer.writerow((one.name, row.operator, unit, row.component, *figures))
    return text.getvalue()


def alike(operator: str) -> str:
    """The name that operators of alike layers share: numbers in their paths, and the first call's index, left out.

    >>> alike("layers.17.mlp.up#0"), alike("layer4.1.conv2#1")
    ('layers.*.mlp.up', 'layer4.*.conv2#1')
    """
    return re.sub(r"(?<=\.)\d+(?=\.|#|$)", "*", operator.removesuffix("#0"))


def shortened(costs: Costs, most: int) -> Costs:
    """Of more operators: alike layers as one row, the `most` of these that spend most, and all others as one."""
    if len(costs.operators) <= most + 1:
        return costs
    groups: dict[str, list[int]] = {}
    for row, operator in enumerate(costs.operators):
        groups.setdefault(alike(operator), []).append(row)
    spent = {name: float(costs.energy_pJ[MID, members].sum()) for name, members in groups.items()}
    kept = sorted(spent, key=lambda name: -spent[name])[:most] if len(groups) > most + 1 else list(groups)
    rows = {_times(name, costs, members): members for name, members in groups.items() if name in kept}
    rest = [row for name, members in groups.items() if name not in kept for row in members]
    rows |= {f"{len(rest)} others": rest} if rest else {}

    def cut(values: np.ndarray) -> np.ndarray:
        return np.stack([values[:, members].sum(axis=1) for members in rows.values()], axis=1)

    return replace(costs, operators=tuple(rows), energy_pJ=cut(costs.energy_pJ), latency_ns=cut(costs.latency_ns))


def _times(name: str, costs: Costs, members: Sequence[int]) -> str:
    return costs.operators[members[0]] if len(members) == 1 else f"{name} ×{len(members)}"
