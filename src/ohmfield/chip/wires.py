"""Resistance along the lines of an array: what the picture suffers and what less of it costs."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from ohmfield._kernels.wires import CellLaw, Lines
from ohmfield.chip.anchors import Spanned
from ohmfield.chip.lines import DRIVER_UM2, LINE_FF
from ohmfield.chip.process import Process
from ohmfield.chip.scaling import REFERENCE_V
from ohmfield.quantities import PJ_PER_FJ, ActionCost, Number, PartCost, Span, looked_up, span
from ohmfield.spec import knob, spec

NM_PER_UM, OHM_S_PER_UOHM_S = 1e3, 1e-6
# Narrowest metal line of a node: (width in nm, ohm per um with its barrier). NeuroSim 1.4 wire tables.
NARROWEST = {
    130.0: (175.0, 0.48),
    90.0: (110.0, 1.49),
    65.0: (105.0, 1.43),
    45.0: (80.0, 2.60),
    32.0: (56.0, 5.70),
    22.0: (40.0, 11.60),
    14.0: (32.0, 19.72),
    10.0: (22.0, 52.81),
    7.0: (20.0, 69.50),
    5.0: (15.0, 166.0),
    3.0: (12.0, 292.93),
}
PLATE_SHARE = Spanned(
    "plate share of a line", span(0.5, 0.3, 0.7)
)  # of a narrow line's capacitance, what grows with its width
# A transistor of 1.5 kohm um and 1 fF per um at 28 nm; its drain and the stage before it double the capacitance.
DRIVER_PS = Spanned("time constant of row drivers", span(3.0, 1.5, 6.0))
DRIVER_OHM_UM, DRIVER_LENGTH_NODES = 1500.0, 4.0
AMPLIFIER_LOOP_GAIN = Spanned("loop gain of sense amplifiers", span(100.0, 300.0, 30.0))
SLOPE_V = 0.04  # n k T / q of the amplifier's input transistor: conductance is bias current over this


@spec
class Wires:
    """Ohm per cell pitch of a row and a column, and of what drives and senses them.

    Row i is driven at its first cell and column j is sensed behind its last row, the rows in use next to the sense end.
    """

    assumptions: ClassVar[tuple[str, ...]] = (
        "lines below the resistance of the process's narrowest are wider in proportion: half of their capacitance "
        "grows with the width, and cells move apart by it",
        "a driver of R ohm is a transistor of 1.5 kohm um / R, with 3 ps / R of capacitance at 28 nm",
        "an amplifier with R ohm at its input takes 40 mV / (100 R) of current during a read",
    )
    row_ohm: float = knob("both", 1.0, gt=0, le=1e6, doc="row line, one cell pitch; a 1T1R cell at 40 nm: 1 ohm")
    column_ohm: float = knob("both", 1.0, gt=0, le=1e6, doc="column line, one cell pitch")
    driver_ohm: float = knob("both", 10.0, gt=0, le=1e6, doc="driver of a row")
    sense_ohm: float = knob("both", 10.0, gt=0, le=1e6, doc="what holds a column at 0 V while its current is read")
    input_on: Literal["source_line", "gate"] = knob(
        "both", "source_line", doc="inputs are row voltages, or switch the cells of a row whose line is always driven"
    )
    idle_rows: Literal["grounded", "gated", "floating"] = knob(
        "both", "grounded", doc="rows outside the row group that is read: held at 0 V, cells off, or not driven"
    )
    nonlinearity_per_V: float = knob(
        "environment", 0.0, ge=0, le=100, doc="k of cells that carry sinh(k V): less than G V below the read voltage"
    )

    def __post_init__(self) -> None:
        if self.input_on == "gate" and self.idle_rows != "gated":
            raise ValueError(
                f"idle_rows {self.idle_rows!r}: where inputs are on the gates, idle rows are gated; set idle_rows gated"
            )

    @property
    def lines(self) -> Lines:
        """The resistances as the kernels take them."""
        return Lines(self.row_ohm, self.column_ohm, self.driver_ohm, self.sense_ohm)

    def law(self, read_V: float) -> CellLaw:
        """How a cell's current grows with its voltage."""
        return CellLaw(self.nonlinearity_per_V, read_V)

    @property
    def depends_on_input(self) -> bool:
        """Whether no fixed map takes inputs to currents: every read is a circuit of its own."""
        return self.input_on == "gate" or self.nonlinearity_per_V > 0.0

    # ---- what it costs -----------------------------------------------------------------------------------------------

    def width(self, ohm: Number, process: Process, cell_um2: Span) -> Span:
        """Width of a line over the narrowest of the process, at least 1."""
        _, ohm_per_um = narrowest(process.node_nm)
        return np.maximum(1.0, ohm_per_um * np.sqrt(cell_um2) / ohm)

    def row_load(self, process: Process, cell_um2: Span) -> Span:
        """Capacitance of a row line over that of a narrow one."""
        return 1.0 + PLATE_SHARE.value() * (self.width(self.row_ohm, process, cell_um2) - 1.0)

    def column_load(self, process: Process, cell_um2: Span) -> Span:
        """Capacitance of a column line over that of a narrow one."""
        return 1.0 + PLATE_SHARE.value() * (self.width(self.column_ohm, process, cell_um2) - 1.0)

    def spread_um2(self, process: Process, cell_um2: Span) -> Span:
        """Area of a cell whose neighbours moved apart by what its lines are wider."""
        line_um = narrowest(process.node_nm)[0] / NM_PER_UM
        pitch_um = np.sqrt(cell_um2)
        tall = pitch_um + line_um * (self.width(self.row_ohm, process, cell_um2) - 1.0)
        wide = pitch_um + line_um * (self.width(self.column_ohm, process, cell_um2) - 1.0)
        return np.where(cell_um2 > 0.0, tall * wide, cell_um2)

    def drive(self, process: Process) -> ActionCost:
        """What the driver of a row adds to one driven digit: its own capacitance, if it is what switches."""
        switched = 1.0 if self.input_on == "source_line" else 0.0
        load_fF = process.delay_ns(DRIVER_PS.value()) / np.asanyarray(self.driver_ohm) * 1e3
        return ActionCost(load_fF * np.asanyarray(process.supply_V) ** 2 * PJ_PER_FJ * switched)

    def driver_part(self, process: Process) -> PartCost:
        """What it adds to the driver of one row: the transistor, and a second switch where idle rows are let go."""
        length_um = DRIVER_LENGTH_NODES * np.asanyarray(process.node_nm) / NM_PER_UM
        switch = process.analog_um2(DRIVER_UM2.value()) * float(self.selects)
        return process.powered(span(1.0) * DRIVER_OHM_UM / self.driver_ohm * length_um + switch)

    @property
    def selects(self) -> bool:
        """Whether rows have a line beside the input that connects them to the read or not."""
        return self.input_on == "source_line" and self.idle_rows != "grounded"

    def select(self, process: Process, rows: Number, columns: Number) -> ActionCost:
        """Select lines of one read: those of the group switch over all columns."""
        load_fF = LINE_FF.value() * np.asanyarray(columns) * rows * float(self.selects)
        return ActionCost(process.analog_pJ(load_fF * REFERENCE_V**2))

    def sense(self, process: Process, read_ns: Number) -> ActionCost:
        """What the amplifier adds to one conversion: bias for its input resistance, divided by the loop gain."""
        current_mA = SLOPE_V / (AMPLIFIER_LOOP_GAIN.value() * np.asanyarray(self.sense_ohm)) * 1e3
        return ActionCost(current_mA * np.asanyarray(process.supply_V) * read_ns)

    def current_share(self, mean_uS: Number, driven_rows: Number, rows: Number, columns: Number) -> Number:
        """Current that drivers deliver over that without resistance: what the read energy of cells falls to.

        From the mean voltage lost over cells that are all alike, to first order: `1 / (1 + loss)`. Within 1 % of the
        nodal solve at a loss of 10 %, within 5 % at 30 %.
        """
        n, m = np.asanyarray(columns, dtype=np.float64), np.asanyarray(rows, dtype=np.float64)
        along_row = n * self.driver_ohm + self.row_ohm * (n + 1.0) * (2.0 * n + 1.0) / 6.0
        along_column = m * self.sense_ohm + self.column_ohm * (m + 1.0) * (2.0 * m + 1.0) / 6.0
        return 1.0 / (1.0 + mean_uS * OHM_S_PER_UOHM_S * (along_row + driven_rows / m * along_column))


@looked_up
def narrowest(node_nm: Number) -> tuple[Number, Number]:
    """Width in nm and ohm per um of the narrowest line; between nodes in logarithms, beyond the table its end.

    >>> [round(float(value), 2) for value in narrowest(45.0)]
    [80.0, 2.6]
    """
    nodes = np.log(sorted(NARROWEST))
    table = np.log([NARROWEST[node] for node in sorted(NARROWEST)])
    where = np.log(np.asanyarray(node_nm, dtype=np.float64))
    return np.exp(np.interp(where, nodes, table[:, 0])), np.exp(np.interp(where, nodes, table[:, 1]))
