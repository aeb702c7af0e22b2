"""Distance to a set of triangles and their generalised winding number: `reference` over all of them, `fast` by a tree.

The distance is exact: to the closest point of the closest triangle. The winding number of a point is the solid angle
under which it sees the triangles over 4 pi: 1 inside and 0 outside a closed surface, in between near the hole of an
open one. Far groups of triangles stand in as one dipole (Barill et al., ACM Trans. Graph. 37(4), 2018, first order).
Sources: Ericson, Real-Time Collision Detection, 5.1.5; van Oosterom and Strackee, IEEE Trans. Biomed. Eng. 30(2), 1983.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from ohmfield._kernels.threads import num_threads, run_parallel

LEAF = 4  # triangles of a leaf
DEPTH = 64  # of the stack: halving 2^31 triangles takes 31 levels, and each leaves one sibling behind
FAR = 2.5  # a group is far when its middle lies this many of its radii away
JOBS_PER_THREAD = 4


def reference(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance and winding number, float64 [N], of `points` [N, 3] to all `triangles` [F, 3, 3], in plain numpy."""
    distance, winding = np.empty(len(points)), np.empty(len(points))
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    normal = np.cross(b - a, c - a)
    square = (normal * normal).sum(-1)
    for number, point in enumerate(points):
        best = np.full(len(triangles), np.inf)
        inside = np.ones(len(triangles), bool)
        for p, q in ((a, b), (b, c), (c, a)):
            edge, to_point = q - p, point - p
            share = np.clip((to_point * edge).sum(-1) / np.maximum((edge * edge).sum(-1), 1e-300), 0.0, 1.0)
            best = np.minimum(best, ((to_point - share[:, None] * edge) ** 2).sum(-1))
            inside &= (np.cross(edge, to_point) * normal).sum(-1) >= 0.0
        above = ((point - a) * normal).sum(-1) ** 2 / np.maximum(square, 1e-300)
        distance[number] = math.sqrt(np.where(inside & (square > 0.0), np.minimum(best, above), best).min())
        u, v, w = a - point, b - point, c - point
        nu, nv, nw = (np.linalg.norm(side, axis=-1) for side in (u, v, w))
        volume = (u * np.cross(v, w)).sum(-1)
        rest = nu * nv * nw + (u * v).sum(-1) * nw + (v * w).sum(-1) * nu + (w * u).sum(-1) * nv
        winding[number] = np.arctan2(volume, rest).sum() / (2.0 * math.pi)
    return distance, winding


@dataclass(frozen=True, eq=False)
class Tree:
    """Triangles in an order where those of a node follow each other; the two children of a node too."""

    triangles: np.ndarray
    """float64 [F, 9]"""
    boxes: np.ndarray
    """float64 [nodes, 6], least and largest corner"""
    nodes: np.ndarray
    """int64 [nodes, 3]: left child (right is next; -1 is a leaf), first triangle, number of triangles"""
    dipoles: np.ndarray
    """float64 [nodes, 7]: middle, area vector, square of the distance from which the dipole serves"""


def build(triangles: np.ndarray) -> Tree:
    """The tree of `triangles` [F, 3, 3]: along a curve that fills space, nodes halved until they hold few."""
    order = np.argsort(_morton(triangles.mean(1)), kind="stable")
    flat = np.ascontiguousarray(triangles[order].reshape(-1, 9), dtype=np.float64)
    nodes = np.empty((2 * len(triangles), 3), np.int64)
    nodes = nodes[: _halve(len(triangles), nodes)]
    boxes, dipoles = np.empty((len(nodes), 6)), np.empty((len(nodes), 7))
    _sum_up(flat, nodes, boxes, dipoles)
    return Tree(flat, boxes, nodes, dipoles)


@njit(cache=True, nogil=True, error_model="numpy")
def _halve(num_triangles, nodes):
    """Fills `nodes`; how many there are."""
    nodes[0, 0], nodes[0, 1], nodes[0, 2] = -1, 0, num_triangles
    total, number = 1, 0
    while number < total:
        first, count = nodes[number, 1], nodes[number, 2]
        if count > LEAF:
            half = count // 2
            nodes[number, 0] = total
            for start, size in ((first, half), (first + half, count - half)):
                nodes[total, 0], nodes[total, 1], nodes[total, 2] = -1, start, size
                total += 1
        number += 1
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _sum_up(triangles, nodes, boxes, dipoles):
    """Fills boxes and dipoles from the leaves up; children stand behind their parent."""
    areas = np.zeros(len(nodes))
    for node in range(len(nodes) - 1, -1, -1):
        left, first, count = nodes[node, 0], nodes[node, 1], nodes[node, 2]
        box, dipole = boxes[node], dipoles[node]
        box[:3], box[3:], dipole[:] = np.inf, -np.inf, 0.0
        if left < 0:
            for at in range(first, first + count):
                t = triangles[at]
                ux, uy, uz = t[3] - t[0], t[4] - t[1], t[5] - t[2]
                vx, vy, vz = t[6] - t[0], t[7] - t[1], t[8] - t[2]
                nx, ny, nz = 0.5 * (uy * vz - uz * vy), 0.5 * (uz * vx - ux * vz), 0.5 * (ux * vy - uy * vx)
                area = math.sqrt(nx * nx + ny * ny + nz * nz)
                areas[node] += area
                dipole[3] += nx
                dipole[4] += ny
                dipole[5] += nz
                for axis in range(3):
                    dipole[axis] += area * (t[axis] + t[3 + axis] + t[6 + axis]) / 3.0
                    for corner in range(3):
                        box[axis] = min(box[axis], t[3 * corner + axis])
                        box[3 + axis] = max(box[3 + axis], t[3 * corner + axis])
        else:
            for child in range(left, left + 2):
                areas[node] += areas[child]
                for axis in range(3):
                    box[axis] = min(box[axis], boxes[child, axis])
                    box[3 + axis] = max(box[3 + axis], boxes[child, 3 + axis])
                    dipole[axis] += areas[child] * dipoles[child, axis]
                    dipole[3 + axis] += dipoles[child, 3 + axis]
        reach = 0.0
        for axis in range(3):
            if areas[node] > 0.0:
                dipole[axis] /= areas[node]
            else:
                dipole[axis] = 0.5 * (box[axis] + box[3 + axis])
            reach += max(dipole[axis] - box[axis], box[3 + axis] - dipole[axis]) ** 2
        dipole[6] = FAR * FAR * reach


@njit(cache=True, nogil=True, error_model="numpy")
def _square_to_triangle(px, py, pz, t):
    """Square of the distance from a point to the triangle of nine coordinates."""
    abx, aby, abz = t[3] - t[0], t[4] - t[1], t[5] - t[2]
    acx, acy, acz = t[6] - t[0], t[7] - t[1], t[8] - t[2]
    apx, apy, apz = px - t[0], py - t[1], pz - t[2]
    d1, d2 = abx * apx + aby * apy + abz * apz, acx * apx + acy * apy + acz * apz
    v = w = 0.0
    bpx, bpy, bpz = px - t[3], py - t[4], pz - t[5]
    d3, d4 = abx * bpx + aby * bpy + abz * bpz, acx * bpx + acy * bpy + acz * bpz
    cpx, cpy, cpz = px - t[6], py - t[7], pz - t[8]
    d5, d6 = abx * cpx + aby * cpy + abz * cpz, acx * cpx + acy * cpy + acz * cpz
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    if d1 <= 0.0 and d2 <= 0.0:
        pass
    elif d3 >= 0.0 and d4 <= d3:
        v = 1.0
    elif d6 >= 0.0 and d5 <= d6:
        w = 1.0
    elif vc <= 0.0 and d1 >= 0.0 and d3 <= 0.0:
        v = d1 / (d1 - d3)
    elif vb <= 0.0 and d2 >= 0.0 and d6 <= 0.0:
        w = d2 / (d2 - d6)
    elif va <= 0.0 and d4 - d3 >= 0.0 and d5 - d6 >= 0.0:
        w = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        v = 1.0 - w
    else:
        v, w = vb / (va + vb + vc), vc / (va + vb + vc)
    x, y, z = apx - v * abx - w * acx, apy - v * aby - w * acy, apz - v * abz - w * acz
    return x * x + y * y + z * z


@njit(cache=True, nogil=True, error_model="numpy")
def _square_to_box(px, py, pz, box):
    x, y, z = max(box[0] - px, px - box[3], 0.0), max(box[1] - py, py - box[4], 0.0), max(box[2] - pz, pz - box[5], 0.0)
    return x * x + y * y + z * z


@njit(cache=True, nogil=True, error_model="numpy")
def _distances(points, triangles, boxes, nodes, out):
    stack, bound = np.empty(DEPTH, np.int64), np.empty(DEPTH)
    last = 0  # the closest triangle of the point before: a good first guess where neighbours follow each other
    for number in range(len(points)):
        px, py, pz = points[number, 0], points[number, 1], points[number, 2]
        best = _square_to_triangle(px, py, pz, triangles[last])
        stack[0], bound[0], top = 0, 0.0, 1
        while top > 0:
            top -= 1
            if bound[top] >= best:
                continue
            left, first, count = nodes[stack[top]]
            if left < 0:
                for at in range(first, first + count):
                    square = _square_to_triangle(px, py, pz, triangles[at])
                    if square < best:
                        best, last = square, at
                continue
            near, far = left, left + 1
            near_square, far_square = _square_to_box(px, py, pz, boxes[near]), _square_to_box(px, py, pz, boxes[far])
            if far_square < near_square:
                near, far, near_square, far_square = far, near, far_square, near_square
            if far_square < best:
                stack[top], bound[top] = far, far_square
                top += 1
            if near_square < best:
                stack[top], bound[top] = near, near_square
                top += 1
        out[number] = math.sqrt(best)


@njit(cache=True, nogil=True, error_model="numpy")
def _solid_angle(px, py, pz, t):
    """Half the signed solid angle of a triangle."""
    ax, ay, az = t[0] - px, t[1] - py, t[2] - pz
    bx, by, bz = t[3] - px, t[4] - py, t[5] - pz
    cx, cy, cz = t[6] - px, t[7] - py, t[8] - pz
    a, b, c = (
        math.sqrt(ax * ax + ay * ay + az * az),
        math.sqrt(bx * bx + by * by + bz * bz),
        math.sqrt(cx * cx + cy * cy + cz * cz),
    )
    volume = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
    rest = a * b * c + (ax * bx + ay * by + az * bz) * c + (bx * cx + by * cy + bz * cz) * a
    return math.atan2(volume, rest + (cx * ax + cy * ay + cz * az) * b)


@njit(cache=True, nogil=True, error_model="numpy")
def _windings(points, triangles, nodes, dipoles, out):
    stack = np.empty(DEPTH, np.int64)
    for number in range(len(points)):
        px, py, pz = points[number, 0], points[number, 1], points[number, 2]
        total = 0.0
        stack[0], top = 0, 1
        while top > 0:
            top -= 1
            d = dipoles[stack[top]]
            x, y, z = d[0] - px, d[1] - py, d[2] - pz
            square = x * x + y * y + z * z
            if square > d[6]:
                total += 0.5 * (x * d[3] + y * d[4] + z * d[5]) / (square * math.sqrt(square))
                continue
            left, first, count = nodes[stack[top]]
            if left < 0:
                for at in range(first, first + count):
                    total += _solid_angle(px, py, pz, triangles[at])
            else:
                stack[top], stack[top + 1] = left + 1, left
                top += 2
        out[number] = total / (2.0 * math.pi)


def distance(points: np.ndarray, tree: Tree) -> np.ndarray:
    """Distance, float64 [N], of `points` [N, 3] to the nearest triangle."""
    return _by_parts(points, lambda part, out: _distances(part, tree.triangles, tree.boxes, tree.nodes, out))


def winding(points: np.ndarray, tree: Tree) -> np.ndarray:
    """Generalised winding number, float64 [N]; a few hundredths off at most."""
    return _by_parts(points, lambda part, out: _windings(part, tree.triangles, tree.nodes, tree.dipoles, out))


def _by_parts(points: np.ndarray, kernel) -> np.ndarray:
    """`kernel(part, out)` over `points` in an order where neighbours in space follow each other."""
    order = np.argsort(_morton(points), kind="stable")
    ordered = np.ascontiguousarray(points[order], dtype=np.float64)
    values = np.empty(len(points))
    size = max(1024, -(-len(points) // (num_threads() * JOBS_PER_THREAD)))
    run_parallel(
        lambda first: kernel(ordered[first : first + size], values[first : first + size]), range(0, len(points), size)
    )
    out = np.empty(len(points))
    out[order] = values
    return out


def _morton(points: np.ndarray) -> np.ndarray:
    """Ten bits of each coordinate, interleaved: uint64 [N]."""
    low = points.min(0) if len(points) else np.zeros(3)
    size = np.maximum(np.ptp(points, axis=0) if len(points) else np.ones(3), 1e-300)
    key = np.zeros(len(points), np.uint64)
    for axis in range(3):
        x = np.minimum((points[:, axis] - low[axis]) / size[axis] * 1024.0, 1023.0).astype(np.uint64)
        for shift, mask in ((16, 0x30000FF), (8, 0x300F00F), (4, 0x30C30C3), (2, 0x9249249)):
            x = (x | (x << np.uint64(shift))) & np.uint64(mask)
        key |= x << np.uint64(axis)
    return key
