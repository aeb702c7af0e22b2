"""Totals of a known chip: exact where enough is measured, never a negative factor, errors that say what is missing."""

from __future__ import annotations

import pytest

from ohmfield.chip.totals import fit_totals
from ohmfield.spec import InputError

GROUPS = {"fixed": ("idle",), "moving": ("cells", "lines")}
PARTS = [{"idle": 2.0, "cells": float(step), "lines": 1.0 * step} for step in range(1, 6)]


def test_two_totals_give_two_factors_and_the_line_between() -> None:
    truth = [3.0 * each["idle"] + 0.5 * (each["cells"] + each["lines"]) for each in PARTS]
    fit = fit_totals([PARTS[0], PARTS[-1]], [truth[0], truth[-1]], GROUPS)
    assert fit.factors == {"fixed": pytest.approx(3.0), "moving": pytest.approx(0.5)}
    assert [fit.total(each) for each in PARTS] == pytest.approx(truth)


def test_one_total_scales_everything() -> None:
    fit = fit_totals([PARTS[1]], [12.0])
    assert fit.total(PARTS[1]) == pytest.approx(12.0)
    assert fit.total(PARTS[3]) == pytest.approx(20.0)


def test_a_factor_is_never_negative() -> None:
    fit = fit_totals([PARTS[0], PARTS[-1]], [1.0, 20.0], GROUPS)  # a line through both would cross zero
    assert min(fit.factors.values()) >= 0.0


@pytest.mark.parametrize(
    ("measured", "groups", "message"),
    [
        ([1.0], GROUPS, "1 measured totals of 1 settings for 2 groups"),
        ([-1.0], None, "must be positive"),
        ([float("nan")], None, "must be positive"),
        ([1.0], {"fixed": ("standby",)}, "group fixed: standby is not among cells, idle, lines"),
    ],
)
def test_what_cannot_be_fitted_is_said(measured, groups, message) -> None:
    with pytest.raises(InputError, match=message):
        fit_totals(PARTS[:1], measured, groups)
