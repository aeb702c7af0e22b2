"""A bounded reader of 16-bit PNG: pillow silently hands out 8 bits of a 16-bit RGB, RGBA or grey-alpha file."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # PNG colour type -> samples per pixel


def is_png16(path: Path) -> bool:
    """Whether the file is a PNG with 16 bits per sample."""
    with path.open("rb") as file:
        head = file.read(26)
    return head[:8] == SIGNATURE and head[12:16] == b"IHDR" and head[24:25] == b"\x10"


def read_png16(path: Path, max_pixels: int) -> np.ndarray:
    """uint16 [height, width, samples] of a 16-bit, non-interlaced PNG; `ValueError` says what is wrong with it.

    Every length is checked before it is used and no more than the image's own bytes are inflated.
    Source: PNG specification, third edition (W3C, 2025), sections 5, 9 and 11.
    """
    data = path.read_bytes()
    if data[:8] != SIGNATURE:
        raise ValueError("is not a PNG file")
    header: tuple[int, ...] | None = None
    packed = bytearray()
    at, ended = 8, False
    while not ended:
        if at + 12 > len(data):
            raise ValueError("is truncated")
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + length]
        if at + 12 + length > len(data):
            raise ValueError("is truncated")
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(kind + body) != checksum:
            raise ValueError(f"is damaged (checksum of chunk {kind.decode('latin-1')!r})")
        if kind == b"IHDR" and length == 13:
            header = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
        ended = kind == b"IEND"
        at += 12 + length
    if header is None:
        raise ValueError("has no header")
    width, height, bits, colour, _, _, interlace = header
    if bits != 16 or colour not in CHANNELS:
        raise ValueError(f"has {bits} bits and colour type {colour}, which no 16-bit PNG has")
    if interlace:
        raise ValueError("is interlaced, which is read at 8 bits only; save it without interlacing")
    if not 0 < width * height <= max_pixels:
        raise ValueError(f"has {width} x {height} pixels, at most {max_pixels} are read")
    return _samples(bytes(packed), width, height, CHANNELS[colour])


def _samples(packed: bytes, width: int, height: int, channels: int) -> np.ndarray:
    stride = 2 * channels  # bytes per pixel: the distance the filters look back
    row_bytes = width * stride
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(packed, height * (row_bytes + 1))
    except zlib.error as error:
        raise ValueError(f"is damaged ({error})") from None
    if len(raw) < height * (row_bytes + 1):
        raise ValueError("is truncated")
    lines = np.frombuffer(raw, np.uint8).reshape(height, row_bytes + 1)
    above = np.zeros(row_bytes, np.uint8)
    pixels = np.empty((height, row_bytes), np.uint8)
    for row in range(height):
        pixels[row] = _unfilter(int(lines[row, 0]), lines[row, 1:], above, stride)
        above = pixels[row]
    return pixels.view(">u2").astype(np.uint16).reshape(height, width, channels)


def _unfilter(kind: int, line: np.ndarray, above: np.ndarray, stride: int) -> np.ndarray:
    """One line without its filter: none, sub, up, average, Paeth (specification, section 9.2)."""
    if kind == 0:
        return line
    if kind == 1:
        return line.reshape(-1, stride).cumsum(axis=0, dtype=np.uint8).reshape(-1)
    if kind == 2:
        return line + above
    if kind not in (3, 4):
        raise ValueError(f"is damaged (filter {kind})")
    out = [0] * stride + line.tolist()
    up = [0] * stride + above.tolist()
    for i in range(stride, len(out)):
        left, over = out[i - stride], up[i]
        out[i] = (out[i] + ((left + over) // 2 if kind == 3 else _paeth(left, over, up[i - stride]))) & 0xFF
    return np.array(out[stride:], np.uint8)


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    distances = abs(guess - left), abs(guess - above), abs(guess - corner)
    return (left, above, corner)[distances.index(min(distances))]
