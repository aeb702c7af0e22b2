"""The same bill for a processor: the whole workload on its roofline."""

from __future__ import annotations

import numpy as np

from ohmfield.chip.baseline import Roofline
from ohmfield.cost.actions import CACHE_BYTES, FLOAT_BYTES, fused_bytes, processor_work
from ohmfield.cost.bill import UW_PER_W, Bill, leakage_pJ
from ohmfield.cost.evaluate import IDLE
from ohmfield.cost.ledger import COMPONENTS, Ledger
from ohmfield.mapping.workload import Operator, Workload
from ohmfield.quantities import ActionCost, span

WEIGHT_BYTES = 2  # half precision, of which the peaks of processors are


def baseline_bill(roofline: Roofline, workload: Workload) -> Bill:
    """What one inference of `workload` costs on a processor, in the fields of any bill.

    The strongest form: one fused kernel, so that only coordinates, results, rows of tables too large for a cache, and
    weights that are too large for it together, once each, move. Idle power stands as leakage, so that `power_at` below
    the top rate is right. The area is not known and stays zero.
    """
    shapes = workload.shapes.operators
    held = sum(_weight_bytes(operator) for operator in {operator.path: operator for operator in shapes}.values())
    ledger = Ledger(items=1.0)  # operators run one after the other over the whole inference
    idle_uW = span(roofline.idle_W * UW_PER_W)
    for index, operator in enumerate(shapes):
        moved = fused_bytes(operator)
        moved += FLOAT_BYTES * _taken(operator) if index == 0 else 0.0
        moved += FLOAT_BYTES * _given(operator) if index == len(shapes) - 1 else 0.0
        moved += _met_bytes(operator, workload.items) / workload.items if held > CACHE_BYTES else 0.0
        flops = processor_work(operator)[0]
        cost = roofline.cost(flops * workload.items, moved * workload.items, launches=float(index == 0))
        above_idle = ActionCost(cost.energy_pJ - leakage_pJ(idle_uW, cost.latency_ns))
        ledger.enter(operator.id)
        ledger.spend("host", above_idle)
        ledger.occupy("host", cost.latency_ns, 1.0, 1.0)
    interval_ns = ledger.slowest_ns()
    ledger.enter(IDLE)
    ledger.spend("leakage", ActionCost(leakage_pJ(idle_uW, interval_ns)))
    operators = (*(operator.id for operator in shapes), IDLE)
    macs = sum(operator.macs for operator in shapes) * workload.items
    busy_ns = 2.0 * macs / roofline.peak_GFLOPs
    return Bill(
        name=roofline.name,
        operators=operators,
        components=COMPONENTS,
        energy_pJ=ledger.energy(operators, COMPONENTS),
        latency_ns=ledger.kept_ns(operators),
        first_ns=ledger.first_ns(operators),
        stage_ns=ledger.stage_ns(),
        fill_ns=interval_ns,
        interval_ns=interval_ns,
        area_um2=np.zeros((3, 1, len(COMPONENTS))),
        leakage_uW=idle_uW,
        standby_uW=idle_uW,
        wake_pJ=span(0.0),
        wake_ns=span(0.0),
        macs=macs,
        precision="floating point, one fused kernel",
        utilisation=float(busy_ns / interval_ns[1, 0]),
        activity=1.0,
        boundary="system: the processor's module, its DRAM included",
        inference=workload.inference,
        warnings=(f"assumed: figures of {roofline.name}",) if roofline.assumed else (),
    )


def _weight_bytes(operator: Operator) -> float:
    """Of the weights an operator stores."""
    return WEIGHT_BYTES * operator.groups * operator.inputs * operator.outputs if operator.kind == "linear" else 0.0


def _met_bytes(operator: Operator, items: float) -> float:
    """Of the weights that one inference needs: of experts, those that some token takes."""
    return _weight_bytes(operator) * min(1.0, operator.vectors * items)


def _taken(operator: Operator) -> float:
    """Values per item that an operator reads."""
    return operator.input_values if operator.kind in ("linear", "product") else float(operator.inputs)


def _given(operator: Operator) -> float:
    """Values per item that an operator writes."""
    runs = operator.vectors * operator.groups if operator.kind in ("linear", "product") else 1.0
    return runs * operator.outputs
