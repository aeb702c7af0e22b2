"""What resistance in the lines makes of a layer: effective conductances, or a circuit for every read."""

from __future__ import annotations

import hashlib
import itertools
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from ohmfield._kernels.crossbar import Currents, LoweredArray, reference
from ohmfield._kernels.threads import one_torch_thread, run_parallel
from ohmfield._kernels.wires import line_currents, operator
from ohmfield.chip.units import Crossbar
from ohmfield.chip.wires import Wires
from ohmfield.numerics import Noise
from ohmfield.simulate.conversion import pedestal_levels

S_PER_US = 1e-6
TILE = 64  # vectors whose currents are held at once
KEPT_BYTES = 2**28
_kept: OrderedDict[bytes, np.ndarray] = OrderedDict()  # operators by what they were made from, oldest first


@dataclass(frozen=True)
class Block:
    """Cells of a layer that share an array: inputs `rows`, outputs `outputs`; its columns are weights side by side,
    slices and sides of a weight next to each other, lowest slice and positive side first."""

    rows: slice
    outputs: slice


def blocks(inputs: int, outputs: int, wide: int, unit: Crossbar) -> Iterator[Block]:
    """The arrays of one copy of a layer, `wide` columns a weight, as `mapping.tile` cuts them."""
    weights = unit.array.columns // wide
    for top in range(0, inputs, unit.array.rows):
        for left in range(0, outputs, weights):
            yield Block(
                slice(top, min(top + unit.array.rows, inputs)),
                slice(left, min(left + weights, outputs)),
            )


def physical(
    conductances_uS: Float[np.ndarray, "inputs slices sides outputs"], block: Block
) -> Float[np.ndarray, "rows columns"]:
    """The cells of one array as they lie, in S."""
    part = conductances_uS[block.rows, :, :, block.outputs].transpose(0, 3, 1, 2)
    return part.reshape(len(part), -1).astype(np.float64) * S_PER_US


@dataclass(frozen=True, eq=False)
class Read:
    """One row group of an array: rows with an input, rows whose cells are connected, rows that nothing drives."""

    driven: Bool[np.ndarray, " rows"]
    connected: Bool[np.ndarray, " rows"]
    floating: Bool[np.ndarray, " rows"]


def read_of(group: slice, block: slice, wires: Wires) -> Read:
    """How the rows of `block` stand while row group `group` of it is read."""
    number = np.arange(block.start, block.stop)
    driven = (number >= group.start) & (number < group.stop)
    everything = np.ones_like(driven)
    connected = driven if wires.idle_rows == "gated" else everything
    return Read(driven, connected, ~driven if wires.idle_rows == "floating" else ~everything)


def effective_uS(
    conductances_uS: Float[np.ndarray, "inputs slices sides outputs"],
    unit: Crossbar,
    starts: Int[np.ndarray, " groups"],
) -> Float[np.ndarray, "inputs slices sides outputs"]:
    """What each cell counts for in the current of its column, in uS; `starts` are the row groups of the layer.

    Exact for ohmic cells driven on their source lines: one operator per array, or one per row group where idle rows
    are gated or float. Only cells in use are in the circuit. Operators are kept, so asking again costs nothing.
    """
    wires = unit.array.wires
    assert wires is not None
    cells = np.ascontiguousarray(conductances_uS, dtype=np.float64)
    key = hashlib.blake2b(repr((unit.array, cells.shape, starts.tolist())).encode() + cells.tobytes()).digest()
    if key in _kept:
        _kept.move_to_end(key)
        return _kept[key]
    _, slices, sides, outputs = cells.shape
    made = np.empty_like(cells)

    def one(block: Block) -> None:
        held = physical(cells, block)
        seen = np.empty_like(held)
        for group in groups_of(starts, block.rows, whole=wires.idle_rows == "grounded"):
            read = read_of(group, block.rows, wires)
            floating = read.floating if read.floating.any() else None
            connected = torch.from_numpy(held * read.connected[:, None])
            seen[read.driven] = operator(connected, wires.lines, floating).numpy()[read.driven]
        made[block.rows, :, :, block.outputs] = as_cells(seen / S_PER_US, slices, sides)

    with one_torch_thread():
        run_parallel(one, blocks(len(cells), outputs, slices * sides, unit))
    _kept[key] = made
    while len(_kept) > 1 and sum(kept.nbytes for kept in _kept.values()) > KEPT_BYTES:
        _kept.popitem(last=False)
    return made


def groups_of(starts: Int[np.ndarray, " groups"], block: slice, *, whole: bool = False) -> Iterator[slice]:
    """The row groups in a block of rows; `whole`: the block as one."""
    inside = [int(start) for start in starts if block.start <= start < block.stop]
    yield from itertools.starmap(slice, itertools.pairwise([*(inside[:1] if whole else inside), block.stop]))


def as_cells(columns: np.ndarray, slices: int, sides: int) -> np.ndarray:
    """Physical columns [rows, columns] as [rows, slices, sides, outputs]."""
    return columns.reshape(len(columns), -1, slices, sides).transpose(0, 2, 3, 1)


class Circuits:
    """One copy of a layer as arrays of lines and cells: what a conversion sees, solved for each row of digits.

    For inputs on the gates and cells that are not ohmic, where no operator exists. Each different pattern of digits on
    each array is a circuit, so this is slow: some milliseconds for an array of 256 x 256 cells.
    """

    def __init__(
        self,
        conductances_uS: Float[np.ndarray, "inputs slices sides outputs"],
        unit: Crossbar,
        starts: Int[np.ndarray, " groups"],
        level_uS: float,  # that the converters see as one level
    ) -> None:
        assert unit.array.wires is not None
        self.cells, self.unit, self.starts, self.wires = conductances_uS, unit, starts, unit.array.wires
        self.level_A = level_uS * S_PER_US * unit.array.read_voltage_V / (2**unit.dac.bits - 1)
        self.pedestal = pedestal_levels(unit)
        self.reach_levels = float(conductances_uS.sum(axis=(0, 2)).max()) / level_uS
        _, slices, sides, outputs = conductances_uS.shape
        self.blocks = list(blocks(len(conductances_uS), outputs, slices * sides, unit))
        self._solved: dict[tuple[int, bytes], np.ndarray] = {}

    def run(
        self, array: LoweredArray, codes: Int[np.ndarray, "vectors inputs"], noise: Noise, first: int
    ) -> tuple[Int[np.ndarray, "vectors outputs"], dict[str, float]]:
        """What `reference` returns, its sums replaced by the currents of this copy."""
        out = np.empty((len(codes), array.num_outputs), dtype=np.int64)
        counts: dict[str, float] = {}
        for low in range(0, len(codes), TILE):
            part, made = reference(array, codes[low : low + TILE], noise, first + low, self.values(array))
            out[low : low + TILE] = part
            counts = {name: counts.get(name, 0.0) + value for name, value in made.items()}
            self._solved.clear()
        return out, counts

    def values(self, array: LoweredArray) -> Currents:
        """The sums of `array` by row group, bank and digits, in 1 / grid level above the pedestal."""

        def of(group: int, bank: int, digit: Int[np.ndarray, "vectors rows"]) -> Int[np.ndarray, "vectors outputs"]:
            key = (group, digit.tobytes())
            if key not in self._solved:
                patterns, which = np.unique(digit, axis=0, return_inverse=True)
                levels = self._levels(group, patterns)
                self._solved[key] = np.floor(levels * array.grid + 0.5).astype(np.int64)[which.ravel()]
            return self._solved[key][:, bank]

        return of

    def _levels(
        self, group: int, digit: Int[np.ndarray, "patterns rows"]
    ) -> Float[np.ndarray, "patterns banks outputs"]:
        """Currents of a row group in cell levels, pedestals taken off, banked."""
        low, high = int(self.starts[group]), int(self.starts[group + 1])
        _, slices, sides, outputs = self.cells.shape
        levels = np.empty((len(digit), slices, sides, outputs))
        for block in self.blocks:
            if not block.rows.start <= low < block.rows.stop:
                continue
            read = read_of(slice(low, high), block.rows, self.wires)
            full = np.zeros((len(digit), len(read.driven)))
            full[:, read.driven] = digit
            gates = np.broadcast_to(read.connected, full.shape)
            if self.wires.input_on == "gate":
                full, gates = np.ones_like(full), full > 0.0
            drives = full * (self.unit.array.read_voltage_V / (2**self.unit.dac.bits - 1))
            law = self.wires.law(self.unit.array.read_voltage_V)
            floating = np.broadcast_to(read.floating, full.shape)
            currents = line_currents(physical(self.cells, block), drives, self.wires.lines, law, gates, floating)
            levels[..., block.outputs] = as_cells(currents / self.level_A, slices, sides)
        if self.unit.pairs:
            return levels[:, :, 0] - levels[:, :, 1]
        levels -= self.pedestal * digit.sum(axis=1)[:, None, None, None]
        return levels.reshape(len(digit), slices * sides, outputs)
