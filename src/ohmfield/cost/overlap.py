"""A processor and an accelerator beside it: what is offloaded, what is left, and how far both work at once."""

from __future__ import annotations

from dataclasses import dataclass

from ohmfield.spec import InputError


def together(first: float, second: float, overlap: float) -> float:
    """Time of two parts of one stream of frames: one after the other at `overlap` 0, the longer of them at 1.

    >>> together(3.0, 2.0, overlap=0.0), together(3.0, 2.0, overlap=1.0)
    (5.0, 3.0)
    """
    if not 0.0 <= overlap <= 1.0:
        raise InputError(f"overlap {overlap:g} is not within 0 .. 1: 0 is one after the other, 1 both at once")
    return first + second - overlap * min(first, second)


@dataclass(frozen=True)
class Offload:
    """A `share` of the processor's time moves to an accelerator; the rest stays and runs `rest_speed_up` times faster.

    Source of the form: Amdahl's law; the rest of instant-NGP, fused, ran 9.94 times faster (arXiv 2303.05735).
    """

    share: float
    rest_speed_up: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0 or not self.rest_speed_up > 0.0:
            raise InputError(
                f"share {self.share:g} must lie between 0 and 1 and rest_speed_up {self.rest_speed_up:g} above 0"
            )

    @property
    def rest(self) -> float:
        """Time left on the processor, over that of everything before."""
        return (1.0 - self.share) / self.rest_speed_up

    @property
    def cap(self) -> float:
        """Speed-up that no accelerator exceeds.

        >>> round(Offload(share=0.7237, rest_speed_up=9.94).cap, 1)
        36.0
        """
        return 1.0 / self.rest

    def speed_up(self, accelerator: float, overlap: float) -> float:
        """Speed-up of the whole where the accelerator does its share `accelerator` times faster."""
        return 1.0 / together(self.rest, self.share / accelerator, overlap)

    def accelerator_for(self, speed_up: float, overlap: float) -> float:
        """How much faster the accelerator does its share when the whole is `speed_up` times faster.

        `InputError` where none is fast enough, or where any that overlaps wholly with a longer rest would do.
        """
        whole = 1.0 / speed_up
        longer = whole - (1.0 - overlap) * self.rest  # the accelerator's time, if it is the longer one
        if longer >= self.rest:
            return self.share / longer
        if overlap == 1.0 or whole <= self.rest:
            raise InputError(f"no one accelerator gives a speed-up of {speed_up:g}: the rest caps it at {self.cap:.1f}")
        return self.share * (1.0 - overlap) / (whole - self.rest)
