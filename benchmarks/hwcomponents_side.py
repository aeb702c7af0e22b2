"""Our leaves against hwcomponents', component by component. Needs Python 3.12 and `ohmfield[hwcomponents]`.

    python benchmarks/hwcomponents_side.py

Their wheels carry compiled programs (CACTI, NeuroSim); where those do not run, build them with `make` first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from statistics import median
from typing import Any

from common import show, write
from ohmfield.chip import hwcomponents, library, scaling
from ohmfield.chip.converters import ADCS
from ohmfield.chip.hwcomponents import Answer
from ohmfield.chip.links import ChipLink, Mesh
from ohmfield.chip.memory import Dram, Edram, GainCell, Sram
from ohmfield.chip.process import Process
from ohmfield.quantities import HIGH, LOW, MID, Span
from ohmfield.spec import InputError

PACKAGES = ("", "-adc", "-cacti", "-library", "-neurosim")
NODES_NM = (7.0, 16.0, 22.0, 32.0, 45.0, 65.0, 90.0)
NEUROSIM_NM = (7.0, 10.0, 14.0, 22.0, 32.0, 45.0, 65.0, 90.0, 130.0)


@dataclass
class Comparison:
    """Ratios of ours to theirs for one figure of one component."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def ask(self, setting: str, question: Callable[[], Answer], ours: dict[str, Span], component: str) -> None:
        """Every figure of `ours` beside theirs of the same name: `ACTION_pJ`, `ACTION_ns`, `area_um2`, `leakage_uW`."""
        try:
            theirs = question()
        except InputError as error:
            self.failed[f"{component}, {setting}"] = str(error)
            return
        known = {
            **{f"{name}_pJ": cost.energy_pJ for name, cost in theirs.actions.items()},
            **{f"{name}_ns": cost.latency_ns for name, cost in theirs.actions.items()},
            "area_um2": theirs.part.area_um2,
            "leakage_uW": theirs.part.leakage_uW,
        }
        for name, span in ours.items():
            value = float(known[name][MID, 0])
            if value == 0.0:
                self.failed[f"{component}: {name}, {setting}"] = "answers zero"
                continue
            low, mid, high = (float(span[end, 0]) for end in (LOW, MID, HIGH))
            self.rows.setdefault(f"{component}: {name}", []).append(
                {
                    "setting": setting,
                    "ours_low_mid_high": [float(f"{number:.4g}") for number in (low, mid, high)],
                    "theirs": float(f"{value:.4g}"),
                    "ratio": float(f"{mid / value:.4g}"),
                    "within_range": low <= value <= high,
                }
            )

    def summary(self) -> Iterator[tuple[str, int, float, float, float, float]]:
        """Figure, settings, least, median and largest ratio, share within our range."""
        for name, rows in self.rows.items():
            ratios = [row["ratio"] for row in rows]
            share = sum(row["within_range"] for row in rows) / len(rows)
            yield name, len(rows), min(ratios), median(ratios), max(ratios), share


def at(node_nm: float) -> Process:
    """A process at its nominal supply."""
    return Process(node_nm=node_nm, supply_V=float(scaling.nominal_V(node_nm)), clock_GHz=1.0, extrapolate=True)


def memories(found: Comparison) -> None:
    for node in NODES_NM:
        process = at(node)
        for kilobytes in (8.0, 64.0, 256.0, 1024.0):
            for word in (64, 256, 1024):
                leaf = Sram(kilobytes=kilobytes, word_bits=word)
                read, write_, part = leaf.read(process), leaf.write(process), leaf.part(process)
                ours = {
                    "read_pJ": read.energy_pJ,
                    "write_pJ": write_.energy_pJ,
                    "read_ns": read.latency_ns,
                    "area_um2": part.area_um2,
                    "leakage_uW": part.leakage_uW,
                }
                setting = f"{node:g} nm, {kilobytes:g} KB, {word} b"
                found.ask(setting, lambda leaf=leaf, process=process: hwcomponents.answer(leaf, process), ours, "sram")
        for leaf in (Edram(kilobytes=64.0, word_bits=256), GainCell(kilobytes=128.0, word_bits=1024)):
            ours = {"read_pJ": leaf.read(process).energy_pJ, "area_um2": leaf.part(process).area_um2}
            setting = f"{node:g} nm"
            found.ask(setting, lambda leaf=leaf, process=process: hwcomponents.answer(leaf, process), ours, leaf.kind)
    process = at(28.0)
    for standard in ("lpddr", "lpddr4", "ddr3", "hbm2", "hbm3", "hbm4"):
        leaf = Dram(standard=standard)
        of_megabit = leaf.transfer(2**20).energy_pJ  # whole bursts
        ours = {"transfer_pJ": of_megabit * hwcomponents.dram_width(leaf) / 2**20}
        found.ask(standard, lambda leaf=leaf: hwcomponents.answer(leaf, process), ours, "dram")


def converters(found: Comparison) -> None:
    for kind, made in ADCS.items():
        for node in NODES_NM:
            process = at(node)
            for bits in (4, 5, 6, 7, 8, 10):
                leaf = made(bits=bits)
                ours = {"conversion_pJ": leaf.conversion(process).energy_pJ, "area_um2": leaf.part(process).area_um2}
                setting = f"{node:g} nm, {bits} b"
                found.ask(
                    setting, lambda leaf=leaf, process=process: hwcomponents.answer(leaf, process), ours, f"adc {kind}"
                )


def gates(found: Comparison) -> None:
    for node in NEUROSIM_NM:
        process = at(node)
        for bits in (8, 16, 32):
            for name, block, question, action in (
                ("adder", library.adder(bits), hwcomponents.adder, "add_pJ"),
                ("register", library.register(bits), hwcomponents.register, "write_pJ"),
            ):
                ours = {action: block.action(process).energy_pJ, "area_um2": block.part(process).area_um2}
                setting = f"{node:g} nm, {bits} b"
                found.ask(setting, lambda q=question, p=process, b=bits: q(p, b), ours, name)
        for inputs in (16, 64, 256):
            tree = library.adder(1).times(library.adder_tree_cells(inputs, 8))
            ours = {"add_pJ": tree.action(process).energy_pJ, "area_um2": tree.part(process).area_um2}
            setting = f"{node:g} nm, {inputs} of 8 b"
            found.ask(setting, lambda p=process, n=inputs: hwcomponents.adder_tree(p, n, 8), ours, "adder tree")


def links(found: Comparison) -> None:
    for node in NODES_NM:
        process, router = at(node), Mesh(routers=1, hops=0.0)
        ours = {"transfer_pJ": router.transfer(process, 256).energy_pJ, "area_um2": router.part(process).area_um2}
        setting = f"{node:g} nm"
        found.ask(setting, lambda p=process, r=router: hwcomponents.answer(r, p), ours, "router")
    process, link = at(32.0), ChipLink(port="isaac")
    ours = {"transfer_pJ": link.transfer(process, 128).energy_pJ, "area_um2": link.part(process).area_um2}
    found.ask("ISAAC", lambda: hwcomponents.answer(link, process), ours, "chip link")


def main() -> None:
    found = Comparison()
    for part in (memories, converters, gates, links):
        part(found)
    columns = ("ours / theirs", "settings", "least", "median", "largest", "theirs within our range")
    summary = list(found.summary())
    show("Leaves against hwcomponents, at nominal supplies", columns, summary)
    write(
        "hwcomponents_side",
        {
            "peer": {f"hwcomponents{name}": version(f"hwcomponents{name}") for name in PACKAGES},
            "ratio_vs_hwcomponents": {
                name: {
                    "settings": count,
                    "least": float(f"{least:.4g}"),
                    "median": float(f"{middle:.4g}"),
                    "largest": float(f"{largest:.4g}"),
                    "theirs_within_our_range": round(share, 3),
                }
                for name, count, least, middle, largest, share in summary
            },
            "failed": found.failed,
            "rows": found.rows,
        },
    )


if __name__ == "__main__":
    main()
