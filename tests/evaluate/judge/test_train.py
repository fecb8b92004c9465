import json

import numpy as np
import pytest
import torch
from tiny_judge import TINY

from facelm.corpus import load_corpus
from facelm.errors import FacelmError
from facelm.evaluate.judge import TextJudge, batches
from facelm.evaluate.judge.batches import TextPairs, backwards, epoch_batch, mirrored, texts_to_read
from facelm.evaluate.judge.pairs import clips, content
from facelm.evaluate.judge.teach import teach_text
from facelm.evaluate.judge.train import JudgeTraining, contrast
from facelm.evaluate.judge.words import WordReader
from facelm.motion.layout import ARKIT

SHORT = JudgeTraining(max_steps=6, batch=16, save_every=3, eval_every=3)


def test_resumed_equals_uninterrupted(corpus, tmp_path, monkeypatch):
    whole = teach_text(TINY, SHORT, corpus, tmp_path / "whole", wordings=1, progress=False)
    batch = TextPairs.batch

    def killed(self, step, size):
        if step == 5:  # two updates after the checkpoint
            raise KeyboardInterrupt
        return batch(self, step, size)

    with monkeypatch.context() as patch:
        patch.setattr(TextPairs, "batch", killed)
        with pytest.raises(KeyboardInterrupt):
            teach_text(TINY, SHORT, corpus, tmp_path / "killed", wordings=1, progress=False)
    resumed = teach_text(TINY, SHORT, corpus, tmp_path / "killed", wordings=1, resume=True, progress=False)
    assert resumed.fingerprint == whole.fingerprint
    lines = [(tmp_path / f / "metrics.jsonl").read_text().splitlines() for f in ("whole", "killed")]
    a, b = ([{k: v for k, v in json.loads(x).items() if k != "seconds"} for x in part] for part in lines)
    assert a == b and {"step", "held_out", "among"} <= set(a[-1])
    other = JudgeTraining(max_steps=7, batch=16, save_every=3)
    with pytest.raises(FacelmError, match="another configuration or corpus"):
        teach_text(TINY, other, corpus, tmp_path / "killed", wordings=1, resume=True, progress=False)
    (tmp_path / "killed" / "checkpoint.safetensors").write_bytes(b"torn")
    with pytest.raises(FacelmError, match="damaged: start without resume"):
        teach_text(TINY, SHORT, corpus, tmp_path / "killed", wordings=1, resume=True, progress=False)
    with pytest.raises(FacelmError, match="does not exist: start without resume"):
        teach_text(TINY, SHORT, corpus, tmp_path / "new", wordings=1, resume=True, progress=False)


def test_another_seed_is_another_judge(corpus, tmp_path):
    one, again, other = (
        teach_text(TINY, JudgeTraining(max_steps=2, batch=8, seed=seed), corpus, tmp_path / name, 1, progress=False)
        for name, seed in (("one", 0), ("again", 0), ("other", 1))
    )
    assert one.fingerprint == again.fingerprint != other.fingerprint


def test_twins_are_no_negatives_of_each_other():
    one, other = (torch.nn.functional.normalize(torch.randn(4, 8), dim=1) for _ in range(2))
    other[1] = other[0]  # the second clip shows what the first does
    same = torch.eye(4, dtype=torch.bool)
    harsh = contrast(one, other, same, 0.1)
    same[0, 1] = same[1, 0] = True
    fair = contrast(one, other, same, 0.1)
    assert fair < harsh
    others = torch.tensor([0, 2, 3])
    rows = torch.nn.functional.cross_entropy(one[others] @ other[others].T / 0.1, torch.arange(3), reduction="none")
    twin = contrast(one[others], other[others], torch.eye(3, dtype=torch.bool), 0.1)
    assert torch.isfinite(rows).all() and torch.isfinite(twin)
    perfect = contrast(torch.eye(4), torch.eye(4), torch.eye(4, dtype=torch.bool), 0.01)
    assert perfect < 1e-6


def test_what_clips_show_is_the_plan_without_its_times():
    assert content("0.0-1.0 s nod, slight happy; 1.0-2.0 s neutral", "") == content(
        "0.0-0.4 s slight happy, nod; 0.4-3.0 s neutral", "She smiles."
    )
    assert content("0.0-1.0 s strong smile left", "") != content("0.0-1.0 s strong smile right", "")
    assert content("0.0-1.0 s neutral", "A man chews.") == content("", "a man  chews") != content("", "a man weeps")


def test_batches_are_mirrored_in_words_and_motion_alike(corpus):
    found = clips(load_corpus(corpus, "train"))
    texts = texts_to_read(found, 1, "arkit")
    reader = WordReader.of(texts)
    judge = TextJudge(TINY, reader.source)
    pairs = TextPairs(judge, found, 1, dict(zip(texts, reader.read(texts), strict=True)), seed=0)
    number = {word: index for index, word in enumerate(reader.source.words, 1)}
    left, right = (ARKIT.index(f"mouthSmile{side}") for side in ("Left", "Right"))
    told = {"left": 0, "right": 0}
    for step in range(8):
        values, words, same = pairs.batch(step, 64)
        assert same.diagonal().all() and (same == same.T).all()
        assert 32 < len(values) == len(words) <= 64
        for motion, text in zip(values, words, strict=True):
            said = [side for side in told if number[side] in text]
            peaks = motion[:, [left, right]].max(0)
            if len(said) == 1 and number["corner"] in text and abs(peaks[0] - peaks[1]) > 0.2:
                told[said[0]] += 1
                assert said[0] == ("left" if peaks[0] > peaks[1] else "right")
    assert min(told.values()) >= 1
    assert mirrored("Left brow, the right eye; bright") == "Right brow, the left eye; bright"
    again = pairs.batch(3, 64)
    np.testing.assert_array_equal(again[0][5], pairs.batch(3, 64)[0][5])


def test_opposites_stand_in_one_batch(corpus):
    found = [clip for clip in clips(load_corpus(corpus, "train")) if backwards(clip.plan)][:8]
    texts = texts_to_read(found, 1, "arkit")
    reader = WordReader.of(texts)
    judge = TextJudge(TINY, reader.source)
    pairs = TextPairs(judge, found, 1, dict(zip(texts, reader.read(texts), strict=True)), seed=0)
    values, _, same = pairs.batch(0, 16)
    assert len(values) == 16  # every clip and an opposite: its mirror image, or reversed in time
    permutation, sign = ARKIT.mirror()
    kinds = set()
    for index in range(0, 16, 2):
        clip, opposite = values[index], values[index + 1]
        assert not same[index, index + 1]
        if np.array_equal(opposite, clip[::-1]):
            kinds.add("reversed")
        elif np.array_equal(opposite, clip[:, permutation] * sign):
            kinds.add("mirrored")
        else:
            raise AssertionError("no opposite")
    assert "reversed" in kinds


def test_a_plan_backwards_ends_with_its_beginning():
    turned = backwards("0.0-1.0 s nod; 1.0-3.0 s slight smile left")
    assert turned is not None and turned.text() == "0.0-2.0 s slight smile left; 2.0-3.0 s nod"
    assert backwards("0.0-1.0 s nod; 1.0-2.0 s blink; 2.0-4.0 s nod") is None
    assert backwards("0.0-1.0 s nod") is backwards("") is None


def test_an_epoch_visits_every_clip_once():
    seen = np.concatenate([epoch_batch(step, 10, 35, 0) for step in range(3)])
    assert len(set(seen.tolist())) == 30
    assert not np.array_equal(epoch_batch(0, 10, 35, 0), epoch_batch(3, 10, 35, 0))
    assert sorted(epoch_batch(5, 50, 7, 0)) == list(range(7))


def test_trainings_that_cannot_be_are_refused(corpus, tmp_path):
    for field, value in (("max_steps", 0), ("temperature", -1.0), ("batch", 1), ("noise", -0.1)):
        with pytest.raises(FacelmError, match=field):
            JudgeTraining(**{field: value})
    with pytest.raises(FacelmError, match="trained on flame56 ones"):
        teach_text(type(TINY)(layout="flame56"), SHORT, corpus, tmp_path / "flame", progress=False)
    with pytest.raises(FacelmError, match="corpus"):
        teach_text(TINY, SHORT, tmp_path / "nowhere", tmp_path / "out", progress=False)
    assert not batches.can_mirror("flame56")
