"""What a chip is put together from, beyond its units: chips side by side, tiers above each other."""

from __future__ import annotations

from ohmfield.chip.links import LINKS
from ohmfield.chip.links.base import Link
from ohmfield.spec import family, knob, spec


@spec
class ManyChips:
    """Equal chips in a row: a network fills one after the other, in running order, and values cross where it goes on.

    A layer that lies on several sends its inputs to each of them. What is written in turns starts over on the first.
    """

    count: int = knob("cost", 1, ge=1, le=4096, doc="chips of this description")
    link: family(Link, LINKS)


@spec
class Stacked:
    """Memories on a tier above the arrays: every word they move crosses between tiers. No thermal model."""

    components: tuple[str, ...] = knob("cost", ("buffer",), min_length=1, doc="what lies above: buffer, table_memory")
    link: family(Link, LINKS)

    def __post_init__(self) -> None:
        unknown = [name for name in self.components if name not in ("buffer", "table_memory")]
        if unknown:
            raise ValueError(f"components {', '.join(unknown)} cannot lie on a tier of their own: buffer, table_memory")
