"""The same work on known processors, as rooflines."""

from __future__ import annotations

from ohmfield.chip.files import list_baselines, load_baseline
from ohmfield.cost.baseline import baseline_bill
from ohmfield.mapping.workload import Workload
from ohmfield.report.summary import Baseline


def baselines_of(workload: Workload) -> tuple[Baseline, ...]:
    """`workload` on each known processor, this machine among them once `ohmfield doctor --measure` has run."""
    found = []
    for name in list_baselines():
        roofline = load_baseline(name)
        bill = baseline_bill(roofline, workload)
        found.append(
            Baseline(
                name=roofline.name,
                energy_mJ=bill.energy_mJ,
                frame_ms=bill.latency_ms,
                frames_per_s=bill.frames_per_s,
                boundary=bill.boundary,
                source=roofline.source,
                assumed=roofline.assumed,
            )
        )
    return tuple(found)
