"""Activation functions as lists of pipeline stages, priced by the one gate library.

One list per function; each stage is one register deep. Source: the N-stage description of QuadINR (arXiv 2508.14374),
stages reconstructed: quad is one multiplier after the scale, a sine table needs an interpolating multiplier, Gauss
squares first, WIRE is Gauss times sine, FINER stretches its argument before the sine.
"""

from __future__ import annotations

from collections.abc import Callable

from ohmfield.chip import library
from ohmfield.chip.library import Block
from ohmfield.quantities import Number
from ohmfield.spec import InputError

Stages = tuple[Block, ...]


def _multiply(width: Number) -> Block:
    return library.multiplier(width, width) + library.register(width)


def _wrap(width: Number) -> Block:
    """Bits above the period are dropped: only the register remains."""
    return library.register(width)


def _magnitude(width: Number) -> Block:
    """Absolute value and one addition."""
    return library.xor(width) + library.adder(width) + library.register(width)


def _table(width: Number, table_bits: Number) -> Block:
    """Value and slope, side by side."""
    return library.table(2.0**table_bits, 2 * width) + library.register(2 * width)


def _interpolate(width: Number, table_bits: Number) -> Block:
    return library.multiplier(width, width - table_bits) + library.adder(width) + library.register(width)


def relu(width: Number, table_bits: Number) -> Stages:
    """Select."""
    return (library.mux(width) + library.register(width),)


def quad(width: Number, table_bits: Number) -> Stages:
    """Scale, wrap (a bit slice), magnitude and subtract, multiply."""
    return (_multiply(width), _wrap(width), _magnitude(width), _multiply(width))


def sine(width: Number, table_bits: Number) -> Stages:
    """Scale, wrap, table, interpolate."""
    return (_multiply(width), _wrap(width), _table(width, table_bits), _interpolate(width, table_bits))


def gauss(width: Number, table_bits: Number) -> Stages:
    """Scale, square, table of the exponential, interpolate, shift."""
    shift = library.shifter(width) + library.register(width)
    return (
        _multiply(width),
        _multiply(width),
        _table(width, table_bits),
        _interpolate(width, table_bits),
        shift,
    )


def wire(width: Number, table_bits: Number) -> Stages:
    """Gauss, sine, product; both run side by side, so the sine costs area and energy but no further stages."""
    envelope, wave = gauss(width, table_bits), sine(width, table_bits)
    padded = (*wave, *(library.register(width) for _ in range(len(envelope) - len(wave))))
    return (*(a + b for a, b in zip(envelope, padded, strict=True)), _multiply(width))


def finer(width: Number, table_bits: Number) -> Stages:
    """Magnitude and add, multiply, then the sine."""
    return (_magnitude(width), _multiply(width), *sine(width, table_bits))


STAGES: dict[str, Callable[[Number, Number], Stages]] = {
    function.__name__: function for function in (relu, quad, sine, gauss, wire, finer)
}
FUNCTIONS = tuple(STAGES)


def stages(function: str, width: Number, table_bits: Number) -> Stages:
    """The stages of an activation by name; `InputError` when no unit computes it."""
    if function not in STAGES:
        raise InputError(f"activation {function!r} has no unit; known: {', '.join(FUNCTIONS)}")
    return STAGES[function](width, table_bits)
