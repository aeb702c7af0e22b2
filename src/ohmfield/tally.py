"""Counts that kernels return, by operator id: the measured, data-dependent half of a workload."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

_current: ContextVar[Tally | None] = ContextVar("tally", default=None)


@dataclass
class Tally:
    """Counts by operator id and name, e.g. `tally["decoder.layers.0#0"]["ones"]`.

    Kernels return counts and never know this class; the module that called the kernel adds them with `count`.
    """

    counts: dict[str, dict[str, float]] = field(default_factory=dict)

    def __getitem__(self, operator: str) -> dict[str, float]:
        return self.counts.get(operator, {})

    def add(self, operator: str, **counts: float) -> None:
        """Add to the counts of one operator."""
        mine = self.counts.setdefault(operator, {})
        for name, value in counts.items():
            mine[name] = mine.get(name, 0.0) + float(value)

    @contextmanager
    def listen(self) -> Iterator[Tally]:
        """While open, `count(...)` anywhere below adds here."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)


def listening() -> bool:
    """Whether a tally is in context, for counts that take time to make."""
    return _current.get() is not None


def count(operator: str, **counts: float) -> None:
    """Add to the tally in context; nothing happens when none listens."""
    tally = _current.get()
    if tally is not None:
        tally.add(operator, **counts)
