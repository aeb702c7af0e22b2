"""Every field of every kind of chip, with other values to try: what the no-free-knob tests walk over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ohmfield.chip.adders import ApproximateAdder
from ohmfield.chip.cells.resistive import Telegraph
from ohmfield.chip.cells.verify import Verify
from ohmfield.chip.chip import Chip
from ohmfield.chip.column_sums import ColumnSums
from ohmfield.chip.composition import ManyChips, Stacked
from ohmfield.chip.converters import ADCS
from ohmfield.chip.correction import PostCalibration
from ohmfield.chip.designs import with_values
from ohmfield.chip.files import load_chip
from ohmfield.chip.gating import PowerDomain
from ohmfield.chip.links import ChipLink, HybridBond, Mesh
from ohmfield.chip.memory import Dram
from ohmfield.chip.wires import Wires
from ohmfield.spec import build, to_plain, walk

CROSSBAR = "units.crossbar."
# Where a knob has another value that cannot be reached by a factor.
CHOICES: dict[str, list[Any]] = {
    "encoding": ["offset", "differential"],
    "sum_x": ["analog"],
    "accumulator_bits": [14],
    "overflow": ["wrap"],
    "readout": ["current", "time"],
    "capacitor_fF": [0.1],
    "multiply": ["discharge"],
    "chain_rows": [8],
    "subtract": ["digital"],
    "fraction_of": ["g_max", "target"],
    "rule": ["float", "truncated"],
    "gains": [(2.0,), (1.0, 2.0, 8.0)],
    "rows": [96, 300],
    "enob": [6.0],
    "step_levels": [0.5, 2.0, 8.0],
    "range": ["calibrated"],
    "offset_lsb_std": [0.5],
    "gain_std": [0.02],
    "inl": [(-0.6, 0.8, -0.7, 0.5)],
    "post_calibration": [PostCalibration()],
    "fit": ["offset"],
    "approximate": [ApproximateAdder(bits=4)],
    "signed": ["sign_magnitude", "sign_magnitude_two_pass"],
    "skip": ["zero_planes", "zero_bits"],
    "match": [],
    "unit": [],
    "boundary": ["system"],
    "model": ["hermes-2", "cmo-2"],
    "temperature_K": [305.0],
    "verify": [Verify(tolerance=0.005)],
    "telegraph": [Telegraph()],
    "correlation": ["vector"],
    "drift_exponent": [0.1],
    "activation_eV": [0.35],
    "compensate": [],  # of a chip with cells that do not drift; the drifting one is walked with it
    "where": ["digital"],
    "wires": [Wires(row_ohm=20.0, column_ohm=20.0)],
    "input_on": ["gate"],
    "idle_rows": ["grounded", "floating"],
    "nonlinearity_per_V": [8.0],
    "measured_column_sums": [ColumnSums(reads=1)],
    "reads": [1, 64],
    "standard": ["hbm3"],
    "pJ_per_bit": [5.0],
    "bandwidth_GBps": [100.0],
    "burst_bits": [4096],
    "idle_mW": [5.0],
    "points": [],  # one is chosen by `process.at`
    "order": [2],
    "components": [("buffer", "table_memory")],
    "network": [Mesh()],
    "stacked": [Stacked(link=HybridBond())],
    "many": [ManyChips(count=2, link=ChipLink())],
    "gating": [(PowerDomain(components=("buffer",)),)],
    "hops": [3.0],
    "port": ["isaac"],
    "mac_pJ": [5.0],
}


def others(path: str, value: Any) -> list[Any]:
    name = path.rpartition(".")[2]
    if name in CHOICES:
        return CHOICES[name]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [2 * value, value // 2, value + 1, value - 1]
    if isinstance(value, tuple):
        return [(*value, "a remark")]
    if isinstance(value, float):
        return [1.25 * value, 0.75 * value, 0.1]
    return ["something else"]


def changed(record: Any, path: list[str], value: Any) -> Any:
    return with_values(record, {".".join(path): value})


def effect(record: Any, path: str) -> str:
    *folders, last = path.split(".")
    for folder in folders:
        record = record[folder] if isinstance(record, dict) else getattr(record, folder)
    return type(record).__pydantic_fields__[last].json_schema_extra["effect"]


def knobs() -> Iterator[tuple[str, str]]:
    for name, added in ADDED.items():
        for path, _, _ in walk(CHIPS[name]):
            if path != "place" and path.startswith(added) and ELSEWHERE.get(path, name) == name:
                yield name, path


def load(name: str) -> Chip:
    """A preset with DRAM, and with arrays to spare for copies."""
    chip = load_chip(name)
    units = {key: replace(unit, num_arrays=1000) for key, unit in chip.units.items()}
    return replace(chip, dram=Dram(), units=units)


def with_crossbar(**parts: dict[str, Any]) -> Chip:
    """`rram-40nm` with parts of its crossbar changed."""
    plain = to_plain(load("rram-40nm"))
    for name, fields in parts.items():
        plain["units"]["crossbar"][name] |= fields
    return build(Chip, plain)


def approximate() -> Chip:
    """`dcim-28nm` with adders of four bits less."""
    plain = to_plain(load("dcim-28nm"))
    plain["units"]["digital_cim"]["approximate"] = {"bits": 4}
    return build(Chip, plain)


def two_bits() -> Chip:
    """`dcim-28nm` that multiplies two input bits a cycle."""
    plain = to_plain(load("dcim-28nm"))
    plain["units"]["digital_cim"]["input_bits_per_cycle"] = 2
    return build(Chip, plain)


def with_unit(kind: str, **fields: Any) -> Chip:
    """`dcim-28nm` with a digital unit of another kind."""
    plain = to_plain(load("dcim-28nm"))
    plain["units"] = {kind: {"kind": kind, "num_arrays": 1000, "max_copies": 4, **fields}}
    return build(Chip, plain)


def analog_sram() -> Chip:
    plain = to_plain(load("rram-40nm"))
    plain["units"]["crossbar"]["array"] |= {"cell_bits": 1, "read_voltage_V": 0.9, "encoding": "offset"}
    plain["units"]["crossbar"]["cell"] = {"kind": "sram", "g_min_uS": 10.0, "g_max_uS": 60.0}
    return build(Chip, plain)


def sharing_charge() -> Chip:
    """`analog sram` whose columns give the mean of capacitors small enough to be noisy."""
    plain = to_plain(analog_sram())
    plain["units"]["crossbar"]["array"]["readout"] = "charge_share"
    plain["units"]["crossbar"]["cell"]["capacitor_fF"] = 0.05
    return build(Chip, plain)


def pulsed() -> Chip:
    """`rram-40nm` driven by pulses two bits wide."""
    return with_crossbar(array={"readout": "time"}, dac={"bits": 2, "jitter": 0.02})


def measuring() -> Chip:
    """`rram-40nm` that reads what the zero points of inputs add; its rows are driven with one sign, so all have one."""
    plain = to_plain(with_crossbar(dac={"signed": "none"}))
    plain["units"]["crossbar"]["measured_column_sums"] = {"reads": 4, "inferences_between": 10.0}
    return build(Chip, plain)


def averaging() -> Chip:
    """`rram-40nm` whose columns float: their voltage is what is converted."""
    return with_crossbar(array={"readout": "voltage_average"})


def with_cell(encoding: Any = "differential", **cell: Any) -> Chip:
    """`rram-40nm` with another cell; an offset shows the pedestal of one that errs in nothing."""
    plain = to_plain(load("rram-40nm"))
    plain["units"]["crossbar"]["array"]["encoding"] = encoding
    plain["units"]["crossbar"]["cell"] = {"g_min_uS": 1.0, "g_max_uS": 12.0, **cell}
    return build(Chip, plain)


def composed() -> Chip:
    """`rram-40nm` with a network, its buffer on a tier above, four chips of it, and memories that are switched off."""
    plain = to_plain(load("rram-40nm"))
    plain["network"] = {"kind": "mesh", "hops": 2.0}
    plain["stacked"] = {"components": ["buffer"], "link": {"kind": "tsv"}}
    plain["many"] = {"count": 4, "link": {"kind": "chip-to-chip"}}
    plain["gating"] = [{"components": ["buffer", "adc"]}]
    plain["units"]["crossbar"]["num_arrays"] = 40
    return build(Chip, plain)


WARM = {"temperature_K": 310.0, "activation_eV": 0.3}


def drifting() -> Chip:
    """PCM read warm and compensated; at 10 uS all its models are measured."""
    plain = to_plain(with_cell(kind="pcm", **WARM | {"g_max_uS": 10.0}))
    plain["units"]["crossbar"]["compensate"] = {"where": "analog", "inferences_between": 10.0}
    return build(Chip, plain)


WIRES = {"row_ohm": 5.0, "column_ohm": 5.0, "driver_ohm": 50.0, "sense_ohm": 50.0, "idle_rows": "gated"}
CHIPS = {
    "rram-40nm": load("rram-40nm"),
    "dcim-28nm": load("dcim-28nm"),
    "composed": composed(),
    "analog sram": analog_sram(),
    "charge sharing": sharing_charge(),
    "pulses": pulsed(),
    "averaging": averaging(),
    "pcm": drifting(),
    "measured rram": with_cell(kind="rram-measured", **WARM | {"g_min_uS": 10.0, "g_max_uS": 40.0}),
    "sonos": with_cell(kind="sonos", **WARM),
    "fefet": with_cell(kind="fefet", verify={"tolerance": 0.05, "max_iterations": 3}, telegraph={}),
    "rom": with_cell("offset", kind="rom"),
    "rram with offset": with_crossbar(array={"encoding": "offset"}),
    "narrow sums": with_crossbar(array={"accumulator_bits": 14}),
    **{f"rram with {kind}": with_crossbar(adc={"kind": kind}) for kind in ADCS},
    "approximate dcim": approximate(),
    "dcim of two bits": two_bits(),
    "spatial": with_unit("spatial", banks=2),
    "hardwired": with_unit("hardwired", banks=4),
    "rram with wires": with_crossbar(array={"wires": WIRES, "columns": 64}),
    "rram with dead lines": with_crossbar(
        cell={"stuck_low_rate": 0.01},
        array={"dead_row_rate": 0.05, "dead_column_rate": 0.05, "spare_rows": 2, "spare_columns": 2},
    ),
    "zero points": with_crossbar(dac={"signed": "none"}),
    "column sums": measuring(),
    "corrected": with_crossbar(
        adc={
            "step_levels": 4.0,
            "gains": (1.0, 3.9),
            "offset_lsb_std": 0.4,
            "gain_std": 0.03,
            "post_calibration": {"bits": 8},
        }
    ),
}
# Fields that say something only beside others.
ELSEWHERE = {CROSSBAR + "adc." + name: "corrected" for name in ("columns_per_adc", "range")}
ELSEWHERE |= {CROSSBAR + f"array.spare_{lines}": "rram with dead lines" for lines in ("rows", "columns")}
ELSEWHERE[CROSSBAR + "array.sum_x"] = "rram with offset"
ELSEWHERE[CROSSBAR + "dac.jitter"] = "pulses"
ELSEWHERE[CROSSBAR + "array.factor_bits"] = "averaging"
ELSEWHERE[CROSSBAR + "cell.capacitor_fF"] = "charge sharing"
ELSEWHERE[CROSSBAR + "array.overflow"] = "narrow sums"
ELSEWHERE[CROSSBAR + "measured_column_sums"] = "zero points"
ZERO_POINTS = ("zero points", "column sums")  # chips whose models have inputs with one
ELSEWHERE[CROSSBAR + "cell.multiply"] = "analog sram"
ELSEWHERE["units.digital_cim.booth"] = "dcim of two bits"
# All of the first chip, and what each other one adds.
ADDED: dict[str, str | tuple[str, ...]] = dict.fromkeys(CHIPS, "units.crossbar.adc.") | {
    "rram-40nm": "",
    "dcim-28nm": "units.",
    "composed": ("network.", "stacked.", "many."),
    "analog sram": "units.crossbar.cell.",
    **dict.fromkeys(("measured rram", "sonos", "fefet", "rom"), "units.crossbar.cell."),
    "pulses": ("units.crossbar.array.readout", "units.crossbar.dac."),
    "averaging": (
        *("units.crossbar.array." + name for name in ("readout", "factor_bits", "rows_active", "subtract", "encoding")),
        *("units.crossbar.array." + name for name in ("cell_bits", "read_voltage_V", "accumulator_bits")),
        "units.crossbar.cell.",
        "units.crossbar.dac.signed",
        *("units.crossbar.adc." + name for name in ("bits", "enob", "step_levels", "gains", "inl", "gain_std")),
    ),
    "charge sharing": (
        *("units.crossbar.array." + name for name in ("readout", "rows_active", "read_voltage_V")),
        "units.crossbar.cell.",
    ),
    "pcm": ("units.crossbar.cell.", "units.crossbar.compensate."),
    "approximate dcim": "units.digital_cim.approximate.",
    "dcim of two bits": "units.digital_cim.booth",
    "spatial": "units.",
    "hardwired": "units.",
    "rram with wires": "units.crossbar.array.wires.",
    "rram with offset": "units.crossbar.array.sum_x",
    "narrow sums": "units.crossbar.array.overflow",
    "rram with dead lines": "units.crossbar.array.spare_",
    **dict.fromkeys(ZERO_POINTS, "units.crossbar.measured_column_sums"),
}
