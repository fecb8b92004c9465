"""Paint the default head: `python -m facelm.rig.paint` writes the textures of skin and eyes into the assets folder.

Everything is drawn by the formulas below from the rest pose, so the pictures are the project's own. Lengths in metres.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree

from facelm.files import atomic_path
from facelm.rig.load import load_rig
from facelm.rig.surface import ASSETS, SKIN, Surface, skin_uv, surfaces

SIZE = 1024
LIP, HAIR, BLUSH = np.array([186, 96, 92.0]), np.array([58, 42, 35.0]), np.array([214, 120, 102.0])

# Curves of the left half, seen from the front: x, y in millimetres (and the brow's half thickness).
UPPER_LIP = np.array(
    [(0, 667.6), (4, 668.6), (8, 670.3), (12, 669.4), (16, 667.8), (20, 665.2), (24, 662.4), (26, 661)]
)
LOWER_LIP = np.array([(0, 651.2), (8, 651.6), (12, 652.2), (16, 653.4), (20, 655.5), (24, 658.6), (26, 660.6)])
BROW = np.array(
    [
        (11, 744.3, 2.2),
        (16, 745.6, 3.2),
        (24, 748, 3.2),
        (32, 750, 2.7),
        (40, 750.6, 2.1),
        (48, 748.6, 1.4),
        (55, 745, 0.5),
    ]
)
HAIRLINE = np.array([(0, 806), (25, 804), (45, 797), (58, 780), (66, 755), (72, 735)])  # front; then behind the ear


def smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def bake(skin: Surface, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each texel of the skin's texture: the point of the outermost skin there (SIZE, SIZE, 3), and how hollow the
    skin is around it (SIZE, SIZE), about -1 on ridges to 1 in creases.
    """
    points = skin.place(rest)
    normals = skin.normals(points)
    points[np.abs(points[:, 0]) < 1e-5, 0] = 0
    tree = cKDTree(points)
    hollow = np.zeros(len(points))
    for radius, share in ((0.004, 0.4), (0.012, 0.6)):
        for i, near in enumerate(tree.query_ball_point(points, radius)):
            offset = points[near].mean(0) - points[i]
            hollow[i] += share * float(offset @ normals[i]) / radius * 4
    texel = skin_uv(points) * (SIZE - 1)
    out, depth = np.zeros((SIZE, SIZE, 4)), np.full((SIZE, SIZE), -1.0)
    values = np.column_stack([np.abs(points[:, 0]), points[:, 1:], hollow])
    for triangle in skin.triangles[
        (normals[skin.triangles].sum(1) * (points[skin.triangles].mean(1) - rest.mean(0))).sum(1) > 0
    ]:
        corner = texel[triangle]
        low = np.floor(corner.min(0)).astype(int)
        high = np.minimum(np.ceil(corner.max(0)).astype(int), SIZE - 1)
        basis = np.array([corner[1] - corner[0], corner[2] - corner[0]]).T
        if abs(np.linalg.det(basis)) < 1e-9:
            continue
        u, v = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
        inner = np.linalg.inv(basis) @ (np.stack([u.ravel(), v.ravel()]) - corner[0][:, None])
        weight = np.stack([1 - inner.sum(0), *inner])
        hit = (weight > -1e-4).all(0)
        value = weight[:, hit].T @ values[triangle]
        radius = np.hypot(value[:, 0], value[:, 2])
        rows, columns = v.ravel()[hit], u.ravel()[hit]
        nearer = radius > depth[rows, columns]
        depth[rows[nearer], columns[nearer]] = radius[nearer]
        out[rows[nearer], columns[nearer]] = value[nearer]
    _, nearest = ndimage.distance_transform_edt(depth < 0, return_indices=True)
    out = out[tuple(nearest)]
    return out[..., :3], ndimage.gaussian_filter(out[..., 3], 2)


def paint_skin(skin: Surface, rest: np.ndarray) -> np.ndarray:
    """The skin's texture, uint8 (SIZE, SIZE, 3): blush, lips, brows, short hair, shaded creases."""
    place, hollow = bake(skin, rest)
    x, y, z = np.moveaxis(place * 1000, -1, 0)  # millimetres
    rng = np.random.default_rng(0)
    noise = sum(ndimage.gaussian_filter(rng.standard_normal((SIZE, SIZE)), s) * s for s in (1.5, 6, 24))
    color = np.array(SKIN, float) * (1 + 0.012 * noise[..., None])
    front = smoothstep(z, 60, 100)

    def mix(paint: np.ndarray, amount: np.ndarray) -> None:
        nonlocal color
        color = color + np.clip(amount, 0, 1)[..., None] * (paint - color)

    def spot(cx: float, cy: float, sx: float, sy: float) -> np.ndarray:
        return np.exp(-(((x - cx) / sx) ** 2) - ((y - cy) / sy) ** 2)

    mix(BLUSH, 0.30 * spot(42, 694, 20, 17) * front)
    mix(BLUSH, 0.25 * spot(0, 694, 12, 12) * smoothstep(z, 140, 165))
    mix(BLUSH, 0.25 * smoothstep(x, 76, 86) * spot(84, 715, 30, 40))  # ears
    mix(BLUSH, 0.18 * spot(32, 728, 20, 10) * front)  # eyelids
    mix(np.array([236, 196, 166.0]), 0.35 * spot(0, 775, 40, 28) * front)
    mix(np.array([120, 60, 50.0]), 0.75 * smoothstep(hollow, 0.25, 1.0))
    mix(np.array([246, 206, 180.0]), 0.5 * smoothstep(-hollow, 0.25, 1.2))

    upper = np.interp(x, UPPER_LIP[:, 0], UPPER_LIP[:, 1], right=0)
    lower = np.interp(x, LOWER_LIP[:, 0], LOWER_LIP[:, 1], right=999)
    lip = smoothstep(upper - y, -0.7, 0.9) * smoothstep(y - lower, -1.2, 1.6) * smoothstep(z, 105, 115)
    stripes = 1 + 0.05 * ndimage.gaussian_filter1d(rng.standard_normal((SIZE, SIZE)), 12, axis=0) * 3.5
    mix(LIP * stripes[..., None], 0.72 * lip * (x < 26))

    strand = ndimage.gaussian_filter(rng.standard_normal((SIZE, SIZE)), (4.0, 1.5)) * 8
    middle, half = np.interp(x, BROW[:, 0], BROW[:, 1]), np.interp(x, BROW[:, 0], BROW[:, 2])
    brow = 1 - smoothstep(np.abs(y - middle) / half, 0.35, 1.25)
    brow *= smoothstep(x, 8, 15) * (1 - smoothstep(x, 50, 57)) * front
    mix(HAIR, brow * (0.80 + 0.10 * strand))

    hairline = np.interp(x, *HAIRLINE.T)
    hair = np.maximum(
        smoothstep(y - hairline + 3 * noise, -5, 6) * (z > 25), smoothstep(32 - z, 0, 8) * smoothstep(y - 655, 0, 25)
    )
    hair *= 1 - smoothstep(x, 75, 79) * (y < 760)  # not on the ears
    grain = ndimage.gaussian_filter(rng.standard_normal((SIZE, SIZE)), 0.8)
    mix(HAIR, hair * (0.62 + 0.25 * grain))
    return np.clip(color, 0, 255).astype(np.uint8)


def paint_eye(size: int = 256) -> np.ndarray:
    """The eyeball from the front, uint8 (size, size, 3): white, iris with limbal ring, pupil, a catch light."""
    v, u = (np.mgrid[:size, :size] + 0.5) / size * 2 - 1
    radius, angle = np.hypot(u, v), np.arctan2(v, u)
    color = np.array([236, 232, 226.0]) - smoothstep(radius, 0.45, 1)[..., None] * np.array([22, 52, 54.0])
    rays = sum(np.sin(k * angle + p) for k, p in ((17, 0.3), (29, 1.7), (41, 4.0), (53, 2.2))) / 4
    iris = np.array([70, 118, 148.0]) + (rays * 22 + (0.3 - radius) * 90)[..., None] * np.array([0.8, 1, 1])
    warm = (1 - smoothstep(radius, 0.17, 0.32))[..., None]
    iris = iris + 0.55 * warm * (np.array([150, 118, 70.0]) - iris)
    iris *= (1 - 0.75 * smoothstep(radius, 0.36, 0.47))[..., None]
    color += (1 - smoothstep(radius, 0.445, 0.48))[..., None] * (iris - color)
    color *= smoothstep(radius, 0.165, 0.195)[..., None] * 0.94 + 0.06
    light = 1 - smoothstep(np.hypot(u + 0.16, v + 0.18), 0.05, 0.10)
    color += 0.9 * light[..., None] * (255 - color)
    return np.clip(color, 0, 255).astype(np.uint8)


def main(folder: Path = ASSETS) -> None:
    """Write skin.jpg and eye.png."""
    rig = load_rig()
    skin = surfaces(rig, smooth=True)[0]
    with atomic_path(folder / "skin.jpg") as path:
        Image.fromarray(paint_skin(skin, rig.rest)).save(path, quality=88)
    with atomic_path(folder / "eye.png") as path:
        Image.fromarray(paint_eye()).quantize(128).save(path)


if __name__ == "__main__":
    main()
