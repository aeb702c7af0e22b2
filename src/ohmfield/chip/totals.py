"""A chip whose totals were measured at a few settings: one factor for each group of its components, then the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from ohmfield.spec import InputError


@dataclass(frozen=True)
class Scaled:
    """Factors of groups of components, found by `fit_totals`. What it was fitted to is no test of it."""

    groups: Mapping[str, tuple[str, ...]]
    factors: Mapping[str, float]

    def total(self, parts: Mapping[str, float]) -> float:
        """The total of another setting, from the model's components there."""
        return math.fsum(factor * _sum(parts, self.groups[name]) for name, factor in self.factors.items())


def fit_totals(
    parts: Sequence[Mapping[str, float]],
    measured: Sequence[float],
    groups: Mapping[str, tuple[str, ...]] | None = None,
) -> Scaled:
    """Factors >= 0 that bring the model's `parts` at each setting closest to what was `measured`, in relative terms.

    Without `groups` all components share one factor. As many settings as groups are met exactly where that needs no
    factor below zero. `InputError` where there are fewer settings than groups, or a group has a component that no
    setting knows.

    >>> two = fit_totals([{"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 3.0}], [5.0, 9.0], {"a": ("a",), "b": ("b",)})
    >>> round(two.total({"a": 1.0, "b": 2.0}), 6)
    7.0
    """
    known = {name for each in parts for name in each}
    groups = {"all": tuple(sorted(known))} if groups is None else groups
    if len(parts) != len(measured) or len(parts) < len(groups):
        raise InputError(
            f"{len(measured)} measured totals of {len(parts)} settings for {len(groups)} groups: give one total per "
            "setting and at least as many settings as groups"
        )
    if not all(math.isfinite(value) and value > 0.0 for value in measured):
        raise InputError(f"measured totals {list(measured)} must be positive numbers")
    for name, members in groups.items():
        unknown = set(members) - known
        if unknown:
            raise InputError(f"group {name}: {', '.join(sorted(unknown))} is not among {', '.join(sorted(known))}")
    terms = np.array([[_sum(each, members) for members in groups.values()] for each in parts])
    relative = terms / np.asarray(measured, dtype=np.float64)[:, None]
    factors, _ = nnls(relative, np.ones(len(parts)))
    return Scaled(groups, dict(zip(groups, factors.tolist(), strict=True)))


def _sum(parts: Mapping[str, float], members: Sequence[str]) -> float:
    return math.fsum(parts.get(name, 0.0) for name in members)
