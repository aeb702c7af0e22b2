"""Leave-one-out on fabricated macros: no constant comes from the chip that is priced, and errors stay bounded."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator

import numpy as np
import pytest

import ohmfield.chip
from ohmfield.chip.anchors import ZIGZAG_ANALOG, ZIGZAG_DIGITAL, Anchored, without
from ohmfield.quantities import Sourced, span
from ohmfield.spec import InputError
from validation.silicon import MACROS, WANG, Macro, area_um2, energy_fJ_per_MAC

by_title = pytest.mark.parametrize("macro", MACROS, ids=lambda macro: macro.chip)


def constants() -> Iterator[tuple[object, str, Anchored | Sourced]]:
    """(module, name, constant) of every constant of the chip column, wherever it is imported."""
    for info in pkgutil.walk_packages(ohmfield.chip.__path__, "ohmfield.chip."):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if isinstance(value, Anchored | Sourced):
                yield module, name, value


def total(parts: dict[str, np.ndarray]) -> np.ndarray:
    return np.sum(list(parts.values()), axis=0)


@by_title
def test_a_chips_own_figures_never_reach_its_prediction(macro: Macro, monkeypatch: pytest.MonkeyPatch) -> None:
    energy, area = energy_fJ_per_MAC(macro), area_um2(macro)
    touched = 0
    for module, name, constant in list(constants()):
        if isinstance(constant, Anchored):
            anchors = tuple(
                dataclasses.replace(anchor, value=anchor.value * 100) if macro.chip in anchor.chips else anchor
                for anchor in constant.anchors
            )
            touched += sum(macro.chip in anchor.chips for anchor in constant.anchors)
            monkeypatch.setattr(module, name, dataclasses.replace(constant, anchors=anchors))
    assert touched > 0  # a macro that holds up no constant would prove nothing
    for name, value in energy_fJ_per_MAC(macro).items():
        np.testing.assert_array_equal(value, energy[name])
    for name, value in area_um2(macro).items():
        np.testing.assert_array_equal(value, area[name])


def test_constants_that_cannot_be_refitted_come_from_no_macro() -> None:
    chips = {macro.chip for macro in MACROS}
    assert [name for _, name, value in constants() if isinstance(value, Sourced) and chips & set(value.chips)] == []


def test_leaving_out_changes_what_the_chip_held_up() -> None:
    own = total(energy_fJ_per_MAC(WANG, left_out=()))
    assert not np.allclose(own, total(energy_fJ_per_MAC(WANG)))


def test_every_constant_survives_leaving_out_any_chip() -> None:
    chips = {
        chip for _, _, value in constants() if isinstance(value, Anchored) for a in value.anchors for chip in a.chips
    }
    for chip in chips | {*ZIGZAG_ANALOG, *ZIGZAG_DIGITAL}:
        with without(chip):
            for _, name, value in constants():
                if isinstance(value, Anchored):
                    low, mid, high = value.value().ravel()
                    assert 0 < low < mid < high, name


def test_a_fit_shared_by_chips_drops_as_a_whole() -> None:
    fit = Anchored("x", (Sourced(span(1.0), "fit", ("a", "b")), Sourced(span(9.0), "other", ("c",))))
    with without("a"):
        assert fit.value()[1, 0] == pytest.approx(9.0)
    assert fit.value()[1, 0] == pytest.approx(3.0)  # geometric mean


def test_no_anchor_left_is_said() -> None:
    fit = Anchored("converter", (Sourced(span(1.0), "fit", ("a",)),))
    with pytest.raises(InputError, match="converter: no anchor remains without a"), without("a"):
        fit.value()


@by_title
def test_within_a_factor_of_ten(macro: Macro) -> None:
    """Loose on purpose: the errors themselves stand in benchmarks/results/macros.json."""
    assert 0.1 < total(energy_fJ_per_MAC(macro))[1, 0] / macro.reported_fJ_per_MAC < 10
    if macro.reported_um2 is not None:
        assert 0.1 < total(area_um2(macro))[1, 0] / macro.reported_um2 < 10


@by_title
def test_blocks_name_components_that_exist(macro: Macro) -> None:
    known = {*energy_fJ_per_MAC(macro), *area_um2(macro)}
    assert set(macro.actions) <= known
    assert {*macro.energy_blocks_fJ, *macro.area_blocks_um2} <= set(macro.blocks)
    assert {name for names in macro.blocks.values() for name in names} <= known
