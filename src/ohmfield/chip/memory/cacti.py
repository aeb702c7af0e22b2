"""CACTI's SRAM as tables: one port, one bank, low-power transistors (LSTP), nominal supply, 300 K.

Made by running CACTI 7 as it comes with hwcomponents-cacti 1.0.40; `benchmarks/hwcomponents_side.py` runs it again.
By node at 64-bit words, and by word at 22 nm: at 65 nm the same ratios were found within a factor 1.8, median 1.1.
"""

from __future__ import annotations

import numpy as np

from ohmfield.chip import scaling
from ohmfield.quantities import Number, looked_up

Table = tuple[tuple[float, ...], ...]

NODES_NM = (65.0, 45.0, 32.0, 22.0)
SIZES_KB = (1.0, 8.0, 32.0, 64.0, 128.0, 256.0, 1024.0, 4096.0)
WORDS_BITS = (32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0)
TABLE_WORD_BITS = 64.0

# By node: pJ per byte read and written, mm2, ns, uW.
READ_PJ_PER_BYTE = (
    (0.390, 1.39, 3.76, 5.88, 7.42, 12.6, 21.8, 44.0),
    (0.209, 0.767, 2.13, 3.23, 4.04, 5.59, 11.7, 23.6),
    (0.112, 0.430, 1.03, 1.61, 2.27, 3.35, 6.50, 12.3),
    (0.048, 0.199, 0.473, 0.709, 0.925, 1.48, 2.93, 5.48),
)
WRITE_PJ_PER_BYTE = (
    (0.811, 1.84, 3.59, 4.66, 6.20, 9.14, 18.3, 37.1),
    (0.437, 0.985, 1.92, 2.46, 3.26, 4.81, 9.52, 19.4),
    (0.237, 0.534, 0.933, 1.35, 1.76, 2.67, 5.15, 11.0),
    (0.098, 0.221, 0.388, 0.553, 0.770, 1.10, 2.19, 4.74),
)
AREA_MM2 = (
    (0.0075, 0.055, 0.198, 0.436, 0.896, 1.74, 6.81, 25.0),
    (0.0036, 0.026, 0.095, 0.209, 0.430, 0.872, 3.26, 12.0),
    (0.0018, 0.0133, 0.057, 0.124, 0.217, 0.478, 1.65, 6.53),
    (0.0009, 0.0063, 0.027, 0.059, 0.119, 0.225, 0.778, 3.08),
)
ACCESS_NS = (
    (1.2, 1.6, 2.0, 2.4, 3.1, 3.6, 5.7, 8.9),
    (0.79, 1.1, 1.4, 1.7, 2.1, 2.7, 4.0, 6.6),
    (0.62, 0.84, 1.2, 1.4, 1.6, 2.0, 3.2, 5.5),
    (0.43, 0.60, 0.85, 0.98, 1.2, 1.5, 2.4, 4.5),
)
LEAKAGE_UW = (
    (0.289, 1.777, 6.116, 10.80, 21.61, 39.63, 157.7, 622.8),
    (0.035, 0.257, 0.924, 1.670, 3.341, 6.681, 24.96, 99.18),
    (0.066, 0.450, 1.602, 2.890, 5.645, 10.66, 41.91, 167.6),
    (0.269, 1.617, 5.456, 9.770, 19.54, 35.37, 137.9, 551.6),
)
# By size and word, over 64-bit words of the same size: energy of an access, area. Fewer than 64 words deep, their
# wrapper scales an array of 64. (8 KB read in 32-bit words came out dearer than in 64: the ratio of its neighbours.)
READ_BY_WORD = (
    (0.80, 1.0, 2.01, 3.37, 6.44, 13.67, 29.82, 67.14),
    (0.74, 1.0, 1.26, 1.79, 4.82, 16.55, 36.10, 81.27),
    (0.67, 1.0, 1.38, 1.88, 2.71, 7.51, 26.49, 100.64),
    (0.77, 1.0, 1.58, 2.40, 3.51, 5.62, 18.29, 67.81),
    (0.73, 1.0, 1.60, 2.59, 4.23, 5.23, 14.93, 52.86),
    (0.62, 1.0, 1.50, 2.53, 4.28, 7.58, 10.39, 34.14),
    (0.63, 1.0, 1.55, 2.70, 4.96, 8.69, 14.82, 20.66),
    (0.63, 1.0, 1.71, 3.04, 5.46, 10.19, 18.15, 38.49),
)
WRITE_BY_WORD = (
    (0.58, 1.0, 1.46, 2.20, 3.78, 7.20, 15.12, 33.32),
    (0.68, 1.0, 1.83, 3.48, 6.15, 16.15, 33.91, 74.71),
    (0.62, 1.0, 1.81, 3.91, 7.63, 13.43, 35.97, 125.71),
    (0.65, 1.0, 1.72, 3.24, 6.75, 13.26, 29.05, 91.98),
    (0.63, 1.0, 1.70, 3.36, 6.71, 15.05, 26.40, 71.62),
    (0.66, 1.0, 1.73, 3.09, 6.10, 12.45, 26.20, 57.69),
    (0.67, 1.0, 1.80, 3.32, 6.83, 13.96, 24.48, 52.45),
    (0.65, 1.0, 1.73, 3.38, 5.78, 12.14, 25.29, 55.91),
)
AREA_BY_WORD = (
    (0.95, 1.0, 1.48, 1.87, 2.65, 4.23, 7.37, 13.66),
    (1.06, 1.0, 1.05, 1.17, 1.88, 4.64, 8.07, 14.96),
    (1.09, 1.0, 1.14, 0.92, 1.03, 1.65, 4.16, 14.04),
    (0.97, 1.0, 0.93, 1.11, 0.90, 1.10, 2.23, 6.73),
    (0.90, 1.0, 0.96, 0.95, 1.23, 0.88, 1.44, 3.65),
    (0.96, 1.0, 1.13, 1.10, 1.10, 1.54, 1.11, 2.27),
    (0.98, 1.0, 1.10, 1.13, 1.43, 1.65, 1.75, 1.26),
    (0.98, 1.0, 0.99, 1.12, 1.11, 1.41, 1.65, 2.73),
)


@looked_up
def by_node(table: Table, kilobytes: Number, node_nm: Number, beyond: Number) -> Number:
    """`table` at a size and node, log-log; beyond its nodes times `beyond`, beyond its sizes along the last slope."""
    nodes = np.log(np.array(NODES_NM[::-1]))
    node = np.clip(np.log(node_nm), nodes[0], nodes[-1])
    return _interpolated(table[::-1], node, nodes, kilobytes) * beyond


@looked_up
def by_word(table: Table, kilobytes: Number, word_bits: Number) -> Number:
    """`table` at a size and word, log-log; beyond its words and sizes along the last slope."""
    words = np.log(np.array(WORDS_BITS))
    return _interpolated(tuple(zip(*table, strict=True)), np.log(word_bits), words, kilobytes)


def _interpolated(table: Table, point: Number, grid: np.ndarray, kilobytes: Number) -> Number:
    # One weight per tabulated entry, linear between neighbours ("hat" functions), so that arrays pass through.
    at_size = _hats(np.log(kilobytes), np.log(np.array(SIZES_KB)))
    return np.exp(np.einsum("...n,...s,ns->...", _hats(point, grid), at_size, np.log(np.array(table))))


def _hats(point: Number, grid: np.ndarray) -> np.ndarray:
    """Linear interpolation weights `[..., len(grid)]`; beyond the ends the outer segment continues."""
    where = np.clip(np.searchsorted(grid, point) - 1, 0, len(grid) - 2)
    share = (np.asanyarray(point) - grid[where]) / (grid[where + 1] - grid[where])
    eye = np.eye(len(grid))
    return eye[where] * (1.0 - share)[..., None] + eye[where + 1] * share[..., None]


def energy_beyond(node_nm: Number) -> Number:
    """Energy outside the tables' nodes: ~ sqrt(node) below 22 nm, as gates above 65 nm."""
    large, last = np.maximum(node_nm, NODES_NM[0]), NODES_NM[0]
    at_last = scaling.digital_energy(last, scaling.nominal_V(last))
    return _small(node_nm) ** 0.5 * scaling.digital_energy(large, scaling.nominal_V(large)) / at_last


def area_beyond(node_nm: Number) -> Number:
    """Area outside the tables' nodes: ~ node below 22 nm, as gates above 65 nm."""
    large = np.maximum(node_nm, NODES_NM[0])
    return _small(node_nm) * scaling.digital_area(large) / scaling.digital_area(NODES_NM[0])


def delay_beyond(node_nm: Number) -> Number:
    """Access time outside the tables' nodes: ~ node."""
    return _small(node_nm) * np.maximum(node_nm, NODES_NM[0]) / NODES_NM[0]


def leakage_beyond(node_nm: Number) -> Number:
    """Leakage outside the tables' nodes: ~ sqrt(node) below 22 nm, as at 65 nm above it (assumed)."""
    return _small(node_nm) ** 0.5


def _small(node_nm: Number) -> Number:
    return np.minimum(node_nm, NODES_NM[-1]) / NODES_NM[-1]
