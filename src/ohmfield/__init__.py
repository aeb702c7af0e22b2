"""Ohmfield: what a neural field will look like, how fast it runs and what it draws on an in-memory chip.

    import ohmfield as of

    photo = of.signals.photo("astronaut")
    field = of.fields.instant_ngp()
    of.fit(field, photo)
    deployment = of.deploy(field, "rram-40nm", photo)

Nothing heavy is imported before it is asked for.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Where each public name lives.
_NAMES = {
    "Recipe": "ohmfield.deploy",
    "Deployment": "ohmfield.deploy",
    "Chip": "ohmfield.chip.chip",
    "InputError": "ohmfield.spec",
    "list_chips": "ohmfield.chip.files",
    "load_chip": "ohmfield.chip.files",
    "load_run": "ohmfield.fit.runs",
}
# Folders and modules whose own name is also what one does with them: `ohmfield.fit` holds the training loop, and
# `ohmfield.fit(field, signal)` runs it.
_VERBS = {"fit": "ohmfield.fit.loop", "deploy": "ohmfield.deploy", "report": "ohmfield.report.saved"}
_FOLDERS = ("chip", "compress", "cost", "fields", "mapping", "signals", "simulate")

if TYPE_CHECKING:
    from ohmfield import chip, compress, cost, fields, mapping, signals, simulate
    from ohmfield.chip.chip import Chip
    from ohmfield.chip.files import list_chips, load_chip
    from ohmfield.deploy import Deployment, Recipe, deploy
    from ohmfield.fit.loop import fit
    from ohmfield.fit.runs import load_run
    from ohmfield.report.saved import report
    from ohmfield.spec import InputError


class _Verb(types.ModuleType):
    """A module that can be called: the call goes to the function of its own name."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        name = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module(_VERBS[name]), name)(*arguments, **options)


class _Package(types.ModuleType):
    """This package. Importing a submodule binds it here, whoever imports it; the verbs become callable then."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _VERBS and isinstance(value, types.ModuleType):
            value.__class__ = _Verb
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    if name in _VERBS or name in _FOLDERS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES, *_VERBS, *_FOLDERS})


__all__ = [
    "Chip",
    "Deployment",
    "InputError",
    "Recipe",
    "chip",
    "compress",
    "cost",
    "deploy",
    "fields",
    "fit",
    "list_chips",
    "load_chip",
    "load_run",
    "mapping",
    "report",
    "signals",
    "simulate",
]
