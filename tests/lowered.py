"""Layers with random levels for the tests of the analog product, and inputs for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ohmfield._kernels.crossbar import Drive, LoweredArray


def lowered(
    *,
    inputs: int = 40,
    outputs: int = 5,
    banks: int = 4,
    largest: int = 3,
    rows: int = 16,
    planes: int = 8,
    dac_bits: int = 1,
    adc_bits: int = 6,
    step: float = 2.0,
    grid: int = 1,
    drive: Drive = "twos_complement",
    staircase: bool = True,
    noise: float = 0.0,
    read: str = "none",
    pedestal: float = 0.0,
    mismatch: bool = False,
    scaled: bool = False,
    seed: int = 0,
    **fields: Any,
) -> LoweredArray:
    """A layer with random levels; `pedestal` > 0 makes its columns unsigned."""
    rng = np.random.default_rng(seed)
    low = 0 if pedestal else -largest * grid
    levels = rng.integers(low, largest * grid + 1, size=(inputs, banks, outputs)).astype(np.int32)
    starts = np.array(sorted({*range(0, inputs, rows), inputs}))
    reach = int(rows * (largest + pedestal + 1) * grid * (2**dac_bits - 1) + 64)
    values = np.arange(-reach, reach + 1)
    first_code, last_code = (0, 2**adc_bits - 1) if pedestal else (-(2 ** (adc_bits - 1)), 2 ** (adc_bits - 1) - 1)
    codes = np.clip(np.floor(values / (step * grid) + 0.5), first_code, last_code)
    if not staircase:
        codes = np.sign(codes) * np.floor(np.abs(codes) ** 0.9)
    weights = np.array([2 ** (dac_bits * plane) for plane in range(planes)])
    if drive == "twos_complement" and dac_bits == 1:
        weights[-1] *= -1
    if drive == "sign_magnitude_two_pass":
        weights = np.concatenate([weights, -weights])
    most = rows * (2**dac_bits - 1) + 1
    heights = np.round(pedestal * grid * np.arange(most)).astype(np.int64)
    removed = np.floor(heights / (grid * step) + 0.5).astype(np.int64)
    read_variance: np.ndarray | float = 0.0
    if read == "cell":
        read_variance = rng.integers(0, 90, size=levels.shape).astype(np.uint16)
    elif read == "even":
        read_variance = 0.31
    return LoweredArray(
        levels=levels,
        starts=starts,
        grid=grid,
        bank_weights=rng.integers(-9, 99, size=(banks, outputs)) if scaled else 4 ** np.arange(banks),
        plane_weights=weights,
        dac_bits=dac_bits,
        drive=drive,
        first=-reach,
        codes=np.tile(codes.astype(np.int32), (banks, 1)),
        step=np.full(banks, step * grid) if staircase else None,
        pedestal=heights if pedestal else None,
        pedestal_code=np.tile(removed, (banks, 1)) if pedestal else None,
        noise_variance=np.full(banks, noise) if noise else None,
        read_variance=read_variance,
        read_unit=rng.uniform(0.02, 0.12, (banks, outputs)).astype(np.float32) if read == "cell" else 1.0,
        column_gain=rng.uniform(0.9, 1.1, size=(banks, outputs)).astype(np.float32) if mismatch else None,
        column_offset=rng.uniform(-2, 2, size=(banks, outputs)).astype(np.float32) if mismatch else None,
        **fields,
    )


def numbers(array: LoweredArray, vectors: int, seed: int = 0) -> np.ndarray:
    two_pass = array.drive == "sign_magnitude_two_pass"
    bits = array.dac_bits * array.num_planes // (2 if two_pass else 1)
    low, high = 0, 2**bits
    if array.drive == "twos_complement":
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1)
    elif array.drive != "unsigned":
        low, high = 1 - 2**bits, 2**bits
    codes = np.random.default_rng(seed).integers(low, high, size=(vectors, array.num_inputs))
    return codes * (np.arange(vectors) % 5 > 0)[:, None]  # some vectors drive nothing
