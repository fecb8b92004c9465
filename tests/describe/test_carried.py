"""Facts of motion on other rigs: carried to arkit they are the facts of the original."""

from pathlib import Path

import numpy as np
import pytest
from planted_faces import Face

from facelm.describe.carried import levelled
from facelm.describe.facts import Fact
from facelm.describe.timeline import timeline
from facelm.describe.tracks import COLUMNS, THRESHOLDS, tracks
from facelm.errors import FacelmError
from facelm.motion import FaceMotion, load_motion
from facelm.motion.layout import ARKIT, FLAME56
from facelm.motion.retarget import LinearMap
from facelm.rig.correspond import correspond
from facelm.rig.fit import fit, fit_map
from facelm.rig.load import load_rig


def agreement(truth: FaceMotion, carried: FaceMotion) -> float:
    """F1 of the units at threshold, frame by frame."""
    a, b = (tracks(motion).levels >= THRESHOLDS for motion in (truth, carried))
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_vertices_of_a_rig_with_the_same_shapes_give_the_same_facts() -> None:
    head = load_rig(None)
    face = Face(5).raised("mouthSmile", 0.6, 1, 3).raised("browInnerUp", 0.6, 2, 4).raised("headYaw", 0.3, 1, 4)
    motion = face.raised("headPitch", -0.25, 2, 4).blinking(0.7).motion()
    back = fit(head.vertices(motion, head=True), head, head, fps=motion.fps)
    assert [event.fact for event in timeline(back).events] == [event.fact for event in timeline(motion).events]


def test_a_map_is_applied_before_facts_are_read() -> None:
    matrix = np.zeros((ARKIT.width, FLAME56.width))
    matrix[ARKIT.indices(("mouthSmileLeft", "mouthSmileRight")), FLAME56.index("expression0")] = 0.5
    to_arkit = LinearMap(FLAME56, ARKIT, matrix, np.zeros(ARKIT.width))
    values = np.zeros((100, FLAME56.width))
    values[30:70, FLAME56.index("expression0")] = 1.0
    motion = FaceMotion(values, 25, FLAME56)
    assert timeline(motion).events == ()
    assert [event.fact for event in timeline(motion, to_arkit=to_arkit).events] == [Fact("AU12", "both")]
    with pytest.raises(FacelmError, match="no levels to keep"):
        levelled(to_arkit)


def test_levels_survive_rigs_that_were_sculpted_differently() -> None:
    matrix = np.eye(ARKIT.width)
    smiles = ARKIT.indices(("mouthSmileLeft", "mouthSmileRight"))
    matrix[smiles, smiles] = 0.4
    to_arkit = levelled(LinearMap(ARKIT, ARKIT, matrix, np.zeros(ARKIT.width)))
    np.testing.assert_allclose(to_arkit.matrix, np.eye(ARKIT.width), atol=1e-6)


def test_facts_on_ict_facekit_are_those_of_the_take(shared: Path) -> None:
    with pytest.warns(UserWarning, match="tongueOut"):
        ict = load_rig(shared / "data" / "rigs" / "ict_facekit_exp53.npz")
    head = load_rig(None)
    take = load_motion(shared / "data" / "livelink" / "rom_3.csv.gz")[0].to("arkit").resample(25).crop(0, 40)
    on_ict = take.to(ict.layout)
    matches = correspond(ict, head)
    to_arkit = fit_map(ict, head, matches=matches)
    plain, kept = agreement(take, to_arkit.apply(on_ict)), agreement(take, levelled(to_arkit).apply(on_ict))
    assert kept > 0.93
    assert kept > plain

    some = take.crop(14, 22)
    free = tracks(fit(ict.vertices(some.to(ict.layout)), ict, head, fps=25, matches=matches)).levels
    true = tracks(some).levels
    for key in (("AU1", None), ("AU2", "left"), ("AU4", "right"), ("AU5", "left"), ("AU43", "right")):
        assert np.corrcoef(free[:, COLUMNS[key]], true[:, COLUMNS[key]])[0, 1] > 0.8, key
