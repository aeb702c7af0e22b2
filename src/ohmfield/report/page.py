"""The report as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

from ohmfield.report import model_sections, sections
from ohmfield.report.card import card
from ohmfield.report.drawing import Drawn
from ohmfield.report.sections import value
from ohmfield.report.summary import ReportData
from ohmfield.report.tables import SCORES, entry, headline, number, whole

ASSETS = Path(__file__).parent / "assets"


def page(data: ReportData, drawn: Drawn) -> str:
    """The page as HTML."""
    dB = data.metric.endswith("_dB")
    listed = [
        ("pictures", "What each chip shows", sections.pictures_section(data, drawn)),
        ("errors", "Where the pictures differ", sections.errors_section(data, drawn)),
        ("numbers", "Quality, speed, energy, area", sections.numbers_section(data)),
        ("instances", "How far chips of one design differ", model_sections.instances_section(data, drawn)),
        ("energy", "Where the energy goes", sections.energy_section(data, drawn)),
        ("loss", "Where the decibels go" if dB else "Where the score goes", sections.loss_section(data, drawn)),
        ("layers", "Which layer loses it", model_sections.layers_section(data, drawn)),
        ("placed", "What runs where, and why", model_sections.placed_section(data)),
        ("codes", "What the converters see", sections.codes_section(data, drawn)),
        ("area", "The chips to scale", sections.area_section(data, drawn)),
        ("card", "Card: what this stands on", card(data)),
    ]
    kept = [(name, title, body) for name, title, body in listed if body]
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
        f"<footer><p>Ohmfield {version}. The numbers of this page, with low, mid and high, are in "
        "<code>metrics.json</code> beside it, pictures and charts at full size in <code>figures/</code>.</p></footer>"
        f"<script>{(ASSETS / 'page.js').read_text(encoding='utf-8')}</script></body></html>\n"
    )


def _lede(data: ReportData) -> str:
    count = data.field.get("parameters")
    of = f" of {whole(count)} parameters" if isinstance(count, int) else ""
    score, column = data.float_quality[data.metric], SCORES[data.metric]
    told = value(score, entry(score, column), data.kind, data.metric)
    if data.truth is not None:
        height, width = data.truth.shape[:2]
        lede = f"A neural field{of} holds the {width} × {height} picture at {told} dB in float."
    else:
        scored, name = whole(data.signal["scored"]), escape(str(data.signal["name"]))
        if math.isfinite(score):
            lede = f"A model{of}, scored on {scored} inputs of {name}: the float model has {column.title} {told}."
        else:
            lede = f"A model{of}, scored against itself in float on {scored} inputs of {name}."
        lede += " Calibration saw other inputs."
    assumed = [summary.name for summary in data.summaries if summary.chip.get("assumed")]
    if assumed:
        names = escape(", ".join(assumed))
        lede += f' Some constants of {names} are assumed; <a href="#card">the card</a> lists them.'
    return f'<p class="lede">{lede}</p>'


def _cards(data: ReportData) -> str:
    cards = []
    for summary in data.summaries:
        where, costs = ("chips", summary.name), summary.costs
        column, score = SCORES[data.metric], summary.quality[data.metric]
        told = value(score, entry(score, column), *where, data.metric)
        unit = f"{column.unit} {column.title}" if data.kind == "model" else column.unit
        energy = value(costs.energy_mJ[1], number(costs.energy_mJ[1]), *where, "energy_mJ", "mid")
        speed = value(costs.frames_per_s[1], number(costs.frames_per_s[1]), *where, "frames_per_s", "mid")
        area = value(costs.area_mm2[1], number(costs.area_mm2[1]), *where, "area_mm2", "mid")
        power = value(costs.power_mW[1], number(costs.power_mW[1]), *where, "power_mW", "mid")
        rate = value(costs.power_fps, f"{costs.power_fps:.3g}", *where, "power_fps")
        cards.append(
            f'<article><h3>{escape(summary.name)}</h3><p class="big">{told} <small>{unit}</small></p>'
            f"<p>{energy} mJ per {data.inference}, up to {speed} {data.inference}s/s, {area} mm²<br>"
            f"{power} mW at {rate} {data.inference}s/s</p>"
            "</article>"
        )
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""
