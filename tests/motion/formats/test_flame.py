import os
import pickle
import time
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facelm import FaceMotion
from facelm.errors import FacelmError
from facelm.motion import FLAME, FLAME56, FLAME106, head_angles, load_motion, save_motion
from facelm.motion.rotations import rotation_vectors_of


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + sum(shape)).normal(0, 0.2, shape).astype(np.float32)


def check(motion: FaceMotion, **expected: np.ndarray) -> None:
    """The columns of each joint (or `expression`, `eyelid`) are these; all others are 0."""
    values = np.zeros_like(motion.values)
    for name, part in expected.items():
        if name == "expression":
            values[:, : part.shape[1]] = part
        elif name == "eyelid":
            values[:, motion.layout.indices(["eyelidLeft", "eyelidRight"])] = part
        else:
            values[:, motion.layout.indices([name + axis for axis in "XYZ"])] = part
    assert np.array_equal(motion.values, values)


def refuses(path, says: str, **how) -> None:
    with pytest.raises(FacelmError, match=says) as caught:
        load_motion(path, **how)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


# ---------------------------------------------------------------- one array


@pytest.mark.parametrize(("width", "tool", "layout"), [(56, "MMHead", FLAME56), (106, "ARTalk", FLAME106)])
def test_motion_in_one_array_of_any_file(tmp_path, width, tool, layout):
    values = numbers(30, width)
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "a.npz", anything=values)
    np.savez(tmp_path / "b.npz", motion=values, fps=30, style=numbers(30, 7))
    torch.save(torch.tensor(values), tmp_path / "a.pt")
    torch.save({"motion": torch.tensor(values, dtype=torch.float64)}, tmp_path / "b.pt")
    for name, held in {
        "a.pkl": values,
        "b.pkl": {"motion": values},
        "c.pkl": values.astype(np.float64),
        "d.pkl": values.tolist(),
        "e.pkl": values[:, None],  # (T, 1, D), as from batches of one
        "f.pkl": values[None],
        "g.pkl": {"flame": {"x": 1, "motion": values}},
    }.items():
        (tmp_path / name).write_bytes(pickle.dumps(held))
    (tmp_path / "old.pickle").write_bytes(pickle.dumps(values, protocol=0))
    files = sorted(tmp_path.iterdir())
    assert len(files) == 13
    for path in files:
        motion, report = load_motion(path)
        assert np.allclose(motion.values, values, atol=1e-7) and motion.layout is layout, path
        assert motion.fps == (30 if path.name == "b.npz" else 25) and not report.mended and not report.fps_assumed
        kind = {".pt": "torch file", ".pkl": "pickle", ".pickle": "pickle"}.get(path.suffix, path.suffix[1:])
        assert report.dialect == f"{tool} {kind}"
        assert load_motion(path, fps=50)[0].fps == (30 if path.name == "b.npz" else 50)


# ---------------------------------------------------------------- the tools' files


def test_deca(tmp_path):
    code = {"shape": numbers(12, 100)[:1].repeat(12, 0), "tex": numbers(12, 50), "exp": numbers(12, 50)}
    code |= {"pose": numbers(12, 6), "cam": numbers(12, 3), "light": numbers(12, 9, 3)}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(code))
    np.savez(tmp_path / "a.npz", **code)
    np.save(tmp_path / "a.npy", code)  # numpy pickles a dict
    per_frame = [{name: array[t : t + 1] for name, array in code.items()} for t in range(12)]
    (tmp_path / "b.pkl").write_bytes(pickle.dumps(per_frame))
    named = {f"frame_{t:03}.png": frame for t, frame in enumerate(per_frame)}
    (tmp_path / "c.pkl").write_bytes(pickle.dumps(named))
    for name in ("a.pkl", "a.npz", "a.npy", "b.pkl", "c.pkl"):
        motion, report = load_motion(tmp_path / name)
        check(motion, expression=code["exp"], **{"global": code["pose"][:, :3]}, jaw=code["pose"][:, 3:])
        assert motion.layout is FLAME106 and np.array_equal(motion.identity, code["shape"][0])
        assert report.dialect.startswith("DECA ") and report.fps_assumed and "assumed" in str(report)
        notes = " ".join(report.notes)
        assert "the texture (tex)" in notes and "the camera (cam)" in notes and "the light (light)" in notes
        assert "25 fps was assumed" in notes
        assert not load_motion(tmp_path / name, fps=30)[1].fps_assumed
    codes = {"expcode": code["exp"], "posecode": code["pose"], "shapecode": code["shape"], "texcode": code["tex"]}
    np.savez(tmp_path / "codes.npz", **codes)
    assert load_motion(tmp_path / "codes.npz")[0] == load_motion(tmp_path / "a.npz")[0]


def test_an_assumed_rate_is_a_warning_unless_it_is_given(tmp_path):
    np.savez(tmp_path / "a.npz", exp=numbers(3, 50), pose=numbers(3, 6), cam=numbers(3, 3))
    with pytest.warns(UserWarning, match="a rate the file does not state"):
        assert FaceMotion.load(tmp_path / "a.npz").fps == 25
    assert FaceMotion.load(tmp_path / "a.npz", fps=23.976).rate == Fraction(24000, 1001)


@pytest.mark.parametrize("jaw_apart", [False, True])
def test_emoca_in_one_folder_and_in_one_a_frame(tmp_path, jaw_apart):
    code = {"exp": numbers(6, 50), "shape": numbers(6, 100)[:1].repeat(6, 0), "cam": numbers(6, 3)}
    pose = numbers(6, 6)
    code |= {"globalpose": pose[:, :3], "jawpose": pose[:, 3:]} if jaw_apart else {"pose": pose}
    (tmp_path / "take").mkdir()
    for name, array in code.items():
        np.save(tmp_path / "take" / f"{name}.npy", array)
    for t in range(6):
        if t in (2, 3):
            continue  # no face was found
        for face in ("000", "001"):  # the second is somebody in the background
            folder = tmp_path / "frames" / f"{t + 1:06}_{face}"
            folder.mkdir(parents=True)
            for name, array in code.items():
                np.save(folder / f"{name}.npy", array[t] if face == "000" else array[t] * 0)
    motion, report = load_motion(tmp_path / "take")
    check(motion, expression=code["exp"], **{"global": pose[:, :3]}, jaw=pose[:, 3:])
    assert report.dialect == "EMOCA folder" and report.fps_assumed
    assert np.array_equal(motion.identity, code["shape"][0])
    got, report = load_motion(tmp_path / "frames")
    kept = [0, 1, 4, 5]
    assert np.array_equal(got.values[kept], motion.values[kept]) and len(got) == 6
    assert (report.rows, report.bridged, report.holes) == (4, 2, ((2, 4),))
    assert np.allclose(got.values[2], (2 * motion.values[1] + motion.values[4]) / 3, atol=1e-6)
    assert len(load_motion(tmp_path / "frames", short_rows="drop")[0]) == 4
    refuses(tmp_path / "frames", "no face in 2 frames .*frame 2", short_rows="refuse")


def test_diffposetalk(tmp_path):
    exp, pose, shape = numbers(9, 50), numbers(9, 6), numbers(100)
    np.savez_compressed(tmp_path / "a.npz", exp=exp, pose=pose, shape=shape[None].repeat(9, 0))
    motion, report = load_motion(tmp_path / "a.npz")
    check(motion, expression=exp, **{"global": pose[:, :3]}, jaw=pose[:, 3:])
    assert (motion.fps, report.dialect, report.fps_assumed) == (25, "DiffPoseTalk npz", False)
    assert np.array_equal(motion.identity, shape)


def vhap(frames: int) -> dict[str, np.ndarray]:
    return {
        "translation": numbers(frames, 3),
        "rotation": numbers(frames, 3, seed=1),
        "neck_pose": numbers(frames, 3, seed=2),
        "jaw_pose": numbers(frames, 3, seed=3),
        "eyes_pose": numbers(frames, 6),
        "shape": numbers(300),
        "expr": numbers(frames, 100),
        "static_offset": numbers(1, 5143, 3),
    }


def test_vhap_in_one_file_and_in_one_a_frame(tmp_path):
    code = vhap(5)
    np.savez(tmp_path / "tracked_flame_params_30.npz", **code, timestep_id=np.array([f"{t:05}" for t in range(5)]))
    (tmp_path / "flame_param").mkdir()
    for t in range(5):
        whole = ("shape", "static_offset")
        frame = {name: array if name in whole else array[[t]] for name, array in code.items()}
        np.savez(tmp_path / "flame_param" / f"{t:05}.npz", **frame)
    for name in ("tracked_flame_params_30.npz", "flame_param"):
        motion, report = load_motion(tmp_path / name)
        turns = {"global": code["rotation"], "neck": code["neck_pose"], "jaw": code["jaw_pose"]}
        eyes = {"leftEye": code["eyes_pose"][:, :3], "rightEye": code["eyes_pose"][:, 3:]}
        check(motion, expression=code["expr"], **turns, **eyes)
        assert motion.layout is FLAME and np.array_equal(motion.identity, code["shape"])
        assert "the place of the head (translation)" in " ".join(report.notes) and "(static_offset)" in " ".join(
            report.notes
        )


def test_smirk(tmp_path):
    sizes = {"pose_params": 3, "cam": 3, "shape_params": 300, "expression_params": 50, "eyelid_params": 2}
    code = {name: numbers(7, size, seed=size) for name, size in {**sizes, "jaw_params": 3}.items()}
    frames = [{name: array[[t]] for name, array in code.items()} for t in range(7)]
    lists = {name: [array[[t]] for t in range(7)] for name, array in code.items()}
    for name, held in (("stacked", code), ("frames", frames), ("lists", lists)):
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(held))
        motion, report = load_motion(tmp_path / f"{name}.pkl")
        turns = {"global": code["pose_params"], "jaw": code["jaw_params"]}
        check(motion, expression=code["expression_params"], eyelid=code["eyelid_params"], **turns)
        assert motion.layout is FLAME and report.dialect == "SMIRK pickle"
        assert "the shape differs over the frames" in " ".join(report.notes)
        assert np.allclose(motion.identity, code["shape_params"].mean(0), atol=1e-6)
    frames[3] = None  # no face
    (tmp_path / "lost.pkl").write_bytes(pickle.dumps(frames))
    motion, report = load_motion(tmp_path / "lost.pkl")
    assert (len(motion), report.bridged, report.holes) == (7, 1, ((3, 4),))
    short = {"expression": code["expression_params"], "jaw": code["jaw_params"], "pose": code["pose_params"]}
    np.savez(tmp_path / "short.npz", **short, eyelid=code["eyelid_params"], shape=np.zeros((1, 300)))
    motion, report = load_motion(tmp_path / "short.npz")
    check(motion, expression=code["expression_params"], eyelid=code["eyelid_params"], **turns)
    assert motion.identity is None  # the average head


def test_tdmm_lm(tmp_path):
    parts = {"expression": numbers(20, 50), "jaw": numbers(20, 3), "pose": numbers(20, 3, seed=1)}
    parts |= {"eyelid": numbers(20, 2), "identity": numbers(1, 300), "camera_pose": numbers(20, 3, seed=2)}
    with open(tmp_path / "a.pkl", "wb") as file:
        pickle.dump(parts, file)
    motion, report = load_motion(tmp_path / "a.pkl")
    check(motion, expression=parts["expression"], jaw=parts["jaw"], eyelid=parts["eyelid"], **{"global": parts["pose"]})
    assert report.dialect == "TDMM-LM pickle"
    assert np.array_equal(motion.identity.ravel(), parts["identity"].ravel())
    assert any("camera" in note for note in report.notes)


def test_beat2(tmp_path):
    poses, expressions = numbers(8, 165), numbers(8, 100)
    more = {"betas": numbers(300), "trans": numbers(8, 3), "model": "smplx2020", "gender": "neutral"}
    np.savez(tmp_path / "a.npz", poses=poses, expressions=expressions, mocap_frame_rate=30, **more)
    motion, report = load_motion(tmp_path / "a.npz")
    head = {"global": poses[:, 36:39], "neck": poses[:, 45:48], "jaw": poses[:, 66:69]}
    check(motion, expression=expressions, **head, leftEye=poses[:, 69:72], rightEye=poses[:, 72:75])
    assert (motion.fps, report.dialect) == (30, "BEAT2 npz") and np.array_equal(motion.identity, more["betas"])
    assert "the body is left out" in report.notes[0] and "(trans)" in report.notes[1]


def test_the_real_talker(shared):
    motion, report = load_motion(shared / "data/flame_beat2/2_scott_0_1_1_face.npz")
    raw = np.load(shared / "data/flame_beat2/2_scott_0_1_1_face.npz")
    turns = {"global": "neck_pose", "neck": "head_pose", "jaw": "jaw_pose", "leftEye": "leye_pose"}
    parts = {joint: raw[name] for joint, name in (turns | {"rightEye": "reye_pose"}).items()}
    check(motion, expression=raw["expression"], **parts)
    assert (len(motion), motion.fps, report.dialect) == (1906, 30, "SMPL-X face npz")
    assert np.array_equal(motion.identity, raw["betas"]) and "(global_orient)" in " ".join(report.notes)
    angles = head_angles(motion.values, motion.layout)
    assert 0.2 < np.ptp(angles, axis=0).min() and np.abs(angles).max() < 0.8  # a talker who looks about


def test_the_real_talker_survives_vhap(shared, tmp_path):
    motion, _ = load_motion(shared / "data/flame_beat2/2_scott_0_1_1_face.npz")
    save_motion(motion, tmp_path / "a.npz", "vhap")
    assert load_motion(tmp_path / "a.npz")[0] == motion


# ---------------------------------------------------------------- head


@settings(max_examples=30, deadline=None)
@given(st.tuples(st.floats(-1.5, 1.5), st.floats(-1.2, 1.2), st.floats(-1.2, 1.2)))
def test_head_angles_survive_every_dialect(tmp_path_factory, angles):
    values = np.zeros((1, 56), dtype=np.float32)
    values[0, 50:53] = rotation_vectors_of(np.array(angles))
    folder = tmp_path_factory.mktemp("head")
    for dialect in ("diffposetalk", "artalk", "vhap"):
        save_motion(FaceMotion(values, 25, "flame56"), folder / f"{dialect}.npz", dialect)
        again = load_motion(folder / f"{dialect}.npz")[0]
        assert np.allclose(head_angles(again.values, again.layout)[0], angles, atol=1e-5)


# ---------------------------------------------------------------- writing

LAYOUT_OF = {"diffposetalk": FLAME106, "artalk": FLAME106, "vhap": FLAME}


@pytest.mark.parametrize("fps", [23.976, 25, 29.97, 30, 59.94])
@pytest.mark.parametrize("dialect", LAYOUT_OF)
def test_what_is_written_is_read_back(tmp_path, dialect, fps):
    layout = LAYOUT_OF[dialect]
    values = numbers(20, layout.width)
    values[:, 50 if dialect == "diffposetalk" else 100 : 102 if dialect == "vhap" else 100] = 0
    motion = FaceMotion(values, fps, layout, identity=numbers(300 if dialect == "vhap" else 100))
    motion.save(tmp_path / "a.npz", dialect)
    again, report = load_motion(tmp_path / "a.npz")
    assert again == motion and report.dialect.lower() == f"{dialect} npz" and not report.fps_assumed
    average = FaceMotion(values, fps, layout)
    save_motion(average, tmp_path / "b.npz", dialect)
    assert load_motion(tmp_path / "b.npz")[0] == average
    first = (tmp_path / "b.npz").read_bytes()
    save_motion(average, tmp_path / "b.npz", dialect)
    assert (tmp_path / "b.npz").read_bytes() == first


def test_the_arrays_are_those_the_tools_read(tmp_path):
    motion = FaceMotion(numbers(20, 56), 25, "flame56")
    shapes = {
        "diffposetalk": {"shape": (20, 100), "exp": (20, 50), "pose": (20, 6)},
        "artalk": {"motion": (20, 106)},
        "vhap": {"translation": (20, 3), "rotation": (20, 3), "neck_pose": (20, 3), "jaw_pose": (20, 3)}
        | {"eyes_pose": (20, 6), "shape": (300,), "expr": (20, 100), "static_offset": (1, 5143, 3)},
    }
    for dialect, expected in shapes.items():
        save_motion(motion, tmp_path / "a.npz", dialect)
        with np.load(tmp_path / "a.npz") as held:
            assert {name: held[name].shape for name in held if name != "fps"} == expected and held["fps"] == 25
    save_motion(motion, tmp_path / "a.npy", "artalk")  # what its training reads
    assert np.array_equal(np.load(tmp_path / "a.npy"), motion.to("flame106").values)


def test_what_a_tool_has_no_place_for_is_told(tmp_path):
    motion = FaceMotion(numbers(5, 117), 25, "flame", identity=numbers(300))
    with pytest.warns(UserWarning) as told:
        save_motion(motion, tmp_path / "a.npz", "diffposetalk")
    words = " ".join(str(warning.message) for warning in told)
    assert "eyelidLeft, eyelidRight, leftEyeX" in words and "the shape has 300 coefficients; 100 were written" in words
    with pytest.warns(UserWarning, match="eyelidLeft, eyelidRight"):
        save_motion(motion, tmp_path / "a.npz", "vhap")


def test_dialects_that_cannot_be_written(tmp_path):
    motion = FaceMotion(numbers(5, 56), 30, "flame56")
    for what, path, dialect, says in (
        (motion, "a.npz", "deca", "unknown dialect 'deca'; .*diffposetalk, artalk, vhap"),
        (motion, "a.csv", "vhap", "ending in .npz"),
        (motion, "a.npy", "artalk", "at 25 fps .* at 30"),
        (FaceMotion(np.zeros((2, 55)), 30), "a.npz", "vhap", "layout arkit; .*facelm rig map"),
    ):
        with pytest.raises(FacelmError, match=says):
            save_motion(what, tmp_path / path, dialect)
    with pytest.raises(FacelmError, match="facelm rig map"):
        motion.save(tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


def test_our_npz_keeps_flame_too(tmp_path):
    motion = FaceMotion(numbers(5, 117), 29.97, "flame", identity=numbers(300), start=12.5, metadata={"a": "b"})
    motion.save(tmp_path / "a.npz")
    again, report = load_motion(tmp_path / "a.npz")
    assert again == motion and again.metadata == motion.metadata and report.dialect == "facelm npz"


# ---------------------------------------------------------------- bad files


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"exp": numbers(5, 50), "pose": numbers(4, 6)}, r"differ in frames \(exp 5, pose 4\)"),
        ({"exp": numbers(5, 101), "pose": numbers(5, 6)}, "exp has 101 columns"),
        ({"exp": numbers(5, 50), "pose": numbers(5, 7)}, "pose has 7 columns and needs 6"),
        ({"exp": numbers(0, 50), "pose": numbers(0, 6)}, "exp is empty"),
        ({"exp": np.array(["a"]), "pose": numbers(5, 6)}, "exp holds words"),
        ({"exp": numbers(5, 50), "pose": numbers(5, 6), "fps": 0}, "fps is no positive number"),
        ({"exp": numbers(5, 50), "pose": numbers(5, 6), "fps": np.nan}, "fps is no positive number"),
        ({"exp": numbers(5, 50), "pose": numbers(5, 6), "fps": "fast"}, "fps is no positive number"),
        ({"poses": numbers(5, 156), "expressions": numbers(5, 100)}, "poses has 156 columns and needs 165"),
        ({"exp": numbers(5, 50)}, r"holds exp \(5, 50\), which is no FLAME motion .*exp and pose \(DECA\)"),
        ({"a": numbers(5, 56), "b": numbers(5, 106)}, "no FLAME motion"),
        (
            {"lips": numbers(5, 20), "tongue": numbers(3)},
            r"holds lips, tongue, which is no FLAME .*\(T, 106\) \(ARTalk\)",
        ),
        ({"exp": numbers(5, 50), "pose": numbers(5, 6), "shape": np.full((1, 100), np.inf)}, "shape coefficients"),
    ],
)
def test_bad_arrays(tmp_path, arrays, says):
    np.savez(tmp_path / "a.npz", **arrays)
    refuses(tmp_path / "a.npz", says)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(arrays))
    refuses(tmp_path / "a.pkl", says)


def test_nan_names_frame_and_channel(tmp_path):
    values = numbers(9, 56)
    values[4, 53] = np.nan
    np.save(tmp_path / "a.npy", values)
    refuses(tmp_path / "a.npy", "the value of jawX in frame 4 is nan")


def test_damaged_containers(tmp_path):
    whole = {"exp": numbers(50, 50), "pose": numbers(50, 6)}
    np.savez(tmp_path / "a.npz", **whole)
    np.save(tmp_path / "a.npy", numbers(50, 56))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(whole))
    torch.save(torch.zeros(50, 106), tmp_path / "a.pt")
    for name in ("a.npz", "a.npy", "a.pkl", "a.pt"):
        data = (tmp_path / name).read_bytes()
        for part in (0.97, 0.5, 0.1):
            (tmp_path / f"cut{name}").write_bytes(data[: int(len(data) * part)])
            with pytest.raises(FacelmError, match=f"cut{name}"):
                load_motion(tmp_path / f"cut{name}")
    broken = bytearray((tmp_path / "a.npz").read_bytes())
    broken[600:700] = bytes(100)
    (tmp_path / "b.npz").write_bytes(broken)
    refuses(tmp_path / "b.npz", "no npz file of plain arrays")


def test_headers_that_claim_more_than_there_is(tmp_path):
    np.save(tmp_path / "a.npy", numbers(2, 56))
    data = (tmp_path / "a.npy").read_bytes()
    claims = data.replace(b"(2, 56), }" + b" " * 10, b"(2000000000, 56), } ", 1)
    assert claims != data
    (tmp_path / "b.npy").write_bytes(claims)
    refuses(tmp_path / "b.npy", "is damaged: 448 bytes for the shape")


def test_code_in_any_container_is_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    held = {"exp": numbers(2, 50), "pose": Trap()}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(held))
    np.save(tmp_path / "a.npy", held)
    np.savez(tmp_path / "a.npz", exp=numbers(2, 50), pose=np.array([Trap()], dtype=object))
    torch.save(held, tmp_path / "a.pt")
    torch.save(held, tmp_path / "old.pkl", _use_new_zipfile_serialization=False)
    for name in ("a.pkl", "a.npy", "a.npz", "a.pt", "old.pkl"):
        refuses(tmp_path / name, "asks for|plain tensors|torch|outside")
    (tmp_path / "tensor.pkl").write_bytes(pickle.dumps(torch.zeros(3, 56)))
    refuses(tmp_path / "tensor.pkl", r"torch tensors; save them as arrays with tensor.numpy\(\)")
    assert not (tmp_path / "sprung").exists()


def test_folders_that_are_no_take(tmp_path):
    (tmp_path / "empty").mkdir()
    refuses(tmp_path / "empty", "is a folder without frames")
    (tmp_path / "person").mkdir()
    for take in ("000", "001"):  # DiffPoseTalk's folders: takes, not frames
        np.savez(tmp_path / "person" / f"{take}.npz", exp=numbers(9, 50), pose=numbers(9, 6))
    refuses(tmp_path / "person", "more than one frame; load these as takes of their own")
    (tmp_path / "many" / "take1").mkdir(parents=True)
    np.save(tmp_path / "many" / "take1" / "exp.npy", numbers(9, 50))
    refuses(tmp_path / "many", "more than one frame")


def test_frames_that_differ(tmp_path):
    def pickled(frames):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(frames))
        return tmp_path / "a.pkl"

    one = {"exp": numbers(1, 50), "pose": numbers(1, 6)}
    refuses(pickled([one, {"exp": one["exp"]}]), "frame 1 has no pose but frame 0 has")
    refuses(pickled([one, {**one, "exp": numbers(1, 100)}]), "frame 1: exp has 100 values, but 50 in frame 0")
    refuses(pickled([one, 7]), "frame 1: a dict of arrays is needed, not a int")
    refuses(pickled([None, None, one, None, None, {**one}]), "refuse|no face in 2 frames", short_rows="refuse")
    refuses(pickled({0: None, 1: None}), "no frame with a face")
    far = {"frame_1": one, "frame_900000000": one}
    refuses(pickled(far), "no face in 899999998 frames on end")


def test_ten_minutes_of_frames_in_a_list(tmp_path):
    sizes = {"pose_params": 3, "jaw_params": 3, "expression_params": 50, "eyelid_params": 2}
    code = {name: numbers(15_000, size) for name, size in sizes.items()}
    frames = [{name: array[[t]] for name, array in code.items()} for t in range(15_000)]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(frames))
    began = time.process_time()
    assert len(load_motion(tmp_path / "a.pkl")[0]) == 15_000 and time.process_time() - began < 5
