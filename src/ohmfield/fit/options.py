"""How long and how fast to train, with settings that suit each preset."""

from __future__ import annotations

from typing import Any

from torch import nn

from ohmfield.spec import build, knob, spec


@spec
class FitOptions:
    """Settings of one training run. A batch as large as the signal takes all of it in every step."""

    steps: int = knob("label", 3000, ge=1, le=10**8, doc="updates of the parameters")
    batch: int = knob("label", 2**14, ge=1, le=2**24, doc="points, examples, or samples along rays per step")
    learning_rate: float = knob("label", 1e-2, gt=0, le=1, doc="Adam's step size at the start")
    final_rate: float = knob("label", 0.01, ge=0, le=1, doc="fraction of it at the end of the cosine")
    epsilon: float = knob("label", 1e-15, gt=0, le=1e-3, doc="Adam's epsilon")
    seed: int = knob("label", 0, ge=0, le=2**63 - 1, doc="which items each step takes")


SUGGESTED: dict[str, dict[str, Any]] = {
    "hash": {"steps": 2400, "batch": 2**13, "learning_rate": 1e-2},
    "instant-ngp": {"steps": 4000, "batch": 2**13, "learning_rate": 1e-2},
    "siren": {"steps": 1000, "learning_rate": 1e-3, "epsilon": 1e-8},
    "quadinr": {"steps": 1000, "learning_rate": 1e-3, "epsilon": 1e-8},
    "finer": {"steps": 1000, "learning_rate": 1e-3, "epsilon": 1e-8},
    "gauss": {"steps": 1000, "learning_rate": 2e-3, "epsilon": 1e-8},
    "wire": {"steps": 1000, "learning_rate": 2e-3, "epsilon": 1e-8},
    "fourier": {"steps": 1000, "learning_rate": 2e-3, "epsilon": 1e-8},
    "gaussian": {"steps": 1000, "learning_rate": 2e-3, "epsilon": 1e-8},
    "resnet": {"batch": 128, "learning_rate": 3e-3, "epsilon": 1e-8},
    "vit": {"batch": 128, "learning_rate": 1e-3, "epsilon": 1e-8},
}
"""Settings per preset, where they differ from the defaults."""


def suggested_options(field: nn.Module, **overrides: Any) -> FitOptions:
    """Options for the preset that `field` was made by; `overrides` win, those that are None do not."""
    config: dict[str, Any] = getattr(field, "config", {})
    chosen = SUGGESTED.get(config.get("preset", ""), {})
    given = {key: value for key, value in overrides.items() if value is not None}
    return build(FitOptions, {**chosen, **given}, where="fit")
