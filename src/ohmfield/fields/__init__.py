"""Coordinates to values: encodings, decoders and published fields."""
