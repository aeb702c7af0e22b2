"""How close a radiance field's pictures are to photographs it has not learnt from."""

from __future__ import annotations

from collections.abc import Sequence

from ohmfield.fields.radiance import Radiance
from ohmfield.render.march import render
from ohmfield.render.options import RenderOptions
from ohmfield.signals.views import Views


def score_views(
    field: Radiance, views: Views, chosen: Sequence[int] | None = None, options: RenderOptions | None = None
) -> dict[str, float]:
    """Mean scores of the test views (of the training views where there are none), or of those `chosen`."""
    options = options or RenderOptions(background=views.background)
    chosen = chosen or views.split("test" if views.splits.get("test") else "train")
    each = [
        views.score(view, render(field, views.cameras[view], options).colour, options.background) for view in chosen
    ]
    return {name: sum(one[name] for one in each) / len(each) for name in each[0]}
