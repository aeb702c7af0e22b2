"""Costs as low / mid / high spans: what one action draws, what one part occupies, and unit conversions.

Every number is an array `[3, designs]`: low, mid, high first, designs last, so that the same leaf functions price one
chip (designs = 1) or a million (`columns` puts arrays behind the same attribute names).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

LOW, MID, HIGH = 0, 1, 2
PJ_PER_FJ = 1e-3
PJ_PER_J = 1e12
NS_PER_S = 1e9
BOLTZMANN_J_PER_K = 1.380649e-23

Span = np.ndarray
# One design's value, or an array of many.
Number = float | int | np.number | np.ndarray
# A whole number: an int for one design, whole floats in an array for many. What asks for one design takes it as an int.
Count = Any


def span(mid: float, low: float | None = None, high: float | None = None) -> Span:
    """`[3, 1]` array of low, mid, high; a bare number has no spread.

    >>> span(2.0, 1.0, 4.0).ravel()
    array([1., 2., 4.])
    """
    return np.array([[mid if low is None else low], [mid], [mid if high is None else high]], dtype=np.float64)


def within(mid: float, factor: float) -> Span:
    """A span from `mid / factor` to `mid * factor`."""
    return span(mid, mid / factor, mid * factor)


@dataclass(frozen=True)
class Sourced:
    """A constant with its spread, where it came from, and the fabricated chips it was taken from or fitted to."""

    value: Span
    source: str
    chips: tuple[str, ...] = ()


ZERO = span(0.0)  # shared: spans are never written to
ZERO.flags.writeable = False


def _zero() -> Span:
    return ZERO


@dataclass(frozen=True)
class ActionCost:
    """What one use costs: `[3, designs]` pJ and ns."""

    energy_pJ: Span
    latency_ns: Span = field(default_factory=_zero)

    def __add__(self, other: ActionCost) -> ActionCost:
        return ActionCost(self.energy_pJ + other.energy_pJ, self.latency_ns + other.latency_ns)

    def times(self, uses: Number) -> ActionCost:
        """The cost of that many uses, one after another."""
        return ActionCost(self.energy_pJ * uses, self.latency_ns * uses)


@dataclass(frozen=True)
class PartCost:
    """What one instance occupies and leaks: `[3, designs]` um2 and uW."""

    area_um2: Span
    leakage_uW: Span = field(default_factory=_zero)

    def __add__(self, other: PartCost) -> PartCost:
        return PartCost(self.area_um2 + other.area_um2, self.leakage_uW + other.leakage_uW)

    def times(self, instances: Number) -> PartCost:
        """That many instances."""
        return PartCost(self.area_um2 * instances, self.leakage_uW * instances)


def added(spans: Iterable[Span]) -> Span:
    """The sum of spans, of those of fewest designs first; zero of none."""
    total: Span | None = None
    for each in sorted(spans, key=lambda each: each.size):
        total = each if total is None else total + each
    return ZERO if total is None else total


def side_by_side(spans: Sequence[Span]) -> np.ndarray:
    """Spans along a new last axis, `[3, designs, spans]`."""
    if len({each.shape for each in spans}) > 1:
        spans = np.broadcast_arrays(*spans)
    return np.array(spans).transpose(1, 2, 0)


# ---- the same arithmetic for one design and for many -----------------------------------------------------------------


class Mixed(Exception):
    """Designs of one batch part here: `mask` says which go one way. Who evaluates batches splits them and goes on."""

    def __init__(self, mask: np.ndarray) -> None:
        super().__init__("designs of a batch take different ways here: evaluate them with `sweep`, which parts them")
        self.mask = mask


@dataclass(frozen=True, eq=False)
class Groups:
    """Designs of a batch by what they have alike: the group of each, and how many groups there are."""

    of: np.ndarray
    num: int

    def spread(self, values: Any) -> Any:
        """A plain array with one value per design, of one with one per group; else `values` as they are."""
        if isinstance(values, Each):
            return values.view(np.ndarray)
        if isinstance(values, np.ndarray) and values.ndim and values.shape[-1] == self.num:
            return values.take(self.of, axis=-1, mode="clip")  # all are within: the mode that does not look is faster
        return [self.spread(value) for value in values] if isinstance(values, list | tuple) else values

    def each(self, values: np.ndarray) -> Each:
        """Values that are one per design, to be computed with beside those of groups."""
        made = values.view(Each)
        made.groups = self
        return made


class Each(np.ndarray):
    """One value per design in a batch whose other arrays hold one per group of designs that are alike so far.

    Computing with such an array repeats its values for every design of the group; what no `Each` touches is computed
    once per group. The last axis of what meets it is that of designs or groups; whatever has other axes is `looked_up`.
    """

    groups: Groups

    def __array_finalize__(self, source: Any) -> None:
        if isinstance(source, Each):
            self.groups = source.groups

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        options.pop("out", None)  # `a += b` takes what is returned: a sum per group may become one per design
        return self._made(getattr(ufunc, method)(*map(self.groups.spread, inputs), **options), self.groups)

    def __array_function__(self, function: Any, types: Any, given: Any, options: Any) -> Any:
        if function in TOGETHER:
            return self._made(function(*self.groups.spread(given), **options), self.groups)
        return super().__array_function__(function, types, given, options)

    @staticmethod
    def _made(result: Any, groups: Groups) -> Any:
        if isinstance(result, list | tuple):
            return type(result)(Each._made(one, groups) for one in result)
        return groups.each(result) if isinstance(result, np.ndarray) and result.ndim else result


TOGETHER = (np.where, np.broadcast_arrays, np.stack)
Looked = TypeVar("Looked", bound=Callable[..., Any])


def looked_up(function: Looked) -> Looked:
    """A function that reads tables, whose arrays have axes other than designs: an `Each` passes it as a plain array."""

    @wraps(function)
    def made(*given: Any) -> Any:
        groups = next((each.groups for each in given if isinstance(each, Each)), None)
        if groups is None:
            return function(*given)
        plain = (groups.spread(each) if isinstance(each, np.ndarray) else each for each in given)
        return Each._made(function(*plain), groups)

    return cast("Looked", made)


def uniform(condition: Any) -> bool:
    """`condition` as a bool, where a value decides what is counted at all; `Mixed` where designs differ in it.

    >>> uniform(np.array([True, True])), uniform(3 > 4)
    (True, False)
    """
    if isinstance(condition, bool):
        return condition
    known = np.asarray(condition)
    if known.all():
        return True
    if not known.any():
        return False
    raise Mixed(known)


def ceil_div(value: Number, by: Number) -> Count:
    """`ceil(value / by)` of whole numbers: an int of ints, floats of arrays.

    >>> ceil_div(7, 2), ceil_div(np.array([7.0, 8.0]), 2)
    (4, array([4., 4.]))
    """
    if isinstance(value, int) and isinstance(by, int):
        return -(-value // by)
    return np.ceil(np.asanyarray(value) / by)


def floor_div(value: Number, by: Number) -> Count:
    """`floor(value / by)` of whole numbers, in the manner of `ceil_div`."""
    if isinstance(value, int) and isinstance(by, int):
        return value // by
    return np.floor(np.asanyarray(value) / by)


def largest(first: Count, *others: Count) -> Count:
    """The largest of numbers, element by element where one is an array."""
    for other in others:
        both_plain = isinstance(first, int | float) and isinstance(other, int | float)
        first = max(first, other) if both_plain else np.maximum(first, other)
    return first


def smallest(first: Count, *others: Count) -> Count:
    """The smallest of numbers, element by element where one is an array."""
    for other in others:
        both_plain = isinstance(first, int | float) and isinstance(other, int | float)
        first = min(first, other) if both_plain else np.minimum(first, other)
    return first
