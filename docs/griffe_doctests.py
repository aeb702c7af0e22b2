"""Shows doctests in the reference as code: in plain Markdown `>>>` would be a quotation."""

from __future__ import annotations

import re
from typing import Any

import griffe

# From a prompt to the next empty line (or the end), as doctest reads it.
_EXAMPLE = re.compile(r"^>>> .*?(?=\n\s*\n|\Z)", flags=re.MULTILINE | re.DOTALL)


class Doctests(griffe.Extension):
    """Fences every doctest of every docstring."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrites the docstring of `obj`, if it has one with a doctest."""
        if obj.docstring and ">>> " in obj.docstring.value:
            obj.docstring.value = _EXAMPLE.sub(lambda found: f"\n```pycon\n{found[0]}\n```", obj.docstring.value)
