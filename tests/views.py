"""Records with arrays behind some names, unvalidated: what leaves must price as they price one."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


def view_of(record: Any, **arrays: object) -> Any:
    """A view of `record` with arrays behind some names, and nothing of what it has worked out."""
    view = object.__new__(type(record))
    view.__dict__.update({field.name: getattr(record, field.name) for field in fields(record)} | arrays)
    return view
