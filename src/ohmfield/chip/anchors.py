"""Constants held by several sources, and leaving a fabricated chip out of them.

Every source is an *anchor*: its figure, brought to 28 nm and 0.9 V. A leaf reads `Anchored.value()`; a validation that
prices a fabricated chip does so inside `without(chip)`, so that no constant comes from the chip it is compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ohmfield.chip import scaling
from ohmfield.quantities import Sourced, Span, span
from ohmfield.spec import InputError

# Chips that one fit shares: leaving out any of them drops the whole fit.
ZIGZAG_DIGITAL = ("ISSCC 2022 15.5", "ISSCC 2022 11.7", "ISSCC 2023 7.2", "ISSCC 2023 16.3")
ZIGZAG_ANALOG = ("Papistas", "JSSC 2023 9896828", "ISSCC 2023 7.8")

# Times off, either way, within which four of five fabricated chips lie that lent the model no constant (the 12th of 14
# and of 13, `benchmarks/silicon.py`): the 80 % interval of a macro's energy and area, whatever its spans say. Laws were
# chosen on these chips: two looked up afterwards lie outside that of energy, at 1.9 and 2.1.
ENERGY_WITHIN, AREA_WITHIN = 1.88, 2.31

# Even where sources agree, a constant is not known better than this.
LEAST_SPREAD = 1.25

_left_out: ContextVar[frozenset[str]] = ContextVar("left_out", default=frozenset())

View = Callable[[str, Span], Span]
_view: ContextVar[View | None] = ContextVar("view", default=None)


@contextmanager
def without(*chips: str) -> Iterator[None]:
    """While open, every anchor taken from or fitted to one of `chips` is dropped and the constants refitted."""
    token = _left_out.set(_left_out.get() | set(chips))
    try:
        yield
    finally:
        _left_out.reset(token)


@contextmanager
def seen_through(view: View) -> Iterator[None]:
    """While open, every named constant reads as what `view` makes of its name and value."""
    token = _view.set(view)
    try:
        yield
    finally:
        _view.reset(token)


def seen(name: str, value: Span) -> Span:
    """A constant as whoever prices now wants to see it: its own value, unless `seen_through` says otherwise."""
    view = _view.get()
    return value if view is None else view(name, value)


@dataclass(frozen=True)
class Spanned:
    """A constant of one source, or an assumed one, with the span that belongs to it."""

    name: str
    span: Span
    source: str = "assumed"
    chips: tuple[str, ...] = ()

    def value(self) -> Span:
        """`[3, 1]` low, mid, high, in the reference's terms."""
        return seen(self.name, self.span)


@dataclass(frozen=True)
class Anchored:
    """A constant with several anchors.

    Mid is the geometric mean of the anchors from silicon, or of all when none is; low and high are the extremes of all
    anchors, at least a factor 1.25 from the middle.
    """

    name: str
    anchors: tuple[Sourced, ...]

    def remaining(self) -> tuple[Sourced, ...]:
        """Anchors that share no chip with those left out; `InputError` when nothing is left."""
        left_out = _left_out.get()
        kept = tuple(anchor for anchor in self.anchors if not left_out.intersection(anchor.chips))
        if not kept:
            raise InputError(f"{self.name}: no anchor remains without {', '.join(sorted(left_out))}")
        return kept

    def value(self) -> Span:
        """`[3, 1]` low, mid, high at the reference process."""
        known = self.__dict__.setdefault("_values", {})  # fitted once for each set of chips left out
        left_out = _left_out.get()
        if left_out not in known:
            known[left_out] = self._fitted()
        return seen(self.name, known[left_out])

    def _fitted(self) -> Span:
        kept = self.remaining()
        silicon = [anchor for anchor in kept if anchor.chips] or kept
        mid = float(np.exp(np.mean([np.log(anchor.value[1, 0]) for anchor in silicon])))
        every = [float(anchor.value[1, 0]) for anchor in kept]
        return span(mid, min(*every, mid / LEAST_SPREAD), max(*every, mid * LEAST_SPREAD))


def given(value: float, source: str, chips: tuple[str, ...] = ()) -> Sourced:
    """An anchor already at the reference, or one without a process."""
    return Sourced(span(value), source, chips)


def gate_energy(value: float, node_nm: float, supply_V: float, source: str, chips: tuple[str, ...] = ()) -> Sourced:
    """An anchor for a digital energy measured at a node and supply."""
    return given(value / float(scaling.digital_energy(node_nm, supply_V)), source, chips)


def gate_area(value: float, node_nm: float, source: str, chips: tuple[str, ...] = ()) -> Sourced:
    """An anchor for a digital area."""
    return given(value / float(scaling.digital_area(node_nm)), source, chips)


def analog_energy(value: float, node_nm: float, supply_V: float, source: str, chips: tuple[str, ...] = ()) -> Sourced:
    """An anchor for the energy of a converter or line; with supply 0.9 V, for a capacitance."""
    return given(value / float(scaling.analog_energy(node_nm, supply_V)), source, chips)


def analog_area(value: float, node_nm: float, source: str, chips: tuple[str, ...] = ()) -> Sourced:
    """An anchor for an analog area."""
    return given(value / float(scaling.analog_area(node_nm)), source, chips)


# ---- what leaves answer, asked once ----------------------------------------------------------------------------------

Cost = TypeVar("Cost")


def once(make: Callable[..., Cost], process: object, *arguments: object) -> Cost:
    """`make(process, *arguments)` of a leaf, kept with the leaf: the same object for the same process and arguments.

    A chip that differs from another in one leaf shares all others, and so what they cost. A leaf remembers the last
    process it was asked for, so that chunks of a sweep over processes do not pile up on it. Arrays of designs are asked
    each time, and so is whoever sees constants through something.
    """
    if _view.get() is not None:
        return make(process, *arguments)
    leaf = make.__self__  # type: ignore[attr-defined]
    asked_for, known = leaf.__dict__.get("_once", (None, {}))
    if asked_for is not process:
        known = {}
        leaf.__dict__["_once"] = process, known
    key = (make.__name__, arguments, _left_out.get())
    try:
        found = known.get(key)
    except TypeError:  # arrays of designs have no hash
        return make(process, *arguments)
    if found is None:
        found = known[key] = make(process, *arguments)
    return found
