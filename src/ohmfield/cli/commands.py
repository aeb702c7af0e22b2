"""What can be typed: one record for each command, its options and its help. Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg, subcommand


@dataclass(frozen=True, kw_only=True)
class Common:
    """What every command takes."""

    json: bool = False
    """Print the same numbers as JSON on the standard output, and nothing else there."""


@dataclass(frozen=True, kw_only=True)
class Demo(Common):
    """A real photograph on three chips, as a page. Killed and started again, it goes on where it was.

    Example: ohmfield demo --out demo
    """

    out: Path = Path("demo")
    """Folder for the run, the deployments and the report."""
    photo: str = "astronaut"
    """One of the photographs that come with scikit-image (astronaut, coffee, cat), or an image file."""
    chip: str = "rram-40nm,dcim-28nm,hybrid-40nm"
    """Chips, by name or file, separated by commas."""
    steps: int = 3000
    """Training steps of the field."""
    tune_steps: int = 500
    """Fine-tuning steps with the noise of each chip; 0 for none."""


@dataclass(frozen=True, kw_only=True)
class Fit(Common):
    """Train a field on an image, or a radiance field on a folder of posed photographs.

    An existing RUN with the same options is continued, to the same bits.

    Example: ohmfield fit photo.png --field hash --out runs/photo

    Example: ohmfield fit photos/chair --size 200 --out runs/chair
    """

    signal: Positional[str]
    """An image file, or one of astronaut, coffee, cat; or a folder with poses from NeRF's blender files, instant-ngp,
    nerfstudio, COLMAP or LLFF."""
    out: Path
    """Run folder."""
    field: str | None = None
    """hash (the default), siren, quadinr, finer, gauss, wire, fourier or gaussian; instant-ngp for a folder."""
    size: int | None = None
    """Cut the centre square out of the image and scale it to SIZE x SIZE pixels first; scale photographs of a folder
    so that their longer side has SIZE pixels."""
    steps: int | None = None
    """Training steps; the default suits the field."""
    batch: int | None = None
    """Points, or samples along rays, per step."""
    learning_rate: float | None = None
    """Adam's step size at the start."""
    seed: int = 0
    """Seed of the initial parameters and of the points each step takes."""


@dataclass(frozen=True, kw_only=True)
class Render(Common):
    """Pictures of a radiance field: test views beside the photographs, a turntable, and what chips make of them.

    Example: ohmfield render runs/chair --out pictures --chip rram-40nm,dcim-28nm
    """

    run: Positional[Path]
    """Run folder that `ohmfield fit FOLDER` made."""
    out: Path
    """Folder for the pictures: each view with the photograph to its right, turntable.webp, and two views per chip."""
    chip: str | None = None
    """Chips, by name or file, separated by commas: two test views of each, and the bill of a frame."""
    views: int = 4
    """How many test views are rendered."""


@dataclass(frozen=True, kw_only=True)
class Deploy(Common):
    """Put the field of a run, or any torch model, on one or more chips: quality and bill of each.

    Example: ohmfield deploy runs/photo --chip rram-40nm,mine.yaml --tune-steps 200 --noise-aware
    Example: ohmfield deploy model.py:build --chip hybrid-40nm --inputs batch.pt --out deployed --instances 10
    """

    run: Positional[Path]
    """Run folder that `ohmfield fit` made, or file.py:function; the file is run."""
    chip: str
    """Chips, by name or file, separated by commas."""
    inputs: Path | None = None
    """For a model: .pt or .npz with `inputs` and, if there are any, `labels`."""
    out: Path | None = None
    """For a model: folder for the deployments and the report; FILE-FUNCTION by default."""
    seed: int = 0
    """Which chip instance is drawn: another seed is another chip of the same kind."""
    instances: int = 1
    """How many chips are drawn, from SEED on: mean, spread and worst of them. Stopped, the same command goes on."""
    weight_bits: int = 8
    """Bits of a weight."""
    input_bits: int = 8
    """Bits of a layer's inputs."""
    calibration: Literal["mse", "max", "percentile"] = "mse"
    """How the ranges of the integers are chosen."""
    input_zero: Literal["none", "calibrated"] = "none"
    """Whether inputs below zero may have a zero point, where that errs less than a sign."""
    tune_steps: int = 0
    """Fine-tuning steps of the quantised field."""
    noise_aware: bool = False
    """Fine-tune with the noise of the chip instead of without."""


@dataclass(frozen=True, kw_only=True)
class Cost(Common):
    """What one frame, image, token or query costs on chips and processors: energy, time, area, and where they go.

    Nothing is trained and nothing downloaded: the bill needs what a model does, not what it has learnt.

    Example: ohmfield cost resnet-18 --chip rram-40nm,dcim-28nm,jetson-agx-orin --allow-waves

    Example: ohmfield cost llama-3-8b --decode 2048 --chip dcim-28nm,h100 --allow-waves --out bill

    Example: ohmfield cost llama-3.2-1b --query 512,128 --chip hybrid-40nm --allow-waves

    Example: ohmfield cost nerf --size 800x800 --samples-per-ray 8 --steps-per-ray 40 --chip rram-40nm

    Example: ohmfield cost runs/photo --chip rram-40nm --fps 30 --battery-Wh 2.5

    Example: ohmfield cost model.py:build --input-shape 1x3x224x224 --chip mine.yaml
    """

    model: Positional[str]
    """resnet-18, vit-b-16, clip-vit-b-32, llama-3.2-1b, llama-3-8b, gpt-oss-120b or nerf; a run folder that
    `ohmfield fit` made; file.py:function (the file is run); or a config.json of the Hugging Face hub."""
    chip: str
    """Chips and processors (h100, jetson-agx-orin, this-machine), by name or file, separated by commas."""
    out: Path | None = None
    """Folder for the page (bill.html), the rows (bill.csv) and the same numbers for machines (bill.json)."""
    weight_bits: int = 8
    """Bits of a weight."""
    input_bits: int = 8
    """Bits of a layer's inputs."""
    allow_waves: bool = False
    """Where a chip cannot hold all weights, write them in turns, in every inference."""
    fps: float | None = None
    """Inferences per second for which power is stated; what each chip reaches by default."""
    battery_Wh: float | None = None
    """Say how many hours a battery of so many watt-hours lasts at that rate."""
    inputs: Path | None = None
    """For file.py:function: .pt or .npz; the model is run on the first of its `inputs`."""
    input_shape: str | None = None
    """For file.py:function: sizes such as 1x3x224x224; the model is followed without data or weights."""
    decode: int | None = None
    """For language models: one more token that looks back over DECODE tokens; 2048 by default."""
    prefill: int | None = None
    """For transformers: a prompt of PREFILL tokens at once."""
    query: str | None = None
    """For language models: tokens of a prompt and of its answer, such as 512,128."""
    size: str = "800x800"
    """For nerf: width x height of the frame."""
    samples_per_ray: float = 8.0
    """For nerf: samples per ray that the network sees. Stated by you, measured by nobody."""
    steps_per_ray: float = 40.0
    """For nerf: places per ray that are looked up to find them. Stated by you, measured by nobody."""


@dataclass(frozen=True, kw_only=True)
class Report(Common):
    """Write the page of a run again, from its saved deployments.

    Example: ohmfield report runs/photo
    """

    run: Positional[Path]
    """Run folder, or the folder of a deployed model."""
    out: Path | None = None
    """Folder for the report; the run folder by default."""


@dataclass(frozen=True, kw_only=True)
class Golden(Common):
    """Conductances, sums, codes, inputs and outputs of one layer on a chip, for other simulators and for RTL.

    Example: ohmfield golden runs/photo --chip rram-40nm --out golden.safetensors
    """

    run: Positional[Path]
    """Run folder that `ohmfield fit` made, or file.py:function; the file is run."""
    chip: str
    """A chip, by name or file."""
    inputs: Path | None = None
    """For a model: .pt or .npz with `inputs`."""
    layer: str = ""
    """Path of the layer; the first that goes through converters by default."""
    vectors: int = 16
    """Input vectors, at most 256."""
    seed: int = 0
    """Which chip instance is drawn."""
    out: Path = Path("golden.safetensors")
    """File to write."""


@dataclass(frozen=True, kw_only=True)
class ChipsList(Common):
    """The chips that come with Ohmfield.

    Example: ohmfield chips list
    """


@dataclass(frozen=True, kw_only=True)
class ChipsShow(Common):
    """One chip as YAML, with where its numbers come from.

    Example: ohmfield chips show rram-40nm
    """

    chip: Positional[str]
    """A name or a file."""


@dataclass(frozen=True, kw_only=True)
class ChipsCheck(Common):
    """Whether a chip file is valid; what is wrong is named with its path.

    Example: ohmfield chips check mine.yaml
    """

    file: Positional[Path]
    """A YAML file."""


@dataclass(frozen=True, kw_only=True)
class ChipsNew(Common):
    """A chip file of your own, as a copy of a known chip.

    Example: ohmfield chips new --from rram-40nm --out mine.yaml
    """

    source: Annotated[str, arg(name="from")]
    """Chip to start from, a name or a file."""
    out: Path = Path("chip.yaml")
    """File to write; an existing file is left alone."""


@dataclass(frozen=True, kw_only=True)
class ChipsCalibrate(Common):
    """A chip with leaves taken from measurements, and how far each is off on rows that were held out.

    Example: ohmfield chips calibrate rram-40nm --conductances cells.csv --adc sweep.csv --out measured.yaml
    """

    chip: Positional[str]
    """Chip to start from, a name or a file."""
    conductances: Path | None = None
    """CSV with cell, target_uS, measured_uS; a row per read."""
    adc: Path | None = None
    """CSV with input_lsb, code: a sweep of one converter."""
    power: Path | None = None
    """CSV with path, value: any number of the chip by its dotted path."""
    unit: str = ""
    """Which crossbar was measured; the first by default."""
    out: Path = Path("measured.yaml")
    """File to write; an existing file is left alone."""


@dataclass(frozen=True, kw_only=True)
class Doctor(Common):
    """What this machine offers: processor, threads, versions, kernels, disk.

    Example: ohmfield doctor --measure
    """

    measure: bool = False
    """Measure peak rate and bandwidth, and keep them as the roofline called "this machine"."""


@dataclass(frozen=True, kw_only=True)
class Chips:
    """List, show, check, start and calibrate chip descriptions."""

    action: (
        Annotated[ChipsList, subcommand("list")]
        | Annotated[ChipsShow, subcommand("show")]
        | Annotated[ChipsCheck, subcommand("check")]
        | Annotated[ChipsNew, subcommand("new")]
        | Annotated[ChipsCalibrate, subcommand("calibrate")]
    )


Command = (
    Annotated[Demo, subcommand("demo")]
    | Annotated[Fit, subcommand("fit")]
    | Annotated[Render, subcommand("render")]
    | Annotated[Deploy, subcommand("deploy")]
    | Annotated[Cost, subcommand("cost")]
    | Annotated[Report, subcommand("report")]
    | Annotated[Golden, subcommand("golden")]
    | Annotated[Chips, subcommand("chips")]
    | Annotated[Doctor, subcommand("doctor")]
)
