"""No free knobs: on a workload that uses every part, whatever is declared to cost something moves the bill."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from knob_walk import CHIPS, CROSSBAR, changed, effect, knobs, others
from ohmfield.chip.cells.verify import Verify
from ohmfield.chip.chip import Chip
from ohmfield.chip.column_sums import ColumnSums
from ohmfield.chip.correction import PostCalibration
from ohmfield.cost.evaluate import evaluate
from ohmfield.mapping.place import place
from ohmfield.mapping.workload import Operator, Placement, Shapes, Workload
from ohmfield.spec import walk

# Two tables, one too large for the chip's memory; layers that need several groups and blocks; an unknown operation.
EVERYTHING = Workload(
    Shapes(
        (
            Operator("grid.address#0", "address", inputs=2, vectors=16, reads=64, function="hash"),
            Operator("grid.table#0", "table", outputs=2, rows=100_000, reads=64),
            Operator("wide.table#0", "table", outputs=2, rows=10_000_000, reads=64),
            Operator("grid.interpolate#0", "interpolate", inputs=2, outputs=2, vectors=16, reads=64),
            Operator("first#0", "linear", inputs=32, outputs=300),
            Operator("sine#0", "activation", outputs=300, function="sine"),
            Operator("middle#0", "linear", inputs=300, outputs=300),
            Operator("last#0", "linear", inputs=300, outputs=70),
            Operator("odd#0", "host", flops=100.0, bytes=10.0),
            Operator("copy#0", "host", flops=1.0, bytes=1000.0),
        )
    ),
    items=10_000,
)


def placed(chip: Chip) -> Placement:
    """Everything on the chip, inputs of one layer with a zero point."""
    return replace(place(EVERYTHING.shapes, chip), zero_points=frozenset({"middle"}))


def figures(chip: Chip) -> np.ndarray:
    """Everything the bill says in numbers."""
    bill = evaluate(chip, EVERYTHING, placed(chip))
    arrays = (bill.energy_pJ, bill.latency_ns, bill.fill_ns, bill.interval_ns, bill.area_um2, bill.leakage_uW)
    return np.concatenate([array.ravel() for array in arrays])


# What improves the picture: a worse value, a better one.
BETTER: list[tuple[str, Any, Any]] = [
    (CROSSBAR + "array.rows_active", 128, 64),
    (CROSSBAR + "array.rows_active", 64, 32),
    (CROSSBAR + "array.cell_bits", 2, 1),
    (CROSSBAR + "array.accumulator_bits", 14, 16),
    (CROSSBAR + "array.spare_rows", 0, 1),
    (CROSSBAR + "array.spare_columns", 0, 1),
    (CROSSBAR + "array.spare_columns", 4, 8),
    (CROSSBAR + "array.factor_bits", 6, 8),
    (CROSSBAR + "array.factor_bits", None, 6),
    (CROSSBAR + "array.read_voltage_V", 0.2, 0.3),
    (CROSSBAR + "array.read_ns", 10.0, 15.0),
    (CROSSBAR + "cell.g_max_uS", 60.0, 90.0),
    (CROSSBAR + "cell.program_fraction", 0.02, 0.01),
    (CROSSBAR + "cell.read_fraction", 0.004, 0.002),
    (CROSSBAR + "cell.read_fraction", 0.001, 0.0),
    *((CROSSBAR + "array.wires." + line, 2.0, 0.5) for line in ("row_ohm", "column_ohm")),
    *((CROSSBAR + "array.wires." + end, 80.0, 40.0) for end in ("driver_ohm", "sense_ohm")),
    (CROSSBAR + "cell.verify", None, Verify(tolerance=0.01)),
    (CROSSBAR + "cell.verify", Verify(tolerance=0.01), Verify(tolerance=0.005)),
    (CROSSBAR + "dac.bits", 2, 1),
    (CROSSBAR + "dac.jitter", 0.02, 0.01),
    (CROSSBAR + "dac.skip", "none", "zero_planes"),  # fewer conversions, less noise
    (CROSSBAR + "adc.bits", 7, 8),
    (CROSSBAR + "adc.enob", 6.0, 6.8),
    (CROSSBAR + "adc.gains", (1.0,), (1.0, 2.0)),
    (CROSSBAR + "adc.range", "hardware", "calibrated"),
    (CROSSBAR + "adc.offset_lsb_std", 0.5, 0.25),
    (CROSSBAR + "adc.gain_std", 0.02, 0.01),
    (CROSSBAR + "adc.post_calibration", None, PostCalibration(fit="offset")),
    (CROSSBAR + "adc.post_calibration", PostCalibration(fit="offset"), PostCalibration()),
    (CROSSBAR + "adc.post_calibration", PostCalibration(bits=6), PostCalibration(bits=8)),
    (CROSSBAR + "measured_column_sums", None, ColumnSums()),
    (CROSSBAR + "measured_column_sums", ColumnSums(reads=1), ColumnSums(reads=2)),
    *((CROSSBAR + "adc.step_levels", 2.0**power, 2.0 ** (power - 1)) for power in (1, 0, -1, -2)),
    ("requantiser.rule", "power_of_two", "dyadic"),
    ("requantiser.rule", "dyadic", "float"),
    ("requantiser.multiplier_bits", 8, 16),
    ("requantiser.word_bits", 12, 16),
    ("activation.word_bits", 12, 16),
    ("activation.table_bits", 6, 8),
    ("gather.coordinate_bits", 12, 16),
    ("gather.weight_bits", 6, 8),
    ("gather.table_bits", 6, 8),
    ("gather.feature_bits", 10, 12),
]
# Neither value is the better one for the picture, or the device and not the designer sets it.
NEUTRAL = {
    CROSSBAR + "max_copies",  # other draws of the same errors
    CROSSBAR + "array.rows",  # where row groups end
    CROSSBAR + "array.readout",  # of other cells
    CROSSBAR + "array.encoding",
    CROSSBAR + "array.subtract",
    CROSSBAR + "array.wires",  # whether resistance is modelled at all
    CROSSBAR + "array.wires.input_on",
    CROSSBAR + "array.wires.idle_rows",
    CROSSBAR + "dac.signed",
    CROSSBAR + "adc.columns_per_adc",  # who shares a converter's mismatch
    CROSSBAR + "array.sum_x",  # exact, or with an error
    CROSSBAR + "array.overflow",
    CROSSBAR + "cell.fraction_of",  # what a fraction means
    CROSSBAR + "cell.g_min_uS",  # the device's
    CROSSBAR + "compensate",  # changes nothing where nothing drifts; its cost is a test of its own
}


@pytest.mark.parametrize(("name", "path"), list(knobs()), ids=lambda text: str(text))
def test_a_knob_moves_the_bill_if_and_only_if_it_is_declared_to(name, path):
    chip = CHIPS[name]
    before, value = figures(chip), next(v for where, v, _ in walk(chip) if where == path)
    moved = tried = False
    for candidate in others(path, value):
        try:
            other = changed(chip, path.split("."), candidate)
        except ValueError:
            continue  # this record does not allow it
        tried = True
        moved = moved or not np.array_equal(figures(other), before)
    assert tried or not others(path, value)
    assert moved == (tried and effect(chip, path) in ("both", "cost"))


@pytest.mark.parametrize(("path", "worse", "better"), BETTER, ids=lambda value: str(value))
def test_a_better_picture_costs_more_energy_area_or_time(path, worse, better):
    special = {".wires.": "rram with wires", "dac.jitter": "pulses", "array.factor_bits": "averaging"}
    chip = CHIPS[next((name for part, name in special.items() if part in path), "rram-40nm")]
    cheap, dear = (
        evaluate(other, EVERYTHING, placed(other))
        for other in (changed(chip, path.split("."), value) for value in (worse, better))
    )
    totals = [
        (bill.energy_mJ[1], bill.area_mm2[1], bill.latency_ms[1], float(bill.interval_ns[1, 0]))
        for bill in (cheap, dear)
    ]
    assert any(after > before * (1 + 1e-9) for before, after in zip(*totals, strict=True))


def test_every_knob_of_the_picture_is_among_the_improvements_or_neutral():
    both = {
        path
        for chip in (CHIPS["rram-40nm"], CHIPS["rram with wires"])
        for path, _, _ in walk(chip)
        if path != "place" and effect(chip, path) == "both"
    }
    assert both == {path for path, _, _ in BETTER} | NEUTRAL


def test_a_zero_point_of_inputs_costs_an_adder_and_its_work():
    chip = CHIPS["rram-40nm"]
    bare = place(EVERYTHING.shapes, chip)
    none, one, two = (
        evaluate(chip, EVERYTHING, replace(bare, zero_points=frozenset(paths)))
        for paths in ((), ("middle",), ("middle", "last"))
    )
    assert one.area_mm2[1] > none.area_mm2[1]
    assert two.area_mm2[1] == one.area_mm2[1]
    assert two.energy_mJ[1] > one.energy_mJ[1] > none.energy_mJ[1]
