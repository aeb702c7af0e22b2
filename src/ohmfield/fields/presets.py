"""Published fields as plain functions; `PRESETS` lists them by the name that files and the command line use."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import Field as Limits
from torch import Tensor

from ohmfield.fields.decoders import MLP, Finer, Gauss, Quad, ReLU, Sine, Wire, fan_in_init, relu_init, siren_init
from ohmfield.fields.encodings.fourier import Coordinates, FourierEncoding, GaussianEncoding, gaussian_projection
from ohmfield.fields.encodings.hash_grid import HashGrid
from ohmfield.fields.field import Field
from ohmfield.fields.radiance import Radiance
from ohmfield.numerics import Noise
from ohmfield.spec import InputError
from ohmfield.spec import build as checked

Made = TypeVar("Made", Field, Radiance)

PRESETS: dict[str, Callable[..., Any]] = {}
"""Every preset by name."""

_Frequency = Annotated[float, Limits(gt=0, le=1e6, allow_inf_nan=False)]
_Resolution = Annotated[int | float, Limits(ge=2, le=2**20)]

ALLOWED: dict[str, Any] = {
    "dim": Annotated[int, Limits(ge=1, le=16)],
    "channels": Annotated[int, Limits(ge=1, le=1024)],
    "width": Annotated[int, Limits(ge=1, le=2**14)],
    "depth": Annotated[int, Limits(ge=0, le=64)],
    "seed": Annotated[int, Limits(ge=0, le=2**63 - 1)],
    "num_levels": Annotated[int, Limits(ge=1, le=64)],
    "features_per_level": Annotated[int, Limits(ge=1, le=8)],
    "log2_table": Annotated[int, Limits(ge=3, le=24)],
    "resolutions": tuple[_Resolution, _Resolution],
    "num_bands": Annotated[int, Limits(ge=1, le=64)],
    "num_frequencies": Annotated[int, Limits(ge=1, le=2**14)],
    "sigma": _Frequency,
    "w0": _Frequency,
    "s": _Frequency,
    "first_bias": Annotated[float, Limits(ge=0, le=1e6, allow_inf_nan=False)],
    "cells": Annotated[int, Limits(ge=8, le=512, multiple_of=2)],
    "contracted": bool,
    "matched": bool,
    "projection": None,
}
"""What an argument of that name may be, in whichever preset."""


def preset(name: str) -> Callable[[Callable[..., Made]], Callable[..., Made]]:
    """Lists a function in `PRESETS` under `name`; its fields carry `config`, the name and all plain arguments."""

    def register(make: Callable[..., Made]) -> Callable[..., Made]:
        signature = inspect.signature(make)

        @functools.wraps(make)
        def wrapper(*args: Any, **kwargs: Any) -> Made:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                known = ", ".join(signature.parameters)
                raise InputError(f"field {name!r}: {error}; known arguments: {known}") from None
            bound.apply_defaults()
            for key, value in bound.arguments.items():
                if key in ALLOWED and not isinstance(value, Tensor):
                    bound.arguments[key] = checked(ALLOWED[key], value, where=f"field {name!r}: {key}")
            field = make(*bound.args, **bound.kwargs)
            plain = {key: value for key, value in bound.arguments.items() if not isinstance(value, Tensor)}
            field.config = {"preset": name, **plain}
            return field

        PRESETS[name] = wrapper
        return wrapper

    return register


def build(config: str | Mapping[str, Any], **arguments: Any) -> Any:
    """The field of a name in `PRESETS`, or of a `config` that such a field carried; `arguments` override.

    >>> build("siren", channels=1, width=64).num_parameters()
    8577
    """
    fields = {"preset": config} if isinstance(config, str) else dict(config)
    name = fields.pop("preset", None)
    if not isinstance(name, str) or name not in PRESETS:
        raise InputError(f"field {name!r} is not known; known fields: {', '.join(PRESETS)}")
    return PRESETS[name](**{**fields, **arguments})


@preset("hash")
def instant_ngp(
    dim: int = 2,
    channels: int = 3,
    num_levels: int = 16,
    features_per_level: int = 2,
    log2_table: int = 15,
    resolutions: Sequence[float] = (16, 512),
    width: int = 64,
    depth: int = 2,
    seed: int = 0,
) -> Field:
    """Hash grid and a small ReLU decoder, sized for a 512x512 photograph. Source: instant-ngp, SIGGRAPH 2022.

    `resolutions` are those of the coarsest and the finest level, in cells per unit length.
    """
    noise = Noise(seed).at("field")
    coarsest, finest = resolutions
    grid = HashGrid(dim, num_levels, features_per_level, log2_table, int(coarsest), finest)
    grid.reset(noise.at("table"))
    decoder = MLP(grid.num_features, channels, width, depth, ReLU)
    relu_init(decoder, noise.at("decoder"))
    return Field(grid, decoder, dim, channels)


@preset("siren")
def siren(dim: int = 2, channels: int = 3, width: int = 256, depth: int = 3, w0: float = 30.0, seed: int = 0) -> Field:
    """Sine activations. Source: SIREN, NeurIPS 2020."""
    decoder = MLP(dim, channels, width, depth, lambda: Sine(w0))
    siren_init(decoder, Noise(seed).at("field", "decoder"), w0)
    return Field(Coordinates(dim), decoder, dim, channels)


@preset("quadinr")
def quadinr(
    dim: int = 2,
    channels: int = 3,
    width: int = 256,
    depth: int = 3,
    w0: float = 30.0,
    matched: bool = True,
    seed: int = 0,
) -> Field:
    """Periodic parabolas, initialised as SIREN. Source: QuadINR, arXiv 2508.14374.

    `matched` scales by w0 * 2 / pi, so that the first harmonic is that of a sine of w0; otherwise by w0 itself.
    """
    scale = w0 * 2.0 / math.pi if matched else w0
    decoder = MLP(dim, channels, width, depth, lambda: Quad(scale))
    siren_init(decoder, Noise(seed).at("field", "decoder"), w0)
    return Field(Coordinates(dim), decoder, dim, channels)


@preset("gauss")
def gauss(dim: int = 2, channels: int = 3, width: int = 256, depth: int = 3, s: float = 10.0, seed: int = 0) -> Field:
    """Gaussian activations. Source: Ramasinghe and Lucey, ECCV 2022."""
    decoder = MLP(dim, channels, width, depth, lambda: Gauss(s))
    fan_in_init(decoder, Noise(seed).at("field", "decoder"))
    return Field(Coordinates(dim), decoder, dim, channels)


@preset("wire")
def wire(
    dim: int = 2,
    channels: int = 3,
    width: int = 256,
    depth: int = 3,
    w0: float = 20.0,
    s: float = 10.0,
    seed: int = 0,
) -> Field:
    """Real Gabor wavelets. Source: WIRE, CVPR 2023."""
    decoder = MLP(dim, channels, width, depth, lambda: Wire(w0, s))
    fan_in_init(decoder, Noise(seed).at("field", "decoder"))
    return Field(Coordinates(dim), decoder, dim, channels)


@preset("finer")
def finer(
    dim: int = 2,
    channels: int = 3,
    width: int = 256,
    depth: int = 3,
    w0: float = 30.0,
    first_bias: float = 1.0,
    seed: int = 0,
) -> Field:
    """Sines whose frequency grows with their argument, first biases from U(+-first_bias). Source: FINER, CVPR 2024."""
    decoder = MLP(dim, channels, width, depth, lambda: Finer(w0))
    siren_init(decoder, Noise(seed).at("field", "decoder"), w0, first_bias)
    return Field(Coordinates(dim), decoder, dim, channels)


@preset("fourier")
def fourier_mlp(
    dim: int = 2, channels: int = 3, num_bands: int = 10, width: int = 256, depth: int = 3, seed: int = 0
) -> Field:
    """Octave-spaced sines and cosines, ReLU decoder. Source: NeRF, ECCV 2020."""
    encoding = FourierEncoding(dim, num_bands)
    decoder = MLP(encoding.num_features, channels, width, depth, ReLU)
    relu_init(decoder, Noise(seed).at("field", "decoder"))
    return Field(encoding, decoder, dim, channels)


@preset("gaussian")
def gaussian_encoder(
    dim: int = 2,
    channels: int = 3,
    num_frequencies: int = 128,
    sigma: float = 10.0,
    width: int = 128,
    depth: int = 2,
    seed: int = 0,
    projection: Tensor | None = None,
) -> Field:
    """Random Fourier features, ReLU decoder: the Gaussian-encoder field of resistive memory.

    `projection` [dim, num_frequencies] replaces the ideal draw of `sigma`; it is saved with the parameters.
    Sources: Tancik et al., NeurIPS 2020; Yu et al., arXiv 2404.09613.
    """
    noise = Noise(seed).at("field")
    if projection is None:
        projection = gaussian_projection(dim, num_frequencies, sigma, noise.at("projection"))
    elif projection.shape != (dim, num_frequencies):
        raise InputError(f"projection: shape {tuple(projection.shape)}, expected ({dim}, {num_frequencies})")
    encoding = GaussianEncoding(projection)
    decoder = MLP(encoding.num_features, channels, width, depth, ReLU)
    relu_init(decoder, noise.at("decoder"))
    return Field(encoding, decoder, dim, channels)


@preset("instant-ngp")
def radiance(
    num_levels: int = 16,
    features_per_level: int = 2,
    log2_table: int = 17,
    resolutions: Sequence[float] = (16, 1024),
    width: int = 64,
    cells: int = 128,
    contracted: bool = False,
    seed: int = 0,
) -> Radiance:
    """A radiance field of posed photographs, sized for pictures of some 400 pixels. Source: instant-ngp, SIGGRAPH 2022.

    The published one has tables of 2^19 rows and a finest level of 2048 cells per unit.
    """
    coarsest, finest = resolutions
    field = Radiance(
        num_levels, features_per_level, log2_table, (int(coarsest), finest), width, cells=cells, contracted=contracted
    )
    field.reset(Noise(seed).at("field"))
    return field
