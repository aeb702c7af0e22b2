"""Small meshes with known answers: corners and triangles, counter-clockwise from outside."""

from __future__ import annotations

import numpy as np

from ohmfield.signals.mesh import Mesh, checked


def box(low: float = 0.0, high: float = 1.0) -> Mesh:
    corners = np.array([[x, y, z] for x in (low, high) for y in (low, high) for z in (low, high)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [tri for a, b, c, d in quads for tri in ((a, b, c), (a, c, d))]
    return checked(corners, np.array(faces), "box")


def sphere(splits: int = 3) -> Mesh:
    """An octahedron, split and pushed out to radius 1."""
    corners = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    faces = [(0, 2, 4), (2, 1, 4), (1, 3, 4), (3, 0, 4), (2, 0, 5), (1, 2, 5), (3, 1, 5), (0, 3, 5)]
    vertices = [np.array(c, float) for c in corners]
    for _ in range(splits):
        middle: dict[tuple[int, int], int] = {}
        split = []
        for face in faces:
            between = []
            for a, b in ((face[0], face[1]), (face[1], face[2]), (face[2], face[0])):
                key = (min(a, b), max(a, b))
                if key not in middle:
                    middle[key] = len(vertices)
                    half = vertices[a] + vertices[b]
                    vertices.append(half / np.linalg.norm(half))
                between.append(middle[key])
            (a, b, c), (ab, bc, ca) = face, between
            split += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        faces = split
    return checked(np.array(vertices), np.array(faces), "sphere")


def hemisphere(splits: int = 3) -> Mesh:
    """The upper half of `sphere`, open below."""
    whole = sphere(splits)
    return checked(whole.vertices, whole.faces[whole.triangles[:, :, 2].min(1) >= -1e-12], "hemisphere")
