"""From a `Deployment`, which holds live modules, to the plain data a report keeps."""

from __future__ import annotations

import numpy as np

from ohmfield.cost.bill import Bill
from ohmfield.deploy import Deployment
from ohmfield.fit.runs import provenance
from ohmfield.report.summary import Codes, Costs, DeploymentSummary, Instances
from ohmfield.signals.points import Points
from ohmfield.simulate.study import Study
from ohmfield.spec import InputError, to_plain

POWER_FPS = 30.0  # frame rate of a video, at which a report states the power


def summarise(
    deployment: Deployment,
    signal: Points | None = None,
    key: str = "",
    *,
    study: Study | None = None,
    layer_losses: dict[str, dict[str, float]] | None = None,
) -> DeploymentSummary:
    """What a report needs of `deployment`; `signal` is the image it was scored against, None for other models.

    `study` adds other instances of the design, at its age.
    """
    if signal is not None and len(signal.shape) != 2:
        raise InputError(f"signal {signal.name!r} has {len(signal.shape)} dimensions; a report shows images")
    known = provenance()
    return DeploymentSummary(
        name=deployment.chip.name,
        chip=to_plain(deployment.chip),
        recipe=to_plain(deployment.recipe),
        seed=deployment.seed,
        picture=None if signal is None else signal.as_image(deployment.picture).cpu().numpy(),
        quality=dict(deployment.quality),
        float_quality=dict(deployment.float_quality),
        waterfall=tuple(deployment.waterfall),
        codes={
            operator: Codes(
                np.asarray(item.codes, dtype=np.int64),
                np.asarray(item.counts, dtype=np.int64),
                float(item.step_levels),
                float(item.clipped_fraction),
                item.bank,
            )
            for operator, item in deployment.histograms.items()
        },
        costs=costs_of(deployment.bill),
        notes=tuple(deployment.notes),
        versions={"ohmfield": known["ohmfield"], **known["versions"]},
        command=known["command"],
        key=key,
        metric=deployment.given.metric,
        inference=deployment.given.inference,
        placed=tuple((row.operator, row.unit, row.function, row.why) for row in deployment.placed),
        layer_losses=layer_losses or {},
        instances=None if study is None else instances_of(study),
    )


def instances_of(study: Study) -> Instances:
    """The scores of a study at its first age, as plain numbers."""
    known = study.summary()[0]
    known.pop("elapsed_s")
    return Instances(seeds=study.seeds, scores=tuple(study.scores[0].tolist()), **known)


def costs_of(bill: Bill) -> Costs:
    """The bill of its first design, as arrays and ranges."""
    efficiency = bill.tops_per_W
    low, mid, high = bill.leakage_uW[:, 0] * 1e-3
    power_fps = min(POWER_FPS, bill.frames_per_s[1])
    power_W = bill.power_at(power_fps)
    return Costs(
        operators=bill.operators,
        components=bill.components,
        energy_pJ=bill.energy_pJ[:, 0],
        latency_ns=bill.latency_ns[:, 0],
        area_um2=bill.area_um2[:, 0],
        energy_mJ=bill.energy_mJ,
        frame_ms=bill.latency_ms,
        frames_per_s=bill.frames_per_s,
        area_mm2=bill.area_mm2,
        leakage_mW=(float(low), float(mid), float(high)),
        tops_per_W=efficiency.tops_per_W,
        power_mW=(power_W[0] * 1e3, power_W[1] * 1e3, power_W[2] * 1e3),
        power_fps=power_fps,
        efficiency=(
            f"1 MAC = 2 operations, {efficiency.precision}, {efficiency.utilisation:.0%} of the weight cells used, "
            f"activity {efficiency.activity:.0%}"
        ),
        boundary=bill.boundary,
        warnings=bill.warnings,
    )
