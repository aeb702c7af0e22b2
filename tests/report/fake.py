"""Deployments that nobody deployed: a picture with noise on it and a plausible bill."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ohmfield.report.summary import Baseline, Codes, Costs, DeploymentSummary, Instances, ReportData
from ohmfield.signals.image import photo
from ohmfield.signals.points import Points
from ohmfield.signals.synthetic import shapes

OPERATORS = (
    "encoding.address#0", "encoding.table#0", "encoding.interpolate#0", "decoder.layers.0#0", "decoder.activations.0#0",
    "decoder.layers.1#0", "decoder.activations.1#0", "decoder.layers.2#0",
)  # fmt: skip
ANALOG = ("cells", "drivers", "adc", "shift_add")
DIGITAL = ("adder_tree",)
COMMON = ("requantiser", "activation", "table_memory", "gather", "buffer", "control", "leakage", "programming")


def fake_costs(seed: int, analog: bool = True) -> Costs:
    rng = np.random.default_rng(seed)
    components = (*(ANALOG if analog else DIGITAL), *COMMON)
    energy = np.zeros((len(OPERATORS), len(components)))
    for row, operator in enumerate(OPERATORS):
        if "layers" in operator:
            used = [*(ANALOG if analog else DIGITAL), "requantiser", "buffer", "control", "leakage", "programming"]
        elif "activations" in operator:
            used = ["activation", "leakage"]
        else:
            used = ["table_memory", "leakage"] if "table" in operator else ["gather", "buffer", "leakage"]
        for name in used:
            energy[row, components.index(name)] = rng.lognormal(17.0, 1.2)
    area = rng.lognormal(11.5, 1.1, len(components))
    area[components.index("programming")] = area[components.index("leakage")] = 0.0
    latency = rng.lognormal(13.0, 0.7, len(OPERATORS))
    spread = np.array([0.6, 1.0, 1.7])

    def three(mid: float) -> tuple[float, float, float]:
        return (0.6 * mid, mid, 1.7 * mid)

    frame_ms = three(float(latency.max()) * 1e-6)
    return Costs(
        operators=OPERATORS,
        components=components,
        energy_pJ=spread[:, None, None] * energy,
        latency_ns=spread[:, None] * latency,
        area_um2=spread[:, None] * area,
        energy_mJ=three(float(energy.sum()) * 1e-9),
        frame_ms=frame_ms,
        frames_per_s=(1e3 / frame_ms[2], 1e3 / frame_ms[1], 1e3 / frame_ms[0]),
        area_mm2=three(float(area.sum()) * 1e-6),
        leakage_mW=three(0.4),
        tops_per_W=(3.1, 5.2, 8.4),
        power_mW=three(36.0),
        power_fps=30.0,
        efficiency="8-bit weights and inputs, 1 MAC = 2 operations, utilisation 0.31",
        boundary="chip with its buffers, without DRAM and host",
        warnings=("adc: energy extrapolated from 65 nm to 40 nm",),
    )


def fake_codes(seed: int, clipped: float) -> Codes:
    codes = np.arange(-128, 128)
    counts = 1e6 * np.exp(-0.5 * (codes / (12 + 9 * seed)) ** 2)
    counts[[0, -1]] += clipped * counts.sum()
    return Codes(codes, counts.astype(np.int64), float(2**seed), clipped, "4 slices, 2 row groups")


def noisy(signal: Points, sd: float, seed: int) -> np.ndarray:
    truth = signal.as_image().numpy()
    return np.clip(truth + np.random.default_rng(seed).normal(0.0, sd, truth.shape), 0, 1).astype(np.float32)


def fake_summary(signal: Points, name: str = "rram-40nm", seed: int = 0, sd: float = 0.012) -> DeploymentSummary:
    analog = "dcim" not in name
    float_quality = {"psnr_dB": 43.02, "ssim": 0.9821}
    psnr_dB = -20.0 * np.log10(sd)
    causes = ("float", "quantised", "clipped by the ADC", "rounded by the ADC", "programming", "reading")
    lost = (0.0, 0.12, 0.2, 0.5, 0.8, 1.0) if analog else (0.0, 1.0)
    steps = [(cause, 43.02 - part * (43.02 - psnr_dB)) for cause, part in zip(causes, lost, strict=False)]
    layers = [operator for operator in OPERATORS if "layers" in operator] if analog else []
    return DeploymentSummary(
        name=name,
        chip={
            "name": name,
            "title": "analog RRAM crossbars" if analog else "SRAM with adder trees",
            "source": "constants as cited in the preset",
            "assumed": ["driver energy", "control overhead of 10 %"] if analog else [],
            "process": {"node_nm": 40.0, "supply_V": 0.9, "clock_GHz": 0.25},
        },
        recipe={"weight_bits": 8, "input_bits": 8, "tune_steps": 200, "noise_aware": True, "overrides": {}},
        seed=seed,
        picture=noisy(signal, sd, seed),
        quality={"psnr_dB": float(psnr_dB), "ssim": 0.95},
        float_quality=float_quality,
        waterfall=tuple(steps),
        codes={operator: fake_codes(i, 0.0 if i == 0 else 1e-3) for i, operator in enumerate(layers)},
        costs=fake_costs(seed, analog),
        notes=("path: fast kernel (VNNI)",),
        versions={"ohmfield": "0.1.0"},
        command=f"ohmfield deploy RUN --chip {name}",
        key="0" * 32,
    )


def fake_report(size: int = 48, num_chips: int = 3, real: bool = False) -> ReportData:
    signal = photo("astronaut") if real else shapes(size)
    chips = (("rram-40nm", 0.014), ("dcim-28nm", 0.0075), ("hybrid-40nm", 0.010))[:num_chips]
    baselines = (
        Baseline("Jetson Orin", (1.0, 5.2, 20.0), (0.4, 1.3, 5.0), (200.0, 769.2, 2500.0), "system, 15 W mode",
                 "vendor's data sheet; utilisation 10 %", True),
        Baseline("H100", (20.0, 41.0, 90.0), (0.05, 0.1, 0.3), (3333.0, 10000.0, 20000.0), "board", "data sheet"),
    )  # fmt: skip
    return ReportData(
        signal=signal.describe(),
        truth=signal.as_image().numpy(),
        float_picture=noisy(signal, 0.007, 9),
        float_quality={"psnr_dB": 43.02, "ssim": 0.9821},
        field={"preset": "hash", "parameters": 476_355, "steps": 3000, "seed": 0, "elapsed_s": 26.4},
        summaries=tuple(fake_summary(signal, name, i, sd) for i, (name, sd) in enumerate(chips)),
        baselines=baselines,
        command="ohmfield demo --out demo",
        versions={"ohmfield": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "numpy": "2.4.6"},
    )


def fake_model_report(metric: str = "accuracy", instances: bool = True) -> ReportData:
    """Two chips of a classifier (or of a model scored against itself), as `fake_report` has them of a field."""
    float_quality = (
        {"accuracy": 0.79, "agreement": 1.0} if metric == "accuracy" else {"snr_dB": math.inf, "max_error": 0.0}
    )
    summaries = []
    for seed, (name, lost) in enumerate((("rram-40nm", 0.05), ("dcim-28nm", 0.01))):
        good, others = (0.79 - lost, {"agreement": 0.9}) if metric == "accuracy" else (31.5 - lost, {"max_error": 0.2})
        scores = tuple(good - 0.01 * place for place in range(5))
        made = fake_summary(shapes(24), name, seed)
        steps = [(cause, good + lost * (1 - place / 5)) for place, (cause, _) in enumerate(made.waterfall)]
        drawn = Instances(
            (0, 1, 2, 3, 4), scores, good - 0.02, 0.0158, good - 0.0396, good - 0.0004, good - 0.036, scores[-1]
        )
        summaries.append(
            replace(
                made,
                picture=None,
                metric=metric,
                inference="input",
                quality={metric: good, **others},
                float_quality=float_quality,
                waterfall=(("float", float_quality[metric]), *steps[1:]),
                placed=(("0#0", "crossbar", "linear", ""), ("1#0", "host", "softmax", "exponents & a division")),
                layer_losses={
                    "0": {"clipping": math.inf, "reading": 31.2},
                    "2": {"clipping": math.inf, "reading": math.inf},
                }
                if seed == 0
                else {},
                instances=drawn if instances else None,
            )
        )
    return ReportData(
        signal={"name": "batch.pt", "shape": [60, 3, 8, 8], "scored": 60, "digest": "0" * 32},
        truth=None,
        float_picture=None,
        float_quality=float_quality,
        field={"model": "model.py:build", "parameters": 7162},
        summaries=tuple(summaries),
        command="ohmfield deploy model.py:build --inputs batch.pt --chip rram-40nm",
        versions={"ohmfield": "0.1.0"},
        metric=metric,
        inference="input",
    )
