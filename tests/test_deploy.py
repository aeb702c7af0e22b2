"""The one call: picture, bill and losses of a small field on small chips."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ohmfield.chip.cells import RramCell
from ohmfield.chip.units import DigitalCim
from ohmfield.deploy import Deployment, Recipe, deploy, grown_projection
from ohmfield.fields.encodings.fourier import GaussianEncoding
from ohmfield.fields.field import Field
from ohmfield.fields.presets import build
from ohmfield.fit.loop import fit
from ohmfield.fit.options import FitOptions
from ohmfield.numerics import Noise
from ohmfield.signals.points import Points
from ohmfield.signals.synthetic import zone_plate
from ohmfield.simulate.convert import chip_layers
from ohmfield.simulate.run import Encoded, encoded_once, predict
from ohmfield.simulate.statistical import MomentMatchedProduct
from ohmfield.tally import Tally
from small_chip import crossbar, small_chip

ANALOG = crossbar(
    RramCell(program_fraction=0.03, read_fraction=0.02, g_min_uS=5.0),
    copies=2,
    adc={"bits": 7, "gains": (1.0, 2.0, 4.0), "enob": 6.5, "step_levels": 1.0},
)


@pytest.fixture(scope="module")
def signal() -> Points:
    return zone_plate(24)


@pytest.fixture(scope="module")
def field(signal: Points) -> Field:
    made = build("hash", channels=signal.channels, num_levels=4, log2_table=8, width=16, resolutions=(4, 24))
    fit(made, signal, FitOptions(steps=150, batch=576), progress=False)
    return made.eval()


@pytest.fixture(scope="module")
def analog(field: Field, signal: Points) -> Deployment:
    return deploy(field, small_chip(ANALOG), signal, Recipe(calibration_points=128), seed=3)


def test_moment_matched_arithmetic_shows_nearly_the_same_picture(
    field: Field, signal: Points, analog: Deployment
) -> None:
    recipe = Recipe(calibration_points=512, arithmetic="moment_matched")
    made = deploy(field, small_chip(ANALOG), signal, recipe, seed=3)
    assert all(isinstance(layer.product, MomentMatchedProduct) for layer in chip_layers(made.module).values())
    assert abs(made.quality["psnr_dB"] - analog.quality["psnr_dB"]) < 1.0
    assert made.bill.energy_pJ.sum() == pytest.approx(analog.bill.energy_pJ.sum(), rel=0.02)  # conversions are counted
    assert any("moment-matched" in note for note in made.notes)
    assert abs(made.instances([8])[0] - analog.instances([8])[0]) < 1.5
    assert all(isinstance(layer.product, MomentMatchedProduct) for layer in chip_layers(made.module).values())


def test_a_deployment_is_whole(analog: Deployment, signal: Points) -> None:
    assert [cause for cause, _ in analog.waterfall] == [
        "float",
        "quantised",
        "clipping",
        "rounding",
        "programming",
        "reading",
    ]
    assert analog.waterfall[-1][1] == analog.quality["psnr_dB"]
    assert analog.waterfall[0][1] == analog.float_quality["psnr_dB"]
    assert analog.waterfall[0][1] > analog.quality["psnr_dB"] > 5.0
    assert signal.score(analog.picture) == analog.quality
    low, mid, high = analog.bill.energy_mJ
    assert 0.0 < low <= mid <= high
    assert set(analog.histograms) == {f"decoder.layers.{n}#0" for n in range(3)}
    for operator, histogram in analog.histograms.items():
        assert histogram.counts.sum() > 1000, operator
    assert analog.workload.measured("decoder.layers.0#0", "conversions")
    assert any("copies" in note for note in analog.notes)


def test_the_model_is_left_alone(field: Field, signal: Points) -> None:
    before = {name: value.clone() for name, value in field.state_dict().items()}
    deploy(field, small_chip(ANALOG), signal, Recipe(tune_steps=3, tune_batch=64, calibration_points=64))
    assert all(torch.equal(value, before[name]) for name, value in field.state_dict().items())
    assert type(field.decoder.layers[0]) is torch.nn.Linear


def test_same_seed_same_bits(field: Field, signal: Points, analog: Deployment) -> None:
    chip, recipe = small_chip(ANALOG), Recipe(calibration_points=128)
    assert torch.equal(deploy(field, chip, signal, recipe, seed=3).picture, analog.picture)
    assert not torch.equal(deploy(field, chip, signal, recipe, seed=4).picture, analog.picture)


def test_instances_are_other_chips(analog: Deployment) -> None:
    scores = analog.instances([3, 5, 6])
    assert scores[0] == pytest.approx(analog.quality["psnr_dB"], abs=1e-9)
    assert len(set(scores)) == 3
    assert torch.equal(predict(analog.module, analog.given.inputs), analog.picture)  # back on its own instance


def test_a_study_reads_the_same_chips_at_every_age(analog: Deployment) -> None:
    studied = analog.study([5, 6, 7], (0.0, 1e6))
    assert studied.metric == "psnr_dB"
    assert studied.scores[0].tolist() == analog.instances([5, 6, 7])
    assert studied.scores[1].tolist() == studied.scores[0].tolist()  # this cell does not age
    assert [record["elapsed_s"] for record in studied.summary()] == [0.0, 1e6]


def test_a_digital_chip_loses_only_what_quantising_loses(field: Field, signal: Points) -> None:
    made = deploy(field, small_chip(DigitalCim()), signal)
    scores = dict(made.waterfall)
    assert scores["quantised"] == scores["clipping"] == scores["reading"] == made.quality["psnr_dB"]
    assert not made.histograms


def test_more_bits_are_closer(field: Field, signal: Points) -> None:
    chip = small_chip(DigitalCim())
    scores = [deploy(field, chip, signal, Recipe(weight_bits=b, input_bits=b)).quality["psnr_dB"] for b in (3, 5, 8)]
    assert scores[0] < scores[1] < scores[2]


def test_tuning_helps_and_noise_aware_tuning_helps_on_the_chip(field: Field, signal: Points) -> None:
    digital = small_chip(DigitalCim())
    coarse = Recipe(weight_bits=3, input_bits=4, tune_batch=576, tune_rate=5e-3)
    plain = deploy(field, digital, signal, coarse).quality["psnr_dB"]
    tuned = deploy(field, digital, signal, dataclasses.replace(coarse, tune_steps=100)).quality["psnr_dB"]
    assert tuned > plain + 0.5
    noisy, recipe = small_chip(ANALOG), Recipe(tune_steps=60, tune_batch=576, tune_rate=3e-3)
    blind = deploy(field, noisy, signal, recipe).instances(range(10, 13))
    aware = deploy(field, noisy, signal, dataclasses.replace(recipe, noise_aware=True)).instances(range(10, 13))
    assert min(aware) > max(blind)


def test_a_gaussian_projection_is_drawn_from_cells(signal: Points) -> None:
    field = build("gaussian", channels=signal.channels, num_frequencies=32, sigma=3.0, width=16, depth=1)
    chip = small_chip(ANALOG)
    kept = deploy(field, chip, signal, Recipe(calibration_points=64))
    assert any("is kept" in note for note in kept.notes)
    drawn = deploy(field, chip, signal, Recipe(tune_steps=2, tune_batch=64, calibration_points=64))
    assert any("drawn from pairs" in note for note in drawn.notes)
    trained = field.get_buffer("encoding.projection")
    encoding = drawn.module.encoding
    assert isinstance(encoding, GaussianEncoding)
    assert not torch.equal(encoding.projection, trained)
    assert grown_projection(small_chip(), trained, Noise(0)) is None  # ideal cells all grow alike


def test_a_grown_projection_is_gaussian() -> None:
    like = 7.0 * torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    drawn = grown_projection(small_chip(ANALOG), like, Noise(1))
    assert drawn is not None
    assert float(drawn.std()) == pytest.approx(7.0, rel=0.03)
    ordered = drawn.flatten().sort().values / 7.0
    normal = 0.5 * (1.0 + torch.erf(ordered / 2**0.5))
    ranks = (torch.arange(len(ordered)) + 0.5) / len(ordered)
    assert (normal - ranks).abs().max() < 1.95 / len(ordered) ** 0.5  # Kolmogorov-Smirnov, 0.1 %


def test_ranges_and_corrections_can_see_the_instance(field: Field, signal: Points) -> None:
    adc = {"bits": 7, "gains": (1.0, 4.0), "range": "calibrated", "offset_lsb_std": 1.0, "post_calibration": {}}
    unit = crossbar(RramCell(program_fraction=0.03, read_fraction=0.0, g_min_uS=5.0), adc=adc)
    plain = dataclasses.replace(unit, adc=dataclasses.replace(unit.adc, post_calibration=None))
    recipe = Recipe(calibration_points=128, granularity="chip", calibration_sees="aged", elapsed_s=1e4)
    made = deploy(field, small_chip(unit), signal, recipe, seed=3)
    assert len({gain for layer in made.programmed.layers.values() for gain in layer.gains}) == 1
    assert any("ranges this instance at its age" in note for note in made.notes)
    assert made.workload.range_vectors == 256 / recipe.inferences_between
    uncorrected = deploy(field, small_chip(plain), signal, recipe, seed=3)
    assert made.quality["psnr_dB"] > uncorrected.quality["psnr_dB"] + 1.0
    assert abs(made.instances([3])[0] - made.quality["psnr_dB"]) < 1e-9


def test_a_range_that_clips_much_is_said_of_the_layer(field: Field, signal: Points) -> None:
    unit = crossbar(adc={"bits": 3, "step_levels": 1.0})
    made = deploy(field, small_chip(unit), signal, Recipe(calibration_points=128))
    warned = [note for note in made.notes if note.startswith("warning: decoder.layers.")]
    assert warned
    assert "% of the conversions reach an end of their range (1 levels a code)" in warned[0]


def test_an_encoding_that_is_read_back_gives_the_same_words_and_counts(
    analog: Deployment, signal: Points, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding, kept, looked = analog.module.get_submodule("encoding"), Encoded(), []
    handle = encoding.get_submodule("table").register_forward_hook(lambda *_: looked.append(1))
    alone, again = Tally(), Tally()
    with alone.listen():
        want = predict(analog.module, signal.coords, chunk=100)
    for _ in range(2):
        again = Tally()
        with again.listen(), encoded_once(analog.module, kept):
            torch.testing.assert_close(predict(analog.module, signal.coords, chunk=100), want, rtol=0, atol=0)
        assert again.counts == alone.counts
    assert len(looked) == 2 * len(kept) == 2 * 6  # once without, once in two runs
    handle.remove()
    monkeypatch.setattr("ohmfield.simulate.run.KEPT", 0)
    with encoded_once(analog.module, none := Encoded()):
        predict(analog.module, signal.coords[:100])
    assert not none
    assert "forward" not in vars(encoding)
