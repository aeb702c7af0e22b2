"""Other models: networks for images, built from plain torch layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ohmfield.networks.cnn import ResNet18, resnet
from ohmfield.networks.vit import vit
from ohmfield.spec import InputError

NETWORKS: dict[str, Callable[..., nn.Module]] = {"resnet": resnet, "vit": vit}
"""Every network by name; add your own."""


def build(config: Mapping[str, Any]) -> nn.Module:
    """The network that carried this `config`, with fresh parameters."""
    arguments = dict(config)
    name = arguments.pop("preset", None)
    if not isinstance(name, str) or name not in NETWORKS:
        raise InputError(f"network {name!r} is not known; known networks: {', '.join(NETWORKS)}")
    try:
        return NETWORKS[name](**arguments)
    except TypeError as error:
        raise InputError(f"network {name!r}: {error}") from None


__all__ = ["NETWORKS", "ResNet18", "build", "resnet", "vit"]
