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


def recompute(g, facts):
    """(sums, codes, outputs) from inputs, levels and steps."""
    groups, banks, planes = len(g["row_groups"]) - 1, len(g["bank_weights"]), len(g["plane_weights"])
    sums, codes = np.zeros_like(g["sums"]), np.zeros_like(g["codes"])
    outputs = np.zeros_like(g["outputs"])
    for group, bank, plane in np.ndindex(groups, banks, planes):
        rows = slice(g["row_groups"][group], g["row_groups"][group + 1])
        digit = digit_of(g["inputs"][:, rows], plane, planes, facts["dac_bits"], facts["drive"])
        driven = digit.sum(axis=1)
        value = digit @ g["levels"][rows, bank] + (g["pedestal"][driven][:, None] if "pedestal" in g else 0)
        code = np.floor(value / g["steps"][bank] + 0.5).astype(np.int64)
        code = np.clip(code, facts["lowest_code"], facts["highest_code"])
        sums[group, bank, plane], codes[group, bank, plane] = value, code
        removed = g["pedestal_codes"][bank][driven][:, None] if "pedestal_codes" in g else 0
        outputs += g["bank_weights"][bank] * g["plane_weights"][plane] * (code - removed)
    total = facts["input_offset"] * g["inputs"].sum(axis=1, keepdims=True) / facts["output_step_levels"]
    return sums, codes, outputs - np.floor(total + 0.5).astype(np.int64)


if __name__ == "__main__":
    arrays, facts = read(sys.argv[1])
    for name, made in zip(("sums", "codes", "outputs"), recompute(arrays, facts), strict=True):
        print(f"{name}: {np.count_nonzero(made != arrays[name])} of {made.size} differ")
