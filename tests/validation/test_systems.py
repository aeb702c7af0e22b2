"""Published systems as sums of their own inputs: regressions of our arithmetic and of what we noted, no validation.

Figures of ISAAC's tile are from memory and were checked only against each other and the ratios of a review.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from ohmfield.chip.files import load_baseline, load_chip
from ohmfield.chip.spatial import FUSEMAX, Spatial
from ohmfield.cost.attention import Attention, attention_cost, one_pass
from ohmfield.cost.overlap import Offload
from ohmfield.cost.price import price
from ohmfield.mapping.place import place
from ohmfield.mapping.tokens import decode
from ohmfield.mapping.workload import Operator, Shapes, Workload
from ohmfield.networks.transformers import transformer
from ohmfield.quantities import MID
from ohmfield.spec import InputError

# ---- processors ------------------------------------------------------------------------------------------------------


def test_ridge_points():
    assert load_baseline("h200").ridge_FLOP_per_byte == pytest.approx(206, abs=0.5)
    xavier = load_baseline("jetson-xavier-nx")
    assert xavier.ridge_FLOP_per_byte == pytest.approx(115, rel=0.025)
    assert replace(xavier, bandwidth_GBps=51.2).ridge_FLOP_per_byte == pytest.approx(130, rel=0.025)  # with 8 GB


def test_a_token_of_a_7b_model_is_bound_by_the_memory():
    """LLaMA-2-7B at batch 1: every weight once a token, 13.5 GB."""
    ideal = replace(load_baseline("h200"), streaming=1.0, utilisation=1.0, launch_us=0.0)
    token = ideal.cost(flops=2 * 6.74e9, moved_bytes=13.5e9)
    assert 1e9 / token.latency_ns[1, 0] == pytest.approx(356, abs=0.5)
    assert token.latency_ns[1, 0] > 100 * ideal.cost(flops=2 * 6.74e9, moved_bytes=0).latency_ns[1, 0]


# ---- NGPC, arXiv 2303.05735 ------------------------------------------------------------------------------------------

NGPC = {8: 12.0, 16: 20.0, 32: 33.0, 64: 39.0}  # units: mean speed-up over four applications, hash grid
NGPC_OFFLOAD = Offload(share=0.7237, rest_speed_up=9.94)


def scaled(units: int, overlap: float) -> float:
    """Speed-up with that many units, calibrated at eight."""
    at_eight = NGPC_OFFLOAD.accelerator_for(NGPC[8], overlap)
    return NGPC_OFFLOAD.speed_up(at_eight * units / 8, overlap)


@pytest.mark.parametrize("units", [8, 16, 32])
def test_serial_and_overlapped_limits_bracket_ngpc(units):
    low, high = scaled(units, 0.0), scaled(units, 1.0)
    assert low - 1e-9 <= NGPC[units] <= high + 1e-9
    assert [round(low), round(high)] == {8: [12, 12], 16: [18, 24], 32: [24, 36]}[units]


def test_one_fraction_for_all_applications_caps_ngpc_below_what_was_published_for_64_units():
    assert NGPC_OFFLOAD.cap == pytest.approx(36.0, abs=0.05)
    assert scaled(64, 1.0) == pytest.approx(NGPC_OFFLOAD.cap)
    assert NGPC[64] > NGPC_OFFLOAD.cap  # applications that offload more than the mean
    assert Offload(share=0.7237).cap == pytest.approx(3.6, abs=0.05)  # without the rest fused


# ---- ISAAC, ISCA 2016: a design, from memory -------------------------------------------------------------------------

IMA_MW_UM2 = {
    "8 ADC": (16.0, 9600),
    "1024 DAC": (4.0, 170),
    "sample and hold": (0.01, 40),
    "8 arrays": (2.4, 200),
    "4 shift-add": (0.2, 240),
    "input register": (1.24, 2100),
    "output register": (0.23, 770),
}
TILE_MW_MM2 = {
    "eDRAM": (20.7, 0.083),
    "bus": (7.0, 0.09),
    "router": (10.5, 0.0375),
    "sigmoid": (0.52, None),
    "shift-add": (0.05, None),
    "max pool": (0.4, None),
    "output register": (1.68, None),
}


def test_isaac_adds_up():
    imas_mW, imas_um2 = (12 * sum(column) for column in zip(*IMA_MW_UM2.values(), strict=True))
    assert imas_mW == pytest.approx(289, abs=0.5)
    assert imas_um2 == pytest.approx(0.157e6, abs=500)
    tile_mW = imas_mW + sum(power for power, _ in TILE_MW_MM2.values())
    known_mm2 = imas_um2 * 1e-6 + sum(area or 0.0 for _, area in TILE_MW_MM2.values())
    assert tile_mW == pytest.approx(330, abs=0.5)
    assert 0.98 * 0.372 < known_mm2 < 0.372  # four small parts have no area in our notes
    assert 168 * tile_mW * 1e-3 == pytest.approx(55.4, abs=0.05)
    num_tiles = 168
    assert num_tiles * 0.372 == pytest.approx(62.5, abs=0.05)
    chip_W, chip_mm2 = 55.4 + 10.4, 62.5 + 22.9
    assert (chip_W, chip_mm2) == (pytest.approx(65.8), pytest.approx(85.4))
    # 41.3 TOPS, 0.63 TOPS/W and 0.48 TOPS/mm2 stand in a review (Nat. Commun. 2024)
    assert (round(41.3 / chip_W, 2), round(41.3 / chip_mm2, 2)) == (0.63, 0.48)


# ---- FuseMax as a chip, arXiv 2406.10491; its artifact's figures for attention: tests/cost/test_attention.py ------


def fusemax() -> Spatial:
    plane = load_chip("fusemax-45nm").units["spatial"]
    assert isinstance(plane, Spatial)
    return plane


def test_the_preset_is_the_array_of_the_artifact():
    chip, plane = load_chip("fusemax-45nm"), fusemax()
    assert (plane.rows, plane.columns, plane.word_bits) == (FUSEMAX.rows, FUSEMAX.columns, FUSEMAX.word_bits)
    assert (plane.mac_pJ, chip.process.clock_GHz) == (FUSEMAX.mac_pJ, FUSEMAX.clock_GHz)
    assert chip.buffer.capacity_bits == FUSEMAX.buffer_MiB * 2**20 * 8
    assert chip.dram is not None
    assert chip.dram.pJ_per_bit == pytest.approx(FUSEMAX.dram_pJ_per_bit)
    assert chip.dram.bandwidth_GBps == pytest.approx(FUSEMAX.bandwidth_GBps, rel=1e-4)


def test_both_products_of_bert_on_the_preset_and_in_the_artifact():
    """1 K tokens: the same operations at the same energy; heads of 64 leave three quarters of the plane idle."""
    chip, batch, heads, length, width = load_chip("fusemax-45nm"), 64, 12, 1024, 64
    shapes = Shapes(
        (
            Operator("scores#0", "product", inputs=width, outputs=length, vectors=length, groups=heads),
            Operator("values#0", "product", inputs=length, outputs=width, vectors=length, groups=heads),
        )
    )
    made = price(chip, Workload(shapes, items=batch), weight_bits=16, input_bits=16, allow_waves=True)
    bert = Attention(batch=batch, heads=heads, queries=length, keys=length, width=width)
    steps = [step for step in one_pass(bert, 256) if step.name in ("scores", "numerator")]
    macs = sum(step.points for step in steps)
    assert made.bill.macs == macs
    sums_pJ = float(fusemax().add(chip.process, 16).energy_pJ[MID, 0]) - FUSEMAX.mac_pJ
    spent_J = made.bill.by_component()["adder_tree"][MID] * 1e-3
    assert spent_J * FUSEMAX.mac_pJ / (FUSEMAX.mac_pJ + sums_pJ) == pytest.approx(
        macs * FUSEMAX.mac_pJ * 1e-12,
        rel=1e-4,  # a word in 65,536 is zero
    )
    assert spent_J == pytest.approx(0.96 * 1.95, rel=0.10)  # all operations of the artifact, softmax among them
    busy_s = sum(float(time[MID, 0]) for (_, stage), time in made.bill.stage_ns.items() if stage == "spatial:products")
    cycles = busy_s * 1e-9 * FUSEMAX.clock_GHz * 1e9
    assert cycles > 4 * macs / 256**2
    assert attention_cost(FUSEMAX, bert).compute_s * 1e9 < busy_s


# ---- HNLPU, arXiv 2508.16151 -----------------------------------------------------------------------------------------

HNLPU_MM2_W = {
    "neuron array": (573.16, 76.92),
    "attention buffer": (136.11, 85.73),
    "interconnect engine": (37.92, 49.65),
    "HBM PHY": (52.0, 63.0),
    "vector unit": (27.87, 33.09),
}
# name: tokens/s (gpt-oss-120B, 2 K), kW, tokens/kJ
SYSTEMS = {"HNLPU": (249_960, 6.9, 36_226), "H100": (45, 1.3, 34.6), "WSE-3": (2940, 23.0, 127.8)}


def test_hnlpu_adds_up():
    mm2, watts = (sum(column) for column in zip(*HNLPU_MM2_W.values(), strict=True))
    assert mm2 == pytest.approx(827.08, abs=0.025)  # the paper's own rows are rounded
    assert watts == pytest.approx(308.39, abs=0.005)
    num_chips = 16
    assert num_chips * 827.08 == pytest.approx(13_232, rel=2e-4)
    assert 16 * 308.39e-3 < 6.9  # kW of the system: sixteen chips and what is around them
    for tokens, kilowatts, published in SYSTEMS.values():
        assert tokens / kilowatts == pytest.approx(published, rel=2e-3)
    assert round(249_960 / 6900, 1) == 36.2


def test_the_preset_of_hnlpu_holds_its_model_and_says_how_far_its_bill_is():
    chip, token = load_chip("hnlpu-5nm"), decode(transformer("gpt-oss-120b"), 2048)
    made = price(chip, token, weight_bits=4)
    assert made.waves == 1
    assert chip.num_chips == 16
    # The rate of the vector units was chosen for the published tokens per second: within 2 %.
    assert made.bill.frames_per_s[MID] == pytest.approx(249_960, rel=0.02)
    tokens_per_J = 1e3 / made.bill.energy_mJ[MID]
    assert 3.0 < tokens_per_J / 36.2 < 5.0  # too cheap: what is always on is not in it, and the preset says so
    neurons = ("cells", "drivers", "adder_tree", "shift_add", "control")
    areas = dict(zip(made.bill.components, made.bill.area_um2[MID, 0] * 1e-6 / 16, strict=True))
    assert 1.0 < sum(areas[part] for part in neurons) / HNLPU_MM2_W["neuron array"][0] < 2.0
    assert "programming" not in made.bill.by_component()
    with pytest.raises(InputError, match="cannot be written again in waves"):
        place(token.shapes, replace(chip, many=None), 4)
