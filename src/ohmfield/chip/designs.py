"""Many designs of one chip at once: the same description with arrays behind some of its names.

What prices a chip reads attributes and computes with them, so it prices the view of a million chips with the same
functions. Where a value decides *what* is counted, designs part: `quantities.uniform` raises `Mixed`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pydantic

from ohmfield.chip.chip import Chip
from ohmfield.spec import InputError, field_value, first_fault, limits_of


def columns(chip: Chip, values: Mapping[str, Any]) -> Chip:
    """`chip` with other values at dotted paths, an array of one number per design or one value for all of them.

    >>> from ohmfield.chip.files import load_chip
    >>> made = columns(load_chip("rram-40nm"), {"units.crossbar.adc.bits": np.array([7, 8])})
    >>> made.units["crossbar"].adc.bits
    array([7., 8.])

    Single values are taken as `checked` gives them. Raises `InputError` where all designs contradict themselves, and
    `Mixed` where some do.
    """
    made = chip
    for path, given in values.items():
        made = _with(made, path.split("."), given.astype(np.float64) if isinstance(given, np.ndarray) else given)
    folders = {".".join(path.split(".")[:depth]) for path in values for depth in range(path.count(".") + 1)}
    for folder in sorted(folders, key=lambda path: (-len(path.split(".")) if path else 1, path)):
        record = at(made, folder.split(".") if folder else [], folder)
        check = getattr(record, "__post_init__", None)
        try:
            if check is not None:
                check()
        except InputError:
            raise
        except ValueError as error:  # what pydantic makes a validation error of
            raise InputError(str(error), folder) from None
    return made


def with_values(record: Any, values: Mapping[str, Any], path: str = "") -> Any:
    """A copy of a chip, or of what lies in one, with other values at dotted paths: all set, then validated.

    >>> from ohmfield.chip.files import load_chip
    >>> small = {"units.crossbar.array.rows": 32, "units.crossbar.array.rows_active": 32}
    >>> with_values(load_chip("rram-40nm"), small).units["crossbar"].array.rows
    32
    """
    inner: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        head, _, rest = name.partition(".")
        inner.setdefault(head, {})[rest] = value
    made = {}
    for head, below in inner.items():
        here = f"{path}.{head}" if path else head
        if isinstance(record, Mapping) and head not in record:
            raise InputError(f"is not one of {', '.join(record)}", here)
        if not isinstance(record, Mapping) and head not in _names(record):
            raise InputError("is not a field of this chip; `ohmfield chips show` lists them", here)
        if "" in below:
            made[head] = below[""]
        else:
            made[head] = with_values(at(record, [head], here), below, here)
    if isinstance(record, Mapping):
        return {**record, **made}
    try:
        return dataclasses.replace(record, **made)
    except pydantic.ValidationError as error:
        raise first_fault(error, path) from None


def _names(record: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(record)} if dataclasses.is_dataclass(record) else set()


def checked(chip: Chip, path: str, given: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Values for the field at `path`, each as its field takes it; `InputError` where it is not there or refuses one."""
    *folder, name = path.split(".")
    record = at(chip, folder, path)
    if name not in _names(record):
        raise InputError("is not a field of this chip; `ohmfield chips show` lists them", path)
    held = isinstance(given, np.ndarray) or all(isinstance(value, str | int | float) for value in given)
    numbers = np.asarray(given if held else [None])
    if numbers.dtype.kind in "iuf" and numbers.ndim == 1:
        if numbers.dtype.kind == "f":
            if not np.isfinite(numbers).all():
                raise InputError(f"{numbers[~np.isfinite(numbers)][0]} is not a number", path)
            if isinstance(getattr(record, name), int) and (numbers % 1 != 0).any():
                raise InputError(f"{numbers[numbers % 1 != 0][0]:g} is not a whole number", path)
        for text, holds in limits_of(type(record), name):
            if not (fine := holds(numbers)).all():
                raise InputError(f"{numbers[~fine][0]:g} is not allowed: {text}", path)
        return numbers
    made = np.empty(len(given), dtype=object)
    known: dict[str, Any] = {}
    for place, value in enumerate(given):
        plain = value.item() if isinstance(value, np.generic) else value
        if repr(plain) not in known:
            known[repr(plain)] = field_value(type(record), name, plain, path)
        made[place] = known[repr(plain)]
    return made


def at(record: Any, parts: Sequence[str], path: str) -> Any:
    """What lies at `parts` below `record`; `InputError` naming `path` where the way ends before."""
    for part in parts:
        record = record.get(part) if isinstance(record, Mapping) else getattr(record, part, None)
        if record is None:
            raise InputError(f"there is no {part!r} on this chip; `ohmfield chips show` lists its fields", path)
    return record


def _with(record: Any, parts: list[str], value: Any) -> Any:
    """A copy of `record` with another value, unvalidated: records on the way are new, all others shared."""
    if not parts:
        return value
    head, *rest = parts
    if isinstance(record, Mapping):
        return {**record, head: _with(record[head], rest, value)}
    made = object.__new__(type(record))
    for field in dataclasses.fields(record):  # and nothing that the record has worked out from them
        object.__setattr__(made, field.name, getattr(record, field.name))
    object.__setattr__(made, head, _with(getattr(record, head), rest, value))
    return made
