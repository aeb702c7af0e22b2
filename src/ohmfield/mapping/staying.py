"""Which operators stay digital, and why: every operator of a placement in a row."""

from __future__ import annotations

from dataclasses import dataclass

from ohmfield.mapping.place import ACTIVATION, GATHER, HOST, REQUANTISER, TABLE_MEMORY
from ohmfield.mapping.workload import Operator, Placement, Shapes


@dataclass(frozen=True)
class Placed:
    """Where one operator runs; `why` is empty where its weights lie on arrays."""

    operator: str
    unit: str
    function: str
    why: str


# By what an operation is called in torch's own listing; a row of several operations gets the reason of each.
REASONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("softmax",), "exponents and a division by their sum, in floats"),
    (("norm",), "divides by a spread that is measured on each item, or could not be folded"),
    (("pool", "mean", "max", "amax", "sum", "argmax"), "adds or compares values, no weights"),
    (("add", "sub", "mul", "div", "neg", "clamp", "where", "masked_fill"), "element by element, no weights"),
    (("sigmoid", "tanh", "gelu", "silu", "exp", "hardtanh", "leaky", "elu", "erf"), "no activation unit computes it"),
    (("mm", "bmm", "matmul", "convolution", "einsum"), "a product of a form that arrays do not hold"),
    (("cat", "stack", "clone", "copy", "index", "gather", "pad", "upsample"), "moves data, computes nothing"),
)


def placed(shapes: Shapes, placement: Placement) -> tuple[Placed, ...]:
    """A row for every operator, in running order."""
    return tuple(_row(operator, placement.sites[operator.id].unit) for operator in shapes.operators)


def staying(rows: tuple[Placed, ...]) -> str:
    """One line on what the host runs; empty where it runs nothing.

    >>> staying((Placed("a#0", "host", "softmax", "exponents"), Placed("b#0", "unit", "linear", "")))
    'on the host: 1 of 2 operators (softmax); `placed` says of each why'
    """
    hosted = [row for row in rows if row.unit == HOST]
    functions = dict.fromkeys(name for row in hosted for name in row.function.split(", "))
    if not hosted:
        return ""
    return f"on the host: {len(hosted)} of {len(rows)} operators ({', '.join(functions)}); `placed` says of each why"


def _row(operator: Operator, unit: str) -> Placed:
    function = operator.function or operator.kind
    return Placed(operator.id, unit, function, _why(operator, unit))


def _why(operator: Operator, unit: str) -> str:
    if operator.kind == "linear":
        return ""
    if operator.kind == "product":
        if unit == HOST:
            return "both operands change with every input, and no digital array of this chip takes them"
        return "both operands change with every input: exact integers, the second written anew"
    if operator.kind in ("table", "address", "interpolate"):
        return "rows are looked up" if unit != HOST else "no gather unit, or no memory for the table"
    if unit in (ACTIVATION, REQUANTISER, GATHER, TABLE_MEMORY):
        return "its own digital unit computes it"
    if operator.kind == "activation":
        return "no activation unit computes it"
    first = operator.function.split(", ")
    found = [why for names, why in REASONS if any(name in called for name in names for called in first)]
    return "; ".join(found) if found else "no unit of the chip knows it"
