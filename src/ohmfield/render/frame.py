"""What a camera sees."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture and what it took: `num_steps` places looked up in the grid, `num_samples` asked of the network."""

    colour: Float[Tensor, "height width 3"]  # over the background
    opacity: Float[Tensor, "height width"]
    depth: Float[Tensor, "height width"]  # of what is seen, in the units of the cameras; infinite where nothing is
    num_steps: int
    num_samples: int

    @property
    def samples_per_ray(self) -> float:
        """Samples asked of the network, on average over all pixels."""
        return self.num_samples / self.opacity.numel()
