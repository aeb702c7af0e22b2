"""`Programmed`: one drawn chip instance: conductances, converter gains, age. Saved and reused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from ohmfield.files import write_atomic
from ohmfield.simulate.spares import Lines
from ohmfield.spec import InputError

FORMAT = 1


@dataclass(frozen=True, eq=False)
class StoredLayer:
    """One layer as written: nominal codes, and per copy the conductances in uS at the first read."""

    codes: Int[np.ndarray, "outputs inputs"]
    conductances_uS: Float[np.ndarray, "copies inputs slices sides outputs"] | None  # None: a digital unit
    gains: tuple[float, ...] = ()  # converter gain per bank
    registers: Int[np.ndarray, "copies two blocks banks outputs"] | None = None  # scale and shift of each column
    reference_uS: Float[np.ndarray, "copies inputs references 1 blocks"] | None = None  # columns that sum the inputs
    lines: Lines | None = None  # which are dead or replaced by spares; none: no array has such


@dataclass(frozen=True, eq=False)
class Programmed:
    """One chip instance: a seed, what it drew, and how long ago it was first read."""

    chip: str
    seed: int
    layers: Mapping[str, StoredLayer]
    elapsed_s: float = 0.0

    def aged(self, elapsed_s: float) -> Programmed:
        """The same instance `elapsed_s` after its first read."""
        return replace(self, elapsed_s=elapsed_s)

    def save(self, path: Path) -> None:
        """Writes one safetensors file (beside, then renamed); scalars travel in its metadata as JSON."""
        tensors: dict[str, np.ndarray] = {}
        for name, layer in self.layers.items():
            tensors[f"{name}:codes"] = layer.codes.astype(np.int32)
            if layer.conductances_uS is not None:
                tensors[f"{name}:conductances_uS"] = np.ascontiguousarray(layer.conductances_uS)
            if layer.registers is not None:
                tensors[f"{name}:registers"] = np.ascontiguousarray(layer.registers)
            if layer.reference_uS is not None:
                tensors[f"{name}:reference_uS"] = np.ascontiguousarray(layer.reference_uS)
            if layer.lines is not None:
                for kind, lines in vars(layer.lines).items():
                    tensors[f"{name}:lines.{kind}"] = np.ascontiguousarray(lines)
        facts = {
            "format": FORMAT,
            "chip": self.chip,
            "seed": self.seed,
            "elapsed_s": self.elapsed_s,
            "gains": {name: list(layer.gains) for name, layer in self.layers.items()},
        }
        write_atomic(path, save(tensors, metadata={"programmed": json.dumps(facts)}))

    @classmethod
    def load(cls, path: Path) -> Programmed:
        """An instance from `save`; `InputError` where the file is not one."""
        try:
            tensors = load_file(path)
            with path.open("rb") as file:
                size = int.from_bytes(file.read(8), "little")
                facts = json.loads(json.loads(file.read(size))["__metadata__"]["programmed"])
            if facts["format"] == FORMAT:
                layers = {name: _stored_layer(tensors, name, gains) for name, gains in facts["gains"].items()}
                return cls(str(facts["chip"]), int(facts["seed"]), layers, float(facts["elapsed_s"]))
        except (OSError, SafetensorError, LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{path}: is not a saved chip instance ({error})") from None
        raise InputError(f"{path}: instance format {facts['format']!r}, this version reads {FORMAT}; program it again")


def _stored_layer(tensors: Mapping[str, np.ndarray], name: str, gains: list[float]) -> StoredLayer:
    codes = tensors[f"{name}:codes"].astype(np.int64)
    return StoredLayer(
        codes,
        tensors.get(f"{name}:conductances_uS"),
        tuple(float(gain) for gain in gains),
        registers=tensors.get(f"{name}:registers"),
        reference_uS=tensors.get(f"{name}:reference_uS"),
        lines=_lines(tensors, name),
    )


def _lines(tensors: Mapping[str, np.ndarray], name: str) -> Lines | None:
    if f"{name}:lines.rows" not in tensors:
        return None
    return Lines(*(tensors[f"{name}:lines.{field.name}"] for field in fields(Lines)))
