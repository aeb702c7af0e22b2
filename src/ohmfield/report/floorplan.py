"""The chip to scale: a rectangle for each component, its area in proportion."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ohmfield.report.figures import INK, MUTED, WIDTH_IN, colour, panel, readable_on
from ohmfield.report.summary import Costs

Box = tuple[float, float, float, float]
"""x, y, width, height."""


def squarify(areas: Sequence[float], box: Box) -> list[Box]:
    """Rectangles of the given areas that fill `box`, each as square as the order allows.

    `areas` go from large to small and are scaled to fill the box. Source: Bruls, Huizing and van Wijk, "Squarified
    treemaps", VisSym 2000.

    >>> squarify([2.0, 1.0, 1.0], (0.0, 0.0, 2.0, 2.0))
    [(0.0, 0.0, 1.0, 2.0), (1.0, 0.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0)]
    """
    scale = box[2] * box[3] / sum(areas)
    todo = [area * scale for area in areas]
    placed: list[Box] = []
    while todo:
        short_side = min(box[2], box[3])
        taken = 1
        while taken < len(todo) and _worst(todo[: taken + 1], short_side) <= _worst(todo[:taken], short_side):
            taken += 1
        row, todo = todo[:taken], todo[taken:]
        boxes, box = _lay_row(row, box)
        placed += boxes
    return placed


def _worst(row: Sequence[float], side: float) -> float:
    """The largest aspect ratio in a row laid along `side`."""
    total = sum(row)
    return max(max(side**2 * area / total**2, total**2 / (side**2 * area)) for area in row)


def _lay_row(row: Sequence[float], box: Box) -> tuple[list[Box], Box]:
    """The row along the short side of `box`, and what is left of the box."""
    x, y, width, height = box
    total = sum(row)
    boxes: list[Box] = []
    if width >= height:
        depth = total / height
        for area in row:
            boxes.append((x, y, depth, area / depth))
            y += area / depth
        return boxes, (x + depth, box[1], width - depth, height)
    depth = total / width
    for area in row:
        boxes.append((x, y, area / depth, depth))
        x += area / depth
    return boxes, (box[0], box[1] + depth, width, height - depth)


def floorplan(costs: Costs, edge_um: float) -> Figure:
    """The chip as a square of its area on a canvas `edge_um` wide, so that chips on one page compare by eye."""
    areas = {name: float(area) for name, area in zip(costs.components, costs.area_um2[1], strict=True) if area > 0}
    order = sorted(areas, key=lambda name: -areas[name])
    total = sum(areas.values())
    side = math.sqrt(total)

    def draw(axes: Axes) -> None:
        boxes = squarify([areas[name] for name in order], (0.0, 0.0, side, side)) if order else []
        for name, (x, y, width, height) in zip(order, boxes, strict=True):
            fill = colour(name)
            axes.add_patch(Rectangle((x, y), width, height, facecolor=fill, edgecolor="white", linewidth=0.8))
            _label(axes, name, areas[name] / total, (x, y, width, height), edge_um)
        bar = _nice(edge_um / 4)
        axes.plot([0, bar], [side + edge_um * 0.035] * 2, color=INK, lw=1.4, solid_capstyle="butt")
        axes.text(bar + edge_um * 0.015, side + edge_um * 0.035, length(bar), va="center", color=MUTED, fontsize=8)
        axes.set(xlim=(0, edge_um), ylim=(edge_um * 1.07, 0), aspect="equal")
        axes.axis("off")

    return panel(WIDTH_IN * 1.07, draw)


def _label(axes: Axes, name: str, share: float, box: Box, edge_um: float) -> None:
    """Name and share inside a rectangle, turned if that fits better, left out where neither fits."""
    x, y, width, height = (value / edge_um for value in box)
    text = f"{name.replace('_', ' ')}\n{100 * share:.0f} %"
    along, across = 0.0165 * max(len(name), 4), 0.075
    turned = height > width
    if max(width, height) < along or min(width, height) < across:
        return
    axes.text(
        (x + width / 2) * edge_um, (y + height / 2) * edge_um, text, ha="center", va="center", fontsize=7.5,
        color=readable_on(colour(name)), rotation=90 if turned and width < along else 0, linespacing=1.15,
    )  # fmt: skip


def _nice(value: float) -> float:
    """The largest of 1, 2, 5 x 10^n that is not above `value`."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(step * power for step in (1, 2, 5) if step * power <= value)


def length(length_um: float) -> str:
    """A length for people.

    >>> length(500.0), length(2000.0)
    ('500 µm', '2 mm')
    """
    return f"{length_um:g} µm" if length_um < 1000 else f"{length_um / 1000:g} mm"
