"""What `conftest.py` puts on the package while tests run: the types of every call, and how its shapes fit together."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintPep3119Exception

# Where a float is asked for, an int will do (PEP 484's numeric tower). What a wrong type raises is a TypeError, as
# without a check: code that reads damaged files counts on that.
_checker: Any = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=TypeError))
_with_shapes: Any = getattr(jaxtyping.jaxtyped, "original", jaxtyping.jaxtyped)  # this file may be imported twice


def check(function: Any) -> Any:
    try:
        return _checker(function)
    except BeartypeDecorHintPep3119Exception:  # a Protocol, which has no instance check unless it asks for one
        return function


def resolved(function: Any) -> dict[str, Any]:
    """The annotations that have a meaning already; a name that only a type checker imports has none."""
    hints = {}
    for name, text in function.__annotations__.items():
        alone = type("Alone", (), {"__annotations__": {name: text}})
        try:
            hints |= typing.get_type_hints(alone, function.__globals__, include_extras=True)
        except (NameError, AttributeError, TypeError, ValueError):
            continue
    return hints


def checked(function: Any, typechecker: Any) -> Any:
    """With a check of every call; jaxtyping's, which is slow, only where an annotation has a shape."""
    hints, written = resolved(function), function.__annotations__
    if any("jaxtyping" in repr(hint) for hint in hints.values()):
        return _with_shapes(function, typechecker=typechecker)
    function.__annotations__ = hints
    made = check(function)
    made.__annotations__ = function.__annotations__ = written
    return made


def jaxtyped(*, typechecker: Any) -> Any:
    """What the import hook decorates functions and classes with, in place of jaxtyping's own."""

    def decorate(made: Any) -> Any:
        if inspect.isfunction(made):
            return checked(made, typechecker)
        if inspect.isclass(made) and dataclasses.is_dataclass(made):
            made.__init__ = decorate(made.__init__)  # type: ignore[misc]
            return made
        return _with_shapes(made, typechecker=typechecker)

    return decorate


jaxtyped.original = _with_shapes  # type: ignore[attr-defined]
jaxtyping.jaxtyped = jaxtyped
