"""Mesh files: Wavefront OBJ, PLY (text and binary) and STL (text and binary), corners and triangles alone.

Everything read is bounded. A face with more than three corners becomes a fan of triangles.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ohmfield.files import write_atomic
from ohmfield.spec import InputError

MAX_BYTES = 2**30
MAX_ITEMS = 2**24
"""Largest number of corners, and of triangles."""

PLY_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}

Arrays = tuple[np.ndarray, np.ndarray]


def read(path: Path) -> Arrays:
    """Corners float64 [V, 3] and triangles int64 [F, 3] of a file; `InputError` for what cannot be read."""
    readers = {".obj": _obj, ".ply": _ply, ".stl": _stl}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: {path.suffix or 'no ending'} is not a mesh file; use {', '.join(readers)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: {path.stat().st_size} bytes, at most {MAX_BYTES} are read; simplify the mesh")
    try:
        vertices, faces = reader(path.read_bytes())
    except (ValueError, IndexError, KeyError, struct.error, OverflowError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: cannot be read as a mesh ({reason}); export it again") from None
    return vertices, faces


def write(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Writes `.ply` (binary, float32) or `.obj`, whole or not at all."""
    kind = path.suffix.lower()
    if kind == ".ply":
        lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
        lines += [f"property float {axis}" for axis in "xyz"]
        lines += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header\n"]
        rows = np.empty(len(faces), np.dtype([("count", "u1"), ("corners", "<i4", (3,))]))
        rows["count"], rows["corners"] = 3, faces
        data = "\n".join(lines).encode() + vertices.astype("<f4").tobytes() + rows.tobytes()
    elif kind == ".obj":
        lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in vertices]
        lines += [f"f {a} {b} {c}" for a, b, c in faces + 1]
        data = ("\n".join(lines) + "\n").encode()
    else:
        raise InputError(f"{path}: meshes are written as .ply or .obj, not {path.suffix or 'without an ending'}")
    write_atomic(path, data)


def _bounded(count: int, what: str) -> int:
    if not 0 <= count <= MAX_ITEMS:
        raise ValueError(f"{count} {what}, at most {MAX_ITEMS} are read")
    return count


def _fans(polygons: Iterable[list[int]]) -> np.ndarray:
    found = [(p[0], p[k], p[k + 1]) for p in polygons for k in range(1, len(p) - 1)]
    _bounded(len(found), "triangles")
    return np.array(found, np.int64).reshape(-1, 3)


def _obj(data: bytes) -> Arrays:
    vertices: list[list[float]] = []
    polygons: list[list[int]] = []
    for number, line in enumerate(data.decode("utf-8", errors="replace").splitlines(), 1):
        words = line.split()
        if not words or words[0] not in ("v", "f"):
            continue
        try:
            if words[0] == "v":
                x, y, z = words[1:4]
                vertices.append([float(x), float(y), float(z)])
            else:
                corners = [int(word.split("/")[0]) for word in words[1:]]
                # From 1 in the order of the file; negative ones count back from the corners read so far.
                polygons.append([c - 1 if c > 0 else c + len(vertices) if c < 0 else -1 for c in corners])
        except ValueError:
            raise ValueError(f"line {number}: {line[:60]!r}") from None
    _bounded(len(vertices), "vertices")
    if not vertices:
        raise ValueError("no line of it is a vertex")
    return np.array(vertices, np.float64), _fans(polygons)


@dataclass
class _Element:
    name: str
    count: int
    properties: list[tuple[str, str, str]] = field(default_factory=list)  # name, type, type of the count of a list


def _ply(data: bytes) -> Arrays:
    head, mark, body = data.partition(b"end_header")
    lines = head.decode("ascii", errors="replace").splitlines()
    if not mark or not lines or lines[0].strip() != "ply":
        raise ValueError("it has no PLY header")
    body = body[body.index(b"\n") + 1 :]
    kind, elements = "", list[_Element]()
    for line in lines[1:]:
        words = line.split()
        if words[:1] == ["format"]:
            kind = words[1]
        elif words[:1] == ["element"]:
            elements.append(_Element(words[1], _bounded(int(words[2]), words[1])))
        elif words[:2] == ["property", "list"]:
            elements[-1].properties.append((words[4], PLY_TYPES[words[3]], PLY_TYPES[words[2]]))
        elif words[:1] == ["property"]:
            elements[-1].properties.append((words[2], PLY_TYPES[words[1]], ""))
    order = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
    if kind not in order:
        raise ValueError(f"format {kind!r}, known are {', '.join(order)}")
    rows = _text_rows(body) if kind == "ascii" else _binary_rows(body, order[kind])
    next(rows)
    vertices, faces = np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    for element in elements:
        columns = rows.send(element)
        if element.name == "vertex":
            vertices = np.stack([np.asarray(columns[axis], np.float64) for axis in "xyz"], axis=1)
        elif element.name == "face" and element.count:
            corners = columns.get("vertex_indices", columns.get("vertex_index"))
            if corners is None:
                raise ValueError("its faces have no vertex_indices")
            equal = isinstance(corners, np.ndarray) and corners.ndim == 2 and corners.shape[1] == 3
            faces = corners.astype(np.int64) if equal else _fans([list(map(int, c)) for c in corners])
    return vertices, faces


def _text_rows(body: bytes) -> Generator[dict, _Element, None]:
    """Coroutine: an element in, its columns out, from whitespace-separated numbers."""
    words, at = body.split(), 0
    element = yield {}
    while True:
        columns: dict[str, list] = {name: [] for name, _, _ in element.properties}
        for _ in range(element.count):
            for name, _, counted in element.properties:
                count = int(words[at]) if counted else 1
                at += bool(counted)
                if at + count > len(words) or count < 0:
                    raise ValueError("it ends before its last element")
                values = [float(word) for word in words[at : at + count]]
                at += count
                columns[name].append(values if counted else values[0])
        element = yield columns


def _binary_rows(body: bytes, order: str) -> Generator[dict, _Element, None]:
    """Coroutine: an element in, its columns out."""
    at = 0
    element = yield {}
    while True:
        columns, at = _binary_element(body, at, order, element)
        element = yield columns


def _binary_element(body: bytes, at: int, order: str, element: _Element) -> tuple[dict, int]:
    # Rows of one size first: what nearly every file holds. Lists of differing lengths are read row by row.
    lengths = _lengths(body, at, order, element.properties) if element.count else {}
    dtype: list = []
    for name, type_, counted in element.properties:
        if counted:
            dtype.append((f"count {name}", order + counted))
        dtype.append((name, order + type_, (lengths.get(name, 0),)) if counted else (name, order + type_))
    row = np.dtype(dtype)
    size = row.itemsize * element.count
    if at + size <= len(body):
        table = np.frombuffer(body, row, element.count, at)
        if all((table[f"count {name}"] == length).all() for name, length in lengths.items()):
            return {name: table[name] for name, _, _ in element.properties}, at + size
    columns: dict[str, list] = {name: [] for name, _, _ in element.properties}
    for _ in range(element.count):
        for name, type_, counted in element.properties:
            count = 1
            if counted:
                count = int(np.frombuffer(body, order + counted, 1, at)[0])
                at += np.dtype(counted).itemsize
            values = np.frombuffer(body, order + type_, count, at)
            at += values.nbytes
            columns[name].append(values if counted else values[0])
    return columns, at


def _lengths(body: bytes, at: int, order: str, properties: list[tuple[str, str, str]]) -> dict[str, int]:
    """How long the lists of the first row are."""
    lengths = {}
    for name, type_, counted in properties:
        if counted:
            lengths[name] = int(np.frombuffer(body, order + counted, 1, at)[0])
            at += np.dtype(counted).itemsize
        at += np.dtype(type_).itemsize * lengths.get(name, 1)
    return lengths


def _stl(data: bytes) -> Arrays:
    row = np.dtype([("normal", "<f4", (3,)), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    count = struct.unpack_from("<I", data, 80)[0] if len(data) >= 84 else -1
    if count >= 0 and len(data) == 84 + count * row.itemsize:
        corners = np.frombuffer(data, row, _bounded(count, "triangles"), 84)["corners"].reshape(-1, 3)
    elif data[:5] == b"solid":
        lines = data.decode("ascii", errors="replace").splitlines()
        words = [line.split()[1:4] for line in lines if line.split()[:1] == ["vertex"]]
        corners = np.array(words, np.float64).reshape(-1, 3)
    else:
        announced = f"announces {count} triangles, {84 + count * row.itemsize} bytes" if count >= 0 else "has no header"
        raise ValueError(f"it {announced}, and holds {len(data)} bytes")
    if len(corners) % 3:
        raise ValueError(f"{len(corners)} corners make no whole number of triangles")
    vertices, which = np.unique(corners.astype(np.float64) + 0.0, axis=0, return_inverse=True)
    return vertices, which.reshape(-1, 3).astype(np.int64)
