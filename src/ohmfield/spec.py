"""`@spec`: frozen, keyword-only, validated records for whatever a user describes."""

from __future__ import annotations

import dataclasses
import operator
import reprlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform

import pydantic
import yaml
from pydantic import BeforeValidator, ConfigDict, Field, InstanceOf, TypeAdapter
from pydantic.dataclasses import dataclass as pydantic_dataclass

T = TypeVar("T")

# A few kilobytes of YAML can stand for gigabytes of nested lists: what a message quotes is cut short.
_short = reprlib.Repr()
_short.maxlevel, _short.maxstring, _short.maxother, _short.maxlong = 1, 80, 80, 80

# What a field may change. The contract: whatever moves the picture must also move the bill ("both"), unless it
# describes surroundings no designer chooses ("environment": stuck rate, temperature) or is a name ("label").
Effect = Literal["both", "cost", "environment", "label"]


class InputError(ValueError):
    """Something the user gave cannot be used. The message is one line: the value, what is allowed, the next step."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path, self.fault = path, message


def told(error: BaseException) -> str:
    """Kind and first line of an error that foreign code raised.

    >>> told(KeyError("k"))
    "KeyError: 'k'"
    """
    lines = str(error).strip().splitlines()
    return ": ".join([type(error).__name__, *(line[:200] for line in lines[:1])])


def knob(effect: Effect, default: Any = ..., *, doc: str = "", **limits: Any) -> Any:
    """A field of a `@spec` record, with what it may change and its allowed range (`gt`, `ge`, `lt`, `le`).

    The docs print one table of all knobs from these declarations, and a test holds each to its effect.
    """
    # `kw_only` is said again here: without it pydantic takes a `Field` by position, whatever its class says.
    return Field(default=default, kw_only=True, description=doc, json_schema_extra={"effect": effect}, **limits)


_BOUNDS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "gt": ("> {}", operator.gt),
    "ge": (">= {}", operator.ge),
    "lt": ("< {}", operator.lt),
    "le": ("<= {}", operator.le),
}


def limits_of(record: type, name: str) -> list[tuple[str, Callable[[Any], Any]]]:
    """The declared bounds of a numeric field: what is allowed, in words, and a test that takes arrays.

    >>> @spec
    ... class Buffer:
    ...     banks: int = knob("cost", 1, ge=1, le=64)
    >>> [text for text, _ in limits_of(Buffer, "banks")]
    ['>= 1', '<= 64']
    """
    made = []
    for limit in record.__pydantic_fields__[name].metadata:  # type: ignore[attr-defined]
        for key, (text, compare) in _BOUNDS.items():
            bound = getattr(limit, key, None)
            if bound is not None:
                made.append((text.format(bound), lambda value, c=compare, b=bound: c(value, b)))
    return made


def field_value(record: type, name: str, value: object, where: str = "") -> Any:
    """`value` as the field of that name takes it (a mapping with a `kind` becomes a record), or `InputError`."""
    field = record.__pydantic_fields__[name]  # type: ignore[attr-defined]
    allowed: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    try:
        return TypeAdapter(allowed).validate_python(value)
    except pydantic.ValidationError as error:
        raise first_fault(error, where) from None


# `knob` is left out of the field specifiers: type checkers see a default only under its keyword, never by position,
# and would ask for every field of every record.
@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field,))
def spec(cls: type[T]) -> type[T]:
    """A frozen, keyword-only dataclass that validates: unknown keys, NaN and out-of-range values are refused.

    Vary one with `dataclasses.replace`, which validates again.
    """
    config = ConfigDict(
        extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True, use_attribute_docstrings=True
    )
    return pydantic_dataclass(frozen=True, kw_only=True, config=config)(cls)  # type: ignore[return-value]


def family(base: type, members: dict[str, type], *, default: str | None = None) -> Any:
    """The field type of a family: an instance of `base`, or in files a mapping whose `kind` names a member.

    `members` is the visible dict (`CELLS`, `ADCS`, ...): a user adds a class of their own to it and files may name it.
    """

    def load(value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        fields = dict(value)
        kind = fields.pop("kind", default)
        if not isinstance(kind, str) or kind not in members:
            raise ValueError(f"kind {_short.repr(kind)} is not known; known kinds: {', '.join(sorted(members))}")
        return build(members[kind], fields)

    return Annotated[InstanceOf[base], BeforeValidator(load)]


def build(cls: type[T], fields: object, *, where: str = "") -> T:
    """`cls` from plain data (nested mappings and lists), or `InputError` with the dotted path of the first fault."""
    try:
        return TypeAdapter(cls).validate_python(fields)
    except pydantic.ValidationError as error:
        raise first_fault(error, where) from None


def first_fault(error: pydantic.ValidationError, where: str = "") -> InputError:
    """The first fault of a pydantic error in one line: dotted path, value, what was allowed."""
    first = error.errors()[0]
    parts = [str(part) for part in first["loc"] if not str(part).startswith("function-")]
    nested = first.get("ctx", {}).get("error")
    message = first["msg"].removeprefix("Value error, ")
    if isinstance(nested, InputError):
        parts, message = [*parts, *filter(None, [nested.path])], nested.fault
    elif first["type"] == "unexpected_keyword_argument":
        message = "is not a known key; check the spelling"
    elif first["type"] == "missing":
        message = "is missing"
    elif first["type"] != "value_error":
        message = f"{_short.repr(first['input'])} is not allowed: {message[0].lower()}{message[1:]}"
    more = len(error.errors()) - 1
    if more:
        message += f" (and {more} more)"
    return InputError(message, ": ".join(filter(None, [where, ".".join(parts)])))


def to_plain(record: Any) -> Any:
    """Plain data (dicts, lists, numbers, text) of a record; members of a family carry their `kind`."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        kind = getattr(type(record), "kind", None)
        fields = {f.name: to_plain(getattr(record, f.name)) for f in dataclasses.fields(record)}
        return {"kind": kind, **fields} if kind else fields
    if isinstance(record, Mapping):
        return {key: to_plain(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [to_plain(value) for value in record]
    return record


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Data only: no constructor runs, so a `!!python/...` tag is an `InputError`."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: not valid YAML data: {getattr(error, 'problem', error)}") from None
    except (ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        # what the constructors let through: 2024-13-45, thousands of digits or of brackets, `!!bool x`
        raise InputError(f"{path}: not valid YAML data: {error}") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: holds {type(data).__name__}, expected keys and values")
    return data


def walk(record: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each leaf field below `record` as (dotted path, value, the declared field), for contract tests and docs."""
    for declared in dataclasses.fields(record):
        value = getattr(record, declared.name)
        here = f"{path}.{declared.name}" if path else declared.name
        if dataclasses.is_dataclass(value):
            yield from walk(value, here)
        elif isinstance(value, Mapping) and any(dataclasses.is_dataclass(v) for v in value.values()):
            for key, item in value.items():
                yield from walk(item, f"{here}.{key}")
        else:
            yield here, value, declared
