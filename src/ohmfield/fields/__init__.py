"""Coordinates to values: encodings, decoders and published fields."""

from ohmfield.fields.field import Field, predict
from ohmfield.fields.presets import (
    PRESETS,
    build,
    finer,
    fourier_mlp,
    gauss,
    gaussian_encoder,
    instant_ngp,
    quadinr,
    siren,
    wire,
)

__all__ = [
    "PRESETS",
    "Field",
    "build",
    "finer",
    "fourier_mlp",
    "gauss",
    "gaussian_encoder",
    "instant_ngp",
    "predict",
    "quadinr",
    "siren",
    "wire",
]
