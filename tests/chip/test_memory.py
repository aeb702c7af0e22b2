"""Memories: their published macros are met, sizes and widths cost, arrays of designs pass through."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from ohmfield.chip.memory import MEMORIES, STANDARDS, Dram, Edram, GainCell, Memory, Sram
from ohmfield.chip.memory.dram import Standard
from ohmfield.chip.process import Process
from ohmfield.spec import InputError, build, family, spec, to_plain
from views import view_of

PROCESS = Process(node_nm=28, supply_V=0.9, clock_GHz=0.5)
AT_22 = Process(node_nm=22, supply_V=0.85, clock_GHz=0.5)
every_kind = pytest.mark.parametrize("kind", MEMORIES.values(), ids=lambda kind: kind.kind)


def mid(span: np.ndarray) -> float:
    return float(span[1, 0])


# CACTI, 22 nm, 256-bit words: pJ per byte read and written, mm2. From the 64-bit tables times a rounded ratio.
WIDE = {
    8.0: (0.089, 0.193, 0.0074),
    32.0: (0.223, 0.379, 0.025),
    64.0: (0.426, 0.448, 0.065),
    128.0: (0.598, 0.647, 0.113),
    256.0: (0.938, 0.853, 0.247),
    1024.0: (1.98, 1.81, 0.878),
    4096.0: (4.16, 4.00, 3.45),
}


@pytest.mark.parametrize("kilobytes", WIDE)
def test_wide_words_meet_the_256_bit_column(kilobytes: float) -> None:
    memory, (read, write, area) = Sram(kilobytes=kilobytes, word_bits=256), WIDE[kilobytes]
    assert mid(memory.read(AT_22).energy_pJ) == pytest.approx(read * 32, rel=0.02)
    assert mid(memory.write(AT_22).energy_pJ) == pytest.approx(write * 32, rel=0.02)
    assert mid(memory.part(AT_22).area_um2) == pytest.approx(area * 1e6, rel=0.03)


def test_leakage_is_that_of_the_array() -> None:
    # CACTI: 1 MB leaks 0.138 mW at 22 nm and 0.158 mW at 65 nm, at nominal supplies.
    assert mid(Sram(kilobytes=1024).part(AT_22).leakage_uW) == pytest.approx(138, rel=0.01)
    at_65 = Process(node_nm=65, supply_V=1.1, clock_GHz=0.5)
    assert mid(Sram(kilobytes=1024).part(at_65).leakage_uW) == pytest.approx(158, rel=0.01)


@pytest.mark.parametrize("access", ["read", "write"])
@pytest.mark.parametrize("kilobytes", [1, 8, 20, 64, 700, 4096])
def test_wider_sram_words_cost_more_per_access(kilobytes: float, access: str) -> None:
    words = (16, 32, 64, 100, 128, 256, 512, 1024, 2048, 4096)
    energies = [mid(getattr(Sram(kilobytes=kilobytes, word_bits=b), access)(PROCESS).energy_pJ) for b in words]
    assert np.all(np.diff(energies) > 0)


def test_published_macros_are_met_where_they_were_published() -> None:
    isaac = Process(node_nm=32, supply_V=0.9, clock_GHz=1.0)
    edram = Edram(kilobytes=64, word_bits=256)
    assert mid(edram.read(isaac).energy_pJ) == pytest.approx(20.45)
    assert mid(edram.part(isaac).area_um2) == pytest.approx(83000)
    giterman = Process(node_nm=16, supply_V=0.6, clock_GHz=0.3)
    gain_cell = GainCell(kilobytes=128, word_bits=1024)
    assert mid(gain_cell.read(giterman).energy_pJ) == pytest.approx(2642)
    assert mid(gain_cell.write(giterman).energy_pJ) == pytest.approx(2519)
    assert mid(gain_cell.read(giterman).latency_ns) == pytest.approx(1000 / 300)
    assert mid(gain_cell.part(giterman).leakage_uW) == pytest.approx(105 + 276)  # refresh included
    # A word half as wide of the same capacity lies twice as deep.
    half = replace(gain_cell, word_bits=512).read(giterman).energy_pJ
    np.testing.assert_allclose(half * 2 / 2**0.78, gain_cell.read(giterman).energy_pJ)


@every_kind
def test_memories_grow_with_size_node_and_banks(kind: type[Memory]) -> None:
    small, large = kind(kilobytes=32), kind(kilobytes=128)
    for name in ("read", "write"):
        assert np.all(getattr(large, name)(PROCESS).energy_pJ > getattr(small, name)(PROCESS).energy_pJ)
        assert np.all(getattr(large, name)(PROCESS).latency_ns > getattr(small, name)(PROCESS).latency_ns)
    assert np.all(large.part(PROCESS).area_um2 > small.part(PROCESS).area_um2)
    assert np.all(large.part(replace(PROCESS, node_nm=40.0)).area_um2 > large.part(PROCESS).area_um2)
    banked = replace(large, banks=4)
    np.testing.assert_allclose(banked.part(PROCESS).area_um2, 4 * large.part(PROCESS).area_um2)
    np.testing.assert_allclose(banked.part(PROCESS).leakage_uW, 4 * large.part(PROCESS).leakage_uW)
    np.testing.assert_array_equal(banked.read(PROCESS).energy_pJ, large.read(PROCESS).energy_pJ)
    low, middle, high = large.part(PROCESS).leakage_uW.ravel()
    assert 0 < low < middle < high


@every_kind
def test_many_designs_are_priced_as_one_each(kind: type[Memory]) -> None:
    sizes, words = np.array([8.0, 100.0, 5000.0]), np.array([32, 64, 4096])
    nodes, supplies = np.array([16.0, 28.0, 90.0]), np.array([0.7, 0.9, 1.2])
    memory = view_of(kind(), kilobytes=sizes, word_bits=words, banks=np.array([1, 2, 3]))
    process = view_of(PROCESS, node_nm=nodes, supply_V=supplies)
    for i in range(3):
        single = replace(PROCESS, node_nm=float(nodes[i]), supply_V=float(supplies[i]))
        alone = kind(kilobytes=float(sizes[i]), word_bits=int(words[i]), banks=i + 1)
        for name in ("read", "write"):
            many, one = getattr(memory, name)(process), getattr(alone, name)(single)
            np.testing.assert_allclose(many.energy_pJ[:, i], one.energy_pJ[:, 0], rtol=1e-12)
            np.testing.assert_allclose(many.latency_ns[:, i], one.latency_ns[:, 0], rtol=1e-12)
        np.testing.assert_allclose(memory.part(process).area_um2[:, i], alone.part(single).area_um2[:, 0], rtol=1e-12)
        np.testing.assert_allclose(
            memory.part(process).leakage_uW[:, i], alone.part(single).leakage_uW[:, 0], rtol=1e-12
        )


@spec
class Holder:
    memory: family(Memory, MEMORIES, default="sram")


def test_files_name_a_kind_or_mean_sram() -> None:
    assert build(Holder, {"memory": {"kilobytes": 8}}).memory == Sram(kilobytes=8)
    gain_cell = build(Holder, {"memory": {"kind": "gain-cell"}})
    assert gain_cell.memory == GainCell()
    assert build(Holder, to_plain(gain_cell)) == gain_cell
    with pytest.raises(InputError, match="kind 'flash' is not known; known kinds: edram, gain-cell, sram"):
        build(Holder, {"memory": {"kind": "flash"}})


def test_bits_move_in_whole_bursts() -> None:
    memory = Dram(burst_bits=512, pJ_per_bit=2.0, bandwidth_GBps=8.0)
    for bits, moved in ((1, 512), (512, 512), (513, 1024)):
        cost = memory.transfer(bits)
        assert mid(cost.energy_pJ) == 2.0 * moved
        assert mid(cost.latency_ns) == moved / 64.0
    np.testing.assert_array_equal(memory.transfer(np.array([1, 600])).energy_pJ[1], [1024.0, 2048.0])


SOURCED: tuple[Standard, ...] = ("lpddr4", "hbm2", "hbm3")


def test_standards_stand_for_what_is_not_given() -> None:
    assert set(STANDARDS) == set(get_args(Standard))
    for name, figures in STANDARDS.items():
        memory = build(Dram, {"standard": name, "channels": 2})
        assert mid(memory.transfer(2**20).energy_pJ) == pytest.approx(mid(figures.pJ_per_bit) * 2**20)
        assert mid(memory.transfer(2**20).latency_ns) == pytest.approx(2**17 / (2 * figures.bandwidth_GBps))
        assert mid(memory.part(PROCESS).leakage_uW) == pytest.approx(2e3 * mid(figures.idle_mW))
        assert np.all(memory.part(PROCESS).area_um2 == 0)
        for span in (figures.pJ_per_bit, figures.idle_mW):
            assert np.all(np.diff(span.ravel()) > 0)
        assert name in memory.assumptions[0]
    assert Dram(pJ_per_bit=4.0, idle_mW=3.0).assumptions == ()
    # hwcomponents-cacti
    assert [mid(Dram(standard=name).transfer(2**20).energy_pJ) / 2**20 for name in SOURCED] == [
        8.0,
        6.25,
        4.05,
    ]
