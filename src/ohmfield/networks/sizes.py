"""Sizes of networks, checked where they are given."""

from __future__ import annotations

from ohmfield.spec import InputError


def within(network: str, least: int, most: int, **sizes: int) -> None:
    """Raises `InputError` for the first of `sizes` that is no whole number from `least` to `most`."""
    for name, value in sizes.items():
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise InputError(f"{network}: {name} = {value!r} is not allowed; use a whole number from {least} to {most}")
