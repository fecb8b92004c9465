import math

import numpy as np
import pytest
import torch

from facelm.errors import FacelmError
from facelm.evaluate import motion as metrics
from facelm.evaluate.pairs import Pair, measure, pairs
from facelm.motion import FaceMotion, load_motion
from facelm.rig import load_rig


def small(moved: dict[tuple[int, int], float], frames: int = 4, vertices: int = 3, **more) -> Pair:
    """A pair of which vertex v of frame t is off by so many mm; region lips is vertices 0 and 1, face is all."""
    true = np.zeros((frames, vertices, 3))
    predicted = true.copy()
    for (frame, vertex), distance in moved.items():
        predicted[frame, vertex, 1] = distance / 1000
    lips = np.arange(vertices) < 2
    face = np.ones(vertices, bool)
    return Pair(
        predicted, true, {"lips": lips, "face": face, "upper_face": ~lips}, rest=np.zeros((vertices, 3)), **more
    )


def test_lip_and_face_error_by_hand():
    pair = small({(0, 0): 3.0, (0, 1): 1.0, (1, 1): 2.0, (2, 2): 9.0})
    assert metrics.lve()(pair).value == pytest.approx((3 + 2) / 4)
    assert metrics.lve("squared")(pair).value == pytest.approx((9 + 4) / 4)
    assert metrics.lve("rms")(pair).value == pytest.approx(math.sqrt(13 / 4))
    assert metrics.fve()(pair).value == pytest.approx((3 + 1 + 2 + 9) / 12)
    assert metrics.mve()(pair).value == pytest.approx((3 + 1 + 2 + 9) / 12)
    assert metrics.largest("face")(pair).value == pytest.approx((3 + 2 + 9) / 4)
    assert metrics.largest("upper_face")(pair).value == pytest.approx(9 / 4)
    assert metrics.fve("lips")(pair).value == pytest.approx((3 + 1 + 2) / 8)


def test_frames_are_pooled_and_the_interval_is_over_clips():
    long, short = small({}, frames=30), small({(0, 0): 4.0, (1, 0): 4.0}, frames=2)
    score = metrics.lve()([long, short])
    assert score.value == pytest.approx(8 / 32)
    assert score.n == 2
    assert score.low <= score.value <= score.high


def test_fdd_by_hand_and_signed():
    true = np.zeros((2, 1, 3))
    true[1, 0, 0] = 0.002  # squared displacements 0 and 4 mm^2: deviation 2
    still = np.zeros((2, 1, 3))
    masks = {"upper_face": np.ones(1, bool)}
    one = Pair(still, true, masks, rest=np.zeros((1, 3)))
    other = Pair(true, still, masks, rest=np.zeros((1, 3)))
    assert metrics.fdd()([one, other]).value == pytest.approx(2)
    assert metrics.fdd(signed=True)(one).value == pytest.approx(2)
    assert metrics.fdd(signed=True)([one, other]).value == pytest.approx(0)


def test_jerk_smoothness_and_speed():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(50, 3, 3)) / 1000
    masks = {"face": np.ones(3, bool)}
    assert metrics.jerk_ratio()(Pair(2 * true, true, masks)).value == pytest.approx(2)
    assert metrics.speed_ratio()(Pair(0.5 * true, true, masks)).value == pytest.approx(0.5)
    assert metrics.smoothness()(Pair(true + 0.001, true, masks)).value == pytest.approx(0, abs=1e-9)
    line = np.linspace(0, 1, 10)[:, None, None] * np.ones((1, 3, 3))
    assert metrics.smoothness()(Pair(line**2, 0 * line, masks)).value > 0
    short = metrics.jerk_ratio()(Pair(true[:3], true[:3], masks))
    assert "no clip has what it is measured on" in str(short)


def test_seams_are_seen():
    steady = np.cumsum(np.ones((40, 3, 3)), axis=0) / 1000
    jumpy = steady.copy()
    jumpy[10:] += 0.004
    jumpy[20:] += 0.004
    jumpy[30:] += 0.004
    masks = {"face": np.ones(3, bool)}
    assert metrics.seam_ratio(10)(Pair(jumpy, steady, masks)).value == pytest.approx(5)
    assert metrics.seam_ratio(10)(Pair(steady, steady, masks)).value == pytest.approx(1)


def test_coefficient_errors_by_hand():
    names = ["browInnerUp", "jawOpen", "mouthClose"]
    true = np.zeros((2, 3))
    predicted = np.array([[0.9, 0.3, 0.1], [0.9, 0.0, 0.2]])
    pair = Pair(values=(predicted, true), names=names)
    assert metrics.ale()(pair).value == pytest.approx((0.2 + 0.1) / 2)
    assert metrics.coefficient_lve()(pair).value == pytest.approx((0.3 + 0.2) / 2)
    assert metrics.ale(["browInnerUp"])(pair).value == pytest.approx(0.9)
    with pytest.raises(FacelmError, match="there is no channel tongueOut"):
        metrics.ale(["tongueOut"])(pair)


def test_correlation_and_amplitude():
    names = ["jawOpen", "mouthFunnel", "mouthPucker"]
    wave = np.sin(np.linspace(0, 20, 100))
    true = np.stack([wave, wave, -wave], 1)
    pair = Pair(values=(np.stack([0.5 * wave, wave, 0 * wave], 1), true), names=names)
    assert metrics.correlation("jaw")(pair).value == pytest.approx(1)
    assert metrics.amplitude_ratio()(pair).value == pytest.approx(0.5)
    assert not metrics.correlation("round")(pair).known  # the truth's sum never moves
    with pytest.raises(FacelmError, match="unknown group 'lips'"):
        metrics.correlation("lips")


def test_beats():
    times = np.arange(200) / 25
    nod = np.stack([0 * times, 0.3 * np.sin(2 * np.pi * 0.5 * times), 0 * times], 1)
    names = ["headYaw", "headPitch", "headRoll"]

    def score(predicted: np.ndarray, over: str = "reference") -> float:
        return metrics.beat_alignment(over)(Pair(values=(predicted, nod), names=names)).value

    assert len(metrics.beats(nod)) >= 6  # the head rests at both ends of each nod, once a second
    assert score(nod) == pytest.approx(1)
    late = np.roll(nod, 3, axis=0)
    assert math.exp(-0.5) - 0.1 < score(late) < 0.9
    assert score(0 * nod) == 0
    assert score(0 * nod, "predicted") == 0
    assert score(nod, "predicted") == pytest.approx(1)


def test_torch_gives_what_numpy_gives():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 20, 5, 3)) / 1000
    mask = np.array([True, True, False, True, False])
    regions = {"lips": mask, "face": ~mask, "upper_face": mask}
    rest = rng.normal(size=(5, 3)) / 1000
    kinds = [metrics.lve(), metrics.lve("rms"), metrics.fve(), metrics.mve(), metrics.fdd(), metrics.jerk_ratio()]
    kinds += [metrics.smoothness(), metrics.seam_ratio(5), metrics.largest("face")]
    by_numpy = measure(kinds, [Pair(a, b, regions, rest=rest)])
    tensors = {name: torch.tensor(m) for name, m in regions.items()}
    by_torch = measure(kinds, [Pair(torch.tensor(a), torch.tensor(b), tensors, rest=torch.tensor(rest))])
    for name, score in by_numpy.items():
        assert by_torch[name].value == pytest.approx(score.value, rel=1e-9), name


def test_the_yardsticks_of_rest_poses(shared):
    """LVE 5.95 mm and FVE 1.194 mm on the eight takes at 25 fps, as ../shared/measure prints them."""
    import sys

    sys.path.insert(0, str(shared / "measure"))
    try:
        import face_measure
    finally:
        sys.path.pop(0)
    rig = load_rig()
    takes = face_measure.load_captures(shared / "data" / "livelink", face_measure.TAKES, list(rig.names))
    true = [FaceMotion(np.pad(take.values, ((0, 0), (0, 3))), 25, "arkit") for take in takes]
    rest = [FaceMotion(np.zeros_like(motion.values), 25, "arkit") for motion in true]
    scores = measure([metrics.lve(), metrics.fve(), metrics.jerk_ratio()], pairs(rest, true, rig))
    assert scores["LVE"].value == pytest.approx(5.95, abs=0.005)
    assert scores["FVE"].value == pytest.approx(1.194, abs=0.0005)
    assert scores["jerk ratio"].value == 0


def test_wrong_pairs_are_refused():
    with pytest.raises(FacelmError, match=r"take 3: the prediction has the shape \(2, 3, 3\)"):
        Pair(np.zeros((2, 3, 3)), np.zeros((3, 3, 3)), name="take 3")
    with pytest.raises(FacelmError, match="the prediction holds a value that is not finite"):
        Pair(np.full((2, 3, 3), np.nan), np.zeros((2, 3, 3)))
    with pytest.raises(FacelmError, match="has no region 'lips'; it has face"):
        metrics.lve()(Pair(np.zeros((2, 3, 3)), np.zeros((2, 3, 3)), {"face": np.ones(3, bool)}))
    a, b = FaceMotion(np.zeros((4, 55)), 25, "arkit"), FaceMotion(np.zeros((4, 55)), 30, "arkit")
    with pytest.raises(FacelmError, match="clip 0: the prediction has 25 fps and the reference 30"):
        list(pairs([a], [b], load_rig()))
    with pytest.raises(FacelmError, match="give both the same length"):
        list(pairs([a], [FaceMotion(np.zeros((5, 55)), 25, "arkit")], load_rig()))


def test_a_real_take_against_a_noisy_copy(shared):
    take, _ = load_motion(shared / "data" / "livelink" / "myslate_3_60fps.csv.gz")
    take = take.to("arkit").resample(25)
    noisy = FaceMotion(take.values + np.random.default_rng(0).normal(0, 0.02, take.values.shape), 25, "arkit")
    kinds = [metrics.lve(), metrics.fve(), metrics.jerk_ratio(), metrics.ale(), metrics.correlation("jaw")]
    scores = measure(kinds, pairs([noisy], [take], load_rig()))
    assert 0 < scores["FVE"].value < scores["LVE"].value < 3
    assert scores["jerk ratio"].value > 1
    assert scores["ALE"].value == pytest.approx(0.02 * math.sqrt(2 / math.pi), rel=0.05)
    assert scores["jaw_r"].value > 0.95
