"""The same bill for a processor: the whole workload on its roofline."""

from __future__ import annotations

import numpy as np

from ohmfield.chip.baseline import Roofline
from ohmfield.cost.actions import processor_work
from ohmfield.cost.bill import UW_PER_W, Bill, leakage_pJ
from ohmfield.cost.evaluate import IDLE
from ohmfield.cost.ledger import COMPONENTS, Ledger
from ohmfield.mapping.workload import Workload
from ohmfield.quantities import ActionCost, span


def baseline_bill(roofline: Roofline, workload: Workload) -> Bill:
    """What one inference of `workload` costs on a processor, in the fields of any bill.

    32-bit floats, one launch per operator, each reading its inputs and writing its outputs; idle power stands as
    leakage, so that `power_at` below the top rate is right. The area is not known and stays zero.
    """
    ledger = Ledger(items=1.0)  # operators run one after the other over the whole inference
    idle_uW = span(roofline.idle_W * UW_PER_W)
    for operator in workload.shapes.operators:
        flops, moved = (work * workload.items for work in processor_work(operator))
        cost = roofline.cost(flops, moved, launches=1)
        above_idle = ActionCost(cost.energy_pJ - leakage_pJ(idle_uW, cost.latency_ns))
        ledger.spend(operator.id, "host", above_idle)
        ledger.occupy(operator.id, "host", cost.latency_ns, cost.latency_ns)
    interval_ns = ledger.slowest_ns()
    ledger.spend(IDLE, "leakage", ActionCost(leakage_pJ(idle_uW, interval_ns)))
    operators = (*(operator.id for operator in workload.shapes.operators), IDLE)
    macs = sum(operator.macs for operator in workload.shapes.operators) * workload.items
    busy_ns = 2.0 * macs / roofline.peak_GFLOPs
    return Bill(
        name=roofline.name,
        operators=operators,
        components=COMPONENTS,
        energy_pJ=ledger.energy(operators, COMPONENTS),
        latency_ns=ledger.latency(operators),
        fill_ns=interval_ns,
        interval_ns=interval_ns,
        area_um2=np.zeros((3, 1, len(COMPONENTS))),
        leakage_uW=idle_uW,
        macs=macs,
        precision="32-bit floats",
        utilisation=float(busy_ns / interval_ns[1, 0]),
        activity=1.0,
        boundary="system: the processor's module, its DRAM included",
        inference=workload.inference,
        warnings=(f"assumed: figures of {roofline.name}",) if roofline.assumed else (),
    )
