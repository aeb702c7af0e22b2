"""Dead lines of arrays, and spare lines that stand in for the worst ones after a test.

A dead row drives nothing and a dead column reads nothing, over its whole array. Which lines are dead and which cells
are stuck is known before weights are written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ohmfield.chip.array import Array
from ohmfield.chip.units import Crossbar
from ohmfield.mapping.tile import geometry
from ohmfield.numerics import Noise

OWN, DEAD = 0, -1


@dataclass(frozen=True, eq=False)
class Lines:
    """Which physical lines hold each copy: `OWN`, the number of a spare from 1, or `DEAD` for want of a better one."""

    rows: Int[np.ndarray, "copies column_blocks inputs"]
    columns: Int[np.ndarray, "copies row_blocks slices sides outputs"]
    references: Int[np.ndarray, "copies row_blocks references 1 column_blocks"]

    @classmethod
    def of_copies(cls, copies: Iterable[Lines]) -> Lines:
        """Several copies as one record."""
        parts = [(lines.rows, lines.columns, lines.references) for lines in copies]
        return cls(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def dead_cells(
        self, unit: Crossbar, weight_bits: int, copy: int
    ) -> tuple[Bool[np.ndarray, "inputs slices sides outputs"], Bool[np.ndarray, "inputs references 1 column_blocks"]]:
        """Which cells of one copy, and of its reference columns, lie on a dead line."""
        rows, columns = self.rows[copy] == DEAD, self.columns[copy] == DEAD
        below = np.arange(rows.shape[1]) // unit.array.rows
        beside = np.arange(columns.shape[3]) // geometry(unit, weight_bits).weights_per_row
        cells = rows[beside].T[:, None, None, :] | columns[below]
        return cells, rows.T[:, None, None, :] | (self.references[copy] == DEAD)[below]

    def told(self) -> str:
        """How many lines were replaced and how many are dead, over all copies and arrays; empty if none."""
        columns = np.concatenate([self.columns.ravel(), self.references.ravel()])
        kinds = (("row", self.rows.ravel()), ("column", columns))
        said = [
            f"{int((lines > 0).sum())} of {lines.size} {kind}s replaced by spares, {int((lines == DEAD).sum())} dead"
            for kind, lines in kinds
            if (lines != OWN).any()
        ]
        return "; ".join(said)


def has_line_faults(array: Array) -> bool:
    """Whether lines of `array` can be dead or replaced."""
    return array.dead_row_rate > 0.0 or array.dead_column_rate > 0.0 or array.spare_rows + array.spare_columns > 0


def on_lines(
    target_uS: tuple[Tensor, Tensor],
    written_uS: tuple[Tensor, Tensor],
    stuck_uS: tuple[Tensor, Tensor],
    slice_weights: Int[np.ndarray, " slices"],
    unit: Crossbar,
    weight_bits: int,
    noise: Noise,
) -> tuple[Tensor, Tensor, Lines]:
    """What one copy and its reference columns hold after lines were exchanged; zero on dead lines.

    Each of the first three is (weights [inputs, slices, sides, outputs], references [inputs, references, 1, column
    blocks]): what to hold, what a copy without exchange holds, and where its cells are stuck (NaN: free). `noise` is
    the copy's own stream; each array draws its lines and its spares there.
    """
    wide, rows = geometry(unit, weight_bits).weights_per_row, unit.array.rows
    inputs, slices, sides, outputs = target_uS[0].shape
    references, column_blocks = target_uS[1].shape[1], -(-outputs // wide)
    row_blocks = -(-inputs // rows)
    held, held_reference = written_uS[0].clone(), written_uS[1].clone()
    state_rows = np.zeros((column_blocks, inputs), dtype=np.int32)
    state_columns = np.zeros((row_blocks, slices, sides, outputs), dtype=np.int32)
    state_references = np.zeros((row_blocks, references, 1, column_blocks), dtype=np.int32)
    importance = np.abs(slice_weights.astype(np.float64))
    for below in range(row_blocks):
        for beside in range(column_blocks):
            down = slice(below * rows, min(inputs, (below + 1) * rows))
            across = slice(beside * wide, min(outputs, (beside + 1) * wide))
            count = across.stop - across.start
            # An error of a reference column reaches every weight beside it.
            weights = np.concatenate(
                [
                    np.broadcast_to(importance[:, None, None], (slices, sides, count)).ravel(),
                    np.full(references, importance.sum() * count**0.5),
                ]
            )

            parts = [
                torch.cat([cells[down, :, :, across].flatten(1), beside_cells[down, :, 0, beside]], dim=1)
                for cells, beside_cells in (target_uS, written_uS, stuck_uS)
            ]
            made, row_state, column_state = _array(parts[0], parts[1], parts[2], weights, unit, noise.at(below, beside))
            split = slices * sides * count
            held[down, :, :, across] = made[:, :split].reshape(-1, slices, sides, count)
            held_reference[down, :, 0, beside] = made[:, split:]
            state_rows[beside, down] = row_state
            state_columns[below, :, :, across] = column_state[:split].reshape(slices, sides, count)
            state_references[below, :, 0, beside] = column_state[split:]
    return held, held_reference, Lines(state_rows[None], state_columns[None], state_references[None])


def _array(
    target: Tensor, written: Tensor, stuck: Tensor, weights: np.ndarray, unit: Crossbar, noise: Noise
) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """One array [rows, columns]: what its lines hold after the exchange, and the state of its rows and columns.

    Rows are exchanged first, then columns for what stays wrong on them. Cells where spares cross count.
    """
    array, cell = unit.array, unit.cell
    rows, columns = target.shape
    full = (rows + array.spare_rows, columns + array.spare_columns)
    dead_rows = _dead(rows, array.spare_rows, array.dead_row_rate, noise.at("dead", "rows"))
    dead_columns = _dead(columns, array.spare_columns, array.dead_column_rate, noise.at("dead", "columns"))

    def with_spares(own: Tensor, goal: Tensor, *, program: bool) -> Tensor:
        """`own` beside spare lines that are stuck over `goal`, programmed first or not."""
        made = []
        for name, part in (("rows", goal[rows:, :columns]), ("columns", goal[:, columns:])):
            held = cell.program(part, noise.at("program", name)) if program and part.numel() else part
            made.append(cell.stick(held, noise.at("stuck", name)).to(own.dtype))
        return torch.cat([torch.cat([own, made[0]]), made[1]], dim=1)

    held_at = with_spares(stuck, torch.full(full, torch.nan, dtype=target.dtype), program=False).double().numpy()
    held_at[dead_rows] = 0.0
    wanted = target.double().numpy()
    row_of = _exchange(wanted, held_at[:, :columns], weights**2 * ~dead_columns[:columns], np.ones(rows))
    held_at[:, dead_columns] = 0.0
    column_of = _exchange(wanted.T, held_at[row_of].T, 1.0 * ~dead_rows[row_of], weights**2)
    goal = torch.full(full, cell.g_min_uS, dtype=target.dtype)
    goal[np.ix_(row_of, column_of)] = target
    made = with_spares(written, goal, program=True)[row_of][:, column_of]
    dead = torch.from_numpy(dead_rows[row_of][:, None] | dead_columns[column_of])
    return made.masked_fill(dead, 0.0), _state(row_of, dead_rows), _state(column_of, dead_columns)


def _dead(lines: int, spares: int, rate: float, noise: Noise) -> Bool[np.ndarray, " lines_and_spares"]:
    """Which lines are dead: the same ones however many spares the array has."""
    return np.concatenate(
        [noise.at(kind).uniform((n,)).numpy() < rate for kind, n in (("own", lines), ("spare", spares))]
    )


def _exchange(
    wanted: Float[np.ndarray, "lines cells"],
    held_at: Float[np.ndarray, "lines_and_spares cells"],
    cell_weights: Float[np.ndarray, " cells"],
    line_weights: Float[np.ndarray, " lines"],
) -> Int[np.ndarray, " lines"]:
    """The physical line of each line: its own, or a spare whose faults cost less; the costliest lines choose first.

    A cell that cannot be written stands at `held_at` (NaN: it can); it costs its weight times its squared error.
    """

    def cost(goal: np.ndarray, found: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(found), 0.0, found - goal) ** 2 @ cell_weights

    lines = len(wanted)
    costs, left = cost(wanted, held_at[:lines]), list(range(lines, len(held_at)))
    chosen = np.arange(lines)
    for line in np.argsort(-costs * line_weights, kind="stable"):
        if not left or costs[line] == 0.0:
            break
        instead = cost(wanted[line], held_at[left])
        best = int(np.argmin(instead))
        if instead[best] < costs[line]:
            chosen[line] = left.pop(best)
    return chosen


def _state(line_of: Int[np.ndarray, " lines"], dead: Bool[np.ndarray, " lines_and_spares"]) -> np.ndarray:
    """`Lines` of one array: the number of a spare, or whether an own line is dead."""
    lines = len(line_of)
    return np.where(dead[line_of], DEAD, np.where(line_of >= lines, line_of - lines + 1, OWN))
