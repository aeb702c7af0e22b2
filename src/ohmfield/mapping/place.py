"""Which operator runs where: units, copies, and waves where a network is larger than the chip."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ohmfield.chip.chip import Chip
from ohmfield.chip.stages import FUNCTIONS
from ohmfield.chip.units import DigitalUnit
from ohmfield.mapping.tile import Tiling, tile
from ohmfield.mapping.workload import Operator, Placement, Shapes, Site
from ohmfield.quantities import Count, Each, Number, ceil_div, largest, smallest, uniform
from ohmfield.spec import InputError

HOST = "host"
GATHER = "gather"
ACTIVATION = "activation"
REQUANTISER = "requantiser"
TABLE_MEMORY = "table_memory"
DRAM = "dram"


class OneByOne(Exception):
    """Designs of a batch that are written in waves: each has turns of its own, so they are placed one at a time."""


@dataclass(frozen=True)
class _Layer:
    operator: Operator
    tiling: Tiling

    @property
    def time(self) -> Number:
        """Reads one after the other, in units of one conversion round: what a copy divides."""
        return self.operator.vectors * self.tiling.groups


def place(
    shapes: Shapes,
    chip: Chip,
    weight_bits: Count = 8,
    input_bits: Count = 8,
    copies: Literal["fit"] | int = "fit",
    *,
    allow_waves: bool = True,
    allow_host: bool = True,
) -> Placement:
    """A `Site` for every operator of `shapes`, on a chip or on the `columns` of many that take the same ways.

    Linear operators go to the unit that `chip.place` names. Where a unit has arrays to spare, `copies="fit"` stores
    the slowest layers again, up to `unit.max_copies`; a number asks for exactly that many. Where it has too few, its
    arrays are written in turns (waves), one copy each. Tables fill the table memory in order, then go to DRAM, then
    to the host; what no unit serves goes to the host, unless `allow_host` is false. What is left of earlier items (a
    `cache`) lies in DRAM. `InputError` names the layer that cannot be placed.
    """
    sites: dict[str, Site] = {}
    waves = 1
    pool = product_arrays(shapes, chip, weight_bits)
    for name, layers in _by_unit(shapes, chip, weight_bits).items():
        for site in _place_unit(name, layers, chip, copies, pool.get(name, 0)):
            sites[site.operator] = site
            waves = max(waves, site.wave + site.wave_span)
        if waves > 1 and not allow_waves:
            raise InputError(
                *_too_large(name, layers, chip.units[name].num_arrays * chip.num_chips - pool.get(name, 0))
            )
    free_bits, tables = _table_capacity(chip), dict[str, str]()
    for operator in shapes.operators:
        if operator.kind == "table":
            if operator.path not in tables:  # stored once, however often it is read
                bits = table_bits(operator, chip)
                tables[operator.path] = _table_home(bits, free_bits, chip)
                free_bits -= bits if tables[operator.path] == TABLE_MEMORY else 0.0
            sites[operator.id] = Site(operator.id, tables[operator.path])
        elif operator.kind == "product":
            sites[operator.id] = _product_site(operator, chip, weight_bits)
        elif operator.kind != "linear":
            sites[operator.id] = Site(operator.id, _digital_home(operator, chip))
        if sites[operator.id].unit == HOST and not allow_host:
            raise InputError(
                f"no unit of {chip.name} serves {operator.function or operator.kind}, and the host is forbidden: allow "
                "the host, replace the operation, or choose a chip with such a unit",
                operator.id,
            )
    ordered = {operator.id: sites[operator.id] for operator in shapes.operators}
    return Placement(ordered, waves, weight_bits, input_bits)


def table_bits(operator: Operator, chip: Chip) -> Number:
    """Bits that the stored table of `operator` takes."""
    word = chip.gather.table_bits if chip.gather else 32
    return 1.0 * operator.rows * operator.outputs * word


def _table_capacity(chip: Chip) -> Number:
    return chip.table_memory.capacity_bits if chip.table_memory else 0.0


def _table_home(bits: Number, free_bits: Number, chip: Chip) -> str:
    if chip.gather is None:
        return HOST
    if uniform(bits <= free_bits):
        return TABLE_MEMORY
    return DRAM if chip.dram else HOST


def _digital_home(operator: Operator, chip: Chip) -> str:
    if operator.kind in ("address", "interpolate") and chip.gather:
        return GATHER
    if operator.kind == "activation" and operator.function in FUNCTIONS:
        return ACTIVATION
    if operator.kind == "cache" and chip.dram:
        return DRAM
    if operator.kind == "encode" and operator.function == "affine":
        return REQUANTISER  # the quantiser of inputs shifts; to [-1, 1] is a shift and an offset
    return HOST


def _by_unit(shapes: Shapes, chip: Chip, weight_bits: Count) -> dict[str, list[_Layer]]:
    """The linear operators of each unit, tiled, in running order. Calls of one module share its arrays."""
    linear = [operator for operator in shapes.operators if operator.kind == "linear"]
    units: dict[str, list[_Layer]] = {}
    cuts: dict[object, Tiling] = {}  # those of a shape are alike
    for index, operator in enumerate(linear):
        position = "first" if index == 0 else "last" if index == len(linear) - 1 else ""
        name = chip.unit_for(operator.path, position)
        cut = cuts.get((name, operator.shape))
        if cut is None:
            cut = cuts[name, operator.shape] = tile(operator, chip.units[name], weight_bits)
        units.setdefault(name, []).append(_Layer(operator, cut))
    return units


def _stored(layers: Iterable[_Layer]) -> dict[str, _Layer]:
    """One layer per module path: a module called twice is stored once and runs for both calls."""
    stored: dict[str, _Layer] = {}
    for layer in layers:
        known = stored.get(layer.operator.path)
        if known:
            vectors = known.operator.vectors + layer.operator.vectors
            layer = replace(known, operator=replace(known.operator, vectors=vectors))
        stored[layer.operator.path] = layer
    return stored


def _too_large(name: str, layers: list[_Layer], num_arrays: Count) -> tuple[str, str]:
    """What to say, and of whom, where weights would have to be written in waves."""
    stored = _stored(layers)
    needed = sum(layer.tiling.arrays for layer in stored.values())
    most = max(stored.values(), key=lambda layer: float(np.max(layer.tiling.arrays)))
    return (
        f"the model needs {needed} arrays of {name}, {most.tiling.arrays} of them for this layer, and there are "
        f"{num_arrays}: allow waves, use fewer weight bits, or give the unit more arrays",
        most.operator.path,
    )


def product_unit(chip: Chip) -> str | None:
    """Name of the unit that multiplies activations by activations: the first digital one, whose writes are cheap."""
    digital = (name for name, unit in chip.units.items() if isinstance(unit, DigitalUnit) and unit.rewritable)
    return next(digital, None)


def product_arrays(shapes: Shapes, chip: Chip, weight_bits: Count) -> dict[str, Count]:
    """Arrays kept for products of activations, by unit: what the largest needs. They take turns there."""
    name = product_unit(chip)
    products = [operator for operator in shapes.operators if operator.kind == "product"]
    if name is None or not products:
        return {}
    needed = [tile(operator, chip.units[name], weight_bits).arrays for operator in products]
    return {name: smallest(largest(*needed), chip.units[name].num_arrays)}


def _product_site(operator: Operator, chip: Chip, weight_bits: Count) -> Site:
    """A product larger than its unit is written in turns."""
    name = product_unit(chip)
    if name is None:
        return Site(operator.id, HOST)
    cut = tile(operator, chip.units[name], weight_bits)
    turns = ceil_div(cut.arrays, chip.units[name].num_arrays)
    return Site(operator.id, name, cut.row_blocks, cut.column_blocks, wave_span=turns, cut=cut)


def _place_unit(name: str, layers: list[_Layer], chip: Chip, copies: Literal["fit"] | int, kept: Count) -> list[Site]:
    """Sites of the layers on one unit, of whose arrays so many are kept for other things."""
    unit, stored = chip.units[name], _stored(layers)
    num_arrays = largest(1, unit.num_arrays * chip.num_chips - kept)
    needed = sum(layer.tiling.arrays for layer in stored.values())
    first = dict.fromkeys(stored, 0)
    resident = uniform(needed <= num_arrays)
    if copies == "fit":
        times = _fit_copies(stored, num_arrays - needed, unit.max_copies)
    else:
        times = dict.fromkeys(stored, _asked(copies, stored, num_arrays, unit.max_copies, name))
    if not unit.rewritable and not resident:
        raise InputError(
            f"{needed} arrays are needed and {num_arrays} there; its weights cannot be written again "
            "in waves: raise num_arrays",
            f"units.{name}",
        )
    if resident:
        return [
            Site(op.id, name, cut.row_blocks, cut.column_blocks, times[op.path], cut=cut)
            for op, cut in ((layer.operator, layer.tiling) for layer in layers)
        ]
    if any(isinstance(count, np.ndarray) and count.size > 1 for count in (needed, num_arrays)):
        raise OneByOne
    position = 0
    for path, layer in stored.items():
        first[path] = position
        position += layer.tiling.arrays * times[path]
    sites = []
    for layer in layers:
        path, cut = layer.operator.path, layer.tiling
        wave, last = (edge // num_arrays for edge in (first[path], first[path] + cut.arrays * times[path] - 1))
        sites.append(
            Site(
                layer.operator.id,
                name,
                cut.row_blocks,
                cut.column_blocks,
                times[path],
                wave=wave,
                wave_span=last - wave + 1,
                cut=cut,
            )
        )
    return sites


def _asked(copies: int, stored: dict[str, _Layer], num_arrays: Count, max_copies: Number, name: str) -> int:
    """`copies`, if it can be had."""
    needed = copies * sum(layer.tiling.arrays for layer in stored.values())
    if copies < 1 or uniform(copies > max_copies):
        raise InputError(f"copies {copies} is not within 1 .. max_copies {max_copies}", f"units.{name}")
    if copies > 1 and uniform(needed > num_arrays):
        slowest = max(stored.values(), key=lambda layer: float(np.max(layer.tiling.arrays))).operator.path
        raise InputError(
            f"{copies} copies need {needed} arrays (most for {slowest}), there are {num_arrays}: ask for fewer",
            f"units.{name}",
        )
    return copies


def _fit_copies(stored: dict[str, _Layer], spare: Count, max_copies: Count) -> dict[str, Count]:
    """Copies per module path: each spare array goes to the layer that takes longest at that point."""
    if any(
        isinstance(given, np.ndarray)
        for given in (spare, max_copies, *(layer.tiling.arrays for layer in stored.values()))
    ):
        return _fit_copies_of_many(stored, spare, max_copies)
    copies = dict.fromkeys(stored, 1)
    queue = [(-float(layer.time), path) for path, layer in stored.items()]
    heapq.heapify(queue)
    while queue:
        _, path = heapq.heappop(queue)
        layer = stored[path]
        if layer.tiling.arrays > spare or copies[path] >= max_copies:
            continue
        spare -= layer.tiling.arrays
        copies[path] += 1
        heapq.heappush(queue, (-float(layer.time) / copies[path], path))
    return dict(copies)


def _fit_copies_of_many(stored: dict[str, _Layer], spare: Count, max_copies: Count) -> dict[str, Count]:
    """The same for many designs at once: in every round each design gives to its slowest layer, or is done with it."""
    if np.max(max_copies) == 1:
        return dict.fromkeys(stored, 1)
    paths = sorted(stored)  # of layers that take equally long the first by name comes first
    taken = [stored[path].time for path in paths], [stored[path].tiling.arrays for path in paths]
    together = np.stack(np.broadcast_arrays(spare, max_copies, *taken[0], *taken[1]))
    left, most, *each = np.asarray(together)
    times, arrays = np.array(each[: len(paths)], dtype=float), np.array(each[len(paths) :], dtype=float)
    left, copies, waits = left.astype(float), np.ones_like(times), times.copy()
    designs = np.arange(times.shape[1])
    while True:
        slowest = waits.argmax(0)
        needed = arrays[slowest, designs]
        open_ = waits[slowest, designs] > 0.0
        if not open_.any():
            kept = together.groups.each(copies) if isinstance(together, Each) else copies
            return dict(zip(paths, kept, strict=True))
        given = open_ & (needed <= left) & (copies[slowest, designs] < most)
        left -= np.where(given, needed, 0.0)
        copies[slowest, designs] += given
        waits[slowest, designs] = np.where(given, times[slowest, designs] / copies[slowest, designs], 0.0)
