"""Codes and outputs of a golden file once more, with NumPy alone: python recompute.py golden.safetensors"""

import json
import sys
from pathlib import Path

import numpy as np

TYPES = {"I64": "<i8", "F64": "<f8", "F32": "<f4"}


def read(path):
    """(arrays by name, facts) of a golden file."""
    data = Path(path).read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    facts = json.loads(header.pop("__metadata__")["golden"])
    arrays = {}
    for name, entry in header.items():
        low, high = entry["data_offsets"]
        arrays[name] = np.frombuffer(data[end + low : end + high], TYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays, facts


def digit_of(x, plane, planes, bits, drive):
    """What one plane drives of the inputs `x`."""
    mask = 2**bits - 1
    if drive == "sign_magnitude":
        return np.sign(x) * (np.abs(x) >> bits * plane & mask)
    if drive == "sign_magnitude_two_pass":
        half = planes // 2
        return np.maximum(x if plane < half else -x, 0) >> bits * (plane % half) & mask
    digit = x >> bits * plane & mask
    signed_top = drive == "twos_complement" and bits > 1 and plane == planes - 1
    return np.where(digit > mask // 2, digit - mask - 1, digit) if signed_top else digit


def held(total, facts):
    """`total` in an accumulator of its width."""
    if facts["accumulator_bits"] is None:
        return total
    half = 1 << (facts["accumulator_bits"] - 1)
    return np.clip(total, -half, half - 1) if facts["overflow"] == "saturate" else (total + half) % (2 * half) - half


def recompute(g, facts):
    """(sums, codes, outputs) from inputs, levels and steps."""
    groups, banks, planes = len(g["row_groups"]) - 1, g["levels"].shape[1], len(g["plane_weights"])
    sums, codes = np.zeros_like(g["sums"]), np.zeros_like(g["codes"])
    outputs = np.zeros_like(g["outputs"])
    for group, bank, plane in np.ndindex(groups, banks, planes):
        rows = slice(g["row_groups"][group], g["row_groups"][group + 1])
        digit = digit_of(g["inputs"][:, rows], plane, planes, facts["dac_bits"], facts["drive"])
        driven = digit.sum(axis=1)
        made = (digit != 0).any(axis=1) if facts["skip_zero_planes"] else np.ones(len(digit), dtype=bool)
        value = digit @ g["levels"][rows, bank] + (g["pedestal"][driven][:, None] if "pedestal" in g else 0)
        sums[group, bank, plane] = value * made[:, None]
        if "column_gain" in g:  # in single precision, as the kernels do
            value = value.astype(np.float32) * g["column_gain"][group, bank]
            value = np.floor(value + g["column_offset"][group, bank] + np.float32(0.5)).astype(np.int64)
        if facts["codes_are_a_staircase"]:
            code = np.floor(value / g["steps"][bank] + 0.5).astype(np.int64)
            code = np.clip(code, facts["lowest_code"], facts["highest_code"])
        else:
            code = g["code_table"][bank][np.clip(value - facts["code_table_first"], 0, g["code_table"].shape[1] - 1)]
        codes[group, bank, plane] = code * made[:, None]
        counted = code - g["pedestal_codes"][bank][driven][:, None] if "pedestal_codes" in g else code
        counted = counted * g["bank_weights"][group, bank]
        counted = counted + (g["column_shift"][group, bank] if "column_shift" in g else 0)
        outputs = held(outputs + g["plane_weights"][plane] * counted * made[:, None], facts)
    total = facts["input_offset"] * g["inputs"].sum(axis=1, keepdims=True) / facts["output_step_levels"]
    return sums, codes, outputs - np.floor(total + 0.5).astype(np.int64)


if __name__ == "__main__":
    arrays, facts = read(sys.argv[1])
    for name, made in zip(("sums", "codes", "outputs"), recompute(arrays, facts), strict=True):
        print(f"{name}: {np.count_nonzero(made != arrays[name])} of {made.size} differ")
