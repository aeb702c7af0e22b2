"""Runs CrossSim on small layers and stores every code of its converters.

    PYTHON tests/validation/peers/crosssim_vectors.py [tests/validation/peers/crosssim.npz]

PYTHON is an interpreter that has CrossSim 3.2.0 (https://github.com/sandialabs/cross-sim) and NumPy; neither this
package nor its other requirements need be there. Each configuration runs twice: as CrossSim rounds (`rint`, halves to
even, though most of its sums are thirds or fifteenths of a current, so that floating point decides), and with every
range moved down by `NUDGE` of a step, so that what lies exactly between two codes goes up.
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

VERSION = "3.2.0"
NUDGE = 1e-6  # of a step: far above what double precision leaves of a sum, far below one grid point of any sum here


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One layer and how it is read, in our words. A step is in cell levels times digits."""

    name: str
    core: str = "BITSLICED"  # BITSLICED, BALANCED or OFFSET: CrossSim's core.style
    encoding: str = "differential"
    subtract: str = "analog"
    weight_bits: int = 8
    cell_bits: int = 2
    input_bits: int = 8
    dac_bits: int = 1
    sign_magnitude: bool = False  # inputs; else unsigned
    adc_bits: int = 8
    step: float = 4.0
    rows: int = 64
    rows_active: int = 64
    outputs: int = 8
    vectors: int = 6
    on_off: float = 0.0  # ratio of g_max to g_min; 0: infinite
    cell_error: float = 0.0  # sd of what is added to each conductance, in levels; rounded to 1 / grid level
    grid: int = 1
    program_error: float = 0.0  # sd of CrossSim's own programming error, of g_max; conductances lie on no grid then

    @property
    def slices(self) -> int:
        """Cells of one side of a weight."""
        stored = self.weight_bits - 1 if self.encoding == "differential" else self.weight_bits
        return -(-stored // self.cell_bits)

    @property
    def planes(self) -> int:
        """Digits of one input."""
        magnitude = self.input_bits - 1 if self.sign_magnitude else self.input_bits
        return -(-magnitude // self.dac_bits)

    @property
    def signed_codes(self) -> bool:
        """Whether conversions are signed."""
        return (self.encoding == "differential" and self.subtract == "analog") or self.sign_magnitude


SETUPS = (
    Setup(name="pairs, 2-bit cells, serial, 8-bit ADC", step=1.0),
    Setup(name="pairs, 2-bit cells, serial, 6-bit ADC", adc_bits=6, step=4.0),
    Setup(name="pairs, 2-bit cells, serial, 4-bit ADC, clips", adc_bits=4, step=2.0),
    Setup(name="pairs, 1-bit cells, serial, 5-bit ADC", cell_bits=1, adc_bits=5, step=2.0, vectors=4),
    Setup(name="pairs, 4-bit cells, serial, 8-bit ADC", cell_bits=4, step=1.0),
    Setup(name="pairs, two row groups, 7-bit ADC", adc_bits=7, step=2.0, rows=128, outputs=6),
    Setup(name="pairs, digital subtraction, 8-bit ADC", subtract="digital", step=1.0, vectors=4),
    Setup(name="pairs, digital subtraction, 4-bit ADC, clips", subtract="digital", adc_bits=4, step=2.0, vectors=4),
    Setup(name="pairs, 2-bit DAC, 8-bit ADC", dac_bits=2, step=4.0),
    Setup(name="pairs, 4-bit DAC, 8-bit ADC, clips", dac_bits=4, step=2.0),
    Setup(name="pairs, parallel 8-bit DAC, 6-bit ADC, clips", dac_bits=8, adc_bits=6, step=64.0, vectors=16),
    Setup(name="pairs, sign-magnitude inputs, 6-bit ADC", sign_magnitude=True, adc_bits=6, step=4.0),
    Setup(name="pairs, sign-magnitude, 4-bit DAC, 8-bit ADC, clips", sign_magnitude=True, input_bits=9, dac_bits=4,
          step=2.0),
    Setup(name="offset, 2-bit cells, serial, 8-bit ADC", encoding="offset", step=1.0),
    Setup(name="offset, 4-bit cells, serial, 6-bit ADC, clips", encoding="offset", cell_bits=4, adc_bits=6, step=4.0),
    Setup(name="offset, 1-bit cells, serial, 4-bit ADC, clips", encoding="offset", cell_bits=1, adc_bits=4, step=1.0,
          vectors=3),
    Setup(name="offset, on/off ratio 7, 8-bit ADC", encoding="offset", on_off=7.0, step=2.0),
    Setup(name="one pair of 4-bit cells, 2-bit DAC, 7-bit ADC", core="BALANCED", weight_bits=5, cell_bits=4, dac_bits=2,
          adc_bits=7, step=16.0, vectors=12),
    Setup(name="one offset cell of 4 bits, serial, 7-bit ADC, clips", core="OFFSET", encoding="offset", weight_bits=4,
          cell_bits=4, adc_bits=7, step=2.0, vectors=12),
    Setup(name="pairs, cells off by 0.1 level, 6-bit ADC", adc_bits=6, step=2.0, cell_error=0.1, grid=64),
    Setup(name="digital subtraction, on/off ratio 10, cells off by 0.1 level", subtract="digital", on_off=10.0,
          adc_bits=6, step=4.0, cell_error=0.1, grid=64, vectors=4),
    Setup(name="pairs, programmed by CrossSim, 2 % of g_max", step=1.0, program_error=0.02, outputs=16),
)  # fmt: skip


def parameters(setup: Setup, nudge: float) -> Any:
    """CrossSim's parameters for `setup`; converter ranges lie `nudge` steps lower."""
    enums = importlib.import_module("simulator.parameters.core_parameters")
    ranges = importlib.import_module("simulator.parameters.xbar_parameters")
    params = importlib.import_module("simulator").CrossSimParameters()
    core, xbar = params.core, params.xbar
    core.style = enums.CoreStyle[setup.core]
    core.weight_bits = setup.weight_bits
    core.rows_max = setup.rows_active
    core.balanced.style = enums.BalancedCoreStyle.ONE_SIDED
    core.balanced.subtract_current_in_xbar = setup.subtract == "analog"
    core.offset.style = enums.OffsetCoreStyle.DIGITAL_OFFSET
    if setup.core == "BITSLICED":
        bit_sliced = enums.BitSlicedCoreStyle
        core.bit_sliced.style = bit_sliced.BALANCED if setup.encoding == "differential" else bit_sliced.OFFSET
        core.bit_sliced.num_slices = setup.slices
    largest = 2 ** (setup.weight_bits - 1) - 1
    core.mapping.weights.percentile = None
    core.mapping.weights.min, core.mapping.weights.max = -float(largest), float(largest)
    high = float(2 ** (setup.input_bits - 1) - 1 if setup.sign_magnitude else 2**setup.input_bits - 1)
    core.mapping.inputs.mvm.min = -high if setup.sign_magnitude else 0.0
    core.mapping.inputs.mvm.max = high
    xbar.device.cell_bits = setup.cell_bits
    xbar.device.infinite_on_off_ratio = setup.on_off == 0.0
    xbar.device.Rmin, xbar.device.Rmax = 1e4, 1e4 * (setup.on_off or 1e3)
    if setup.program_error:
        error = xbar.device.programming_error
        error.enable, error.model, error.magnitude = True, "NormalIndependentDevice", setup.program_error
    dac = xbar.dac.mvm
    dac.model = "SignMagnitudeDAC" if setup.sign_magnitude else "QuantizerDAC"
    dac.bits, dac.signed = setup.input_bits, setup.sign_magnitude
    dac.input_bitslicing, dac.slice_size = setup.planes > 1, setup.dac_bits
    xbar.adc.mvm.model = "QuantizerADC"  # exchanges the record it is set on
    adc = xbar.adc.mvm
    adc.bits, adc.signed = setup.adc_bits, setup.signed_codes
    adc.adc_per_ibit = setup.planes > 1
    adc.adc_range_option = ranges.ADCRangeLimits.CALIBRATED
    low = -(2 ** (setup.adc_bits - 1)) if setup.signed_codes else 0
    step = setup.step * unit_of(setup)
    bounds = [(low - nudge) * step, (low + 2**setup.adc_bits - 1 - nudge) * step]
    adc.calibrated_range = [bounds] * setup.slices if setup.core == "BITSLICED" else bounds
    return params


def unit_of(setup: Setup) -> float:
    """What one cell level driven by one unit of a digit adds to a column, in CrossSim's normalised currents."""
    span = 1.0 - (1.0 / setup.on_off if setup.on_off else 0.0)
    return span / ((2**setup.cell_bits - 1) * (2**setup.dac_bits - 1))


def numeric_cores(core: Any) -> list[list[Any]]:
    """CrossSim's arrays by slice and side."""
    if hasattr(core, "core_slices"):
        return core.core_slices
    return [[core.core_pos, core.core_neg]] if hasattr(core, "core_pos") else [[core.core]]


def grid_levels(setup: Setup, conductance: np.ndarray) -> np.ndarray:
    """Normalised conductances [outputs, rows] in 1 / grid level above g_min; whole, unless CrossSim drew errors."""
    low = 1.0 / setup.on_off if setup.on_off else 0.0
    levels = (conductance - low) / (1.0 - low) * (2**setup.cell_bits - 1) * setup.grid
    return levels.astype(np.float32) if setup.program_error else np.rint(levels).astype(np.int16)


def run(setup: Setup, weights: np.ndarray, inputs: np.ndarray, error: np.ndarray, nudge: float) -> dict[str, Any]:
    """Levels [rows, slices, sides, outputs], codes [groups, banks, planes, vectors, outputs] and the outputs."""
    module = importlib.import_module("simulator.circuits.adc.quantizer_adc")
    np.random.seed(1)  # CrossSim draws from the global generator
    matrix = importlib.import_module("simulator").AnalogCore(weights.astype(np.float64), parameters(setup, nudge))
    cores = [core for row in matrix.cores for core in row]
    low, top = (1.0 / setup.on_off if setup.on_off else 0.0), 2**setup.cell_bits - 1
    stored = []
    for group, core in enumerate(cores):
        arrays = numeric_cores(core)
        for number, sides in enumerate(arrays):
            for side, array in enumerate(sides):
                # The same conductances for both, to the last bit (CrossSim keeps some in single precision).
                rows = slice(group * setup.rows_active, group * setup.rows_active + array.matrix.shape[1])
                levels = np.maximum(grid_levels(setup, array.matrix) + error[rows, number, side].T, 0)
                array.matrix = low + levels.astype(np.float64) / setup.grid / top * (1.0 - low)
        stored.append([[grid_levels(setup, array.matrix).T for array in sides] for sides in arrays])
        if getattr(core, "W_balanced", None) is not None:
            pairs = [positive.matrix - negative.matrix for positive, negative in arrays]
            core.W_balanced = pairs if hasattr(core, "core_slices") else pairs[0]
    made: list[np.ndarray] = []
    plain = module.QuantizerADC.convert

    def recorded(self: Any, vector: np.ndarray) -> np.ndarray:
        out = plain(self, vector)
        codes = out / (setup.step * unit_of(setup)) + nudge
        made.append(np.rint(codes))
        assert np.abs(codes - made[-1]).max() < 1e-6
        return out

    module.QuantizerADC.convert = recorded
    try:
        outputs = matrix @ inputs.T.astype(np.float64)
    finally:
        module.QuantizerADC.convert = plain
    sides = 2 if setup.encoding == "differential" and setup.subtract == "digital" else 1
    # CrossSim converts plane by plane, in each its slices, in each its sides.
    codes = np.stack(made).reshape(len(cores), setup.planes, setup.slices * sides, setup.outputs, setup.vectors)
    return {
        "levels": np.concatenate([np.array(group).transpose(2, 0, 1, 3) for group in stored]),
        "codes": codes.transpose(0, 2, 1, 4, 3).astype(np.int16),
        "outputs": outputs.T,
    }


def main() -> None:
    """Writes the file."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("crosssim.npz")
    arrays: dict[str, np.ndarray] = {}
    for number, setup in enumerate(SETUPS):
        rng = np.random.default_rng(number)
        largest = 2 ** (setup.weight_bits - 1) - 1
        weights = np.clip(np.rint(rng.normal(scale=0.4 * largest, size=(setup.outputs, setup.rows))), -largest, largest)
        high = 2 ** (setup.input_bits - 1) - 1 if setup.sign_magnitude else 2**setup.input_bits - 1
        inputs = rng.integers(-high if setup.sign_magnitude else 0, high + 1, size=(setup.vectors, setup.rows))
        sides = 2 if setup.encoding == "differential" else 1
        shape = (setup.rows, setup.slices, sides, setup.outputs)
        error = np.rint(rng.normal(scale=setup.cell_error * setup.grid, size=shape)).astype(np.int16)
        even = run(setup, weights, inputs, error, 0.0)
        up = run(setup, weights, inputs, error, NUDGE)
        assert np.array_equal(even["levels"], up["levels"])
        own = {
            "weights": weights.astype(np.int16),
            "inputs": inputs.astype(np.int16),
            "levels": even["levels"],
            "codes_up": up["codes"],
            "less_as_shipped": (up["codes"] - even["codes"]).astype(np.int8),
            "outputs_up": up["outputs"],
        }
        arrays.update({f"{number}:{key}": value for key, value in own.items()})
    about = {"crosssim": VERSION, "numpy": np.__version__, "nudge": NUDGE, "setups": [asdict(one) for one in SETUPS]}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    np.savez_compressed(target, allow_pickle=False, **arrays)
    for number, setup in enumerate(SETUPS):
        moved = int((arrays[f"{number}:less_as_shipped"] != 0).sum())
        print(f"{setup.name}: {arrays[f'{number}:codes_up'].size} codes, {moved} as shipped one lower")  # noqa: T201
    print(f"{target}: {target.stat().st_size} bytes")  # noqa: T201


if __name__ == "__main__":
    main()
