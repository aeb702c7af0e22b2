"""Fabricated macros against the cost leaves, leave-one-out. Run: python benchmarks/macros.py"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from common import show, write
from ohmfield.quantities import MID, Span
from validation.silicon import MACROS, Macro, area_um2, energy_fJ_per_MAC


def total(parts: dict[str, Span]) -> Span:
    return np.sum(list(parts.values()), axis=0).ravel()


def figures(macro: Macro) -> dict[str, Any]:
    """Model over reported, energy and area, whole and by block."""
    energy, area = energy_fJ_per_MAC(macro), area_um2(macro)
    whole = total(energy)
    facts: dict[str, Any] = {
        "source": macro.source,
        "assumed": list(macro.assumed),
        "reported_fJ_per_MAC": round(macro.reported_fJ_per_MAC, 3),
        "model_fJ_per_MAC_low_mid_high": [round(float(value), 3) for value in whole],
        "energy_ratio": round(float(whole[MID]) / macro.reported_fJ_per_MAC, 3),
        "energy_within_range": bool(whole[0] <= macro.reported_fJ_per_MAC <= whole[2]),
        "energy_ratio_with_own_constants": round(
            float(total(energy_fJ_per_MAC(macro, left_out=()))[MID]) / macro.reported_fJ_per_MAC, 3
        ),
        "energy_ratio_by_block": by_block(macro, energy, macro.energy_blocks_fJ),
        "area_ratio_by_block": by_block(macro, area, macro.area_blocks_um2),
    }
    if macro.reported_um2 is not None:
        size = total(area)
        facts["area_ratio"] = round(float(size[MID]) / macro.reported_um2, 3)
        facts["area_within_range"] = bool(size[0] <= macro.reported_um2 <= size[2])
    return facts


def by_block(macro: Macro, parts: dict[str, Span], reported: Any) -> dict[str, float]:
    return {
        block: round(float(sum(parts[name][MID, 0] for name in macro.blocks[block])) / value, 3)
        for block, value in reported.items()
    }


def spread(ratios: list[float]) -> float:
    """Geometric mean of how many times off, either way."""
    return round(float(np.exp(np.mean(np.abs(np.log(ratios))))), 3)


def main() -> None:
    results = {macro.title: figures(macro) for macro in MACROS}
    energy = [facts["energy_ratio"] for facts in results.values()]
    area = [facts["area_ratio"] for facts in results.values() if "area_ratio" in facts]
    columns = ("macro", "energy: model / reported", "in range", "with own constants", "area", "in range")
    keys = ("energy_ratio", "energy_within_range", "energy_ratio_with_own_constants", "area_ratio", "area_within_range")
    show("Leave-one-out", columns, [[title, *(facts[key] for key in keys)] for title, facts in results.items()])
    summary = {
        "energy_times_off_geometric_mean": spread(energy),
        "energy_times_off_worst": round(float(np.exp(np.max(np.abs(np.log(energy))))), 3),
        "area_times_off_geometric_mean": spread(area),
        "area_times_off_worst": round(float(np.exp(np.max(np.abs(np.log(area))))), 3),
        "macros": len(MACROS),
    }
    show("Times off, either way", ("figure", "value"), list(summary.items()))
    write("macros", {**summary, "macro": results})


if __name__ == "__main__":
    main()
