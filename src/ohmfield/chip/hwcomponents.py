"""The same leaf, asked of hwcomponents: the maintained component models behind CiMLoop and AccelForge.

Needs `pip install 'ohmfield[hwcomponents]'` and Python 3.12. Their models answer with one number, no spread, for one
design at a time, and know no supply: each takes its own of the node.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ohmfield.chip.adc import Adc
from ohmfield.chip.links import ChipLink, Mesh
from ohmfield.chip.memory import Dram, Edram, GainCell, Sram
from ohmfield.chip.process import Process
from ohmfield.quantities import MID, NS_PER_S, PJ_PER_J, ActionCost, PartCost, span
from ohmfield.spec import InputError, told

UM2_PER_M2 = 1e12
UW_PER_W = 1e6
_NEUROSIM, _CACTI, _LIBRARY = "hwcomponents_neurosim", "hwcomponents_cacti", "hwcomponents_library"
_DRAMS = {"lpddr": "LPDDR", "lpddr4": "LPDDR4", "ddr3": "DDR3", "hbm2": "HBM2", "hbm3": "HBM3", "hbm4": "HBM4"}


@dataclass(frozen=True)
class Answer:
    """What they say of one component: each action by our name for it, and the part."""

    actions: dict[str, ActionCost]
    part: PartCost


def answer(leaf: object, process: Process) -> Answer:
    """The costs of a leaf by hwcomponents, with low = mid = high.

    An `Adc` of any kind is their survey converter at our converter's speed. `InputError` when they have no such
    component, are not installed, or fail.
    """
    for kind, ask in _ASK.items():
        if isinstance(leaf, kind):
            return ask(leaf, process)
    known = ", ".join(kind.__name__ for kind in _ASK)
    raise InputError(f"hwcomponents has no {type(leaf).__name__}; it can be asked of: {known}")


def adder(process: Process, bits: int) -> Answer:
    """A ripple adder by NeuroSim: one addition."""
    made = _make(_NEUROSIM, "Adder", tech_node=_metres(process), cycle_period=_cycle_s(process), n_bits=bits)
    return _answer(made, add="add")


def register(process: Process, bits: int) -> Answer:
    """Flip-flops by NeuroSim: one word clocked, which is what it calls a read."""
    made = _make(_NEUROSIM, "FlipFlop", tech_node=_metres(process), cycle_period=_cycle_s(process), n_bits=bits)
    return _answer(made, write="read")


def adder_tree(process: Process, inputs: int, bits: int) -> Answer:
    """A tree of adders by NeuroSim: one sum of all inputs."""
    sizes = {"n_bits": bits, "n_adder_tree_inputs": inputs}
    made = _make(_NEUROSIM, "AdderTree", tech_node=_metres(process), cycle_period=_cycle_s(process), **sizes)
    return _answer(made, add="add")


def _sram(memory: Sram, process: Process) -> Answer:
    size = round(memory.kilobytes * 8192)
    sizes = {"width": memory.word_bits, "size": size, "depth": size / memory.word_bits}
    made = _answer(_make(_CACTI, "SRAM", tech_node=_metres(process), **sizes), read="read", write="write")
    return Answer(made.actions, made.part.times(memory.banks))


def _edram(memory: Edram | GainCell, process: Process) -> Answer:
    name = "RaaamEDRAM" if isinstance(memory, GainCell) else "IsaacEDRAM"
    sizes = {"width": memory.word_bits, "size": round(memory.kilobytes * 8192)}
    made = _answer(_make(_LIBRARY, name, tech_node=_metres(process), **sizes), read="read", write="write")
    return Answer(made.actions, made.part.times(memory.banks))


def _dram(memory: Dram, process: Process) -> Answer:
    """One access of the width of their bus: the energy of a bit times that width."""
    if memory.standard not in _DRAMS:
        raise InputError(f"hwcomponents has no {memory.standard}; known: {', '.join(_DRAMS)}")
    return _answer(_make(_CACTI, _DRAMS[memory.standard]), transfer="read")


def dram_width(memory: Dram) -> int:
    """Bits of the access that `answer` gives for a DRAM."""
    return int(_make(_CACTI, _DRAMS[memory.standard]).width)


def _adc(adc: Adc, process: Process) -> Answer:
    conversion_s = float(adc.conversion(process).latency_ns[MID, 0]) / NS_PER_S
    bits = adc.bits if adc.enob is None else adc.enob
    made = _make("hwcomponents_adc", "ADC", n_bits=bits, tech_node=_metres(process), throughput=1.0 / conversion_s)
    return _answer(made, conversion="convert")


def _router(mesh: Mesh, process: Process) -> Answer:
    """One router, and one flit through it."""
    made = _make(_LIBRARY, "IsaacRouter", tech_node=_metres(process), width=mesh.width_bits)
    return _answer(made, transfer="transfer")


def _chip_link(link: ChipLink, process: Process) -> Answer:
    """A word of 128 bits; only ISAAC's port, at 65 nm where its library has it."""
    if link.port != "isaac":
        raise InputError(f"hwcomponents has no {link.port} port; known: isaac")
    return _answer(_make(_LIBRARY, "IsaacChip2ChipLink", tech_node=65e-9), transfer="read")


_ASK: dict[type, Callable[[Any, Process], Answer]] = {
    Sram: _sram,
    Edram: _edram,
    GainCell: _edram,
    Dram: _dram,
    Adc: _adc,
    Mesh: _router,
    ChipLink: _chip_link,
}


def _make(package: str, name: str, **given: Any) -> Any:
    """One of their components; whatever they raise becomes one line."""
    try:
        found = getattr(importlib.import_module(package), name)
    except (ImportError, SyntaxError) as error:  # their sources are of Python 3.12
        raise InputError(
            f"{package} cannot be used ({told(error)}); with Python 3.12 or newer: pip install 'ohmfield[hwcomponents]'"
        ) from None
    try:
        return found(**given)
    except Exception as error:  # noqa: BLE001  foreign code that raises bare `Exception` when its program does not run
        raise InputError(
            f"{package} {name} failed ({told(error)}); its compiled program may be for another system: run `make` in "
            "its folder"
        ) from None


def _answer(component: Any, **actions: str) -> Answer:
    costs = {}
    for ours, theirs in actions.items():
        cost = getattr(component, theirs)()
        costs[ours] = ActionCost(span(float(cost.energy) * PJ_PER_J), span(float(cost.latency) * NS_PER_S))
    area, leakage = float(component.area) * UM2_PER_M2, float(component.leak_power) * UW_PER_W
    return Answer(costs, PartCost(span(area), span(leakage)))


def _metres(process: Process) -> float:
    """The node in metres, not above the node times 1e9: at 90.00000000000001 nm they take the law of 22 nm."""
    node = float(process.node_nm)
    metres = node * 1e-9
    return math.nextafter(metres, 0.0) if metres * 1e9 > node else metres


def _cycle_s(process: Process) -> float:
    return 1e-9 / float(process.clock_GHz)
