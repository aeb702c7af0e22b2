"""Rectangles of a floorplan have the areas asked for, fill the chip and do not overlap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohmfield.report.figures import svg
from ohmfield.report.floorplan import floorplan, length, squarify
from report.fake import fake_costs

AREAS = st.lists(st.floats(0.01, 1e4), min_size=1, max_size=14).map(lambda areas: sorted(areas, reverse=True))


@given(AREAS, st.floats(0.1, 50.0), st.floats(0.1, 50.0))
def test_areas_are_in_proportion_and_fill_the_box(areas: list[float], width: float, height: float) -> None:
    boxes = squarify(areas, (0.0, 0.0, width, height))
    assert len(boxes) == len(areas)
    for area, (x, y, w, h) in zip(areas, boxes, strict=True):
        assert w * h == pytest.approx(area / sum(areas) * width * height, rel=1e-6)
        assert -1e-6 <= x <= x + w <= width * (1 + 1e-6)
        assert -1e-6 <= y <= y + h <= height * (1 + 1e-6)
    tight = 1e-6 * width * height
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
            high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
            assert min(wide, high) <= 1e-6 * max(width, height) or wide * high < tight


def test_four_equal_areas_are_squares() -> None:
    assert all(w == h == 1.0 for _, _, w, h in squarify([1.0] * 4, (0.0, 0.0, 2.0, 2.0)))


def test_floorplan_names_the_largest_part_and_a_length() -> None:
    costs = fake_costs(0)
    edge_um = float(costs.area_um2[1].sum()) ** 0.5
    drawn = svg(floorplan(costs, edge_um), "x", "plan")
    largest = costs.components[int(costs.area_um2[1].argmax())]
    assert largest.replace("_", " ") in drawn
    assert "µm" in drawn or "mm" in drawn


def test_length_changes_unit_at_a_millimetre() -> None:
    assert length(999.0) == "999 µm"
    assert length(1500.0) == "1.5 mm"
