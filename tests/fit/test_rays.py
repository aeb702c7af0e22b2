"""Radiance fields learnt from posed views: they learn, resume to the bit, and refuse what is not theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ball import ball_views
from ohmfield.fields import presets
from ohmfield.fields.radiance import Radiance
from ohmfield.fit.loop import fit
from ohmfield.fit.options import FitOptions
from ohmfield.fit.runs import load_run
from ohmfield.render.score import score_views
from ohmfield.spec import InputError


def small() -> Radiance:
    return presets.radiance(num_levels=6, log2_table=12, resolutions=(8, 64), cells=32)


def test_a_ball_is_learnt() -> None:
    views, field = ball_views(16, 64), small()
    before = score_views(field, views)["psnr_dB"]
    result = fit(field, views, FitOptions(steps=120, batch=2**13), progress=False)
    assert result.score["psnr_dB"] > 25.0 > before
    assert set(result.score) == {"psnr_dB", "foreground_psnr_dB", "ssim"}
    assert result.samples_per_s > 0


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    views, options = ball_views(8, 24), FitOptions(steps=40, batch=2**11)
    whole = small()
    fit(whole, views, options, progress=False, scored=False)

    class Killed(Exception):
        pass

    def stop(step: int, _: Radiance) -> None:
        if step == 23:
            raise Killed

    with pytest.raises(Killed):
        fit(small(), views, options, tmp_path / "run", progress=False, callback=stop)
    again = small()
    result = fit(again, views, options, tmp_path / "run", progress=False)
    assert result.resumed_from == 23
    for (name, wanted), made in zip(whole.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(wanted, made), name
    loaded, info = load_run(tmp_path / "run", Radiance)
    assert info["finished"]
    assert torch.equal(loaded.occupied, again.occupied)


def test_a_field_of_coordinates_does_not_take_views() -> None:
    with pytest.raises(InputError, match="fit a radiance field"):
        fit(presets.siren(width=16, depth=1), ball_views(4, 16), FitOptions(steps=1), progress=False)
