"""Fabricated chips against the cost leaves, no constant of their own. Run: python benchmarks/silicon.py

Writes results/silicon.json and docs/figures/silicon.svg.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from common import show, write
from validation.silicon import BUILDERS
from validation.silicon_rows import LATER_ROWS, ROWS, SILICON, Row, chip_ratios, naive
from validation.silicon_summary import (
    EARLIER,
    PARTS,
    UNSEEN,
    earlier,
    inside,
    naive_ratios,
    predicted,
    ratios,
    score,
    total,
    within,
)

FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "silicon.svg"
ENERGY, AREA = "energy_fJ_per_MAC", "area_um2"
AXES = {ENERGY: ("energy per MAC, fJ", 1.0), AREA: ("area, mm2", 1e-6)}


def by_chip(quantity: str) -> dict[str, dict[str, Any]]:
    """Model over reported of every chip: now, at the first run, with its own constants, and the regression's."""
    now, covered = ratios(quantity), inside(ratios(quantity))
    own, plain = ratios(quantity, ()), naive_ratios(quantity)
    return {
        chip: {
            "rows": sum(row.chip == chip and not math.isnan(getattr(row, quantity)) for row in SILICON),
            "ratio": round(ratio, 3),
            "inside": covered[chip],
            **{run: earlier(run, quantity)[chip] for run in EARLIER},
            "own_constants": round(own[chip], 3),
            "naive": round(plain[chip], 3),
        }
        for chip, ratio in now.items()
    }


def figures(quantity: str) -> dict[str, Any]:
    """The claims, the regression and the first run beside them."""
    return {
        **_rounded(score(ratios(quantity))),
        "interval_times": round(within(ratios(quantity)), 3),
        "naive": _rounded(score(naive_ratios(quantity))),
        **{run: _rounded(score(earlier(run, quantity))) for run in EARLIER},
        "chip": by_chip(quantity),
    }


def row_facts(row: Row) -> dict[str, Any]:
    """One row: reported, our middle, range of the spans and 80 % interval, by component; source and what is assumed."""
    facts: dict[str, Any] = {"chip": row.chip, "group": row.group, "boundary": row.boundary, "source": row.source}
    facts |= {"assumed": row.assumed, "held_up": row.held_up}
    if row.chip not in BUILDERS:
        return facts | {"not_run": "another architecture than the circuits described here"}
    for quantity, parts in PARTS.items():
        reported = getattr(row, quantity)
        if math.isnan(reported):
            continue
        found = parts(row)
        low, mid, high = (float(value) for value in total(found))
        times = within(ratios(quantity), row.chip)
        facts[quantity] = {
            "reported": reported,
            "model": _short(mid),
            "spans": [_short(low), _short(high)],
            "interval": [_short(mid / times), _short(mid * times)],
            "parts": {name: _short(float(value[1, 0])) for name, value in found.items()},
        }
    return facts


def unseen() -> dict[str, Any]:
    """Errors of settings that were not fitted."""
    return {
        case.chip: {
            "bound": case.bound,
            "worst": round(max(abs(error) for error in case.errors().values()), 4),
            "errors": {name: round(error, 4) for name, error in case.errors().items()},
        }
        for case in UNSEEN
    }


def later() -> dict[str, Any]:
    """Chips looked up after the laws stood, and rows from memory, apart."""
    apart = [row for row in (*LATER_ROWS, *ROWS) if row.group in ("later", "memory")]
    return {
        chip: {
            "group": next(row.group for row in apart if row.chip == chip),
            "ratio": round(ratio, 3),
            "naive": round(chip_ratios(apart, ENERGY, lambda row: naive(row, ENERGY))[chip], 3),
        }
        for chip, ratio in chip_ratios(apart, ENERGY, lambda row: predicted(row, ENERGY)).items()
    }


def draw(rows: Mapping[str, Any]) -> None:
    """Reported against model, both axes in logarithms, the band of two times either way."""
    mpl.rcParams |= {"svg.hashsalt": "ohmfield", "font.size": 8, "svg.fonttype": "none"}
    chips = list(dict.fromkeys(row.chip for row in SILICON))  # one style each, in both panels
    figure, panels = plt.subplots(1, 2, figsize=(9.5, 4.4), layout="constrained")
    for panel, (quantity, (label, unit)) in zip(panels, AXES.items(), strict=True):
        values: list[float] = []
        for index, chip in enumerate(chips):
            own = [facts[quantity] for facts in rows.values() if facts["chip"] == chip and quantity in facts]
            reported = [facts["reported"] * unit for facts in own]
            model = [facts["model"] * unit for facts in own]
            bars = [
                [(facts["model"] - facts["interval"][0]) * unit for facts in own],
                [(facts["interval"][1] - facts["model"]) * unit for facts in own],
            ]
            style = {"fmt": "osD^vP*"[index % 7], "color": f"C{index % 10}", "markersize": 4, "elinewidth": 0.5}
            panel.errorbar(reported, model, yerr=bars, label=chip, linestyle="none", **style)
            values += reported + model
        ends = (min(values) / 1.5, max(values) * 1.5)
        panel.plot(ends, ends, color="grey", linewidth=0.8)
        panel.fill_between(ends, [end / 2 for end in ends], [end * 2 for end in ends], color="grey", alpha=0.15, lw=0)
        panel.set(xscale="log", yscale="log", xlabel=f"reported {label}", ylabel=f"model {label}", xlim=ends)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    figure.savefig(FIGURE, metadata={"Date": None})


def _rounded(found: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in found.items()}


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def main() -> None:
    results = {"energy": figures(ENERGY), "area": figures(AREA)}
    for name, found in results.items():
        keys = ("rows", *EARLIER, "ratio", "inside", "own_constants", "naive")
        lines = [[chip, *(facts[key] for key in keys)] for chip, facts in found["chip"].items()]
        show(f"{name}: model over reported", ("chip", *keys), lines)
        show(f"{name}: together", ("figure", "value"), [(k, v) for k, v in found.items() if not isinstance(v, dict)])
    known, apart = unseen(), later()
    show(
        "Unseen settings of a known chip",
        ("chip", "worst", "bound"),
        [[c, f["worst"], f["bound"]] for c, f in known.items()],
    )
    show("Apart", ("chip", "group", "ratio", "naive"), [[chip, *facts.values()] for chip, facts in apart.items()])
    rows = {row.row: row_facts(row) for row in (*ROWS, *LATER_ROWS)}
    draw(rows)
    write("silicon", {**results, "unseen": known, "apart": apart, "row": rows})


if __name__ == "__main__":
    main()
