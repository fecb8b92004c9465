"""The synthesised corpus: same seed, same bytes; held-out pairs stay out; its files are checked."""

import json
from pathlib import Path

import numpy as np
import pytest

from facelm.corpus import load_corpus, motion, synthesise
from facelm.corpus.heldout import draw, held_out, universe
from facelm.corpus.performer import FPS, STEP
from facelm.describe.facts import plan_facts
from facelm.describe.plan import Plan
from facelm.errors import FacelmError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("corpus") / "small"
    synthesise(0.6, 7, out)
    return out


def test_same_seed_same_bytes_with_any_number_of_workers(corpus: Path, tmp_path: Path) -> None:
    synthesise(0.6, 7, tmp_path / "again", workers=2)
    synthesise(0.6, 8, tmp_path / "other")
    for split in ("train", "validation", "test"):
        once = (corpus / f"{split}-00000.parquet").read_bytes()
        assert once == (tmp_path / "again" / f"{split}-00000.parquet").read_bytes()
        assert once != (tmp_path / "other" / f"{split}-00000.parquet").read_bytes()


def test_the_committed_list_is_the_drawn_one_and_large_enough() -> None:
    drawn = draw()
    assert {kind: frozenset(map(tuple, pairs)) for kind, pairs in drawn.items()} == vars(held_out())
    for kind, pairs in universe().items():
        assert len(drawn[kind]) >= 0.25 * len(pairs)
        left = set(pairs) - set(drawn[kind])
        assert {a for a, _ in left} == {a for a, _ in pairs}
        assert {b for _, b in left} == {b for _, b in pairs}


def test_training_never_shows_a_held_out_pair_and_every_test_clip_does(corpus: Path) -> None:
    for split in ("train", "validation"):
        assert not any(held_out().pairs_in(Plan.parse(plan)) for plan in load_corpus(corpus, split)["plan"])
    assert all(held_out().pairs_in(Plan.parse(plan)) for plan in load_corpus(corpus, "test")["plan"])


def test_training_shows_every_atom(tmp_path: Path) -> None:
    synthesise(3, 0, tmp_path / "c", workers=2)
    shown = set()
    for plan in load_corpus(tmp_path / "c", "train")["plan"]:
        for phase in Plan.parse(plan).phases:
            shown |= {(item.kind, item.name) for item in phase.items}
            shown |= {("side", item.side) for item in phase.items if item.kind == "unit"}
    pairs = universe()
    wanted = {("emotion", emotion) for emotion, _ in pairs["emotion_head"]}
    wanted |= {("unit", unit) for unit, _ in pairs["unit_side"]} | {("side", side) for _, side in pairs["unit_side"]}
    wanted |= {("head", head.split()[0]) for _, head in pairs["emotion_head"]}
    assert wanted <= shown


def test_rows_hold_what_they_say(corpus: Path) -> None:
    for row in load_corpus(corpus, "train").select(range(40)):
        clip, plan = motion(row), Plan.parse(row["plan"])
        assert clip.fps == FPS and clip.layout.name == "arkit" and len(clip) % STEP == 0
        assert clip.seconds == pytest.approx(row["seconds"], abs=1e-5)
        assert plan.seconds == pytest.approx(clip.seconds, abs=0.051)
        assert round(plan.seconds * FPS / STEP) * STEP == len(clip)
        assert np.isfinite(clip.values).all() and clip.values[:, :52].min() >= 0 and clip.values[:, :52].max() <= 1
        assert len(row["facts"]) == sum(len(phase.items) for phase in plan.phases)
        assert len(plan_facts(plan)) == len(plan.phases)
        assert len(row["prompts"]) == len(row["captions"]) == 4 and row["questions"]


def test_clips_start_at_rest_and_move_like_faces(corpus: Path) -> None:
    speeds = []
    for row in load_corpus(corpus, "train").select(range(60)):
        values = motion(row).values
        assert np.abs(values[0, :52]).max() < 0.2
        speeds.append(np.abs(np.diff(values[:, 14:52], axis=0)).max() * FPS)
    assert max(speeds) < 10  # the fastest mouth and brow movement of the captures: about 10 a second


def test_wrong_requests_are_named(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(FacelmError, match="--hours"):
        synthesise(0, 0, tmp_path / "x")
    with pytest.raises(FacelmError, match="not empty"):
        synthesise(0.1, 0, corpus)
    with pytest.raises(FacelmError, match="train-00000.parquet is missing"):
        load_corpus(tmp_path, "train")
    with pytest.raises(FacelmError, match="unknown split"):
        load_corpus(corpus, "dev")
    (tmp_path / "train.parquet").write_bytes(b"nonsense")
    with pytest.raises(FacelmError, match="not a readable Parquet"):
        load_corpus(tmp_path, "train")
    row = dict(load_corpus(corpus, "test")[0])
    row["values"] = [[float("nan")] * 55]
    with pytest.raises(FacelmError, match=row["id"]):
        motion(row)


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("facelm.corpus.synth.perform", stop)
    with pytest.raises(KeyboardInterrupt):
        synthesise(0.1, 0, tmp_path / "c")
    assert not (tmp_path / "c").exists()
    assert list(tmp_path.iterdir()) == []


def test_the_note_says_how_it_was_made(corpus: Path) -> None:
    note = json.loads((corpus / "corpus.json").read_text())
    assert note["seed"] == 7 and 0.4 < note["hours"] < 0.8
