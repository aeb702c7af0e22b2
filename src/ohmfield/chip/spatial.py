"""A plane of multipliers with a row of wider processors below it, on one buffer: where attention runs as one stream."""

from __future__ import annotations

from ohmfield.spec import knob, spec


@spec
class SpatialArray:
    """`rows` x `columns` processors that multiply and add, and `lanes` beside them that also divide; both at once.

    Energies are of one operation on one word. A word of the registers is read for every operation of the plane.
    """

    name: str = knob("label", doc="what it is")
    source: str = knob("label", doc="where the figures come from")
    assumed: tuple[str, ...] = knob("label", (), doc="what no source gives, one line each")
    rows: int = knob("cost", 256, ge=1, le=65536, doc="processors of the plane, down: queries side by side")
    columns: int = knob("cost", 256, ge=1, le=65536, doc="processors of the plane, across: keys of one block")
    lanes: int = knob("cost", 256, ge=1, le=65536, doc="processors of the row beside it")
    clock_GHz: float = knob("cost", gt=0, le=5, doc="operations per second of one processor, 1e9")
    word_bits: int = knob("cost", 16, ge=1, le=64, doc="width of a value")
    buffer_MiB: float = knob("cost", gt=0, doc="memory that both share")
    buffer_row_bits: int = knob("cost", 4096, ge=1, doc="bits of one access of that memory")
    bandwidth_GBps: float = knob("cost", gt=0, doc="bandwidth to the memory outside")
    mac_pJ: float = knob("cost", gt=0, doc="one multiplication with its addition")
    add_pJ: float = knob("cost", gt=0, doc="one addition")
    max_pJ: float = knob("cost", gt=0, doc="the larger of two")
    divide_pJ: float = knob("cost", gt=0, doc="one division")
    exp_pJ: float = knob("cost", gt=0, doc="one exponential in a unit of its own; a polynomial pays for its steps")
    register_pJ: float = knob("cost", ge=0, doc="one word read from a processor's registers")
    buffer_read_pJ: float = knob("cost", gt=0, doc="one row read from the buffer")
    buffer_write_pJ: float = knob("cost", gt=0, doc="one row written to the buffer")
    dram_pJ_per_bit: float = knob("cost", gt=0, doc="one bit moved from or to the memory outside")


FUSEMAX = SpatialArray(
    name="FuseMax, 256 x 256",
    source="arXiv 2406.10491 (MICRO 2024) and its artifact: 45 nm tables, 940 MHz, 16 MiB buffer, 400 GiB/s",
    assumed=(
        "one register read for every operation of the plane",
        "keys and values pass once for as many queries as the buffer holds with their sums",
    ),
    clock_GHz=0.94,
    buffer_MiB=16.0,
    bandwidth_GBps=400 * 2**30 / 1e9,
    mac_pJ=17.16,
    add_pJ=8.34,
    max_pJ=0.028,
    divide_pJ=36.25,
    exp_pJ=94.65,
    register_pJ=0.65,
    buffer_read_pJ=485.0,
    buffer_write_pJ=451.0,
    dram_pJ_per_bit=249.6 / 64,
)
