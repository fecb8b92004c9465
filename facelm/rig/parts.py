"""What the parts of a mesh are and where its neck is, for rigs whose file says neither. Lengths in metres."""

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from facelm.motion.layout import SHAPES

NECK_TILT = np.deg2rad(30.0)  # the border between head and neck rises from the chin to the nape
NECK_LENGTH = 0.065  # below that border the turn of the head fades out over this length
NECK_BELOW_MOUTH, NECK_BEHIND_MOUTH = 0.25, 1.9  # the pivot, in heights of the eyes above the mouth; the default head's
EYE_REACH = 0.25  # a part whose middle is nearer to that of a lid, in distances between both lids, belongs to the eye
MOVES = 0.0001  # a vertex moves when it goes further than this
CORNERS = ("mouthPress", "mouthSmile", "mouthStretch", "mouthDimple", "mouthFrown")  # they move the mouth's corners


def neck_weights(vertices: np.ndarray, pivot: np.ndarray) -> np.ndarray:
    """How far each vertex (V, 3) follows a turn of the head (V,): 1 on the head, fading to 0 down the neck."""
    up = np.array([0.0, np.cos(NECK_TILT), np.sin(NECK_TILT)])
    x = np.clip(1 + (vertices - pivot) @ up / NECK_LENGTH, 0, 1)
    return x * x * (3 - 2 * x)


def estimated_neck(eyes: np.ndarray, mouth: np.ndarray) -> np.ndarray:
    """The point (3,) a head turns about, from the centres of its eyes and of its mouth (3,), by the proportions of the
    default head.
    """
    return mouth + (eyes[1] - mouth[1]) * np.array([0, -NECK_BELOW_MOUTH, -NECK_BEHIND_MOUTH])


def centres(
    rest: np.ndarray, deltas: np.ndarray, skin: np.ndarray, eyes: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """The points (3,) between the eyes and between the corners of the mouth; None where the shapes do not tell.

    Where there are no eyeballs, the eyes are what a blink moves most.
    rest: (V, 3), deltas: (52, V, 3), skin and eyes: boolean (V,).
    """
    corners = mouth_corners(rest, deltas, skin)
    if eyes.any():
        between = (rest[eyes].min(0) + rest[eyes].max(0)) / 2
    elif (lids := _lids(rest, deltas, skin)) is not None:
        between = lids.mean(0)
    else:
        return None
    return None if corners is None else (between, corners.mean(0))


def mouth_corners(rest: np.ndarray, deltas: np.ndarray, skin: np.ndarray) -> np.ndarray | None:
    """The corners of the mouth (2, 3), left and right, or None where no shape of the rig moves them.

    They are the skin that one of CORNERS moves furthest: that which finds them at median height, because on some heads
    one or the other moves the chin or a cheek further. rest: (V, 3), deltas: (52, V, 3), skin: (V,) bool.
    """
    found = []
    for name in CORNERS:
        moved = np.linalg.norm(deltas[[SHAPES.index(name + side) for side in ("Left", "Right")]], axis=2) * skin
        if moved.max(1).min() > MOVES:
            found.append(rest[moved.argmax(1)])
    return sorted(found, key=lambda pair: pair[:, 1].mean())[len(found) // 2] if found else None


def guess_groups(rest: np.ndarray, deltas: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The part each face belongs to (F,), by the names of the default head: "body" (skin and all that is not known),
    "helper-l-eye", "helper-r-eye", "helper-upper-teeth", "helper-lower-teeth", "helper-tongue" (also gums), and
    "around-eyes" (lashes, tear film), which pictures leave out.

    A part is a connected piece of the mesh; that which the shapes move most is skin. An eyeball is about as high as
    wide, lies behind the lids and does not change its form when they blink. What lies inside the mouth is upper teeth
    when jawOpen leaves it, lower teeth when it moves it rigidly, else tongue.
    rest: (V, 3) m. deltas: (52, V, 3) m, in the order of the `arkit` layout. faces: (F, 3 or 4).
    """
    piece = _pieces(rest, deltas, faces)
    moved = np.linalg.norm(deltas, axis=2)
    most = np.bincount(piece, moved.max(0)).argmax()
    skin = piece == most
    lids = _lids(rest, deltas, skin)
    corners = mouth_corners(rest, deltas, skin)
    name_of = np.full(piece.max() + 1, "body", dtype="U20")
    for one in np.setdiff1d(np.unique(piece[faces]), most):
        at = np.flatnonzero(piece == one)
        if lids is not None:
            apart = np.abs(rest[at].mean(0) - lids)[:, :2].max(1)
            if apart.min() < EYE_REACH * np.ptp(lids[:, 0]):
                side = ("Left", "Right")[apart.argmin()]
                ball = _is_ball(rest[at], deltas[SHAPES.index(f"eyeBlink{side}"), at])
                name_of[one] = f"helper-{side[0].lower()}-eye" if ball else "around-eyes"
        if corners is not None and _in_mouth(rest[at], corners):
            name_of[one] = _mouth_part(rest[at], deltas[SHAPES.index("jawOpen"), at])
    return name_of[piece[faces[:, 0]]]


def _pieces(rest: np.ndarray, deltas: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The number of the connected piece of each vertex (V,). Vertices on borders, at one place, moving alike, are one:
    files for graphics cards double them along the seams of a texture. Lashes that end on a lid stay apart from it.
    """
    edges = np.concatenate([np.stack([faces[:, i - 1], faces[:, i]], 1) for i in range(faces.shape[1])])
    _, which, uses = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True)
    border = np.unique(edges[uses[which.ravel()] == 1])
    place = np.column_stack([rest[border], deltas[:, border].sum(0)]).round(6)
    _, first, group = np.unique(place, axis=0, return_index=True, return_inverse=True)
    edges = np.concatenate([edges, np.stack([border, border[first][group.ravel()]], 1)])
    near = sparse.coo_matrix((np.ones(len(edges), bool), tuple(edges.T)), (len(rest), len(rest)))
    return connected_components(near, directed=False)[1]


def _lids(rest: np.ndarray, deltas: np.ndarray, skin: np.ndarray) -> np.ndarray | None:
    """The middles (2, 3) of the left and right lid: the skin that a blink moves, weighted steeply by how far."""
    moved = np.linalg.norm(deltas[[SHAPES.index("eyeBlinkLeft"), SHAPES.index("eyeBlinkRight")]], axis=2) * skin
    if moved.max(1).min() <= MOVES:
        return None
    weight = (moved / moved.max(1, keepdims=True)) ** 4
    return weight @ rest / weight.sum(1, keepdims=True)


def _is_ball(points: np.ndarray, blink: np.ndarray) -> bool:
    width, height, depth = np.ptp(points, axis=0)
    upright = 0.7 < width / max(height, 1e-9) < 1.4 and depth > 0.35 * width
    return upright and np.linalg.norm(blink, axis=1).max() < 0.1 * width


def _in_mouth(points: np.ndarray, corners: np.ndarray) -> bool:
    middle, half = corners.mean(0), np.ptp(corners[:, 0]) / 2
    x, y, z = points.mean(0) - middle
    return (
        abs(x) < 1.5 * half and abs(y) < 1.2 * half and -4 * half < z < 0.5 * half and np.ptp(points[:, 0]) < 4 * half
    )


def _mouth_part(points: np.ndarray, opened: np.ndarray) -> str:
    size = np.linalg.norm(np.ptp(points, axis=0))
    if np.linalg.norm(opened, axis=1).max() < 0.1 * size:
        return "helper-upper-teeth"
    before, after = points - points.mean(0), points + opened - (points + opened).mean(0)
    u, _, v = np.linalg.svd(before.T @ after)
    turned = before @ (u * [1, 1, np.sign(np.linalg.det(u @ v))]) @ v
    return "helper-lower-teeth" if np.linalg.norm(turned - after, axis=1).max() < 0.05 * size else "helper-tongue"
