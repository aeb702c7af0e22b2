"""A regression over published converters of all uses, beside the kinds that are anchored on macros."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ohmfield.chip.adc import Adc
from ohmfield.chip.anchors import Spanned
from ohmfield.chip.process import Process
from ohmfield.quantities import ActionCost, Number, PartCost, span
from ohmfield.spec import knob, spec

# Regression of hwcomponents-adc 1.0.21 over Murmann's survey to 2023: figure of merit in dB, then pJ and um2.
_MERIT_DB, _MERIT_PER_LN_RATE = 213.781, -2.8719
_CAP_DB, _CAP_PER_BIT = 128.307, 3.2205
_ENERGY, _ENERGY_PER_LN_NODE, _ENERGY_PER_LN_BITS, _GOOD_DESIGN = 26.0496, 1.8800, -2.8291, -1.4702
_AREA, _AREA_PER_LN_NODE, _AREA_PER_LN_RATE, _AREA_PER_LN_PJ = 1.3462, 0.9933, 0.1807, 0.2991
_LEAKAGE_SHARE = 0.2  # of the energy at the rate
# What its users multiply it by to meet fabricated macros (Jia, Sinangil, Wang).
_ENERGY_SPREAD = Spanned("ADC energy over the survey", span(1.0, 0.275, 3.5))
_AREA_SPREAD = Spanned("ADC area over the survey", span(1.0, 0.25, 1.25))
_HZ_PER_MHZ, _NS_PER_US, _UW_PER_PJ_MHZ = 1e6, 1e3, 1.0


@spec
class SurveyAdc(Adc):
    """A good converter of its rate among those published, whatever they are for. 4 bits and more, effective ones too.

    Below 4.4 bits the regression turns upward; and its survey holds almost no converter of the speeds of arrays: the
    other kinds are anchored on macros and valid from 1 bit. Its energy does not know the supply.
    """

    kind: ClassVar[str] = "survey"
    bits: int = knob("both", 8, ge=4, le=14, doc="resolution; the survey has none below 4")
    enob: float | None = knob("both", None, ge=4, le=14, doc="effective bits; noise against the hardware range")
    rate_MSps: float = knob("cost", 100.0, ge=0.01, le=10_000, doc="conversions in a microsecond")

    @property
    def assumptions(self) -> tuple[str, ...]:
        return (*super().assumptions, "a regression over converters of all uses, at their own supplies")

    def survey_pJ(self, node_nm: Number) -> Number:
        """Energy of one conversion by the regression, leakage included.

        At whole bits the regression itself, between them a straight line of the logarithm: its best figure of merit is
        that of the next whole bit, so just above one it falls, and more effective bits would be cheaper.

        >>> round(float(SurveyAdc(bits=8).survey_pJ(28.0)), 2)
        1.33
        """
        bits = np.asanyarray(self.bits if self.enob is None else self.enob, dtype=np.float64)
        below = np.floor(bits)
        at_below, at_above = (np.log(self._whole_pJ(whole, node_nm)) for whole in (below, below + 1.0))
        return np.exp(at_below + (bits - below) * (at_above - at_below))

    def _whole_pJ(self, bits: Number, node_nm: Number) -> Number:
        rate = np.log(np.asanyarray(self.rate_MSps) * _HZ_PER_MHZ)
        merit_dB = np.minimum(_MERIT_DB + _MERIT_PER_LN_RATE * rate, _CAP_DB + _CAP_PER_BIT * bits)
        at_node = _ENERGY + _ENERGY_PER_LN_NODE * np.log(node_nm) + _ENERGY_PER_LN_BITS * np.log(bits) + _GOOD_DESIGN
        return 10.0 ** ((6.02 * bits + 1.76 - merit_dB) / 10.0) / 2.0 * np.exp(at_node)

    def conversion(self, process: Process) -> ActionCost:
        energy_pJ = (
            _ENERGY_SPREAD.value() * self.survey_pJ(process.node_nm) * (1.0 - _LEAKAGE_SHARE) * self.gain_factor()
        )
        latency_ns = span(1.0) * _NS_PER_US / np.asanyarray(self.rate_MSps)
        return ActionCost(np.maximum(energy_pJ, self.thermal_floor_pJ()), latency_ns)

    def part(self, process: Process) -> PartCost:
        """A fifth of the regression's energy leaks, at the full rate."""
        whole_pJ = self.survey_pJ(process.node_nm)
        rate = np.log(np.asanyarray(self.rate_MSps) * _HZ_PER_MHZ)
        area = _AREA + _AREA_PER_LN_NODE * np.log(process.node_nm) + _AREA_PER_LN_RATE * rate
        area_um2 = np.exp(area + _AREA_PER_LN_PJ * np.log(whole_pJ)) * self.gain_factor() * self.matching_factor()
        leakage_uW = _ENERGY_SPREAD.value() * whole_pJ * _LEAKAGE_SHARE * np.asanyarray(self.rate_MSps) * _UW_PER_PJ_MHZ
        return PartCost(_AREA_SPREAD.value() * area_um2, leakage_uW * process.leakage * self.gain_factor())
