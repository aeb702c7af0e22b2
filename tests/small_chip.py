"""A small chip for tests, any part exchanged; and one product through the whole path: record, instance, kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from ohmfield._kernels.crossbar import reference
from ohmfield.chip.array import Array
from ohmfield.chip.baseline import Roofline
from ohmfield.chip.cells import IdealCell
from ohmfield.chip.cells.base import Cell
from ohmfield.chip.chip import Chip
from ohmfield.chip.converters import SarAdc
from ohmfield.chip.dac import Dac
from ohmfield.chip.digital import ActivationUnit, GatherUnit, Requantiser
from ohmfield.chip.fixed import Word
from ohmfield.chip.memory import Sram
from ohmfield.chip.process import Process
from ohmfield.chip.units import Crossbar, Unit
from ohmfield.compress.quantise import fit_grid
from ohmfield.mapping.slice import weight_range
from ohmfield.mapping.tile import tile
from ohmfield.mapping.workload import Operator
from ohmfield.numerics import Grid
from ohmfield.simulate.choose import product_of
from ohmfield.simulate.conversion import Causes
from ohmfield.simulate.formats import LinearFormat
from ohmfield.simulate.layers import ChipLinear
from ohmfield.simulate.plan import LayerPlan
from ohmfield.simulate.products import CrossbarProduct, Product
from ohmfield.simulate.programmed import StoredLayer
from ohmfield.simulate.writing import program_layer


def crossbar(
    cell: Cell | None = None, *, copies: int = 1, dac_bits: int = 1, array: Any = None, adc: Any = None, dac: Any = None
) -> Crossbar:
    return Crossbar(
        cell=cell or IdealCell(),
        array=Array(**(array or {})),
        dac=Dac(**{"bits": dac_bits, **(dac or {})}),
        adc=SarAdc(**(adc or {})),
        max_copies=copies,
        num_arrays=64,
    )


def small_chip(unit: Unit | None = None, **changes: Any) -> Chip:
    parts: dict[str, Any] = {
        "name": "small",
        "source": "tests",
        "process": Process(node_nm=40, supply_V=1.0, clock_GHz=0.2),
        "units": {"unit": unit or crossbar()},
        "requantiser": Requantiser(),
        "activation": ActivationUnit(),
        "gather": GatherUnit(),
        "table_memory": Sram(kilobytes=512.0),
        "buffer": Sram(),
        "host": Roofline(name="host", source="tests", peak_GFLOPs=1, bandwidth_GBps=1, idle_W=0.1, busy_W=1),
    }
    return Chip(**{**parts, **changes})


def plan_for(
    weights: np.ndarray,
    chip: Chip,
    *,
    signed_input: bool = False,
    input_bits: int = 8,
    weight_bits: int = 8,
    copies: int = 1,
    input_zero: int = 0,
) -> LayerPlan:
    outputs, inputs = weights.shape
    unit = chip.units["unit"]
    if isinstance(unit, Crossbar):
        weight_bits = unit.array.written.weight_bits or weight_bits
    operator = Operator("layer#0", "linear", inputs=inputs, outputs=outputs)
    starts = tile(operator, unit, weight_bits).starts
    return LayerPlan("layer", "unit", weight_bits, input_bits, signed_input, starts, copies, input_zero=input_zero)


def made(
    weights: np.ndarray,
    unit: Crossbar,
    *,
    causes: Causes | None = None,
    seed: int = 0,
    gain: float = 1.0,
    elapsed_s: float = 0.0,
    **plan: Any,
) -> tuple[Product, StoredLayer]:
    """The product of integer `weights` [outputs, inputs] on one drawn instance, and what it stores."""
    chip = small_chip(unit)
    layer_plan = plan_for(weights, chip, **plan)
    banks = unit.array.conversions_per_weight(layer_plan.weight_bits)
    stored = program_layer(weights, layer_plan, chip, seed, (gain,) * banks)
    return product_of(stored, layer_plan, chip, causes or Causes(), seed, elapsed_s), stored


def outputs_of(product: Product, inputs: np.ndarray, first: int = 0) -> np.ndarray:
    """Outputs in cell levels times input units."""
    out, _ = product.run(inputs.astype(np.int32), first)
    return out * product.step


def linear_on(unit: Unit, *, zero: int = 0, programmed: bool = False) -> tuple[ChipLinear, torch.Tensor]:
    """A converted 40 -> 6 layer in eval mode and inputs that use its input codes."""
    generator = torch.Generator().manual_seed(5)
    plain = nn.Linear(40, 6)
    with torch.no_grad():
        plain.weight.copy_(torch.randn(6, 40, generator=generator) * 0.2)
        assert plain.bias is not None
        plain.bias.copy_(torch.randn(6, generator=generator) * 0.1)
    chip = small_chip(unit)
    form = LinearFormat(
        fit_grid(plain.weight, 8, per_channel=True, symmetric=True),
        8,
        Grid(bits=8, signed=False, scale=2.0**-6, zero=zero),
        Word(16, 10),
    )
    codes = form.weight.codes(plain.weight.detach()).numpy()
    layer = ChipLinear("layer", plain.weight, plain.bias, form, plan_for(codes, chip, input_zero=zero), chip).eval()
    if programmed:
        stored = program_layer(layer.weight_codes().numpy(), layer.plan, chip, seed=1)
        layer.product = product_of(stored, layer.plan, chip, Causes(), seed=1)
    return layer, torch.rand(50, 40, generator=generator) * 4.0 - zero * 2.0**-6


def reference_output(product: CrossbarProduct, inputs: np.ndarray) -> np.ndarray:
    """Outputs of the first copy in cell levels by the plain reference; the fast product must agree."""
    plain, _ = reference(product.copies[0], inputs)
    if product.sums:
        levels, _ = product.sums.levels(inputs, 0, product.noise, 0)
        plain -= np.floor(levels / product.step + 0.5).astype(np.int64)
    assert np.array_equal(product.run(inputs.astype(np.int32), 0)[0], plain)
    return plain * product.step


def random_weights(unit: Crossbar, seed: int, *shape: int, weight_bits: int = 8) -> np.ndarray:
    """Codes that the encoding of `unit` holds, its most negative one included."""
    low, high = weight_range(unit.array, unit.array.written.weight_bits or weight_bits)
    codes = random_codes(seed, low, high, *shape)
    return np.where(codes == 0, 1, codes) if unit.array.encoding == "xnor" else codes


def random_codes(seed: int, low: int, high: int, *shape: int) -> np.ndarray:
    return torch.randint(low, high + 1, shape, generator=torch.Generator().manual_seed(seed)).numpy()
