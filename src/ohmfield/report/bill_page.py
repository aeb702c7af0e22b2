"""A bill as one HTML page that needs nothing else, its rows as CSV and its numbers as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ohmfield import __version__
from ohmfield.chip.chip import Chip
from ohmfield.cost.bill import Bill, Range
from ohmfield.cost.hinges import Hinge, hinges
from ohmfield.cost.peaks import peaks, points
from ohmfield.files import write_atomic
from ohmfield.fit.runs import write_json
from ohmfield.mapping.place import HOST
from ohmfield.mapping.workload import Workload
from ohmfield.report import bill_figures, figures
from ohmfield.report.bill_data import Offer, hinge_data, most_of, plain, rows, shortened, within_silicon
from ohmfield.report.card import lines
from ohmfield.report.floorplan import floorplan
from ohmfield.report.page import ASSETS
from ohmfield.report.summary import slug
from ohmfield.report.tables import finite, number

MOST_OPERATORS = 24


def write_bill(model: str, workload: Workload, offers: Sequence[Offer], out: Path) -> Path:
    """Write `bill.csv`, `bill.json` and, last, `bill.html` into the folder `out`; the path of the page."""
    found = {one.name: _hinges(one) for one in offers}
    numbers = plain(model, workload, offers)
    for one in offers:
        numbers["chips"][one.name]["hinges"] = hinge_data(found[one.name])
    write_atomic(out / "bill.csv", rows(offers).encode())
    write_json(out / "bill.json", finite(numbers))
    write_atomic(out / "bill.html", page(model, workload, offers, found).encode())
    return out / "bill.html"


def _hinges(one: Offer) -> tuple[Hinge, ...]:
    return hinges(one.priced.chip, one.priced.workload, one.priced.placement)


def page(model: str, workload: Workload, offers: Sequence[Offer], found: dict[str, tuple[Hinge, ...]]) -> str:
    """The page as HTML."""
    unit = workload.inference
    edge_um = math.sqrt(max(one.priced.bill.area_mm2[1] for one in offers) * 1e6) * 1.02
    parts = [
        ("numbers", "Energy, time, area", _table(offers, unit)),
        ("energy", "Where the energy goes", _all(offers, unit)),
    ]
    parts += [(slug(one.name), one.name, _chip(one, found[one.name], edge_um, unit)) for one in offers]
    parts.append(("card", "What this stands on", _stands(workload, offers)))
    links = "".join(f'<a href="#{name}">{escape(title)}</a>' for name, title, _ in parts)
    body = "".join(f'<section id="{name}"><h2>{escape(title)}</h2>{text}</section>' for name, title, text in parts)
    title = headline(model, offers, unit)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{(ASSETS / 'page.css').read_text(encoding='utf-8')}</style></head><body>"
        f'<header><p class="eyebrow">Ohmfield bill</p><h1>{escape(title)}</h1>{_lede(workload)}'
        f'<nav aria-label="Sections">{links}</nav></header><main>{body}</main>'
        f"<footer><p>Ohmfield {escape(__version__)}. Every operator and component stands in <code>bill.csv</code>, the "
        "numbers of this page in <code>bill.json</code> beside it.</p></footer></body></html>\n"
    )


def headline(model: str, offers: Sequence[Offer], unit: str) -> str:
    """The result in one sentence."""
    spent = sorted(one.priced.bill.energy_mJ[1] for one in offers)
    on = offers[0].name if len(offers) == 1 else f"{len(offers)} chips"
    energy = number(spent[0]) if len(offers) == 1 else f"{number(spent[0])} to {number(spent[-1])}"
    return f"One {unit} of {model} on {on}: {energy}\N{NO-BREAK SPACE}mJ"


def _lede(workload: Workload) -> str:
    count = len(workload.shapes.operators)
    weights = number(workload.shapes.weights / 1e6)
    said = (
        f"{number(workload.macs / 1e9)} billion multiply-accumulates in {count} operators, {weights} million weights."
    )
    stated = [str(rate) for rate in workload.stated if not rate.operator]
    said += f" Stated, and measured by nobody: {'; '.join(stated)}." if stated else ""
    return f'<p class="lede">{escape(said)}</p>'


def _table(offers: Sequence[Offer], unit: str) -> str:
    """Middle estimates with low and high below them."""
    titles = [f"energy, mJ per {unit}", "latency, ms", f"{unit}s per s", "area, mm²", "power, W"]
    titles += ["battery, h"] if any(one.battery_h for one in offers) else []
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = "".join(_row(one, titles) for one in offers)
    note = (
        "Middle estimate, low and high below it. Latency is of one alone, from standby where the chip sleeps in "
        "between; the rate of one after the other; power is at the rate below it."
    )
    silicon = within_silicon(offers)
    note += f" {silicon[0].upper()}{silicon[1:]}." if silicon else ""
    return (
        f'<p class="note">{note}</p><div class="scroll"><table><thead><tr><th scope="col">chip</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _row(one: Offer, titles: Sequence[str]) -> str:
    bill = one.priced.bill
    area = _span(bill.area_mm2) if bill.area_um2.any() else "not known"
    rate = f"<small>at {number(one.fps)} per s</small>"
    power = (_span(one.power_W) if one.power_W else "does not reach it ") + rate
    cells = [_span(bill.energy_mJ), _span(one.latency_ms), _span(bill.frames_per_s), area, power]
    cells += [_span(one.battery_h) if one.battery_h else "–"] if len(titles) > len(cells) else []
    made = "".join(
        f'<td data-label="{escape(title)}"><span>{cell}</span></td>' for title, cell in zip(titles, cells, strict=True)
    )
    chip = one.priced.chip
    said = chip.title if isinstance(chip, Chip) else bill.boundary
    kind = "" if isinstance(chip, Chip) else ' class="baseline"'
    waves = f' <span class="tag">{one.priced.waves} waves</span>' if one.priced.waves > 1 else ""
    return f'<tr{kind}><th scope="row">{escape(one.name)}<small>{escape(said)}{waves}</small></th>{made}</tr>'


def _span(values: Range) -> str:
    low, mid, high = map(number, values)
    return mid if low == high else f"{mid}<small>{low} – {high}</small>"


def _all(offers: Sequence[Offer], unit: str) -> str:
    chart = figures.svg(figures.energy_by_component(offers, unit), "energy", f"energy of one {unit} by component")
    caption = "<figcaption><b>All chips</b>; the thin line under a bar spans low, mid and high</figcaption>"
    most = lines(f"{one.name}: {most_of(one.priced)}" for one in offers)
    return f'<div class="side"><figure>{chart}{caption}</figure>{_key([one.priced.bill for one in offers])}</div>{most}'


def _key(bills: Sequence[Bill]) -> str:
    """The colours of the components that spend energy or take area in these bills."""
    used = {name for bill in bills for name in bill.by_component()}
    used |= {name for bill in bills for name, um2 in zip(bill.components, bill.area_um2[1, 0], strict=True) if um2 > 0}
    order = [name for name in figures.COLOURS if name in used] + sorted(used - set(figures.COLOURS))
    items = "".join(
        f'<li><i style="background: {figures.colour(name)}"></i>{escape(name.replace("_", " "))}</li>' for name in order
    )
    return f'<ul class="key">{items}</ul>'


def _chip(one: Offer, found: Sequence[Hinge], edge_um: float, unit: str) -> str:
    """The charts of one chip."""
    priced, bill = one.priced, one.priced.bill
    prefix = slug(one.name)
    costs = shortened(one.costs, MOST_OPERATORS)
    top_mJ = float(costs.energy_pJ[1].sum(axis=1).max()) * 1e-9 or 1.0
    folded = len(costs.operators) < len(bill.operators)
    said = "alike layers together, those that spend most, in the order they run" if folded else "in the order they run"
    charts = [("operators", figures.energy_by_layer(costs, top_mJ, unit), f"<b>Energy by operator</b>: {said}")]
    if isinstance(priced.chip, Chip) and priced.placement is not None:
        written = "; weights that are written in turns stand together at the end" if priced.waves > 1 else ""
        charts.append(
            (
                "time",
                bill_figures.timeline(bill),
                f"<b>One {unit} in time</b>: when each unit works, its share{written}",
            )
        )
        roofs, marks = peaks(priced.chip, priced.placement), points(bill, priced.workload, priced.placement)
        caption = (
            "<b>Operators below their roofs</b>: a dot per kind of layer, as large as its share of the time; the "
            "busiest have their names"
        )
        charts.append(("roofs", bill_figures.roofline(roofs, marks), caption))
    if found:
        caption = "<b>What the energy hangs on</b>: one constant at its low or high end, all others in the middle"
        charts.append(("hinges", bill_figures.tornado(found), caption))
    if bill.area_um2.any():
        caption = f"<b>The chip to scale</b>: {number(bill.area_mm2[1])} mm²; where a part lies is not modelled"
        charts.append(("area", floorplan(one.costs, edge_um), caption))
    panels = "".join(
        f"<figure>{figures.svg(figure, f'{prefix}-{kind}', f'{one.name}: {kind}')}"
        f"<figcaption>{caption}</figcaption></figure>"
        for kind, figure, caption in charts
    )
    return f'<p class="note">{escape(most_of(priced))}.</p><div class="grid charts">{panels}</div>{_key([bill])}'


def _stands(workload: Workload, offers: Sequence[Offer]) -> str:
    """Per chip: what was measured, stated, assumed, extrapolated, and what the host runs."""
    parts = [f"<h3>The workload</h3>{lines(_rates(workload))}"]
    for one in offers:
        bill, chip = one.priced.bill, one.priced.chip
        facts = [f"precision: {bill.precision}", f"boundary: {bill.boundary}", f"source: {chip.source}"]
        facts += [f"extrapolated: {line}" for line in chip.process.extrapolated] if isinstance(chip, Chip) else []
        facts += [_shorter(line) for line in bill.warnings]
        parts.append(f"<h3>{escape(one.name)}</h3>{lines(facts)}")
    return "".join(parts)


def _rates(workload: Workload) -> list[str]:
    said = [f"stated: {rate}" + (f", of {rate.operator}" if rate.operator else "") for rate in workload.stated]
    counted = f"measured: rates of {number(workload.tally_items)} items of a run" if workload.tally_items else ""
    return [*said, counted or "no rate was measured: no model ran; what nobody stated takes a default, listed below"]


def _shorter(line: str, most: int = 6) -> str:
    """A list of hundreds of operators by its first ones; all of them stand in `bill.json`."""
    for start, end in ((" (", ")"), (f"on the {HOST} (", "")):
        at = line.find(": " if end == "" else start) + 2
        listed = line[at : len(line) - len(end)].split(", ") if at > 1 and line.endswith(end) else []
        if len(listed) > most and (end or line.startswith(start)):
            return f"{line[:at]}{', '.join(listed[:most])} and {len(listed) - most} more{end}"
    return line
