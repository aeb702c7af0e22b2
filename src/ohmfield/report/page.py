"""The report as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from ohmfield.report import figures, pictures
from ohmfield.report.card import card
from ohmfield.report.floorplan import floorplan
from ohmfield.report.summary import Baseline, DeploymentSummary, Range, ReportData
from ohmfield.report.tables import COLUMNS, RANGES, Column, entry, headline, number

ASSETS = Path(__file__).parent / "assets"
MOST_HISTOGRAMS = 12  # panels of one chip; deeper networks show the layers that clip most


@dataclass(frozen=True)
class Drawn:
    """Everything drawn for a page, by file name: pictures as images, charts as figures with what is read aloud."""

    images: dict[str, Image.Image]
    charts: dict[str, tuple[Figure, str]]
    error_limit: float
    crops: tuple[pictures.Crop, ...]


def draw(data: ReportData) -> Drawn:
    """Pictures, error maps and charts of a report."""
    shown = _shown(data)
    images = {name: pictures.to_image(picture, data.peak) for name, _, picture in shown}
    errors = {name: pictures.error_levels(picture, data.truth, data.peak) for name, _, picture in shown[1:]}
    limit = pictures.error_limit(list(errors.values()))
    images |= {f"{name}-error": pictures.error_image(levels, limit) for name, levels in errors.items()}
    worst = max(errors.values(), key=lambda levels: float(np.mean(np.square(levels))))
    return Drawn(images, _charts(data.summaries), limit, tuple(pictures.choose_crops(data.truth, worst)))


def _shown(data: ReportData) -> list[tuple[str, str, np.ndarray]]:
    """(file name, heading, picture) of everything that is looked at, the truth first."""
    chips = [(slug(summary.name), summary.name, summary.picture) for summary in data.summaries]
    return [("photograph", "photograph", data.truth), ("field", "float field", data.float_picture), *chips]


def slug(name: str) -> str:
    """A name as part of a file name or an id."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)


def _charts(summaries: Sequence[DeploymentSummary]) -> dict[str, tuple[Figure, str]]:
    if not summaries:
        return {}
    charts = {"energy": (figures.energy_by_component(summaries), "energy per frame of each chip, by component")}
    limits = figures.waterfall_limits(summaries)
    edge_um = max(float(summary.costs.area_um2[1].sum()) for summary in summaries) ** 0.5
    for summary in summaries:
        name, costs = slug(summary.name), summary.costs
        top_mJ = float(costs.energy_pJ[1].sum(axis=1).max()) * 1e-9
        charts[f"{name}-layers"] = (figures.energy_by_layer(costs, top_mJ), f"energy of each operator on {summary.name}")
        steps = ", ".join(f"{cause} {psnr_dB:.2f} dB" for cause, psnr_dB in summary.waterfall)
        charts[f"{name}-loss"] = (figures.loss_waterfall(summary, limits_dB=limits), f"{summary.name}: {steps}")
        areas = zip(costs.components, costs.area_um2[1], strict=True)
        spoken = ", ".join(f"{part} {number(area / 1e6)} mm²" for part, area in areas if area > 0)
        charts[f"{name}-area"] = (floorplan(costs, edge_um), f"area of {summary.name}: {spoken}")
        for operator in busiest(summary):
            item = summary.codes[operator]
            title = figures.short(operator)
            spoken = f"converter codes of {title} on {summary.name}: {figures.code_caption(item)}"
            charts[f"{name}-codes-{slug(operator)}"] = (figures.code_histogram(item, title), spoken)
    return charts


def busiest(summary: DeploymentSummary) -> list[str]:
    """The layers whose codes are shown, in order; of many those that clip most."""
    kept = sorted(summary.codes, key=lambda name: -summary.codes[name].clipped_fraction)[:MOST_HISTOGRAMS]
    return [operator for operator in summary.codes if operator in kept]


def page(data: ReportData, drawn: Drawn) -> str:
    """The page as HTML."""
    sections = [
        ("pictures", "What each chip shows", _pictures(data, drawn)),
        ("errors", "Where the pictures differ", _errors(data, drawn)),
        ("numbers", "Quality, speed, energy, area", _numbers(data)),
        ("energy", "Where the energy goes", _energy(data, drawn)),
        ("loss", "Where the decibels go", _loss(data, drawn)),
        ("codes", "What the converters see", _codes(data, drawn)),
        ("area", "The chips to scale", _area(data, drawn)),
        ("card", "Card: what this stands on", card(data)),
    ]
    kept = [(name, title, body) for name, title, body in sections if body]
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title, _ in kept)
    body = "".join(f'<section id="{name}"><h2>{title}</h2>{content}</section>' for name, title, content in kept)
    title = escape(headline(data))
    version = escape(data.versions.get("ohmfield", ""))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{(ASSETS / 'page.css').read_text(encoding='utf-8')}</style></head><body>"
        f'<header><p class="eyebrow">Ohmfield report</p><h1>{title}</h1>{_lede(data)}{_cards(data)}'
        f'<nav aria-label="Sections">{links}</nav></header><main>{body}</main>'
        f"<footer><p>Ohmfield {version}. All numbers of this page, with low, mid and high, are in "
        "<code>metrics.json</code> beside it; pictures and charts at full size are in <code>figures/</code>.</p></footer>"
        f"<script>{(ASSETS / 'page.js').read_text(encoding='utf-8')}</script></body></html>\n"
    )


def value(number_: float, text: str, *path: str) -> str:
    """A number on the page, tied to its place in `metrics.json` (keys joined by a slash)."""
    return f'<data class="n" value="{number_!r}" data-metric="{escape("/".join(path))}">{text}</data>'


def _range(values: Range, *path: str) -> str:
    low, mid, high = (value(v, number(v), *path, name) for v, name in zip(values, ("low", "mid", "high"), strict=True))
    return f"{mid}<small>{low} – {high}</small>"


def _lede(data: ReportData) -> str:
    height, width = data.truth.shape[:2]
    count = data.field.get("parameters")
    of = f" of {count:,} parameters".replace(",", "\N{NARROW NO-BREAK SPACE}") if isinstance(count, int) else ""
    psnr_dB = value(data.float_quality["psnr_dB"], f"{data.float_quality['psnr_dB']:.2f}", "field", "psnr_dB")
    lede = f"A neural field{of} holds the {width} × {height} picture at {psnr_dB} dB in float."
    assumed = [summary.name for summary in data.summaries if summary.chip.get("assumed")]
    if assumed:
        names = escape(", ".join(assumed))
        lede += f' Some constants of {names} are assumed; <a href="#card">the card</a> lists them.'
    return f'<p class="lede">{lede}</p>'


def _cards(data: ReportData) -> str:
    cards = []
    for summary in data.summaries:
        where, costs = ("chips", summary.name), summary.costs
        psnr_dB = value(summary.quality["psnr_dB"], f"{summary.quality['psnr_dB']:.2f}", *where, "psnr_dB")
        energy = value(costs.energy_mJ[1], number(costs.energy_mJ[1]), *where, "energy_mJ", "mid")
        speed = value(costs.frames_per_s[1], number(costs.frames_per_s[1]), *where, "frames_per_s", "mid")
        area = value(costs.area_mm2[1], number(costs.area_mm2[1]), *where, "area_mm2", "mid")
        cards.append(
            f'<article><h3>{escape(summary.name)}</h3><p class="big">{psnr_dB} <small>dB</small></p>'
            f"<p>{energy} mJ per frame, {speed} frames/s, {area} mm²</p></article>"
        )
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""


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
    columns = {column.key: column for column in COLUMNS}
    written = [
        text.format(value(quality[key], entry(quality[key], columns[key]), *where, key))
        for key, text in names.items()
        if key in quality
    ]
    return ", ".join(written)


def _pictures(data: ReportData, drawn: Drawn) -> str:
    shown = _shown(data)
    count, of = len(drawn.images), data.signal["name"]
    gallery = "".join(
        f"<figure>{_image(drawn.images[name], f'{of}: {title}', count, f'picture-{name}')}"
        f"<figcaption><b>{escape(title)}</b><br>{_quality(data, name)}</figcaption></figure>"
        for name, title, _ in shown
    )
    options = [f'<option value="picture-{name}"%s>{escape(title)}</option>' for name, title, _ in shown]
    right = min(2, len(options) - 1)
    selects = [
        f'<label>{side} <select>{"".join(o % (" selected" if i == chosen else "") for i, o in enumerate(options))}'
        "</select></label>"
        for side, chosen in (("left", 0), ("right", right))
    ]
    exact = pictures.for_page(drawn.images["photograph"], count)[1]
    note = "" if exact else '<p class="note">Pictures are shown smaller here; figures/ holds every pixel.</p>'
    return (
        f'<div class="compare" hidden><div class="pick">{"".join(selects)}</div><div class="stage"><img alt="">'
        '<img class="over" alt=""><div class="bar"></div></div><input type="range" min="0" max="100" value="50" '
        'step="0.1" aria-label="how much of the left picture is shown, in percent"></div>'
        f'{note}<div class="grid gallery" style="--least: 190px; margin-top: 26px">{gallery}</div>'
    )


def _errors(data: ReportData, drawn: Drawn) -> str:
    shown = _shown(data)
    stops = ", ".join(f"rgb{color}" for color in pictures.colormap()[::15])
    scale = (
        f'<div class="scale"><span>0</span><span style="background: linear-gradient(90deg, {stops})"></span>'
        f"<span>{drawn.error_limit:g} or more of 255 levels</span></div>"
    )
    maps = "".join(
        f"<figure>{_image(drawn.images[f'{name}-error'], f'error of {title}', len(drawn.images))}"
        f"<figcaption><b>{escape(title)}</b></figcaption></figure>"
        for name, title, _ in shown[1:]
    )
    rows = []
    for crop in drawn.crops:
        cells = "".join(
            f"<figure>{_image(pictures.to_image(crop.of(picture), data.peak), f'{crop.reason}, {title}', 1, kind='sharp')}"
            f"<figcaption>{escape(title)}</figcaption></figure>"
            for _, title, picture in shown
        )
        where = f"{crop.side} × {crop.side} pixels at ({crop.left}, {crop.top})"
        rows.append(f'<h3>{crop.reason.capitalize()}: {where}</h3><div class="crops">{cells}</div>')
    crops = f'<div style="--columns: {len(shown)}; margin-top: 26px">{"".join(rows)}</div>' if rows else ""
    return (
        '<p class="note">Error of each pixel, root mean square over its channels, on one scale for all.</p>'
        f'{scale}<div class="grid" style="--least: 190px">{maps}</div>{crops}'
    )


def _numbers(data: ReportData) -> str:
    columns = [column for column in COLUMNS if column.key != "ssim" or "ssim" in data.float_quality]
    head = "".join(f'<th scope="col">{column.title}<small>{column.unit}</small></th>' for column in columns)
    rows = [_chip_row(summary, columns) for summary in data.summaries]
    rows += [_baseline_row(baseline, data, columns) for baseline in data.baselines]
    boundaries = "; ".join(
        f"{summary.name}: {summary.costs.boundary}, efficiency for {summary.costs.efficiency}" for summary in data.summaries
    )
    note = (
        f'<p class="note">Middle estimate, and below it low – high from the spread of the sourced constants. {escape(boundaries)}.'
    )
    if data.baselines:
        note += (
            " Shaded rows are rooflines: the same field in float on a whole processor, an estimate from its peak figures. "
            "Their boundary is the system, a chip's is its own; the rows are a scale, not a contest."
        )
    return (
        f'<div class="scroll"><table><thead><tr><th scope="col">Runs on</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{note}</p>"
    )


def _cell(column: Column, content: str) -> str:
    return f'<td data-label="{escape(f"{column.title}, {column.unit}".removesuffix(", "))}"><span>{content}</span></td>'


def _chip_row(summary: DeploymentSummary, columns: Sequence[Column]) -> str:
    where = ("chips", summary.name)
    plain = {**summary.quality, "lost_dB": summary.lost_dB}
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
            cells.append(_cell(column, value(quality, entry(quality, column), "field", column.key)))
        elif column.key in ("energy_mJ", "frame_ms", "frames_per_s"):
            cells.append(_cell(column, _range(getattr(baseline, column.key), *where, column.key)))
        else:
            cells.append(_cell(column, "–"))
    tag = ' <span class="tag">assumed</span>' if baseline.assumed else ""
    small = f"<small>{escape(baseline.boundary)}{tag}</small>"
    return f'<tr class="baseline"><th scope="row">{escape(baseline.name)}{small}</th>{"".join(cells)}</tr>'


def _chart(drawn: Drawn, name: str, caption: str = "") -> str:
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
    order = [*[name for name in figures.COLOURS if name in used], *[name for name in used if name not in figures.COLOURS]]
    items = "".join(f'<li><i style="background: {figures.colour(name)}"></i>{name.replace("_", " ")}</li>' for name in order)
    return f'<ul class="key">{items}</ul>'


def _energy(data: ReportData, drawn: Drawn) -> str:
    if not data.summaries:
        return ""
    panels = "".join(
        _chart(drawn, f"{slug(summary.name)}-layers", f"<b>{escape(summary.name)}</b>, each operator; its own axis")
        for summary in data.summaries
    )
    every = _chart(drawn, "energy", "<b>All chips</b>; the thin line under a bar spans low, mid and high")
    return (
        '<p class="note">Middle estimate of one frame, by component, then by the operators of the field.</p>'
        f'<div class="grid" style="--least: 320px; --most: 560px">{every}{panels}</div>{_key(data)}'
    )


def _loss(data: ReportData, drawn: Drawn) -> str:
    panels = "".join(
        _chart(drawn, f"{slug(summary.name)}-loss", f"<b>{escape(summary.name)}</b>") for summary in data.summaries
    )
    if not panels:
        return ""
    note = "Each step adds one cause to those before it, in this order; another order would share them out differently."
    return f'<p class="note">{note}</p><div class="grid" style="--least: 320px; --most: 560px">{panels}</div>'


def _codes(data: ReportData, drawn: Drawn) -> str:
    blocks = []
    for summary in data.summaries:
        shown = busiest(summary)
        if not shown:
            continue
        panels = "".join(
            _chart(drawn, f"{slug(summary.name)}-codes-{slug(name)}", _code_caption(summary, name)) for name in shown
        )
        left = len(summary.codes) - len(shown)
        rest = f'<p class="note">{left} more layers clip less.</p>' if left else ""
        blocks.append(
            f'<h3>{escape(summary.name)}</h3><div class="grid" style="--least: 300px; --most: 480px">{panels}</div>{rest}'
        )
    if not blocks:
        return ""
    note = "Codes that came out of the converters while the chip drew the picture. Ends of the range in red: values were cut off there."
    return f'<p class="note">{note}</p>' + "".join(blocks)


def _code_caption(summary: DeploymentSummary, operator: str) -> str:
    item = summary.codes[operator]
    label = f"{escape(item.label)}: " if item.label else ""
    return f"{label}{figures.code_caption(item)}"


def _area(data: ReportData, drawn: Drawn) -> str:
    if not data.summaries:
        return ""
    panels = "".join(
        _chart(
            drawn,
            f"{slug(summary.name)}-area",
            f"<b>{escape(summary.name)}</b>, {number(summary.costs.area_mm2[1])} mm²",
        )
        for summary in data.summaries
    )
    note = "Areas in proportion within a chip and between chips; where a part lies is not modelled."
    return f'<p class="note">{note}</p><div class="grid" style="--least: 300px; --most: 480px">{panels}</div>{_key(data, area=True)}'
