"""Operators that cost the same: a layer that a network repeats is billed once."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ohmfield.chip.chip import Chip
from ohmfield.mapping.workload import Operator, Placement, Workload

Alike = tuple[Operator, ...]


def alike(chip: Chip, workload: Workload, placement: Placement) -> list[Alike]:
    """The operators of `workload`, those that cost the same together, in the order of the first of each.

    Alike have one shape and one way to lie on one unit, and nobody counted or stated rates of theirs apart. Where it
    matters which came before (waves, several chips, a module called twice, the last layer), each is for itself.
    """
    operators = workload.shapes.operators
    calls = Counter(operator.path for operator in operators)
    last = last_layer(operators)
    apart = placement.waves > 1 or chip.many is not None
    told = bool(workload.stated or workload.tally_items)
    groups: dict[object, list[Operator]] = {}
    for operator in operators:
        name, path = operator.id, operator.path
        site, key = placement.sites.get(name), name
        if not (apart or site is None or calls[path] > 1 or name == last):
            rates = (*workload.stated_of(name).items(), *workload.tally[name].items()) if told else ()
            ways = (site.row_blocks, site.column_blocks, site.copies, site.wave_span)
            # Arrays of designs are told apart by identity, numbers by value.
            known = tuple(id(way) if isinstance(way, np.ndarray) else way for way in ways)
            key = (operator.shape, site.unit, path in placement.zero_points, rates, known)
        groups.setdefault(key, []).append(operator)
    return [tuple(group) for group in groups.values()]


def last_layer(operators: tuple[Operator, ...]) -> str:
    """Id of the last linear operator; empty without one."""
    return next((operator.id for operator in reversed(operators) if operator.kind == "linear"), "")
