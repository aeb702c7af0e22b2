"""What a report needs of one deployment, as plain data: made from a `Deployment`, saved, loaded again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from dataclasses import field as has
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from ohmfield.files import discard, write_atomic
from ohmfield.spec import InputError

FORMAT = 1
SUMMARY_FILE, PICTURE_FILE = "deployment.json", "picture.safetensors"

Range = tuple[float, float, float]
"""Low, mid, high."""


@dataclass(frozen=True)
class Costs:
    """The bill of one chip. Arrays start with low, mid, high; energy is of one inference (a frame)."""

    operators: tuple[str, ...]
    components: tuple[str, ...]
    energy_pJ: Float[np.ndarray, "3 operators components"]
    latency_ns: Float[np.ndarray, "3 operators"]
    area_um2: Float[np.ndarray, "3 components"]
    energy_mJ: Range
    frame_ms: Range
    frames_per_s: Range
    area_mm2: Range
    leakage_mW: Range
    tops_per_W: Range
    power_mW: Range  # at `power_fps` frames per second
    power_fps: float  # the rate asked for, or what the chip reaches if that is less
    efficiency: str  # what tops_per_W states: precision, utilisation, boundary
    boundary: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Codes:
    """What the converters of one layer gave out: each code and how often, the step, and the share at the end codes."""

    codes: Int[np.ndarray, " codes"]
    counts: Int[np.ndarray, " codes"]
    step_levels: float
    clipped_fraction: float
    label: str = ""


@dataclass(frozen=True)
class Instances:
    """Scores of drawn instances of one design, by seed, and what they say of all its chips."""

    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    mean: float
    spread: float
    mean_low: float
    mean_high: float
    tenth: float
    worst: float


@dataclass(frozen=True)
class DeploymentSummary:
    """One chip running one model; `key` names what produced it.

    `picture` is [height, width, channels] in [0, peak], None where outputs are no picture. `metric` is the score that
    stands for all, `inference` what the bill counts. `placed` has (operator, unit, function, why it stays digital).
    """

    name: str
    chip: dict[str, Any]
    recipe: dict[str, Any]
    seed: int
    picture: Float[np.ndarray, "height width channels"] | None
    quality: dict[str, float]
    float_quality: dict[str, float]
    waterfall: tuple[tuple[str, float], ...]
    codes: dict[str, Codes]
    costs: Costs
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = has(default_factory=dict)
    command: str = ""
    key: str = ""
    metric: str = "psnr_dB"
    inference: str = "frame"
    placed: tuple[tuple[str, str, str, str], ...] = ()
    layer_losses: dict[str, dict[str, float]] = has(default_factory=dict)
    instances: Instances | None = None

    @property
    def lost(self) -> float:
        """The score of the float model less that of the chip; infinite where the score is held against that model."""
        return self.float_quality[self.metric] - self.quality[self.metric]


@dataclass(frozen=True)
class Baseline:
    """A processor that runs the same field in float, as a roofline: an estimate with a boundary of its own."""

    name: str
    energy_mJ: Range
    frame_ms: Range
    frames_per_s: Range
    boundary: str
    source: str
    assumed: bool = False


@dataclass(frozen=True)
class ReportData:
    """All a report shows. `field` is plain data about the fit, or about the model that was deployed.

    Pictures are [height, width, channels] in [0, peak], None for a model whose outputs are none; `signal` then
    describes its inputs.
    """

    signal: dict[str, Any]
    truth: Float[np.ndarray, "height width channels"] | None
    float_picture: Float[np.ndarray, "height width channels"] | None
    float_quality: dict[str, float]
    field: dict[str, Any]
    summaries: tuple[DeploymentSummary, ...]
    baselines: tuple[Baseline, ...] = ()
    command: str = ""
    versions: dict[str, str] = has(default_factory=dict)
    peak: float = 1.0
    metric: str = "psnr_dB"
    inference: str = "frame"

    @property
    def kind(self) -> str:
        """What is deployed, in a word; the key of its numbers in `metrics.json`."""
        return "model" if self.truth is None else "field"


def slug(name: str) -> str:
    """A name as part of a file name or an id."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)


def save_summary(summary: DeploymentSummary, folder: Path) -> None:
    """Write `deployment.json` and, if there is a picture, `picture.safetensors` into `folder`.

    The JSON, which readers look for, goes first and comes last: it never stands beside the picture of another recipe.
    """
    plain = {"format": FORMAT, **asdict(summary)}
    plain["picture"] = summary.picture is not None
    discard(folder / SUMMARY_FILE)
    if summary.picture is not None:
        write_atomic(folder / PICTURE_FILE, save({"picture": np.ascontiguousarray(summary.picture, dtype=np.float32)}))
    write_atomic(folder / SUMMARY_FILE, json.dumps(plain, indent=1, default=_plain).encode())


def load_summary(folder: Path) -> DeploymentSummary:
    """The deployment saved in `folder`. Raises `InputError` when it is missing, damaged or of another version."""
    path = folder / SUMMARY_FILE
    try:
        plain = json.loads(path.read_bytes())
        shown = not isinstance(plain, dict) or plain.pop("picture", True)
        picture = load_file(folder / PICTURE_FILE)["picture"] if shown else None
    except FileNotFoundError as error:
        raise InputError(f"{error.filename or path}: no such file; run `ohmfield deploy` again") from None
    except (OSError, ValueError, KeyError, RecursionError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read ({error}); run `ohmfield deploy` again") from None
    version = plain.pop("format", None) if isinstance(plain, dict) else None
    if version != FORMAT:
        raise InputError(f"{path}: format {version}, this version reads {FORMAT}; run `ohmfield deploy` again")
    try:
        return _from_plain(plain, picture)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: damaged ({error}); run `ohmfield deploy` again") from None


def _from_plain(plain: dict[str, Any], picture: np.ndarray | None) -> DeploymentSummary:
    bill = with_tuples(plain.pop("costs"))
    for name in ("energy_pJ", "latency_ns", "area_um2"):
        bill[name] = np.array(bill[name], dtype=np.float64)
    costs, codes = Costs(**bill), {}
    for operator, item in plain.pop("codes").items():
        counted = {name: np.array(item.pop(name), dtype=np.int64) for name in ("codes", "counts")}
        codes[operator] = Codes(**counted, **item)
    waterfall = tuple((str(cause), float(psnr_dB)) for cause, psnr_dB in plain.pop("waterfall"))
    notes, placed = tuple(plain.pop("notes")), tuple(tuple(row) for row in plain.pop("placed", ()))
    drawn = plain.pop("instances", None)
    if drawn is not None:
        drawn = Instances(**with_tuples(drawn))
    known = {"costs": costs, "codes": codes, "waterfall": waterfall, "notes": notes, "placed": placed}
    return DeploymentSummary(picture=picture, instances=drawn, **known, **plain)


def with_tuples(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record as JSON keeps them, lists as the tuples they were."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}


def _plain(value: Any) -> Any:
    """JSON for what `json` does not know."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} in a deployment is not plain data")
