"""A whole field converted: nothing changed is nothing changed, nothing is bypassed, integers agree to the last bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from torch import nn

from ohmfield.chip.cells import PcmCell, RramCell
from ohmfield.chip.chip import Chip
from ohmfield.chip.digital import GatherUnit, Requantiser
from ohmfield.chip.units import DigitalCim
from ohmfield.fields.decoders import Quad
from ohmfield.fields.field import Field
from ohmfield.fields.presets import build
from ohmfield.mapping.place import place
from ohmfield.mapping.trace import trace
from ohmfield.simulate.calibrate import choose_gains, histograms
from ohmfield.simulate.conversion import Causes
from ohmfield.simulate.convert import convert, convert_unchanged
from ohmfield.simulate.formats import choose_formats
from ohmfield.simulate.integer import fake_quantised_forward, integer_forward
from ohmfield.simulate.layers import ChipActivation, ChipInterpolate, ChipLinear, ChipTable
from ohmfield.simulate.products import CrossbarProduct
from ohmfield.simulate.programmed import Programmed
from ohmfield.simulate.run import install, predict, program
from ohmfield.spec import InputError
from ohmfield.tally import Tally
from small_chip import crossbar, small_chip

COORDS = torch.rand(3000, 2, generator=torch.Generator().manual_seed(1))


def hash_field(**arguments) -> Field:
    field = build("hash", num_levels=4, log2_table=10, width=24, **arguments)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        table = field.get_parameter("encoding.table.weight")
        table.copy_(torch.randn(table.shape, generator=generator) * 0.2)
    return field.eval()


def zeros(_: nn.Module, inputs: object, out: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(out)


def converted(field: nn.Module, chip: Chip, bits: int = 8) -> nn.Module:
    placement = place(trace(field, COORDS[:16]), chip, bits, bits)
    return convert(field, chip, placement, choose_formats(field, chip, placement, COORDS))


NOISY = crossbar(
    RramCell(program_fraction=0.03, read_fraction=0.02, g_min_uS=5.0),
    adc={"bits": 8, "gains": (1.0, 2.0, 4.0), "enob": 7.5, "step_levels": 1.0},
)


def test_conversion_with_nothing_changed_equals_the_fused_forward() -> None:
    field = hash_field()
    with torch.no_grad():
        assert (convert_unchanged(field)(COORDS) - field(COORDS)).abs().max() <= 1e-5


@pytest.mark.parametrize("kind", [ChipLinear, ChipActivation, ChipTable, ChipInterpolate])
def test_no_converted_layer_is_bypassed(kind: type[nn.Module]) -> None:
    module = converted(hash_field(), small_chip())
    before = predict(module, COORDS)
    layers = [child for child in module.modules() if isinstance(child, kind)]
    assert layers
    for layer in layers:
        handle = layer.register_forward_hook(zeros)
        assert not torch.equal(predict(module, COORDS), before)
        handle.remove()
    assert torch.equal(predict(module, COORDS), before)


def test_every_layer_counts_under_its_declared_id() -> None:
    field, chip = hash_field(), small_chip(NOISY)
    module = converted(field, chip)
    install(module, chip, program(module, chip))
    tally = Tally()
    with tally.listen():
        predict(module, COORDS, chunk=1024)
    declared = {operator.id for operator in trace(field, COORDS[:16]).operators}
    assert set(tally.counts) == declared
    assert tally["encoding.table#0"]["reads"] == 3000 * 4 * 4
    assert tally["decoder.layers.0#0"]["vectors"] == 3000


@pytest.mark.parametrize("rule", ["dyadic", "float", "power_of_two"])
@pytest.mark.parametrize("activation", ["relu", "quad"])
def test_ideal_chip_equals_the_integer_forward(rule, activation: str) -> None:
    field = hash_field()
    if activation == "quad":
        field.decoder.activations = nn.ModuleList(Quad(4.0) for _ in field.decoder.activations)
    for unit in (DigitalCim(), crossbar(adc={"bits": 12, "step_levels": 1.0})):
        chip = small_chip(unit, requantiser=Requantiser(rule=rule))
        module = converted(field, chip)
        install(module, chip, program(module, chip))
        assert isinstance(module, Field)
        codes, word = integer_forward(module, COORDS)
        assert torch.equal(predict(module, COORDS, chunk=700), word.values(codes))
        with torch.no_grad():
            fake = torch.floor(fake_quantised_forward(module, COORDS) * 255 + 0.5)
        differing = (fake != torch.floor(word.values(codes) * 255 + 0.5)).float().mean()
        assert differing <= (1e-2 if activation == "relu" else 1e-1)  # the untrained parabola amplifies what flips


@pytest.mark.parametrize(("encoding", "bits"), [("xnor", 1), ("two_level", 1), ("ternary", 2), ("column_flip", 4)])
@pytest.mark.parametrize("sum_x", ["digital", "analog"])
def test_other_encodings_equal_the_integer_forward_too(encoding: str, bits: int, sum_x: str) -> None:
    field = hash_field()
    array = {"encoding": encoding, "cell_bits": 1, "sum_x": sum_x}
    chip = small_chip(crossbar(RramCell(program_fraction=1e-9), array=array, adc={"bits": 12, "step_levels": 1.0}))
    placement = place(trace(field, COORDS[:16]), chip, bits, 8)
    module = convert(field, chip, placement, choose_formats(field, chip, placement, COORDS))
    install(module, chip, program(module, chip))
    assert isinstance(module, Field)
    assert isinstance(next(c for c in module.modules() if isinstance(c, ChipLinear)).product, CrossbarProduct)
    codes, word = integer_forward(module, COORDS[:200])
    assert torch.equal(predict(module, COORDS[:200]), word.values(codes))


def test_same_seed_same_bits_and_other_seed_other_errors() -> None:
    chip = small_chip(NOISY)
    module = converted(hash_field(), chip)
    pictures = []
    for seed in (1, 1, 2):
        install(module, chip, program(module, chip, seed=seed))
        pictures.append(predict(module, COORDS, chunk=700 if len(pictures) == 1 else 3000))
    assert torch.equal(pictures[0], pictures[1])  # whatever the chunk
    assert not torch.equal(pictures[0], pictures[2])


def test_an_instance_is_saved_and_read_back(tmp_path: Path) -> None:
    chip = small_chip(NOISY)
    module = converted(hash_field(), chip)
    drawn = program(module, chip, seed=4)
    drawn.save(tmp_path / "chip.safetensors")
    again = Programmed.load(tmp_path / "chip.safetensors")
    first = predict(install(module, chip, drawn), COORDS)
    assert torch.equal(predict(install(module, chip, again), COORDS), first)
    (tmp_path / "chip.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a saved chip instance"):
        Programmed.load(tmp_path / "chip.safetensors")


def test_failed_save_leaves_nothing(tmp_path: Path) -> None:
    drawn = program(converted(hash_field(), small_chip()), small_chip())
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        drawn.save(tmp_path / "file" / "chip.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "facts", [[], 3, {}, {"format": 2}, {"format": 1}, {"format": 1, "gains": [1]}, {"format": 1, "gains": {"a": 1}}]
)
def test_an_instance_with_damaged_facts_is_refused(tmp_path: Path, facts: object) -> None:
    path = tmp_path / "chip.safetensors"
    path.write_bytes(save({"a:codes": np.zeros((2, 2), np.int32)}, metadata={"programmed": json.dumps(facts)}))
    with pytest.raises(InputError, match=r"chip\.safetensors"):
        Programmed.load(path)


def test_drift_ages_the_instance() -> None:
    chip = small_chip(crossbar(PcmCell(drift_exponent=0.05)))
    module = converted(hash_field(), chip)
    drawn = program(module, chip)
    fresh = predict(install(module, chip, drawn), COORDS)
    old = predict(install(module, chip, drawn.aged(1e6)), COORDS)
    assert torch.equal(predict(install(module, chip, drawn.aged(0.0)), COORDS), fresh)
    assert not torch.equal(old, fresh)


@pytest.mark.parametrize("rule", ["mse", "max", "percentile"])
@pytest.mark.parametrize("granularity", ["layer", "slice"])
def test_gains_are_those_of_the_converter(rule, granularity) -> None:
    adc = {"bits": 7, "gains": (1.0, 2.0, 4.0), "step_levels": 4.0}  # gain 4: steps of one level, and room enough
    chip = small_chip(crossbar(adc=adc))
    module = converted(hash_field(), chip)
    gains = choose_gains(module, chip, COORDS[:512], rule=rule, granularity=granularity)
    assert all(set(chosen) <= {1.0, 2.0, 4.0} and max(chosen) > 1.0 for chosen in gains.values())
    exact = predict(module, COORDS)
    errors = []
    for used in (None, gains):
        install(module, chip, program(module, chip, gains=used))
        errors.append(float((predict(module, COORDS) - exact).square().mean()))
    assert errors[1] < 0.5 * errors[0]


def test_max_rule_clips_nothing_it_saw() -> None:
    chip = small_chip(crossbar(adc={"bits": 6, "gains": (1.0, 2.0, 4.0, 8.0)}))
    module = converted(hash_field(), chip)
    gains = choose_gains(module, chip, COORDS[:256], rule="max")
    drawn = program(module, chip, gains=gains)
    for histogram in histograms(module, chip, drawn, COORDS[:256]).values():
        assert histogram.counts.sum() > 0
        assert (
            histogram.counts[0] * (histogram.codes[0] <= -32) + histogram.counts[-1] * (histogram.codes[-1] >= 31) < 9
        )
        assert histogram.step_levels in (2.0, 4.0, 8.0, 16.0)


def test_programming_alone_and_reading_alone() -> None:
    chip = small_chip(NOISY)
    module = converted(hash_field(), chip)
    drawn = program(module, chip, seed=1)
    seen = {}
    for name, causes in {
        "ranges": Causes(programming=False, reading=False),
        "programming": Causes(reading=False),
        "reading": Causes(programming=False),
    }.items():
        install(module, chip, drawn, causes)
        seen[name] = predict(module, COORDS)
    assert not torch.equal(seen["ranges"], seen["programming"])
    assert not torch.equal(seen["ranges"], seen["reading"])
    layer = next(child for child in module.modules() if isinstance(child, ChipLinear))
    install(module, chip, drawn)
    assert isinstance(layer.product, CrossbarProduct)
    assert np.abs(layer.product.copies[0].levels).max() > 0


def test_what_the_chip_lacks_stays_on_the_host() -> None:
    chip = small_chip(gather=None, table_memory=None)
    module = converted(hash_field(), chip)
    assert not any(isinstance(child, (ChipTable, ChipInterpolate)) for child in module.modules())
    assert any(isinstance(child, ChipLinear) for child in module.modules())
    assert predict(module, COORDS).shape == (3000, 3)


def test_wider_tables_are_closer_to_the_float_field() -> None:
    field = hash_field()
    with torch.no_grad():
        exact = field(COORDS)
    errors = [
        float((predict(converted(field, small_chip(gather=GatherUnit(table_bits=b))), COORDS) - exact).abs().mean())
        for b in (3, 8)
    ]
    assert errors[1] < 0.3 * errors[0]
