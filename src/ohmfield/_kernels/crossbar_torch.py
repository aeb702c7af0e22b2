"""The analog product in torch, on any device: the codes of `crossbar.reference`, noise included.

Products of integers below 2^24 (2^53) are exact in single (double) precision whatever the order, so a matrix product
gives every sum, one per row group for all planes and banks. Random numbers are hashed with integer operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmfield._kernels.crossbar import CELL_DRAW, LoweredArray, read_units, shift_sums, staircase
from ohmfield.numerics import GOLDEN, MIX_1, MIX_2, NORMAL_A, NORMAL_B, Noise

TILE_BYTES = {"cpu": 2**21, "cuda": 2**27}  # of the sums of one row group, all planes and banks
CELL_TILE = 2**22  # draws that cells keep, made at a time


@dataclass(frozen=True, eq=False)
class Placed:
    """A `LoweredArray` on a device."""

    levels: tuple[Tensor, ...]  # per group, float32 or float64 (what holds every value) [rows, banks * outputs]
    variance: tuple[Tensor, ...]  # the same for per-cell read variance, or empty
    unit: Tensor  # float32 [banks, outputs], of that variance
    codes: Tensor  # float32 or float64 (what holds every sum over planes) [banks, table]
    weights: Tensor  # the same [planes and reads]
    scale: Tensor | None  # of the levels' type [banks, 1]: every bank is the plain staircase of this factor
    bank_weights: Tensor  # int64 [groups or 1, banks, outputs or 1]
    pedestal: Tensor | None  # of the levels' type
    pedestal_code: Tensor | None  # of the codes' type
    gain: Tensor | None  # float32 [groups or 1, banks, outputs]
    offset: Tensor | None
    fixed: Tensor  # float32 [banks]


def multiply(
    array: LoweredArray, inputs: Tensor, noise: Noise | None = None, first: int = 0
) -> tuple[Tensor, dict[str, float]]:
    """Outputs (int64 [vectors, outputs], where `inputs` are) and counts, as `crossbar.reference` gives them.

    `inputs`: whole numbers [vectors, inputs], any integer type. Not for shifted codes in a narrow accumulator.
    """
    placed = _placed(array, inputs.device)
    out = torch.zeros(len(inputs), array.num_outputs, dtype=torch.int64, device=inputs.device)
    size = 8 * array.num_planes * array.num_banks * array.num_outputs
    tile = max(1, TILE_BYTES.get(inputs.device.type, 2**24) // size)
    counts = torch.zeros(3, dtype=torch.int64, device=inputs.device)
    with torch.no_grad(), torch.autocast(inputs.device.type, enabled=False):
        for start in range(0, len(inputs), tile):
            rows = slice(start, start + tile)
            _tile(array, placed, inputs[rows].long(), out[rows], counts, noise, first + start)
    if array.column_shift is not None:
        out += torch.from_numpy(shift_sums(array, inputs.cpu().numpy())).to(out.device)
    driven, zero_planes, reads = counts.tolist()
    conversions = float(reads) * array.num_banks * array.num_outputs
    made = {"driven": float(driven), "zero_planes": float(zero_planes), "conversions": conversions}
    return out, {"vectors": float(len(inputs)), **made}


def _placed(array: LoweredArray, device: torch.device) -> Placed:
    """The array on `device`, copied at its first call and kept."""
    name = f"_placed_{device}"
    if name not in array.__dict__:
        array.__dict__[name] = _place(array, device)
    return array.__dict__[name]


def _place(array: LoweredArray, device: torch.device) -> Placed:
    def tensor(values: np.ndarray | None, kind: Any) -> Tensor | None:
        return None if values is None else placed(values, kind)

    def placed(values: np.ndarray, kind: Any) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=kind)).to(device)

    def groups(cells: np.ndarray, kind: Any) -> tuple[Tensor, ...]:
        flat = cells.reshape(array.num_inputs, -1)
        return tuple(placed(flat[low:high], kind) for low, high in pairwise(array.starts.tolist()))

    def largest(cells: np.ndarray, digit: int) -> float:
        return float(np.add.reduceat(np.abs(cells.astype(np.float64)), array.starts[:-1], axis=0).max()) * digit

    # A device that may round single precision to fewer bits (TF32) gets double.
    single = torch.get_float32_matmul_precision() == "highest"
    digit = 2**array.dac_bits - 1
    pedestal = 0.0 if array.pedestal is None else float(np.abs(array.pedestal).max())
    reach = largest(array.levels, digit) + pedestal
    reach = max(abs(array.first), abs(array.first + array.codes.shape[1]), reach)
    kind = np.float32 if single and 2.0 * reach < 2**24 else np.float64
    cells = array.read_variance if isinstance(array.read_variance, np.ndarray) else None
    variance: tuple[Tensor, ...] = ()
    if cells is not None and array.correlation == "conversion":
        variance = groups(cells, np.float32 if single and largest(cells, digit**2) < 2**24 else np.float64)
    top = float(np.abs(array.codes.astype(np.int64)).max()) * float(np.abs(array.plane_weights).sum())
    code_kind = np.float32 if top * array.reads_per_group < 2**24 else np.float64
    scale, _ = staircase(array)
    weights = array.bank_weights
    gain, offset = (
        None if column is None else column.reshape(-1, array.num_banks, array.num_outputs)
        for column in (array.column_gain, array.column_offset)
    )
    return Placed(
        levels=groups(array.levels, kind),
        variance=variance,
        unit=placed(read_units(array), np.float32),
        codes=placed(array.codes, code_kind),
        weights=placed(np.repeat(array.plane_weights, array.reads_per_group), code_kind),
        scale=placed(scale[:, None], kind) if bool((scale > 0.0).all()) else None,
        bank_weights=placed(weights if weights.ndim == 3 else weights.reshape(1, array.num_banks, -1), np.int64),
        pedestal=tensor(array.pedestal, kind),
        pedestal_code=tensor(array.pedestal_code, code_kind),
        gain=tensor(gain, np.float32),
        offset=tensor(offset, np.float32),
        fixed=placed(np.zeros(array.num_banks) if array.noise_variance is None else array.noise_variance, np.float32),
    )


def _digits(array: LoweredArray, codes: Tensor) -> Tensor:
    """int64 [planes, vectors, inputs]: what each plane drives, as `crossbar.digit_plane`."""
    bits, planes = array.dac_bits, array.num_planes
    mask = 2**bits - 1
    if array.drive == "sign_magnitude":
        side, sign = codes.abs(), codes.sign()
        return torch.stack([((side >> (bits * plane)) & mask) * sign for plane in range(planes)])
    if array.drive == "sign_magnitude_two_pass":
        sides = (codes.clamp(min=0), (-codes).clamp(min=0))
        half = planes // 2
        return torch.stack([(sides[p // half] >> (bits * (p % half))) & mask for p in range(planes)])
    made = torch.stack([(codes >> (bits * plane)) & mask for plane in range(planes)])
    if array.drive == "twos_complement" and bits > 1:
        made[-1] = torch.where(made[-1] > mask // 2, made[-1] - mask - 1, made[-1])
    return made


def _tile(
    array: LoweredArray,
    placed: Placed,
    codes: Tensor,
    out: Tensor,
    counts: Tensor,
    noise: Noise | None,
    first: int,
) -> None:
    """A few vectors: their outputs into `out`, their digits, zero planes and reads onto `counts`."""
    digits = _digits(array, codes)
    counts[0] += digits.abs().sum()
    for group, (low, high) in enumerate(pairwise(array.starts.tolist())):
        digit = digits[:, :, low:high]
        driven = digit != 0
        counts[1] += (~driven.any(dim=2)).sum()
        parts = []
        for read in range(array.reads_per_group):
            made = None
            own = digit
            if array.rows_per_read:
                place = (driven.cumsum(dim=2) - 1) // array.rows_per_read
                own = torch.where(driven & (place == read), digit, 0)
            if array.rows_per_read or array.skip_zero_planes:
                made = (own != 0).any(dim=2)
            counts[2] += own.shape[0] * own.shape[1] if made is None else made.sum()
            converted = _convert(array, placed, _values(array, placed, own, (group, read), noise, first), group)
            if placed.pedestal_code is not None:
                converted = converted - placed.pedestal_code[:, own.sum(dim=2)].permute(1, 2, 0)[..., None]
            if made is not None:
                converted = converted * made[:, :, None, None]
            parts.append(converted)
        codes_of_group = parts[0] if len(parts) == 1 else torch.stack(parts, dim=1).flatten(0, 1)
        _collect(array, placed, codes_of_group, out, group)


def _values(
    array: LoweredArray, placed: Placed, digit: Tensor, at: tuple[int, int], noise: Noise | None, first: int
) -> Tensor:
    """Whole numbers [planes, vectors, banks, outputs], of the levels' type: what the converters of one group see."""
    planes, vectors, rows = digit.shape
    shape = (planes, vectors, array.num_banks, array.num_outputs)
    group = at[0]

    def summed(weights: Tensor, factors: Tensor) -> Tensor:
        return (factors.reshape(-1, rows).to(weights.dtype) @ weights).reshape(shape)

    value = summed(placed.levels[group], digit)
    if placed.pedestal is not None:
        value += placed.pedestal[digit.sum(dim=2)][:, :, None, None]
    if noise is None or not array.noisy:
        return value
    square = digit.square()
    if placed.variance:
        cells = summed(placed.variance[group], square).float()
        variance = cells * placed.unit + placed.fixed[:, None]
    else:
        even = 0.0 if array.correlation == "vector" else float(np.float32(array.read_variance))
        variance = square.sum(dim=2).float()[:, :, None, None] * even + placed.fixed[:, None]
    keys = _conversion_keys(array, (planes, vectors), at, noise, first, digit.device)
    value += _normal(keys, array.num_outputs).mul_(variance.sqrt()).add_(0.5).floor_()
    if array.reads_noisily and array.correlation == "vector":
        value += _kept(array, digit, group, noise, first)
    return value


def _kept(array: LoweredArray, digit: Tensor, group: int, noise: Noise, first: int) -> Tensor:
    """What the draws that cells keep over all planes add, int64 [planes, vectors, banks, outputs]."""
    planes, vectors, rows = digit.shape
    start, banks, outputs = int(array.starts[group]), array.num_banks, array.num_outputs
    device = digit.device
    if isinstance(array.read_variance, np.ndarray):
        variance = array.read_variance[start : start + rows].astype(np.float32) * read_units(array)
    else:
        variance = np.full((rows, 1, 1), array.read_variance, dtype=np.float32)
    sd = torch.from_numpy(np.sqrt(variance) * np.float32(CELL_DRAW)).to(device)
    row = torch.arange(start, start + rows, device=device)[:, None]
    out = torch.empty(planes, vectors, banks, outputs, dtype=torch.int64, device=device)
    step = max(1, CELL_TILE // (rows * banks * outputs))
    for low in range(0, vectors, step):
        vector = torch.arange(first + low, first + min(low + step, vectors), device=device)[:, None, None]
        number = (vector * array.num_inputs + row) * banks + torch.arange(banks, device=device)
        normal = _normal(_splitmix(number ^ _signed(noise.at("cells").key)), outputs)
        draws = torch.floor(sd * normal + 0.5).double().reshape(len(vector), rows, -1)  # sums below 2^53 are exact
        own = digit[:, low : low + step].transpose(0, 1).double() @ draws
        parts = torch.div(own + CELL_DRAW // 2, CELL_DRAW, rounding_mode="floor").long()
        out[:, low : low + step] = parts.reshape(len(vector), planes, banks, outputs).transpose(0, 1)
    return out


def _of_group(values: Tensor, group: int) -> Tensor:
    """The entry of a row group where groups differ, else the only one."""
    return values[group if len(values) > 1 else 0]


def _convert(array: LoweredArray, placed: Placed, value: Tensor, group: int) -> Tensor:
    """Codes, of the codes' type, of `value` [planes, vectors, banks, outputs], which is overwritten."""
    if placed.gain is not None or placed.offset is not None:
        seen = value.float()
        seen = seen if placed.gain is None else seen * _of_group(placed.gain, group)
        seen = seen if placed.offset is None else seen + _of_group(placed.offset, group)
        value = torch.floor(seen + 0.5).to(value.dtype)
    if placed.scale is not None:
        low, high = placed.codes[:, :1].to(value.dtype), placed.codes[:, -1:].to(value.dtype)
        stairs = value.mul_(placed.scale).add_(0.5).floor_()
        return torch.minimum(torch.maximum(stairs, low, out=stairs), high, out=stairs).to(placed.codes.dtype)
    index = (value - array.first).clamp_(0, placed.codes.shape[1] - 1).long()
    index += torch.arange(array.num_banks, device=value.device)[:, None] * placed.codes.shape[1]
    return placed.codes.reshape(-1)[index]


def _collect(array: LoweredArray, placed: Placed, codes: Tensor, out: Tensor, group: int) -> None:
    """Adds the weighted codes [planes and reads, vectors, banks, outputs] to `out`; a narrow accumulator in order."""
    weights = _of_group(placed.bank_weights, group)
    if array.accumulator_bits is None:
        total = (placed.weights @ codes.flatten(1)).reshape(codes.shape[1:]).long()
        out += (total * weights).sum(dim=1)
        return
    half = 1 << (array.accumulator_bits - 1)
    for bank in range(array.num_banks):
        for plane, weight in enumerate(placed.weights.long()):
            out += codes[plane, :, bank].long() * weight * weights[bank]
            if array.overflow == "saturate":
                out.clamp_(-half, half - 1)
            else:
                out.copy_(((out + half) & (2 * half - 1)) - half)


def _signed(value: int) -> int:
    """The int64 with the bits of an unsigned 64-bit number."""
    return value - 2**64 if value >= 2**63 else value


def _splitmix(values: Tensor) -> Tensor:
    """`numerics.splitmix` on the bits of int64."""
    z = values + _signed(0x9E3779B97F4A7C15)
    z = (z ^ ((z >> 30) & (2**34 - 1))) * _signed(0xBF58476D1CE4E5B9)
    z = (z ^ ((z >> 27) & (2**37 - 1))) * _signed(0x94D049BB133111EB)
    return z ^ ((z >> 31) & (2**33 - 1))


def _conversion_keys(
    array: LoweredArray, shape: tuple[int, int], at: tuple[int, int], noise: Noise, first: int, device: torch.device
) -> Tensor:
    """int64 keys [planes, vectors, banks] of the conversions of one group and read."""
    planes, vectors = shape
    reads, banks = array.reads_per_group, array.num_banks
    plane = torch.arange(planes, device=device)[:, None, None]
    vector = torch.arange(first, first + vectors, device=device)[None, :, None]
    place = ((at[0] * planes + plane) * reads + at[1]) * banks + torch.arange(banks, device=device)
    return _splitmix((vector * (array.num_groups * planes * reads * banks) + place) ^ _signed(noise.key))


def _normal(keys: Tensor, columns: int) -> Tensor:
    """float32 [*keys, columns]: `normal_from_bits(hash_columns(keys, 0 .. columns))`, its operations in order.

    The bits of uint32 travel in int32, which halves the memory of int64; a shift to the right drops the sign's copies.
    """

    def fold(x: Tensor, bits: int) -> Tensor:
        return (x >> bits).bitwise_and_(2 ** (32 - bits) - 1).bitwise_xor_(x)

    column = _low(torch.arange(columns, device=keys.device) * GOLDEN)
    low, high = _low(keys)[..., None], _low(keys >> 32)[..., None]
    x = fold(column + low, 16).mul_(_signed32(MIX_1)).bitwise_xor_(high)
    x = fold(fold(x, 15).mul_(_signed32(MIX_2)), 15)
    pairs = (x & 0x00FF00FF).add_((x >> 8).bitwise_and_(0x00FF00FF))
    z = (pairs & 0xFFFF).add_(pairs >> 16).float().sub_(510.0)
    return (z * z).mul_(float(NORMAL_B)).add_(float(NORMAL_A)).mul_(z)


def _low(values: Tensor) -> Tensor:
    """int32 with the low 32 bits of int64."""
    values = values & 0xFFFFFFFF
    return torch.where(values >= 2**31, values - 2**32, values).to(torch.int32)


def _signed32(value: int) -> int:
    """The int32 with the bits of an unsigned 32-bit number."""
    return value - 2**32 if value >= 2**31 else value
