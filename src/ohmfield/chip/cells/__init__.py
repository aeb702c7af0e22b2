"""Memory devices, one per file. `CELLS` is what files may name; add a class of your own to use it there."""

from ohmfield.chip.cells.base import Cell
from ohmfield.chip.cells.fefet import FefetCell
from ohmfield.chip.cells.ideal import IdealCell
from ohmfield.chip.cells.pcm import PcmCell
from ohmfield.chip.cells.rom import RomCell
from ohmfield.chip.cells.rram import RramCell
from ohmfield.chip.cells.rram_measured import MeasuredRramCell
from ohmfield.chip.cells.sonos import SonosCell
from ohmfield.chip.cells.sram import SramCell

CELLS: dict[str, type[Cell]] = {
    cell.kind: cell
    for cell in (IdealCell, RramCell, MeasuredRramCell, PcmCell, FefetCell, SonosCell, SramCell, RomCell)
}
