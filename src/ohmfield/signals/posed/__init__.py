"""Posed photographs: one reader per format, one way to open them, and a scene that needs no file."""

from ohmfield.signals.posed.open import FORMATS, posed
from ohmfield.signals.posed.still_life import still_life

__all__ = ["FORMATS", "posed", "still_life"]
