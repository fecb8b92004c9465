import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from facelm.errors import FacelmError
from facelm.motion import layout
from facelm.rig import load_rig
from facelm.tokenizer import MotionTokenizer, TokenizerConfig, face_streams
from facelm.tokenizer.objective import losses, reconstruction_scores, vertex_basis
from facelm.tokenizer.start import Clips, initialise
from facelm.tokenizer.train import TokenizerTraining, train

ROOT = Path(__file__).resolve().parents[2]
ARKIT = layout("arkit")
CONFIG = TokenizerConfig(streams=face_streams(24, 16, 16, 16), width=8)
TINY = {"batch": 6, "crop": 4, "save_every": 3, "eval_every": 3}


def performances(count: int, seed: int = 0) -> list[np.ndarray]:
    """Single units, which rise, hold and fall, of 5 to 70 frames."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        frames = int(rng.integers(5, 70))
        values = np.zeros((frames, 55), np.float32)
        for channel in rng.choice(55, 3, replace=False):
            values[:, channel] = 0.8 * np.sin(np.linspace(0, np.pi, frames)) * (0.3 if channel >= 52 else 1)
        out.append(values)
    return out


def run(folder: Path, resume: bool = False, **changes) -> MotionTokenizer:
    training = TokenizerTraining(**TINY | {"max_steps": 6} | changes)
    return train(CONFIG, training, performances(30), performances(4, 1), folder, Accelerator(cpu=True), resume, False)


def test_resumed_equals_uninterrupted(tmp_path, monkeypatch):
    whole = run(tmp_path / "whole")

    from facelm.tokenizer import train as module

    batch, drawn = Clips.batch, []

    def killed(self, rng, *sizes):
        drawn.append(1)
        if len(drawn) > 6:  # one batch to start from, five updates: two after the checkpoint
            raise KeyboardInterrupt
        return batch(self, rng, *sizes)

    with monkeypatch.context() as m:
        m.setattr(module.Clips, "batch", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "killed")
    resumed = run(tmp_path / "killed", resume=True)
    assert resumed.fingerprint == whole.fingerprint
    lines = [(tmp_path / f / "metrics.jsonl").read_text().splitlines() for f in ("whole", "killed")]
    a, b = ([{k: v for k, v in json.loads(x).items() if k != "seconds"} for x in part] for part in lines)
    assert a == b
    assert {"lve_mm", "fve_mm", "usage_left", "perplexity_head"} <= set(a[-1])


def test_training_improves_on_its_start_and_keeps_rest(tmp_path):
    clips, basis = Clips(performances(30), ARKIT, 4), vertex_basis(load_rig(), ARKIT)
    values, mask = clips.batch(np.random.default_rng(7), 64, 8)
    start = run(tmp_path / "start", max_steps=1, learning_rate=1e-9)
    trained = run(tmp_path / "trained", max_steps=60, save_every=100, eval_every=100, batch=16, crop=8)
    before, after = (sum(losses(m, values, mask, torch.ones(55), basis).values()).item() for m in (start, trained))
    assert after < 0.95 * before
    assert np.abs(trained.decode(np.zeros((5, 5), int)).values).max() == 0
    assert MotionTokenizer.from_pretrained(tmp_path / "trained").fingerprint == trained.fingerprint


def test_padding_changes_no_loss_and_no_codebook():
    clips = Clips(performances(20), ARKIT, 4)
    torch.manual_seed(0)
    model = MotionTokenizer(CONFIG)
    basis = vertex_basis(load_rig(), ARKIT, 8, 8)
    initialise(model, clips, basis)
    values, mask = clips.batch(np.random.default_rng(0), 16, 17)
    assert not mask.all()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    results = []
    for padding in (values, torch.where(mask.repeat_interleave(4, 1)[..., None], values, torch.tensor(7.0))):
        model.load_state_dict(state)
        torch.manual_seed(1)
        terms = losses(model, padding * 1.0, mask, torch.ones(55), basis)
        results.append(([v.item() for v in terms.values()], model.codebook("left").clone()))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1])


def test_a_batch_keeps_left_and_right_of_mirrored_crops():
    values = np.zeros((40, 55), np.float32)
    values[:, ARKIT.index("mouthSmileLeft")] = 0.7
    values[:, ARKIT.index("headYaw")] = 0.2
    batch, mask = Clips([values], ARKIT, 4).batch(np.random.default_rng(0), 64, 5)
    left = batch[:, 0, ARKIT.index("mouthSmileLeft")] > 0
    right = batch[:, 0, ARKIT.index("mouthSmileRight")] > 0
    assert mask.all() and left.any() and right.any() and not (left & right).any()
    assert (batch[left, 0, ARKIT.index("headYaw")] > 0).all() and (batch[right, 0, ARKIT.index("headYaw")] < 0).all()


def test_scores_agree_with_the_yardstick(shared, monkeypatch):
    monkeypatch.syspath_prepend(str(shared / "measure"))
    import face_measure

    yard = face_measure.load_rig()
    rng = np.random.default_rng(0)
    true = [rng.random((n, 55)).astype(np.float32) for n in (30, 9)]
    guess = [t + rng.normal(0, 0.05, t.shape).astype(np.float32) for t in true]
    columns = ARKIT.indices(yard.names)
    wanted = face_measure.score([g[:, columns] for g in guess], [t[:, columns] for t in true], yard)
    ours = reconstruction_scores(guess, true, load_rig(), ARKIT)
    for name, other in (
        ("lve_mm", "lve_mm"),
        ("fve_mm", "fve_mm"),
        ("coefficient_mae", "coef_mae"),
        ("frames", "frames"),
    ):
        assert ours[name] == pytest.approx(wanted[other], rel=2e-3)
    assert ours["jerk_ratio"] == pytest.approx(wanted["jerk"], rel=1e-2)


def test_wrong_requests_are_said(tmp_path):
    with pytest.raises(FacelmError, match="start without resume"):
        run(tmp_path, resume=True)
    run(tmp_path, max_steps=1)
    with pytest.raises(FacelmError, match="another configuration"):
        run(tmp_path, resume=True, learning_rate=0.1)
    with pytest.raises(FacelmError, match="max_steps or max_seconds"):
        TokenizerTraining(max_steps=0)
    with pytest.raises(FacelmError, match="batch"):
        TokenizerTraining(batch=0)
    with pytest.raises(FacelmError, match="no motions"):
        Clips([], ARKIT, 4)


def test_a_limit_in_seconds_ends_training(tmp_path):
    run(tmp_path, max_steps=0, max_seconds=0.5)
    assert (tmp_path / "model.safetensors").is_file()


@pytest.fixture
def recipe(monkeypatch, capsys):
    """Runs the recipe in this process: exit code, standard output and error."""
    spec = importlib.util.spec_from_file_location("tokenizer_recipe", ROOT / "recipes" / "tokenizer.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tokenizer.py", *arguments])
        code = module.main()
        return code, *capsys.readouterr()

    return call


def test_the_recipe_trains_and_overrides(recipe, tmp_path):
    from facelm.corpus import synthesise

    synthesise(0.02, 0, tmp_path / "corpus")
    debug, out = str(ROOT / "recipes" / "debug" / "tokenizer.yaml"), tmp_path / "out"
    changes = ("--max_steps", "2", "--learning_rate", "1e-3", "--progress", "false")
    code, said, error = recipe("--config", debug, "--corpus", str(tmp_path / "corpus"), "--out", str(out), *changes)
    assert code == 0, error
    assert MotionTokenizer.from_pretrained(out).fingerprint in said
    assert json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 2


def test_the_recipe_says_what_is_wrong(recipe, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("lerning_rate: 1\n")
    code, _, error = recipe("--config", str(config))
    assert code == 2 and "unknown key 'lerning_rate'; the nearest one is 'learning_rate'" in error
    code, _, error = recipe("--max_steps", "many")
    assert code == 2 and error == "facelm: max_steps is 'many': give a value of type int\n"
    code, _, error = recipe("--corpus", str(tmp_path / "none"))
    assert code == 2 and "none" in error


@pytest.mark.parametrize("name", ["nano", "debug"])
def test_the_recipes_configs_are_valid(recipe, name):
    module = sys.modules["tokenizer_recipe"]
    kinds = (module.Run, module.Streams, module.Sizes, TokenizerTraining)
    module.parse(["--config", str(ROOT / "recipes" / name / "tokenizer.yaml")], *kinds)
