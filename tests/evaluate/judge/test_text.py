import json
import shutil

import numpy as np
import pytest
import torch
from tiny_judge import TINY

from facelm.errors import FacelmError
from facelm.evaluate.embeddings import r_precision
from facelm.evaluate.judge import Judge, TextJudge
from facelm.evaluate.judge.words import WordReader
from facelm.motion import FaceMotion


@pytest.fixture(scope="module")
def judge(trained) -> TextJudge:
    found = Judge.from_pretrained(trained)
    assert isinstance(found, TextJudge)
    return found


def test_a_tiny_judge_finds_clips_it_never_saw_far_more_often_than_chance(judge, unseen):
    texts = judge.embed_texts([clip.prompts[0] for clip in unseen])
    motions = judge.embed_motions([clip.motion for clip in unseen])
    assert texts.shape == motions.shape == (64, 32) and texts.dtype == motions.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(motions, axis=1), 1, atol=1e-5)
    first, _, third = r_precision(texts, motions)
    assert first.value > 10 / 32 and third.value > 20 / 32


def test_what_is_saved_is_what_is_loaded(judge, unseen, tmp_path):
    judge.save_pretrained(tmp_path / "again")
    again = Judge.from_pretrained(tmp_path / "again")
    assert again.fingerprint == judge.fingerprint and again.corpus == judge.corpus != ""
    assert again.kind == "text" and again.layout == "arkit"
    motions = [clip.motion for clip in unseen]
    np.testing.assert_array_equal(again.embed_motions(motions), judge.embed_motions(motions))
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == ["config.json", "model.safetensors"]


def test_neither_neighbours_nor_order_nor_padding_change_an_embedding(judge, unseen):
    motions = sorted((clip.motion for clip in unseen), key=len)
    together = judge.embed_motions(motions)
    np.testing.assert_allclose(judge.embed_motions(motions[::-1])[::-1], together, atol=1e-5)
    np.testing.assert_allclose(judge.embed_motions(motions[:1]), together[:1], atol=1e-5)
    texts = sorted((clip.captions[0] for clip in unseen), key=len)
    np.testing.assert_allclose(judge.embed_texts(texts)[:1], judge.embed_texts(texts[:1]), atol=1e-5)
    values, mask = judge.pad([judge.prepare(motion) for motion in (motions[0], motions[-1])])
    assert not mask.all()
    spoilt = torch.where(mask.repeat_interleave(judge.config.patch, 1)[..., None], values, torch.tensor(7.0))
    with torch.inference_mode():
        torch.testing.assert_close(judge.motion_side(spoilt, mask), judge.motion_side(values, mask))


def test_the_rate_hardly_matters_and_the_end_of_long_motions_not_at_all(judge, unseen):
    motion = max((clip.motion for clip in unseen), key=len)
    one, other = judge.embed_motions([motion, motion.resample(60)])
    assert np.linalg.norm(one - other) < 0.2
    long = FaceMotion.concatenate([motion] * 20)
    with pytest.warns(UserWarning, match="1 of 2 motions are longer than 10 s"):
        found = judge.embed_motions([long, long.crop(0, 10)])
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_what_cannot_be_judged_is_refused_in_one_sentence(judge):
    flame = FaceMotion(np.zeros((30, 56), np.float32), 25, "flame56")
    arkit = FaceMotion(np.zeros((30, 55), np.float32), 25)
    with pytest.raises(FacelmError, match=r"motion 1 is a flame56 motion, .* trained on arkit ones; convert it"):
        judge.embed_motions([arkit, flame])
    with pytest.raises(FacelmError, match="nothing to embed"):
        judge.embed_motions([])
    with pytest.raises(FacelmError, match="a list of texts"):
        judge.embed_texts("smile")


def test_texts_of_no_known_word_are_near_nothing_in_particular(judge, unseen):
    embedded = judge.embed_texts(["", "微笑", "Smile."])
    assert np.isfinite(embedded).all()
    np.testing.assert_allclose(embedded[0], embedded[1], atol=1e-6)
    assert np.linalg.norm(embedded[0] - embedded[2]) > 0.1


def test_damaged_folders_end_in_one_sentence(trained, tmp_path):
    def copy(name):
        return shutil.copytree(trained, tmp_path / name)

    with pytest.raises(FacelmError, match="has no config.json; give a judge's folder"):
        Judge.from_pretrained(tmp_path)
    folder = copy("no json")
    (folder / "config.json").write_text("{")
    with pytest.raises(FacelmError, match="is no judge's config"):
        Judge.from_pretrained(folder)
    folder = copy("cut")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:2000])
    with pytest.raises(FacelmError, match="model.safetensors is damaged"):
        Judge.from_pretrained(folder)
    for name, change, said in (
        ("version", {"version": 9}, "train it anew"),
        ("kind", {"kind": "smell"}, "config.json is damaged"),
        ("corpus", {"corpus": "another"}, "do not belong together"),
        ("sizes", {"config": {"width": 64}}, "damaged or not of its config"),
        ("key", {"config": {"breadth": 64}}, "config.json is damaged"),
    ):
        folder = copy(name)
        about = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(about | change))
        with pytest.raises(FacelmError, match=said):
            Judge.from_pretrained(folder)


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(FacelmError, match="width = 0 must be positive"):
        type(TINY)(width=0)
    with pytest.raises(FacelmError, match="multiple of twice the 4 heads"):
        type(TINY)(width=36)
    with pytest.raises(FacelmError, match="unknown layout"):
        type(TINY)(layout="arkat")


def test_still_motions_and_single_frames_have_embeddings():
    judge = TextJudge(TINY, WordReader(["smile"]).source)
    still = FaceMotion(np.zeros((1, 55), np.float32), 25)
    assert np.isfinite(judge.embed_motions([still, FaceMotion(np.zeros((250, 55), np.float32), 25)])).all()
