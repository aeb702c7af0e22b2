"""On-chip SRAM, off-chip DRAM."""

from __future__ import annotations

import numpy as np

from ohmfield.chip import scaling
from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, Number, PartCost, Span, span
from ohmfield.spec import knob, spec

# CACTI, one port, one bank, 64-bit words, nominal supply: pJ per byte read and written, mm2, ns, by size and node.
_NODES_NM = (65.0, 45.0, 32.0, 22.0)
_SIZES_KB = (1.0, 8.0, 32.0, 64.0, 128.0, 256.0, 1024.0, 4096.0)
_READ_PJ_PER_BYTE = (
    (0.390, 1.39, 3.76, 5.88, 7.42, 12.6, 21.8, 44.0),
    (0.209, 0.767, 2.13, 3.23, 4.04, 5.59, 11.7, 23.6),
    (0.112, 0.430, 1.03, 1.61, 2.27, 3.35, 6.50, 12.3),
    (0.048, 0.199, 0.473, 0.709, 0.925, 1.48, 2.93, 5.48),
)
_WRITE_PJ_PER_BYTE = (
    (0.811, 1.84, 3.59, 4.66, 6.20, 9.14, 18.3, 37.1),
    (0.437, 0.985, 1.92, 2.46, 3.26, 4.81, 9.52, 19.4),
    (0.237, 0.534, 0.933, 1.35, 1.76, 2.67, 5.15, 11.0),
    (0.098, 0.221, 0.388, 0.553, 0.770, 1.10, 2.19, 4.74),
)
_AREA_MM2 = (
    (0.0075, 0.055, 0.198, 0.436, 0.896, 1.74, 6.81, 25.0),
    (0.0036, 0.026, 0.095, 0.209, 0.430, 0.872, 3.26, 12.0),
    (0.0018, 0.0133, 0.057, 0.124, 0.217, 0.478, 1.65, 6.53),
    (0.0009, 0.0063, 0.027, 0.059, 0.119, 0.225, 0.778, 3.08),
)
_ACCESS_NS = (
    (1.2, 1.6, 2.0, 2.4, 3.1, 3.6, 5.7, 8.9),
    (0.79, 1.1, 1.4, 1.7, 2.1, 2.7, 4.0, 6.6),
    (0.62, 0.84, 1.2, 1.4, 1.6, 2.0, 3.2, 5.5),
    (0.43, 0.60, 0.85, 0.98, 1.2, 1.5, 2.4, 4.5),
)
_TABLE_WORD_BITS = 64.0
# CACTI against CACTI of other versions and published macros differ by about this much.
_SPREAD = span(1.0, 1 / 1.5, 1.5)
UM2_PER_MM2 = 1e6


def _cacti(table: tuple[tuple[float, ...], ...], kilobytes: Number, node_nm: Number, beyond: Number) -> Number:
    """`table` at a size and node, log-log; beyond its nodes times `beyond`, beyond its sizes along the last slope."""
    nodes, sizes = np.log(np.array(_NODES_NM[::-1])), np.log(np.array(_SIZES_KB))
    logs = np.log(np.array(table)[::-1])
    # One weight per tabulated entry, linear between neighbours ("hat" functions), so that arrays pass through.
    at_node = _hats(np.clip(np.log(node_nm), nodes[0], nodes[-1]), nodes)
    at_size = _hats(np.log(kilobytes), sizes)
    return np.exp(np.einsum("...n,...s,ns->...", at_node, at_size, logs)) * beyond


def _hats(point: Number, grid: np.ndarray) -> np.ndarray:
    """Linear interpolation weights `[..., len(grid)]`; beyond the ends the outer segment continues."""
    where = np.clip(np.searchsorted(grid, point) - 1, 0, len(grid) - 2)
    share = (np.asarray(point) - grid[where]) / (grid[where + 1] - grid[where])
    eye = np.eye(len(grid))
    return eye[where] * (1.0 - share)[..., None] + eye[where + 1] * share[..., None]


def _beyond_nodes(node_nm: Number, small_exponent: float, large: Number) -> Number:
    """Below 22 nm `(node / 22) ** exponent` (energy ~ sqrt(node), area ~ node); above 65 nm the ratio `large`."""
    return (np.minimum(node_nm, _NODES_NM[-1]) / _NODES_NM[-1]) ** small_exponent * large


@spec
class Sram:
    """One SRAM buffer, or several equal banks of it. Costs are CACTI's; an access moves `word_bits`."""

    kilobytes: float = knob("cost", 64.0, gt=0, le=1e6, doc="capacity of one bank")
    word_bits: int = knob("cost", 64, ge=1, le=4096, doc="bits of one access")
    banks: int = knob("cost", 1, ge=1, le=65536, doc="banks that can be accessed at once")

    @property
    def capacity_bits(self) -> Number:
        """Bits of all banks."""
        return np.asarray(self.kilobytes) * 8192.0 * self.banks

    def accesses(self, bits: Number) -> Number:
        """Accesses that move `bits`."""
        return np.ceil(np.asarray(bits) / self.word_bits)

    def read(self, process: Process) -> ActionCost:
        """One read of `word_bits`; latency is the access time."""
        return self._access(process, _READ_PJ_PER_BYTE)

    def write(self, process: Process) -> ActionCost:
        """One write of `word_bits`."""
        return self._access(process, _WRITE_PJ_PER_BYTE)

    def _access(self, process: Process, table: tuple[tuple[float, ...], ...]) -> ActionCost:
        node, supply = process.node_nm, np.asarray(process.supply_V)
        large = np.maximum(node, _NODES_NM[0])
        nominal = scaling.nominal_V(_NODES_NM[0])
        growth = scaling.digital_energy(large, scaling.nominal_V(large)) / scaling.digital_energy(_NODES_NM[0], nominal)
        width = 0.7 * np.asarray(self.word_bits) / _TABLE_WORD_BITS + 0.3
        energy = _cacti(table, self.kilobytes, node, _beyond_nodes(node, 0.5, growth)) * width * _TABLE_WORD_BITS / 8.0
        access = _cacti(_ACCESS_NS, self.kilobytes, node, _beyond_nodes(node, 1.0, large / _NODES_NM[0]))
        over_nominal = supply / scaling.nominal_V(node)
        latency = access * over_nominal**-scaling.DELAY_SUPPLY_EXPONENT
        return ActionCost(_SPREAD * energy * over_nominal**2, _SPREAD * latency)

    def part(self, process: Process) -> PartCost:
        """All banks."""
        large = np.maximum(process.node_nm, _NODES_NM[0])
        growth = scaling.digital_area(large) / scaling.digital_area(_NODES_NM[0])
        area = _cacti(_AREA_MM2, self.kilobytes, process.node_nm, _beyond_nodes(process.node_nm, 1.0, growth))
        # CACTI, 22 nm: 256-bit words take 0.9 to 1.8 times the area of 64-bit ones; 1.1 at 64 KB.
        return process.powered(span(1.0, 1 / 1.25, 1.25) * area * UM2_PER_MM2).times(self.banks)


@spec
class Dram:
    """Off-chip memory. pJ per bit: LPDDR4 8, LPDDR 40, DDR3 70, HBM2 6.25, HBM3 4.05 (hwcomponents-cacti)."""

    pJ_per_bit: float = knob("cost", 8.0, gt=0, doc="energy of one bit moved")
    bandwidth_GBps: float = knob("cost", 25.6, gt=0, doc="sustained bandwidth")

    def transfer(self, bits: Number) -> ActionCost:
        """Moving that many bits."""
        energy: Span = span(1.0, 1 / 1.5, 1.5) * self.pJ_per_bit * bits
        return ActionCost(energy, span(1.0) * np.asarray(bits) / 8.0 / self.bandwidth_GBps)
