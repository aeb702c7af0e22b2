"""Ways that bits take: on a chip, between chips, between tiers. `LINKS` is what files may name."""

from ohmfield.chip.links.base import Link
from ohmfield.chip.links.between_chips import PORTS, ChipLink
from ohmfield.chip.links.on_chip import Bus, HTree, Mesh
from ohmfield.chip.links.stacked import HybridBond, Tsv

__all__ = ["LINKS", "PORTS", "Bus", "ChipLink", "HTree", "HybridBond", "Link", "Mesh", "Tsv"]

LINKS: dict[str, type[Link]] = {link.kind: link for link in (Bus, HTree, Mesh, ChipLink, Tsv, HybridBond)}
