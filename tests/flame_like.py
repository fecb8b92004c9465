"""A head with FLAME's mechanics (expressions, jaw and eyes that turn), made of the default head.

Nothing of FLAME is in it: the expressions are principal components of the CC0 head's shapes.
"""

import numpy as np

from facelm.motion.layout import SHAPES
from facelm.rig import load_rig
from facelm.rig.flame import FlameRig
from facelm.rig.flame_model import FlameModel
from facelm.rig.landmarks import triangles_of

EXPRESSIONS = 20


def flame_like() -> FlameRig:
    head = load_rig()
    count = len(head.rest)
    jaw = SHAPES.index("jawOpen")
    by_shape = head.deltas[[i for i, name in enumerate(SHAPES) if not name.startswith(("jaw", "eyeLook", "tongue"))]]
    u, s, v = np.linalg.svd(by_shape.reshape(len(by_shape), -1), full_matrices=False)
    expression = (v[:EXPRESSIONS] * s[:EXPRESSIONS, None] * 0.2).reshape(EXPRESSIONS, count, 3)

    weights = np.zeros((count, 5), np.float32)
    opened = np.linalg.norm(head.deltas[jaw], axis=1)
    weights[:, 2] = np.clip(opened / opened.max() * 1.2, 0, 1)
    weights[:, 1] = 1 - weights[:, 2]
    joints = np.zeros((5, count), np.float32)
    hinge = [np.linalg.norm(head.rest - [x, 0.69, 0.06], axis=1).argmin() for x in (-0.05, 0.05)]
    joints[:3, hinge] = 0.5
    for column, side in ((3, "l"), (4, "r")):
        ball = head.part(f"helper-{side}-eye")
        weights[ball] = 0
        weights[ball, column] = 1
        joints[column, ball] = 1 / ball.sum()
    model = FlameModel(
        template=head.rest,
        shape=np.zeros((count, 3, 1), np.float32),
        expression=np.moveaxis(expression, 0, 2).astype(np.float32),
        pose=np.zeros((36, count, 3), np.float32),
        joints=joints,
        weights=weights,
        parents=(-1, 0, 1, 1, 1),
        faces=triangles_of(head.faces).astype(np.int32),
    )
    regions = head.regions
    masks = {
        "lips": regions["lips"],
        "face": regions["face"] | regions["eyes"],
        "forehead": regions["upper_face"],
        "eye_region": regions["upper_face"],
        "nose": regions["upper_face"],
        "left_eyeball": head.part("helper-l-eye"),
        "right_eyeball": head.part("helper-r-eye"),
    }
    return FlameRig(model, masks)
