"""`ADCS`: the converters that files may name; add a class of your own to use it there."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from ohmfield.chip.adc import Adc
from ohmfield.chip.anchors import ZIGZAG_ANALOG, Anchored, Spanned, analog_area, analog_energy, given
from ohmfield.chip.lines import AMPLIFIER_UM2
from ohmfield.chip.process import Process
from ohmfield.chip.survey import SurveyAdc
from ohmfield.quantities import ActionCost, Number, PartCost, Sourced, span
from ohmfield.spec import knob, spec

# SAR energy: C (b + 2^b / 8 + 1e-5 4^b) V^2: a decision with its logic per bit, a capacitor array that doubles per bit,
# and a term limited by noise (ZigZag-IMC). The 8 follows one family of 32 nm designs: FORMS 4 b, ISAAC 8 b and Newton
# 9 b at 1 : 7.4 : 11.4 (1 : 6.7 : 12.6 here).
_ARRAY_SHARE, _NOISE_SHARE = 1 / 8, 1e-5


def _sar_shape(bits: Number, enob: Number) -> Number:
    return bits + _ARRAY_SHARE * 2.0 ** np.asanyarray(bits) + _NOISE_SHARE * 4.0 ** np.asanyarray(enob)


def _sar_fF(
    energy_pJ: float, bits: int, node_nm: float, supply_V: float, source: str, chips: tuple[str, ...] = ()
) -> Sourced:
    """Capacitance anchor in fF at 28 nm (fJ at 0.9 V, over 0.9^2) from the energy of one conversion."""
    at_reference = analog_energy(energy_pJ * 1e3 / float(_sar_shape(bits, bits)), node_nm, supply_V, source, chips)
    return given(float(at_reference.value[1, 0]) / 0.81, source, chips)


SAR_FF = Anchored(
    "SAR capacitance per decision",
    (
        _sar_fF(0.70, 8, 28, 0.9, "ZigZag-IMC, fitted to 22-28 nm SRAM macros: 8 b, 0.70 pJ", ZIGZAG_ANALOG),
        _sar_fF(1.79, 8, 65, 0.85, "Jia JSSC 2020 Table I: 8 b, 65 nm, 0.85 V, 1.79 pJ", ("Jia",)),
        _sar_fF(2.66, 8, 22, 1.0, "Wang VLSI 2022 Fig 22a: 64 x 41.5 fJ, 8 b, 22 nm, 1.0 V", ("Wang",)),
        _sar_fF(1.67, 8, 32, 0.9, "Kull ISSCC 2013 in ISAAC: 8 b, 32 nm, 1.67 pJ", ("Kull",)),
        _sar_fF(0.226, 4, 32, 0.9, "FORMS design: 4 b, 32 nm, 0.226 pJ"),
        _sar_fF(2.58, 9, 32, 0.9, "Newton design: 9 b, 32 nm, 2.58 pJ"),
        _sar_fF(0.14, 8, 22, 0.85, "NeuroSim 1.4 model: 8 b, 22 nm, 0.14 pJ"),
    ),
)


def _sar_um2(area_um2: float, bits: int, node_nm: float, source: str, chips: tuple[str, ...] = ()) -> Sourced:
    """Area anchor of an 8-bit converter at 28 nm."""
    return analog_area(area_um2 / 2.0 ** ((bits - 8) / 2), node_nm, source, chips)


# Area ~ 2^(b/2): between FORMS to ISAAC (x4.2 from 4 to 8 bits) and ZigZag-IMC's fit (x11).
SAR_UM2 = Anchored(
    "area of an 8-bit SAR",
    (
        _sar_um2(2085, 8, 28, "ZigZag-IMC fit, 8 b at 28 nm", ZIGZAG_ANALOG),
        _sar_um2(1941, 8, 65, "Jia JSSC 2020 Fig 11: 0.497 mm2 / 256", ("Jia",)),
        _sar_um2(1008, 8, 22, "Wang JSSC 2023 Fig 22b: 16120 um2 / 16", ("Wang",)),
        _sar_um2(1200, 8, 32, "Kull ISSCC 2013 in ISAAC", ("Kull",)),
        _sar_um2(284, 4, 32, "FORMS design"),
        _sar_um2(1500, 9, 32, "Newton design"),
    ),
)
# Per bit: (b + 1) ns in NeuroSim 1.4, about 1 ns in ZigZag-IMC; Kull's 1.28 GS/s is 0.1 ns, fast and costly.
SAR_NS_PER_BIT = Spanned("SAR time per bit", span(1.0, 0.1, 1.5), "NeuroSim 1.4, ZigZag-IMC, Kull ISSCC 2013")

# One decision of an analog comparator.
COMPARE_FJ = Anchored(
    "analog comparator energy",
    (
        analog_energy(300.0, 130, 1.8, "NeuRRAM, Nature 2022: 0.3 pJ per comparison step, 130 nm, 1.8 V", ("NeuRRAM",)),
        analog_energy(41.7, 65, 1.1, "TIMELY design: charging comparator, 65 nm, 41.7 fJ"),
        analog_energy(1.6, 28, 0.9, "MNSIM: sense amplifier, 28 nm, 1.6 fJ"),
        analog_energy(226.0 / 15, 32, 0.9, "FORMS design: a 4-bit conversion over 15 decisions, 32 nm"),
    ),
)
COMPARE_UM2 = Anchored(
    "analog comparator area",
    (
        analog_area(400.0, 130, "NeuRRAM, Nature 2022: 400 um2 per neuron comparator", ("NeuRRAM",)),
        analog_area(40.0, 65, "TIMELY design: charging comparator, 65 nm"),
        analog_area(1.0, 28, "MNSIM: sense amplifier, 28 nm"),
        analog_area(284.0 / 15, 32, "FORMS design: a 4-bit converter over 15 comparators"),
    ),
)
COUNTER_UM2 = Anchored(
    "counter area per bit",
    (
        analog_area(170.0 / 8, 130, "NeuRRAM, Nature 2022: counter 170 um2", ("NeuRRAM",)),
        analog_area(496.0 / 32, 40, "Aladdin 40 nm library: 32-bit counter 496 um2"),
    ),
)
# HERMES counts a current-controlled oscillator at 300 ps per code at 14 nm.
STEP_NS = Spanned(
    "counting step of a converter", span(0.6, 0.3, 1.2), "HERMES, JSSC 2022: 300 ps per code at 14 nm", ("HERMES",)
)
# One period of an oscillator and its counter.
COUNT_FJ = Anchored(
    "oscillator and counter energy per code",
    (
        # 10.5 TOPS/W: 2 x 256 x 256 operations draw 12.5 nJ; over 256 converters of 256 codes, half of it (assumed)
        analog_energy(
            2 * 256**2 / 10.5e-3 / 256**2 / 2, 14, 0.8, "HERMES, JSSC 2022: half of the core's energy", ("HERMES",)
        ),
        analog_energy(145.0 / 256, 65, 1.1, "TIMELY design: time-to-digital, 8 b, 65 nm, 0.145 pJ"),
    ),
)
OSCILLATOR_UM2 = Anchored(
    "oscillator area",
    (
        # 0.635 mm2 over 256 columns at a pitch of 4 um; a quarter of it (assumed)
        analog_area(635000.0 / 256 / 4, 14, "HERMES, JSSC 2022: a quarter of the core's area", ("HERMES",)),
        analog_area(310.0, 65, "TIMELY design: time-to-digital, 8 b, 65 nm"),
    ),
)
# One clock of a first-order modulator: integrate, compare, feed back.
MODULATE_FJ = Anchored(
    "modulator energy per clock",
    (
        # 18.7 TOPS/W at 8 x 8 bits: 107 fJ a MAC, eight conversions of 3 bits (8 clocks), half of it (assumed)
        analog_energy(2e3 / 18.7 / 128, 22, 0.85, "ISSCC 2023 7.8: half of its energy", ("ISSCC 2023 7.8",)),
        analog_energy(1.6, 28, 0.9, "MNSIM: sense amplifier, 28 nm, 1.6 fJ"),
    ),
)


@spec
class SarAdc(Adc):
    """Successive approximation, shared by neighbouring columns. 1 to 14 bits.

    Energy: C (b + 2^b / 8 + 1e-5 4^enob) V^2, C anchored on CIM macros and converters, not below the thermal floor.
    """

    kind: ClassVar[str] = "sar"

    def conversion(self, process: Process) -> ActionCost:
        effective = self.bits if self.enob is None else self.enob
        reference_fJ = SAR_FF.value() * 0.81 * _sar_shape(self.bits, effective) * self.gain_factor()
        energy_pJ = np.maximum(process.analog_pJ(reference_fJ), self.thermal_floor_pJ())
        return ActionCost(energy_pJ, process.delay_ns(SAR_NS_PER_BIT.value() * (np.asanyarray(self.bits) + 1)))

    def part(self, process: Process) -> PartCost:
        area = SAR_UM2.value() * 2.0 ** ((np.asanyarray(self.bits) - 8) / 2) * self.gain_factor()
        return process.powered(process.analog_um2(area * self.matching_factor()))


@spec
class FlashAdc(Adc):
    """One comparator per threshold, all at once: fast, and twice the energy and area per further bit."""

    kind: ClassVar[str] = "flash"
    noise_assumed: ClassVar[bool] = True

    def conversion(self, process: Process) -> ActionCost:
        thresholds = 2.0 ** np.asanyarray(self.bits) - 1.0
        energy_pJ = process.analog_pJ(COMPARE_FJ.value() * thresholds * self.noise_factor() * self.gain_factor())
        return ActionCost(np.maximum(energy_pJ, self.thermal_floor_pJ()), process.delay_ns(SAR_NS_PER_BIT.value()))

    def part(self, process: Process) -> PartCost:
        area = COMPARE_UM2.value() * (2.0 ** np.asanyarray(self.bits) - 1.0) * self.gain_factor()
        return process.powered(process.analog_um2(area * self.matching_factor()))


@spec
class RampAdc(Adc):
    """A ramp, a comparator and a counter per converter: small, and one step per code."""

    kind: ClassVar[str] = "ramp"
    noise_assumed: ClassVar[bool] = True

    def conversion(self, process: Process) -> ActionCost:
        steps = 2.0 ** np.asanyarray(self.bits)
        energy_pJ = process.analog_pJ(COMPARE_FJ.value() * steps * self.noise_factor() * self.gain_factor())
        latency_ns = process.delay_ns(STEP_NS.value() * steps)
        return ActionCost(np.maximum(energy_pJ, self.thermal_floor_pJ()), latency_ns)

    def part(self, process: Process) -> PartCost:
        counter = COUNTER_UM2.value() * np.asanyarray(self.bits)
        area = (COMPARE_UM2.value() * self.matching_factor() + counter) * self.gain_factor()
        return process.powered(process.analog_um2(area))


@spec
class CcoAdc(Adc):
    """A current-controlled oscillator per converter and a counter of its periods: one step per code, no ramp."""

    kind: ClassVar[str] = "cco"
    noise_assumed: ClassVar[bool] = True

    @property
    def assumptions(self) -> tuple[str, ...]:
        return (*super().assumptions, "half of HERMES' energy and a quarter of its area are its converters'")

    def conversion(self, process: Process) -> ActionCost:
        codes = 2.0 ** np.asanyarray(self.bits)
        energy_pJ = process.analog_pJ(COUNT_FJ.value() * codes * self.noise_factor() * self.gain_factor())
        return ActionCost(np.maximum(energy_pJ, self.thermal_floor_pJ()), process.delay_ns(STEP_NS.value() * codes))

    def part(self, process: Process) -> PartCost:
        counter = COUNTER_UM2.value() * np.asanyarray(self.bits)
        area = (OSCILLATOR_UM2.value() * self.matching_factor() + counter) * self.gain_factor()
        return process.powered(process.analog_um2(area))


@spec
class SigmaDeltaAdc(Adc):
    """An incremental sigma-delta modulator: integrates the column for M clocks and counts what it fed back.

    A modulator of order L tells `M^L / L!` codes apart, so it takes `(L! 2^bits)^(1/L)` clocks, of L integrators each
    (Markus et al., IEEE Trans. Circuits Syst. I 51(4), 2004).
    """

    kind: ClassVar[str] = "sigma-delta"
    noise_assumed: ClassVar[bool] = True
    order: Literal[1, 2] = knob("cost", 1, doc="integrators in a row: fewer clocks, more area")

    @property
    def assumptions(self) -> tuple[str, ...]:
        return (*super().assumptions, "half of the energy of ISSCC 2023 7.8 is its converters'; area by parts")

    def clocks(self) -> Number:
        """Clocks of one conversion; `L! = L` for the orders there are."""
        order = np.asanyarray(self.order, dtype=np.float64)
        return np.ceil((order * 2.0 ** np.asanyarray(self.bits)) ** (1.0 / order))

    def conversion(self, process: Process) -> ActionCost:
        clocks = self.clocks()
        clock_fJ = MODULATE_FJ.value() * np.asanyarray(self.order) * self.noise_factor() * self.gain_factor()
        energy_pJ = np.maximum(process.analog_pJ(clock_fJ * clocks), self.thermal_floor_pJ())
        return ActionCost(energy_pJ, process.delay_ns(SAR_NS_PER_BIT.value() * clocks))

    def part(self, process: Process) -> PartCost:
        analog = COMPARE_UM2.value() + AMPLIFIER_UM2.value() * np.asanyarray(self.order)
        counters = COUNTER_UM2.value() * np.asanyarray(self.bits) * np.asanyarray(self.order)
        area = (analog * self.matching_factor() + counters) * self.gain_factor()
        return process.powered(process.analog_um2(area))


ADCS: dict[str, type[Adc]] = {adc.kind: adc for adc in (SarAdc, FlashAdc, RampAdc, CcoAdc, SigmaDeltaAdc, SurveyAdc)}
