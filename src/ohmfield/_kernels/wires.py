"""Currents of a crossbar whose lines have resistance: a nodal reference, an operator, and line solves for the rest.

The circuit: row i is driven at its left end through `driver_ohm`, column j is held at 0 V below its last row through
`sense_ohm`; each cell lies one segment further along both lines, the first segment before the first cell and the last
one behind the last row. So a 1 x 1 array carries `V / (driver + row + 1/G + column + sense)`. Conductances are in S.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ohmfield._kernels.threads import run_parallel
from ohmfield._kernels.wires_lines import solve_pattern

OPEN_OHM = 1e15  # a line that nothing drives
LEAST_OHM = 1e-9
TOLERANCE = 1e-10  # of the largest column current: what line solves leave
MAX_ROUNDS = 500  # line solves of one linear system; ten to forty are usual
MAX_NEWTON = 40


@dataclass(frozen=True)
class Lines:
    """Resistances of an array in ohm: one cell pitch of a row and of a column, and what lies at their ends."""

    row_ohm: float
    column_ohm: float
    driver_ohm: float = 0.0
    sense_ohm: float = 0.0


@dataclass(frozen=True)
class CellLaw:
    """`I = G V` at `read_V`; below and above it `I = G read_V sinh(k V) / sinh(k read_V)`, ohmic for k = 0."""

    k_per_V: float = 0.0
    read_V: float = 1.0

    @property
    def scale_V(self) -> float:
        """`sinh(k read_V) / read_V`, by which `sinh(k V)` is divided."""
        return float(np.sinh(self.k_per_V * self.read_V)) / self.read_V

    def current(self, volts: np.ndarray) -> np.ndarray:
        """Current over conductance."""
        return volts if self.k_per_V == 0.0 else np.sinh(self.k_per_V * volts) / self.scale_V

    def slope(self, volts: np.ndarray) -> np.ndarray:
        """Its derivative."""
        return (
            np.ones_like(volts) if self.k_per_V == 0.0 else np.cosh(self.k_per_V * volts) * self.k_per_V / self.scale_V
        )


OHMIC = CellLaw()


class NotConverged(ArithmeticError):
    """Line solves did not reach their tolerance; the message says how far they came."""


@dataclass(frozen=True, eq=False)
class Voltages:
    """A solved array: node voltages of the rows and columns at each cell, and the sensed currents in A."""

    rows_V: Float[np.ndarray, "rows columns"]
    columns_V: Float[np.ndarray, "rows columns"]
    currents_A: Float[np.ndarray, " columns"]


def operator(
    conductances_S: Float[Tensor, "*arrays rows columns"],
    lines: Lines,
    floating: Bool[np.ndarray, " rows"] | None = None,
) -> Float[Tensor, "*arrays rows columns"]:
    """T with `currents = volts @ T`, in S, for ohmic cells and rows that are held at their voltage, 0 V included.

    Rows marked `floating` are held at none. Exact: the network above each row is a Norton equivalent over the columns,
    its admittance `E` and the short-circuit currents of the rows so far, carried through one column segment at a time,
    `X = (1 + r E)^-1`: `E <- S + X E`, `T <- T X`. `S` is the next row alone, its line eliminated in closed form. Only
    positive numbers are added, so `r -> 0` gives `G` itself. Work: rows x columns^3 in fp64, the shorter side cubed.
    """
    rows, columns = conductances_S.shape[-2:]
    if columns > rows and floating is None:  # by reciprocity the array may be read the other way round
        turned = Lines(lines.column_ohm, lines.row_ohm, lines.sense_ohm, lines.driver_ohm)
        return operator(conductances_S.flip(-2, -1).mT, turned).mT.flip(-2, -1)
    cells = conductances_S.double().reshape(-1, rows, columns)
    near = torch.full((rows,), lines.driver_ohm + lines.row_ohm, dtype=torch.float64)
    if floating is not None:
        near[torch.from_numpy(floating)] = OPEN_OHM
    towards, away, decay = _row_lines(cells, near.to(cells.device), lines.row_ohm)
    out = torch.zeros_like(cells)
    eye = torch.eye(columns, dtype=torch.float64, device=cells.device)
    seen = torch.zeros_like(eye).expand(len(cells), columns, columns)  # E
    for row in range(rows):
        cell = cells[:, row]
        # Inverse of the row's own nodal matrix: (k, j) = own[k] * product of the decays from k to j, for j >= k.
        inverse = (decay[:, row, :, None] - decay[:, row, None, :]).clamp_max_(0.0).exp_() * away[:, row, None, :]
        alone = torch.diag_embed(cell) - (cell[:, :, None] * inverse) * cell[:, None, :]
        seen = seen + alone.tril() + alone.tril(-1).mT
        out[:, row] = cell * towards[:, row]
        after = lines.column_ohm + (lines.sense_ohm if row == rows - 1 else 0.0)
        through = torch.cholesky_inverse(torch.linalg.cholesky(eye + after * seen))
        out[:, : row + 1] = out[:, : row + 1] @ through
        if row < rows - 1:
            seen = through @ seen
            seen = 0.5 * (seen + seen.mT)
    return out.reshape(conductances_S.shape)


def _row_lines(cells: Tensor, near_ohm: Tensor, row_ohm: float) -> tuple[Tensor, Tensor, Tensor]:
    """Of each row alone, columns held at 0 V: node voltages for 1 V at the driver, the diagonal of the inverse of its
    nodal matrix, and the running logarithm of the factor by which a voltage falls from cell to cell."""
    columns = cells.shape[-1]
    beyond = torch.empty_like(cells)  # conductance from a node away from the driver, its own cell included
    behind = torch.empty_like(cells)  # resistance from a node back to the driver
    beyond[..., -1] = cells[..., -1]
    behind[..., 0] = near_ohm
    for right in range(columns - 1, 0, -1):
        further = beyond[..., right]
        beyond[..., right - 1] = cells[..., right - 1] + further / (1.0 + row_ohm * further)
    for right in range(1, columns):
        behind[..., right] = row_ohm + 1.0 / (1.0 / behind[..., right - 1] + cells[..., right - 1])
    steps = -torch.log1p(row_ohm * beyond)
    steps[..., 0] = 0.0
    decay = steps.cumsum(-1)
    towards = decay.exp() / (1.0 + near_ohm[:, None] * beyond[..., :1])
    return towards, 1.0 / (1.0 / behind + beyond), decay


def nodal(
    conductances_S: Float[np.ndarray, "rows columns"],
    drive_V: Float[np.ndarray, " rows"],
    lines: Lines,
    law: CellLaw = OHMIC,
    gates: Bool[np.ndarray, " rows"] | None = None,
    floating: Bool[np.ndarray, " rows"] | None = None,
) -> Voltages:
    """The plain reference: Kirchhoff's law at every node as one sparse system; Newton where cells are not ohmic.

    Rows whose `gates` are off have no cells; `floating` rows are not driven. All resistances must be positive.
    """
    from scipy.sparse import diags
    from scipy.sparse.linalg import spsolve

    rows, columns = conductances_S.shape
    cells = conductances_S if gates is None else conductances_S * gates[:, None]
    count = rows * columns
    row_node = np.arange(count).reshape(rows, columns)
    column_node = row_node + count
    near_S = np.full(rows, 1.0 / (lines.driver_ohm + lines.row_ohm))
    if floating is not None:  # a line without a driver and without cells would be at no voltage at all
        near_S[floating & (cells > 0.0).any(axis=1)] = 0.0
    end = lines.column_ohm + lines.sense_ohm
    fixed: Any = _laplacian(row_node[:, :-1], row_node[:, 1:], 1.0 / lines.row_ohm, 2 * count)
    fixed = fixed + _laplacian(column_node[:-1], column_node[1:], 1.0 / lines.column_ohm, 2 * count)
    ground, source = np.zeros(2 * count), np.zeros(2 * count)
    ground[row_node[:, 0]], ground[column_node[-1]] = near_S, 1.0 / end
    source[row_node[:, 0]] = drive_V * near_S
    fixed = fixed + diags(ground)
    volts, moved = np.zeros(2 * count), np.inf
    for _ in range(MAX_NEWTON):
        across = (volts[:count] - volts[count:]).reshape(rows, columns)
        flow = (cells * law.current(across)).ravel()
        residual = source - fixed @ volts - np.concatenate([flow, -flow])
        slopes = _laplacian(row_node, column_node, cells * law.slope(across), 2 * count)
        step: Any = spsolve((fixed + slopes).tocsc(), residual)
        volts, moved = volts + step, np.abs(step).max()
        if law.k_per_V == 0.0 or moved <= 1e-9 * np.abs(drive_V).max():
            rows_V, columns_V = volts.reshape(2, rows, columns)
            return Voltages(rows_V, columns_V, columns_V[-1] / end)
    raise NotConverged(f"nodal solve: {MAX_NEWTON} Newton steps left {moved:.1e} V")


def _laplacian(first: np.ndarray, second: np.ndarray, conductance: np.ndarray | float, size: int) -> Any:
    """Sparse nodal matrix of conductances between pairs of nodes."""
    from scipy.sparse import coo_matrix, diags

    value = np.broadcast_to(conductance, first.shape).ravel()
    half: Any = coo_matrix((value, (first.ravel(), second.ravel())), shape=(size, size))
    both = half + half.T
    return diags(np.asarray(both.sum(axis=1)).ravel()) - both


def line_currents(
    conductances_S: Float[np.ndarray, "rows columns"],
    drives_V: Float[np.ndarray, "patterns rows"],
    lines: Lines,
    law: CellLaw = OHMIC,
    gates: Bool[np.ndarray, "patterns rows"] | None = None,
    floating: Bool[np.ndarray, "patterns rows"] | None = None,
) -> Float[np.ndarray, "patterns columns"]:
    """Currents in A of each drive pattern, one circuit each: what `nodal` finds, for any gates and any cells.

    Exact solves along rows and along columns alternate and precondition conjugate gradients; Newton steps around them
    where cells are not ohmic, halved while they do not help. Raises `NotConverged` where a pattern does not reach
    `TOLERANCE`. Work: rows x columns for each line solve.
    """
    rows, columns = conductances_S.shape
    cells = np.ascontiguousarray(conductances_S, dtype=np.float64)
    row_ohm, column_ohm = max(lines.row_ohm, LEAST_OHM), max(lines.column_ohm, LEAST_OHM)

    def one(pattern: int) -> np.ndarray:
        on = np.arange(rows) if gates is None else np.flatnonzero(gates[pattern])
        if len(on) == 0:
            return np.zeros(columns)
        near = np.full(len(on), lines.driver_ohm + row_ohm)
        if floating is not None:
            near[floating[pattern][on]] = OPEN_OHM
        below = np.diff(np.append(on, rows)) * column_ohm  # a row without cells is a piece of line
        below[-1] += lines.sense_ohm
        drive = drives_V[pattern][on].astype(np.float64)
        current, left = solve_pattern(
            cells[on], drive, near, row_ohm, below, law.k_per_V, law.scale_V, TOLERANCE, MAX_ROUNDS, MAX_NEWTON
        )
        if not left <= TOLERANCE * 10.0:
            raise NotConverged(
                f"line solves of a {rows} x {columns} array left {left:.1e} of its largest current after {MAX_ROUNDS} "
                f"rounds; lines of {lines.row_ohm:g} and {lines.column_ohm:g} ohm may be too long for these cells"
            )
        return current

    return np.array(run_parallel(one, range(len(drives_V)))).reshape(len(drives_V), columns)
