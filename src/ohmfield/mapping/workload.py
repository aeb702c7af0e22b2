"""What travels from a model to simulation and cost: operators with declared ids, and the rates measured on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from ohmfield.quantities import Count, Number
from ohmfield.tally import Tally

if TYPE_CHECKING:
    from ohmfield.mapping.tile import Tiling

Kind = Literal["linear", "product", "table", "cache", "interpolate", "address", "encode", "activation", "host"]
Origin = Literal["measured", "stated", "default"]


def path_of(operator: str) -> str:
    """Module path of an operator, without the call index."""
    return operator.rpartition("#")[0]


@dataclass(frozen=True)
class Operator:
    """One operator of a model, with the work of one item (one coordinate, one image, one token).

    `id` is module path + call index (`decoder.layers.0#0`).
    `linear`: `vectors` products with `inputs` x `outputs` weights, in each of `groups` that share nothing. Where the
    are windows that overlap, `values` is how many input values there are; `inserted` is the share of the vectors that
    is zeros which a transposed convolution puts between values: they take their turns and are no work. Experts of which
    an item takes a few are groups: `vectors` is the share of the items that each sees, `values` what they share.
    `product`: the same of two activations; the second is written anew for every item. Where `writes` is set, an item
    makes that many of its values and the others come out of a `cache`.
    `table`: `reads` rows of `outputs` values from `rows` stored rows.
    `cache`: what items leave for later ones (keys and values of tokens): `reads` rows of `outputs` values read and
    `writes` rows written, of `rows` that are held when the item is done; on a processor these are `bytes`, as floats.
    `address`: `reads` row addresses on `vectors` levels, from `inputs` coordinates.
    `interpolate`: `vectors` levels of `outputs` features, each from 2^`inputs` rows (`reads` in all).
    `activation`: `outputs` values through `function`.
    `encode`: `outputs` values of `inputs` coordinates through `function`.
    `host`: what no unit recognises, with its `flops` and `bytes`; billed on the host roofline, never at zero.
    """

    id: str
    kind: Kind
    inputs: int = 0
    outputs: int = 0
    vectors: float = 1.0  # how often it runs per item
    groups: int = 1
    values: float = 0.0  # 0: as many as the vectors hold
    inserted: float = 0.0
    reads: float = 0.0
    writes: float = 0.0
    rows: int = 0
    function: str = ""
    flops: float = 0.0
    bytes: float = 0.0

    @cached_property
    def path(self) -> str:
        """Module path without the call index."""
        return path_of(self.id)

    @cached_property
    def shape(self) -> tuple[object, ...]:
        """All of it but its name."""
        return tuple(getattr(self, each.name) for each in fields(self) if each.name != "id")

    @property
    def macs(self) -> float:
        """Multiply-accumulates per item."""
        if self.kind not in ("linear", "product"):
            return 0.0
        return self.vectors * self.groups * self.inputs * self.outputs * (1.0 - self.inserted)

    @property
    def input_values(self) -> float:
        """Values per item that its vectors are made of."""
        return self.values or self.vectors * self.groups * self.inputs


@dataclass(frozen=True)
class Shapes:
    """The operators of a model in the order they run, per item."""

    operators: tuple[Operator, ...]

    def __getitem__(self, operator: str) -> Operator:
        return next(op for op in self.operators if op.id == operator)

    @property
    def macs(self) -> float:
        """Multiply-accumulates per item."""
        return sum(operator.macs for operator in self.operators)

    @property
    def weights(self) -> int:
        """Values that matrices and tables store, those of a module once however often it is called."""
        stored = {op.path: op.groups * op.inputs * op.outputs for op in self.operators if op.kind == "linear"}
        stored |= {op.path: op.rows * op.outputs for op in self.operators if op.kind == "table"}
        return sum(stored.values())


@dataclass(frozen=True)
class Stated:
    """A rate that somebody said: nobody counted it, and it is no default either.

    With an `operator` it stands for a count of that name per item, as a `Tally` would hold it; without one it is
    already in the shapes or the items.
    """

    name: str
    value: float
    why: str = ""
    operator: str = ""

    def __str__(self) -> str:
        return f"{self.name} = {self.value:g}" + (f" ({self.why})" if self.why else "")


@dataclass(frozen=True)
class Workload:
    """`Shapes` plus rates: how many items one inference has, and what was counted while the model ran.

    `inference` names what a bill is for: a frame, an image, a token, a query. `tally` holds counts of a real run over
    `tally_items` items. A rate without a count takes what was `stated` of it, or a default; `origin` says which.
    """

    shapes: Shapes
    items: float
    inference: str = "frame"
    tally: Tally = field(default_factory=Tally)
    tally_items: float = 0.0
    range_vectors: float = 0.0
    """vectors per inference on which converter ranges are chosen on the instance; 0: on the design"""

    stated: tuple[Stated, ...] = ()

    def rate(self, operator: str, name: str, default: Number) -> Number:
        """Count of `name` per item of that operator, else what was stated of it, else `default`."""
        if self.measured(operator, name):
            return self.tally[operator][name] / self.tally_items
        return self.stated_of(operator).get(name, default)

    def measured(self, operator: str, name: str) -> bool:
        """Whether that rate was counted in a run."""
        return bool(self.tally_items) and name in self.tally[operator]

    def origin(self, operator: str, name: str) -> Origin:
        """Where that rate comes from."""
        if self.measured(operator, name):
            return "measured"
        return "stated" if name in self.stated_of(operator) else "default"

    @property
    def macs(self) -> float:
        """Multiply-accumulates of one inference."""
        return self.items * self.shapes.macs

    def stated_of(self, operator: str) -> dict[str, float]:
        """What was said of one operator, by name."""
        return {rate.name: rate.value for rate in self.stated if rate.operator == operator}


@dataclass(frozen=True)
class Site:
    """Where one operator runs: the unit, how the matrix is cut, and how often it is stored."""

    operator: str
    unit: str  # a name in Chip.units, "gather", "activation", "encode" ..., or "host"
    row_blocks: Count = 1  # arrays one above the other
    column_blocks: Count = 1  # arrays side by side
    copies: Count = 1
    wave: int = 0  # the turn in which its first array is written
    wave_span: Count = 1  # turns its arrays lie in
    cut: Tiling | None = field(default=None, compare=False, repr=False)  # how the matrix is cut

    @property
    def arrays(self) -> Count:
        """Arrays held, copies included."""
        return self.row_blocks * self.column_blocks * self.copies


@dataclass(frozen=True)
class Placement:
    """A `Site` for every operator, and how many waves the chip needs (1 = everything stays resident)."""

    sites: Mapping[str, Site]
    waves: int = 1
    weight_bits: Count = 8
    input_bits: Count = 8
    zero_points: frozenset[str] = frozenset()  # paths of layers whose inputs have one
