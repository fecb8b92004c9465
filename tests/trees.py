"""Miniature data sets in their true folder layouts, for tests: two or three takes each, made of smooth random curves.

`TREES[name].make(folder)` writes one and returns the folder to read. What a tree says about itself (where the first
take's motion, sound and words lie, how such a motion is written) lets one test break every data set in the same way.
"""

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

FPS = 25
FRAMES = 50  # of a take at 25 fps: two seconds
Writer = Callable[[Path, np.ndarray, float], None]


@dataclass(frozen=True)
class Tree:
    """make: writes the data set below a folder and returns what to read.

    ids: of its takes. motion, sound, words: files of the first take, from the data set's folder on; "" where it has
    none. write: writes values (T, width) at a rate where a motion lies. fps: of its motions.
    """

    make: Callable[[Path], Path]
    ids: tuple[str, ...]
    motion: str
    sound: str
    words: str
    write: Writer
    width: int
    fps: float


def curves(frames: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth curves between 0 and 0.5, float32 (frames, width)."""
    rng = np.random.default_rng(seed)
    rate, phase = rng.uniform(0.5, 2.0, width), rng.uniform(0, 6.3, width)
    return (0.25 + 0.25 * np.sin(np.arange(frames)[:, None] / FPS * rate * 6.3 + phase)).astype(np.float32)


def wav(path: Path, seconds: float, rate: int = 16_000) -> None:
    """A quiet tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, 0.1 * np.sin(2 * np.pi * 220 * time), rate)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def textgrid(path: Path, words: list[str], seconds: float) -> None:
    """A TextGrid in the long form, with the tiers words and phones."""
    step = seconds / len(words)
    spoken = [(i * step, (i + 1) * step, word) for i, word in enumerate(words)]
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {seconds}"]
    lines += ["tiers? <exists>", "size = 2", "item []:"]
    for number, name in enumerate(("words", "phones"), start=1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", f"        xmax = {seconds}", f"        intervals: size = {len(spoken)}"]
        for i, (begin, end, word) in enumerate(spoken, start=1):
            lines += [f"        intervals [{i}]:", f"            xmin = {begin}", f"            xmax = {end}"]
            lines += [f'            text = "{word}"']
    text(path, "\n".join(lines) + "\n")


# ---------------------------------------------------------------- motions in the dialects of the data sets


def livelink(path: Path, values: np.ndarray, fps: float = 60) -> None:
    """Live Link Face CSV of values (T, 61) at 30 or 60 fps."""
    from facelm.motion import LIVELINK

    names = LIVELINK.names[: values.shape[1]]
    rows = [",".join(("Timecode", "BlendShapeCount", *names))]
    for frame, row in enumerate(values):
        whole, part = divmod(frame * round(60 / fps), 60)
        clock = f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}:{part:02d}.000"
        rows.append(",".join((clock, str(len(names)), *(f"{value:.6f}" for value in row))))
    text(path, "\n".join(rows) + "\n")


def beat_json(path: Path, values: np.ndarray, fps: float = 60) -> None:
    """BEAT's JSON of values (T, 51): the shapes in alphabetical order, without tongueOut."""
    from facelm.motion.layout import SHAPES

    names = sorted(set(SHAPES) - {"tongueOut"})[: values.shape[1]]
    frames = [{"weights": row.tolist(), "time": i / fps, "rotation": []} for i, row in enumerate(values)]
    text(path, json.dumps({"names": names, "frames": frames}))


def mmhead_pickle(path: Path, values: np.ndarray, fps: float = FPS) -> None:
    """(T, 56): expression, neck, jaw."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(values))


def deca_npz(path: Path, values: np.ndarray, fps: float = FPS) -> None:
    """exp, pose (head and jaw) and shape, as DiffPoseTalk and SPECTRE write them, of values (T, 56)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = np.zeros((len(values), 100), np.float32)
    np.savez(path, exp=values[:, :50], pose=values[:, 50:], shape=shape)


def emoca_folder(path: Path, values: np.ndarray, fps: float = FPS) -> None:
    """A folder of exp.npy, pose.npy and shape.npy."""
    path.mkdir(parents=True, exist_ok=True)
    np.save(path / "exp.npy", values[:, :50])
    np.save(path / "pose.npy", values[:, 50:])
    np.save(path / "shape.npy", np.zeros((len(values), 100), np.float32))


def smirk_pickle(path: Path, values: np.ndarray, fps: float = FPS) -> None:
    """TDMM-LM's dict of lists with an array a frame, of values (T, 58): expression, pose, eyelids, jaw."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"expression": slice(0, 50), "pose": slice(50, 53), "eyelid": slice(53, 55), "jaw": slice(55, 58)}
    held = {name: [row[part] for row in values] for name, part in columns.items()}
    held |= {
        "identity": [np.zeros(300, np.float32)] * len(values),
        "camera_pose": [np.zeros(3, np.float32)] * len(values),
    }
    path.write_bytes(pickle.dumps(held))


def beat2_npz(path: Path, values: np.ndarray, fps: float = 30) -> None:
    """SMPL-X with a FLAME face: expressions (T, 100) and poses (T, 165), of values (T, 103): expression, jaw."""
    path.parent.mkdir(parents=True, exist_ok=True)
    poses = np.zeros((len(values), 165), np.float32)
    poses[:, 66:69] = values[:, -3:]
    np.savez(
        path,
        betas=np.zeros(300, np.float32),
        poses=poses,
        expressions=values[:, :100],
        trans=np.zeros((len(values), 3), np.float32),
        model="smplx2020",
        gender="neutral",
        mocap_frame_rate=round(fps),
    )


def facegood_npz(path: Path, values: np.ndarray, fps: float = 30) -> None:
    """weights (T, N) with their names and rate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, weights=values, names=np.array(FACEGOOD_NAMES[: values.shape[1]]), fps=np.float64(fps))


def facegood_npy(path: Path, values: np.ndarray, fps: float = 30) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)


FACEGOOD_NAMES = (
    "mouth_stretch_c",
    "mouth_lipCornerPull_l",
    "mouth_lipCornerPull_r",
    "mouth_funnel_dl",
    "brow_raise_c",
)


# ---------------------------------------------------------------- the data sets


def _takes(root: Path) -> Path:
    for number, name in enumerate(("anna_01", "anna_02", "ben/take")):
        livelink(root / f"{name}.csv", curves(2 * 60, 61, number))
        wav(root / f"{name}.wav", 2.0)
    text(root / "anna_01.txt", "She smiles and nods.\nA woman who agrees.\n")
    text(root / "anna_02.json", json.dumps({"emotion": ["happy", "sad"], "transcript": "oh well", "syncnet": 2.5}))
    textgrid(root / "ben" / "take.TextGrid", ["hello", "", "you"], 2.0)
    rows = [
        "take,subject,emotion,split",
        "anna_01,anna,happy;surprised,train",
        "anna_02,anna,,val",
        "ben/take,ben,sad,test",
    ]
    text(root / "labels.csv", "\n".join(rows) + "\n")
    text(root / "subjects.csv", "subject,gender\nanna,female\nben,male\n")
    return root


MMHEAD = ("CELEBVHQ_--uyzf7X_0c_0", "MEAD_M003_angry_3_001", "MULTIFACE_6795937_E019")


def _mmhead(root: Path) -> Path:
    root = root / "MMHead"
    said = {
        "action": "The person talks, smiles and looks away.",
        "emotion": "The person looks happy throughout the clip.",
        "detail_expression": "The lips part and the corners of the mouth rise, then the brows lower.",
        "detail_head_pose": "The head lifts a little, then turns to the left.",
        "emotion_scenario": "1. She hears good news.\n2. He meets an old friend.\n3. The person wins a prize.",
    }
    for number, name in enumerate(MMHEAD):
        mmhead_pickle(root / "facial_motion" / f"{name}.pkl", curves(FRAMES, 56, number))
        wav(root / "audio" / f"{name}.wav", 2.0)
        for kind, words in said.items():
            text(root / "text_annotations" / kind / f"{name}.txt", words + "\n")
    text(root / "talking_subset.json", json.dumps({"train": [MMHEAD[0]], "val": [], "test": [f"{MMHEAD[1]}.pkl"]}))
    text(root / "t2m_subset.json", json.dumps({"train": [MMHEAD[2]], "val": [MMHEAD[0]], "test": []}))
    return root


def _beat(root: Path) -> Path:
    root = root / "beat_english_v0.2.1"
    for number, name in enumerate(("1_wayne_0_9_9", "1_wayne_1_1_1", "2_scott_0_65_65")):
        place = root / name.split("_")[0]
        beat_json(place / f"{name}.json", curves(2 * 60, 51, number))
        wav(place / f"{name}.wav", 2.0)
        textgrid(place / f"{name}.TextGrid", ["the", "first", "thing"], 2.0)
        text(place / f"{name}.csv", "0,0,2\n")
        text(place / f"{name}.txt", "01_beat_align\t0.1\t0.5\t0.4\t1\tfirst\n")
    return root


def _beat2(root: Path) -> Path:
    place = root / "BEAT2" / "beat_english_v2.0.0"
    for number, name in enumerate(("2_scott_0_1_1", "2_scott_0_73_73", "4_lawrence_1_2_2")):
        beat2_npz(place / "smplxflame_30" / f"{name}.npz", curves(60, 103, number))
        wav(place / "wave16k" / f"{name}.wav", 2.0)
        textgrid(place / "textgrid" / f"{name}.TextGrid", ["i", "have", "a", "question"], 2.0)
    rows = ["id,type", "2_scott_0_1_1,test", "2_scott_0_73_73,train", "4_lawrence_1_2_2,additional"]
    text(place / "train_test_split.csv", "\n".join(rows) + "\n")
    return root / "BEAT2"


def _mead(root: Path) -> Path:
    for number, (clip, level) in enumerate(
        (("M003/video/front/angry", 3), ("M003/video/left_30/angry", 3), ("W009/video/front/neutral", 1))
    ):
        deca_npz(root / clip / f"level_{level}" / "001.npz", curves(FRAMES, 56, number))
    wav(root / "M003/audio/angry/level_3/001.wav", 2.0)
    wav(root / "W009/audio/neutral/level_1/001.wav", 2.0)
    return root


def _ravdess(root: Path) -> Path:
    for number, name in enumerate(("01-01-06-02-02-01-12", "01-02-03-01-01-02-01")):
        actor = root / f"Actor_{name[-2:]}"
        emoca_folder(actor / name, curves(FRAMES, 56, number))
        wav(actor / f"03{name[2:]}.wav", 2.0)
    return root


def _celebv_hq(root: Path) -> Path:
    actions = ["blow", "kiss", "smile", "talk"]

    def clip(action: list[int], emotion: object) -> dict[str, object]:
        about = {"appearance": [0, 1], "action": action, "emotion": emotion}
        return {"ytb_id": "M2Ohb0FAaJU", "duration": {"start_sec": 81.62, "end_sec": 83.62}, "attributes": about}

    spans = [{"emotion": e, "start_sec": i * 0.5, "end_sec": i * 0.5 + 0.4} for i, e in enumerate(("neutral", "happy"))]
    clips = {
        "M2Ohb0FAaJU_1": clip([0, 0, 1, 1], {"sep_flag": True, "labels": spans}),
        "_0tf2n3rlJU_0": clip([0, 1, 0, 0], {"sep_flag": False, "labels": "neutral"}),
        "not_here_0": clip([1, 0, 0, 0], {"sep_flag": False, "labels": "sad"}),
    }
    meta = {"appearance_mapping": ["Blurry", "Male"], "action_mapping": actions}
    text(root / "celebvhq_info.json", json.dumps({"meta_info": meta, "clips": clips}))
    for number, name in enumerate(list(clips)[:2]):
        deca_npz(root / "flame" / f"{name}.npz", curves(FRAMES, 56, number))
        wav(root / "flame" / f"{name}.wav", 2.0)
    return root


def _celebv_text(root: Path) -> Path:
    clips = {}
    for number, name in enumerate(("oC9r-CTbToE_0_0", "oC9r-CTbToE_0_1")):
        emotions = ["neutral", "happy", "sad", "happy", "sad", "neutral"][: 2 + 4 * number]
        spans = [{"emotion": e, "start_sec": i * 0.3, "end_sec": i * 0.3 + 0.3} for i, e in enumerate(emotions)]
        about = {"action": ["talk", "squint"][number:], "emotion": {"sep_flag": True, "labels": spans}}
        clips[f"{name}.mp4"] = {"ytb_id": "oC9r-CTbToE", "version": "v0.11", "attributes": about}
        mmhead_pickle(root / "motion" / f"{name}.pkl", curves(FRAMES, 56, number))
        wav(root / "motion" / f"{name}.wav", 2.0)
        text(root / "action" / f"{name}.txt", "This person is talking.\nHe talks for a long time.\n")
    text(root / "celebvtext_info.json", json.dumps(clips))
    return root


def _multiface(root: Path) -> Path:
    capture = root / "m--20180227--0000--6795937--GHS"
    deca_npz(capture / "E001_Neutral_Eyes_Open.npz", curves(FRAMES, 56))
    deca_npz(capture / "images" / "SEN_a_good_morrow_to_you_my_boy" / "400002.npz", curves(FRAMES, 56, 1))
    wav(capture / "audio" / "SEN_a_good_morrow_to_you_my_boy.wav", 2.0)
    return root


def _open3dfacevid(root: Path) -> Path:
    place = root / "coeff" / "prompt_1_3000"
    for number, name in enumerate(("0000_happy_subtle", "00223_closeeye")):
        smirk_pickle(place / f"{name}.pkl", curves(FRAMES, 58, number))
    text(place / "0000_happy_subtle.txt", "A young woman smiles faintly at the camera.\n")
    text(root / "prompts.json", json.dumps({"prompt_1_3000/00223_closeeye": "A man closes his eyes."}))
    return root


def _tfhp(root: Path) -> Path:
    for person, video in (("TH_00001", "000"), ("TH_00001", "001"), ("TH_00002", "000")):
        deca_npz(root / "FLAME_coeffs" / person / f"{video}.npz", curves(FRAMES, 56, int(video)))
        wav(root / "audio" / person / f"{video}.flac", 2.0)
    text(root / "train.txt", "TH_00001/000\nTH_00001/001\n")
    text(root / "test.txt", "TH_00002/000\n")
    return root


def tfhp_data_base(root: Path, frames: int = 130, part: int = 100) -> Path:
    """The lmdb form of TFHP with one take, in pieces of `part` frames."""
    import io

    import lmdb

    values, identity = curves(frames, 56), np.full((frames, 100), 0.25, np.float32)
    place = root / "HDTF_TFHP" / "lmdb"
    place.mkdir(parents=True)
    with lmdb.open(str(place), map_size=2**24) as base, base.begin(write=True) as txn:
        txn.put(b"metadata", pickle.dumps({"seg_len": part}))
        txn.put(b"TH_00001/000/metadata", pickle.dumps({"n_frames": frames}))
        for number, first in enumerate(range(0, frames, part)):
            some = slice(first, min(first + part, frames))
            sound = io.BytesIO()
            tone = 0.1 * np.sin(np.arange((some.stop - some.start) * 640) / 16_000 * 1400)
            soundfile.write(sound, tone, 16_000, format="flac")
            coefficients = {"shape": identity[some], "exp": values[some, :50], "pose": values[some, 50:]}
            held = {"audio": sound.getvalue(), "coef": coefficients}
            txn.put(f"TH_00001/000/{number:03d}".encode(), pickle.dumps(held))
    text(place / "keys.txt", "TH_00001/000\n")
    text(place / "train.txt", "TH_00001/000\n")
    return root / "HDTF_TFHP"


def _facegood(root: Path) -> Path:
    for number, name in enumerate(("1114_2_01", "1114_2_02")):
        facegood_npz(root / f"{name}.npz", curves(60, 5, number))
        wav(root / f"{name}.wav", 2.0)
    return root


def _facegood_train(root: Path) -> Path:
    root = root / "train"
    for number, name in enumerate(("1114_2_01", "1114_3_15")):
        facegood_npy(root / "bs_value" / f"bs_value_{name}.npy", curves(60, 5, number))
        wav(root / "wav" / f"{name}.wav", 2.0)
    wav(root / "wav" / "1114_2_06.wav", 1.0)  # FACEGOOD has more sound than weights
    np.save(root / "shirley_1119_bs_name.npy", np.array(FACEGOOD_NAMES))
    return root


def _cavfa(root: Path) -> Path:
    root = root / "3D-CAVFA"
    for number, name in enumerate(("S01/S01_0001", "S02/S02_0001")):
        livelink(root / f"{name}.csv", curves(2 * 60, 61, number))
        wav(root / f"{name}.wav", 2.0, 48_000)
        text(root / f"{name}.txt", "今天天气很好\n")
    text(root / "subjects.csv", "subject,gender\nS01,female\nS02,male\n")
    return root


def _m2f_d(root: Path) -> Path:
    root = root / "M2F-D"
    for number, name in enumerate(("MEAD/M003/happy_level_3_001", "HDTF/RD_Radio1/000")):
        deca_npz(root / f"{name}.npz", curves(FRAMES, 56, number))
        wav(root / f"{name}.wav", 2.0)
        text(root / f"{name}.txt", "a man full of joy\n")
    return root


TREES = {
    "takes": Tree(
        _takes, ("anna_01", "anna_02", "ben/take"), "anna_01.csv", "anna_01.wav", "anna_01.txt", livelink, 61, 60
    ),
    "mmhead": Tree(
        _mmhead,
        MMHEAD,
        f"facial_motion/{MMHEAD[0]}.pkl",
        f"audio/{MMHEAD[0]}.wav",
        f"text_annotations/detail_expression/{MMHEAD[0]}.txt",
        mmhead_pickle,
        56,
        25,
    ),
    "beat": Tree(
        _beat,
        ("1_wayne_0_9_9", "1_wayne_1_1_1", "2_scott_0_65_65"),
        "1/1_wayne_0_9_9.json",
        "1/1_wayne_0_9_9.wav",
        "1/1_wayne_0_9_9.TextGrid",
        beat_json,
        51,
        60,
    ),
    "beat2": Tree(
        _beat2,
        ("2_scott_0_1_1", "2_scott_0_73_73", "4_lawrence_1_2_2"),
        "beat_english_v2.0.0/smplxflame_30/2_scott_0_1_1.npz",
        "beat_english_v2.0.0/wave16k/2_scott_0_1_1.wav",
        "beat_english_v2.0.0/textgrid/2_scott_0_1_1.TextGrid",
        beat2_npz,
        103,
        30,
    ),
    "mead": Tree(
        _mead,
        ("M003/front/angry/level_3/001", "M003/left_30/angry/level_3/001", "W009/front/neutral/level_1/001"),
        "M003/video/front/angry/level_3/001.npz",
        "M003/audio/angry/level_3/001.wav",
        "",
        deca_npz,
        56,
        25,
    ),
    "ravdess": Tree(
        _ravdess,
        ("01-02-03-01-01-02-01", "01-01-06-02-02-01-12"),
        "Actor_01/01-02-03-01-01-02-01",
        "Actor_01/03-02-03-01-01-02-01.wav",
        "",
        emoca_folder,
        56,
        25,
    ),
    "celebv-hq": Tree(
        _celebv_hq,
        ("M2Ohb0FAaJU_1", "_0tf2n3rlJU_0"),
        "flame/M2Ohb0FAaJU_1.npz",
        "flame/M2Ohb0FAaJU_1.wav",
        "celebvhq_info.json",
        deca_npz,
        56,
        25,
    ),
    "celebv-text": Tree(
        _celebv_text,
        ("oC9r-CTbToE_0_0", "oC9r-CTbToE_0_1"),
        "motion/oC9r-CTbToE_0_0.pkl",
        "motion/oC9r-CTbToE_0_0.wav",
        "action/oC9r-CTbToE_0_0.txt",
        mmhead_pickle,
        56,
        25,
    ),
    "multiface": Tree(
        _multiface,
        (
            "m--20180227--0000--6795937--GHS/E001_Neutral_Eyes_Open",
            "m--20180227--0000--6795937--GHS/SEN_a_good_morrow_to_you_my_boy/400002",
        ),
        "m--20180227--0000--6795937--GHS/images/SEN_a_good_morrow_to_you_my_boy/400002.npz",
        "m--20180227--0000--6795937--GHS/audio/SEN_a_good_morrow_to_you_my_boy.wav",
        "",
        deca_npz,
        56,
        25,
    ),
    "open3dfacevid": Tree(
        _open3dfacevid,
        ("prompt_1_3000/0000_happy_subtle", "prompt_1_3000/00223_closeeye"),
        "coeff/prompt_1_3000/0000_happy_subtle.pkl",
        "",
        "coeff/prompt_1_3000/0000_happy_subtle.txt",
        smirk_pickle,
        58,
        25,
    ),
    "tfhp": Tree(
        _tfhp,
        ("TH_00001/000", "TH_00001/001", "TH_00002/000"),
        "FLAME_coeffs/TH_00001/000.npz",
        "audio/TH_00001/000.flac",
        "train.txt",
        deca_npz,
        56,
        25,
    ),
    "facegood": Tree(_facegood, ("1114_2_01", "1114_2_02"), "1114_2_01.npz", "1114_2_01.wav", "", facegood_npz, 5, 30),
    "facegood train": Tree(
        _facegood_train,
        ("1114_2_01", "1114_3_15"),
        "bs_value/bs_value_1114_2_01.npy",
        "wav/1114_2_01.wav",
        "",
        facegood_npy,
        5,
        30,
    ),
    "3d-cavfa": Tree(
        _cavfa,
        ("S01/S01_0001", "S02/S02_0001"),
        "S01/S01_0001.csv",
        "S01/S01_0001.wav",
        "S01/S01_0001.txt",
        livelink,
        61,
        60,
    ),
    "m2f-d": Tree(
        _m2f_d,
        ("HDTF/RD_Radio1/000", "MEAD/M003/happy_level_3_001"),
        "HDTF/RD_Radio1/000.npz",
        "HDTF/RD_Radio1/000.wav",
        "HDTF/RD_Radio1/000.txt",
        deca_npz,
        56,
        25,
    ),
}
