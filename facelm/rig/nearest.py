"""The nearest points of a surface, by place and normal."""

import numpy as np
from scipy.spatial import cKDTree

from facelm.rig.landmarks import Mesh

# Lengths are shares of the distance between the eyeballs' centres.
NORMAL = 0.12  # how far apart, as a length, opposite normals count
CANDIDATES = 6  # samples of a surface from whose triangles the nearest point is taken


class Surface:
    """What is seen from outside of a mesh, to find points on it.

    outside: (V,) bool. unit: metres between the eyeballs' centres.
    """

    def __init__(self, mesh: Mesh, outside: np.ndarray, unit: float):
        self.mesh, self.reach = mesh, NORMAL * unit
        self.seen = Mesh(mesh.rest, mesh.triangles[outside[mesh.triangles].all(1)])
        self.which, weights = self.seen.samples(0.02 * unit)
        normals = self.seen.at(self.which, weights, mesh.normals)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        self.tree = cKDTree(np.concatenate([self.seen.at(self.which, weights, mesh.rest), self.reach * normals], 1))

    def nearest(self, places: np.ndarray, facing: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """For places (N, 3) with normals (N, 3) of another mesh the nearest points here: corners of the triangle
        (N, 3), weights (N, 3), distance (N,) in metres, and cosine of the normals (N,).
        """
        _, found = self.tree.query(np.concatenate([places, self.reach * facing], 1), k=CANDIDATES)
        corners = self.seen.triangles[self.which[found]]  # (N, k, 3)
        flat = corners.reshape(-1, 3)
        weights = closest_weights(self.mesh.rest[flat], np.repeat(places, CANDIDATES, 0)).reshape(corners.shape)
        there = (self.mesh.rest[corners] * weights[..., None]).sum(2)
        normals = (self.mesh.normals[corners] * weights[..., None]).sum(2)
        normals /= np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-12)
        distance = np.linalg.norm(there - places[:, None], axis=2)
        agreement = (normals * facing[:, None]).sum(2)
        best = np.argmin(distance**2 + 2 * self.reach**2 * (1 - agreement), axis=1)
        one = np.arange(len(places)), best
        return corners[one], weights[one], distance[one], agreement[one]


def closest_weights(triangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Weights (N, 3) of the points of triangles (N, 3, 3) nearest to points (N, 3)."""
    a, b, c = triangles.swapaxes(0, 1)
    ab, ac, ap = b - a, c - a, points - a
    aa, bb, cross = (ab**2).sum(1), (ac**2).sum(1), (ab * ac).sum(1)
    pa, pb = (ap * ab).sum(1), (ap * ac).sum(1)
    area = np.maximum(aa * bb - cross**2, 1e-30)
    v, w = (bb * pa - cross * pb) / area, (aa * pb - cross * pa) / area
    weights = np.stack([1 - v - w, v, w], 1)
    best = np.where((weights >= 0).all(1), 0.0, np.inf)
    for i, j in ((0, 1), (1, 2), (2, 0)):  # outside the triangle: the nearest point of its edges
        along = triangles[:, j] - triangles[:, i]
        share = ((points - triangles[:, i]) * along).sum(1) / np.maximum((along**2).sum(1), 1e-30)
        share = np.clip(share, 0, 1)
        gap = ((triangles[:, i] + share[:, None] * along - points) ** 2).sum(1)
        nearer = gap < best
        best = np.where(nearer, gap, best)
        edge = np.zeros((nearer.sum(), 3))
        edge[:, i], edge[:, j] = 1 - share[nearer], share[nearer]
        weights[nearer] = edge
    return weights
