"""MMFace4D (Wu et al., 2023): 431 people, 35,904 Mandarin sentences, meshes of one topology at 30 fps, and sound.

The data is not public. Its paper says what there is (meshes of the Basel Face Model's topology, a sentence with one of
seven emotions, the actor's number, age and gender) but not in which folders; this reader expects

    MMFace4D/0001/happy/0042.npy      vertices (T, V, 3) or (T, 3 V), metres
    MMFace4D/0001/happy/0042.wav      0042.txt: what is said
    MMFace4D/0001/template.npy        the actor's neutral face (V, 3)
    MMFace4D/rig.npz                  a rig with this mesh, made by the user: what facelm.rig.load_rig describes
    MMFace4D/subjects.csv             subject,gender,age

A folder is recognised when its name has MMFace4D in it. The meshes become channels by a fit to the default head, or
to the rig's own channels with `extra["onto"]` "rig"; files of other kinds (a tracker's FLAME) are read as they are.
"""

from collections.abc import Iterator
from pathlib import Path

from facelm.corpus.readers.sides import inside, load_file, load_sound, motions_below, read_lines, sound_beside, stem_of
from facelm.corpus.readers.take import SkipReport, Take
from facelm.corpus.readers.vertices import fitted, load_array
from facelm.describe.labels import Labels
from facelm.errors import FacelmError
from facelm.motion import FaceMotion, LoadReport

NAME = "mmface4d"
FPS = 30
EMOTIONS = ("neutral", "angry", "disgust", "happy", "fear", "sad", "surprise")
TEMPLATE, RIG = "template.npy", "rig.npz"
NEEDS = (
    f"these are vertices, which become channels by a rig with their mesh; put one as {RIG} into the uppermost folder"
)

sound = load_sound


def recognises(root: Path) -> bool:
    """Whether the folder is named after the data set."""
    return "mmface4d" in root.resolve().name.lower()


def takes(root: Path, report: SkipReport) -> Iterator[Take]:
    """Every sentence with its actor, emotion, sound and words."""
    rig = {"rig": str(root / RIG)} if (root / RIG).is_file() else {}
    for path in motions_below(root):
        if path.name == TEMPLATE or path == root / RIG:
            continue
        try:
            yield _take(root, path, rig)
        except FacelmError as error:
            report.skip(NAME, inside(root, path), path, error)


def load(take: Take) -> tuple[FaceMotion, LoadReport]:
    """The sentence as channels of a rig, at 30 fps."""
    if take.motion.suffix != ".npy":
        return load_file(take)
    template = take.motion.parent.parent / TEMPLATE
    return fitted(take, load_array(take.motion), load_array(template), FPS, NEEDS)


def _take(root: Path, path: Path, extra: dict[str, str]) -> Take:
    identity = inside(root, path)
    parts = identity.split("/")
    if len(parts) != 3 or parts[1] not in EMOTIONS:
        raise FacelmError(f"{path} does not lie where its sentences are expected: 0001/happy/0042.npy")
    audio = sound_beside(path.parent, stem_of(path))
    text = path.parent / f"{stem_of(path)}.txt"
    words = " ".join(read_lines(text)) if text.is_file() else ""
    return Take(
        id=identity,
        dataset=NAME,
        motion=path,
        audio=audio,
        transcript=words,
        labels=Labels(actions=("talk",), emotions=(parts[1],), transcript=words),
        subject=parts[0],
        extra={"language": "Chinese", **extra},
        notes=() if audio else (f"there is no sound {parts[2]}.wav",),
    )
