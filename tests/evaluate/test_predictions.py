"""Folders of predictions: anybody's model takes part, and what is missing or wrong is told."""

import json

import numpy as np
import pytest

from facelm.errors import FacelmError
from facelm.evaluate.clips import Clip
from facelm.evaluate.predictions import file_name, read_predictions, write_template
from facelm.motion import FaceMotion


def moving(seed, frames=50, fps=25, layout="arkit"):
    values = np.abs(np.random.default_rng(seed).normal(0, 0.1, (frames, 55))).clip(0, 1)
    return FaceMotion(values, fps, "arkit").to(layout)


@pytest.fixture
def clips():
    return [
        Clip(name, "x", moving(i), None, f"Do {i}.", ("It moves.",), (("Why?", "So."),), audio=b"sound" if i else None)
        for i, name in enumerate(["plain", "from/elsewhere 1", "with.dot"])
    ]


def fill(folder, clips, **replaced):
    folder.mkdir()
    for clip in clips:
        replaced.get(clip.id, clip.motion).save(folder / f"{file_name(clip.id)}.npz")


def test_the_template_says_what_to_make_and_the_answers_are_found(clips, tmp_path):
    path = write_template(clips, tmp_path / "asked")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["id"] for line in lines] == [clip.id for clip in clips]
    assert lines[0]["prompt"] == "Do 0." and lines[0]["seconds"] == 2 and "audio" not in lines[0]
    assert (tmp_path / "asked" / lines[1]["audio"]).read_bytes() == b"sound"
    answers = tmp_path / "answers"
    answers.mkdir()
    for line, clip in zip(lines, clips, strict=True):
        clip.motion.save(answers / f"{line['file']}.npz")
        (answers / f"{line['file']}.txt").write_text(f"Caption of {line['id']}\n")
    (answers / "answers.jsonl").write_text(
        "\n".join(json.dumps({"id": c.id, "question": "Why?", "answer": "Because."}) for c in clips)
    )
    found = read_predictions(answers, clips, {"motions", "captions", "answers"})
    assert found.motions == [clip.motion for clip in clips] and not found.notes
    assert found.captions == [f"Caption of {clip.id}" for clip in clips]
    assert found.answers == [("Because.",)] * 3


def test_other_formats_rates_layouts_and_lengths_are_taken_and_told(clips, tmp_path):
    fill(tmp_path / "f", clips, plain=moving(0, 100, 50), **{"with.dot": moving(2, 30)})
    (tmp_path / "f" / "from_elsewhere_1.npz").unlink()
    moving(1, 50, 25, "livelink").save(tmp_path / "f" / "from_elsewhere_1.csv.gz")
    found = read_predictions(tmp_path / "f", clips, {"motions"})
    notes = " ".join(found.notes)
    assert "1 of 3 predicted motions have another rate" in notes
    assert "of the layout livelink were converted" in notes
    assert "1 of 3 predicted motions differ in length" in notes


def test_captions_may_come_in_one_file(clips, tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()
    lines = [json.dumps({"id": clip.id, "caption": "It nods."}) for clip in clips]
    (folder / "captions.jsonl").write_text("\n".join(lines) + "\n\n")
    assert read_predictions(folder, clips, {"captions"}).captions == ["It nods."] * 3
    (folder / "captions.jsonl").write_text(lines[0] + "\nnonsense\n")
    with pytest.raises(FacelmError, match=r"captions.jsonl, line 2: no JSON object with id, caption"):
        read_predictions(folder, clips, {"captions"})
    (folder / "captions.jsonl").write_text(json.dumps({"id": "plain", "caption": 3}))
    with pytest.raises(FacelmError, match="line 1: id, caption should be text"):
        read_predictions(folder, clips, {"captions"})


def test_what_is_missing_is_refused_or_left_out(clips, tmp_path):
    fill(tmp_path / "f", clips[:1])
    with pytest.raises(FacelmError, match=r"lacks motions for 2 of 3 clips, the first is from/elsewhere 1.*from_elsew"):
        read_predictions(tmp_path / "f", clips, {"motions"})
    found = read_predictions(tmp_path / "f", clips, {"motions"}, "skip")
    assert [m is None for m in found.motions] == [False, True, True]
    with pytest.raises(FacelmError, match="captions for 3 of 3 clips"):
        read_predictions(tmp_path / "f", clips, {"captions"})
    assert read_predictions(tmp_path / "f", clips, {"answers"}, "skip").answers == [None] * 3
    with pytest.raises(FacelmError, match="there is no folder"):
        read_predictions(tmp_path / "absent", clips, {"motions"})


def test_a_prediction_that_is_not_finite_names_its_file(clips, tmp_path):
    fill(tmp_path / "f", clips)
    broken = clips[0].motion.values.copy()
    broken[3, 4] = np.nan
    header = ",".join(clips[0].motion.layout.names)
    path = tmp_path / "f" / "plain.csv"
    (tmp_path / "f" / "plain.npz").unlink()
    np.savetxt(path, broken, delimiter=",", header=header, comments="")
    with pytest.raises(FacelmError, match=r"plain\.csv.*--missing skip"):
        read_predictions(tmp_path / "f", clips, {"motions"})
    found = read_predictions(tmp_path / "f", clips, {"motions"}, "skip")
    assert found.motions[0] is None and "1 predicted motions cannot be read; the first:" in found.notes[0]


def test_two_files_for_one_clip_are_refused(clips, tmp_path):
    fill(tmp_path / "f", clips)
    clips[0].motion.save(tmp_path / "f" / "plain.csv")
    with pytest.raises(FacelmError, match="predictions for one clip; keep one"):
        read_predictions(tmp_path / "f", clips, {"motions"})


def test_a_prediction_of_a_rig_without_a_map_is_refused(clips, tmp_path):
    fill(tmp_path / "f", clips, plain=FaceMotion(np.zeros((50, 56)), 25, "flame56"))
    with pytest.raises(FacelmError, match=r"plain\.npz.*map"):
        read_predictions(tmp_path / "f", clips, {"motions"})


def test_captions_that_are_no_text_are_refused(clips, tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "plain.txt").write_bytes(b"\xff\xfe\x00broken\xff")
    with pytest.raises(FacelmError, match="UTF-8"):
        read_predictions(folder, clips, {"captions"})
