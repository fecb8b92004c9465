"""Building corpora: kills lose nothing, jobs and order change nothing, sources mix, what is wrong is said."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from tiny_model import wave

from facelm.corpus import load_corpus, motion, synthesise
from facelm.corpus.build import BuildConfig, build
from facelm.corpus.heldout import held_out
from facelm.corpus.performer import CATEGORIES, invent, perform
from facelm.describe.plan import Plan
from facelm.errors import FacelmError, MissingFileError
from facelm.motion import FaceMotion


def performance(seed, seconds=0.0):
    """A performed clip, or several in a row that last about so many seconds."""
    rng = random.Random(seed)
    made = []
    while not made or sum(m.seconds for m in made) < seconds:
        plan = invent(rng, rng.choice(list(CATEGORIES)), held_out(), test=False)
        made.append(perform(plan, np.random.default_rng([seed, len(made)])))
    return FaceMotion.concatenate(made)


def fill(folder, count, seconds=4.0, first=0, sound=True):
    """A folder of takes with sound and, every other one, words."""
    folder.mkdir(parents=True)
    for index in range(first, first + count):
        take = performance(index, seconds)
        take.save(folder / f"take_{index:03d}.csv")
        if sound:
            noise = np.random.default_rng(index).normal(0, 0.05, round(take.seconds * 22_050))
            soundfile.write(folder / f"take_{index:03d}.wav", noise, 22_050)
        if index % 2:
            (folder / f"take_{index:03d}.txt").write_text(f"Take number {index}.\n")
    return folder


@pytest.fixture(scope="module")
def takes(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("takes") / "captures", 24)


@pytest.fixture(scope="module")
def built(takes, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "corpus"
    build([takes], out)
    return out


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def remarks(folder, kind):
    with open(folder / "skipped.csv", encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["kind"] == kind]


# ---------------------------------------------------------------- what comes out


def test_a_folder_of_takes_becomes_a_corpus(takes, built):
    rows = [row for split in ("train", "validation", "test") for row in _rows(built, split)]
    whole = {take: [row for row in rows if row["take"] == take] for take in {row["take"] for row in rows}}
    assert len(whole) == 24
    for take, clips in whole.items():
        recorded = FaceMotion.load(takes / f"{take}.csv").to("arkit")
        assert sum(motion(clip).seconds for clip in clips) == pytest.approx(recorded.seconds, abs=0.05)
        assert all(clip["dataset"] == "captures" and clip["weight"] == 1 and clip["audio"] for clip in clips)
    assert len({row["id"] for row in rows}) == len(rows)
    note = json.loads((built / "corpus.json").read_text())
    assert note["sources"][0]["takes"] == note["takes"] == 24 and note["arguments"]["clip_seconds"] == 8.0
    assert sum(note["clips"].values()) == len(rows) and note["remarks"] == {}


def _rows(folder, split):
    try:
        return list(load_corpus(folder, split))
    except MissingFileError:
        return []


def test_any_number_of_jobs_gives_the_same_bytes(takes, built, tmp_path):
    build([takes], tmp_path / "two", jobs=2)
    assert contents(tmp_path / "two") == contents(built)
    build([takes], tmp_path / "other", BuildConfig(seed=1))
    assert contents(tmp_path / "other") != contents(built)


def test_small_folders_are_for_training_unless_a_protocol_is_asked_for(tmp_path):
    fill(tmp_path / "few", 6, sound=False)
    assert build([tmp_path / "few"], tmp_path / "a").clips.keys() == {"train", "validation", "test"}
    assert not _rows(tmp_path / "a", "test") and len({row["take"] for row in _rows(tmp_path / "a", "train")}) == 6
    table = "take,subject\n" + "".join(f"take_{i:03d},person {i}\n" for i in range(6))
    (tmp_path / "few" / "labels.csv").write_text(table)
    build([tmp_path / "few"], tmp_path / "b", BuildConfig(protocol="identity"))
    people = {split: {row["subject"] for row in _rows(tmp_path / "b", split)} for split in ("train", "test")}
    assert people["test"] and not people["test"] & people["train"]
    build([tmp_path / "few"], tmp_path / "c", BuildConfig(protocol="compositional"))
    shown = [held_out().pairs_in(Plan.parse(row["plan"])) for row in _rows(tmp_path / "c", "train")]
    assert shown and not any(shown)


def test_takes_and_a_corpus_mix_with_weights(takes, tmp_path):
    synthesise(0.02, 0, tmp_path / "synth")
    report = build([takes, tmp_path / "synth"], tmp_path / "mixed", BuildConfig(weights={"captures": 3.0}))
    rows = load_corpus(tmp_path / "mixed", "train")
    weights = {dataset: weight for dataset, weight in zip(rows["dataset"], rows["weight"], strict=True)}
    assert weights == {"captures": 3.0, "synthesised": 1.0}
    assert {identity.split("/")[0] for identity in rows["id"]} == {"captures", "synth"}
    theirs = [row for row in rows if row["dataset"] == "synthesised"]
    original = load_corpus(tmp_path / "synth", "train")
    assert [row["plan"] for row in theirs] == original["plan"] and motion(theirs[5]) == motion(original[5])
    assert report.clips["test"] >= len(load_corpus(tmp_path / "synth", "test"))
    build([tmp_path / "mixed"], tmp_path / "again", BuildConfig(weights={"mixed": 2.0}))
    assert set(load_corpus(tmp_path / "again", "train")["weight"]) == {6.0, 2.0}


def test_copies_are_left_out_whatever_the_order(takes, tmp_path):
    copies = tmp_path / "copies"
    copies.mkdir()
    for index in range(4):
        FaceMotion.load(takes / f"take_{index:03d}.csv").resample(30).save(copies / f"copy_{index}.csv")
    for name, sources in (("a", [takes, copies]), ("b", [copies, takes])):
        report = build(sources, tmp_path / name)
        assert report.takes == 24 and report.remarks["duplicate"] == 4
        found = remarks(tmp_path / name, "duplicate")
        assert {row["take"] for row in found} == {f"copy_{index}" for index in range(4)}
        assert "copies/copy_0 is a near-duplicate of captures/take_000, which stays" in {row["reason"] for row in found}
    assert build([takes, copies], tmp_path / "c", BuildConfig(keep_duplicates=True)).takes == 28


# ---------------------------------------------------------------- killed and stopped


def start(takes, out, jobs):
    code = (
        "import sys; from facelm.corpus.build import build\n"
        f"if __name__ == '__main__': build([sys.argv[1]], sys.argv[2], jobs={jobs})"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(takes), str(out)], stderr=subprocess.DEVNULL)


def done(work):
    """How many chunks are done."""
    return len(list(work.glob("[0-9]*.json"))) if work.exists() else 0


def test_killed_at_five_random_moments_it_ends_with_the_same_bytes(takes, built, tmp_path):
    """Each kill falls after at least one more chunk is done, so that five of them cover the build."""
    rng = random.Random(int(time.time()))
    work = tmp_path / ".corpus.unfinished"
    kills = 0
    while kills < 5 and not (tmp_path / "corpus").exists():
        before = done(work)
        running = start(takes, tmp_path / "corpus", jobs=rng.choice((1, 2)))
        while running.poll() is None and done(work) == before:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))
        kills += running.poll() is None
        running.kill()
        running.wait()
    assert kills == 5
    report = build([takes], tmp_path / "corpus")
    assert contents(tmp_path / "corpus") == contents(built) and report.takes == 24
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus"]


@pytest.mark.parametrize("moment", ["write_chunk", "_assemble", "finish", "after"])
def test_killed_between_any_two_steps_it_goes_on(takes, built, tmp_path, monkeypatch, moment):
    """Stops where a kill would hurt most: with chunks half done, shards half written, the corpus half in its place."""
    from facelm.corpus import build as module
    from facelm.corpus.unfinished import Unfinished

    class Kill(BaseException):
        pass

    def dies(*args, **kwargs):
        if moment == "write_chunk" and args[1] < 7:
            return original(*args, **kwargs)
        if moment == "after":
            os.replace(args[0].folder / "corpus", args[0].out)
        raise Kill

    where = Unfinished if moment in ("finish", "after") else module
    name = {"after": "finish", "_assemble": "save_note"}.get(moment, moment)
    original = getattr(where, name)
    monkeypatch.setattr(where, name, dies)
    with pytest.raises(Kill):
        build([takes], tmp_path / "corpus")
    monkeypatch.undo()
    assert (tmp_path / ".corpus.unfinished").exists()
    build([takes], tmp_path / "corpus")
    assert contents(tmp_path / "corpus") == contents(built)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus"]


def test_workers_end_with_a_killed_parent(takes, tmp_path):
    running = start(takes, tmp_path / "corpus", jobs=2)
    work = tmp_path / ".corpus.unfinished"
    while running.poll() is None and not done(work):
        time.sleep(0.005)
    children = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _parent(pid) == running.pid]
    running.kill()
    running.wait()
    for _ in range(200):
        if not any(os.path.exists(f"/proc/{pid}") for pid in children):
            break
        time.sleep(0.02)
    assert children and not any(os.path.exists(f"/proc/{pid}") for pid in children)


def _parent(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def test_ctrl_c_says_how_to_go_on(takes, built, tmp_path):
    command = [sys.executable, "-m", "facelm", "corpus", "build", str(takes), "--out", str(tmp_path / "corpus")]
    running = subprocess.Popen([*command, "--jobs", "2"], stderr=subprocess.PIPE, text=True, start_new_session=True)
    work = tmp_path / ".corpus.unfinished"
    while running.poll() is None and not done(work):
        time.sleep(0.005)
    os.killpg(running.pid, signal.SIGINT)
    stderr = running.communicate(timeout=60)[1]
    assert running.returncode == 130 and "the same command goes on from there" in stderr and "Traceback" not in stderr
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0 and "24 takes" in finished.stdout
    assert contents(tmp_path / "corpus") == contents(built)


def test_a_finished_build_is_not_done_again_and_others_are_refused(takes, built, tmp_path):
    shutil.copytree(built, tmp_path / "corpus")
    before = (tmp_path / "corpus/corpus.json").stat().st_mtime_ns
    assert build([takes], tmp_path / "corpus").takes == 24
    assert (tmp_path / "corpus/corpus.json").stat().st_mtime_ns == before
    with pytest.raises(FacelmError, match="is not empty"):
        build([takes], tmp_path / "corpus", BuildConfig(seed=4))


def test_an_unfinished_build_with_other_arguments_is_refused_or_thrown_away(takes, tmp_path, monkeypatch):
    monkeypatch.setattr("facelm.corpus.build._assemble", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build([takes], tmp_path / "corpus")
    monkeypatch.undo()
    with pytest.raises(FacelmError, match="unfinished build whose arguments differ from these; .*--fresh"):
        build([takes], tmp_path / "corpus", BuildConfig(seed=4))
    build([takes], tmp_path / "corpus", BuildConfig(seed=4), fresh=True)
    assert json.loads((tmp_path / "corpus/corpus.json").read_text())["arguments"]["seed"] == 4


def test_two_builds_of_one_corpus_do_not_get_into_each_others_way(takes, tmp_path):
    from facelm.corpus.unfinished import Unfinished

    with Unfinished(tmp_path / "corpus", {"arguments": {}}):
        with pytest.raises(FacelmError, match="another process builds .*corpus; wait for it"):
            build([takes], tmp_path / "corpus")
    assert list(tmp_path.iterdir()) == []  # nothing was done, so nothing is left


def test_sources_that_changed_meanwhile_are_noticed(tmp_path, monkeypatch):
    folder = fill(tmp_path / "captures", 3)
    monkeypatch.setattr("facelm.corpus.build._assemble", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build([folder], tmp_path / "corpus")
    monkeypatch.undo()
    performance(99, 4.0).save(folder / "take_000.csv")
    with pytest.raises(FacelmError, match="whose sources differ"):
        build([folder], tmp_path / "corpus")


# ---------------------------------------------------------------- what is wrong


def test_unreadable_takes_are_skipped_and_told_or_stop_the_build(tmp_path):
    folder = fill(tmp_path / "captures", 2)
    (folder / "broken.csv").write_text("Timecode,BlendShapeCount,EyeBlinkLeft\n1,2,3\n")
    (folder / "empty.npz").write_bytes(b"")
    wave(0.2).save(folder / "short.npz")
    (folder / "silent.wav").write_bytes(b"RIFF")
    wave(3.0).save(folder / "silent.npz")
    report = build([folder], tmp_path / "corpus", jobs=2)
    skipped = {row["take"]: row["reason"] for row in remarks(tmp_path / "corpus", "skipped")}
    assert set(skipped) == {"broken", "empty", "short", "silent"} and report.remarks["skipped"] == 4
    assert "short.npz holds less than 0.5 s" in skipped["short"] and "silent.wav" in skipped["silent"]
    assert "4 could not be read" in str(report) and report.takes == 2
    with pytest.raises(FacelmError, match="broken.csv"):
        build([folder], tmp_path / "other", BuildConfig(on_error="stop"), jobs=2)
    shutil.rmtree(tmp_path / "captures")
    (tmp_path / "captures").mkdir()
    (tmp_path / "captures" / "broken.csv").write_text("Timecode,BlendShapeCount,EyeBlinkLeft\n1,2,3\n")
    with pytest.raises(FacelmError, match="no take could be read; the first of 1 reasons: .*broken.csv"):
        build([tmp_path / "captures"], tmp_path / "third")


def test_wrong_requests_are_named(takes, tmp_path):
    synthesise(0.01, 0, tmp_path / "synth")
    for words, sources, config in (
        ("there is no folder", [tmp_path / "absent"], BuildConfig()),
        ("named twice", [takes, takes], BuildConfig()),
        (
            "--weight other: there is no such source; the sources are captures",
            [takes],
            BuildConfig(weights={"other": 2}),
        ),
        ("--weight captures=-1", [takes], BuildConfig(weights={"captures": -1})),
        ("unknown data set", [takes], BuildConfig(reader="nonsense")),
        ("unknown protocol", [takes], BuildConfig(protocol="nonsense")),
        ("at least one source", [], BuildConfig()),
    ):
        with pytest.raises(FacelmError, match=words):
            build(sources, tmp_path / "out", config)
    with pytest.raises(FacelmError, match="clips last from 2 to 600 s"):
        BuildConfig(clip_seconds=1)
    rows = pq.read_table(tmp_path / "synth" / "train-00000.parquet")
    rows = rows.set_column(rows.column_names.index("seconds"), "seconds", pa.array(["long"] * len(rows)))
    pq.write_table(rows, tmp_path / "synth" / "train-00000.parquet")
    with pytest.raises(FacelmError, match="synth, train rows 0 to .* make that corpus anew"):
        build([tmp_path / "synth"], tmp_path / "out")
    (tmp_path / "synth" / "train-00000.parquet").write_bytes(b"nonsense")
    with pytest.raises(FacelmError, match="not a readable Parquet"):
        build([tmp_path / "synth"], tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["synth"]
