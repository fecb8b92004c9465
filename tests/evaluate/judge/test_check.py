import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facelm.evaluate.judge import Judge, TextJudge
from facelm.evaluate.judge.check import compare, real_texts, table, talk_changes, text_changes
from facelm.evaluate.judge.pairs import Talk
from facelm.motion import FaceMotion
from facelm.motion.layout import ARKIT, HEAD

ROOT = Path(__file__).resolve().parents[3]


class Oracle:
    """A judge that sees the first frame and nothing else."""

    def embed_motions(self, motions):
        return np.stack([motion.values[0] for motion in motions]).astype(np.float32)


def still(values: np.ndarray) -> FaceMotion:
    return FaceMotion(np.repeat(values[None], 3, 0), 25)


def test_a_comparison_is_what_one_counts_by_hand():
    rows = np.eye(55, dtype=np.float32)[:40]
    motions = [still(row) for row in rows]
    nothing = still(np.zeros(55))
    changed = {
        "to nothing": [nothing if index < 10 else None for index in range(40)],
        "unchanged": list(motions),
        "none": [None] * 40,
    }
    found = {row.name: row for row in compare(Oracle(), rows, motions, changed)}
    assert list(found) == ["to nothing", "unchanged", "another clip"]
    spoilt = found["to nothing"]
    # The real one is at 0, nothing is at 1, every other clip at the root of 2.
    assert (spoilt.n, spoilt.found, spoilt.spoilt_found, spoilt.distance, spoilt.preferred) == (10, 1, 1, 0, 1)
    assert spoilt.spoilt_distance == pytest.approx(1)
    same = found["unchanged"]
    assert (same.n, same.spoilt_found, same.spoilt_distance, same.preferred) == (40, 1, 0, 0)
    other = found["another clip"]
    assert (other.spoilt_found, other.preferred) == (0, 1) and other.spoilt_distance == pytest.approx(2**0.5)
    assert re.search(r"to nothing +10 +1\.000 +1\.000 +0\.000 +1\.000 +100%", table(list(found.values())))


def test_each_change_concerns_the_clips_it_changes(unseen):
    changes = text_changes(unseen)
    for index, clip in enumerate(unseen):
        made = {name: motions[index] for name, motions in changes.items()}
        assert made["performed again"] is not None
        assert (made["sides swapped"] is not None) == bool(re.search(r"\b(left|right)\b", clip.plan))
        if made["no head"] is not None:
            assert np.abs(made["no head"].values[:, ARKIT.indices(HEAD)]).max() == 0
            assert re.search(r"nod|shake|head", clip.plan)
        if ";" not in clip.plan:
            assert made["time reversed"] is None
    assert all(sum(motion is not None for motion in motions) >= 5 for motions in changes.values())
    again = text_changes(unseen)["another emotion"]
    assert all(a == b for a, b in zip(again, changes["another emotion"], strict=True))


def test_late_motion_is_late():
    values = np.random.default_rng(0).random((50, 55)).astype(np.float32)
    talk = Talk("one", FaceMotion(values, 25), np.zeros(32000, np.float32))
    late = talk_changes([talk])["80 ms late"][0]
    assert late is not None and len(late) == 50
    np.testing.assert_array_equal(late.values[2:], values[:-2])
    np.testing.assert_array_equal(late.values[:2], values[[0, 0]])


def test_even_a_tiny_judge_notices_the_wrong_clip_most(trained, unseen):
    judge = Judge.from_pretrained(trained)
    assert isinstance(judge, TextJudge)
    texts = judge.embed_texts([clip.captions[0] for clip in unseen])
    rows = {row.name: row for row in compare(judge, texts, [c.motion for c in unseen], text_changes(unseen))}
    wrong, again = rows["another clip"], rows["performed again"]
    assert wrong.preferred > 0.85 and wrong.spoilt_found < 0.1
    assert again.spoilt_distance - again.distance < 0.25 * (wrong.spoilt_distance - wrong.distance)
    for name in ("another emotion", "sides swapped"):
        assert rows[name].spoilt_distance > rows[name].distance and rows[name].spoilt_found < rows[name].found
    names = [score.name for score in real_texts(judge, unseen)]
    assert names[:4] == ["prompts R@1", "prompts R@2", "prompts R@3", "prompts, twins right, R@1"]
    assert all(score.known for score in real_texts(judge, unseen))


def launch(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "recipes" / "judge.py"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_recipe_trains_and_says_what_came_of_it(corpus, tmp_path):
    done = launch("--config", "recipes/debug/judge.yaml", "--corpus", str(corpus), "--out", str(tmp_path / "judge"),
                  "--max_steps", "3", "--progress", "false")  # fmt: skip
    assert done.returncode == 0, done.stderr
    judge = Judge.from_pretrained(tmp_path / "judge")
    assert f"fingerprint {judge.fingerprint}" in done.stdout
    assert "prompts Text-Match" in done.stdout and "another clip" in done.stdout
    for wrong, said in (
        (["--kind", "smell"], "facelm: kind is 'smell': give text or audio\n"),
        (["--kind", "audio", "--corpus", str(corpus)], "facelm: no clip of the corpus has sound"),
        (["--max_steps", "many"], "facelm: max_steps is 'many': give a value of type int\n"),
    ):
        failed = launch(*wrong)
        assert failed.returncode == 2 and failed.stderr.startswith(said)


@pytest.mark.slow
def test_real_speech_finds_its_face(shared, tmp_path):
    from facelm.corpus.build import build

    build([shared / "data" / "speech_zh"], tmp_path / "talking")
    done = launch("--config", "recipes/nano/audio_judge.yaml", "--corpus", str(tmp_path / "talking"), "--out",
                  str(tmp_path / "judge"), "--progress", "false")  # fmt: skip
    found = re.search(r"audio R@1 (\.?\d\S*)", done.stdout)
    assert found and float(found[1]) >= 0.85, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*/*judge*.yaml")), ids=lambda path: path.stem)
def test_every_config_is_read(path):
    from facelm.evaluate.judge import AudioJudgeConfig, TextJudgeConfig
    from facelm.evaluate.judge.train import JudgeTraining
    from facelm.fields import parse_fields

    spec = importlib.util.spec_from_file_location("judge_recipe", ROOT / "recipes" / "judge.py")
    assert spec is not None and spec.loader is not None
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    arguments = ["--config", str(path)]
    kinds = {"text": (recipe.Text, TextJudgeConfig), "audio": (recipe.Audio, AudioJudgeConfig)}
    run, config, training = parse_fields("", arguments, *kinds[recipe.kind_of(arguments)], JudgeTraining)
    assert run.out.startswith("outputs/") and training.max_steps > 0 and config.layout == "arkit"
