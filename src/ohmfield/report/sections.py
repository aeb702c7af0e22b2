"""The sections of the page, each as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

from ohmfield.report import figures, pictures
from ohmfield.report.drawing import Drawn, busiest, shown
from ohmfield.report.summary import Baseline, DeploymentSummary, Range, ReportData, slug
from ohmfield.report.tables import RANGES, SCORES, Column, columns_of, entry, lost_key, number


def value(number_: float, text: str, *path: str) -> str:
    """A number on the page, tied to its place in `metrics.json` (keys joined by a slash)."""
    return f'<data class="n" value="{number_!r}" data-metric="{escape("/".join(path))}">{text}</data>'


def _range(values: Range, *path: str) -> str:
    if values[0] == values[2]:
        return value(values[1], number(values[1]), *path, "mid")
    low, mid, high = (value(v, number(v), *path, name) for v, name in zip(values, ("low", "mid", "high"), strict=True))
    return f"{mid}<small>{low} – {high}</small>"


def grid(kind: str, content: str) -> str:
    """Panels side by side, as many as the width takes; `kind` is pictures or charts."""
    return f'<div class="grid {kind}">{content}</div>'


def note_of(text: str) -> str:
    """A remark in a lighter colour; the text is HTML already."""
    return f'<p class="note">{text}</p>'


def _image(image: Image.Image, alt: str, count: int, identity: str = "", kind: str = "") -> str:
    source, _ = pictures.for_page(image, count)
    width, height = image.size
    marks = (f' id="{identity}"' if identity else "") + (f' class="{kind}"' if kind else "")
    return f'<img{marks} src="{source}" width="{width}" height="{height}" alt="{escape(alt)}">'


def _quality(data: ReportData, name: str) -> str:
    """PSNR and SSIM of a picture for its caption."""
    if name == "photograph":
        return "the reference"
    found = {slug(summary.name): summary for summary in data.summaries}.get(name)
    quality = found.quality if found else data.float_quality
    where = ("chips", found.name) if found else ("field",)
    names = {"psnr_dB": "{} dB", "ssim": "SSIM {}"}
    written = [
        text.format(value(quality[key], entry(quality[key], SCORES[key]), *where, key))
        for key, text in names.items()
        if key in quality
    ]
    return ", ".join(written)


def pictures_section(data: ReportData, drawn: Drawn) -> str:
    """The photograph, the float field and each chip: two at a time under a slider, then all of them."""
    if data.truth is None:
        return ""
    views = shown(data)
    count, of = len(drawn.images), data.signal["name"]
    gallery = "".join(
        f"<figure>{_image(drawn.images[name], f'{of}: {title}', count, f'picture-{name}')}"
        f"<figcaption><b>{escape(title)}</b><br>{_quality(data, name)}</figcaption></figure>"
        for name, title, _ in views
    )
    options = [f'<option value="picture-{name}"%s>{escape(title)}</option>' for name, title, _ in views]
    right = min(2, len(options) - 1)
    selects = [
        f"<label>{side} <select>{''.join(o % (' selected' if i == chosen else '') for i, o in enumerate(options))}"
        "</select></label>"
        for side, chosen in (("left", 0), ("right", right))
    ]
    exact = pictures.for_page(drawn.images["photograph"], count)[1]
    note = "" if exact else note_of("Pictures are shown smaller here; figures/ holds every pixel.")
    return (
        f'<div class="side"><div class="compare" hidden><div class="pick">{"".join(selects)}</div>'
        '<div class="stage"><img alt=""><img class="over" alt=""><div class="bar"></div></div>'
        '<input type="range" min="0" max="100" value="50" step="0.1" '
        'aria-label="how much of the left picture is shown, in percent"></div>'
        f'<div><div class="grid gallery">{gallery}</div>{note}</div></div>'
    )


def errors_section(data: ReportData, drawn: Drawn) -> str:
    """Error maps on one scale, and the crops worth a closer look."""
    if data.truth is None:
        return ""
    views = shown(data)
    stops = ", ".join(f"rgb{color}" for color in pictures.colormap()[::15])
    ticks = [tick for tick in (0, 1, 4, 16, 64) if tick < drawn.error_limit / 1.5] + [drawn.error_limit]
    places = 100.0 * pictures.error_shade(np.array(ticks), drawn.error_limit)
    labels = "".join(f'<i style="left: {at:.1f}%">{tick:g}</i>' for at, tick in zip(places, ticks, strict=True))
    scale = (
        f'<div class="scale"><div style="background: linear-gradient(90deg, {stops})"></div>{labels}</div>'
        + note_of("in levels of 255, on a logarithmic scale; its end means that much or more")
    )
    maps = "".join(
        f"<figure>{_image(drawn.images[f'{name}-error'], f'error of {title}', len(drawn.images))}"
        f"<figcaption><b>{escape(title)}</b></figcaption></figure>"
        for name, title, _ in views[1:]
    )
    rows = []
    for crop in drawn.crops:
        cells = "".join(_crop(crop, title, picture, data.peak) for _, title, picture in views)
        where = f"{crop.side} × {crop.side} pixels at ({crop.left}, {crop.top})"
        rows.append(f'<h3>{crop.reason.capitalize()}: {where}</h3><div class="crops">{cells}</div>')
    crops = f'<div style="--columns: {len(views)}; margin-top: 26px">{"".join(rows)}</div>' if rows else ""
    note = note_of("Error of each pixel, root mean square over its channels, on one scale for all.")
    return f"{note}{scale}{grid('pictures', maps)}{crops}"


def _crop(crop: pictures.Crop, title: str, picture: np.ndarray, peak: float) -> str:
    image = _image(pictures.to_image(crop.of(picture), peak), f"{crop.reason}, {title}", 1, kind="sharp")
    return f"<figure>{image}<figcaption>{escape(title)}</figcaption></figure>"


def numbers_section(data: ReportData) -> str:
    """One row for each chip and baseline, ranges below the middle estimates."""
    columns = columns_of(data)
    head = "".join(f'<th scope="col">{column.title}<small>{column.unit}</small></th>' for column in columns)
    rows = [_chip_row(summary, columns) for summary in data.summaries]
    rows += [_baseline_row(baseline, data, columns) for baseline in data.baselines]
    boundaries = escape("; ".join(dict.fromkeys(summary.costs.boundary for summary in data.summaries)))
    note = (
        "Middle estimate, and below it low – high from the spread of the sourced constants. Boundary of the chips: "
        f"{boundaries}. One multiply-accumulate is two operations; the card states precision, utilisation and activity."
    )
    if data.baselines:
        note += (
            f" Shaded rows are rooflines: the same {data.kind} in float on a processor, from its peak figures. "
            "Their boundary is the system, a chip's is its own; the rows give a scale, not a contest."
        )
    return (
        f'<div class="scroll"><table><thead><tr><th scope="col">Runs on</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{note_of(note)}"
    )


def _cell(column: Column, content: str, kind: str = "") -> str:
    mark = f' class="{kind}"' if kind else ""
    label = escape(f"{column.title}, {column.unit}".removesuffix(", "))
    return f'<td{mark} data-label="{label}"><span>{content}</span></td>'


def _chip_row(summary: DeploymentSummary, columns: Sequence[Column]) -> str:
    where = ("chips", summary.name)
    plain = {**summary.quality, lost_key(summary.metric): summary.lost}
    cells = [
        _cell(column, _range(getattr(summary.costs, column.key), *where, column.key))
        if column.key in RANGES
        else _cell(column, value(plain[column.key], entry(plain[column.key], column), *where, column.key))
        for column in columns
    ]
    tag = ' <span class="tag">assumed parts</span>' if summary.chip.get("assumed") else ""
    title = f"<small>{escape(str(summary.chip.get('title', '')))}{tag}</small>"
    return f'<tr><th scope="row">{escape(summary.name)}{title}</th>{"".join(cells)}</tr>'


def _baseline_row(baseline: Baseline, data: ReportData, columns: Sequence[Column]) -> str:
    where = ("baselines", baseline.name)
    cells = []
    for column in columns:
        if column.key in data.float_quality:
            quality = data.float_quality[column.key]
            cells.append(_cell(column, value(quality, entry(quality, column), data.kind, column.key)))
        elif column.key in ("energy_mJ", "frame_ms", "frames_per_s"):
            cells.append(_cell(column, _range(getattr(baseline, column.key), *where, column.key)))
        else:
            cells.append(_cell(column, "–", "none"))
    tag = ' <span class="tag">assumed</span>' if baseline.assumed else ""
    small = f"<small>{escape(baseline.boundary)}{tag}</small>"
    return f'<tr class="baseline"><th scope="row">{escape(baseline.name)}{small}</th>{"".join(cells)}</tr>'


def chart(drawn: Drawn, name: str, caption: str = "") -> str:
    """The chart of that name, with a caption of HTML."""
    figure, label = drawn.charts[name]
    below = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f"<figure>{figures.svg(figure, name, label)}{below}</figure>"


def _key(data: ReportData, area: bool = False) -> str:
    """The colours of the components that cost energy (or area) on any chip."""
    used: dict[str, None] = {}
    for summary in data.summaries:
        costs = summary.costs
        amounts = costs.area_um2[1] if area else costs.energy_pJ[1].sum(axis=0)
        used |= dict.fromkeys(name for name, amount in zip(costs.components, amounts, strict=True) if amount > 0)
    order = [
        *[name for name in figures.COLOURS if name in used],
        *[name for name in used if name not in figures.COLOURS],
    ]
    items = "".join(
        f'<li><i style="background: {figures.colour(name)}"></i>{name.replace("_", " ")}</li>' for name in order
    )
    return f'<ul class="key">{items}</ul>'


def energy_section(data: ReportData, drawn: Drawn) -> str:
    """Energy by component for all chips, then by operator for each."""
    if not data.summaries:
        return ""
    panels = "".join(
        chart(drawn, f"{slug(summary.name)}-layers", f"<b>{escape(summary.name)}</b>, each operator; its own axis")
        for summary in data.summaries
    )
    every = chart(drawn, "energy", "<b>All chips</b>; the thin line under a bar spans low, mid and high")
    note = note_of(f"Middle estimate of one {data.inference}, by component, then by the operators of the {data.kind}.")
    return f'{note}<div class="side">{every}{_key(data)}</div>{grid("charts", panels)}'


def loss_section(data: ReportData, drawn: Drawn) -> str:
    """The loss waterfall of each chip."""
    panels = "".join(
        chart(drawn, f"{slug(summary.name)}-loss", f"<b>{escape(summary.name)}</b>") for summary in data.summaries
    )
    if not panels:
        return ""
    note = (
        "Each step adds one cause to those before it, in this order; another order would share them out differently. "
        f"Tuned: the float {data.kind} after tuning for the chip's noise, what it gives up to lose less later. "
        "The axis may start above zero."
    )
    return note_of(note) + grid("charts", panels)


def codes_section(data: ReportData, drawn: Drawn) -> str:
    """Histograms of converter codes, for chips that have converters."""
    blocks = []
    for summary in data.summaries:
        layers = busiest(summary)
        if not layers:
            continue
        panels = "".join(
            chart(drawn, f"{slug(summary.name)}-codes-{slug(name)}", _code_caption(summary, name)) for name in layers
        )
        left = len(summary.codes) - len(layers)
        rest = note_of(f"{left} more layers reach the end codes less.") if left else ""
        blocks.append(f"<h3>{escape(summary.name)}</h3>{grid('charts', panels)}{rest}")
    if not blocks:
        return ""
    note = (
        "Codes of up to 256 calibration vectors of each layer on its first copy, read noise left out. "
        "Red: an end code, which also stands for everything beyond the range."
    )
    return note_of(note) + "".join(blocks)


def _code_caption(summary: DeploymentSummary, operator: str) -> str:
    item = summary.codes[operator]
    label = f"{escape(item.label)}: " if item.label else ""
    return f"{label}{figures.code_caption(item)}"


def area_section(data: ReportData, drawn: Drawn) -> str:
    """The floorplans, to one scale."""
    if not data.summaries:
        return ""
    panels = "".join(
        chart(
            drawn,
            f"{slug(summary.name)}-area",
            f"<b>{escape(summary.name)}</b>, {number(summary.costs.area_mm2[1])} mm²",
        )
        for summary in data.summaries
    )
    note = "Areas in proportion within a chip and between chips; where a part lies is not modelled."
    return note_of(note) + grid("charts", panels) + _key(data, area=True)
