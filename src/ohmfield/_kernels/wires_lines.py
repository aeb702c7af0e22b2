"""Compiled line solves: one drive pattern of one array, exact along each line, conjugate gradients between them."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

LANES = 8  # rows solved side by side: their recurrences hide each other's latency
TINY_A = 1e-30  # below any current
LEAST_STEP = 1e-6  # a Newton step shortened this far will not help


@njit(cache=True, nogil=True)
def solve_pattern(
    cells: np.ndarray,  # [rows, columns] S: rows that are connected
    drive: np.ndarray,  # [rows] V
    near: np.ndarray,  # [rows] ohm up to the first cell
    row_ohm: float,
    below: np.ndarray,  # [rows] ohm from a row to the next, or to ground
    k_per_V: float,
    scale_V: float,
    tolerance: float,
    max_rounds: int,
    max_newton: int,
) -> tuple[np.ndarray, float]:
    """Column currents in A, and what is left unbalanced, as a share of the largest."""
    rows, columns = cells.shape
    row_V, column_V = np.zeros((rows, columns)), np.zeros((rows, columns))
    row_left, column_left = np.zeros((rows, columns)), np.zeros((rows, columns))
    row_left[:, 0] = drive / near
    left = _linear(cells, near, row_ohm, below, row_left, column_left, row_V, column_V, tolerance, max_rounds)
    sums = _sums(cells, row_V, column_V, k_per_V, scale_V)
    if k_per_V == 0.0:
        return sums, left
    slope, row_step, column_step = np.empty_like(cells), np.empty_like(cells), np.empty_like(cells)
    state = (cells, drive, near, row_ohm, below, k_per_V, scale_V)
    best = _imbalance(state, row_V, column_V, row_left, column_left)
    for _ in range(max_newton):
        for i in range(rows):
            for j in range(columns):
                slope[i, j] = cells[i, j] * math.cosh(k_per_V * (row_V[i, j] - column_V[i, j])) * k_per_V / scale_V
        _linear(slope, near, row_ohm, below, row_left, column_left, row_step, column_step, tolerance, max_rounds)
        tried = _sums(cells, row_V + row_step, column_V + column_step, k_per_V, scale_V)
        left = np.abs(tried - sums).max() / max(np.abs(tried).max(), TINY_A)
        if left <= tolerance:
            return tried, left
        size, now = 1.0, best
        while size > LEAST_STEP:  # halved until Kirchhoff's law holds better than before
            now = _imbalance(state, row_V + size * row_step, column_V + size * column_step, row_left, column_left)
            if now < best:
                break
            size *= 0.5
        row_V, column_V, best = row_V + size * row_step, column_V + size * column_step, now
        sums = _sums(cells, row_V, column_V, k_per_V, scale_V)
    return sums, left


@njit(cache=True, nogil=True)
def _sums(cells: np.ndarray, row_V: np.ndarray, column_V: np.ndarray, k_per_V: float, scale_V: float) -> np.ndarray:
    """Currents that the cells of each column carry together: what is sensed, without a difference of node voltages."""
    rows, columns = cells.shape
    out = np.zeros(columns)
    for i in range(rows):
        for j in range(columns):
            volts = row_V[i, j] - column_V[i, j]
            out[j] += cells[i, j] * (volts if k_per_V == 0.0 else math.sinh(k_per_V * volts) / scale_V)
    return out


@njit(cache=True, nogil=True)
def _imbalance(
    state: tuple[np.ndarray, np.ndarray, np.ndarray, float, np.ndarray, float, float],
    row_V: np.ndarray,
    column_V: np.ndarray,
    row_left: np.ndarray,
    column_left: np.ndarray,
) -> float:
    """Fills what Kirchhoff's law leaves at every node, in A; returns the sum of its squares."""
    cells, drive, near, row_ohm, below, k_per_V, scale_V = state
    rows, columns = cells.shape
    total = 0.0
    for i in range(rows):
        for j in range(columns):
            volts = row_V[i, j] - column_V[i, j]
            flow = cells[i, j] * (volts if k_per_V == 0.0 else math.sinh(k_per_V * volts) / scale_V)
            into = (drive[i] - row_V[i, 0]) / near[i] if j == 0 else (row_V[i, j - 1] - row_V[i, j]) / row_ohm
            if j + 1 < columns:
                into -= (row_V[i, j] - row_V[i, j + 1]) / row_ohm
            down = (column_V[i, j] - (column_V[i + 1, j] if i + 1 < rows else 0.0)) / below[i]
            if i > 0:
                down -= (column_V[i - 1, j] - column_V[i, j]) / below[i - 1]
            row_left[i, j], column_left[i, j] = into - flow, flow - down
            total += row_left[i, j] ** 2 + column_left[i, j] ** 2
    return total


@njit(cache=True, nogil=True)
def _linear(
    cells: np.ndarray,
    near: np.ndarray,
    row_ohm: float,
    below: np.ndarray,
    row_source: np.ndarray,
    column_source: np.ndarray,
    row_V: np.ndarray,
    column_V: np.ndarray,
    tolerance: float,
    max_rounds: int,
) -> float:
    """Node voltages for the currents fed into the nodes, cells ohmic; returns the imbalance left over, relative.

    The rows are eliminated (a line solve each), conjugate gradients run on the columns, and a line solve along each
    column is the preconditioner. The column matrix times a direction is carried along instead of formed, so lines of
    little resistance cancel nothing.
    """
    rows, columns = cells.shape
    row_pivot, row_share = np.empty((rows, columns)), np.empty((rows, columns))
    column_pivot, column_share = np.empty((rows, columns)), np.empty((rows, columns))
    for i in range(rows):  # conductance seen from a node towards the end of its line, its own cell included
        seen = 0.0
        for j in range(columns - 1, -1, -1):
            seen = cells[i, j] + seen / (1.0 + row_ohm * seen)
            ohm = near[i] if j == 0 else row_ohm
            row_share[i, j] = 1.0 / (1.0 + ohm * seen)
            row_pivot[i, j] = ohm * row_share[i, j]
    for j in range(columns):
        column_pivot[0, j] = cells[0, j]
    for i in range(rows):
        for j in range(columns):
            seen = cells[i, j]
            if i > 0:
                before = column_pivot[i - 1, j]
                seen += before / (1.0 + below[i - 1] * before)
            column_pivot[i, j] = seen
    for i in range(rows):
        for j in range(columns):
            column_share[i, j] = 1.0 / (1.0 + below[i] * column_pivot[i, j])
            column_pivot[i, j] = below[i] * column_share[i, j]
    work = np.empty((rows, columns))
    _along_rows(row_pivot, row_share, row_source, work)
    left = column_source + cells * work
    column_V[:] = 0.0
    solved, direction = np.empty((rows, columns)), np.zeros((rows, columns))
    image, product = np.zeros((rows, columns)), np.empty((rows, columns))
    start = np.abs(left).sum(axis=0).max()
    if start == 0.0:
        row_V[:] = work
        return 0.0
    share, before_rz = 1.0, 0.0
    for turn in range(max_rounds):
        _along_columns(column_pivot, column_share, left, solved)
        rz = 0.0
        for i in range(rows):
            for j in range(columns):
                rz += left[i, j] * solved[i, j]
        factor = rz / before_rz if turn else 0.0
        before_rz = rz
        for i in range(rows):
            for j in range(columns):
                direction[i, j] = solved[i, j] + factor * direction[i, j]
                image[i, j] = left[i, j] + factor * image[i, j]
                product[i, j] = cells[i, j] * direction[i, j]
        _along_rows(row_pivot, row_share, product, work)
        curve = 0.0
        for i in range(rows):
            for j in range(columns):
                product[i, j] = image[i, j] - cells[i, j] * work[i, j]
                curve += direction[i, j] * product[i, j]
        if curve <= 0.0:
            break
        length = rz / curve
        for i in range(rows):
            for j in range(columns):
                column_V[i, j] += length * direction[i, j]
                left[i, j] -= length * product[i, j]
        share = np.abs(left).sum(axis=0).max() / start
        if share <= tolerance:
            break
    _along_rows(row_pivot, row_share, row_source + cells * column_V, row_V)
    return share


@njit(cache=True, nogil=True)
def _along_rows(pivot: np.ndarray, share: np.ndarray, source: np.ndarray, out: np.ndarray) -> None:
    """Each row's voltages for the currents fed into its nodes, columns held at 0 V."""
    rows, columns = source.shape
    for low in range(0, rows, LANES):
        high = min(low + LANES, rows)
        for i in range(low, high):
            out[i, columns - 1] = source[i, columns - 1]
        for j in range(columns - 2, -1, -1):
            for i in range(low, high):  # what flows to a node from the far end, as if it were at 0 V
                out[i, j] = source[i, j] + share[i, j + 1] * out[i, j + 1]
        for i in range(low, high):
            out[i, 0] *= pivot[i, 0]
        for j in range(1, columns):
            for i in range(low, high):
                out[i, j] = share[i, j] * out[i, j - 1] + pivot[i, j] * out[i, j]


@njit(cache=True, nogil=True)
def _along_columns(pivot: np.ndarray, share: np.ndarray, source: np.ndarray, out: np.ndarray) -> None:
    """Each column's voltages for the currents fed into its nodes, rows held at 0 V."""
    rows, columns = source.shape
    for j in range(columns):
        out[0, j] = source[0, j]
    for i in range(1, rows):
        for j in range(columns):
            out[i, j] = source[i, j] + share[i - 1, j] * out[i - 1, j]
    for j in range(columns):
        out[rows - 1, j] *= pivot[rows - 1, j]
    for i in range(rows - 2, -1, -1):
        for j in range(columns):
            out[i, j] = share[i, j] * out[i + 1, j] + pivot[i, j] * out[i, j]
