"""Which cells of a grid lie inside a closed surface: crossings counted along the lines of the grid.

The winding number of a point is the signed number of triangles that a ray from it leaves through. Lines run along the
last axis, through the middles of cells. A line that meets an edge or a corner is given to exactly one of the triangles
there, by the rule of rasterisers (a point on an edge counts as left of it), with the sign of an edge computed the same
way for both of its sides: no line slips through or is counted twice.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ohmfield._kernels.threads import num_threads, run_parallel


def reference(triangles: np.ndarray, size: int) -> np.ndarray:
    """int16 [size, size, size], x first: winding numbers at the middles of cells of the unit cube, in plain loops.

    Counted from differences to all triangles one by one; `winding_grid` walks over the cells of each triangle.
    """
    middles = (np.arange(size) + 0.5) / size
    out = np.zeros((size, size, size), np.int16)
    for i, x in enumerate(middles):
        for j, y in enumerate(middles):
            for t in triangles:
                sides = [_side(x, y, *t[k][:2], *t[(k + 1) % 3][:2]) for k in range(3)]
                if all(side > 0 for side in sides) or all(side < 0 for side in sides):
                    out[i, j, middles < _height(x, y, t.reshape(9))] += np.int16(sides[0])
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _side(x, y, ax, ay, bx, by):
    """1 where (x, y) lies left of the line from a to b, -1 right of it; never 0, and minus that of b to a."""
    flip = ay > by or (ay == by and ax > bx)
    if flip:
        ax, ay, bx, by = bx, by, ax, ay
    cross = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
    left = cross >= 0.0  # of an edge without length too: the two others are then one line with opposite signs
    return -1 if left == flip else 1


@njit(cache=True, nogil=True, error_model="numpy")
def _height(x, y, t):
    """z of the plane of a triangle at (x, y)."""
    ux, uy, uz = t[3] - t[0], t[4] - t[1], t[5] - t[2]
    vx, vy, vz = t[6] - t[0], t[7] - t[1], t[8] - t[2]
    normal = ux * vy - uy * vx
    if normal == 0.0:
        return min(t[2], t[5], t[8])
    return t[2] - ((uy * vz - uz * vy) * (x - t[0]) + (uz * vx - ux * vz) * (y - t[1])) / normal


@njit(cache=True, nogil=True, error_model="numpy")
def _cross(triangles, size, begin, end, out):
    """Adds to `out` [end - begin, size, size + 1] the crossings of the lines with x index from `begin` to `end`."""
    for number in range(len(triangles)):
        t = triangles[number]
        first = max(begin, math.ceil(min(t[0], t[3], t[6]) * size - 0.5))
        last = min(end - 1, math.floor(max(t[0], t[3], t[6]) * size - 0.5))
        if first > last:
            continue
        low = max(0, math.ceil(min(t[1], t[4], t[7]) * size - 0.5))
        high = min(size - 1, math.floor(max(t[1], t[4], t[7]) * size - 0.5))
        for i in range(first, last + 1):
            x = (i + 0.5) / size
            for j in range(low, high + 1):
                y = (j + 0.5) / size
                side = _side(x, y, t[0], t[1], t[3], t[4])
                if _side(x, y, t[3], t[4], t[6], t[7]) != side or _side(x, y, t[6], t[7], t[0], t[1]) != side:
                    continue
                # Cells whose middle lies below the crossing see it: those up to index `at` - 1.
                at = min(max(math.ceil(_height(x, y, t) * size - 0.5), 0), size)
                out[i - begin, j, at] += side
    for i in range(out.shape[0]):
        for j in range(size):
            total = 0
            for k in range(size, -1, -1):
                own = out[i, j, k]
                out[i, j, k] = total
                total += own


def winding_grid(triangles: np.ndarray, size: int) -> np.ndarray:
    """int16 [size, size, size], x first: winding numbers at the middles of cells; of closed surfaces only."""
    flat = np.ascontiguousarray(triangles.reshape(-1, 9), dtype=np.float64)
    step = -(-size // (4 * num_threads()))

    def slab(begin: int) -> np.ndarray:
        end = min(begin + step, size)
        out = np.zeros((end - begin, size, size + 1), np.int16)
        _cross(flat, size, begin, end, out)
        return out[:, :, :size]

    return np.concatenate(run_parallel(slab, range(0, size, step)))
