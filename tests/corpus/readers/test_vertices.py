"""Data sets of meshes, made of the default head: VOCASET in both its layouts, MMFace4D."""

import pickle

import numpy as np
import pytest
import soundfile
from trees import text, wav

from facelm.corpus.readers import SkipReport, find_reader, iterate, load_sound_of, load_take
from facelm.errors import FacelmError
from facelm.motion.layout import ARKIT
from facelm.rig import load_rig
from facelm.rig.load import HEAD

TRAIN, VALIDATION, TEST = "FaceTalk_170725_00137_TA", "FaceTalk_170811_03275_TA", "FaceTalk_170809_00138_TA"
PEOPLE = (TRAIN, VALIDATION, TEST)
FRAMES = 12


@pytest.fixture(scope="module")
def head():
    return load_rig()


def performed(head, person: int) -> np.ndarray:
    """Values (T, 55): the jaw opens while one corner of the mouth rises."""
    values = np.zeros((FRAMES, ARKIT.width), np.float32)
    ramp = np.linspace(0, 1, FRAMES)
    values[:, ARKIT.index("jawOpen")] = 0.6 * ramp
    values[:, ARKIT.index("mouthSmileLeft")] = 0.5 * ramp[::-1]
    values[:, ARKIT.index("browInnerUp")] = 0.2 * person
    return values


def neutral(head, person: int) -> np.ndarray:
    """Somebody's own neutral face: the head's, a little wider."""
    return (head.rest * [1 + 0.01 * person, 1, 1]).astype(np.float32)


def meshes(head, person: int) -> np.ndarray:
    return head.vertices(performed(head, person)) - head.rest + neutral(head, person)


@pytest.fixture
def folder(head, tmp_path):
    """VOCASET as FaceFormer and CodeTalker lay it out."""
    (tmp_path / "vertices_npy").mkdir()
    for number, person in enumerate(PEOPLE):
        np.save(tmp_path / "vertices_npy" / f"{person}_sentence01.npy", meshes(head, number).reshape(FRAMES, -1))
        wav(tmp_path / "wav" / f"{person}_sentence01.wav", FRAMES / 60, 22_000)
    templates = {person: neutral(head, number) for number, person in enumerate(PEOPLE)}
    (tmp_path / "templates.pkl").write_bytes(pickle.dumps(templates))
    return tmp_path


@pytest.fixture
def release(head, tmp_path):
    """VOCASET as it is given out: everything in four files."""
    rows, index, sounds = [], {}, {}
    for number, person in enumerate(PEOPLE):
        first = number * FRAMES
        rows.append(meshes(head, number))
        index[person] = {"sentence01": {place: first + place for place in range(FRAMES)}}
        tone = (3000 * np.sin(np.arange(22_000 * FRAMES // 60) / 10)).astype(np.int16)
        sounds[person] = {"sentence01": {"audio": tone, "sample_rate": 22_000}}
    np.save(tmp_path / "data_verts.npy", np.concatenate(rows).astype(np.float32))
    for name, held in (
        ("subj_seq_to_idx", index),
        ("raw_audio_fixed", sounds),
        ("templates", {person: neutral(head, number) for number, person in enumerate(PEOPLE)}),
    ):
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(held, protocol=2))
    return tmp_path


def onto_itself(root, **options):
    return list(iterate(root, on_error="stop", options={"rig": str(HEAD), "onto": "rig", **options}))


@pytest.mark.parametrize("layout", ["folder", "release"])
def test_vocaset_comes_back_as_the_channels_that_made_it(layout, head, request):
    root = request.getfixturevalue(layout)
    takes = onto_itself(root)
    assert find_reader(root).NAME == "vocaset"
    assert [take.split for take in sorted(takes, key=lambda take: PEOPLE.index(take.subject))] == [
        "train",
        "validation",
        "test",
    ]
    for take in takes:
        motion, report = load_take(take)
        assert motion.fps == 60 and len(motion) == FRAMES and report.dialect == "vertices"
        assert np.abs(motion.values - performed(head, PEOPLE.index(take.subject))).max() < 0.05
        assert not [note for note in report.notes if "sound" in note or "wav" in note]
        sound = load_sound_of(take, 0.05, 0.1)
        assert sound.rate == 22_000 and len(sound.samples) == 2200 and 0.05 < np.abs(sound.samples).max() < 0.5


def test_the_default_head_is_what_it_is_fitted_to(folder):
    take = list(iterate(folder, options={"rig": str(HEAD)}))[0]
    motion, report = load_take(take)
    assert motion.layout.name == "arkit" and "default head" in report.notes[0]
    assert np.corrcoef(motion.channel("jawOpen"), np.linspace(0, 1, FRAMES))[0, 1] > 0.99


def test_without_flame_it_is_said_what_is_needed(folder, monkeypatch):
    monkeypatch.delenv("FACELM_FLAME", raising=False)
    take = next(iterate(folder))
    with pytest.raises(FacelmError, match="no FLAME model is given.*flame.is.tue.mpg.de"):
        load_take(take)
    with pytest.raises(FacelmError, match="choose 'head' .* or 'rig'"):
        load_take(onto_itself(folder, onto="nose")[0])
    assert load_sound_of(take) is not None  # sound needs no rig


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "no npy file|array"),
        (lambda path: np.save(path, np.zeros((5, 33))), "its template has"),
        (
            lambda path: np.save(path, np.full(np.load(path).shape, np.nan)),
            "frame 0 holds vertices that are no numbers",
        ),
        (lambda path: np.save(path, np.array(["a"])), "holds no array of numbers"),
        (lambda path: path.write_bytes(pickle.dumps([1])), "no npy file"),
        (lambda path: path.unlink(), "there is no file"),
    ],
)
def test_vertices_that_are_none_name_the_file(folder, change, said):
    take = onto_itself(folder)[0]
    change(take.motion)
    with pytest.raises(FacelmError, match=said) as caught:
        load_take(take)
    assert take.motion.name in str(caught.value)


def test_vocaset_with_missing_or_damaged_parts(folder):
    np.save(folder / "vertices_npy" / "somebody.npy", np.zeros((3, 3)))
    (folder / "wav" / f"{TRAIN}_sentence01.wav").unlink()
    report = SkipReport()
    takes = list(iterate(folder, report=report))
    assert "somebody.npy is not named like a sentence of VOCASET" in report.remarks[-1].reason
    assert next(t for t in takes if t.subject == TRAIN).notes == (f"there is no sound of {TRAIN}, sentence01",)
    (folder / "templates.pkl").write_bytes(pickle.dumps({TRAIN: np.zeros((4, 3))}))
    with pytest.raises(FacelmError, match=f"has no template of {VALIDATION}|its template has 4 vertices"):
        load_take(next(t for t in takes if t.subject == VALIDATION))


def test_vocaset_pickles_run_nothing(release, tmp_path):
    import os

    proof = tmp_path / "it ran"

    class Code:
        def __reduce__(self):
            return os.mkdir, (str(proof),)

    take = onto_itself(release)[0]
    (release / "raw_audio_fixed.pkl").write_bytes(pickle.dumps({"x": Code()}))
    with pytest.raises(FacelmError, match="raw_audio_fixed.pkl is a pickle that asks for"):
        load_sound_of(take)
    (release / "subj_seq_to_idx.pkl").write_bytes(pickle.dumps({take.subject: {"sentence01": {0: 10_000}}}))
    with pytest.raises(FacelmError, match="its frames are not in data_verts.npy"):
        load_take(take)
    assert not proof.exists()


@pytest.fixture
def mmface4d(head, tmp_path):
    root = tmp_path / "MMFace4D"
    for number, (actor, emotion) in enumerate((("0001", "happy"), ("0002", "neutral"))):
        place = root / actor / emotion
        place.mkdir(parents=True)
        np.save(place / "0042.npy", meshes(head, number))
        np.save(root / actor / "template.npy", neutral(head, number))
        wav(place / "0042.wav", FRAMES / 30)
        text(place / "0042.txt", "今天天气很好\n")
    text(root / "subjects.csv", "subject,gender,age\n0001,female,31\n0002,male,58\n")
    return root


def test_mmface4d(mmface4d, head):
    report = SkipReport("stop")
    first, second = iterate(mmface4d, report=report, options={"rig": str(HEAD), "onto": "rig"})
    assert (first.dataset, first.id, first.subject) == ("mmface4d", "0001/happy/0042", "0001")
    assert first.labels.emotions == ("happy",) and first.transcript == "今天天气很好"
    assert first.extra["gender"] == "female" and second.extra["age"] == "58" and not report.remarks
    motion, _ = load_take(second)
    assert motion.fps == 30 and np.abs(motion.values - performed(head, 1)).max() < 0.05


def test_mmface4d_needs_a_rig_and_its_folders(mmface4d):
    with pytest.raises(FacelmError, match="put one as rig.npz into the uppermost folder"):
        load_take(next(iterate(mmface4d)))
    (mmface4d / "rig.npz").symlink_to(HEAD)
    takes = list(iterate(mmface4d))
    assert load_take(takes[0])[0].layout.name == "arkit"
    (mmface4d / "0001" / "template.npy").unlink()
    with pytest.raises(FacelmError, match="there is no file .*template.npy"):
        load_take(takes[0])
    np.save(mmface4d / "0001" / "0043.npy", np.zeros((3, 3)))
    report = SkipReport()
    assert len(list(iterate(mmface4d, report=report))) == 2
    assert "0043.npy does not lie where its sentences are expected" in report.remarks[0].reason
    assert soundfile.info(takes[0].audio).frames
