"""The second detector: it sees what was performed on vertices alone, with its own eyes, on more than one head."""

import ast
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facelm.corpus.heldout import HeldOut
from facelm.corpus.performer import CATEGORIES, invent, perform
from facelm.describe.facts import Fact
from facelm.describe.plan import Plan
from facelm.errors import FacelmError
from facelm.evaluate import vertex_detector, vertex_measures, vertex_templates
from facelm.evaluate.facts import judge
from facelm.evaluate.vertex_detector import curves, measure, measure_vertices, read, thresholds
from facelm.evaluate.vertex_measures import measures_of
from facelm.evaluate.vertex_templates import KEYS, Templates, calibrate, shipped
from facelm.motion import FaceMotion
from facelm.motion.layout import ARKIT
from facelm.rig import load_rig
from facelm.rig.blendshape import head_rotation
from facelm.rig.load import default_rig


def performed(text: str, seed: int = 0) -> FaceMotion:
    return perform(Plan.parse(text), np.random.default_rng(seed))


def reference(count: int, seed: int) -> tuple[list[Plan], list[FaceMotion]]:
    rng, nothing = random.Random(seed), HeldOut(frozenset(), frozenset(), frozenset())
    plans = [invent(rng, category, nothing, False) for category in CATEGORIES for _ in range(count)]
    return plans, [perform(plan, np.random.default_rng((seed, i))) for i, plan in enumerate(plans)]


def moves(unit: str, side: str = "") -> dict[str, np.ndarray]:
    """How the patches of the shipped templates move in a unit: outwards, up, forward."""
    patches = (*vertex_measures.places(default_rig()).names, "tongue")
    return dict(zip(patches, shipped(patches).moves[KEYS.index((unit, side))], strict=True))


def test_it_shares_no_code_with_the_first_detector():
    banned = {"events", "timeline", "tracks", "head", "spans", "speech", "emotions", "phases", "observe", "carried"}
    for module in (vertex_detector, vertex_measures, vertex_templates):
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not {name.split(".")[-1] for name in names if name.startswith("facelm.describe")} & banned


def test_it_agrees_with_what_was_performed_on_held_out_clips():
    plans, motions = reference(5, seed=77)
    found = judge(plans, motions, measure)
    for name in ("facts F1", "facts F1 strict", "head", "side", "order"):
        assert found[name].value >= 0.95, str(found[name])
    assert found["intensity"].value > 0.7


def test_templates_are_what_anatomy_says():
    """Signs of FACS, not of any program: a corpus that mixed up two units must not calibrate its own error."""
    for side in ("left", "right"):
        smile, frown, stretch = (moves(unit, side) for unit in ("AU12", "AU15", "AU20"))
        corner = f"lip corner {side}"
        assert smile[corner][0] > 20 and smile[corner][1] > 50 and frown[corner][1] < -20 and stretch[corner][0] > 20
        assert moves("AU4", side)[f"brow inner {side}"][1] < -20 and moves("AU2", side)[f"brow outer {side}"][1] > 15
        assert moves("AU6", side)[f"cheekbone {side}"][1] > 20 and moves("AU7", side)[f"lower lid {side}"][1] > 10
        assert moves("AU5", side)[f"upper lid {side}"][1] > 15 and moves("AU43", side)[f"upper lid {side}"][1] < -60
        assert moves("AU9", side)[f"nostril {side}"][1] > 10
        assert moves("AU10", side)[f"upper lip red quarter {side}"][1] > 20
        assert moves("AU16", side)[f"lower lip red quarter {side}"][1] < -20
        other = "right" if side == "left" else "left"
        for unit in ("AU2", "AU4", "AU5", "AU6", "AU7", "AU9", "AU12", "AU15", "AU43"):
            moved = {name: np.linalg.norm(move) for name, move in moves(unit, side).items()}
            assert max(moved, key=moved.__getitem__).endswith(side)
            own, opposite = (sum(m for name, m in moved.items() if name.endswith(end)) for end in (side, other))
            assert own > 2 * opposite
        sign = 1 if side == "left" else -1  # patches of the middle count towards the person's left
        assert sign * moves("AU30", side)["chin"][0] > 20 and sign * moves("M60", side)["upper lip red"][0] > 20
    assert moves("AU1")["brow inner left"][1] > 20 and moves("AU1")["brow inner right"][1] > 20
    assert moves("AU26")["chin"][1] < -150 and moves("AU29")["chin"][2] > 40 and moves("AU17")["lower lip red"][1] > 20
    assert moves("AU18")["upper lip red"][2] > 40 and moves("AU18")["lip corner left"][0] < -10
    assert moves("AU22")["lower lip red"][1] < -20 and moves("AU22")["upper lip red"][2] > 20
    assert moves("AU28")["upper lip red"][2] < -20 and moves("AU34")["jowl left"][2] > 40
    assert moves("AU19")["tongue"][2] > 100


def test_nothing_is_found_on_the_rest_pose_however_the_head_is_placed():
    rest = FaceMotion(np.zeros((50, 55), np.float32), 25)
    assert measure(rest)[0].levels == {}
    rig = default_rig()
    moved = np.repeat(rig.rest[None].astype(float), 20, 0) + [0.3, -1.0, 2.0]
    found = measure_vertices(moved, 25, rig)
    assert len(found) == 1 and found[0].levels == {} and found[0].blinks == ()


def test_idle_stays_under_two_in_a_hundred_false_unit_frames(shared):
    idle = FaceMotion.load(shared / "data" / "livelink" / "idle.csv.gz").resample(25)
    seen = measures_of(idle, default_rig())
    templates = shipped(seen.patch_names)
    units = [i for i, (name, _) in enumerate(KEYS) if name != "gaze"]
    assert (curves(seen, 25.0, templates)[0] >= thresholds(templates))[:, units].mean() <= 0.02


def test_left_is_the_persons_left():
    for text, name in (("smile left", "AU12"), ("nose wrinkle left", "AU9"), ("jaw slide left", "AU30")):
        shown = performed(f"0.0-2.0 s strong {text}")
        assert Fact(name, "left") in measure(shown)[0].facts
        assert Fact(name, "right") in measure(shown.mirror())[0].facts


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.6, 0.6), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_the_turn_of_the_head_is_taken_out_and_told(yaw, pitch, roll):
    rig = default_rig()
    values = np.zeros((1, 55), np.float32)
    values[0, ARKIT.index("mouthSmileLeft")] = 0.6
    still = vertex_measures.measure(rig.vertices(values), rig)
    turn = head_rotation(np.array([[yaw, pitch, roll]]))
    turned = vertex_measures.measure(rig.vertices(values) @ np.swapaxes(turn, -1, -2) + 0.4, rig)
    np.testing.assert_allclose(turned.head[0], [yaw, pitch, roll], atol=1e-3)
    np.testing.assert_allclose(turned.patches, still.patches, atol=0.5)


def test_gaze_blinks_and_phases_are_seen():
    shown = performed("0.0-2.0 s moderate smile both, blink twice; 2.0-4.0 s strong brow lower both, look left")
    first, second = measure(shown, 2)
    assert first.facts == {Fact("AU12", "both")} and second.facts == {Fact("AU4", "both"), Fact("gaze", "left")}
    assert len(first.blinks) == 2 and not second.blinks
    assert abs(first.end - 2.0) < 0.3 and second.end == pytest.approx(4.0, abs=0.05)
    assert [phase.facts for phase in measure(shown.resample(60), 2)] == [first.facts, second.facts]
    assert [phase.facts for phase in measure(shown.resample(30), 2)] == [first.facts, second.facts]


def test_short_motion_gives_fewer_phases_and_one_frame_is_enough():
    assert len(measure(performed("0.0-1.2 s slight sad"), 5)) == 2
    assert len(measure(FaceMotion(np.zeros((1, 55), np.float32), 25), 3)) == 1


def test_the_size_of_the_model_does_not_matter():
    rig = default_rig()
    shown = performed("0.0-2.0 s moderate disgusted")
    half = type(rig)(rig.rest / 2, rig.deltas / 2, rig.faces, rig.groups, rig.neck_pivot / 2, rig.head_weight)
    seen = read(measures_of(shown, half), 25)[0]
    assert seen.facts == measure(shown)[0].facts


def test_another_head_with_templates_of_its_own(shared):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ict = load_rig(shared / "data" / "rigs" / "ict_facekit_exp53.npz")
    texts = [
        f"0.0-1.6 s {level} {unit}"
        for level in ("slight", "strong")
        for unit in ("smile left", "brow lower both", "happy")
    ]
    plans = [Plan.parse(text) for text in texts]
    seen = [measures_of(perform(plan, np.random.default_rng(i)), ict) for i, plan in enumerate(plans)]
    own = calibrate(plans, seen, 25.0)
    shown = measures_of(performed("0.0-2.0 s moderate smile left", seed=9), ict)
    assert read(shown, 25, 1, own)[0].facts == {Fact("AU12", "left")}
    assert Fact("AU12", "left") in read(shown, 25)[0].facts  # the default head's smile is told on it too
    assert np.isinf(thresholds(own)[KEYS.index(("AU19", ""))])  # nobody performed a tongue, so none is ever found


def test_templates_survive_a_file(tmp_path):
    patches = (*vertex_measures.places(default_rig()).names, "tongue")
    templates = shipped(patches)
    templates.save(tmp_path / "t.csv")
    np.testing.assert_allclose(Templates.load(tmp_path / "t.csv", patches).moves, templates.moves, atol=0.06)
    (tmp_path / "t.csv").write_text("unit,side,patch,x,y,z\nAU99,,chin,1,2,3\n")
    with pytest.raises(FacelmError, match="row 2: no unit"):
        Templates.load(tmp_path / "t.csv", patches)


def test_bad_vertices_are_named():
    rig = default_rig()
    with pytest.raises(FacelmError, match="the rig's are"):
        measure_vertices(np.zeros((3, 7, 3)), 25, rig)
    bad = np.repeat(rig.rest[None], 2, 0)
    bad[1, 5] = np.nan
    with pytest.raises(FacelmError, match="not finite"):
        measure_vertices(bad, 25, rig)
    with pytest.raises(FacelmError, match="no plan"):
        calibrate([], [], 25.0)


def test_lips_kept_shut_over_an_open_jaw_are_no_raised_chin():
    values = np.zeros((50, 55), np.float32)
    values[:, [ARKIT.index("jawOpen"), ARKIT.index("mouthClose")]] = 0.12
    assert Fact("AU17") not in measure(FaceMotion(values, 25))[0].facts
    values[:, ARKIT.index("mouthShrugLower")] = 0.5
    assert Fact("AU17") in measure(FaceMotion(values, 25))[0].facts
