"""What the tools of the field call the FLAME coefficients they write.

| dialect | arrays |
|---|---|
| MMHead | one (T, 56): 50 expressions, neck, jaw; 25 fps |
| ARTalk | one (T, 106): 100 expressions, head, jaw; 25 fps |
| DiffPoseTalk | exp (T, 50), pose (T, 6): head, jaw; shape 100; 25 fps |
| DECA | the same with tex, cam, light (also expcode, posecode, ...) |
| EMOCA / inferno | exp, shape, pose; or exp, jawpose, globalpose; one folder a take or one a frame |
| VHAP / GaussianAvatars | expr, rotation, neck_pose, jaw_pose, eyes_pose 6, shape, translation, static_offset |
| SMIRK | expression_params 50, jaw_params, pose_params, eyelid_params 2, shape_params, cam |
| TDMM-LM (SMIRK) | expression 50, pose, jaw, eyelid 2, identity, camera_pose |
| BEAT2 / EMAGE | expressions 100, poses (T, 165) of SMPL-X, betas, trans, mocap_frame_rate |
| SMPL-X face, smplx | expression, jaw_pose, leye_pose, reye_pose, neck_pose, head_pose or global_orient, betas |

The global joint is the root of the head, the neck turns on it: a tool with one rotation of the head means the former,
MMHead the latter.
"""

from dataclasses import dataclass, field
from fractions import Fraction

USUAL_FPS = Fraction(25)
RATES = ("fps", "mocap_frame_rate", "mocap_framerate", "frame_rate", "video_fps")  # arrays that say the rate
LEFT_OUT = {  # arrays that are no motion of the face, and what they are
    **dict.fromkeys(("translation", "transl", "trans"), "the place of the head"),
    **dict.fromkeys(("cam", "camera", "camera_pose", "focal_length"), "the camera"),
    **dict.fromkeys(("tex", "texcode", "tex_extra", "texture"), "the texture"),
    **dict.fromkeys(("light", "lightcode", "lights"), "the light"),
    **dict.fromkeys(("static_offset", "dynamic_offset", "detail", "detailcode"), "the shape beyond FLAME's"),
    **dict.fromkeys(("images", "image"), "the pictures"),
}


@dataclass(frozen=True)
class Dialect:
    """The names one tool uses.

    expression: the array of expressions, (T, 1 to 100). joints: joint -> (array, its first column). widths: how many
    columns an array of joints has. eyelids, identity: arrays, if any. also: arrays one of which must be there. fps: the
    rate of every file of this kind. note: what else a user should know.
    """

    name: str
    expression: str
    joints: dict[str, tuple[str, int]]
    needs: tuple[str, ...]
    widths: dict[str, int] = field(default_factory=dict)
    eyelids: str | None = None
    identity: str | None = None
    also: tuple[str, ...] = ()
    fps: Fraction | None = None
    left_out: tuple[str, ...] = ()
    note: str = ""

    @property
    def arrays(self) -> tuple[str, ...]:
        """Every array that is read."""
        named = (self.expression, self.eyelids, self.identity, *(array for array, _ in self.joints.values()))
        return tuple(dict.fromkeys(name for name in named if name))

    def fits(self, names: set[str]) -> bool:
        """Whether these are the names of its arrays."""
        return names.issuperset(self.needs) and (not self.also or not names.isdisjoint(self.also))


_BODY = "the head turns against the chest (SMPL-X neck as global joint, SMPL-X head as neck); the body is left out."
_POSE = {"global": ("pose", 0), "jaw": ("pose", 3)}
_DECA = ("tex", "cam", "light", "detail", "images")

DIALECTS = (  # asked in this order
    Dialect(
        "BEAT2",
        "expressions",
        {"global": ("poses", 36), "neck": ("poses", 45), "jaw": ("poses", 66), "leftEye": ("poses", 69)}
        | {"rightEye": ("poses", 72)},
        ("expressions", "poses"),
        {"poses": 165},
        identity="betas",
        note=_BODY,
    ),
    Dialect(
        "SMPL-X face",
        "expression",
        {"global": ("neck_pose", 0), "neck": ("head_pose", 0), "jaw": ("jaw_pose", 0), "leftEye": ("leye_pose", 0)}
        | {"rightEye": ("reye_pose", 0)},
        ("expression", "jaw_pose", "head_pose"),
        identity="betas",
        left_out=("global_orient",),
        note=_BODY,
    ),
    Dialect(
        "smplx FLAME",
        "expression",
        {"global": ("global_orient", 0), "neck": ("neck_pose", 0), "jaw": ("jaw_pose", 0), "leftEye": ("leye_pose", 0)}
        | {"rightEye": ("reye_pose", 0)},
        ("expression", "jaw_pose"),
        identity="betas",
    ),
    Dialect(
        "VHAP",
        "expr",
        {"global": ("rotation", 0), "neck": ("neck_pose", 0), "jaw": ("jaw_pose", 0), "leftEye": ("eyes_pose", 0)}
        | {"rightEye": ("eyes_pose", 3)},
        ("expr", "jaw_pose"),
        {"eyes_pose": 6},
        identity="shape",
    ),
    Dialect(
        "SMIRK",
        "expression_params",
        {"global": ("pose_params", 0), "jaw": ("jaw_params", 0)},
        ("expression_params", "jaw_params"),
        eyelids="eyelid_params",
        identity="shape_params",
    ),
    Dialect(
        "TDMM-LM",
        "expression",
        {"global": ("pose", 0), "jaw": ("jaw", 0)},
        ("expression", "jaw", "identity"),
        eyelids="eyelid",
        identity="identity",
    ),
    Dialect(
        "SMIRK",
        "expression",
        {"global": ("pose", 0), "jaw": ("jaw", 0)},
        ("expression", "jaw"),
        eyelids="eyelid",
        identity="shape",
    ),
    Dialect(
        "EMOCA",
        "exp",
        {"global": ("globalpose", 0), "neck": ("neckpose", 0), "jaw": ("jawpose", 0)},
        ("exp", "jawpose"),
        eyelids="eyelid",
        identity="shape",
    ),
    Dialect(
        "DECA",
        "expcode",
        {"global": ("posecode", 0), "jaw": ("posecode", 3)},
        ("expcode", "posecode"),
        {"posecode": 6},
        identity="shapecode",
    ),
    Dialect("DECA", "exp", _POSE, ("exp", "pose"), {"pose": 6}, identity="shape", also=_DECA),
    Dialect("DiffPoseTalk", "exp", _POSE, ("exp", "pose"), {"pose": 6}, identity="shape", fps=USUAL_FPS),
)
ALONE = {56: "MMHead", 106: "ARTalk"}  # the tools whose motion is one array, by its width
WANTED = frozenset({name for dialect in DIALECTS for name in dialect.arrays} | set(RATES))
NEEDED = frozenset(name for dialect in DIALECTS for name in dialect.needs)


def expected() -> str:
    """What facelm reads, for errors."""
    forms = dict.fromkeys(f"{' and '.join(dialect.needs)} ({dialect.name})" for dialect in DIALECTS)
    return f"it reads {', '.join(forms)}, or one array (T, 56) (MMHead) or (T, 106) (ARTalk)"
