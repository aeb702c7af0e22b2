"""The backend of hwcomponents: a helpful refusal without it, its units and names where it is (or stands in)."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from ohmfield.chip import hwcomponents
from ohmfield.chip.converters import SarAdc
from ohmfield.chip.links import ChipLink
from ohmfield.chip.memory import Dram, Edram, Sram
from ohmfield.chip.process import Process
from ohmfield.chip.units import DigitalCim
from ohmfield.spec import InputError

PROCESS = Process(node_nm=22, supply_V=0.85, clock_GHz=1.0)


def test_without_it_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hwcomponents_cacti", None)
    with pytest.raises(InputError) as caught:
        hwcomponents.answer(Sram(), PROCESS)
    assert "pip install 'ohmfield[hwcomponents]'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_it_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match="hwcomponents has no DigitalCim; it can be asked of: Sram, "):
        hwcomponents.answer(DigitalCim(), PROCESS)
    with pytest.raises(InputError, match="hwcomponents has no lpddr5; known: lpddr, lpddr4, ddr3"):
        hwcomponents.answer(Dram(standard="lpddr5"), PROCESS)
    with pytest.raises(InputError, match="hwcomponents has no ucie-2d port"):
        hwcomponents.answer(ChipLink(), PROCESS)


class Fake:
    """Stands in for their components: SI units, actions as methods."""

    area, leak_power = 2e-9, 3e-6
    asked: dict[str, float]

    def __init__(self, **given: float) -> None:
        Fake.asked = given

    def read(self) -> SimpleNamespace:
        return SimpleNamespace(energy=5e-12, latency=1e-9)

    write = convert = read


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hwcomponents_cacti", "hwcomponents_library", "hwcomponents_adc"):
        module = ModuleType(name)
        module.SRAM = module.IsaacEDRAM = module.ADC = Fake  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("fake")
def test_si_becomes_ours() -> None:
    answer = hwcomponents.answer(Sram(kilobytes=64, word_bits=128, banks=2), PROCESS)
    assert [answer.actions[name].energy_pJ[1, 0] for name in ("read", "write")] == pytest.approx([5.0, 5.0])
    assert answer.actions["read"].latency_ns[1, 0] == pytest.approx(1.0)
    assert answer.part.area_um2[1, 0] == pytest.approx(2 * 2000.0)
    assert answer.part.leakage_uW[1, 0] == pytest.approx(2 * 3.0)
    assert {name: Fake.asked[name] for name in ("width", "depth", "size")} == {
        "width": 128,
        "depth": 4096,
        "size": 2**19,
    }
    hwcomponents.answer(SarAdc(bits=8), PROCESS)
    assert Fake.asked["n_bits"] == 8
    assert Fake.asked["throughput"] == pytest.approx(1e9 / SarAdc(bits=8).conversion(PROCESS).latency_ns[1, 0])
    hwcomponents.answer(Edram(), PROCESS)
    assert Fake.asked["width"] == 64


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("node", [7.0, 16.0, 22.0, 28.0, 45.0, 65.0, 90.0])
def test_a_node_is_never_above_itself(node: float) -> None:
    # 90e-9 * 1e9 is 90.00000000000001, which they take for a node beyond CACTI's.
    hwcomponents.answer(Sram(), Process(node_nm=node, supply_V=0.9, clock_GHz=1.0))
    assert Fake.asked["tech_node"] * 1e9 <= node
    assert Fake.asked["tech_node"] == pytest.approx(node * 1e-9, rel=1e-15)


@pytest.mark.usefixtures("fake")
def test_what_fails_in_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**given: float) -> None:
        raise Exception("CACTI failed with exit code 1.\nPlease check")

    monkeypatch.setattr(sys.modules["hwcomponents_cacti"], "SRAM", broken)
    with pytest.raises(InputError) as caught:
        hwcomponents.answer(Sram(), PROCESS)
    assert "CACTI failed with exit code 1" in str(caught.value)
    assert "run `make` in its folder" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_real_thing_reads_a_sram() -> None:
    if sys.version_info < (3, 12):
        pytest.skip("hwcomponents needs Python 3.12")
    pytest.importorskip("hwcomponents_cacti", reason="hwcomponents is not installed")
    answer = hwcomponents.answer(Sram(kilobytes=64), PROCESS)
    assert answer.actions["read"].energy_pJ[1, 0] == pytest.approx(0.709 * 8, rel=0.01)
