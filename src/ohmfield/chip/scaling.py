"""From the node and supply a constant was measured at to those of a chip: digital and analog apart.

Factors are relative to the reference, 28 nm and 0.9 V, and take arrays. Between tabulated nodes they are interpolated
in the logarithm of the node.
"""

from __future__ import annotations

import numpy as np

from ohmfield.quantities import Number, looked_up
from ohmfield.spec import InputError

REFERENCE_NM, REFERENCE_V = 28.0, 0.9
SMALLEST_NM, LARGEST_NM = 2.0, 180.0
# Where a source has figures: Stillmaker and Baas from 130 to 7 nm, NeuroSim's converters to 5 nm. A `Process` goes
# beyond only when told to.
SOURCED_NM = (5.0, 130.0)

# Energy of a gate at supply V: c2 V^2 + c1 V + c0. Stillmaker and Baas, Integration 58, 2017, Table 3.
_ENERGY_TERMS = {
    130.0: (7.171, -6.709, 2.904),
    90.0: (4.762, -4.781, 2.092),
    65.0: (3.755, -4.398, 1.975),
    45.0: (1.103, -0.362, 0.2767),
    32.0: (0.9559, -0.7823, 0.471),
    20.0: (0.373, -0.1582, 0.04104),
    16.0: (0.2958, -0.1241, 0.03024),
    14.0: (0.2363, -0.09675, 0.02239),
    10.0: (0.2068, -0.09311, 0.02375),
    7.0: (0.1776, -0.09097, 0.02447),
}
# Area relative to 130 nm, same source.
_AREA = {130: 1.0, 90: 0.44, 65: 0.23, 45: 0.16, 32: 0.072, 20: 0.033, 16: 0.030, 14: 0.027, 10: 0.016, 7: 0.0092}
# Nominal supplies: NeuroSim 1.4; 180 nm by common practice.
_NOMINAL_V = {180: 1.8, 130: 1.3, 90: 1.2, 65: 1.1, 45: 1.0, 32: 0.9, 22: 0.85, 14: 0.8, 10: 0.75, 7: 0.7}

# Analog blocks shrink more slowly than gates: a 2025 converter survey gives energy ~ node^0.8 to node^1.9 and area ~
# node^1.0 to node^1.5, depending on which converters are fitted.
ANALOG_ENERGY_EXPONENT = 1.0
ANALOG_AREA_EXPONENT = 1.25
# Between the measured V^-1.1 (Wang, 22 nm) and V^-2.7 (Jia, 65 nm; Sinangil, 7 nm).
DELAY_SUPPLY_EXPONENT = 1.5


@looked_up
def _interpolate(table: dict[float, float], node_nm: Number) -> Number:
    """Log-log interpolation of `table`; `InputError` outside 2..180 nm."""
    node = np.asanyarray(node_nm, dtype=np.float64)
    if not np.all((node >= SMALLEST_NM) & (node <= LARGEST_NM)):  # also catches NaN
        raise InputError(
            f"node {node_nm} nm is outside {SMALLEST_NM:g}..{LARGEST_NM:g} nm; no constants are known there"
        )
    nodes = np.array(sorted(table))
    return np.exp(np.interp(np.log(node), np.log(nodes), np.log([table[n] for n in nodes])))


def nominal_V(node_nm: Number) -> Number:
    """Nominal supply of a node; 0.7 V below 7 nm."""
    return _interpolate({float(node): volt for node, volt in _NOMINAL_V.items()}, node_nm)


def _beyond(table: dict[float, float], small_exponent: float) -> dict[float, float]:
    """`table` continued: by `node ** small_exponent` below 7 nm, along its last slope up to 180 nm."""
    slope = np.log(table[130.0] / table[90.0]) / np.log(130.0 / 90.0)
    small = table[7.0] * (SMALLEST_NM / 7.0) ** small_exponent
    return {SMALLEST_NM: small, **table, LARGEST_NM: table[130.0] * (LARGEST_NM / 130.0) ** float(slope)}


def _at_nominal(node: float) -> float:
    supply_V = float(nominal_V(node))
    c2, c1, c0 = _ENERGY_TERMS[node]
    return c2 * supply_V**2 + c1 * supply_V + c0


# Below 7 nm: energy ~ sqrt(node), area ~ node (a reading of the IRDS tables by the hwcomponents authors).
_ENERGY = _beyond({node: _at_nominal(node) for node in _ENERGY_TERMS}, 0.5)
_GATE_AREA = _beyond({float(node): area for node, area in _AREA.items()}, 1.0)


def _digital_energy(node_nm: Number, supply_V: Number) -> Number:
    return _interpolate(_ENERGY, node_nm) * (np.asanyarray(supply_V) / nominal_V(node_nm)) ** 2


def digital_energy(node_nm: Number, supply_V: Number) -> Number:
    """Energy of a gate relative to 28 nm, 0.9 V: node by the polynomials at nominal supply, then V^2.

    The polynomials have a minimum near 0.6 V at 65-130 nm, where measured macros still fall as V^1.7 to V^4; V^2 from
    the nominal supply is nearer to them.
    """
    return _digital_energy(node_nm, supply_V) / _digital_energy(REFERENCE_NM, REFERENCE_V)


def digital_area(node_nm: Number) -> Number:
    """Area of a gate relative to 28 nm."""
    return _interpolate(_GATE_AREA, node_nm) / _interpolate(_GATE_AREA, REFERENCE_NM)


def delay(node_nm: Number, supply_V: Number) -> Number:
    """Delay relative to 28 nm, 0.9 V: linear in node (a simplification), V^-1.5 from the nominal supply."""

    def raw(node: Number, supply: Number) -> Number:
        return np.asanyarray(node) * (nominal_V(node) / supply) ** DELAY_SUPPLY_EXPONENT

    return raw(node_nm, supply_V) / raw(REFERENCE_NM, REFERENCE_V)


def analog_energy(node_nm: Number, supply_V: Number) -> Number:
    """Energy of converters and lines relative to 28 nm, 0.9 V: C ~ node, E = C V^2."""
    _interpolate(_GATE_AREA, node_nm)  # refuses what lies outside the range
    node = np.asanyarray(node_nm, dtype=np.float64)
    return (node / REFERENCE_NM) ** ANALOG_ENERGY_EXPONENT * (np.asanyarray(supply_V) / REFERENCE_V) ** 2


def analog_area(node_nm: Number) -> Number:
    """Area of converters, drivers and samplers relative to 28 nm."""
    _interpolate(_GATE_AREA, node_nm)
    return (np.asanyarray(node_nm, dtype=np.float64) / REFERENCE_NM) ** ANALOG_AREA_EXPONENT
